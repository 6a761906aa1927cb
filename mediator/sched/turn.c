/* SPDX-License-Identifier: MIT */
/* Turns of one process: how long, when they begin, when they are over. */
#include <assert.h>

#include "core.h"

#define CHECK_NS  20000u    /* no timer is set nearer than that */
#define CHARGE_NS 200000u   /* nor one that only waits for charges, which may come slower */
#define LEAD_STEP_NS 1000u  /* the lead follows hand-overs by that */
#define LONG_NS   2000000u  /* nor for a long kernel, whose end rings */

/* ---- states ---- */

#define TO(state) (1u << VG_PROC_##state)

static const unsigned legal[VG_PROC_STATES] = {
    [VG_PROC_IDLE]     = TO(WAITING) | TO(RUNNING) | TO(DRAINING),
    [VG_PROC_WAITING]  = TO(IDLE) | TO(RUNNING) | TO(DRAINING),
    [VG_PROC_RUNNING]  = TO(IDLE) | TO(WAITING) | TO(DRAINING),
    [VG_PROC_DRAINING] = TO(IDLE) | TO(WAITING) | TO(RUNNING),
};

void vg_sched_set_state(struct vg_sched *s, struct vg_sched_proc *p, enum vg_sched_state state,
                        uint64_t now)
{
    assert(legal[p->state] & (1u << state));
    if (p->state == VG_PROC_RUNNING)
        s->running--;
    if (state == VG_PROC_RUNNING)
        s->running++;
    if (p->state == VG_PROC_IDLE)
        vg_sched_join(s, p, now);
    if (state == VG_PROC_DRAINING && p->state != VG_PROC_DRAINING)
        p->drain_at = now;
    p->state = state;
    if (state == VG_PROC_IDLE)
        vg_sched_leave(s, p, now);
}

/*
 * For how long one that has nothing to do is taken to be thinking, and not idle: it keeps its place,
 * and nobody begins whose turn comes after its own. A program that waits for each long kernel would
 * else lose half of the GPU to one that does not. Only if it comes back soon, as far as it usually
 * does, against what it then uses.
 */
static uint64_t think_time(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    uint64_t worth = vg_min64(p->burst_ns / 16, s->tuning.think_most);
    uint64_t most = p->think_ns + p->think_ns / 2;

    return most && most <= worth ? most : 0;
}

bool vg_sched_thinks(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    return p->state != VG_PROC_IDLE && !vg_sched_has_work(p) && p->thinks_since &&
           now - p->thinks_since < think_time(s, p);
}

uint64_t vg_sched_think_end(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return p->thinks_since + think_time(s, p);
}

/* Where a process belongs that has no turn. */
static enum vg_sched_state without_turn(const struct vg_sched *s, const struct vg_sched_proc *p,
                                        uint64_t now)
{
    if (p->flight_ops || vg_sched_thinks(s, p, now))
        return VG_PROC_DRAINING;
    return p->waiting ? VG_PROC_WAITING : VG_PROC_IDLE;
}

static void start_clock(const struct vg_sched *s, struct vg_sched_proc *p, enum vg_sched_kind kind,
                        uint64_t now)
{
    p->kind = kind;
    p->lead = s->lead;
    p->handed = false;
    p->began_at = 0;
    p->turn_at = now;
    p->turn_used = p->turn_told = p->turn_gap = p->turn_expected = p->turn_free = 0;
}

/* It had nothing to do, and its gate may have stood open meanwhile. */
static void wake(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now)
{
    if (p->grant.mode == VG_GRANT_CLOSED) {
        vg_sched_set_state(s, p, without_turn(s, p, now), now);
        return;
    }
    vg_sched_set_state(s, p, VG_PROC_RUNNING, now);
    p->budget = p->grant.budget_ns;
    start_clock(s, p, p->budget == VG_SCHED_FOREVER ? VG_TURN_SOLO : VG_TURN_FAIR, now);
}

/*
 * A turn without work on the GPU is over: after a moment, or, where calls that need none of it
 * come without a pause (allocations), after what a short turn takes. They cost no GPU time, so
 * nothing else would end it.
 */
static bool is_idle_turn(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t hold,
                         uint64_t now)
{
    if (vg_sched_has_work(p))
        return false;
    return now - p->idle_since >= hold ||
           (p->thinks_since && now - p->thinks_since >= s->tuning.quantum_min &&
            now - p->turn_at >= s->tuning.quantum_min);
}

