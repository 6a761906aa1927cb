/* SPDX-License-Identifier: MIT */
/*
 * Named cases on the simulated GPU, each with what it must keep, printed as a table:
 * once with hardware slices in the executors' hands, once without. `-b` adds the bare
 * hardware's slicing beside them; a word, last, only those cases whose names have it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

#define HIGH   VG_CLASS_HIGH
#define MEDIUM VG_CLASS_MEDIUM
#define LOW    VG_CLASS_LOW

#define WARM_S 1u
#define RUN_S  5u
#define STEPS  10u      /* windows of 100 ms in a second */

enum way { BARE, GATED, SLICED };

static const char *const way_name[] = { "bare", "gate", "gate+slices" };

/* What is measured of one run, after the warm-up. */
struct result {
    double share[SIM_VMS];          /* of all GPU time */
    double error_1s, error_10s;     /* points, worst VM and window */
    double relative;                /* of shares of 5 % and more, over the run */
    double jain_1s, jain_100ms;     /* weighted, worst window */
    double used;                    /* GPU time of ops / time */
    double p50, p99;                /* waiting of the first process's ops, us */
    double gap_ms;                  /* longest of any VM */
    double decides;                 /* per second */
    double switched;
};

struct world {
    struct sim *m;
    bool lever;
    double fair[SIM_VMS];           /* shares that are right, 0: not compared */
};

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
    return (struct sim_load){ .op = op, .depth = 1, .think = think };
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

/* What a case must keep; 0: not asked. Errors in points, wasted in per cent, waits in us. */
struct limits {
    double error_1s, relative, jain_1s, jain_100ms, wasted, p50, p99, gap_ms;
};

/* The contract for VMs that always have work: two, or up to eight. */
#define TWO   { 1.0, 2.0, 0.999, 0.97, 3.0, 0, 0, 60 }
#define EIGHT { 1.0, 2.0, 0.999, 0.88, 3.0, 0, 0, 400 }
/* The others wait for a long kernel, if its end is known: they are repaid. */
#define LONG_GATED  { 3.0, 5.0, 0.99, 0, 3.0, 0, 0, 80 }
/* If it is not, and without slices of ours, the hardware's of 2 ms cost what they cost natively. */
#define UNKNOWN_GATED  { 2.0, 5.0, 0.99, 0.95, 9.0, 0, 0, 60 }
#define LONG_SLICED { 3.0, 5.0, 0.99, 0, 3.0, 0, 0, 80 }

struct scenario {
    const char *name;
    void (*make)(struct world *w);
    struct limits gated, sliced;
};

static const struct scenario scenarios[] = {
    { "alone", alone, { .wasted = 0.5 }, { .wasted = 0.5 } },
    { "1:1", equal, TWO, TWO },
    { "80:50", w80_50, TWO, TWO },
    { "1:2:4:8", w1248, EIGHT, EIGHT },
    { "1:99", w1_99, { 1.0, 2.0, 0.99, 0, 2.0, 0, 0, 700 }, { 1.0, 2.0, 0.99, 0, 2.0, 0, 0, 700 } },
    { "8 equal", eight_equal, EIGHT, EIGHT },
    { "8 random weights", eight_random, EIGHT, EIGHT },
    { "1:1, slow host", equal_slow, TWO, TWO },
    { "1:2:4:8, slow host", w1248_slow, EIGHT, EIGHT },
    { "8 equal, slow host", eight_slow, EIGHT, EIGHT },
    { "depth 1 : depth 16", depth1_16, TWO, TWO },
    { "5 us : 50 ms kernels", short_long, LONG_GATED, LONG_SLICED },
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
      { .wasted = 6, .p50 = 300, .p99 = 400 }, { .wasted = 6, .p50 = 200, .p99 = 200 } },
    { "high 2 ms beside 2 low", high_two_low,
      { .wasted = 14, .p50 = 300, .p99 = 400 }, { .wasted = 14, .p50 = 200, .p99 = 400 } },
    { "high permanent", high_permanent,
      { .error_1s = 2.0, .wasted = 4, .p50 = 1, .p99 = 1600, .gap_ms = 300 },
      { .error_1s = 2.0, .wasted = 4, .p50 = 1, .p99 = 1600, .gap_ms = 300 } },
    { "high beside endless", high_endless, { .p99 = 2300 }, { .p50 = 200, .p99 = 250 } },
    { "1:1 endless", peer_endless, UNKNOWN_GATED, LONG_SLICED },
    { "8 equal, 1 endless", eight_endless,
      { .error_1s = 3, .jain_1s = 0.98, .wasted = 9, .gap_ms = 60 },
      { .error_1s = 7, .jain_1s = 0.95, .wasted = 4, .gap_ms = 110 } },
    { "pools 70:30, 20 ms", pools_long, { 3.0, 5.0, 0.99, 0, 3.0, 0, 0, 760 },
      { 3.0, 5.0, 0.99, 0, 3.0, 0, 0, 760 } },
    { "mission, 47 ms queued", three_queued, { .wasted = 5, .gap_ms = 760 },
      { .error_1s = 3, .relative = 3, .wasted = 5, .gap_ms = 760 } },
    { "mission, vm3 hangs", three_hang, { .wasted = 9, .gap_ms = 760 },
      { .error_1s = 6, .relative = 5, .wasted = 6, .gap_ms = 760 } },
    { "mission, two pools", three_vms, { 2.0, 2.0, 0, 0, 2.0, 0, 0, 720 },
      { 2.0, 2.0, 0, 0, 5.0, 0, 0, 720 } },
};

