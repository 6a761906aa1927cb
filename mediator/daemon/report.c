/* SPDX-License-Identifier: MIT */
/* JSON in and out, see report.h. */
#include "report.h"

#include <stdio.h>
#include <string.h>

#include "mediator/base/json.h"
#include "mediator/base/log.h"
#include "protocol/vg_api.h"
#include "protocol/vg_atomic.h"

/* The bounds are vg_json_ok's, so what the library makes of the text is what we saw. */
static json_object *parse(const char *text, size_t len)
{
    json_tokener *tok = json_tokener_new_ex((int)VG_JSON_DEPTH + 1);
    json_object *root;

    if (!tok)
        return NULL;
    root = json_tokener_parse_ex(tok, text, (int)len);
    if (json_tokener_get_error(tok) != json_tokener_success) {
        json_object_put(root);
        root = NULL;
    }
    json_tokener_free(tok);
    return root;
}

json_object *vg_report_parse(const char *text, size_t len, char *why, size_t why_cap)
{
    char reason[128] = "the library does not take it";
    json_object *root = vg_json_ok(text, len, reason, sizeof(reason)) ? parse(text, len) : NULL;

    if (json_object_is_type(root, json_type_object))
        return root;
    snprintf(why, why_cap, "not a JSON object: %s", root ? "another type" : reason);
    json_object_put(root);
    return NULL;
}

const char *vg_report_text(json_object *o, const char *key)
{
    json_object *value;

    if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &value) ||
        !json_object_is_type(value, json_type_string))
        return NULL;
    return json_object_get_string(value);
}

/* ---- policy ---- */

