/* SPDX-License-Identifier: MIT */
/*
 * Who pays for which GPU time. Every moment is given out once: to the one process
 * that was on the GPU, or by their slices to the several that were. So all charges
 * together never exceed the time that has passed.
 */
#include "core.h"

typedef unsigned __int128 u128;

#define SLICE_UNIT 1024u    /* ns: the hardware counts slices in that, and calls it a microsecond */

static uint64_t part(uint64_t x, uint64_t num, uint64_t den)
{
    return (uint64_t)((u128)x * num / den);
}

/* ---- reports ---- */

static void add_span(struct vg_sched_proc *p, uint64_t t0, uint64_t t1, uint64_t busy)
{
    struct vg_sched_span *last = p->spans ? &p->span[p->spans - 1] : NULL;

    if (p->spans == VG_SCHED_PENDING) {
        last->t1 = t1;
        last->busy += busy;
    } else {
        p->span[p->spans++] = (struct vg_sched_span){ t0, t1, busy };
    }
}

/* Time that is settled already was charged by what was known then. */
static void take_span(struct vg_sched *s, struct vg_sched_proc *p,
                      const struct vg_sched_report *r, uint64_t now)
{
    uint64_t t1 = vg_min64(r->t1, now);
    uint64_t t0 = vg_max64(r->t0, p->told_at);
    uint64_t busy;

    if (t1 <= t0)
        return;
    p->told_at = t1;
    busy = vg_min64(r->busy_ns, t1 - t0);
    p->turn_told += busy;
    if (t1 <= s->settled)
        return;
    if (t0 < s->settled) {
        busy = part(busy, t1 - s->settled, t1 - t0);
        t0 = s->settled;
    }
    add_span(p, t0, t1, busy);
}

/*
 * How long a program thinks between its last result and its next call, as a moving
 * mean that one long pause does not spoil; and how much of the GPU it uses in between.
 */
static void learn_think(struct vg_sched_proc *p, const struct vg_sched_report *r, uint64_t limit)
{
    uint64_t began = r->t1 - vg_min64(r->busy_ns, r->t1);

    if (!p->idle_since || !(r->waiting || r->flight_ops) || began <= p->idle_since)
        return;
    p->think_ns = (3 * p->think_ns + vg_min64(began - p->idle_since, 2 * limit)) / 4;
    p->burst_ns = (3 * p->burst_ns + p->charged_ns - p->burst_from) / 4;
    p->burst_from = p->charged_ns;
}

/* Who says again and again that he is idle since just now, and has done little, keeps nobody
 * waiting. */
static void note_thought(struct vg_sched_proc *p, const struct vg_sched_report *r,
                         uint64_t idle_since)
{
    if (!idle_since || !p->thinks_since || r->busy_ns > p->burst_ns / 2)
        p->thinks_since = idle_since;
}

/*
 * An executor tells by the clock how long ops take; beside others that is more than they use. What
 * was charged from one end to the next is less exact for each, and right for all.
 */
static void learn_op(struct vg_sched_proc *p, uint64_t ops)
{
    uint64_t took = p->stuck_ns / ops;

    p->op_ns = p->op_ns ? (p->op_ns + took) / 2 : took;
    p->stuck_ns = 0;
}

/* When its turn reached the GPU, and when nothing of it was there any more. */
static void note_ends(struct vg_sched *s, struct vg_sched_proc *p, const struct vg_sched_report *r,
                      uint64_t now)
{
    uint64_t t1 = vg_min64(r->t1, now), t0 = vg_min64(r->t0, t1);
    uint64_t busy = vg_min64(r->busy_ns, t1 - t0);

    if (p->handed && !p->began_at && r->flight_ops)
        p->began_at = t1 - busy;
    if (busy && !r->flight_ops)
        s->ended_at = vg_max64(s->ended_at, t0 + busy);
}

void vg_sched_report(struct vg_sched *s, struct vg_sched_proc *p, const struct vg_sched_report *r,
                     uint64_t now)
{
    bool idle = !r->waiting && !r->flight_ops;
    uint64_t idle_since = 0;

    note_ends(s, p, r, now);
    take_span(s, p, r, now);
    if (idle)
        idle_since = r->idle_since ? vg_min64(r->idle_since, now) : now;
    learn_think(p, r, s->tuning.think_most);
    note_thought(p, r, idle_since);
    p->waiting = r->waiting;
    p->flight_ops = r->flight_ops;
    p->flight_ns = r->flight_ns;
    if (p->flight_ns)
        p->turn_expected = p->turn_used + p->flight_ns;
    p->idle_since = idle_since;
    p->used_turn = r->used_turn;
    if (r->ops)
        learn_op(p, r->ops);
    if (vg_list_empty(&p->live))
        vg_list_append(&s->live, &p->live);
}

