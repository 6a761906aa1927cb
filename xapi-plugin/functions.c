/* SPDX-License-Identifier: MIT */
/* The table of functions, and what is checked before any of them runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "keys.h"
#include "mediator/admin/ask.h"
#include "mediator/base/util.h"
#include "plugin.h"

#define READ   VG_RIGHT_READ
#define POLICY VG_RIGHT_POLICY
#define ADMIN  VG_RIGHT_ADMIN

static const struct vg_function functions[] = {
    { "get", READ, true, true, false, { NULL }, vg_show_get },
    { "list", READ, false, false, false, { NULL }, vg_show_list },
    { "metrics", READ, true, false, false, { NULL }, vg_show_metrics },
    { "health", READ, false, false, false, { NULL }, vg_show_health },
    { "version", READ, false, false, false, { NULL }, vg_show_version },
    { "apply", READ, true, true, false, { "keys" }, vg_edit_apply },
    { "set", POLICY, true, true, true, { NULL }, vg_edit_set },
    { "unset", POLICY, true, true, false, { "keys" }, vg_edit_unset },
    { "register", POLICY, true, true, true, { NULL }, vg_edit_register },
    { "unregister", POLICY, true, true, false, { NULL }, vg_edit_unregister },
    { "set_weight", POLICY, true, true, false, { "weight" }, vg_edit_weight },
    { "set_rate_limit", POLICY, true, true, false, { "rate", "queue_depth", "burst" },
      vg_edit_rate },
    { "clear_quarantine", ADMIN, true, true, false, { NULL }, vg_edit_clear },
};

static const char *const vm_args[] = { "vm_uuid", "uuid", "vm_name" };

/* ---- what the functions use ---- */

const char *vg_plugin_arg(const struct vg_plugin *p, const char *name)
{
    json_object *value = NULL;

    json_object_object_get_ex(p->args, name, &value);
    return value ? json_object_get_string(value) : NULL;
}

bool vg_plugin_xs(struct vg_plugin *p)
{
    if (!vg_xs_is_open(&p->xs) && !p->xs_why[0] &&
        vg_xs_init(&p->xs, p->xs_why, sizeof(p->xs_why)) == 0)
        p->xs_why[0] = '\0';
    return vg_xs_is_open(&p->xs);
}

json_object *vg_plugin_request(const char *op, const char *vm_name)
{
    json_object *request = json_object_new_object();

    json_object_object_add(request, "op", json_object_new_string(op));
    if (vm_name)
        json_object_object_add(request, "vm_name", json_object_new_string(vm_name));
    return request;
}

json_object *vg_plugin_ask(struct vg_plugin *p, json_object *request, char *why, size_t why_cap)
{
    json_object *answer, *ok = NULL, *error = NULL;

    vg_plugin_stage("waiting for the mediator");
    answer = vg_ask(p->control, request, why, why_cap);
    json_object_put(request);
    if (!json_object_is_type(answer, json_type_object)) {
        if (answer)
            snprintf(why, why_cap, "%s: the answer is no object", p->control);
        json_object_put(answer);
        return NULL;
    }
    json_object_object_get_ex(answer, "ok", &ok);
    json_object_object_get_ex(answer, "error", &error);
    if (ok && json_object_get_boolean(ok)) {
        json_object_object_del(answer, "ok");
        return answer;
    }
    snprintf(why, why_cap, "%s", error ? json_object_get_string(error) : "refused without a reason");
    json_object_put(answer);
    return NULL;
}

/* ---- arguments ---- */

static bool is_vm_arg(const char *name)
{
    for (unsigned i = 0; i < VG_ARRAY_LEN(vm_args); i++) {
        if (strcmp(vm_args[i], name) == 0)
            return true;
    }
    return false;
}

/* "weight" and "gpu_weight" are the same argument. */
static bool takes(const struct vg_function *fn, const char *name)
{
    char key[VG_KEY_MAX];
    const char *bare = strncmp(name, VG_KEYS_PREFIX, strlen(VG_KEYS_PREFIX)) == 0
                           ? name + strlen(VG_KEYS_PREFIX) : name;

    if (fn->takes_vm && is_vm_arg(name))
        return true;
    if (fn->takes_policy && vg_keys_find(name, key))
        return true;
    for (unsigned i = 0; i < VG_ARRAY_LEN(fn->extra) && fn->extra[i]; i++) {
        if (strcmp(fn->extra[i], name) == 0 ||
            (vg_keys_find(name, key) && strcmp(fn->extra[i], bare) == 0))
            return true;
    }
    return false;
}

static void say_allowed(const struct vg_function *fn, char *text, size_t cap)
{
    size_t used = 0;

    text[0] = '\0';
    if (fn->takes_vm)
        used = (size_t)snprintf(text, cap, "vm_uuid, vm_name");
    for (unsigned i = 0; i < VG_ARRAY_LEN(fn->extra) && fn->extra[i] && used < cap; i++)
        used += (size_t)snprintf(text + used, cap - used, "%s%s", used ? ", " : "", fn->extra[i]);
    if (fn->takes_policy && used + 2 < cap) {
        used += (size_t)snprintf(text + used, cap - used, ", ");
        vg_keys_say(text + used, cap - used);
    }
}

static int check_args(struct vg_plugin *p, const struct vg_function *fn)
{
    char allowed[320];
    unsigned vms = 0;

    say_allowed(fn, allowed, sizeof(allowed));
    json_object_object_foreach(p->args, name, value)
    {
        (void)value;
        if (!takes(fn, name))
            return vg_fail(&p->failure, p->function, "BadArgument",
                           "\"%.80s\" is no argument of %s; allowed: %s", name, fn->name,
                           allowed[0] ? allowed : "none");
        vms += is_vm_arg(name);
    }
    if (vms > 1)
        return vg_fail(&p->failure, p->function, "BadArgument",
                       "give only one of vm_uuid and vm_name");
    if (fn->needs_vm && vms == 0)
        return vg_fail(&p->failure, p->function, "BadArgument", "%s needs vm_uuid or vm_name",
                       fn->name);
    return 0;
}

int vg_plugin_serve(struct vg_plugin *p, json_object *out)
{
    for (unsigned i = 0; i < VG_ARRAY_LEN(functions); i++) {
        const struct vg_function *fn = &functions[i];

        if (strcmp(fn->name, p->function) != 0)
            continue;
        if (check_args(p, fn) < 0 || vg_auth_check(p, fn->right) < 0)
            return -1;
        return fn->serve(p, out);
    }
    p->failure.parts = json_object_new_array();
    json_object_array_add(p->failure.parts,
                          json_object_new_string("UNKNOWN_XENAPI_PLUGIN_FUNCTION"));
    json_object_array_add(p->failure.parts, json_object_new_string(p->function));
    return -1;
}
