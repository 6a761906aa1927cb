/* SPDX-License-Identifier: MIT */
/*
 * What administrators can ask for: one row of a table each, with the members it
 * allows, so that a misspelled option is an error and not silence.
 */
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "mediator.h"
#include "mediator/base/log.h"
#include "mediator/base/number.h"
#include "report.h"
#include "store.h"

#define WHY_MAX 256u

struct op {
    const char *name;
    /* Adds its answer to `out`; 0, or -1 with what is wrong in why[WHY_MAX]. */
    int (*serve)(struct vg_mediator *m, json_object *in, json_object *out, char *why);
    bool needs_vm;      /* a member "vm_name" is required */
    bool takes_vm;      /* or allowed */
    bool takes_policy;
};

static const char *vm_name_of(json_object *in)
{
    return vg_report_text(in, "vm_name");
}

static struct vg_vm *known_vm(struct vg_mediator *m, json_object *in, char *why)
{
    struct vg_vm *vm = vg_vms_find(&m->vms, vm_name_of(in));

    if (!vm)
        snprintf(why, WHY_MAX, "there is no VM \"%s\"; \"vgpu-admin list\" shows all",
                 vm_name_of(in));
    return vm;
}

static int save(struct vg_mediator *m, char *why)
{
    int rc = vg_store_save(m->config.state_dir, &m->vms);

    if (rc == 0)
        return 0;
    vg_log(VG_LOG_ERROR, "store-failed", "dir=%s error=\"%s\"", m->config.state_dir,
           strerror(-rc));
    snprintf(why, WHY_MAX, "cannot write %.128s/vms.json: %s", m->config.state_dir,
             strerror(-rc));
    return -1;
}

/* ---- register-vm, unregister-vm ---- */

/* Registering again changes the fields given and keeps the others. */
static int op_register(struct vg_mediator *m, json_object *in, json_object *out, char *why)
{
    const char *name = vm_name_of(in);
    struct vg_vm *vm = vg_vms_find(&m->vms, name);
    struct vg_policy policy = vm ? vm->policy : m->config.policy, before;
    bool was_registered = vm && vm->registered;

    if (vg_report_policy_from(&policy, in, why, WHY_MAX) < 0)
        return -1;
    if (!vm)
        vm = vg_vms_add(&m->vms, name, &policy);
    if (!vm) {
        snprintf(why, WHY_MAX, "%u VMs are known already, which is the limit", m->vms.count);
        return -1;
    }
    before = vm->policy;
    vm->policy = policy;
    vm->registered = true;
    if (save(m, why) < 0) {
        vm->policy = before;
        vm->registered = was_registered;
        return -1;
    }
    vg_mediator_vm_changed(m, vm);
    vg_event(m, was_registered ? VG_EVENT_VM_CHANGED : VG_EVENT_VM_REGISTERED, vm,
             "pool=%s priority=%s weight=%u", policy.pool, vg_priority_name(policy.priority),
             (unsigned)policy.weight);
    json_object_object_add(out, "vm", vg_report_vm(m, vm));
    return 0;
}

static int op_unregister(struct vg_mediator *m, json_object *in, json_object *out, char *why)
{
    struct vg_vm *vm = known_vm(m, in, why);

    (void)out;
    if (!vm)
        return -1;
    if (!vm->registered) {
        snprintf(why, WHY_MAX, "VM \"%s\" is not registered", vm->name);
        return -1;
    }
    vm->registered = false;
    if (save(m, why) < 0) {
        vm->registered = true;
        return -1;
    }
    vg_event(m, VG_EVENT_VM_UNREGISTERED, vm, "peers=%u", vm->peers);
    if (vm->peers == 0)
        vg_vms_remove(&m->vms, vm);
    return 0;
}

/* ---- questions ---- */

static int op_list(struct vg_mediator *m, json_object *in, json_object *out, char *why)
{
    json_object *list = json_object_new_array();
    struct vg_vm *vm;

    (void)in, (void)why;
    vg_list_for_each(vm, &m->vms.list, link)
        json_object_array_add(list, vg_report_vm(m, vm));
    json_object_object_add(out, "vms", list);
    return 0;
}

