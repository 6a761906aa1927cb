/* SPDX-License-Identifier: MIT */
/*
 * Turns end where the hardware's slices may end, too, or not: that depends on weights and on how long
 * kernels are, and is the same turn after turn. So VMs that always have work share the simulated GPU for
 * kernels of 150 to 400 us, and the worst length counts as well as the mean.
 */
#include <math.h>
#include <stdio.h>

#include "sim.h"

#define FROM_US 150u
#define TO_US   400u
#define STEP_US 10u
#define RUN_S   4u

struct shares {
    const char *name;
    unsigned vms;
    unsigned weight[8];
};

static const struct shares cases[] = {
    { "1:1", 2, { 50, 50 } },
    { "70:30", 2, { 70, 30 } },
    { "80:50", 2, { 80, 50 } },
    { "1:2:4:8", 4, { 10, 20, 40, 80 } },
    { "8 equal", 8, { 9, 9, 9, 9, 9, 9, 9, 9 } },
    { "8 random", 8, { 31, 39, 14, 92, 52, 63, 20, 12 } },
};

/* What each VM has used, or was charged. */
struct times {
    double ran[8], charged[8];
};

static void look(struct sim *m, struct times *t)
{
    for (unsigned i = 0; i < m->vms; i++) {
        t->ran[i] = (double)sim_vm_ran(m, i);
        t->charged[i] = (double)m->vm[i].core.charged_ns;
    }
}

static double part(const double *now, const double *then, unsigned n, unsigned i)
{
    double all = 0;

    for (unsigned j = 0; j < n; j++)
        all += now[j] - then[j];
    return all > 0 ? (now[i] - then[i]) / all : 0;
}

static void begin(struct sim *m, const struct shares *c, unsigned us, bool slow)
{
    sim_init(m, 1, NULL);
    if (slow)
        sim_costs_slow(&m->costs);
    sim_add_pool(m, 100);
    for (unsigned i = 0; i < c->vms; i++) {
        struct sim_load load = { .op = us * SIM_US, .jitter = 1, .depth = 16, .think = 10 * SIM_US };

        sim_add_proc(m, sim_add_vm(m, 0, VG_CLASS_MEDIUM, c->weight[i]), &load, false);
    }
    sim_run(m, SIM_S);
}

/* Points off in the worst second; and of what was charged beside what was used, in all of them. */
static double measure(struct sim *m, const struct shares *c, unsigned us, bool slow, double *told)
{
    struct times first, before, now;
    double weights = 0, worst = 0;

    begin(m, c, us, slow);
    for (unsigned i = 0; i < c->vms; i++)
        weights += c->weight[i];
    look(m, &first);
    for (unsigned s = 0; s < RUN_S; s++) {
        look(m, &before);
        sim_run(m, m->now + SIM_S);
        look(m, &now);
        for (unsigned i = 0; i < c->vms; i++)
            worst = fmax(worst, fabs(part(now.ran, before.ran, c->vms, i) - c->weight[i] / weights) * 100);
    }
    for (unsigned i = 0; i < c->vms; i++)
        *told = fmax(*told, fabs(part(now.ran, first.ran, c->vms, i) -
                                 part(now.charged, first.charged, c->vms, i)) * 100);
    if (m->broken)
        printf("    broken: %s\n", m->broken);
    sim_fini(m);
    return worst;
}

static bool run_case(const struct shares *c, bool slow)
{
    static struct sim m;
    double worst = 0, sum = 0, told = 0;
    unsigned n = 0, at = 0;
    bool ok = true;

    for (unsigned us = FROM_US; us <= TO_US; us += STEP_US, n++) {
        double error = measure(&m, c, us, slow, &told);

        ok &= !m.broken;
        at = error > worst ? us : at;
        worst = fmax(worst, error);
        sum += error;
    }
    printf("%-9s %-9s  worst %.2f at %u us, mean %.2f, charged %.2f\n", c->name, slow ? "slow host" : "", worst,
           at, sum / n, told);
    return ok && worst <= 1.5 && sum / n <= 1.0 && told <= 1.0;
}

int main(void)
{
    bool ok = true;

    printf("points off: worst second of all lengths, mean of their worst seconds; charged beside used\n");
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok &= run_case(&cases[i], false);
        ok &= run_case(&cases[i], true);
    }
    return !ok;
}
