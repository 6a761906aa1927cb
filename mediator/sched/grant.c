/* SPDX-License-Identifier: MIT */
/* From states to grants: what each process's gate shall do now. */
#include "core.h"

/* ---- slices ---- */

/* Kernels that are longer than turns run beside each other: short slices would cost them much. */
static bool has_overruns(const struct vg_sched *s, uint64_t now)
{
    return s->overran_at && now - s->overran_at < s->tuning.slice_linger;
}

static bool is_about(const struct vg_sched *s, unsigned class_, uint64_t now)
{
    return s->class_working[class_] ||
           (s->class_attached[class_] && s->worked_at[class_] &&
            now - s->worked_at[class_] < s->tuning.slice_linger);
}

static uint64_t due_to(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return vg_sched_entitled(s, p->vm) / vg_max64(p->vm->working, 1);
}

/* Has a slice of its own, or will again with its next kernel. */
static bool is_apart(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return vg_sched_is_hog(s, p) || vg_sched_is_long(s, p);
}

/* For millionths of a GPU's time, so that those who are not apart have long slices, or else all together. */
static uint64_t slice_of_all(const struct vg_sched *s)
{
    uint64_t apart = 0;
    unsigned n = 0;
    const struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        if (is_apart(s, p)) {
            apart += due_to(s, p);
            n++;
        }
    }
    if (apart + 1000 < 1000000)
        return s->tuning.slice_long_us * 1000000ull / (1000000 - apart);
    return (uint64_t)s->tuning.slice_long_us * n;
}

/* Its VM or pool has had more than it should, by more than a few turns. */
static bool has_overused(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    const struct vg_sched_pool *pool = p->vm->pool;
    int64_t ahead = vg_v_ahead(pool->v, s->vmin + vg_v_of(2 * s->tuning.quantum, pool->share));

    return ahead > 0 || vg_sched_debt(p) > 2 * s->tuning.quantum;
}

static uint64_t due_to_hog(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    uint64_t us = due_to(s, p) * slice_of_all(s) / 1000000;

    if (has_overused(s, p))
        us = us * 5 / 8;
    return vg_clamp64(us, s->tuning.slice_short_us, 2 * s->tuning.slice_long_us);
}

/*
 * A kernel that does not end gets its VM's part by its slice: whoever's turn it is runs beside it
 * in long ones. To set a slice takes time, so it does not follow every one that comes and goes, up
 * least of all.
 */
static unsigned slice_of_hog(const struct vg_sched *s, struct vg_sched_proc *p, uint64_t now)
{
    unsigned us = (unsigned)due_to_hog(s, p);

    if (us <= p->hog_us + p->hog_us / 4)
        p->hog_at = now;
    if (!p->hog_us || us < p->hog_us - p->hog_us / 4 || now - p->hog_at >= s->tuning.hog_settle) {
        p->hog_us = us;
        p->hog_at = now;
    }
    return p->hog_us;
}

/* Short, but beside what need not give way to it still its floor's part. */
static unsigned slice_below(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    uint64_t floor = (uint64_t)s->tuning.slice_long_us * s->tuning.floor_ppm[p->vm->class_] / 1000000;

    return vg_sched_is_crossed(s, p) ? (unsigned)vg_max64(floor, s->tuning.slice_short_us)
                                     : s->tuning.slice_short_us;
}

/*
 * For long, and the same for all of a class: to set one takes the driver more than a millisecond, so
 * it must be there before it is needed. Weights are the turns' to keep.
 */
static unsigned slice_for(const struct vg_sched *s, struct vg_sched_proc *p, uint64_t now)
{
    unsigned class_ = p->vm->class_;
    unsigned slice = has_overruns(s, now) ? s->tuning.slice_long_us : 0;
    bool hog = vg_sched_is_hog(s, p);

    if (!is_apart(s, p))
        p->hog_us = 0;
    for (unsigned c = 0; c < VG_CLASSES; c++) {
        if (c == class_ || !is_about(s, c, now))
            continue;
        if (c < class_)
            return slice_below(s, p);
        slice = s->tuning.slice_long_us;
    }
    if (hog)
        return slice_of_hog(s, p, now);
    return p->hog_us ? p->hog_us : slice;
}