/* ---- measuring ---- */

static double jain(const struct world *w, const double *got, unsigned n)
{
    double sum = 0, squares = 0;
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++) {
        double x = w->fair[i] > 0 ? got[i] / w->fair[i] : 0;

        sum += x;
        squares += x * x;
        count += w->fair[i] > 0;
    }
    return squares > 0 ? sum * sum / (count * squares) : 1;
}

static void window_shares(const struct sim *m, const uint64_t *from, double *got)
{
    double all = 0;

    for (unsigned i = 0; i < m->vms; i++)
        all += (double)(sim_vm_ran(m, i) - from[i]);
    for (unsigned i = 0; i < m->vms; i++)
        got[i] = all > 0 ? (double)(sim_vm_ran(m, i) - from[i]) / all : 0;
}

static double worst_error(const struct world *w, const double *got)
{
    double worst = 0;

    for (unsigned i = 0; i < w->m->vms; i++) {
        double error = w->fair[i] > 0 ? fabs(got[i] - w->fair[i]) * 100 : 0;

        worst = error > worst ? error : worst;
    }
    return worst;
}

static void mark(const struct sim *m, uint64_t *at)
{
    for (unsigned i = 0; i < m->vms; i++)
        at[i] = sim_vm_ran(m, i);
}

static void run_second(struct world *w, struct result *r)
{
    uint64_t second[SIM_VMS], step[SIM_VMS];
    double got[SIM_VMS];
    struct sim *m = w->m;

    mark(m, second);
    for (unsigned n = 0; n < STEPS; n++) {
        mark(m, step);
        sim_run(m, m->now + SIM_S / STEPS);
        window_shares(m, step, got);
        r->jain_100ms = fmin(r->jain_100ms, jain(w, got, m->vms));
    }
    window_shares(m, second, got);
    r->jain_1s = fmin(r->jain_1s, jain(w, got, m->vms));
    r->error_1s = fmax(r->error_1s, worst_error(w, got));
}

static void finish(struct world *w, struct result *r, const uint64_t *from, uint64_t ran,
                   uint64_t switched, uint64_t decides)
{
    struct sim *m = w->m;

    window_shares(m, from, r->share);
    for (unsigned i = 0; i < m->vms; i++) {
        if (w->fair[i] >= 0.05)
            r->relative = fmax(r->relative, fabs(r->share[i] / w->fair[i] - 1) * 100);
        r->gap_ms = fmax(r->gap_ms, (double)m->vm[i].gap_most / 1e6);
    }
    r->used = (double)(m->ran - ran) / (RUN_S * 1e9);
    r->switched = (double)(m->switched - switched) / (RUN_S * 1e9);
    r->decides = (double)(m->decides - decides) / RUN_S;
    r->p50 = (double)sim_wait_quantile(m, 0, 0.5) / 1e3;
    r->p99 = (double)sim_wait_quantile(m, 0, 0.99) / 1e3;
}