static bool others_in_flight(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    const struct vg_sched_proc *q;

    vg_list_for_each(q, &s->live, live) {
        if (q != p && q->flight_ops)
            return true;
    }
    return false;
}

/*
 * The rest of a turn shall cover what it takes until the next has reached the GPU: 39 times in 40,
 * as hand-overs differ, and too early costs little, as the hardware first ends what is there. What
 * takes longer than the longest that is hidden has other reasons, and changes nothing.
 */
static void learn_lead(struct vg_sched *s, struct vg_sched_proc *p)
{
    const struct vg_sched_tuning *t = &s->tuning;
    uint64_t late = p->began_at - vg_min64(p->began_at, s->ended_at);

    p->handed = false;
    if (others_in_flight(s, p))
        late = 0;
    if (late > t->lead_most)
        return;
    s->lead = vg_clamp64(late ? s->lead + 39 * LEAD_STEP_NS : s->lead - LEAD_STEP_NS, t->lead,
                         t->lead_most);
}

static void observe(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now)
{
    uint64_t hold = vg_sched_takes_turns(s) ? p->grant.hold_ns : s->tuning.hold;

    if (p->began_at && p->handed)
        learn_lead(s, p);
    vg_sched_note_cut(s, p, now);
    if (p->state == VG_PROC_IDLE) {
        if (vg_sched_has_work(p))
            wake(s, p, now);
    } else if (p->state != VG_PROC_RUNNING) {
        if (p->state != without_turn(s, p, now))
            vg_sched_set_state(s, p, without_turn(s, p, now), now);
    } else if (is_idle_turn(s, p, hold, now)) {
        vg_sched_set_state(s, p, without_turn(s, p, now), now);
    }
    if (p->state != VG_PROC_IDLE)
        s->worked_at[p->vm->class_] = now;
    if (p->state == VG_PROC_RUNNING || p->state == VG_PROC_DRAINING)
        vg_sched_note_served(s, p->vm, now);
}

void vg_sched_observe(struct vg_sched *s, uint64_t now)
{
    struct vg_sched_proc *p, *next;

    vg_list_for_each_safe(p, next, &s->live, live) {
        observe(s, p, now);
        if (p->state != VG_PROC_IDLE || p->spans)
            continue;
        vg_list_remove(&p->live);
        /* Rounds begin behind it: they must not begin outside of the list. */
        if (s->on == p)
            s->on = NULL;
    }
}

/* ---- length ---- */

/* Many VMs: shorter turns, so that each has its turn within a cycle. */
static uint64_t mean_quantum(const struct vg_sched *s)
{
    const struct vg_sched_tuning *t = &s->tuning;

    return s->working ? vg_clamp64(t->cycle / s->working, t->quantum / 2, t->quantum) : t->quantum;
}

/* By weight against the mean of the class, so that all come round equally often. */
static uint64_t weighted(const struct vg_sched *s, const struct vg_sched_vm *vm)
{
    const struct vg_sched_level *level = vg_sched_level_of(vm);

    if (!level->weights)
        return s->tuning.quantum;
    return mean_quantum(s) * vm->weight * level->working / level->weights;
}

uint64_t vg_sched_quantum(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    const struct vg_sched_tuning *t = &s->tuning;
    uint64_t q = weighted(s, p->vm);

    if (p->vm->working > 1)
        q = vg_max64(q / p->vm->working, s->mode == VG_SCHED_CROWD ? q / 8 : q / 2);
    if (vg_sched_below(s, p, now))
        q = vg_min64(q, t->quantum_lower);
    return vg_clamp64(q, t->quantum_min, t->quantum_max);
}

/*
 * How early the next turn begins. Not before the end of one that interrupts a higher class, nor of
 * one with short slices: what is left of it would be cut in two, or in many, which costs more than
 * it saves.
 */
uint64_t vg_sched_lead(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    bool whole = p->kind == VG_TURN_FLOOR || p->kind == VG_TURN_AGED || vg_sched_is_cut_short(s, p);

    return whole ? 0 : p->lead;
}

/* ---- begin and end ---- */

/*
 * The hardware's switch to it is on its own time, and would cost short turns a larger part than long
 * ones: so nobody pays for that.
 */
static uint64_t handover(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return s->mode == VG_SCHED_SHARED && s->on != p ? s->tuning.handover : 0;
}

/* Another has just used up its turn, and did not wait for the end of what it had in flight. */
static bool is_handed(const struct vg_sched *s, const struct vg_sched_proc *p,
                      enum vg_sched_kind kind)
{
    const struct vg_sched_proc *q;

