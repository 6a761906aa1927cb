/* SPDX-License-Identifier: MIT */
/* One VM in XAPI, see machine.h. */
#include "machine.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "mediator/base/number.h"

#define LABEL_SHOWN 80          /* characters of a label in a sentence */

bool vg_uuid_ok(const char *text)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    for (unsigned i = 0; i < sizeof(shape) - 1; i++) {
        if (shape[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    return text[sizeof(shape) - 1] == '\0';
}

void vg_uuid_lower(char *lower, const char *uuid)
{
    size_t i = 0;

    for (; uuid[i] && i + 1 < VG_UUID_MAX; i++)
        lower[i] = (char)tolower((unsigned char)uuid[i]);
    lower[i] = '\0';
}

/* A string that XAPI answers, into `text`. */
static int ask_text(struct vg_xapi *x, const char *method, const char *ref, char *text, size_t cap,
                    struct vg_failure *f)
{
    json_object *value = NULL;

    if (vg_xapi_ask(x, method, ref, NULL, NULL, &value, f) < 0)
        return -1;
    snprintf(text, cap, "%s", value ? json_object_get_string(value) : "");
    json_object_put(value);
    return 0;
}

static int ask_typed(struct vg_xapi *x, const char *method, const char *ref, json_type type,
                     json_object **ret, struct vg_failure *f)
{
    json_object *value = NULL;

    if (vg_xapi_ask(x, method, ref, NULL, NULL, &value, f) < 0)
        return -1;
    if (!json_object_is_type(value, type)) {
        json_object_put(value);
        return vg_fail(f, x->function, "XapiAnswer", "XAPI's answer to %s is of the wrong type",
                       method);
    }
    *ret = value;
    return 0;
}

/* ---- which VM ---- */

static int ref_of_label(struct vg_machine *m, struct vg_xapi *x, const char *label,
                        struct vg_failure *f)
{
    json_object *refs = NULL;
    size_t n;

    if (ask_typed(x, "VM.get_by_name_label", label, json_type_array, &refs, f) < 0)
        return -1;
    n = (size_t)json_object_array_length(refs);
    if (n == 1)
        snprintf(m->ref, sizeof(m->ref), "%s",
                 json_object_get_string(json_object_array_get_idx(refs, 0)));
    json_object_put(refs);
    if (n == 1)
        return 0;
    return vg_fail(f, x->function, "BadArgument",
                   "vm_name: there are %zu VMs with the name \"%.*s\"; give vm_uuid instead", n,
                   LABEL_SHOWN, label);
}

static int check_kind(struct vg_machine *m, struct vg_xapi *x, struct vg_failure *f)
{
    static const char *const getters[] = { "VM.get_is_a_template", "VM.get_is_control_domain" };

    for (unsigned i = 0; i < 2; i++) {
        json_object *is = NULL;

        if (ask_typed(x, getters[i], m->ref, json_type_boolean, &is, f) < 0)
            return -1;
        if (json_object_get_boolean(is))
            vg_fail(f, x->function, "BadArgument", "%s is a %s, not a VM that can have a GPU",
                    m->uuid, i == 0 ? "template" : "control domain");
        json_object_put(is);
    }
    return f->parts ? -1 : 0;
}

int vg_machine_find(struct vg_machine *m, struct vg_xapi *x, const char *uuid, const char *label,
                    struct vg_failure *f)
{
    char text[64];

    memset(m, 0, sizeof(*m));
    if (uuid && !vg_uuid_ok(uuid))
        return vg_fail(f, x->function, "BadArgument",
                       "vm_uuid: \"%.80s\" is not a uuid: hexadecimal digits as in "
                       "01234567-89ab-cdef-0123-456789abcdef", uuid);
    if (uuid) {
        vg_uuid_lower(text, uuid);
        if (ask_text(x, "VM.get_by_uuid", text, m->ref, sizeof(m->ref), f) < 0)
            return -1;
    } else if (ref_of_label(m, x, label, f) < 0) {
        return -1;
    }
    if (ask_text(x, "VM.get_uuid", m->ref, text, sizeof(text), f) < 0)
        return -1;
    vg_uuid_lower(m->uuid, text);
    if (!vg_uuid_ok(m->uuid))
        return vg_fail(f, x->function, "XapiAnswer", "XAPI says that the VM's uuid is \"%.80s\"",
                       text);
    if (ask_text(x, "VM.get_power_state", m->ref, m->power_state, sizeof(m->power_state), f) < 0 ||
        ask_typed(x, "VM.get_name_label", m->ref, json_type_string, &m->label, f) < 0 ||
        ask_typed(x, "VM.get_platform", m->ref, json_type_object, &m->platform, f) < 0 ||
        ask_typed(x, "VM.get_other_config", m->ref, json_type_object, &m->other_config, f) < 0)
        return -1;
    snprintf(m->name, sizeof(m->name), "%s", m->uuid);
    return check_kind(m, x, f);
}

void vg_machine_fini(struct vg_machine *m)
{
    json_object_put(m->label);
    json_object_put(m->platform);
    json_object_put(m->other_config);
    m->label = m->platform = m->other_config = NULL;
}

/* ---- what it is called ---- */

void vg_machine_name(struct vg_machine *m, struct vg_xs *xs)
{
    char path[VG_XS_PATH], identity[64];

    snprintf(path, sizeof(path), "/vgpu/vm/%s/identity", m->uuid);
    if (vg_xs_is_open(xs) && vg_xs_read(xs, path, identity, sizeof(identity)) &&
        vg_name_ok(identity, sizeof(identity)))
        snprintf(m->name, sizeof(m->name), "%s", identity);
}

const char *vg_machine_key(const struct vg_machine *m, const char *key)
{
    json_object *value = NULL;

    json_object_object_get_ex(m->platform, key, &value);
    return value ? json_object_get_string(value) : NULL;
}

bool vg_machine_identity(json_object *other_config, char *identity)
{
    json_object *value = NULL;
    const char *text;

    json_object_object_get_ex(other_config, "vm_uuid", &value);
    text = value ? json_object_get_string(value) : "";
    if (!vg_uuid_ok(text))
        return false;
    vg_uuid_lower(identity, text);
    return true;
}