/* ---- paying ---- */

static void advance(struct vg_sched_proc *p, uint64_t ns)
{
    p->v += ns;
    p->vm->v += vg_v_of(ns, p->vm->weight);
    p->vm->pool->v += vg_v_of(ns, p->vm->pool->share);
}

/* The floor of each class with work grows by all time of the pool and shrinks by its own. */
static void pay_floors(struct vg_sched *s, struct vg_sched_pool *pool, unsigned class_,
                       uint64_t ns)
{
    const struct vg_sched_tuning *t = &s->tuning;

    for (unsigned c = 0; c < VG_CLASSES; c++) {
        struct vg_sched_level *level = &pool->level[c];
        int64_t most = 4 * (int64_t)t->floor_quantum;
        int64_t least = -(int64_t)part(t->age, t->floor_ppm[c], 1000000);

        if (level->working)
            level->credit += (int64_t)part(ns, t->floor_ppm[c], 1000000);
        if (c == class_)
            level->credit -= (int64_t)ns;
        if (level->credit > most)
            level->credit = most;
        if (level->credit < least)
            level->credit = least;
    }
}

/*
 * What nobody pays of it: the hardware's switch to a turn that was used. Who has many short ones
 * of his own will gets nothing.
 */
static uint64_t free_of(const struct vg_sched_proc *p, uint64_t ns)
{
    return p->turn_used >= p->budget / 2 ? vg_min64(ns, p->turn_free) : 0;
}

static void charge(struct vg_sched *s, struct vg_sched_proc *p, uint64_t ns)
{
    uint64_t free = free_of(p, ns);

    p->turn_free -= free;
    p->vm->free_ns += free;
    advance(p, ns - free);
    pay_floors(s, p->vm->pool, p->vm->class_, ns);
    p->charged_ns += ns;
    p->vm->charged_ns += ns;
    p->stuck_ns += ns;
    p->turn_used += ns;
    p->overrun += ns;
    s->busy_ns += ns;
    if (ns)
        p->backoff = 0;
}

/*
 * One that has a turn, or keeps its place, and leaves the GPU idle pays for that as well,
 * beyond the time it took to begin and an eighth of what it used: else slow callers would
 * cost the others time and not themselves.
 */
static void charge_gap(struct vg_sched *s, uint64_t from, uint64_t ns)
{
    struct vg_sched_proc *p;

    if (s->mode != VG_SCHED_SHARED)
        return;
    vg_list_for_each(p, &s->live, live) {
        bool thinks = p->state == VG_PROC_DRAINING && !vg_sched_has_work(p);

        if ((p->state != VG_PROC_RUNNING && !thinks) || p->turn_at > from)
            continue;
        p->turn_gap += ns;
        if (p->turn_gap > s->tuning.hold + p->turn_used / 8) {
            p->turn_gap -= ns;
            advance(p, ns);
        }
        return;
    }
}

/* ---- settling ---- */

unsigned vg_sched_slice(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return p->lever && p->grant.slice_us ? p->grant.slice_us : s->tuning.slice_found_us;
}

/* Has work in flight that it has not told of since; then it was busy. */
static bool unheard(const struct vg_sched_proc *p)
{
    return !p->spans && p->flight_ops;
}

/* How far all who may use the GPU have told; who is later than `lag` is not waited for. */
static uint64_t horizon(const struct vg_sched *s, uint64_t now, uint64_t lag)
{
    uint64_t until = now, least = now > lag ? now - lag : 0;
    struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        if (p->state == VG_PROC_RUNNING || p->flight_ops)
            until = vg_min64(until, p->told_at);
    }
    return vg_max64(until, least);
}

/* What the process used of [from, to], which no edge divides. */
static uint64_t use_in(const struct vg_sched_proc *p, uint64_t from, uint64_t to)
{
    const struct vg_sched_span *span = &p->span[0];

    if (p->spans)
        return span->t0 > from ? 0 : part(span->busy, to - from, span->t1 - span->t0);
    return unheard(p) && p->told_at <= from ? to - from : 0;
}