static int op_show_vm(struct vg_mediator *m, json_object *in, json_object *out, char *why)
{
    struct vg_vm *vm = known_vm(m, in, why);

    if (!vm)
        return -1;
    json_object_object_add(out, "vm", vg_report_vm(m, vm));
    json_object_object_add(out, "metrics", vg_report_metrics(m, vm));
    json_object_object_add(out, "executors", vg_report_executors(m, vm));
    return 0;
}

static int op_metrics(struct vg_mediator *m, json_object *in, json_object *out, char *why)
{
    struct vg_vm *vm = NULL, *only = NULL;
    json_object *list;

    if (vm_name_of(in)) {
        only = known_vm(m, in, why);
        if (!only)
            return -1;
    }
    list = json_object_new_array();
    vg_list_for_each(vm, &m->vms.list, link) {
        if (!only || vm == only)
            json_object_array_add(list, vg_report_metrics(m, vm));
    }
    json_object_object_add(out, "vms", list);
    return 0;
}

static int op_health(struct vg_mediator *m, json_object *in, json_object *out, char *why)
{
    (void)in, (void)why;
    json_object_object_add(out, "health", vg_report_health(m));
    json_object_object_add(out, "executors", vg_report_executors(m, NULL));
    return 0;
}

static const struct op ops[] = {
    { "register-vm", op_register, true, true, true },
    { "unregister-vm", op_unregister, true, true, false },
    { "list", op_list, false, false, false },
    { "show-vm", op_show_vm, true, true, false },
    { "show-metrics", op_metrics, false, true, false },
    { "show-health", op_health, false, false, false },
};

/* ---- requests ---- */

static bool allowed(const struct op *op, const char *key)
{
    return strcmp(key, "op") == 0 || (op->takes_vm && strcmp(key, "vm_name") == 0) ||
           (op->takes_policy && vg_policy_has(key));
}

static int check(const struct op *op, json_object *in, char *why)
{
    const char *name = vm_name_of(in);

    json_object_object_foreach(in, key, value)
    {
        (void)value;
        if (!allowed(op, key)) {
            snprintf(why, WHY_MAX, "%s takes no \"%.80s\"", op->name, key);
            return -1;
        }
    }
    if (op->needs_vm && !name) {
        snprintf(why, WHY_MAX, "%s needs vm_name", op->name);
        return -1;
    }
    if (name && !vg_name_ok(name, VG_VM_NAME_MAX)) {
        snprintf(why, WHY_MAX, "vm_name: \"%.80s\" is not a VM name: letters, digits and ._:-, "
                               "at most %u", name, VG_VM_NAME_MAX - 1);
        return -1;
    }
    return 0;
}

static const struct op *find(const char *name)
{
    for (unsigned i = 0; name && i < VG_ARRAY_LEN(ops); i++) {
        if (strcmp(ops[i].name, name) == 0)
            return &ops[i];
    }
    return NULL;
}

static int serve(struct vg_mediator *m, json_object *in, json_object *out, char *why)
{
    const char *name = vg_report_text(in, "op");
    const struct op *op = find(name);

    if (!op) {
        snprintf(why, WHY_MAX, "op: \"%.80s\" is not one of register-vm, unregister-vm, list, "
                               "show-vm, show-metrics, show-health", name ? name : "");
        return -1;
    }
    return check(op, in, why) < 0 ? -1 : op->serve(m, in, out, why);
}

json_object *vg_control_serve(struct vg_mediator *m, const char *line, size_t len)
{
    json_object *out = json_object_new_object(), *in;
    char why[WHY_MAX] = "out of memory";
    int rc;

    json_object_object_add(out, "ok", json_object_new_boolean(1));
    in = vg_report_parse(line, len, why, sizeof(why));
    rc = in ? serve(m, in, out, why) : -1;
    json_object_put(in);
    if (rc < 0) {
        json_object_object_add(out, "ok", json_object_new_boolean(0));
        json_object_object_add(out, "error", json_object_new_string(why));
    }
    return out;
}
