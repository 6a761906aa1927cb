/* SPDX-License-Identifier: MIT */
/* One decision: charge, look, see who has the GPU to himself or whose turn it is, grant. */
#include "core.h"

#define DRAIN_NS 20000u     /* no nearer is the end of what drains looked for */

/* ---- alone, or taking turns ---- */

static void set_mode(struct vg_sched *s, enum vg_sched_mode mode, struct vg_sched_vm *solo,
                     uint64_t now)
{
    if (s->mode == mode && s->solo == solo)
        return;
    if (s->solo != solo || !solo)
        s->mode_since = now;
    s->mode = mode;
    s->solo = solo;
}

static struct vg_sched_vm *only_attached(const struct vg_sched *s)
{
    return vg_list_entry(s->all.next, struct vg_sched_proc, all)->vm;
}

static struct vg_sched_vm *only_working(const struct vg_sched *s)
{
    struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        if (p->state != VG_PROC_IDLE)
            return p->vm;
    }
    return NULL;
}

static bool higher_attached(const struct vg_sched *s, const struct vg_sched_vm *vm)
{
    for (unsigned c = 0; c < vm->class_; c++) {
        if (s->class_attached[c])
            return true;
    }
    return false;
}

/* Alone for long enough to be let alone. Never below a class that may come any moment. */
static bool stays_alone(const struct vg_sched *s, const struct vg_sched_vm *vm, uint64_t now)
{
    if (s->solo != vm || higher_attached(s, vm))
        return false;
    return s->mode == VG_SCHED_ALONE || now - s->mode_since >= s->tuning.linger;
}

static uint64_t last_work(const struct vg_sched *s)
{
    uint64_t at = 0;

    for (unsigned c = 0; c < VG_CLASSES; c++)
        at = vg_max64(at, s->worked_at[c]);
    return at;
}

static bool solo_mode(const struct vg_sched *s)
{
    return s->solo && (s->mode == VG_SCHED_SOLO || s->mode == VG_SCHED_ALONE);
}

/* What many processes have in flight keeps another VM waiting that comes, however little each has. */
static enum vg_sched_mode one_vm_mode(const struct vg_sched *s, const struct vg_sched_vm *vm,
                                      uint64_t now)
{
    if (stays_alone(s, vm, now))
        return VG_SCHED_ALONE;
    return vm->working > s->tuning.crowd ? VG_SCHED_CROWD : VG_SCHED_SOLO;
}

static void choose_mode(struct vg_sched *s, uint64_t now)
{
    struct vg_sched_vm *vm;

    if (s->attached == 1) {
        set_mode(s, VG_SCHED_ALONE, only_attached(s), now);
    } else if (s->working > 1) {
        set_mode(s, VG_SCHED_SHARED, NULL, now);
    } else if (s->working == 1) {
        vm = only_working(s);
        set_mode(s, one_vm_mode(s, vm, now), vm, now);
    } else if (!solo_mode(s) || now - last_work(s) >= s->tuning.open_after) {
        set_mode(s, VG_SCHED_QUIET, NULL, now);
    }
}

/* ---- one VM has the GPU ---- */

static void run_solo(struct vg_sched *s, uint64_t now)
{
    struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        if (p->state == VG_PROC_IDLE || p->vm != s->solo)
            continue;
        if (p->state != VG_PROC_RUNNING) {
            vg_sched_begin(s, p, VG_TURN_SOLO, now);
        } else if (p->kind != VG_TURN_SOLO) {
            p->kind = VG_TURN_SOLO;
            p->fresh = true;
        }
    }
}

/* ---- several take turns ---- */

static bool must_end(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now)
{
    if (p->kind == VG_TURN_SOLO || vg_sched_over(s, p, now))
        return true;
    return p->kind == VG_TURN_FAIR && vg_sched_outranked(s, p);
}

static void end_turns(struct vg_sched *s, uint64_t now)
{
    struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        if (p->state == VG_PROC_RUNNING && must_end(s, p, now))
            vg_sched_end(s, p, now);
    }
}

/*
 * Several may have begun at once, while their gates stood open. The one that has had
 * least goes on.
 */
