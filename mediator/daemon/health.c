/* SPDX-License-Identifier: MIT */
/* Faults and quarantine, see health.h. */
#include "health.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mediator.h"
#include "mediator/base/log.h"
#include "protocol/vg_atomic.h"
#include "watch.h"

/* ---- to disk ---- */

static void save_later(struct vg_mediator *m);

/* 0 or -errno; what could not be written is tried again until it can. */
static int save(struct vg_mediator *m)
{
    struct vg_health *h = &m->health;
    int rc = vg_health_save(m);

    h->saved_at = vg_now();
    h->unsaved = rc < 0;
    if (rc < 0) {
        snprintf(h->save_problem, sizeof(h->save_problem), "%s", strerror(-rc));
        vg_log(VG_LOG_ERROR, "health-unsaved", "dir=%s error=\"%s\" retry_s=%u",
               m->config.state_dir, h->save_problem, VG_HEALTH_RETRY_MS / 1000);
    } else {
        h->save_problem[0] = '\0';
    }
    if (rc < 0)
        save_later(m);
    else
        vg_timer_del(&h->save_timer);
    return rc;
}

static void save_due(void *arg)
{
    save(arg);
}

static void save_later(struct vg_mediator *m)
{
    struct vg_health *h = &m->health;
    unsigned ms = h->save_problem[0] ? VG_HEALTH_RETRY_MS : VG_HEALTH_SAVE_MS;

    h->unsaved = true;
    vg_timer_set(&m->loop, &h->save_timer, vg_now() + ms * VG_NS_PER_MS, save_due, m);
}

/* A fault counts even if we are killed now; but a loop of them must not keep the disk busy. */
static void save_fault(struct vg_mediator *m)
{
    const struct vg_health *h = &m->health;

    if (h->saved_at && vg_now() - h->saved_at < VG_HEALTH_SAVE_MS * VG_NS_PER_MS)
        save_later(m);
    else
        save(m);
}

void vg_health_gpu_changed(struct vg_mediator *m)
{
    save(m);
}

/* ---- quarantine ---- */

const char *vg_quarantine_of(const struct vg_vm *vm)
{
    return vm->health.quarantined ? vm->health.reason : NULL;
}

static void end_executors(struct vg_mediator *m, const struct vg_vm *vm)
{
    struct vg_client *c;

    vg_list_for_each(c, &m->clients, link) {
        for (unsigned i = 0; c->vm == vm && i < c->layout.slot_count; i++) {
            if (c->session[i] && vg_session_is_live(c->session[i]))
                vg_session_stop(c->session[i], VG_GONE_QUARANTINED);
        }
    }
}

/* It holds from here on, whether it can be written or not. */
static int quarantine(struct vg_mediator *m, struct vg_vm *vm, const char *reason, bool by_admin)
{
    struct vg_vm_health *h = &vm->health;
    int rc;

    h->quarantined = true;
    h->by_admin = by_admin;
    h->since = (int64_t)time(NULL);
    vg_log_clean(h->reason, sizeof(h->reason), reason, strlen(reason));
    vg_event(m, VG_EVENT_QUARANTINED, vm, "by=%s reason=\"%s\"",
             by_admin ? "administrator" : "faults", h->reason);
    /* On disk before it is carried out: a daemon that dies in between goes on with it. */
    rc = save(m);
    end_executors(m, vm);
    return rc;
}

int vg_quarantine_set(struct vg_mediator *m, struct vg_vm *vm, const char *reason, char *why,
                      size_t why_cap)
{
    int rc = quarantine(m, vm, reason && reason[0] ? reason : "an administrator's decision", true);

    if (rc < 0)
        snprintf(why, why_cap, "VM \"%s\" is in quarantine now, but %.100s/health.json cannot be "
                               "written (%s): it would not outlive the mediator", vm->name,
                 m->config.state_dir, strerror(-rc));
    return rc;
}

int vg_quarantine_clear(struct vg_mediator *m, struct vg_vm *vm, char *why, size_t why_cap)
{
    struct vg_vm_health before = vm->health;
    int rc;

    if (!vm->health.quarantined) {
        snprintf(why, why_cap, "VM \"%s\" is not in quarantine", vm->name);
        return -EINVAL;
    }
    memset(&vm->health, 0, sizeof(vm->health));
    rc = save(m);
    if (rc < 0) {
        vm->health = before;
        snprintf(why, why_cap, "VM \"%s\" stays in quarantine: cannot write %.100s/health.json: %s",
                 vm->name, m->config.state_dir, strerror(-rc));
        return rc;
    }
    vg_event(m, VG_EVENT_QUARANTINE_CLEARED, vm, "was=\"%s\"", before.reason);
    return 0;
}