    if (kind != VG_TURN_FAIR || s->mode != VG_SCHED_SHARED || p->flight_ops)
        return false;
    vg_list_for_each(q, &s->live, live) {
        if (q != p && q->renew && vg_sched_lead(s, q))
            return true;
    }
    return false;
}

void vg_sched_begin(struct vg_sched *s, struct vg_sched_proc *p, enum vg_sched_kind kind,
                    uint64_t now)
{
    vg_sched_set_state(s, p, VG_PROC_RUNNING, now);
    if (kind == VG_TURN_SOLO)
        p->budget = VG_SCHED_FOREVER;
    else if (kind == VG_TURN_FAIR)
        p->budget = vg_sched_shifted(s, p, vg_sched_quantum(s, p, now)) + handover(s, p);
    else
        p->budget = s->tuning.floor_quantum;
    p->fresh = true;
    p->renew = false;
    vg_sched_note_served(s, p->vm, now);
    start_clock(s, p, kind, now);
    p->handed = is_handed(s, p, kind);
    p->turn_free = kind == VG_TURN_FAIR ? handover(s, p) : 0;
    if (kind != VG_TURN_SOLO)
        s->turns++;
}

void vg_sched_end(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now)
{
    p->overrun = 0;
    p->renew = vg_sched_has_work(p);
    p->drains_soon = p->flight_ns && p->flight_ns <= s->tuning.lead_most;
    vg_sched_set_state(s, p, without_turn(s, p, now), now);
}

/* Left unused: its executor is busy elsewhere. It is asked again later, and later still. */
static bool stalled(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now)
{
    if (p->flight_ops || p->turn_used || now < p->turn_at + s->tuning.stall)
        return false;
    p->backoff = vg_clamp64(2 * p->backoff, s->tuning.stall, 8 * s->tuning.stall);
    p->not_before = now + p->backoff;
    return true;
}

static bool spent(const struct vg_sched_proc *p)
{
    return p->used_turn == p->grant.turn && !p->fresh;
}

/* When its last op leaves but `lead` of work on the GPU, as far as it can tell. */
static uint64_t nearly_drained(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    uint64_t lead = vg_sched_lead(s, p);

    return p->told_at + (p->flight_ns > lead ? p->flight_ns - lead : 0);
}

/* Somebody wants the GPU whom its class does not keep waiting. */
static bool peer_waits(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    const struct vg_sched_proc *q;

    vg_list_for_each(q, &s->live, live) {
        if (vg_sched_wants(q, now) &&
            (q->vm->pool != p->vm->pool || q->vm->class_ <= p->vm->class_))
            return true;
    }
    return false;
}

static bool floor_waits(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    const struct vg_sched_proc *q;

    vg_list_for_each(q, &s->live, live) {
        if (q->vm->pool == p->vm->pool && q->vm->class_ > p->vm->class_ &&
            ((vg_sched_wants(q, now) && vg_sched_floor_due(s, q)) || vg_sched_owed_drain(s, q)))
            return true;
    }
    return false;
}

/* Somebody waits who had nothing to do a moment ago: he has not had his share, and may be in a hurry. */
static bool newcomer_waits(const struct vg_sched *s, uint64_t now)
{
    const struct vg_sched_proc *q;

    vg_list_for_each(q, &s->live, live) {
        if (vg_sched_wants(q, now) && now - q->vm->woke_at < s->tuning.newcomer)
            return true;
    }
    return false;
}

/*
 * How far an end may be that is waited for. Beside another context each slice ends with a
 * switch, and nobody can tell whose time is whose; waiting is repaid.
 */
static uint64_t near(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    if (p->flight_ns <= s->tuning.quantum_min || vg_sched_beside_overrun(s, p) || vg_sched_is_hog(s, p) ||
        newcomer_waits(s, now))
        return s->tuning.quantum_min;
    return s->tuning.kernel_long;
}

/*
 * A long kernel that is waited for takes longer than the one before it did: not by much. Nor by much
 * more than the longest that is waited for, as one that was to be longer may have ended at once, with
 * another behind it that does not end.
 */
static bool overdue(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    uint64_t expected = vg_min64(p->turn_expected, p->budget + s->tuning.kernel_long);

    return p->flight_ops && !p->flight_ns && !vg_sched_is_hog(s, p) &&
           expected > p->budget + s->tuning.quantum_min &&
           p->turn_used < expected + expected / 4 && !newcomer_waits(s, now);
}

