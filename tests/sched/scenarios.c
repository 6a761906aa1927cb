/* SPDX-License-Identifier: MIT */
/* The worlds of the named cases, and the contract that each keeps. See scenarios.h. */
#include "scenarios.h"

#define HIGH   VG_CLASS_HIGH
#define MEDIUM VG_CLASS_MEDIUM
#define LOW    VG_CLASS_LOW

static void add(struct world *w, enum vg_sched_class class_, unsigned weight,
                struct sim_load load)
{
    unsigned vm = sim_add_vm(w->m, 0, class_, weight);

    sim_add_proc(w->m, vm, &load, w->lever);
}

static struct sim_load backlog(uint64_t op, unsigned depth)
{
    return (struct sim_load){ .op = op, .depth = depth, .think = 10 * SIM_US, .jitter = 10 };
}

static void by_weight(struct world *w, unsigned n, const unsigned *weight, uint64_t op)
{
    double sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += weight[i];
    for (unsigned i = 0; i < n; i++) {
        add(w, MEDIUM, weight[i], backlog(op, 16));
        w->fair[i] = weight[i] / sum;
    }
}

/* ---- cases ---- */

static void equal(struct world *w)      { by_weight(w, 2, (unsigned[]){ 50, 50 }, 250 * SIM_US); }
static void w80_50(struct world *w)     { by_weight(w, 2, (unsigned[]){ 80, 50 }, 250 * SIM_US); }
static void w1248(struct world *w)      { by_weight(w, 4, (unsigned[]){ 1, 2, 4, 8 }, 250 * SIM_US); }
static void w1_99(struct world *w)      { by_weight(w, 2, (unsigned[]){ 1, 99 }, 250 * SIM_US); }

static void eight_random(struct world *w)
{
    by_weight(w, 8, (unsigned[]){ 73, 12, 41, 98, 5, 66, 30, 57 }, 250 * SIM_US);
}

static void eight_equal(struct world *w)
{
    by_weight(w, 8, (unsigned[]){ 9, 9, 9, 9, 9, 9, 9, 9 }, 250 * SIM_US);
}

/* The same where hand-overs are slow. */
static void slow(struct world *w, void (*make)(struct world *w))
{
    sim_costs_slow(&w->m->costs);
    make(w);
}

static void equal_slow(struct world *w) { slow(w, equal); }
static void w1248_slow(struct world *w) { slow(w, w1248); }
static void eight_slow(struct world *w) { slow(w, eight_equal); }

static void two_halves(struct world *w, struct sim_load a, struct sim_load b)
{
    add(w, MEDIUM, 50, a);
    add(w, MEDIUM, 50, b);
    w->fair[0] = w->fair[1] = 0.5;
}

static void depth1_16(struct world *w)
{
    two_halves(w, backlog(500 * SIM_US, 1), backlog(500 * SIM_US, 16));
}

static void short_long(struct world *w)
{
    two_halves(w, backlog(5 * SIM_US, 60), backlog(50 * SIM_MS, 4));
}

static void weighted_two(struct world *w, unsigned wa, struct sim_load a, unsigned wb,
                         struct sim_load b)
{
    add(w, MEDIUM, wa, a);
    add(w, MEDIUM, wb, b);
    w->fair[0] = (double)wa / (wa + wb);
    w->fair[1] = (double)wb / (wa + wb);
}

static void short_long_80(struct world *w)
{
    weighted_two(w, 20, backlog(5 * SIM_US, 60), 80, backlog(50 * SIM_MS, 4));
}

static void short_long_20(struct world *w)
{
    weighted_two(w, 80, backlog(5 * SIM_US, 60), 20, backlog(50 * SIM_MS, 4));
}

static void long_long(struct world *w)
{
    two_halves(w, backlog(50 * SIM_MS, 2), backlog(50 * SIM_MS, 2));
}

static void long_long_80(struct world *w)
{
    weighted_two(w, 80, backlog(50 * SIM_MS, 2), 50, backlog(50 * SIM_MS, 2));
}

static void short_4_long(struct world *w)
{
    by_weight(w, 4, (unsigned[]){ 25, 25, 25, 25 }, 200 * SIM_US);
    w->m->proc[3].load.op = 50 * SIM_MS;
}

static void endless_80(struct world *w)
{
    struct sim_load hog = backlog(SIM_MS, 1);

    hog.endless = true;
    weighted_two(w, 20, backlog(250 * SIM_US, 16), 80, hog);
}

static void endless_30(struct world *w)
{
    struct sim_load hog = backlog(SIM_MS, 1);

    hog.endless = true;
    weighted_two(w, 70, backlog(250 * SIM_US, 16), 30, hog);
}

