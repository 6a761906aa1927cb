/* SPDX-License-Identifier: MIT */
/*
 * Changes under load on the simulated GPU: how long until shares of 20 ms each are, and
 * stay for half a second, within eight points of what is right. Weight, class, a VM that
 * comes, one that goes, one that is killed in the middle of a kernel.
 */
#include <math.h>
#include <stdio.h>

#include "sim.h"

#define STEP   (20 * SIM_MS)
#define STEPS  50u
#define STAY   25u
#define LIMIT  500u     /* ms, promised */
#define POINTS 8.0

static struct sim m;

struct change {
    const char *name;
    void (*make)(void);
    double right[3];    /* shares after it */
};

static const struct sim_load busy = { .op = 300 * SIM_US, .depth = 16, .think = 10 * SIM_US,
                                      .jitter = 10 };

static void add(enum vg_sched_class class_, unsigned weight, struct sim_load load)
{
    sim_add_proc(&m, sim_add_vm(&m, 0, class_, weight), &load, true);
}

static void set(unsigned vm, enum vg_sched_class class_, unsigned weight)
{
    vg_sched_set_policy(&m.core, &m.vm[vm].core, &m.pool[0], class_, weight);
}

static void two(void)
{
    add(VG_CLASS_MEDIUM, 50, busy);
    add(VG_CLASS_MEDIUM, 50, busy);
    sim_run(&m, SIM_S);
}

static void weight(void)
{
    two();
    set(0, VG_CLASS_MEDIUM, 90);
    set(1, VG_CLASS_MEDIUM, 10);
}

static void class_up(void)
{
    two();
    set(1, VG_CLASS_HIGH, 50);
}

static void join(void)
{
    struct sim_load later = busy;

    later.start = SIM_S - SIM_MS;
    add(VG_CLASS_MEDIUM, 50, busy);
    add(VG_CLASS_MEDIUM, 50, later);
    sim_run(&m, SIM_S);
}

static void leave(void)
{
    struct sim_load until = busy;

    until.stop = SIM_S - SIM_MS;
    add(VG_CLASS_MEDIUM, 50, busy);
    add(VG_CLASS_MEDIUM, 50, busy);
    add(VG_CLASS_MEDIUM, 50, until);
    sim_run(&m, SIM_S);
}

static void killed(void)
{
    struct sim_load hog = { .op = SIM_MS, .depth = 1, .endless = true, .stop = SIM_S - SIM_MS };

    add(VG_CLASS_MEDIUM, 50, busy);
    add(VG_CLASS_MEDIUM, 50, busy);
    add(VG_CLASS_MEDIUM, 50, hog);
    sim_run(&m, SIM_S);
}

static const struct change changes[] = {
    { "weight 50 to 90", weight, { 0.9, 0.1, 0 } },
    { "medium to high", class_up, { 0.062, 0.938, 0 } },
    { "a VM comes", join, { 0.5, 0.5, 0 } },
    { "a VM goes", leave, { 0.5, 0.5, 0 } },
    { "an endless one is killed", killed, { 0.5, 0.5, 0 } },
};

/* ---- measuring ---- */

static bool right_now(const struct change *c, const uint64_t *from)
{
    double all = 0, worst = 0;

    for (unsigned i = 0; i < m.vms; i++)
        all += (double)(sim_vm_ran(&m, i) - from[i]);
    for (unsigned i = 0; i < m.vms; i++) {
        double off = fabs((double)(sim_vm_ran(&m, i) - from[i]) / all - c->right[i]) * 100;

        worst = off > worst ? off : worst;
    }
    return worst <= POINTS;
}

/* Windows of three steps, as a turn may be longer than one. Steps until it stays right. */
static unsigned settle(const struct change *c)
{
    uint64_t from[4][3] = { { 0 } };
    unsigned since = 3;

    for (unsigned n = 0; n < STEPS; n++) {
        for (unsigned i = 0; i < m.vms; i++)
            from[n % 4][i] = sim_vm_ran(&m, i);
        sim_run(&m, m.now + STEP);
        if (n >= 3 && !right_now(c, from[(n + 2) % 4]))
            since = n;
        if (n - since >= STAY)
            break;
    }
    return since + 1;
}

int main(void)
{
    bool ok = true;

    for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct change *c = &changes[i];
        unsigned ms;

        sim_init(&m, 1, NULL);
        sim_add_pool(&m, 100);
        c->make();
        ms = settle(c) * (unsigned)(STEP / SIM_MS);
        printf("%-26s settled after %u ms%s\n", c->name, ms, m.broken ? ", broken" : "");
        ok &= ms <= LIMIT && !m.broken;
        sim_fini(&m);
    }
    return !ok;
}
