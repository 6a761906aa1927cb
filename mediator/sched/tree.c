/* SPDX-License-Identifier: MIT */
/*
 * The tree pool -> class -> VM -> process: who is in it, who of them has work, and
 * the virtual times that they join at. See core.h.
 */
#include <assert.h>
#include <string.h>

#include "core.h"

void vg_sched_init(struct vg_sched *s, const struct vg_sched_tuning *tuning, uint64_t now)
{
    memset(s, 0, sizeof(*s));
    if (tuning)
        s->tuning = *tuning;
    else
        vg_sched_tuning_init(&s->tuning);
    vg_list_init(&s->pools);
    vg_list_init(&s->all);
    vg_list_init(&s->live);
    vg_list_init(&s->changes);
    s->settled = s->mode_since = now;
    s->lead = s->tuning.lead;
}

void vg_sched_add_pool(struct vg_sched *s, struct vg_sched_pool *pool, unsigned share)
{
    memset(pool, 0, sizeof(*pool));
    vg_list_init(&pool->vms);
    pool->share = share;
    pool->v = s->vmin;
    vg_list_append(&s->pools, &pool->link);
}

void vg_sched_set_share(struct vg_sched *s, struct vg_sched_pool *pool, unsigned share)
{
    (void)s;
    pool->share = share;
}

void vg_sched_remove_pool(struct vg_sched *s, struct vg_sched_pool *pool)
{
    (void)s;
    assert(vg_list_empty(&pool->vms));
    vg_list_remove(&pool->link);
}

void vg_sched_add_vm(struct vg_sched *s, struct vg_sched_vm *vm, struct vg_sched_pool *pool,
                     enum vg_sched_class class_, unsigned weight)
{
    (void)s;
    memset(vm, 0, sizeof(*vm));
    vg_list_init(&vm->procs);
    vm->pool = pool;
    vm->class_ = class_;
    vm->weight = weight;
    vm->v = vg_sched_level_of(vm)->vmin;
    vg_list_append(&pool->vms, &vm->link);
}

void vg_sched_remove_vm(struct vg_sched *s, struct vg_sched_vm *vm)
{
    assert(vg_list_empty(&vm->procs));
    if (s->solo == vm)
        s->solo = NULL;
    vg_list_remove(&vm->link);
}

/* ---- counts ---- */

static void count_working(struct vg_sched *s, struct vg_sched_vm *vm, int by)
{
    struct vg_sched_level *level = vg_sched_level_of(vm);

    level->working += by;
    level->weights += by * (int)vm->weight;
    vm->pool->working += by;
    s->class_working[vm->class_] += by;
    s->working += by;
}

static void count_attached(struct vg_sched *s, struct vg_sched_vm *vm, int by)
{
    s->class_attached[vm->class_] += by;
    s->attached += by;
}

/*
 * Where one that wakes takes its place: where it left, but at most one quantum behind
 * the others. So idleness earns no credit beyond a prompt start, and debts stay.
 */
static uint64_t woken(uint64_t v, uint64_t vmin, uint64_t quantum)
{
    return vg_v_ahead(v, vmin - quantum) > 0 ? v : vmin - quantum;
}

/*
 * Whether it comes from a pause, and not only from thinking what to do next: that is little
 * against what it then uses.
 */
static bool has_paused(const struct vg_sched_vm *vm, const struct vg_sched_proc *p, uint64_t now)
{
    return !vm->left_at || now - vm->left_at > p->burst_ns / 8;
}

static void note_waking(struct vg_sched *s, struct vg_sched_vm *vm, uint64_t now)
{
    if (s->woke != vm)
        s->woke_before = s->woke_at;
    s->woke = vm;
    s->woke_at = vm->woke_at = now;
}

static void join_vm(struct vg_sched *s, struct vg_sched_vm *vm, const struct vg_sched_proc *p,
                    uint64_t now)
{
    struct vg_sched_pool *pool = vm->pool;

    if (!pool->working)
        pool->v = woken(pool->v, s->vmin, vg_v_of(s->tuning.quantum, pool->share));
    vm->v = woken(vm->v, vg_sched_level_of(vm)->vmin, vg_v_of(s->tuning.quantum, vm->weight));
    vg_sched_note_served(s, vm, now);
    if (has_paused(vm, p, now))
        note_waking(s, vm, now);
    count_working(s, vm, 1);
}

void vg_sched_join(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now)
{
    struct vg_sched_vm *vm = p->vm;

    p->v = woken(p->v, vm->vmin, s->tuning.quantum);
    if (vm->working++ == 0)
        join_vm(s, vm, p, now);
}