static void graph_launch(struct world *w)
{
    struct sim_load graph = backlog(20 * SIM_MS, 4);

    graph.unknown = true;
    two_halves(w, graph, backlog(50 * SIM_US, 16));
}

static void middle_short(struct world *w)
{
    two_halves(w, backlog(20 * SIM_MS, 4), backlog(50 * SIM_US, 16));
}

static void one_eight(struct world *w)
{
    struct sim_load load = backlog(250 * SIM_US, 4);

    two_halves(w, load, load);
    for (unsigned i = 0; i < 7; i++)
        sim_add_proc(w->m, 1, &load, w->lever);
}

/* Eight that end each turn at once, and are back before the others' is over. */
static void one_tiny(struct world *w)
{
    struct sim_load tiny = { .op = 100 * SIM_US, .depth = 1, .think = 300 * SIM_US };

    two_halves(w, backlog(250 * SIM_US, 16), tiny);
    for (unsigned i = 0; i < 7; i++)
        sim_add_proc(w->m, 1, &tiny, w->lever);
    w->fair[0] = 0.64;  /* the other pays for the switches that it causes */
    w->fair[1] = 0.36;
}

static struct sim_load requests(uint64_t op, uint64_t think)
{
    return (struct sim_load){ .op = op, .depth = 1, .think = think, .wander = 50 };
}

static void requests_long(struct world *w)
{
    add(w, MEDIUM, 50, requests(2 * SIM_MS, 30 * SIM_MS));
    add(w, MEDIUM, 50, backlog(50 * SIM_MS, 4));
}

/* One VM is a crowd of processes, the other pauses: what the crowd begins meanwhile is little. */
static void beside_crowd(struct world *w, struct sim_load a)
{
    struct sim_load load = backlog(250 * SIM_US, 16);

    add(w, MEDIUM, 50, a);
    add(w, MEDIUM, 50, load);
    for (unsigned i = 0; i < 60; i++)
        sim_add_proc(w->m, 1, &load, w->lever);
}

static void requests_crowd(struct world *w)
{
    beside_crowd(w, requests(2 * SIM_MS, 3 * SIM_MS));
}

static void bursts_crowd(struct world *w)
{
    struct sim_load load = backlog(500 * SIM_US, 8);

    load.on = 30 * SIM_MS;
    load.off = 30 * SIM_MS;
    beside_crowd(w, load);
}

static void high_low(struct world *w)
{
    add(w, HIGH, 50, requests(2 * SIM_MS, 3 * SIM_MS));
    add(w, LOW, 50, backlog(250 * SIM_US, 16));
}

static void high_two_low(struct world *w)
{
    high_low(w);
    add(w, LOW, 50, backlog(250 * SIM_US, 16));
}

static void high_permanent(struct world *w)
{
    add(w, HIGH, 50, requests(2 * SIM_MS, 20 * SIM_US));
    add(w, MEDIUM, 50, backlog(250 * SIM_US, 16));
    add(w, LOW, 50, backlog(250 * SIM_US, 16));
    w->fair[0] = 0.912;
    w->fair[1] = 0.062;
    w->fair[2] = 0.026;
}

static void high_endless(struct world *w)
{
    struct sim_load hog = backlog(SIM_MS, 1);

    hog.endless = true;
    add(w, HIGH, 50, requests(20 * SIM_US, 2 * SIM_MS));
    add(w, LOW, 50, hog);
}

static void peer_endless(struct world *w)
{
    struct sim_load hog = backlog(SIM_MS, 1);

    hog.endless = true;
    two_halves(w, backlog(250 * SIM_US, 16), hog);
}

static void eight_endless(struct world *w)
{
    struct sim_load hog = backlog(SIM_MS, 1);

    by_weight(w, 7, (unsigned[]){ 9, 9, 9, 9, 9, 9, 9 }, 250 * SIM_US);
    hog.endless = true;
    add(w, MEDIUM, 9, hog);
    for (unsigned i = 0; i < 8; i++)
        w->fair[i] = 0.125;
}

static void absorb(struct world *w)
{
    by_weight(w, 3, (unsigned[]){ 50, 50, 50 }, 250 * SIM_US);
    w->m->proc[2].load.depth = 0;
    w->fair[0] = w->fair[1] = 0.5;
    w->fair[2] = 0;
}

static void alone(struct world *w)
{
    add(w, MEDIUM, 50, backlog(250 * SIM_US, 16));
}

static void bursty(struct world *w)
{
    struct sim_load load = backlog(500 * SIM_US, 8);

    add(w, MEDIUM, 50, backlog(500 * SIM_US, 8));
    load.on = 3 * SIM_MS;
    load.off = 200 * SIM_US;
    add(w, MEDIUM, 50, load);
    w->fair[0] = w->fair[1] = 0.5;
}