int vg_report_policy_from(struct vg_policy *p, json_object *o, char *why, size_t why_cap)
{
    for (unsigned i = 0; i < VG_POLICY_FIELDS; i++) {
        const char *key = vg_policy_fields[i].key;
        json_object *value;
        int rc;

        if (!json_object_object_get_ex(o, key, &value))
            continue;
        rc = vg_policy_set(p, key, value ? json_object_get_string(value) : "null", why, why_cap);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static json_object *number(uint64_t value)
{
    return json_object_new_int64(value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

static void add_number(json_object *o, const char *key, uint64_t value)
{
    json_object_object_add(o, key, number(value));
}

static void add_text(json_object *o, const char *key, const char *value)
{
    json_object_object_add(o, key, json_object_new_string(value));
}

void vg_report_policy_to(json_object *o, const struct vg_policy *p)
{
    for (unsigned i = 0; i < VG_POLICY_FIELDS; i++) {
        const struct vg_policy_field *f = &vg_policy_fields[i];

        if (f->kind == VG_POLICY_NAME)
            add_text(o, f->key, p->pool);
        else if (f->kind == VG_POLICY_PRIORITY)
            add_text(o, f->key, vg_priority_name(p->priority));
        else
            add_number(o, f->key, vg_policy_number(p, f));
    }
}

/* ---- VMs and executors ---- */

static unsigned live_sessions(struct vg_mediator *m, const struct vg_vm *vm)
{
    struct vg_client *c;
    unsigned n = 0;

    vg_list_for_each(c, &m->clients, link) {
        for (unsigned i = 0; c->vm == vm && i < c->layout.slot_count; i++)
            n += c->session[i] && vg_session_is_live(c->session[i]);
    }
    return n;
}

/* Members that only VMs of a toolstack have; "label" is what people call it. */
static void add_toolstack(json_object *o, const struct vg_vm *vm)
{
    const struct vg_vm_toolstack *t = &vm->toolstack;
    json_object *notes;

    if (t->domains == 0)
        return;
    notes = json_object_new_array();
    for (const char *p = t->notes; *p; p += strspn(p, "; ")) {
        const char *end = strstr(p, "; ");
        size_t len = end ? (size_t)(end - p) : strlen(p);

        json_object_array_add(notes, json_object_new_string_len(p, (int)len));
        p += len;
    }
    add_text(o, "uuid", t->uuid);
    add_text(o, "label", t->label);
    add_number(o, "domid", t->domid);
    json_object_object_add(o, "enabled", json_object_new_boolean(t->enabled));
    json_object_object_add(o, "notes", notes);
}

/* What is odd about a policy that is served all the same. */
static void add_pool_note(json_object *o, struct vg_mediator *m, const struct vg_vm *vm)
{
    struct vg_place place = vg_place_of(&m->config.places, vm->policy.pool);
    json_object *notes = NULL;
    char text[192];

    if (!vm->pool_unknown[0])
        return;
    if (!json_object_object_get_ex(o, "notes", &notes)) {
        notes = json_object_new_array();
        json_object_object_add(o, "notes", notes);
    }
    snprintf(text, sizeof(text), "gpu_pool: this host has no setting pool.%s, so it is on GPU %.40s "
             "with a share of %u", vm->policy.pool, place.gpus, place.share);
    json_object_array_add(notes, json_object_new_string(text));
}

json_object *vg_report_vm(struct vg_mediator *m, const struct vg_vm *vm)
{
    const char *context_from;
    json_object *o = json_object_new_object();
    struct vg_usage usage;

    vg_mediator_usage(m, vm, &usage);
    add_text(o, "name", vm->name);
    json_object_object_add(o, "registered",
                           json_object_new_boolean(vm->registered || vm->toolstack.domains));
    add_toolstack(o, vm);
    add_pool_note(o, m, vm);
    vg_report_policy_to(o, &vm->policy);
    if (vm->clamped) {
        json_object *granted = json_object_new_object();

        vg_report_policy_to(granted, &vm->grant);
        json_object_object_add(o, "granted", granted);
    }
    add_number(o, "peers", vm->peers);
    add_number(o, "executors", live_sessions(m, vm));
    add_number(o, "calls", usage.sum.calls);
    add_number(o, "memory_bytes", usage.sum.memory);
    add_number(o, "context_bytes", vg_quota_context(m, &context_from));
    add_text(o, "context_from", context_from);
    add_number(o, "faults", vg_vm_faults(vm));
    vg_health_vm_to(o, vm);
    add_number(o, "uptime_s", (vg_now() - vm->since) / VG_NS_PER_S);
    return o;
}

/* Read while the executor may write: bounded, cleaned, never trusted to end. */
static void add_guest(json_object *o, const struct vg_stats *st)
{
    char name[sizeof(st->guest_comm) + 1];

    vg_log_clean(name, sizeof(name), st->guest_comm, sizeof(st->guest_comm));
    add_text(o, "process", name);
    add_number(o, "guest_pid", vg_load_relaxed(&st->guest_pid));
}

static json_object *executor(const struct vg_session *s)
{
    json_object *o = json_object_new_object();
    const struct vg_stats *st = s->stats;

    add_text(o, "vm", s->client->vm->name);
    add_number(o, "slot", s->slot);
    add_number(o, "pid", (uint64_t)s->pid);
    add_text(o, "state", vg_session_state_name(s));
    add_text(o, "reason", vg_session_is_live(s) ? "" : vg_gone_name(s->reason));
    add_text(o, "role", vg_client_role_name(s->client));
    add_number(o, "user", s->user ? s->user : geteuid());
    add_guest(o, st);
    add_text(o, "backend", vg_backend_name(&s->backend));
    add_text(o, "device", s->device);
    add_number(o, "start_ms", s->ready_ns / VG_NS_PER_MS);
    add_number(o, "uptime_s", ((s->ended ? s->ended : vg_now()) - s->started) / VG_NS_PER_S);
    add_number(o, "calls", vg_load_relaxed(&st->calls));
    add_number(o, "bytes_in", vg_load_relaxed(&st->bytes_in));
    add_number(o, "bytes_out", vg_load_relaxed(&st->bytes_out));
    add_number(o, "memory_bytes", s->ended ? 0 : vg_load_relaxed(&st->memory));
    return o;
}

json_object *vg_report_executors(struct vg_mediator *m, const struct vg_vm *vm)
{
    json_object *list = json_object_new_array();
    struct vg_client *c;

    vg_list_for_each(c, &m->clients, link) {
        for (unsigned i = 0; i < c->layout.slot_count; i++) {
            if (c->session[i] && (!vm || c->vm == vm))
                json_object_array_add(list, executor(c->session[i]));
        }
    }
    return list;
}

/* ---- metrics ---- */

static json_object *calls_by_name(const struct vg_stats *sum)
{
    json_object *o = json_object_new_object();

    for (unsigned i = 0; i < VG_STATS_CALLS; i++) {
        const char *name = vg_usage_call_name(i);

        if (name && sum->call[i])
            add_number(o, name, sum->call[i]);
    }
    return o;
}

static json_object *calls_by_class(const struct vg_usage *u)
{
    json_object *o = json_object_new_object();
    uint64_t calls[VG_CLASS_COUNT];

    vg_usage_classes(u, calls);
    for (unsigned i = 0; i < VG_CLASS_COUNT; i++) {
        if (calls[i])
            add_number(o, vg_api_class_name(i), calls[i]);
    }
    return o;
}

static json_object *ended_by_reason(const struct vg_vm *vm)
{
    json_object *o = json_object_new_object();

    for (unsigned i = 0; i < VG_GONE_REASONS; i++) {
        if (vm->gone[i])
            add_number(o, vg_gone_name(i), vm->gone[i]);
    }
    return o;
}

static json_object *histogram(const struct vg_hist *h)
{
    json_object *o = json_object_new_object();

    add_number(o, "count", vg_usage_count(h));
    add_number(o, "sum", h->sum);
    add_number(o, "p50", vg_usage_percentile(h, 50));
    add_number(o, "p90", vg_usage_percentile(h, 90));
    add_number(o, "p99", vg_usage_percentile(h, 99));
    return o;
}

static json_object *histograms(const struct vg_stats *sum)
{
    json_object *o = json_object_new_object(), *latency = json_object_new_object();

    for (unsigned i = 0; i < VG_CLASS_COUNT; i++) {
        if (vg_usage_count(&sum->latency[i]))
            json_object_object_add(latency, vg_api_class_name(i), histogram(&sum->latency[i]));
    }
    json_object_object_add(o, "latency_ns", latency);
    json_object_object_add(o, "gpu_time_ns", histogram(&sum->gpu_time));
    json_object_object_add(o, "gate_wait_ns", histogram(&sum->gate_wait));
    json_object_object_add(o, "busy_wait_ns", histogram(&sum->busy_wait));
    json_object_object_add(o, "copy_bytes", histogram(&sum->copy_bytes));
    return o;
}

static json_object *things(const struct vg_vm *vm)
{
    json_object *o = json_object_new_object();

    for (unsigned i = 0; i < VG_QUOTA_KINDS; i++)
        add_number(o, vg_quota_kind_name((enum vg_quota_kind)i),
                   vg_quota_things(vm, (enum vg_quota_kind)i));
    return o;
}

json_object *vg_report_metrics(struct vg_mediator *m, const struct vg_vm *vm)
{
    json_object *o = json_object_new_object();
    struct vg_usage u;

    vg_mediator_usage(m, vm, &u);
    add_text(o, "name", vm->name);
    add_number(o, "uptime_s", (vg_now() - vm->since) / VG_NS_PER_S);
    add_number(o, "executors", live_sessions(m, vm));
    add_number(o, "executors_started", u.executors);
    add_number(o, "calls", u.sum.calls);
    add_number(o, "errors", u.sum.errors);
    add_number(o, "rejected", u.sum.rejected);
    add_number(o, "launches", u.sum.launches);
    add_number(o, "images", u.sum.images);
    add_number(o, "images_known", u.sum.images_known);
    add_number(o, "images_fetched", u.sum.images_fetched);
    add_number(o, "bytes_in", u.sum.bytes_in);
    add_number(o, "bytes_out", u.sum.bytes_out);
    add_number(o, "memory_bytes", u.sum.memory);
    add_number(o, "memory_peak_bytes", u.sum.memory_peak);
    add_number(o, "busy_ns", u.sum.busy_ns);
    add_number(o, "gpu_ns", u.sum.gpu_ns);
    add_number(o, "gate_wait_ns", u.sum.gate_wait_ns);
    add_number(o, "gpu_charged_ns", vg_turns_vm_charged(vm));
    add_number(o, "turns", u.sum.turns);
    add_number(o, "busy", u.sum.busy);
    add_number(o, "retries", u.sum.retries);
    add_number(o, "queued", vg_quota_queued(vm));
    add_number(o, "memory_claimed_bytes", vg_quota_memory(vm));
    add_number(o, "pinned_bytes", vg_quota_pinned(m, vm));
    json_object_object_add(o, "things", things(vm));
    add_number(o, "memory_refused", u.sum.refused_memory);
    add_number(o, "things_refused", u.sum.refused_objects);
    add_number(o, "processes_refused", vm->quota.refused);
    add_number(o, "doorbells", u.sum.doorbells);
    add_number(o, "gpu_faults", u.sum.gpu_faults);
    add_number(o, "faults", vg_vm_faults(vm));
    json_object_object_add(o, "histograms", histograms(&u.sum));
    json_object_object_add(o, "ended", ended_by_reason(vm));
    json_object_object_add(o, "classes", calls_by_class(&u));
    json_object_object_add(o, "by_call", calls_by_name(&u.sum));
    return o;
}

/* ---- load ---- */

/* What its executors say of this moment; claims, shown and not used. */
static void add_now(json_object *o, struct vg_mediator *m, const struct vg_vm *vm)
{
    uint64_t in_flight = 0, waiting = 0;
    struct vg_client *c;

    vg_list_for_each(c, &m->clients, link) {
        for (unsigned i = 0; c->vm == vm && i < c->layout.slot_count; i++) {
            const struct vg_session *s = c->session[i];

            if (!s || !vg_session_is_live(s) || !s->gate)
                continue;
            in_flight += vg_load_relaxed(&s->gate->now.in_flight);
            waiting += vg_load_relaxed(&s->gate->now.waits_since) != 0;
        }
    }
    add_number(o, "in_flight", in_flight);
    add_number(o, "waiting", waiting);
}

json_object *vg_report_load(struct vg_mediator *m, const struct vg_vm *vm)
{
    json_object *o = json_object_new_object();
    struct vg_usage u;

    vg_mediator_usage(m, vm, &u);
    add_text(o, "name", vm->name);
    vg_report_policy_to(o, &vm->grant);
    add_number(o, "executors", live_sessions(m, vm));
    add_number(o, "entitled_ppm", (uint64_t)vm->due_ppm);
    add_now(o, m, vm);
    add_number(o, "calls", u.sum.calls);
    add_number(o, "launches", u.sum.launches);
    add_number(o, "gpu_ns", u.sum.gpu_ns);
    add_number(o, "gpu_charged_ns", vg_turns_vm_charged(vm));
    add_number(o, "gate_wait_ns", u.sum.gate_wait_ns);
    add_number(o, "busy", u.sum.busy);
    add_number(o, "bytes_in", u.sum.bytes_in);
    add_number(o, "bytes_out", u.sum.bytes_out);
    add_number(o, "memory_bytes", vg_quota_memory(vm));
    add_number(o, "faults", vg_vm_faults(vm));
    add_text(o, "state", vg_quarantine_of(vm) ? "quarantined" : "ok");
    return o;
}

/* ---- health ---- */

static void add_faults(json_object *o, struct vg_mediator *m)
{
    uint64_t gone[VG_GONE_REASONS] = { 0 };
    json_object *faults = json_object_new_object();
    struct vg_vm *vm;

    vg_list_for_each(vm, &m->vms.list, link) {
        for (unsigned i = 0; i < VG_GONE_REASONS; i++)
            gone[i] += vm->gone[i];
    }
    for (unsigned i = 0; i < VG_GONE_REASONS; i++) {
        if (vg_gone_is_fault(i))
            add_number(faults, vg_gone_name(i), gone[i]);
    }
    add_number(faults, "peers_refused", m->refused);
    add_number(faults, "peers_misbehaved", m->misbehaved);
    json_object_object_add(o, "faults", faults);
}

/* Absent while nobody knows: the GPU is asked when somebody wants to know. */
static void add_gpu_memory(json_object *o, struct vg_mediator *m)
{
    uint64_t total, left;

    if (!vg_telemetry_memory(&m->telemetry, &total, &left))
        return;
    add_number(o, "gpu_memory_mib", total >> 20);
    add_number(o, "gpu_memory_free_mib", left >> 20);
}

json_object *vg_report_health(struct vg_mediator *m)
{
    json_object *o = json_object_new_object();
    struct vg_backend backend = { .software = false };
    char why[192] = "", program[PATH_MAX] = "";
    bool found = vg_backend_find(&m->config, &backend, why, sizeof(why)) == 0;
    bool program_ok = vg_backend_executor(&m->config, program, sizeof(program)) == 0;

    if (!program_ok)
        snprintf(why, sizeof(why), "the program %.120s is missing",
                 m->config.executor[0] ? m->config.executor : "vgpu-executor");
    else if (found && m->problem[0])
        snprintf(why, sizeof(why), "the latest executor failed: %s", m->problem);
    add_text(o, "status", why[0] ? "unusable" : "ok");
    add_text(o, "problem", why);
    add_number(o, "pid", (uint64_t)getpid());
    add_number(o, "uptime_s", (vg_now() - m->started) / VG_NS_PER_S);
    add_number(o, "protocol_version", VG_PROTOCOL_VERSION);
    add_text(o, "backend", found ? vg_backend_name(&backend) : "none");
    add_text(o, "library", backend.library);
    add_text(o, "device", m->device);
    add_gpu_memory(o, m);
    add_text(o, "xenstore", vg_toolstack_status(&m->toolstack));
    add_number(o, "vms", m->vms.count);
    add_number(o, "peers", m->client_count);
    add_number(o, "executors", m->session_count);
    add_number(o, "executors_ready", vg_pool_idle(m));
    add_faults(o, m);
    vg_health_to(o, m);
    return o;
}
