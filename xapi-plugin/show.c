/* SPDX-License-Identifier: MIT */
/* The functions that only tell: what XAPI, xenstore and the mediator say of VMs and GPU. */
#include <stdio.h>
#include <string.h>

#include "keys.h"
#include "machine.h"
#include "plugin.h"
#include "protocol/vg_wire.h"
#include "version.h"

static json_object *get(json_object *o, const char *key)
{
    json_object *value = NULL;

    if (json_object_is_type(o, json_type_object))
        json_object_object_get_ex(o, key, &value);
    return value;
}

static const char *text_of(json_object *o, const char *key)
{
    json_object *value = get(o, key);

    return value ? json_object_get_string(value) : "";
}

static void add_text(json_object *o, const char *key, const char *text)
{
    json_object_object_add(o, key, json_object_new_string(text));
}

/* ---- policy as it is stored ---- */

/*
 * The gpu_* members of platform and, for keys it lacks, of other_config, which the hook
 * carries over at the VM's start. Returns how many there are, those not understood too.
 */
static unsigned add_stored(json_object *out, json_object *platform, json_object *other_config)
{
    json_object *const maps[] = { platform, other_config };
    static const char *const names[] = { "platform", "other_config" };
    json_object *problems = json_object_new_array();
    char known[VG_KEY_MAX], why[320];
    unsigned count = 0;

    for (unsigned i = 0; i < 2; i++) {
        json_object *into = json_object_new_object();

        json_object_object_foreach(maps[i], key, value)
        {
            if (strncmp(key, VG_KEYS_PREFIX, strlen(VG_KEYS_PREFIX)) != 0)
                continue;
            count++;
            json_object_object_add(into, key, json_object_get(value));
            if (!json_object_is_type(value, json_type_string))
                snprintf(why, sizeof(why), "%s:%.80s is no text", names[i], key);
            else if (!vg_keys_find(key, known))
                snprintf(why, sizeof(why), "%s:%.80s is no key that means something", names[i],
                         key);
            else if (vg_keys_check(known, json_object_get_string(value), why, sizeof(why)))
                continue;
            json_object_array_add(problems, json_object_new_string(why));
        }
        json_object_object_add(out, names[i], into);
    }
    json_object_object_add(out, "problems", problems);
    return count;
}

static bool is_enabled(json_object *platform, json_object *other_config)
{
    json_object *value = get(platform, VG_KEYS_ENABLED);
    bool valid;

    value = value ? value : get(other_config, VG_KEYS_ENABLED);
    return value && vg_keys_enabled(json_object_get_string(value), &valid);
}

/* ---- get ---- */

static void add_state(struct vg_plugin *p, const struct vg_machine *m, json_object *out)
{
    static const char *const nodes[] = { "domid", "state", "reason" };
    json_object *state = json_object_new_object();
    char path[VG_XS_PATH], value[VG_XS_VALUE];

    if (!vg_plugin_xs(p))
        add_text(state, "problem", p->xs_why);
    for (unsigned i = 0; i < 3 && vg_xs_is_open(&p->xs); i++) {
        snprintf(path, sizeof(path), "/local/domain/0/vgpu-mediator/vm/%s/%s", m->uuid, nodes[i]);
        if (vg_xs_read(&p->xs, path, value, sizeof(value)))
            add_text(state, nodes[i], value);
    }
    json_object_object_add(out, "xenstore", state);
}

static void add_mediator(struct vg_plugin *p, const char *op, const char *name, json_object *out)
{
    char why[256];
    json_object *answer = vg_plugin_ask(p, vg_plugin_request(op, name), why, sizeof(why));

    if (!answer) {
        answer = json_object_new_object();
        add_text(answer, "problem", why);
    }
    json_object_object_add(out, "mediator", answer);
}

int vg_show_get(struct vg_plugin *p, json_object *out)
{
    const char *uuid = vg_plugin_arg(p, "vm_uuid");
    struct vg_machine m;
    int rc;

    uuid = uuid ? uuid : vg_plugin_arg(p, "uuid");
    vg_plugin_stage("asking XAPI for the VM");
    rc = vg_machine_find(&m, &p->xapi, uuid, vg_plugin_arg(p, "vm_name"), &p->failure);
    if (rc == 0) {
        add_text(out, "vm_uuid", m.uuid);
        json_object_object_add(out, "name", json_object_get(m.label));
        add_text(out, "power_state", m.power_state);
        json_object_object_add(out, "enabled",
                               json_object_new_boolean(is_enabled(m.platform, m.other_config)));
        add_stored(out, m.platform, m.other_config);
        add_state(p, &m, out);
        vg_machine_name(&m, &p->xs);
        add_text(out, "mediator_name", m.name);
        add_mediator(p, "show-vm", m.name, out);
    }
    vg_machine_fini(&m);
    return rc;
}

/* ---- list ---- */

/* The mediator's entry for a name, moved out of its list, so that what is left is unclaimed. */
static json_object *claim(json_object *vms, const char *name)
{
    size_t n = json_object_is_type(vms, json_type_array) ? (size_t)json_object_array_length(vms)
                                                          : 0;

    for (size_t i = 0; i < n; i++) {
        json_object *vm = json_object_array_get_idx(vms, (int)i);

        if (vm && strcmp(text_of(vm, "name"), name) == 0) {
            vm = json_object_get(vm);
            json_object_array_put_idx(vms, (int)i, NULL);
            return vm;
        }
    }
    return NULL;
}