/* The mission's: two pools, VM 1 a language model, VM 2 trains, VM 3 another model. */
static void three_vms(struct world *w)
{
    unsigned b = sim_add_pool(w->m, 100);
    struct sim_load load = backlog(400 * SIM_US, 8);
    unsigned vm;

    add(w, HIGH, 80, load);
    add(w, MEDIUM, 50, backlog(2 * SIM_MS, 16));
    vm = sim_add_vm(w->m, b, HIGH, 60);
    sim_add_proc(w->m, vm, &load, w->lever);
    w->fair[0] = 0.469;
    w->fair[1] = 0.031;
    w->fair[2] = 0.5;
}

/* Pools 70 to 30, and tokens of 20 ms in both, one or two at a time: longer than a turn. One trains. */
static void pools_long(struct world *w)
{
    struct sim_load load = { .op = 20 * SIM_MS, .jitter = 5, .depth = 1, .think = 200 * SIM_US };
    unsigned b = sim_add_pool(w->m, 30);

    vg_sched_set_share(&w->m->core, &w->m->pool[0], 70);
    add(w, HIGH, 80, load);
    load.depth = 2;
    sim_add_proc(w->m, sim_add_vm(w->m, b, HIGH, 60), &load, w->lever);
    add(w, MEDIUM, 50, backlog(2 * SIM_MS, 16));
    w->fair[0] = 0.657;
    w->fair[1] = 0.3;
}

/*
 * The example as it runs on an H200: vm2 was there first, alone, and has queued 16 graphs of 47 ms,
 * three quarters of a second; its limits let it give no more. Then vm3 came, and vm1, which answers
 * in tokens of 20 ms and needs half a millisecond for the next.
 */
static void three_on_h200(struct world *w, bool hangs)
{
    unsigned b = sim_add_pool(w->m, 30);
    struct sim_load model = { .op = 20 * SIM_MS, .jitter = 2, .depth = 1, .think = 500 * SIM_US,
                              .start = 400 * SIM_MS };
    struct sim_load train = { .op = 47 * SIM_MS, .jitter = 2, .depth = 16, .think = 100 * SIM_S };
    struct sim_load other = { .op = 20 * SIM_MS, .jitter = 2, .depth = hangs ? 1 : 2,
                              .think = 500 * SIM_US, .start = 300 * SIM_MS, .endless = hangs };

    vg_sched_set_share(&w->m->core, &w->m->pool[0], 70);
    add(w, HIGH, 80, model);
    add(w, MEDIUM, 50, train);
    sim_add_proc(w->m, sim_add_vm(w->m, b, HIGH, 60), &other, w->lever);
    w->fair[0] = 0.657;
    w->fair[1] = 0.043;
    w->fair[2] = 0.3;
}

static void three_queued(struct world *w) { three_on_h200(w, false); }
static void three_hang(struct world *w)   { three_on_h200(w, true); }

/* The contract for VMs that always have work: two, or up to eight. */
#define TWO   { 1.0, 2.0, 0.999, 0.97, 3.0, 0, 0, 60, 0.5 }
#define EIGHT { 1.0, 2.5, 0.998, 0.88, 3.0, 0, 0, 400, 1.0 }
/* The others wait for a long kernel, if its end is known: they are repaid. */
#define LONG_GATED  { 3.0, 5.0, 0.99, 0, 3.0, 0, 0, 80, 1.0 }
/* If it is not, and without slices of ours, the hardware's of 2 ms cost what they cost natively. */
#define UNKNOWN_GATED  { 2.5, 5.0, 0.99, 0.94, 9.0, 0, 0, 60, 1.5 }
#define LONG_SLICED { 1.5, 5.0, 0.99, 0.9, 3.0, 0, 0, 80, 1.2 }
/* Nothing divides a kernel but a slice: a second has one more of them or one less. */
#define WHOLE       { .error_1s = 6, .relative = 10, .wasted = 6 }