static struct result measure(const struct scenario *c, enum way way, struct sim *m)
{
    struct result r = { .jain_1s = 1, .jain_100ms = 1 };
    struct world w = { .m = m, .lever = way == SLICED };
    uint64_t from[SIM_VMS], ran, switched, decides;

    sim_init(m, 1, NULL);
    m->gated = way != BARE;
    sim_add_pool(m, 100);
    c->make(&w);
    sim_run(m, WARM_S * SIM_S);
    sim_keep_waits(m, 0, 200000);
    mark(m, from);
    ran = m->ran;
    switched = m->switched;
    decides = m->decides;
    for (unsigned s = 0; s < RUN_S; s++)
        run_second(&w, &r);
    finish(&w, &r, from, ran, switched, decides);
    sim_fini(m);
    return r;
}

static void print_shares(const struct sim *m, const struct result *r)
{
    for (unsigned i = 0; i < m->vms; i++)
        printf("%s%.1f", i ? " " : "  ", 100 * r->share[i]);
    printf("\n");
}

static void print_result(const struct scenario *c, enum way way, const struct sim *m,
                         const struct result *r)
{
    printf("%-22s %-11s %6.2f %6.2f %6.4f %6.4f %6.1f %6.1f %7.0f %7.0f %7.1f %6.0f", c->name,
           way_name[way], r->error_1s, r->relative, r->jain_1s, r->jain_100ms, 100 * r->used,
           100 * r->switched, r->p50, r->p99, r->gap_ms, r->decides);
    print_shares(m, r);
}

static bool keeps(const char *what, double value, double limit, bool at_least)
{
    if (limit == 0 || (at_least ? value >= limit : value <= limit))
        return true;
    printf("    broken: %s is %.4g, %s %.4g\n", what, value, at_least ? "must reach" : "may be",
           limit);
    return false;
}

static bool keeps_limits(const struct result *r, const struct limits *l)
{
    bool ok = keeps("share error over 1 s", r->error_1s, l->error_1s, false);

    ok &= keeps("relative error of a share", r->relative, l->relative, false);
    ok &= keeps("fairness over 1 s", r->jain_1s, l->jain_1s, true);
    ok &= keeps("fairness over 100 ms", r->jain_100ms, l->jain_100ms, true);
    ok &= keeps("wasted GPU time, %", 100 * (1 - r->used), l->wasted, false);
    ok &= keeps("median wait, us", r->p50, l->p50, false);
    ok &= keeps("p99 of waits, us", r->p99, l->p99, false);
    ok &= keeps("longest gap, ms", r->gap_ms, l->gap_ms, false);
    return ok;
}

static bool run_case(const struct scenario *c, enum way way)
{
    static struct sim m;
    struct result r = measure(c, way, &m);

    print_result(c, way, &m, &r);
    if (m.broken)
        printf("    broken: %s\n", m.broken);
    return !m.broken && (way == BARE || keeps_limits(&r, way == GATED ? &c->gated : &c->sliced));
}

int main(int argc, char **argv)
{
    enum way first = argc > 1 && strcmp(argv[1], "-b") == 0 ? BARE : GATED;
    const char *name = argc > 1 && argv[argc - 1][0] != '-' ? argv[argc - 1] : NULL;
    bool ok = true;

    printf("%-22s %-11s %6s %6s %6s %6s %6s %6s %7s %7s %7s %6s  shares, %%\n", "case", "way",
           "err 1s", "rel %", "J 1s", "J100ms", "used %", "lost %", "p50 us", "p99 us", "gap ms",
           "dec/s");
    for (unsigned i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (name && !strstr(scenarios[i].name, name))
            continue;
        for (enum way way = first; way <= SLICED; way++)
            ok &= run_case(&scenarios[i], way);
    }
    return !ok;
}