void vg_sched_leave(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now)
{
    if (--p->vm->working > 0)
        return;
    p->vm->left_at = now;
    count_working(s, p->vm, -1);
}

/* ---- policy ---- */

void vg_sched_set_policy(struct vg_sched *s, struct vg_sched_vm *vm, struct vg_sched_pool *pool,
                         enum vg_sched_class class_, unsigned weight)
{
    bool moves = pool != vm->pool || class_ != vm->class_;

    if (vm->working)
        count_working(s, vm, -1);
    if (vm->attached)
        count_attached(s, vm, -1);
    vg_list_remove(&vm->link);
    vm->pool = pool;
    vm->class_ = class_;
    vm->weight = weight;
    vg_list_append(&pool->vms, &vm->link);
    if (moves)
        vm->v = vg_sched_level_of(vm)->vmin;
    if (vm->attached)
        count_attached(s, vm, 1);
    if (vm->working)
        count_working(s, vm, 1);
}

/* ---- processes ---- */

void vg_sched_add_proc(struct vg_sched *s, struct vg_sched_vm *vm, struct vg_sched_proc *proc,
                       uint64_t now)
{
    memset(proc, 0, sizeof(*proc));
    proc->vm = vm;
    proc->v = vm->vmin;
    proc->told_at = now;
    proc->idle_since = now;
    vg_list_append(&vm->procs, &proc->link);
    vg_list_append(&s->all, &proc->all);
    vg_list_init(&proc->live);
    vg_list_init(&proc->changed);
    if (vm->attached++ == 0)
        count_attached(s, vm, 1);
}

void vg_sched_remove_proc(struct vg_sched *s, struct vg_sched_proc *proc, uint64_t now)
{
    struct vg_sched_vm *vm = proc->vm;

    vg_sched_settle(s, now, VG_SCHED_FOREVER);
    if (proc->state != VG_PROC_IDLE)
        vg_sched_set_state(s, proc, VG_PROC_IDLE, now);
    if (s->on == proc)
        s->on = NULL;
    if (--vm->attached == 0)
        count_attached(s, vm, -1);
    vg_list_remove(&proc->link);
    vg_list_remove(&proc->all);
    vg_list_remove(&proc->live);
    vg_list_remove(&proc->changed);
}

void vg_sched_set_lever(struct vg_sched *s, struct vg_sched_proc *proc, bool works)
{
    (void)s;
    proc->lever = works;
}

/* ---- virtual time ---- */

static void raise_to(uint64_t *vmin, uint64_t v)
{
    if (vg_v_ahead(v, *vmin) > 0)
        *vmin = v;
}

static void limit_debt(uint64_t *v, uint64_t vmin, uint64_t debt)
{
    if (vg_v_ahead(*v, vmin + debt) > 0)
        *v = vmin + debt;
}

static void advance_vm(struct vg_sched *s, struct vg_sched_vm *vm)
{
    struct vg_sched_proc *p, *least = NULL;

    vg_list_for_each(p, &vm->procs, link) {
        if (p->state != VG_PROC_IDLE && (!least || vg_v_ahead(least->v, p->v) > 0))
            least = p;
    }
    raise_to(&vm->vmin, least->v);
    vg_list_for_each(p, &vm->procs, link)
        limit_debt(&p->v, vm->vmin, s->tuning.debt);
}

static void advance_level(struct vg_sched *s, struct vg_sched_pool *pool, unsigned class_)
{
    struct vg_sched_level *level = &pool->level[class_];
    struct vg_sched_vm *vm, *least = NULL;

    vg_list_for_each(vm, &pool->vms, link) {
        if (vm->class_ != class_ || !vm->working)
            continue;
        advance_vm(s, vm);
        if (!least || vg_v_ahead(least->v, vm->v) > 0)
            least = vm;
    }
    raise_to(&level->vmin, least->v);
    vg_list_for_each(vm, &pool->vms, link) {
        if (vm->class_ == class_)
            limit_debt(&vm->v, level->vmin, vg_v_of(s->tuning.debt, vm->weight));
    }
}

void vg_sched_advance(struct vg_sched *s)
{
    struct vg_sched_pool *pool, *least = NULL;

    vg_list_for_each(pool, &s->pools, link) {
        if (!pool->working)
            continue;
        for (unsigned c = 0; c < VG_CLASSES; c++) {
            if (pool->level[c].working)
                advance_level(s, pool, c);
        }
        if (!least || vg_v_ahead(least->v, pool->v) > 0)
            least = pool;
    }
    if (!least)
        return;
    raise_to(&s->vmin, least->v);
    vg_list_for_each(pool, &s->pools, link)
        limit_debt(&pool->v, s->vmin, vg_v_of(s->tuning.debt, pool->share));
}