/* ---- standing turns ---- */

static bool highest_with_work(const struct vg_sched *s, const struct vg_sched_vm *vm)
{
    for (unsigned c = 0; c <= vm->class_; c++) {
        if (s->class_working[c])
            return false;
    }
    return true;
}

/* A class has a turn that is owed to it, and shall have it in one piece. */
static bool owed_turn_runs(const struct vg_sched *s)
{
    const struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        if (p->state == VG_PROC_RUNNING && (p->kind == VG_TURN_FLOOR || p->kind == VG_TURN_AGED))
            return true;
    }
    return false;
}

/*
 * An idle process whose turn would come at once has it already, and need not ask:
 * where nobody has work, or only lower classes of its own pool.
 */
static bool stands_open(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    if (p->state != VG_PROC_IDLE)
        return false;
    if (s->mode == VG_SCHED_QUIET)
        return true;
    return highest_with_work(s, p->vm) && s->working == p->vm->pool->working &&
           !owed_turn_runs(s);
}

/* ---- grants ---- */

static bool behind(const struct vg_sched_proc *p)
{
    const struct vg_sched_vm *vm = p->vm;

    return vg_v_ahead(vm->v, vg_sched_level_of(vm)->vmin) <= 0;
}

/* It pays to wait for a program that is known to come back soon. */
static uint64_t hold_for(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    if (p->think_ns > s->tuning.hold)
        return 0;
    return p->vm->class_ == p->vm->pool->top || behind(p) ? s->tuning.hold : s->tuning.hold / 4;
}

/* A VM alone has one window, however many processes it has; beside an overrun each has its own. */
static unsigned windows(const struct vg_sched *s)
{
    return s->mode == VG_SCHED_SHARED || s->running < 2 ? 1 : s->running;
}

static void limit_window(const struct vg_sched *s, const struct vg_sched_proc *p,
                         struct vg_grant *g, uint64_t now)
{
    bool lower = vg_sched_below(s, p, now);

    g->window_ns = (lower ? s->tuning.window_lower : s->tuning.window) / windows(s);
    g->window_ops = lower ? s->tuning.window_ops_lower : s->tuning.window_ops;
    g->lead_ns = vg_sched_lead(s, p);
}

static void grant_solo(const struct vg_sched *s, const struct vg_sched_proc *p,
                       struct vg_grant *g, uint64_t now)
{
    g->budget_ns = VG_SCHED_FOREVER;
    g->hold_ns = s->tuning.open_after;
    g->ask = s->attached > 1 ? VG_ASK_IDLE : 0;
    if (s->mode == VG_SCHED_ALONE) {
        g->mode = VG_GRANT_OPEN;
        return;
    }
    g->mode = VG_GRANT_TURN;
    limit_window(s, p, g, now);
}

static void grant_standing(const struct vg_sched *s, const struct vg_sched_proc *p,
                           struct vg_grant *g, uint64_t now)
{
    g->mode = VG_GRANT_TURN;
    g->ask = VG_ASK_WORK | VG_ASK_USED;
    g->budget_ns = s->tuning.window;
    g->hold_ns = p->think_ns > s->tuning.hold ? 0 : s->tuning.hold;
    limit_window(s, p, g, now);
}

static void grant_turn(const struct vg_sched *s, const struct vg_sched_proc *p,
                       struct vg_grant *g, uint64_t now)
{
    g->mode = VG_GRANT_TURN;
    g->ask = VG_ASK_USED | VG_ASK_IDLE;
    g->budget_ns = vg_sched_beside_overrun(s, p) ? VG_SCHED_FOREVER : p->budget;
    g->hold_ns = p->fresh ? hold_for(s, p) : p->grant.hold_ns;
    limit_window(s, p, g, now);
}