/*
 * Its executor says that something of it is on the GPU, and that it uses nothing: a guest may have taken
 * it over. It pays for the time (charge_gap), but shall not keep it.
 */
static bool is_claimed(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    uint64_t held = now - p->turn_at;

    return p->flight_ops && held >= 2 * s->tuning.kernel_long && 2 * p->turn_told < held;
}

/*
 * An end that is known and near is waited for; and nothing of a higher class is cut in
 * two to pay a lower one its floor, unless it runs on and on.
 */
static uint64_t grace(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    if (p->kind == VG_TURN_FAIR && floor_waits(s, p, now))
        return s->tuning.patience;
    if (!p->flight_ns || p->flight_ns > near(s, p, now))
        return 0;
    return p->flight_ns > s->tuning.quantum_min ? s->tuning.kernel_long : p->flight_ns + p->lead;
}

bool vg_sched_over(struct vg_sched *s, struct vg_sched_proc *p, uint64_t now)
{
    if (!vg_sched_has_work(p) && !peer_waits(s, p, now))
        return false;       /* it thinks; how long that may take is looked at elsewhere */
    if (is_claimed(s, p, now))
        return true;
    if (overdue(s, p, now))
        return false;
    if (p->turn_used >= p->budget && p->turn_used - p->budget >= grace(s, p, now))
        return true;
    if (spent(p) && now >= nearly_drained(s, p))
        return true;
    return p->waiting && stalled(s, p, now);
}

uint64_t vg_sched_turn_check(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    uint64_t at = now + s->tuning.quantum_max;

    if (p->flight_ops && p->budget != VG_SCHED_FOREVER) {
        uint64_t left = p->budget - vg_min64(p->budget, p->turn_used);

        if (!left && p->flight_ns > s->tuning.quantum_min)
            left = vg_min64(p->flight_ns / 2, LONG_NS);
        at = now + vg_max64(left, CHARGE_NS);
    }
    if (p->flight_ops && spent(p))
        at = vg_min64(at, nearly_drained(s, p));
    if (!vg_sched_has_work(p))
        at = vg_min64(at, p->idle_since + p->grant.hold_ns);
    else if (!p->flight_ops && !p->turn_used)
        at = vg_min64(at, p->turn_at + s->tuning.stall);
    return vg_max64(at, now + CHECK_NS);
}

/* ---- beside an overrun ---- */

/* What is in flight will still use so much, as far as is known; 0: nothing, or unknown. */
static uint64_t left_of(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    uint64_t all = p->flight_ops * p->op_ns;

    if (!p->flight_ops || p->op_ns < s->tuning.quantum_min)
        return p->flight_ops ? p->flight_ns : 0;
    return all > p->stuck_ns ? all - p->stuck_ns : 0;
}

/* Less than that is left: it costs less to begin beside it than to wait. */
static uint64_t little(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return vg_sched_is_cut_short(s, p) ? 2 * CHECK_NS : vg_max64(s->tuning.lead_most, s->tuning.quantum_min);
}

/*
 * What is known of it may be wrong, by a kernel that is now much longer than it was or by an executor
 * that a guest has taken over: nobody waits for it longer than for the longest that is waited for.
 */
static bool drains_in_time(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    return p->state == VG_PROC_DRAINING && now - p->drain_at < 2 * s->tuning.kernel_long;
}

/*
 * While the VM waited the GPU was used for half of the time at least: who only says that he has
 * something there keeps nobody from it.
 */
static bool gpu_was_used(const struct vg_sched *s, const struct vg_sched_vm *vm, uint64_t now)
{
    uint64_t waited = now - vm->served_at, used = s->busy_ns - vm->served_busy;

    return 2 * used + 2 * s->tuning.quantum_min >= waited;
}

/*
 * q's kernel runs beside the turns of others and has got less than its part that way: it has the
 * GPU to itself until it is no longer behind p by a turn.
 */
static bool is_owed_time(const struct vg_sched *s, const struct vg_sched_proc *q,
                         const struct vg_sched_proc *p, uint64_t now)
{
    if (q->vm == p->vm || vg_sched_level_of(q->vm) != vg_sched_level_of(p->vm) ||
        !vg_sched_overruns(s, q) || now - p->vm->served_at >= 2 * s->tuning.kernel_long ||
        !gpu_was_used(s, p->vm, now))
        return false;
    return vg_v_ahead(p->vm->v, q->vm->v + vg_v_of(s->tuning.quantum, q->vm->weight)) > 0;
}

