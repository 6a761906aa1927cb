/* SPDX-License-Identifier: MIT */
/*
 * What administrators' requests do. They have been held against the table of verbs
 * (control_check.c) when they come here. A change is written to disk before it is
 * made: what cannot be written changes nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control.h"
#include "mediator.h"
#include "mediator/base/log.h"
#include "report.h"
#include "store.h"

#define WHY_MAX 512u
#define EVENTS_SHOWN 100u       /* unless the request says how many */

/* Adds the answer to `out`; 0, or -1 with what is wrong in why[WHY_MAX]. */
typedef int serve_fn(struct vg_mediator *m, struct vg_asker *asker, json_object *in,
                     json_object *out, char *why);

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

/* ---- policies ---- */

/* "weight=7 weight_was=50": what differs. */
static void differences(const struct vg_policy *now, const struct vg_policy *was, char *text,
                        size_t cap)
{
    size_t n = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < VG_POLICY_FIELDS && n < cap; i++) {
        const char *key = vg_policy_fields[i].key;
        char is[VG_POLICY_TEXT], before[VG_POLICY_TEXT];

        vg_policy_get(now, &vg_policy_fields[i], is, sizeof(is));
        vg_policy_get(was, &vg_policy_fields[i], before, sizeof(before));
        if (strcmp(is, before) != 0)
            n += (size_t)snprintf(text + n, cap - n, "%s%s=%s %s_was=%s", n ? " " : "", key, is,
                                  key, before);
    }
}

static void announce(struct vg_mediator *m, const struct vg_vm *vm, bool is_new,
                     const struct vg_policy *was)
{
    char text[VG_EVENT_TEXT];

    differences(&vm->policy, was, text, sizeof(text));
    if (is_new)
        vg_event(m, VG_EVENT_VM_REGISTERED, vm, "pool=%s priority=%s weight=%" PRIu64,
                 vm->policy.pool, vg_priority_name(vm->policy.priority), vm->policy.weight);
    else
        vg_event(m, VG_EVENT_VM_CHANGED, vm, "%s", text[0] ? text : "same=yes");
}

/* Gives a VM that policy, on disk and then in effect. */
static int change(struct vg_mediator *m, struct vg_vm *vm, const struct vg_policy *policy,
                  json_object *out, char *why)
{
    struct vg_policy before = vm->policy;
    bool was_registered = vm->registered;

    vm->policy = *policy;
    /* What a toolstack started is kept by the toolstack. */
    vm->registered = was_registered || vm->toolstack.domains == 0;
    if (save(m, why) < 0) {
        vm->policy = before;
        vm->registered = was_registered;
        return -1;
    }
    vg_mediator_vm_changed(m, vm);
    announce(m, vm, vm->registered && !was_registered, &before);
    json_object_object_add(out, "vm", vg_report_vm(m, vm));
    return 0;
}

/* Registering again changes the fields given and keeps the others. */
static int op_register(struct vg_mediator *m, struct vg_asker *asker, json_object *in,
                       json_object *out, char *why)
{
    struct vg_vm *vm = vg_vms_find(&m->vms, vm_name_of(in));
    struct vg_policy policy = vm ? vm->policy : m->config.policy;
    bool is_new = !vm;

    (void)asker;
    if (vg_report_policy_from(&policy, in, why, WHY_MAX) < 0)
        return -1;
    if (is_new)
        vm = vg_vms_add(&m->vms, vm_name_of(in), &policy);
    if (!vm) {
        snprintf(why, WHY_MAX, "%u VMs are known already, which is the limit", m->vms.count);
        return -1;
    }
    if (change(m, vm, &policy, out, why) == 0)
        return 0;
    if (is_new)
        vg_vms_remove(&m->vms, vm);
    return -1;
}

/* A VM that was only met is registered by it: else the change would not last. */
static int op_set(struct vg_mediator *m, struct vg_asker *asker, json_object *in, json_object *out,
                  char *why)
{
    struct vg_vm *vm = known_vm(m, in, why);
    struct vg_policy policy;

    (void)asker;
    if (!vm)
        return -1;
    policy = vm->policy;
    if (vg_report_policy_from(&policy, in, why, WHY_MAX) < 0)
        return -1;
    return change(m, vm, &policy, out, why);
}

