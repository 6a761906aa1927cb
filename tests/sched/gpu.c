/* SPDX-License-Identifier: MIT */
/* The simulated GPU: contexts, slices, switches. See sim.h. */
#include "sim.h"

#define NONE SIM_PROCS

#define SLICE_UNIT 1024u    /* ns: the hardware counts slices in that, and calls it a microsecond */

static bool has_work(const struct sim *m, unsigned i)
{
    return m->proc[i].queued > 0;
}

static unsigned others_with_work(const struct sim *m, unsigned i)
{
    unsigned n = 0;

    for (unsigned j = 0; j < m->procs; j++)
        n += j != i && has_work(m, j);
    return n;
}

static uint64_t slice_of(const struct sim *m, unsigned i)
{
    const struct sim_proc *p = &m->proc[i];
    unsigned us = p->lever && m->gated && p->slice_us ? p->slice_us : 2048;

    return us * SLICE_UNIT;
}

static struct sim_op *first_op(struct sim_proc *p)
{
    return &p->op[p->head % SIM_OPS];
}

void sim_vm_looks(struct sim *m, unsigned vm)
{
    struct sim_vm *v = &m->vm[vm];
    bool on = m->cur != NONE && m->proc[m->cur].vm == vm;

    if (v->held && !on) {
        if (!v->want_since)
            v->want_since = m->now;
        return;
    }
    if (v->want_since && m->now - v->want_since > v->gap_most)
        v->gap_most = m->now - v->want_since;
    v->want_since = 0;
}

static void plan(struct sim *m, uint64_t at)
{
    m->gpu_at = at;
    sim_post(m, at, SIM_GPU, 0);
}

/* Counts what the context on the GPU has done since the last look. */
static void count(struct sim *m)
{
    uint64_t ns = m->now - m->phase_at;
    struct sim_proc *p;

    if (m->cur == NONE)
        return;
    m->phase_at = m->now;
    if (m->switching) {
        m->switched += ns;
        return;
    }
    p = &m->proc[m->cur];
    if (ns > first_op(p)->left)
        ns = first_op(p)->left;
    first_op(p)->left -= ns;
    p->ran += ns;
    m->ran += ns;
}

static void plan_run(struct sim *m)
{
    uint64_t end = m->now + first_op(&m->proc[m->cur])->left;

    plan(m, end < m->slice_end || !others_with_work(m, m->cur) ? end : m->slice_end);
}

static void note_wait(struct sim *m, struct sim_proc *p)
{
    struct sim_op *op = first_op(p);

    if (op->started)
        return;
    op->started = m->now;
    if (p->waits < p->waits_max)
        p->wait[p->waits++] = m->now - op->arrived;
}

static void run(struct sim *m)
{
    m->switching = false;
    m->phase_at = m->now;
    m->slice_end = m->now + slice_of(m, m->cur);
    note_wait(m, &m->proc[m->cur]);
    plan_run(m);
}

static void switch_to(struct sim *m, unsigned next, uint64_t cost)
{
    unsigned old = m->cur;

    m->cur = m->last = next;
    if (old != NONE)
        sim_vm_looks(m, m->proc[old].vm);
    sim_vm_looks(m, m->proc[next].vm);
    m->phase_at = m->now;
    m->switching = true;
    if (cost)
        plan(m, m->now + cost);
    else
        run(m);
}

static unsigned next_in_turn(const struct sim *m, unsigned after)
{
    for (unsigned n = 1; n <= m->procs; n++) {
        unsigned i = (after + n) % m->procs;

        if (has_work(m, i))
            return i;
    }
    return NONE;
}

static void drained(struct sim *m)
{
    unsigned old = m->cur, next = next_in_turn(m, old);

    m->cur = NONE;
    sim_vm_looks(m, m->proc[old].vm);
    if (next != NONE)
        switch_to(m, next, m->costs.switch_clean);
    else
        m->gpu_at = VG_SCHED_FOREVER;
}

static void op_done(struct sim *m)
{
    struct sim_proc *p = &m->proc[m->cur];

    p->head++;
    p->queued--;
    p->served++;
    sim_exec_complete(m, m->cur);
    if (p->queued) {
        note_wait(m, p);
        plan_run(m);
    } else {
        drained(m);
    }
}

void sim_gpu_event(struct sim *m)
{
    if (m->now != m->gpu_at || m->cur == NONE)
        return;
    count(m);
    if (m->switching)
        run(m);
    else if (first_op(&m->proc[m->cur])->left == 0)
        op_done(m);
    else if (m->now >= m->slice_end && others_with_work(m, m->cur))
        switch_to(m, next_in_turn(m, m->cur), m->costs.switch_cut);
    else
        run(m);
}

/*
 * Slices are counted from when a context came on, also while it is alone: then one follows the other,
 * and a newcomer gets in at the end of the present one. Measured: beside short kernels it waits for
 * anything from nothing to 2.1 ms, and what is left of a turn that ends then waits for a slice of its.
 */
static void roll_slice(struct sim *m)
{
    uint64_t slice = slice_of(m, m->cur);

    if (m->slice_end <= m->now)
        m->slice_end += (m->now - m->slice_end) / slice * slice + slice;
}

void sim_gpu_submit(struct sim *m, unsigned i)
{
    if (m->cur == NONE) {
        switch_to(m, i, m->last == i || m->last == NONE ? 0 : m->costs.switch_clean);
    } else if (m->cur != i && !m->switching && others_with_work(m, m->cur) == 1 && m->proc[i].queued == 1) {
        count(m);
        roll_slice(m);
        plan_run(m);
    }
}

void sim_gpu_slice(struct sim *m, unsigned i)
{
    uint64_t end;

    m->proc[i].slice_us = m->proc[i].grant.slice_us;
    if (m->cur != i || m->switching)
        return;
    count(m);
    roll_slice(m);
    end = m->now + slice_of(m, m->cur);
    if (end < m->slice_end)
        m->slice_end = end;
    plan_run(m);
}

void sim_gpu_kill(struct sim *m, unsigned i)
{
    count(m);
    m->proc[i].queued = 0;
    if (m->last == i)
        m->last = NONE;
    if (m->cur == i) {
        m->switching = false;
        drained(m);
    }
}
