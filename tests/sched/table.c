/* SPDX-License-Identifier: MIT */
/*
 * Named cases on the simulated GPU, each with what it must keep, printed as a table:
 * once with hardware slices in the executors' hands, once without. `-b` adds the bare
 * hardware's slicing beside them; a word, last, only those cases whose names have it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "scenarios.h"

#define WARM_S 1u
#define RUN_S  5u
#define STEPS  10u      /* windows of 100 ms in a second */
#define SEEDS  3u       /* worlds of each case; what is told is the worst of them */

enum way { BARE, GATED, SLICED };

static const char *const way_name[] = { "bare", "gate", "gate+slices" };

/* What is measured of one run, after the warm-up. */
struct result {
    double share[SIM_VMS];          /* of all GPU time */
    double error_1s;                /* points, worst VM and window */
    double relative;                /* of shares of 5 % and more, over the run */
    double told;                    /* points between what VMs were charged and what they used, over the run */
    double jain_1s, jain_100ms;     /* weighted, worst window */
    double used;                    /* GPU time of ops / time */
    double p50, p99;                /* waiting of the first process's ops, us */
    double gap_ms;                  /* longest of any VM */
    double decides;                 /* per second */
    double switched;
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

/* Shares as they were charged against those that were used, the worst VM. */
static double told_wrong(const struct sim *m, const double *share, const uint64_t *charged)
{
    double all = 0, worst = 0;

    for (unsigned i = 0; i < m->vms; i++)
        all += (double)(m->vm[i].core.charged_ns - charged[i]);
    for (unsigned i = 0; i < m->vms && all > 0; i++)
        worst = fmax(worst, fabs((double)(m->vm[i].core.charged_ns - charged[i]) / all - share[i]) * 100);
    return worst;
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

static struct result measure(const struct scenario *c, enum way way, uint64_t seed, struct sim *m)
{
    struct result r = { .jain_1s = 1, .jain_100ms = 1 };
    struct world w = { .m = m, .lever = way == SLICED };
    uint64_t from[SIM_VMS], charged[SIM_VMS], ran, switched, decides;

    sim_init(m, seed, NULL);
    m->gated = way != BARE;
    sim_add_pool(m, 100);
    c->make(&w);
    sim_run(m, WARM_S * SIM_S);
    sim_keep_waits(m, 0, 200000);
    mark(m, from);
    for (unsigned i = 0; i < m->vms; i++)
        charged[i] = m->vm[i].core.charged_ns;
    ran = m->ran;
    switched = m->switched;
    decides = m->decides;
    for (unsigned s = 0; s < RUN_S; s++)
        run_second(&w, &r);
    finish(&w, &r, from, ran, switched, decides);
    r.told = m->gated ? told_wrong(m, r.share, charged) : 0;
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
    printf("%-22s %-11s %6.2f %6.2f %5.2f %6.4f %6.4f %6.1f %6.1f %7.0f %7.0f %7.1f %6.0f", c->name,
           way_name[way], r->error_1s, r->relative, r->told, r->jain_1s, r->jain_100ms, 100 * r->used,
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
    ok &= keeps("points charged beside what was used", r->told, l->told, false);
    ok &= keeps("fairness over 1 s", r->jain_1s, l->jain_1s, true);
    ok &= keeps("fairness over 100 ms", r->jain_100ms, l->jain_100ms, true);
    ok &= keeps("wasted GPU time, %", 100 * (1 - r->used), l->wasted, false);
    ok &= keeps("median wait, us", r->p50, l->p50, false);
    ok &= keeps("p99 of waits, us", r->p99, l->p99, false);
    ok &= keeps("longest gap, ms", r->gap_ms, l->gap_ms, false);
    return ok;
}

/* The worse of both; shares, and what is only told, of the first. */
static struct result worse(struct result a, const struct result *b)
{
    a.error_1s = fmax(a.error_1s, b->error_1s);
    a.relative = fmax(a.relative, b->relative);
    a.told = fmax(a.told, b->told);
    a.jain_1s = fmin(a.jain_1s, b->jain_1s);
    a.jain_100ms = fmin(a.jain_100ms, b->jain_100ms);
    a.used = fmin(a.used, b->used);
    a.p50 = fmax(a.p50, b->p50);
    a.p99 = fmax(a.p99, b->p99);
    a.gap_ms = fmax(a.gap_ms, b->gap_ms);
    return a;
}

static bool run_case(const struct scenario *c, enum way way, unsigned seeds)
{
    static struct sim m;
    struct result r;
    bool ok = true;

    for (unsigned seed = 1; seed <= seeds; seed++) {
        struct result one = measure(c, way, seed, &m);

        r = seed == 1 ? one : worse(r, &one);
        if (m.broken)
            printf("    broken: %s\n", m.broken);
        ok &= !m.broken;
    }
    print_result(c, way, &m, &r);
    return ok && (way == BARE || keeps_limits(&r, way == GATED ? &c->gated : &c->sliced));
}

int main(int argc, char **argv)
{
    enum way first = argc > 1 && strcmp(argv[1], "-b") == 0 ? BARE : GATED;
    const char *name = argc > 1 && argv[argc - 1][0] != '-' ? argv[argc - 1] : NULL;
    bool ok = true;

    printf("%-22s %-11s %6s %6s %5s %6s %6s %6s %6s %7s %7s %7s %6s  shares, %%\n", "case", "way",
           "err 1s", "rel %", "told", "J 1s", "J100ms", "used %", "lost %", "p50 us", "p99 us", "gap ms",
           "dec/s");
    for (unsigned i = 0; i < scenarios_count; i++) {
        if (name && !strstr(scenarios[i].name, name))
            continue;
        for (enum way way = first; way <= SLICED; way++)
            ok &= run_case(&scenarios[i], way, SEEDS);
    }
    return !ok;
}