/* What it did while its gate stood open is over, and it has the same once more. */
static bool used_up(const struct vg_sched_proc *p)
{
    return p->state == VG_PROC_IDLE && p->used_turn == p->grant.turn;
}

static struct vg_grant wanted(const struct vg_sched *s, struct vg_sched_proc *p,
                              uint64_t now)
{
    struct vg_grant g = { .mode = VG_GRANT_CLOSED, .turn = p->grant.turn };

    if ((s->mode == VG_SCHED_SOLO || s->mode == VG_SCHED_ALONE) && p->vm == s->solo)
        grant_solo(s, p, &g, now);
    else if (p->state == VG_PROC_RUNNING)
        grant_turn(s, p, &g, now);
    else if (stands_open(s, p))
        grant_standing(s, p, &g, now);
    else
        g.ask = VG_ASK_IDLE | (p->waiting ? 0 : VG_ASK_WORK);
    g.slice_us = slice_for(s, p, now);
    if (g.mode == VG_GRANT_TURN && (p->fresh || p->grant.mode != VG_GRANT_TURN || used_up(p)))
        g.turn++;
    return g;
}

static bool same(const struct vg_grant *a, const struct vg_grant *b)
{
    return a->mode == b->mode && a->ask == b->ask && a->turn == b->turn &&
           a->budget_ns == b->budget_ns && a->window_ns == b->window_ns &&
           a->window_ops == b->window_ops && a->hold_ns == b->hold_ns &&
           a->lead_ns == b->lead_ns && a->slice_us == b->slice_us;
}

void vg_sched_grant_all(struct vg_sched *s, uint64_t now)
{
    struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        if (s->mode == VG_SCHED_SHARED && vg_sched_overruns(s, p) &&
            p->overrun >= 2 * s->tuning.quantum)
            s->overran_at = now;
    }
    vg_list_for_each(p, &s->all, all) {
        struct vg_grant g = wanted(s, p, now);

        p->fresh = false;
        if (same(&g, &p->grant))
            continue;
        p->grant = g;
        if (vg_list_empty(&p->changed))
            vg_list_append(&s->changes, &p->changed);
    }
}

struct vg_sched_proc *vg_sched_next_change(struct vg_sched *s)
{
    struct vg_sched_proc *p;

    if (vg_list_empty(&s->changes))
        return NULL;
    p = vg_list_entry(s->changes.next, struct vg_sched_proc, changed);
    vg_list_remove(&p->changed);
    return p;
}

/* ---- entitlement ---- */

static uint64_t pool_ppm(const struct vg_sched *s, const struct vg_sched_pool *own)
{
    uint64_t all = own->share;
    const struct vg_sched_pool *pool;

    vg_list_for_each(pool, &s->pools, link) {
        if (pool != own && pool->working)
            all += pool->share;
    }
    return 1000000ull * own->share / all;
}

/* The highest class with work has all but the floors of those below. */
static uint64_t class_ppm(const struct vg_sched_pool *pool, unsigned class_,
                          const unsigned floor_ppm[VG_CLASSES])
{
    uint64_t floors = 0;

    for (unsigned c = 0; c < class_; c++) {
        if (pool->level[c].working)
            return floor_ppm[class_];
    }
    for (unsigned c = class_ + 1; c < VG_CLASSES; c++) {
        if (pool->level[c].working)
            floors += floor_ppm[c];
    }
    return 1000000 - floors;
}

unsigned vg_sched_entitled(const struct vg_sched *s, const struct vg_sched_vm *vm)
{
    const struct vg_sched_level *level = vg_sched_level_of(vm);
    unsigned weights = level->weights + (vm->working ? 0 : vm->weight);
    uint64_t ppm = pool_ppm(s, vm->pool) * class_ppm(vm->pool, vm->class_, s->tuning.floor_ppm);

    return (unsigned)(ppm / 1000000 * vm->weight / weights);
}