const struct scenario scenarios[] = {
    { "alone", alone, { .wasted = 0.5 }, { .wasted = 0.5 } },
    { "1:1", equal, TWO, TWO },
    { "80:50", w80_50, TWO, TWO },
    { "1:2:4:8", w1248, EIGHT, EIGHT },
    { "1:99", w1_99, { 1.0, 2.0, 0.99, 0, 2.0, 0, 0, 700, 0.5 }, { 1.0, 2.0, 0.99, 0, 2.0, 0, 0, 700, 0.5 } },
    { "8 equal", eight_equal, EIGHT, EIGHT },
    { "8 random weights", eight_random, EIGHT, EIGHT },
    { "1:1, slow host", equal_slow, TWO, TWO },
    { "1:2:4:8, slow host", w1248_slow, EIGHT, EIGHT },
    { "8 equal, slow host", eight_slow, EIGHT, EIGHT },
    { "depth 1 : depth 16", depth1_16, TWO, TWO },
    { "5 us : 50 ms kernels", short_long, LONG_GATED, { 1.0, 2.0, 0.999, 0.95, 3.0, 0, 0, 80, 0.5 } },
    { "5 us : 50 ms, 20:80", short_long_80, LONG_GATED, LONG_SLICED },
    { "5 us : 50 ms, 80:20", short_long_20, WHOLE, { .error_1s = 1.0, .relative = 3, .wasted = 4, .told = 0.5 } },
    { "3 short : 50 ms", short_4_long, WHOLE, LONG_SLICED },
    { "50 ms : 50 ms", long_long, WHOLE, LONG_SLICED },
    { "50 ms : 50 ms, 80:50", long_long_80, WHOLE, { .error_1s = 2.0, .relative = 5, .wasted = 3, .told = 0.6 } },
    { "20 ms : 50 us kernels", middle_short, LONG_GATED, LONG_SLICED },
    { "20 ms, unknown : 50 us", graph_launch, UNKNOWN_GATED, LONG_SLICED },
    { "1 process : 8", one_eight, TWO, TWO },
    { "1 process : 8 tiny", one_tiny, { .error_1s = 5 }, { .error_1s = 5 } },
    { "one of three idle", absorb, TWO, TWO },
    { "steady : bursty", bursty, TWO, TWO },
    { "2 ms beside 50 ms", requests_long,
      { .wasted = 5, .p50 = 3000, .p99 = 8000 }, { .wasted = 5, .p50 = 8000, .p99 = 8000 } },
    { "2 ms beside 61", requests_crowd,
      { .wasted = 15, .p50 = 4000, .p99 = 20000 }, { .wasted = 15, .p50 = 4000, .p99 = 20000 } },
    { "bursts beside 61", bursts_crowd,
      { .wasted = 9, .p50 = 8000, .p99 = 20000 }, { .wasted = 9, .p50 = 8000, .p99 = 20000 } },
    { "high 2 ms beside low", high_low,
      { .wasted = 6, .p50 = 300, .p99 = 400 }, { .wasted = 6, .p50 = 220, .p99 = 250 } },
    { "high 2 ms beside 2 low", high_two_low,
      { .wasted = 14, .p50 = 300, .p99 = 500 }, { .wasted = 15, .p50 = 220, .p99 = 450 } },
    { "high permanent", high_permanent,
      { .error_1s = 2.0, .wasted = 4, .p50 = 1, .p99 = 1600, .gap_ms = 300 },
      { .error_1s = 2.0, .wasted = 4, .p50 = 1, .p99 = 1600, .gap_ms = 300 } },
    { "high beside endless", high_endless, { .p99 = 2300 }, { .p50 = 200, .p99 = 250 } },
    { "1:1 endless", peer_endless, { 2.0, 5.0, 0.99, 0.94, 9.0, 0, 0, 60, 1.5 }, LONG_SLICED },
    { "20:80 endless", endless_80, { .error_1s = 2, .relative = 10, .wasted = 4, .gap_ms = 140 },
      { .error_1s = 1.0, .relative = 3, .wasted = 3, .gap_ms = 140, .told = 0.8 } },
    { "70:30 endless", endless_30, { .error_1s = 20.5 }, { 1.0, 2.0, 0.999, 0.95, 3.0, 0, 0, 80, 0.5 } },
    { "8 equal, 1 endless", eight_endless,
      { .error_1s = 3, .jain_1s = 0.98, .wasted = 9, .gap_ms = 60 },
      { .error_1s = 3, .jain_1s = 0.98, .wasted = 4, .gap_ms = 140 } },
    { "pools 70:30, 20 ms", pools_long, { 3.0, 5.0, 0.99, 0, 3.0, 0, 0, 760, 1.5 },
      { 4.0, 5.0, 0.99, 0, 3.0, 0, 0, 760, 0.8 } },
    { "mission, 47 ms queued", three_queued, { .wasted = 5, .gap_ms = 760 },
      { .error_1s = 3, .relative = 3, .wasted = 5, .gap_ms = 760 } },
    { "mission, vm3 hangs", three_hang, { .wasted = 9, .gap_ms = 760 },
      { .error_1s = 6, .relative = 5, .wasted = 6, .gap_ms = 760 } },
    { "mission, two pools", three_vms, { 2.0, 2.0, 0, 0, 2.0, 0, 0, 720, 1.0 },
      { 2.0, 2.0, 0, 0, 5.0, 0, 0, 720, 0.6 } },
};

const unsigned scenarios_count = sizeof(scenarios) / sizeof(scenarios[0]);
