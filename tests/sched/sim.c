/* SPDX-License-Identifier: MIT */
/* The simulated world: its clock, its daemon, and what must hold at every moment. See sim.h. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- chance ---- */

uint64_t sim_random(struct sim *m)
{
    uint64_t z = m->rng += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t sim_between(struct sim *m, uint64_t low, uint64_t high)
{
    return low + sim_random(m) % (high - low + 1);
}

/* ---- clock: a heap of events ---- */

static bool sooner(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct sim_event *a, struct sim_event *b)
{
    struct sim_event t = *a;

    *a = *b;
    *b = t;
}

void sim_post(struct sim *m, uint64_t at, enum sim_kind kind, unsigned proc)
{
    unsigned i = m->events;

    if (at == VG_SCHED_FOREVER)
        return;
    if (m->events == SIM_PROCS * SIM_OPS) {
        m->broken = "the simulator has room for the events";
        return;
    }
    m->heap[m->events++] = (struct sim_event){ at, m->order++, kind, proc };
    while (i && sooner(&m->heap[i], &m->heap[(i - 1) / 2])) {
        swap(&m->heap[i], &m->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static struct sim_event take(struct sim *m)
{
    struct sim_event first = m->heap[0];
    unsigned i = 0;

    m->heap[0] = m->heap[--m->events];
    for (;;) {
        unsigned least = i;

        for (unsigned c = 2 * i + 1; c <= 2 * i + 2 && c < m->events; c++) {
            if (sooner(&m->heap[c], &m->heap[least]))
                least = c;
        }
        if (least == i)
            return first;
        swap(&m->heap[i], &m->heap[least]);
        i = least;
    }
}

/* ---- the daemon ---- */

static void post_grants(struct sim *m)
{
    struct vg_sched_proc *core;

    while ((core = vg_sched_next_change(&m->core))) {
        struct sim_proc *p = vg_container_of(core, struct sim_proc, core);
        uint64_t delay = sim_between(m, m->costs.gate_min, m->costs.gate_max) + p->load.deaf;

        m->grants++;
        sim_post(m, m->now + delay, SIM_GRANT, (unsigned)(p - m->proc));
    }
}

/* Virtual time must never run backwards. */
static void check_advance(struct sim *m, const uint64_t before[SIM_POOLS][VG_CLASSES])
{
    for (unsigned i = 0; i < m->pools; i++) {
        for (unsigned c = 0; c < VG_CLASSES; c++) {
            if ((int64_t)(m->pool[i].level[c].vmin - before[i][c]) < 0)
                m->broken = "virtual time of a class does not go back";
        }
    }
}

static void check_charges(struct sim *m)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < m->vms; i++)
        sum += m->vm[i].core.charged_ns;
    if (sum != m->core.busy_ns)
        m->broken = "what VMs are charged is what the GPU was used";
    if (m->core.busy_ns > m->now)
        m->broken = "no more is charged than time has passed";
}

static void decide(struct sim *m)
{
    uint64_t before[SIM_POOLS][VG_CLASSES], next;

    if (m->now != m->decide_at)
        return;
    for (unsigned i = 0; i < m->pools; i++) {
        for (unsigned c = 0; c < VG_CLASSES; c++)
            before[i][c] = m->pool[i].level[c].vmin;
    }
    for (unsigned i = 0; i < m->procs; i++) {
        if (m->proc[i].alive)
            sim_exec_report(m, i);
    }
    next = vg_sched_decide(&m->core, m->now);
    m->decides++;
    if (next <= m->now)
        m->broken = "the next decision is in the future";
    m->decide_at = next;
    sim_post(m, next, SIM_DECIDE, 0);
    check_advance(m, (const uint64_t (*)[VG_CLASSES])before);
    check_charges(m);
    post_grants(m);
}

/* Processes come and go through the daemon, which decides at once. */
static void decide_now(struct sim *m)
{
    m->decide_at = m->now;
    if (m->gated)
        decide(m);
}

static void kill_proc(struct sim *m, unsigned i)
{
    struct sim_proc *p = &m->proc[i];

    if (!p->alive)
        return;
    if (p->queued) {
        if (m->busy_procs)
            m->union_busy += m->now - m->union_since;
        m->union_since = m->now;
        m->busy_procs--;
    }
    if (m->gated)
        vg_sched_remove_proc(&m->core, &p->core, m->now);
    p->alive = false;
    m->held -= p->held;
    m->vm[p->vm].held -= p->held;
    p->held = 0;
    sim_gpu_kill(m, i);
    sim_vm_looks(m, p->vm);
    p->unseen = 0;
    decide_now(m);
}

/* ---- running ---- */

static void dispatch(struct sim *m, const struct sim_event *e)
{
    unsigned i = e->proc;

    if (e->kind == SIM_GPU) {
        sim_gpu_event(m);
    } else if (e->kind == SIM_DECIDE) {
        decide(m);
    } else if (e->kind == SIM_BEGIN) {
        sim_exec_begin(m, i);
        decide_now(m);
    } else if (!m->proc[i].alive) {
        return;
    } else if (e->kind == SIM_ARRIVE) {
        sim_exec_arrive(m, i);
    } else if (e->kind == SIM_NOTICE) {
        sim_exec_notice(m, i);
    } else if (e->kind == SIM_GRANT) {
        sim_exec_grant(m, i);
    } else if (e->kind == SIM_SLICE) {
        sim_gpu_slice(m, i);
    } else if (e->kind == SIM_STEP) {
        sim_exec_step(m, i);
    } else {
        kill_proc(m, i);
    }
}

/* The GPU has nothing to do and somebody is held back. */
static void watch_starving(struct sim *m)
{
    bool starved = m->cur == SIM_PROCS && m->held;

    if (starved && !m->starved_since) {
        m->starved_since = m->now;
    } else if (!starved && m->starved_since) {
        uint64_t ns = m->now - m->starved_since;

        m->starved += ns;
        m->starved_most = ns > m->starved_most ? ns : m->starved_most;
        m->starved_since = 0;
    }
}

void sim_run(struct sim *m, uint64_t until)
{
    while (m->events && m->heap[0].at <= until && !m->broken) {
        struct sim_event e = take(m);

        m->now = e.at;
        dispatch(m, &e);
        watch_starving(m);
    }
    if (!m->broken)
        m->now = until;
}

/* ---- setting up ---- */

void sim_costs_init(struct sim_costs *c)
{
    c->switch_cut = 170 * SIM_US;
    c->switch_clean = 80 * SIM_US;
    c->ring_min = 15 * SIM_US;
    c->ring_max = 50 * SIM_US;
    c->gate_min = 10 * SIM_US;
    c->gate_max = 50 * SIM_US;
    c->meter_min = 1 * SIM_US;
    c->meter_max = 8 * SIM_US;
    c->slice = 1500 * SIM_US;
    c->stale = 5 * SIM_US;
}

void sim_costs_slow(struct sim_costs *c)
{
    c->switch_clean = 140 * SIM_US;
    c->ring_min = 20 * SIM_US;
    c->ring_max = 120 * SIM_US;
    c->gate_min = 15 * SIM_US;
    c->gate_max = 100 * SIM_US;
}

void sim_init(struct sim *m, uint64_t seed, const struct vg_sched_tuning *t)
{
    memset(m, 0, offsetof(struct sim, core));
    sim_costs_init(&m->costs);
    m->gated = true;
    m->rng = seed;
    m->cur = m->last = SIM_PROCS;
    m->gpu_at = m->decide_at = VG_SCHED_FOREVER;
    m->now = SIM_MS;
    vg_sched_init(&m->core, t, m->now);
}

unsigned sim_add_pool(struct sim *m, unsigned share)
{
    vg_sched_add_pool(&m->core, &m->pool[m->pools], share);
    return m->pools++;
}

unsigned sim_add_vm(struct sim *m, unsigned pool, enum vg_sched_class class_, unsigned weight)
{
    struct sim_vm *vm = &m->vm[m->vms];

    memset(vm, 0, sizeof(*vm));
    vm->pool = pool;
    vg_sched_add_vm(&m->core, &vm->core, &m->pool[pool], class_, weight);
    return m->vms++;
}

unsigned sim_add_proc(struct sim *m, unsigned vm, const struct sim_load *load, bool lever)
{
    struct sim_proc *p = &m->proc[m->procs];

    memset(p, 0, sizeof(*p));
    p->load = *load;
    p->load.start += m->now;
    p->vm = vm;
    p->lever = lever;
    sim_post(m, p->load.start, SIM_BEGIN, m->procs);
    if (load->stop)
        sim_post(m, m->now + load->stop, SIM_KILL, m->procs);
    return m->procs++;
}

void sim_fini(struct sim *m)
{
    for (unsigned i = 0; i < m->procs; i++)
        free(m->proc[i].wait);
}

/* ---- results ---- */

uint64_t sim_vm_ran(const struct sim *m, unsigned vm)
{
    uint64_t ran = 0;

    for (unsigned i = 0; i < m->procs; i++)
        ran += m->proc[i].vm == vm ? m->proc[i].ran : 0;
    return ran;
}

void sim_keep_waits(struct sim *m, unsigned proc, unsigned most)
{
    struct sim_proc *p = &m->proc[proc];

    p->wait = calloc(most, sizeof(*p->wait));
    p->waits_max = p->wait ? most : 0;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

uint64_t sim_wait_quantile(struct sim *m, unsigned proc, double q)
{
    struct sim_proc *p = &m->proc[proc];

    if (!p->waits)
        return 0;
    qsort(p->wait, p->waits, sizeof(*p->wait), by_size);
    return p->wait[(unsigned)(q * (p->waits - 1))];
}