/* Connected, it goes on with the default policy; once it has gone it is forgotten. */
static int op_unregister(struct vg_mediator *m, struct vg_asker *asker, json_object *in,
                         json_object *out, char *why)
{
    struct vg_vm *vm = known_vm(m, in, why);

    (void)asker, (void)out;
    if (!vm)
        return -1;
    if (!vm->registered) {
        snprintf(why, WHY_MAX, "VM \"%s\" is not registered%s", vm->name,
                 vm->toolstack.domains ? " here but by the toolstack (platform:gpu_enabled)" : "");
        return -1;
    }
    vm->registered = false;
    if (save(m, why) < 0) {
        vm->registered = true;
        return -1;
    }
    vm->policy = m->config.policy;
    vg_mediator_vm_changed(m, vm);
    vg_event(m, VG_EVENT_VM_UNREGISTERED, vm, "peers=%u", vm->peers);
    if (vg_vm_is_idle(vm))
        vg_vms_remove(&m->vms, vm);
    return 0;
}

/* ---- quarantine, GPUs ---- */

/* Also of a VM that has not come yet: it stays known while it is in quarantine. */
static int op_quarantine(struct vg_mediator *m, struct vg_asker *asker, json_object *in,
                         json_object *out, char *why)
{
    struct vg_vm *vm = vg_vms_find(&m->vms, vm_name_of(in));
    int rc;

    (void)asker;
    if (!vm)
        vm = vg_vms_add(&m->vms, vm_name_of(in), &m->config.policy);
    if (!vm) {
        snprintf(why, WHY_MAX, "%u VMs are known already, which is the limit", m->vms.count);
        return -1;
    }
    rc = vg_quarantine_set(m, vm, vg_report_text(in, "reason"), why, WHY_MAX);
    json_object_object_add(out, "vm", vg_report_vm(m, vm));
    return rc < 0 ? -1 : 0;
}

static int op_clear_quarantine(struct vg_mediator *m, struct vg_asker *asker, json_object *in,
                               json_object *out, char *why)
{
    struct vg_vm *vm = known_vm(m, in, why);

    (void)asker;
    if (!vm || vg_quarantine_clear(m, vm, why, WHY_MAX) < 0)
        return -1;
    json_object_object_add(out, "vm", vg_report_vm(m, vm));
    return 0;
}

static int op_clear_gpu(struct vg_mediator *m, struct vg_asker *asker, json_object *in,
                        json_object *out, char *why)
{
    (void)asker, (void)out;
    return vg_gpu_clear(m, vg_report_text(in, "gpu"), why, WHY_MAX) < 0 ? -1 : 0;
}

/* The answer goes first. */
static int op_stop(struct vg_mediator *m, struct vg_asker *asker, json_object *in, json_object *out,
                   char *why)
{
    json_object *all;

    (void)asker, (void)out, (void)why;
    vg_mediator_stop_soon(m, json_object_object_get_ex(in, "all", &all) &&
                                 json_object_get_boolean(all));
    return 0;
}

/* ---- questions ---- */

static int op_list(struct vg_mediator *m, struct vg_asker *asker, json_object *in, json_object *out,
                   char *why)
{
    json_object *list = json_object_new_array();
    struct vg_vm *vm;

    (void)asker, (void)in, (void)why;
    vg_list_for_each(vm, &m->vms.list, link)
        json_object_array_add(list, vg_report_vm(m, vm));
    json_object_object_add(out, "vms", list);
    return 0;
}

static int op_show_vm(struct vg_mediator *m, struct vg_asker *asker, json_object *in, json_object *out,
                      char *why)
{
    struct vg_vm *vm = known_vm(m, in, why);

    (void)asker;
    if (!vm)
        return -1;
    json_object_object_add(out, "vm", vg_report_vm(m, vm));
    json_object_object_add(out, "metrics", vg_report_metrics(m, vm));
    json_object_object_add(out, "executors", vg_report_executors(m, vm));
    vg_health_log_to(out, vm);
    return 0;
}

static int op_metrics(struct vg_mediator *m, struct vg_asker *asker, json_object *in, json_object *out,
                      char *why)
{
    struct vg_vm *vm = NULL, *only = NULL;
    json_object *list;

    (void)asker;
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

static int op_health(struct vg_mediator *m, struct vg_asker *asker, json_object *in, json_object *out,
                     char *why)
{
    (void)asker, (void)in, (void)why;
    json_object_object_add(out, "health", vg_report_health(m));
    json_object_object_add(out, "executors", vg_report_executors(m, NULL));
    return 0;
}

static int op_top(struct vg_mediator *m, struct vg_asker *asker, json_object *in, json_object *out,
                  char *why)
{
    struct vg_vm *vm, *only = NULL;
    json_object *list;

    (void)asker;
    if (vm_name_of(in) && !(only = known_vm(m, in, why)))
        return -1;
    list = json_object_new_array();
    vg_list_for_each(vm, &m->vms.list, link) {
        if (!only || vm == only)
            json_object_array_add(list, vg_report_load(m, vm));
    }
    json_object_object_add(out, "time_ns", json_object_new_int64((int64_t)vg_now()));
    json_object_object_add(out, "vms", list);
    return 0;
}

/* ---- events ---- */

static void add_time(json_object *o, uint64_t ns)
{
    time_t seconds = (time_t)(ns / VG_NS_PER_S);
    char text[40];
    struct tm tm;
    size_t n;

    gmtime_r(&seconds, &tm);
    n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof(text) - n, ".%03uZ", (unsigned)(ns / VG_NS_PER_MS % 1000));
    json_object_object_add(o, "time", json_object_new_string(text));
}

