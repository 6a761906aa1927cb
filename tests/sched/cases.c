/* SPDX-License-Identifier: MIT */
/*
 * A million small worlds at random, each held to what must hold in every world:
 * charges are the time that was used, nobody starves, the GPU is not idle while
 * somebody waits for it, nobody runs ahead of or behind his share by more than turns
 * explain. A failure prints its seed and the fewest processes it still fails with:
 *     check-sched-sim --seed N      one world again
 *     check-sched-sim --cases N     fewer or more of them
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mediator/sched/core.h"
#include "sim.h"

#define CASES     1000000u
#define SECONDS   150u          /* a machine that is too slow for all of them does what it can */
#define LONG_EACH 2000u         /* one in so many is long enough to grow old in */
#define PROCS_MAX 8u

struct spec {
    struct sim_load load;
    unsigned vm;
};

struct world {
    uint64_t seed;
    unsigned pools, vms, procs;
    unsigned pool[SIM_VMS], class_[SIM_VMS], weight[SIM_VMS], share[SIM_POOLS];
    struct spec proc[PROCS_MAX];
    unsigned mask;              /* of processes that take part */
    bool lever, mixed, steady;
    uint64_t length, change_at;
    unsigned changed, new_class, new_weight;
};

static struct sim m;

/* ---- a world at random ---- */

static uint64_t rnd(uint64_t *rng, uint64_t low, uint64_t high)
{
    uint64_t z = *rng += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    return low + z % (high - low + 1);
}

static bool chance(uint64_t *rng, unsigned in)
{
    return rnd(rng, 1, in) == 1;
}

/* Between low and low * 2^doublings, every size as likely. */
static uint64_t spread(uint64_t *rng, uint64_t low, unsigned doublings)
{
    uint64_t x = low << rnd(rng, 0, doublings - 1);

    return rnd(rng, x, 2 * x);
}

static struct sim_load random_load(uint64_t *rng, bool steady)
{
    struct sim_load l = {
        .op = spread(rng, 60 * SIM_US, 6),
        .jitter = (unsigned)rnd(rng, 0, 30),
        .depth = (unsigned)rnd(rng, 1, 12),
        .think = spread(rng, 5 * SIM_US, 3),
    };

    if (steady) {
        l.depth += 4;
        return l;
    }
    if (chance(rng, 8))
        l.think = spread(rng, 60 * SIM_US, 4);
    l.start = chance(rng, 3) ? rnd(rng, 0, 6 * SIM_MS) : 0;
    l.stop = chance(rng, 6) ? rnd(rng, 7 * SIM_MS, 15 * SIM_MS) : 0;
    l.unknown = chance(rng, 8);
    l.endless = chance(rng, 20);
    if (chance(rng, 4)) {
        l.on = spread(rng, 100 * SIM_US, 6);
        l.off = spread(rng, 20 * SIM_US, 8);
    }
    if (chance(rng, 8))
        l.period = spread(rng, 300 * SIM_US, 5);
    if (chance(rng, 30))
        l.deaf = spread(rng, 50 * SIM_US, 7);
    return l;
}

static void random_vms(struct world *w, uint64_t *rng)
{
    static const unsigned weights[] = { 1, 2, 5, 10, 25, 50, 60, 80, 100 };

    w->pools = w->steady || !chance(rng, 4) ? 1 : 2;
    for (unsigned i = 0; i < w->pools; i++)
        w->share[i] = (unsigned)rnd(rng, 1, 100);
    w->vms = (unsigned)rnd(rng, 1, 5);
    for (unsigned i = 0; i < w->vms; i++) {
        w->pool[i] = (unsigned)rnd(rng, 0, w->pools - 1);
        w->class_[i] = w->steady ? VG_CLASS_MEDIUM : (unsigned)rnd(rng, 0, VG_CLASSES - 1);
        w->weight[i] = weights[rnd(rng, 0, 8)];
    }
}

static struct world random_world(uint64_t seed)
{
    uint64_t rng = seed * 0x2545f4914f6cdd1dull + 1;
    struct world w = { .seed = seed, .mask = ~0u };
    bool crowd;

    w.steady = chance(&rng, 4);
    w.lever = chance(&rng, 2);
    w.mixed = chance(&rng, 8);
    random_vms(&w, &rng);
    w.procs = w.vms + (w.steady ? 0 : (unsigned)rnd(&rng, 0, 2));
    crowd = !w.steady && chance(&rng, 16);  /* the last VM is many processes */
    if (crowd)
        w.procs = PROCS_MAX;
    for (unsigned i = 0; i < w.procs; i++) {
        w.proc[i].vm = i < w.vms ? i : crowd ? w.vms - 1 : (unsigned)rnd(&rng, 0, w.vms - 1);
        w.proc[i].load = random_load(&rng, w.steady);
    }
    w.length = spread(&rng, 4 * SIM_MS, 2);
    if (seed % LONG_EACH == 0)
        w.length = 3 * SIM_S;
    if (!w.steady && chance(&rng, 5)) {
        w.change_at = w.length / 2;
        w.changed = (unsigned)rnd(&rng, 0, w.vms - 1);
        w.new_class = (unsigned)rnd(&rng, 0, VG_CLASSES - 1);
        w.new_weight = (unsigned)rnd(&rng, 1, 100);
    }
    return w;
}