/* ---- faults ---- */

static void judge(struct vg_mediator *m, struct vg_vm *vm, enum vg_fault_kind kind)
{
    const struct vg_config *c = &m->config;
    const struct vg_ledger_limits limits = {
        .limit = (unsigned)c->fault_limit, .window_ns = c->fault_window_s * VG_NS_PER_S,
        .long_limit = (unsigned)c->fault_long_limit,
        .long_window_ns = c->fault_long_window_s * VG_NS_PER_S,
    };
    enum vg_ledger_verdict v = vg_ledger_judge(&vm->health.ledger, &limits, vg_now());
    uint64_t window_s = v == VG_LEDGER_SHORT ? c->fault_window_s : c->fault_long_window_s;
    char reason[VG_HEALTH_TEXT];

    if (vm->health.quarantined || v == VG_LEDGER_FINE) {
        save_fault(m);
        return;
    }
    snprintf(reason, sizeof(reason), "%u fault(s) within %" PRIu64 " s, the last one a %s",
             vg_ledger_count(&vm->health.ledger, vg_now(), window_s * VG_NS_PER_S), window_s,
             vg_fault_title(kind));
    quarantine(m, vm, reason, false);
}

/* What a sick GPU does to its users is not their fault. */
static void fault(struct vg_mediator *m, struct vg_vm *vm, enum vg_fault_kind kind, uint64_t born)
{
    if (vg_gpus_ail(m, vm)) {
        vg_log(VG_LOG_INFO, "fault-not-counted", "vm=%s kind=%s why=\"the GPU is sick\"", vm->name,
               vg_fault_name(kind));
        return;
    }
    vg_ledger_add(&vm->health.ledger, kind, born, vg_now());
    judge(m, vm, kind);
}

/* VG_FAULT_KINDS: none. */
static unsigned fault_of(const struct vg_session *s)
{
    if (s->blameless)
        return VG_FAULT_KINDS;
    switch (s->reason) {
    case VG_GONE_TIMEOUT:
        return VG_FAULT_HANG;
    case VG_GONE_CRASHED:
        return VG_FAULT_CRASH;
    case VG_GONE_PROTOCOL:
        /* If it was told to end, its peer did wrong, for which that has been charged. */
        return s->told ? VG_FAULT_KINDS : VG_FAULT_BREACH;
    default:
        return vg_load_relaxed(&s->stats->gpu_faults) ? VG_FAULT_KERNEL : VG_FAULT_KINDS;
    }
}

void vg_health_session_ended(struct vg_session *s)
{
    unsigned kind = fault_of(s);

    if (kind < VG_FAULT_KINDS)
        fault(s->mediator, s->client->vm, (enum vg_fault_kind)kind, s->started);
}

void vg_health_peer_misbehaved(struct vg_mediator *m, struct vg_vm *vm)
{
    fault(m, vm, VG_FAULT_BREACH, vg_now());
}

/* ---- admission ---- */

static const struct vg_session *stuck_session(struct vg_mediator *m, const struct vg_vm *vm)
{
    struct vg_client *c;

    vg_list_for_each(c, &m->clients, link) {
        for (unsigned i = 0; (!vm || c->vm == vm) && i < c->layout.slot_count; i++) {
            if (c->session[i] && c->session[i]->state == VG_SESSION_STUCK)
                return c->session[i];
        }
    }
    return NULL;
}

enum vg_gone_reason vg_health_refuses(struct vg_mediator *m, const struct vg_vm *vm, char *why,
                                      size_t why_cap)
{
    const struct vg_session *stuck = stuck_session(m, vm);
    struct vg_place place;
    const struct vg_gpu *gpu = vg_gpus_place(m, vm->grant.pool, &place);

    if (vm->health.quarantined) {
        snprintf(why, why_cap, "in quarantine: %.120s", vm->health.reason);
        return VG_GONE_QUARANTINED;
    }
    if (gpu) {
        snprintf(why, why_cap, "GPU %s has failed (Xid %u, %s)", gpu->name, gpu->xid,
                 vg_xid_meaning(gpu->xid));
        return VG_GONE_GPU_SICK;
    }
    if (stuck) {
        snprintf(why, why_cap, "executor %d of this VM cannot be ended: its driver hangs",
                 (int)stuck->pid);
        return VG_GONE_REFUSED;
    }
    return VG_GONE_NONE;
}

/* ---- what administrators see ---- */

static void add_text(json_object *o, const char *key, const char *value)
{
    json_object_object_add(o, key, json_object_new_string(value));
}