json_object *vg_control_event(const struct vg_event_entry *e)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "seq", json_object_new_int64((int64_t)e->seq));
    add_time(o, e->time_ns);
    json_object_object_add(o, "type", json_object_new_string(vg_event_name(e->type)));
    json_object_object_add(o, "vm", json_object_new_string(e->vm));
    json_object_object_add(o, "text", json_object_new_string(e->text));
    return o;
}

static uint64_t number_of(json_object *in, const char *key, uint64_t otherwise)
{
    json_object *value;

    return json_object_object_get_ex(in, key, &value) ? (uint64_t)json_object_get_int64(value)
                                                      : otherwise;
}

/* The latest `limit` of them are wanted, oldest first. */
static json_object *events_from(const struct vg_events *ev, const char *vm, uint64_t since,
                                uint64_t limit)
{
    const struct vg_event_entry *found[2 * VG_EVENTS_MAX], *e;
    json_object *list = json_object_new_array();
    size_t n = 0;

    for (e = vg_events_from(ev, since); e && n < VG_ARRAY_LEN(found);
         e = vg_events_from(ev, e->seq + 1)) {
        if (!vm || strcmp(vm, e->vm) == 0)
            found[n++] = e;
    }
    for (size_t i = n > limit ? n - (size_t)limit : 0; i < n; i++)
        json_object_array_add(list, vg_control_event(found[i]));
    return list;
}

/* The VM may be one that is not known any more. */
static int op_events(struct vg_mediator *m, struct vg_asker *asker, json_object *in,
                     json_object *out, char *why)
{
    const char *vm = vm_name_of(in);
    json_object *follow;

    (void)why;
    json_object_object_add(out, "events",
                           events_from(&m->events, vm, number_of(in, "since", 0),
                                       number_of(in, "limit", EVENTS_SHOWN)));
    json_object_object_add(out, "next", json_object_new_int64((int64_t)m->events.last + 1));
    asker->follow = json_object_object_get_ex(in, "follow", &follow) &&
                    json_object_get_boolean(follow);
    snprintf(asker->follow_vm, sizeof(asker->follow_vm), "%s", vm ? vm : "");
    return 0;
}

/* ---- requests ---- */

static const struct {
    const char *verb;
    serve_fn *serve;
} ops[] = {
    { "register-vm", op_register }, { "unregister-vm", op_unregister },
    { "set-priority", op_set },     { "set-weight", op_set },
    { "set-pool", op_set },         { "set-rate-limit", op_set },
    { "set-memory", op_set },       { "list", op_list },
    { "show-vm", op_show_vm },      { "show-metrics", op_metrics },
    { "show-health", op_health },   { "events", op_events },
    { "top", op_top },            { "quarantine", op_quarantine },
    { "clear-quarantine", op_clear_quarantine }, { "clear-gpu", op_clear_gpu },
    { "stop", op_stop },
};

static int serve(struct vg_mediator *m, struct vg_asker *asker, json_object *in, json_object *out,
                 char *why)
{
    const struct vg_verb *v = vg_control_check(in, asker->rights, why, WHY_MAX);

    if (!v)
        return -1;
    for (unsigned i = 0; i < VG_ARRAY_LEN(ops); i++) {
        if (strcmp(ops[i].verb, v->name) == 0)
            return ops[i].serve(m, asker, in, out, why);
    }
    snprintf(why, WHY_MAX, "%s is not in this version", v->name);
    return -1;
}

/* It may quote the request, cut anywhere. */
static json_object *sentence(char *why)
{
    for (char *p = why; *p; p++)
        *p = *p < ' ' || *p > '~' ? '?' : *p;
    return json_object_new_string(why);
}

json_object *vg_control_serve(struct vg_mediator *m, struct vg_asker *asker, const char *line,
                              size_t len)
{
    json_object *out = json_object_new_object(), *in;
    char why[WHY_MAX] = "out of memory";
    int rc;

    json_object_object_add(out, "ok", json_object_new_boolean(1));
    in = vg_report_parse(line, len, why, sizeof(why));
    rc = in ? serve(m, asker, in, out, why) : -1;
    json_object_put(in);
    if (rc < 0) {
        json_object_object_add(out, "ok", json_object_new_boolean(0));
        json_object_object_add(out, "error", sentence(why));
    }
    return out;
}
