/* SPDX-License-Identifier: MIT */
/* A simulated executor and the program behind it: calls, gate, meter. See sim.h. */
#include "sim.h"

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- the program ---- */

/* While a program rests, its next call waits for the end of the rest. */
static uint64_t when_on(const struct sim_proc *p, uint64_t at)
{
    uint64_t cycle = p->load.on + p->load.off, phase;

    if (!p->load.off || !p->load.on)
        return at;
    phase = (at - p->load.start) % cycle;
    return phase < p->load.on ? at : at + cycle - phase;
}

static void next_call(struct sim *m, unsigned i, uint64_t at)
{
    sim_post(m, when_on(&m->proc[i], at), SIM_ARRIVE, i);
}

static uint64_t op_length(struct sim *m, const struct sim_proc *p)
{
    uint64_t by = p->load.op * p->load.jitter / 100;

    if (p->load.endless)
        return 100000 * SIM_S;
    return by ? sim_between(m, p->load.op - by, p->load.op + by) : p->load.op;
}

void sim_exec_begin(struct sim *m, unsigned i)
{
    struct sim_proc *p = &m->proc[i];

    p->alive = true;
    p->told_at = m->now;
    p->idle_since = m->now;
    if (m->gated) {
        vg_sched_add_proc(&m->core, &m->vm[p->vm].core, &p->core, m->now);
        vg_sched_set_lever(&m->core, &p->core, p->lever);
    } else {
        p->grant.mode = VG_GRANT_OPEN;
    }
    if (p->load.period) {
        next_call(m, i, m->now);
        return;
    }
    for (unsigned n = 0; n < p->load.depth; n++)
        next_call(m, i, m->now);
}

void sim_exec_arrive(struct sim *m, unsigned i)
{
    struct sim_proc *p = &m->proc[i];
    struct sim_op *op;

    if (p->load.period)
        next_call(m, i, m->now + p->load.period);
    if (p->queued + p->held == SIM_OPS)
        return;
    op = &p->op[(p->head + p->queued + p->held) % SIM_OPS];
    op->len = op->left = op_length(m, p);
    op->est = p->estimate;
    op->arrived = m->now;
    op->started = 0;
    p->held++;
    m->held++;
    m->vm[p->vm].held++;
    sim_vm_looks(m, p->vm);
    sim_exec_step(m, i);
}

/* ---- measuring ---- */

static unsigned flight(const struct sim_proc *p)
{
    return p->queued + p->unseen;
}

static uint64_t busy_at(const struct sim_proc *p, uint64_t at)
{
    return p->busy_total + (p->busy && at > p->busy_since ? at - p->busy_since : 0);
}

static uint64_t oldest_est(const struct sim_proc *p)
{
    return p->unseen ? p->unseen_est[p->unseen_head % SIM_OPS] : p->op[p->head % SIM_OPS].est;
}

/*
 * What is left of what it believes in flight. Time takes no more off it than the oldest
 * op: beside others nothing may have run.
 */
static uint64_t flight_left(const struct sim_proc *p, uint64_t now)
{
    uint64_t run = now - p->flight_since;

    if (!flight(p))
        return 0;
    if (run > oldest_est(p))
        run = oldest_est(p);
    return p->flight_est > run ? p->flight_est - run : 0;
}

static void count_union(struct sim *m, int by)
{
    if (m->busy_procs)
        m->union_busy += m->now - m->union_since;
    m->union_since = m->now;
    m->busy_procs += by;
}

/* As executors do: by the clock, so what others used meanwhile is in it; see estimate.h there. */
static void learn(struct sim_proc *p, uint64_t took)
{
    uint64_t most = 16 * (p->estimate + SIM_US), least, sum;

    if (p->load.unknown)
        return;
    least = sum = took;
    for (unsigned i = 0; i < 2; i++) {
        least = p->took[i] && p->took[i] < least ? p->took[i] : least;
        sum += p->took[i];
    }
    p->took[1] = p->took[0];
    p->took[0] = took;
    least = later(least, sum / 32);
    if (p->estimate && least > most)
        least = most;
    p->estimate = p->estimate ? (p->estimate + least) / 2 : took;
}

void sim_exec_complete(struct sim *m, unsigned i)
{
    struct sim_proc *p = &m->proc[i];
    const struct sim_op *op = &p->op[(p->head + SIM_OPS - 1) % SIM_OPS];

    p->unseen_est[(p->unseen_head + p->unseen++) % SIM_OPS] = op->est;
    learn(p, m->now - later(op->given, p->last_end));
    p->last_end = m->now;
    if (!p->queued)
        count_union(m, -1);
    sim_post(m, m->now + sim_between(m, m->costs.meter_min, m->costs.meter_max), SIM_NOTICE, i);
}

static uint64_t think_time(struct sim *m, const struct sim_proc *p)
{
    uint64_t by = p->load.think * p->load.wander / 100;

    return by ? sim_between(m, p->load.think - by, p->load.think + by) : p->load.think;
}

void sim_exec_notice(struct sim *m, unsigned i)
{
    struct sim_proc *p = &m->proc[i];
    uint64_t est;

    if (!p->unseen)
        return;
    est = p->unseen_est[p->unseen_head++ % SIM_OPS];
    p->unseen--;
    p->ops++;
    p->flight_est -= est < p->flight_est ? est : p->flight_est;
    p->flight_since = m->now;
    if (!flight(p)) {
        p->flight_est = 0;
        p->busy_total += later(p->last_end, p->busy_since) - p->busy_since;
        p->busy = false;
    }
    if (!p->load.period)
        next_call(m, i, m->now + think_time(m, p));
    sim_exec_step(m, i);
}

/* ---- the gate ---- */