static void slow_down(struct sim_costs *c, uint64_t *rng)
{
    c->ring_max = spread(rng, 10 * SIM_US, 3);
    c->gate_max = spread(rng, 5 * SIM_US, 3);
    c->meter_max = spread(rng, 2 * SIM_US, 3);
    c->ring_min = c->ring_max / 3;
    c->gate_min = c->gate_max / 3;
}

static void build(const struct world *w)
{
    uint64_t rng = w->seed + 77;

    sim_init(&m, w->seed, NULL);
    slow_down(&m.costs, &rng);
    for (unsigned i = 0; i < w->pools; i++)
        sim_add_pool(&m, w->share[i]);
    for (unsigned i = 0; i < w->vms; i++)
        sim_add_vm(&m, w->pool[i], (enum vg_sched_class)w->class_[i], w->weight[i]);
    for (unsigned i = 0; i < w->procs; i++) {
        bool lever = w->mixed ? chance(&rng, 2) : w->lever;

        if (w->mask & (1u << i))
            sim_add_proc(&m, w->proc[i].vm, &w->proc[i].load, lever);
    }
}

/* ---- what must hold ---- */

static bool any(const struct world *w, bool (*is)(const struct sim_load *l))
{
    for (unsigned i = 0; i < w->procs; i++) {
        if ((w->mask & (1u << i)) && is(&w->proc[i].load))
            return true;
    }
    return false;
}

static bool is_deaf(const struct sim_load *l)     { return l->deaf; }
static bool is_killed(const struct sim_load *l)   { return l->stop; }

/*
 * Time is charged in full, but for what is not reported yet; that it is charged once is
 * watched at every decision. One process alone pays for what it used, and no more.
 */
static const char *check_conservation(const struct world *w)
{
    uint64_t used = m.union_busy + (m.busy_procs ? m.now - m.union_since : 0);
    uint64_t late = m.costs.meter_max + m.costs.stale, open = 2 * SIM_MS;

    if (m.procs == 1 && m.core.busy_ns > used + (m.proc[0].ops + 1) * late)
        return "no more is charged than was used";
    if (m.core.mode == VG_SCHED_SHARED && !any(w, is_killed) &&
        m.core.busy_ns + m.core.tuning.quantum_max + open < used - used / 50)
        return "all that was used is charged";
    return NULL;
}

/* Idle with somebody held back: never for longer than a hand-over takes, and a thought. */
static const char *check_work(const struct world *w)
{
    uint64_t most = m.core.tuning.hold + m.core.tuning.think_most + m.costs.ring_max +
                    m.costs.gate_max + m.costs.meter_max + m.costs.stale + 20 * SIM_US;

    if (!any(w, is_deaf) && m.starved_most > most)
        return "the GPU is not idle while somebody waits";
    return NULL;
}

static uint64_t longest_op(const struct world *w)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < w->procs; i++)
        most = vg_max64(most, w->proc[i].load.op * (100 + w->proc[i].load.jitter) / 100);
    return most;
}

/* Whoever waits has the GPU again after its age, and what runs then. */
static const char *check_gaps(const struct world *w)
{
    uint64_t most = m.core.tuning.age + m.procs * (longest_op(w) + 30 * SIM_MS);

    for (unsigned i = 0; i < m.vms; i++) {
        uint64_t open = m.vm[i].want_since ? m.now - m.vm[i].want_since : 0;

        if (!any(w, is_deaf) && vg_max64(open, m.vm[i].gap_most) > most)
            return "nobody starves";
    }
    return NULL;
}

/* Beside its place by no more than a turn, what was in flight, and what is forgiven. */
static const char *check_places(const struct world *w)
{
    (void)w;
    for (unsigned i = 0; i < m.vms; i++) {
        const struct vg_sched_vm *vm = &m.vm[i].core;
        int64_t ahead = vg_v_ahead(vm->v, vg_sched_level_of(vm)->vmin);

        if (vm->working && ahead < -(int64_t)vg_v_of(m.core.tuning.quantum, 1))
            return "nobody hoards credit";
        if (ahead > (int64_t)vg_v_of(m.core.tuning.debt + 10 * SIM_MS, vm->weight))
            return "debts are bounded";
    }
    return NULL;
}

/*
 * What a VM may be ahead or behind a fluid server: a turn, its window, a slice of the
 * hardware's beside that, and what it had started while it was alone.
 */
static double slack(const struct world *w, unsigned vm, double weights)
{
    const struct vg_sched_tuning *t = &m.core.tuning;
    double turn = (double)t->quantum * w->weight[vm] * m.vms / weights;
    double op = (double)w->proc[vm].load.op * 1.3, slice = t->slice_found_us * 1e3;

    turn = turn < (double)t->quantum_min ? (double)t->quantum_min : turn;
    turn = turn > (double)t->quantum_max ? (double)t->quantum_max : turn;
    return (turn + (w->proc[vm].load.depth + 2) * op + 3 * (double)t->window + slice) / w->weight[vm];
}