static void end_surplus(struct vg_sched *s, unsigned allowed, uint64_t now)
{
    while (s->running > allowed) {
        struct vg_sched_proc *p, *most = NULL;

        vg_list_for_each(p, &s->live, live) {
            if (p->state == VG_PROC_RUNNING && p->kind == VG_TURN_FAIR &&
                (!most || vg_sched_before(most, p)))
                most = p;
        }
        if (!most)
            return;
        vg_sched_end(s, most, now);
        most->renew = false;
    }
}

/* One thinks whose turn comes before p's. */
static bool is_too_early(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    const struct vg_sched_proc *q;

    vg_list_for_each(q, &s->live, live) {
        if (q->state == VG_PROC_DRAINING && vg_sched_thinks(s, q, now) &&
            (q->vm->pool != p->vm->pool || q->vm->class_ == p->vm->class_) &&
            vg_sched_before(q, p))
            return true;
    }
    return false;
}

static void take_turns(struct vg_sched *s, uint64_t now)
{
    unsigned allowed;
    enum vg_sched_kind kind;
    struct vg_sched_proc *p;

    vg_sched_rank(s);
    end_turns(s, now);
    vg_sched_rank(s);
    allowed = vg_sched_allowed(s);
    end_surplus(s, allowed, now);
    while (s->running < allowed) {
        p = vg_sched_pick(s, now, &kind);
        if (!p || (kind == VG_TURN_FAIR &&
                   (is_too_early(s, p, now) || vg_sched_must_wait(s, p, now))))
            break;
        vg_sched_begin(s, p, kind, now);
    }
    vg_list_for_each(p, &s->live, live)
        p->renew = false;
}

/* ---- when to look again ---- */

static uint64_t waiting_check(const struct vg_sched *s, uint64_t now)
{
    uint64_t at = VG_SCHED_FOREVER, drained = now + s->tuning.quantum_min;
    bool waits = false;
    struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        waits = waits || p->waiting;
        if (p->state == VG_PROC_RUNNING)
            at = vg_min64(at, vg_sched_turn_check(s, p, now));
        else if (vg_sched_thinks(s, p, now))
            at = vg_min64(at, vg_sched_think_end(s, p));
        else if (p->state == VG_PROC_DRAINING)
            drained = vg_min64(drained, vg_sched_drain_check(s, p));
    }
    return waits && !s->running ? vg_min64(at, vg_max64(drained, now + DRAIN_NS)) : at;
}

/* Short slices and small windows of lower classes end when a higher has long had no work. */
static uint64_t linger_check(const struct vg_sched *s, uint64_t now)
{
    uint64_t at = VG_SCHED_FOREVER;

    for (unsigned c = 0; c + 1 < VG_CLASSES; c++) {
        if (s->class_attached[c] && !s->class_working[c] && s->worked_at[c] &&
            s->worked_at[c] + s->tuning.linger > now)
            at = vg_min64(at, s->worked_at[c] + s->tuning.linger);
    }
    return at;
}

static uint64_t next_check(const struct vg_sched *s, uint64_t now)
{
    uint64_t at = linger_check(s, now);

    if (s->attached < 2)
        return VG_SCHED_FOREVER;
    if (vg_sched_takes_turns(s))
        at = vg_min64(at, waiting_check(s, now));
    if ((s->mode == VG_SCHED_SOLO || s->mode == VG_SCHED_CROWD) && s->solo && s->working &&
        !higher_attached(s, s->solo))
        at = vg_min64(at, s->mode_since + s->tuning.linger);
    if (solo_mode(s) && !s->working)
        at = vg_min64(at, last_work(s) + s->tuning.open_after);
    return vg_max64(at, now + 1);
}

uint64_t vg_sched_decide(struct vg_sched *s, uint64_t now)
{
    vg_sched_settle(s, now, s->tuning.lag);
    vg_sched_advance(s);
    vg_sched_observe(s, now);
    vg_sched_advance(s);
    choose_mode(s, now);
    if (vg_sched_takes_turns(s))
        take_turns(s, now);
    else if (solo_mode(s))
        run_solo(s, now);
    vg_sched_grant_all(s, now);
    return next_check(s, now);
}