static uint64_t turn_busy(const struct sim_proc *p, uint64_t now)
{
    return busy_at(p, now) - p->turn_busy;
}

static bool spent(const struct sim_proc *p, uint64_t now)
{
    return p->turn_started && turn_busy(p, now) + flight_left(p, now) >= p->grant.budget_ns;
}

static bool may_start(const struct sim_proc *p, uint64_t now)
{
    if (p->grant.mode != VG_GRANT_TURN)
        return p->grant.mode == VG_GRANT_OPEN;
    if (!flight(p))
        return !spent(p, now);
    if (p->load.unknown || !p->estimate)
        return false;
    return flight(p) < p->grant.window_ops && flight_left(p, now) < p->grant.window_ns &&
           !spent(p, now);
}

static void start_op(struct sim *m, unsigned i)
{
    struct sim_proc *p = &m->proc[i];
    struct sim_op *op = &p->op[(p->head + p->queued) % SIM_OPS];

    if (!p->queued)
        count_union(m, 1);
    if (!flight(p)) {
        p->flight_since = m->now;
        p->busy = true;
        p->busy_since = m->now;
    }
    p->flight_est += op->est;
    op->given = m->now;
    p->turn_started++;
    p->held--;
    m->held--;
    m->vm[p->vm].held--;
    p->queued++;
    sim_gpu_submit(m, i);
    sim_vm_looks(m, p->vm);
}

/* ---- rings ---- */

static void ring(struct sim *m)
{
    uint64_t at = m->now + sim_between(m, m->costs.ring_min, m->costs.ring_max);

    m->rings++;
    if (at >= m->decide_at)
        return;
    m->decide_at = at;
    sim_post(m, at, SIM_DECIDE, 0);
}

/* Rings when a condition that was asked for begins to hold. */
static void ring_for(struct sim *m, const struct sim_proc *p, unsigned ask, bool holds, bool *rang)
{
    if (!holds)
        *rang = false;
    else if (!*rang && (p->grant.ask & ask)) {
        *rang = true;
        ring(m);
    }
}

static void poll_at(struct sim *m, unsigned i, uint64_t at)
{
    struct sim_proc *p = &m->proc[i];

    if (at <= m->now || (p->step_at > m->now && p->step_at <= at))
        return;
    p->step_at = at;
    sim_post(m, at, SIM_STEP, i);
}

static void look_used(struct sim *m, unsigned i)
{
    struct sim_proc *p = &m->proc[i];
    uint64_t left = flight_left(p, m->now);
    bool is_spent = p->grant.mode == VG_GRANT_TURN && spent(p, m->now);

    if (is_spent)
        p->used_turn = p->grant.turn;
    ring_for(m, p, VG_ASK_USED, is_spent && left <= p->grant.lead_ns, &p->rang_used);
    if (!(p->grant.ask & VG_ASK_USED) || p->rang_used || !flight(p))
        return;
    if (is_spent)
        poll_at(m, i, m->now + left - p->grant.lead_ns);
    else if (p->grant.budget_ns != VG_SCHED_FOREVER)
        poll_at(m, i, m->now + p->grant.budget_ns - turn_busy(p, m->now));
}

static void look_idle(struct sim *m, unsigned i)
{
    struct sim_proc *p = &m->proc[i];
    bool idle = !flight(p) && !p->held;

    if (idle && !p->idle_since)
        p->idle_since = later(p->last_end, 1);
    if (!idle)
        p->idle_since = 0;
    ring_for(m, p, VG_ASK_IDLE, idle && m->now >= p->idle_since + p->grant.hold_ns, &p->rang_idle);
    if (idle && (p->grant.ask & VG_ASK_IDLE) && !p->rang_idle)
        poll_at(m, i, p->idle_since + p->grant.hold_ns);
}

void sim_exec_step(struct sim *m, unsigned i)
{
    struct sim_proc *p = &m->proc[i];
    bool work;

    while (p->held && may_start(p, m->now))
        start_op(m, i);
    if (!m->gated)
        return;
    work = p->grant.mode == VG_GRANT_CLOSED ? p->held > 0 : flight(p) || p->held;
    ring_for(m, p, VG_ASK_WORK, work, &p->rang_work);
    look_used(m, i);
    look_idle(m, i);
}

void sim_exec_grant(struct sim *m, unsigned i)
{
    struct sim_proc *p = &m->proc[i];
    const struct vg_grant *g = &p->core.grant;

    if (g->turn != p->grant.turn) {
        p->turn_busy = busy_at(p, m->now);
        p->turn_started = 0;
    }
    if (g->mode != p->grant.mode || g->ask != p->grant.ask || g->turn != p->grant.turn)
        p->rang_work = p->rang_used = p->rang_idle = false;
    if (g->slice_us != p->grant.slice_us)
        sim_post(m, m->now + m->costs.slice, SIM_SLICE, i);
    p->grant = *g;
    sim_exec_step(m, i);
}

void sim_exec_report(struct sim *m, unsigned i)
{
    struct sim_proc *p = &m->proc[i];
    uint64_t at = later(m->now - (m->costs.stale < m->now ? m->costs.stale : 0), p->told_at);
    uint64_t busy = later(busy_at(p, at), p->told_busy);
    struct vg_sched_report r = {
        .t0 = p->told_at,
        .t1 = at,
        .busy_ns = busy - p->told_busy,
        .ops = p->ops - p->told_ops,
        .flight_ops = flight(p),
        .flight_ns = p->load.unknown ? 0 : flight_left(p, at),
        .waiting = p->held > 0,
        .idle_since = flight(p) || p->held ? 0 : p->idle_since,
        .used_turn = p->used_turn,
    };

    p->told_at = at;
    p->told_busy = busy;
    p->told_ops = p->ops;
    vg_sched_report(&m->core, &p->core, &r, m->now);
}
