/* SPDX-License-Identifier: MIT */
/*
 * Who is next: one that has waited too long; else, of the pool that has had least of
 * its share, a class whose floor is due, or the highest; of it the VM, and of that the
 * process, that has had least.
 */
#include "core.h"

bool vg_sched_wants(const struct vg_sched_proc *p, uint64_t now)
{
    return (p->waiting || p->renew) && now >= p->not_before &&
           (p->state == VG_PROC_WAITING || p->state == VG_PROC_DRAINING);
}

/* ---- classes ---- */

/*
 * A higher class that has work keeps lower ones waiting, also while it only waits for
 * its last kernel: its next call comes soon. When that is about to end it does not.
 */
static bool blocks(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    if (p->state == VG_PROC_RUNNING || p->state == VG_PROC_WAITING)
        return true;
    return p->state == VG_PROC_DRAINING &&
           (p->waiting || !p->flight_ns || p->flight_ns > s->tuning.lead);
}

void vg_sched_rank(struct vg_sched *s)
{
    struct vg_sched_pool *pool;
    struct vg_sched_proc *p;

    vg_list_for_each(pool, &s->pools, link)
        pool->top = VG_CLASSES;
    vg_list_for_each(p, &s->live, live) {
        pool = p->vm->pool;
        if (blocks(s, p) && p->vm->class_ < pool->top)
            pool->top = p->vm->class_;
    }
}

bool vg_sched_floor_due(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return vg_sched_level_of(p->vm)->credit >= (int64_t)s->tuning.floor_quantum;
}

bool vg_sched_below(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    for (unsigned c = 0; c < p->vm->class_; c++) {
        if (s->class_working[c])
            return true;
        if (s->class_attached[c] && s->worked_at[c] && now - s->worked_at[c] < s->tuning.linger)
            return true;
    }
    return false;
}

bool vg_sched_outranked(const struct vg_sched *s, const struct vg_sched_proc *r)
{
    const struct vg_sched_pool *pool, *own = r->vm->pool;

    vg_list_for_each(pool, &s->pools, link) {
        if (pool->top < r->vm->class_ && (pool == own || vg_v_ahead(own->v, pool->v) >= 0))
            return true;
    }
    return false;
}

/*
 * All it has is on the GPU already, below a class that keeps it there: short slices are less than
 * its floor, so it gets a turn in which nobody begins anything. Not beside a kernel that ends for
 * nobody: the turn would not end either.
 */
bool vg_sched_owed_drain(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return p->state == VG_PROC_DRAINING && p->flight_ops && p->vm->class_ > p->vm->pool->top &&
           vg_sched_floor_due(s, p) && !vg_sched_is_crossed(s, p);
}

/* ---- choice ---- */

/* A second place beside a kernel that overruns is for others than its own process. */
static bool may_join(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    return vg_sched_wants(p, now) && !(s->running && vg_sched_overruns(s, p));
}

static struct vg_sched_proc *least_of(const struct vg_sched *s, struct vg_sched_vm *vm,
                                      uint64_t now)
{
    struct vg_sched_proc *p, *best = NULL;

    vg_list_for_each(p, &vm->procs, link) {
        if (may_join(s, p, now) && (!best || vg_v_ahead(best->v, p->v) > 0))
            best = p;
    }
    return best;
}

/* served_at follows the clock while a VM is on the GPU, so it tells how long it has waited. */
static struct vg_sched_proc *aged(struct vg_sched *s, uint64_t now)
{
    struct vg_sched_vm *oldest = NULL;
    struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        struct vg_sched_vm *vm = p->vm;

        if (may_join(s, p, now) && now - vm->served_at >= s->tuning.age &&
            (!oldest || vm->served_at < oldest->served_at))
            oldest = vm;
    }
    return oldest ? least_of(s, oldest, now) : NULL;
}

/* Second places are not for those who are ahead by a turn already. */
static bool eligible(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    if (!may_join(s, p, now))
        return !s->running && vg_sched_owed_drain(s, p);
    if (s->running && vg_sched_debt(p) >= vg_sched_quantum(s, p, now))
        return false;
    return p->vm->class_ <= p->vm->pool->top || vg_sched_floor_due(s, p);
}

/* Both eligible. */
bool vg_sched_before(const struct vg_sched_proc *a, const struct vg_sched_proc *b)
{
    const struct vg_sched_vm *x = a->vm, *y = b->vm;

    if (x->pool != y->pool)
        return vg_v_ahead(y->pool->v, x->pool->v) > 0;
    if (x->class_ != y->class_)     /* a lower class that is eligible has its floor due */
        return x->class_ > y->class_;
    if (x != y)
        return vg_v_ahead(y->v, x->v) > 0;
    return vg_v_ahead(b->v, a->v) > 0;
}

struct vg_sched_proc *vg_sched_pick(struct vg_sched *s, uint64_t now, enum vg_sched_kind *ret_kind)
{
    struct vg_sched_proc *p, *best = aged(s, now);

    *ret_kind = VG_TURN_AGED;
    if (best)
        return best;
    vg_list_for_each(p, &s->live, live) {
        if (eligible(s, p, now) && (!best || vg_sched_before(p, best)))
            best = p;
    }
    if (best)
        *ret_kind = best->vm->class_ > best->vm->pool->top ? VG_TURN_FLOOR : VG_TURN_FAIR;
    return best;
}