static void name_of(struct vg_plugin *p, const char *uuid, char *name, size_t cap)
{
    struct vg_machine m;

    memset(&m, 0, sizeof(m));
    snprintf(m.uuid, sizeof(m.uuid), "%s", uuid);
    snprintf(m.name, sizeof(m.name), "%s", uuid);
    vg_machine_name(&m, &p->xs);
    snprintf(name, cap, "%s", m.name);
}

/* One line of the list, or NULL: the VM has nothing to do with GPUs. */
static json_object *line(struct vg_plugin *p, json_object *record, json_object *vms)
{
    json_object *platform = get(record, "platform"), *other = get(record, "other_config");
    json_object *o, *vm;
    char name[64];

    if (!json_object_is_type(platform, json_type_object) ||
        !json_object_is_type(other, json_type_object) || !vg_uuid_ok(text_of(record, "uuid")))
        return NULL;
    o = json_object_new_object();
    name_of(p, text_of(record, "uuid"), name, sizeof(name));
    vm = claim(vms, name);
    add_text(o, "vm_uuid", text_of(record, "uuid"));
    add_text(o, "name", text_of(record, "name_label"));
    add_text(o, "power_state", text_of(record, "power_state"));
    json_object_object_add(o, "enabled", json_object_new_boolean(is_enabled(platform, other)));
    if (add_stored(o, platform, other) == 0 && !vm) {
        json_object_put(o);
        return NULL;
    }
    if (vm)
        json_object_object_add(o, "mediator", vm);
    return o;
}

static json_object *unclaimed(json_object *vms)
{
    json_object *left = json_object_new_array();
    size_t n = json_object_is_type(vms, json_type_array) ? (size_t)json_object_array_length(vms)
                                                          : 0;

    for (size_t i = 0; i < n; i++) {
        json_object *vm = json_object_array_get_idx(vms, (int)i);

        if (vm)
            json_object_array_add(left, json_object_get(vm));
    }
    return left;
}

static int ask_records(struct vg_plugin *p, json_object **ret)
{
    vg_plugin_stage("asking XAPI for all VMs");
    if (vg_xapi_ask(&p->xapi, "VM.get_all_records_where",
                    "field \"is_a_template\" = \"false\" and field \"is_control_domain\" = "
                    "\"false\" and field \"is_a_snapshot\" = \"false\"",
                    NULL, NULL, ret, &p->failure) < 0)
        return -1;
    if (json_object_is_type(*ret, json_type_object))
        return 0;
    json_object_put(*ret);
    return vg_fail(&p->failure, p->function, "XapiAnswer", "XAPI's list of VMs is no map");
}

/* All VMs of the pool; what the mediator says is of this host's. */
int vg_show_list(struct vg_plugin *p, json_object *out)
{
    json_object *records = NULL, *list, *answer;
    char why[256] = "";

    if (ask_records(p, &records) < 0)
        return -1;
    answer = vg_plugin_ask(p, vg_plugin_request("list", NULL), why, sizeof(why));
    vg_plugin_xs(p);
    list = json_object_new_array();
    json_object_object_foreach(records, ref, record)
    {
        json_object *o = line(p, record, get(answer, "vms"));

        (void)ref;
        if (o)
            json_object_array_add(list, o);
    }
    json_object_object_add(out, "vms", list);
    json_object_object_add(out, "not_in_xapi", unclaimed(get(answer, "vms")));
    add_text(out, "problem", answer ? "" : why);
    json_object_put(answer);
    json_object_put(records);
    return 0;
}

/* ---- mediator ---- */

/* The mediator's answer is ours; no answer is a failure. */
static int pass_on(struct vg_plugin *p, json_object *request, json_object *out)
{
    char why[256];
    json_object *answer = vg_plugin_ask(p, request, why, sizeof(why));

    if (!answer)
        return vg_fail(&p->failure, p->function, "MediatorError", "%s", why);
    json_object_object_foreach(answer, key, value)
    {
        json_object_object_add(out, key, json_object_get(value));
    }
    json_object_put(answer);
    return 0;
}

int vg_show_metrics(struct vg_plugin *p, json_object *out)
{
    const char *uuid = vg_plugin_arg(p, "vm_uuid"), *label = vg_plugin_arg(p, "vm_name");
    struct vg_machine m;
    int rc;

    uuid = uuid ? uuid : vg_plugin_arg(p, "uuid");
    if (!uuid && !label)
        return pass_on(p, vg_plugin_request("show-metrics", NULL), out);
    vg_plugin_stage("asking XAPI for the VM");
    rc = vg_machine_find(&m, &p->xapi, uuid, label, &p->failure);
    if (rc == 0) {
        if (vg_plugin_xs(p))
            vg_machine_name(&m, &p->xs);
        add_text(out, "vm_uuid", m.uuid);
        rc = pass_on(p, vg_plugin_request("show-metrics", m.name), out);
    }
    vg_machine_fini(&m);
    return rc;
}

int vg_show_health(struct vg_plugin *p, json_object *out)
{
    return pass_on(p, vg_plugin_request("show-health", NULL), out);
}

int vg_show_version(struct vg_plugin *p, json_object *out)
{
    char why[256];
    json_object *answer = vg_plugin_ask(p, vg_plugin_request("show-health", NULL), why,
                                        sizeof(why));
    json_object *health = get(answer, "health");

    add_text(out, "version", VG_VERSION);
    json_object_object_add(out, "protocol_version", json_object_new_int(VG_PROTOCOL_VERSION));
    add_text(out, "mediator", answer ? text_of(health, "status") : why);
    add_text(out, "backend", text_of(health, "backend"));
    add_text(out, "device", text_of(health, "device"));
    json_object_put(answer);
    return 0;
}