static double paid(const struct vg_sched_vm *vm)
{
    return (double)(vm->charged_ns - vm->free_ns);
}

static const char *check_lag(const struct world *w)
{
    double weights = 0;

    if (!w->steady || w->mask != ~0u)
        return NULL;
    for (unsigned i = 0; i < m.vms; i++)
        weights += w->weight[i];
    for (unsigned i = 0; i < m.vms; i++) {
        for (unsigned j = 0; j < m.vms; j++) {
            double x = paid(&m.vm[i].core) / w->weight[i];
            double y = paid(&m.vm[j].core) / w->weight[j];

            if (x - y > slack(w, i, weights) + slack(w, j, weights))
                return "shares stay near those of a fluid server";
        }
    }
    return NULL;
}

static const char *check_turns(const struct world *w)
{
    unsigned open = 0, running = 0;

    (void)w;
    for (unsigned i = 0; i < m.procs; i++) {
        const struct sim_proc *p = &m.proc[i];

        if (p->alive && p->core.grant.mode == VG_GRANT_OPEN && m.core.working > 1)
            open++;
        running += p->alive && p->core.state == VG_PROC_RUNNING;
    }
    if (open)
        return "no gate is open when two VMs have work";
    return running == m.core.running ? NULL : "turns are counted";
}

typedef const char *check_fn(const struct world *w);

static const char *run_world(const struct world *w)
{
    static check_fn *const checks[] = { check_conservation, check_work, check_gaps, check_places,
                                        check_lag, check_turns };
    const char *broken = NULL;

    build(w);
    if (w->change_at) {
        sim_run(&m, m.now + w->change_at);
        vg_sched_set_policy(&m.core, &m.vm[w->changed].core, m.vm[w->changed].core.pool,
                            (enum vg_sched_class)w->new_class, w->new_weight);
    }
    sim_run(&m, m.now + w->length - w->change_at);
    if (m.broken)
        return m.broken;
    for (unsigned i = 0; i < sizeof(checks) / sizeof(checks[0]) && !broken; i++)
        broken = checks[i](w);
    return broken;
}

/* ---- failures ---- */

static void shrink(struct world *w)
{
    for (unsigned i = 0; i < w->procs; i++) {
        struct world less = *w;

        less.mask &= ~(1u << i);
        if (run_world(&less))
            *w = less;
    }
}

static void describe(const struct world *w)
{
    for (unsigned i = 0; i < w->procs; i++) {
        const struct sim_load *l = &w->proc[i].load;
        unsigned vm = w->proc[i].vm;

        if (!(w->mask & (1u << i)))
            continue;
        printf("  vm %u pool %u class %u weight %u: op %.0f us +-%u%% depth %u think %.0f start %.1f ms"
               " stop %.1f on %.0f off %.0f period %.0f deaf %.0f%s%s\n", vm, w->pool[vm],
               w->class_[vm], w->weight[vm], l->op / 1e3, l->jitter, l->depth, l->think / 1e3,
               l->start / 1e6, l->stop / 1e6, l->on / 1e3, l->off / 1e3, l->period / 1e3,
               l->deaf / 1e3, l->unknown ? " unknown" : "", l->endless ? " endless" : "");
    }
}

static bool check_seed(uint64_t seed)
{
    struct world w = random_world(seed);
    const char *broken = run_world(&w);

    if (!broken)
        return true;
    printf("seed %llu: broken: %s\n", (unsigned long long)seed, broken);
    shrink(&w);
    broken = run_world(&w);
    printf("  with processes %#x still: %s (lever %d mixed %d, %.1f ms, change at %.1f ms)\n",
           w.mask & ((1u << w.procs) - 1), broken ? broken : "?", w.lever, w.mixed,
           w.length / 1e6, w.change_at / 1e6);
    describe(&w);
    fflush(stdout);
    return false;
}

/* ---- all of them, on all cores ---- */

static int run_part(uint64_t first, uint64_t step, uint64_t cases)
{
    time_t end = time(NULL) + SECONDS;
    unsigned failed = 0;
    uint64_t seed;

    for (seed = first; seed < cases && failed < 3; seed += step) {
        failed += !check_seed(seed);
        if (seed % 1024 < step && time(NULL) >= end)
            break;
    }
    if (seed < cases)
        printf("one of %llu parts ended at seed %llu\n", (unsigned long long)step,
               (unsigned long long)seed);
    return failed != 0;
}

static int run_all(uint64_t cases)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int status, failed = 0;

    for (long i = 0; i < cores; i++) {
        pid_t pid = fork();

        if (pid < 0)
            return 1;
        if (pid == 0)
            exit(run_part((uint64_t)i, (uint64_t)cores, cases));
    }
    while (wait(&status) > 0)
        failed |= status != 0;
    printf("%llu worlds%s\n", (unsigned long long)cases, failed ? ", some broken" : "");
    return failed;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--seed") == 0)
        return !check_seed(strtoull(argv[2], NULL, 10));
    if (argc == 3 && strcmp(argv[1], "--cases") == 0)
        return run_all(strtoull(argv[2], NULL, 10));
    return run_all(CASES);
}