void vg_health_vm_to(json_object *o, const struct vg_vm *vm)
{
    const struct vg_vm_health *h = &vm->health;
    json_object *q;

    add_text(o, "state", h->quarantined ? "quarantined" : "ok");
    if (!h->quarantined)
        return;
    q = json_object_new_object();
    add_text(q, "reason", h->reason);
    add_text(q, "by", h->by_admin ? "administrator" : "faults");
    json_object_object_add(q, "since", json_object_new_int64(h->since));
    json_object_object_add(o, "quarantine", q);
}

void vg_health_log_to(json_object *o, const struct vg_vm *vm)
{
    json_object *list = json_object_new_array();
    const struct vg_ledger *l = &vm->health.ledger;

    for (unsigned i = 0; i < l->count; i++) {
        json_object *e = json_object_new_object();
        uint64_t age = vg_now() - l->entry[i].at;

        add_text(e, "kind", vg_fault_name(l->entry[i].kind));
        json_object_object_add(e, "age_s", json_object_new_int64((int64_t)(age / VG_NS_PER_S)));
        json_object_object_add(e, "weight", json_object_new_double((double)l->entry[i].points /
                                                                   VG_FAULT_POINTS));
        json_object_array_add(list, e);
    }
    json_object_object_add(o, "fault_log", list);
}

static void add_alert(json_object *list, const char *text)
{
    json_object_array_add(list, json_object_new_string(text));
}

static void add_sick(json_object *list, const struct vg_gpus *g)
{
    char text[160];

    for (unsigned i = 0; i < g->count; i++) {
        const struct vg_gpu *gpu = &g->gpu[i];

        if (gpu->state == VG_GPU_OK)
            continue;
        snprintf(text, sizeof(text), "GPU %s: Xid %u, %s; nobody new is taken on it", gpu->name,
                 gpu->xid, vg_xid_meaning(gpu->xid));
        add_alert(list, text);
    }
}

static json_object *alerts(struct vg_mediator *m)
{
    const struct vg_session *stuck = stuck_session(m, NULL);
    json_object *list = json_object_new_array();
    char text[320];

    add_sick(list, &m->health.gpus);
    if (stuck) {
        snprintf(text, sizeof(text), "executor %d of VM %s was killed and does not end",
                 (int)stuck->pid, stuck->client->vm->name);
        add_alert(list, text);
    }
    if (m->health.save_problem[0]) {
        snprintf(text, sizeof(text), "faults and quarantine cannot be written: %s",
                 m->health.save_problem);
        add_alert(list, text);
    }
    if (m->health.kernel_log.problem[0]) {
        snprintf(text, sizeof(text), "the kernel log cannot be read: %s",
                 m->health.kernel_log.problem);
        add_alert(list, text);
    }
    if (m->state_problem[0])
        add_alert(list, m->state_problem);
    if (m->users.problem[0])
        add_alert(list, m->users.problem);
    return list;
}

unsigned vg_health_alerts(struct vg_mediator *m)
{
    json_object *list = alerts(m);
    unsigned n = (unsigned)json_object_array_length(list);

    json_object_put(list);
    return n;
}

static json_object *quarantined(struct vg_mediator *m)
{
    json_object *list = json_object_new_array();
    struct vg_vm *vm;

    vg_list_for_each(vm, &m->vms.list, link) {
        if (vm->health.quarantined)
            add_alert(list, vm->name);
    }
    return list;
}

void vg_health_to(json_object *o, struct vg_mediator *m)
{
    json_object_object_add(o, "alerts", alerts(m));
    json_object_object_add(o, "gpus", vg_gpus_to(&m->health.gpus));
    json_object_object_add(o, "quarantined", quarantined(m));
}

/* ---- life ---- */

int vg_health_init(struct vg_mediator *m, char *why, size_t why_cap)
{
    int rc = vg_health_load(m, why, why_cap);

    if (rc == 0) {
        vg_kernel_log_open(m);
        vg_gpu_watch_start(m);
    }
    return rc;
}

void vg_health_resume(struct vg_mediator *m)
{
    struct vg_vm *vm;

    vg_list_for_each(vm, &m->vms.list, link) {
        if (vm->health.quarantined)
            end_executors(m, vm);
    }
    vg_watch_wake(m);
}

void vg_health_fini(struct vg_mediator *m)
{
    vg_kernel_log_close(m);
    vg_gpu_watch_stop(m);
    vg_timer_del(&m->health.look_timer);
    if (m->health.unsaved)
        save(m);
    vg_timer_del(&m->health.save_timer);
    m->health.unsaved = false;
}