static void consume(struct vg_sched_proc *p, uint64_t to, uint64_t used)
{
    struct vg_sched_span *span = &p->span[0];

    if (!p->spans || span->t0 >= to)
        return;
    span->busy -= used;
    span->t0 = to;
    if (span->t1 > to)
        return;
    p->spans--;
    for (unsigned i = 0; i < p->spans; i++)
        p->span[i] = p->span[i + 1];
}

/* The next moment after `from` at which somebody's use may change. */
static uint64_t next_edge(const struct vg_sched *s, uint64_t from, uint64_t until)
{
    struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        for (unsigned i = 0; i < p->spans; i++) {
            if (p->span[i].t0 > from)
                until = vg_min64(until, p->span[i].t0);
            if (p->span[i].t1 > from)
                until = vg_min64(until, p->span[i].t1);
        }
        if (unheard(p) && p->told_at > from)
            until = vg_min64(until, p->told_at);
    }
    return until;
}

/* Notes what each used of the segment; returns how many did, and the last of them. */
static unsigned note_use(struct vg_sched *s, uint64_t from, uint64_t to,
                         struct vg_sched_proc **ret_last)
{
    unsigned users = 0;
    struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        p->use = use_in(p, from, to);
        consume(p, to, p->use);
        if (p->use) {
            users++;
            *ret_last = p;
        }
    }
    return users;
}

/* In a round after `p` (NULL, or live), the next that has use left; there is one. */
static struct vg_sched_proc *next_user(struct vg_sched *s, const struct vg_sched_proc *p)
{
    const struct vg_list *at = p && !vg_list_empty(&p->live) ? &p->live : &s->live;
    struct vg_sched_proc *q;

    do {
        at = at->next;
        q = vg_list_entry(at, struct vg_sched_proc, live);
    } while (at == &s->live || !q->use);
    return q;
}

static uint64_t slice_ns(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return (uint64_t)vg_sched_slice(s, p) * SLICE_UNIT;
}

/* A switch to it once the other has drained is not of its slice. */
static void put_on(struct vg_sched *s, struct vg_sched_proc *p)
{
    bool clean = s->on && s->on != p && !s->on->use;

    s->on = p;
    s->on_left = slice_ns(s, p) + (clean ? s->tuning.handover : 0);
}

/*
 * It had the GPU to itself. The hardware counts slices all the same, so that one who comes gets in when
 * the present one ends, and not a whole one later: what is left of a turn may wait for him that long.
 */
static void pass_slices(struct vg_sched *s, struct vg_sched_proc *p, uint64_t ns)
{
    uint64_t slice = slice_ns(s, p);

    if (s->on != p)
        put_on(s, p);
    s->on_left = vg_min64(s->on_left, slice + s->tuning.handover);
    s->on_left = ns < s->on_left ? s->on_left - ns : slice - (ns - s->on_left) % slice;
}

/*
 * Several had work: they are charged as the hardware serves them, each in its turn for
 * its slice. Nobody tells us who was on the GPU at what moment; over a few rounds it
 * comes to the same.
 */
static void charge_round(struct vg_sched *s, uint64_t len, unsigned users)
{
    while (len && users) {
        struct vg_sched_proc *p;
        uint64_t ns;

        if (!s->on || !s->on->use || !s->on_left)
            put_on(s, next_user(s, s->on));
        p = s->on;
        s->on_left = vg_min64(s->on_left, slice_ns(s, p) + s->tuning.handover);
        ns = vg_min64(vg_min64(p->use, s->on_left), len);
        charge(s, p, ns);
        p->use -= ns;
        s->on_left -= ns;
        len -= ns;
        users -= !p->use;
    }
}

static void settle_segment(struct vg_sched *s, uint64_t from, uint64_t to)
{
    struct vg_sched_proc *last = NULL;
    unsigned users = note_use(s, from, to, &last);

    if (users > 1) {
        charge_round(s, to - from, users);
    } else if (users) {
        pass_slices(s, last, last->use);
        charge(s, last, last->use);
    } else {
        charge_gap(s, from, to - from);
        if (s->on)
            put_on(s, s->on);
    }
}

void vg_sched_settle(struct vg_sched *s, uint64_t now, uint64_t lag)
{
    uint64_t until = horizon(s, now, lag);

    while (s->settled < until) {
        uint64_t to = next_edge(s, s->settled, until);

        settle_segment(s, s->settled, to);
        s->settled = to;
    }
}