bool vg_sched_must_wait(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t now)
{
    const struct vg_sched_proc *q;

    if (now - p->vm->woke_at < s->tuning.newcomer)
        return false;
    vg_list_for_each(q, &s->live, live) {
        uint64_t left = left_of(s, q);

        if (q != p && is_owed_time(s, q, p, now))
            return true;
        if (q != p && !vg_sched_is_hog(s, q) && drains_in_time(s, q, now) && left > little(s, q) &&
            left <= s->tuning.kernel_long &&
            (q->vm->pool != p->vm->pool || q->vm->class_ == p->vm->class_))
            return true;
    }
    return false;
}

uint64_t vg_sched_drain_check(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    uint64_t left = left_of(s, p);

    return left ? p->told_at + left : VG_SCHED_FOREVER;
}

bool vg_sched_overruns(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return p->state == VG_PROC_DRAINING && p->flight_ops && p->overrun >= 2 * s->tuning.window;
}

/* What is of a lower class gives way within its short slice: beside it, time is one's own. */
bool vg_sched_beside_overrun(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    const struct vg_sched_proc *q;

    vg_list_for_each(q, &s->live, live) {
        if (vg_sched_overruns(s, q) && !(q->vm->class_ > p->vm->class_ && vg_sched_is_cut_short(s, q)))
            return true;
    }
    return false;
}

bool vg_sched_is_crossed(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    const struct vg_sched_proc *q;

    vg_list_for_each(q, &s->live, live) {
        if (q != p && q->vm->class_ <= p->vm->class_ && vg_sched_overruns(s, q))
            return true;
    }
    return false;
}

uint64_t vg_sched_debt(const struct vg_sched_proc *p)
{
    int64_t ahead = vg_v_ahead(p->vm->v, vg_sched_level_of(p->vm)->vmin);

    return ahead > 0 ? (uint64_t)ahead * p->vm->weight / VG_V_ONE : 0;
}

bool vg_sched_owes(const struct vg_sched *s, const struct vg_sched_vm *vm)
{
    return s->attached && (vg_v_ahead(vm->v, vg_sched_level_of(vm)->vmin) > 0 ||
                           vg_v_ahead(vm->pool->v, s->vmin) > 0);
}

/* Another VM has lately come from a pause: slices that it would have to wait for are none of its making. */
static bool newcomer_about(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    uint64_t at = s->woke == p->vm ? s->woke_before : s->woke_at;

    return at && s->settled - vg_min64(s->settled, at) < s->tuning.newcomer;
}

bool vg_sched_is_long(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return p->lever && p->state != VG_PROC_IDLE && p->op_ns >= s->tuning.hog_op &&
           s->mode == VG_SCHED_SHARED && !newcomer_about(s, p);
}

bool vg_sched_is_hog(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    return p->lever && p->state != VG_PROC_IDLE && p->flight_ops &&
           (p->stuck_ns >= s->tuning.hog || vg_sched_is_long(s, p));
}

/* Turns that pay a floor, slowly, beside a kernel that overruns: they need not keep others waiting. */
static unsigned crossed_floors(const struct vg_sched *s)
{
    unsigned n = 0;
    const struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live)
        n += p->state == VG_PROC_RUNNING && p->kind == VG_TURN_FLOOR && vg_sched_is_crossed(s, p);
    return n;
}

/*
 * One kernel that runs on and on gets what the hardware gives it: half, beside one
 * other. Where slices cannot be told apart, more others run at once, so that its part
 * becomes what it is entitled to.
 */
unsigned vg_sched_allowed(const struct vg_sched *s)
{
    unsigned most = s->mode == VG_SCHED_CROWD ? s->tuning.crowd : 1;
    struct vg_sched_proc *p;

    vg_list_for_each(p, &s->live, live) {
        unsigned entitled, beside;

        if (!vg_sched_overruns(s, p) || vg_sched_is_cut_short(s, p) || vg_sched_is_hog(s, p) ||
            p->overrun < s->tuning.quantum ||
            vg_sched_debt(p) < s->tuning.quantum)
            continue;
        entitled = vg_sched_entitled(s, p->vm);
        beside = entitled ? (1000000 - entitled + entitled / 2) / entitled : 8;
        if (beside > most)
            most = beside < 8 ? beside : 8;
    }
    return most + crossed_floors(s);
}
