/* SPDX-License-Identifier: MIT */
/*
 * A GPU, its executors and the daemon on a virtual clock, around the real policy core.
 *
 * The GPU runs one context at a time, in slices when several have work, and pays for
 * each switch; the figures are those measured on an H200 (sim_costs_init). Executors
 * see completions, grants and rings late, by random delays. One struct sim is one
 * world; the same seed gives the same run. Single-threaded.
 */
#ifndef VG_TEST_SIM_H
#define VG_TEST_SIM_H

#include "mediator/sched/sched.h"

#define SIM_PROCS 64u
#define SIM_VMS   24u
#define SIM_POOLS 3u
#define SIM_OPS   64u       /* of one process: held back and in flight */

#define SIM_US 1000ull
#define SIM_MS 1000000ull
#define SIM_S  1000000000ull

struct sim_costs {
    uint64_t switch_cut;    /* from a context in the middle of a kernel */
    uint64_t switch_clean;  /* from one that has drained */
    uint64_t ring_min, ring_max;    /* executor rings, daemon decides */
    uint64_t gate_min, gate_max;    /* daemon grants, executor sees it */
    uint64_t meter_min, meter_max;  /* op completes, executor sees it */
    uint64_t slice;         /* from a grant until the driver has set the slice */
    uint64_t stale;         /* a look at a page finds it so old */
};

/* What a process does. */
struct sim_load {
    uint64_t op;            /* GPU time of an op */
    unsigned jitter;        /* per cent, up and down */
    unsigned depth;         /* ops outstanding at one time */
    uint64_t think;         /* from a completion to the next op, */
    unsigned wander;        /* per cent of it, up and down: in step with nothing */
    uint64_t period;        /* open loop: an op so often whatever completes; 0: closed */
    uint64_t on, off;       /* works for `on`, rests for `off`; 0: always on */
    uint64_t start, stop;   /* exists from, is killed at (0: never) */
    bool unknown;           /* its ops cannot be estimated */
    bool endless;           /* the first op never ends */
    uint64_t deaf;          /* its executor reacts so late to grants; 0: as all */
};

struct sim_op {
    uint64_t left, len, est;
    uint64_t arrived, given, started;
};

struct sim_proc {
    struct vg_sched_proc core;
    struct sim_load load;
    unsigned vm;
    bool alive, lever;

    struct sim_op op[SIM_OPS];      /* a ring: first `queued` on the GPU, then `held` at the gate */
    unsigned head, queued, held;
    uint64_t unseen_est[SIM_OPS];   /* of ops that are complete and not noticed */
    unsigned unseen_head, unseen;
    uint64_t last_end;              /* of its last complete op */

    /* The executor. */
    struct vg_grant grant;          /* as it sees it */
    unsigned slice_us;              /* as the driver has it; 0: as found */
    uint64_t flight_est;            /* of what it believes in flight */
    uint64_t flight_since;          /* the first of these runs since */
    uint64_t turn_busy;             /* busy time when the turn began */
    unsigned turn_started;
    uint64_t used_turn;
    bool rang_work, rang_used, rang_idle;
    bool busy;
    uint64_t busy_total, busy_since, idle_since, ops, estimate, took[2];
    uint64_t told_at, told_busy, told_ops;
    uint64_t step_at;               /* the one poll event that counts */

    /* What is measured. */
    uint64_t ran;                   /* real GPU time */
    uint64_t *wait;                 /* of each op, from arrival to the GPU; or NULL */
    unsigned waits, waits_max;
    uint64_t served;
};

struct sim_vm {
    struct vg_sched_vm core;
    unsigned pool;
    unsigned held;                  /* ops at the gates of its processes */
    uint64_t want_since;            /* it has such, and is not on the GPU; 0: no */
    uint64_t gap_most;
};

struct sim_event {
    uint64_t at;
    uint64_t order;
    uint32_t kind, proc;
};

struct sim {
    struct sim_costs costs;
    bool gated;                     /* false: bare hardware slicing, no core */
    unsigned pools, vms, procs;
    uint64_t rng, now, order;
    unsigned events;

    unsigned cur, last;             /* contexts; SIM_PROCS: none */
    bool switching;
    uint64_t phase_at, slice_end, gpu_at;
    uint64_t decide_at;             /* the one decision that counts */

    uint64_t ran, switched;         /* GPU time of ops, and lost in switches */
    uint64_t starved, starved_since, starved_most;  /* idle while somebody is held back */
    unsigned held;
    unsigned busy_procs;
    uint64_t union_busy, union_since;               /* somebody had work on the GPU */
    uint64_t decides, rings, grants;
    const char *broken;             /* the first promise that was broken */

    struct vg_sched core;
    struct vg_sched_pool pool[SIM_POOLS];
    struct sim_vm vm[SIM_VMS];
    struct sim_proc proc[SIM_PROCS];
    struct sim_event heap[SIM_PROCS * SIM_OPS];
};

void sim_costs_init(struct sim_costs *c);
/*
 * Hand-overs as slow as those of the H200's host with 16 busy processors: fitted to what two
 * always-busy VMs used of it together where turns overlapped by 0, 60, 100 and 200 us (95.0, 96.7,
 * 96.6 and 97.3 %; here 96.0, 96.4, 96.4 and 97.5).
 */
void sim_costs_slow(struct sim_costs *c);
void sim_init(struct sim *m, uint64_t seed, const struct vg_sched_tuning *t);
unsigned sim_add_pool(struct sim *m, unsigned share);
unsigned sim_add_vm(struct sim *m, unsigned pool, enum vg_sched_class class_, unsigned weight);
unsigned sim_add_proc(struct sim *m, unsigned vm, const struct sim_load *load, bool lever);
/* Runs up to `until`; stops at the first broken promise. */
void sim_run(struct sim *m, uint64_t until);
/* Frees the waiting times. */
void sim_fini(struct sim *m);

/* ---- between the files of the simulator ---- */

enum sim_kind { SIM_ARRIVE, SIM_BEGIN, SIM_KILL, SIM_GPU, SIM_NOTICE, SIM_GRANT, SIM_STEP, SIM_DECIDE,
                SIM_SLICE };

void sim_post(struct sim *m, uint64_t at, enum sim_kind kind, unsigned proc);
uint64_t sim_between(struct sim *m, uint64_t low, uint64_t high);
uint64_t sim_random(struct sim *m);

void sim_gpu_submit(struct sim *m, unsigned proc);      /* one more op is queued */
void sim_gpu_event(struct sim *m);
void sim_gpu_kill(struct sim *m, unsigned proc);
void sim_gpu_slice(struct sim *m, unsigned proc);       /* its slice has been set */
void sim_vm_looks(struct sim *m, unsigned vm);          /* keeps its want_since */

void sim_exec_begin(struct sim *m, unsigned proc);
void sim_exec_arrive(struct sim *m, unsigned proc);
void sim_exec_complete(struct sim *m, unsigned proc);   /* the GPU has, the executor will see */
void sim_exec_notice(struct sim *m, unsigned proc);
void sim_exec_step(struct sim *m, unsigned proc);
void sim_exec_grant(struct sim *m, unsigned proc);
void sim_exec_report(struct sim *m, unsigned proc);

uint64_t sim_vm_ran(const struct sim *m, unsigned vm);
void sim_keep_waits(struct sim *m, unsigned proc, unsigned most);
uint64_t sim_wait_quantile(struct sim *m, unsigned proc, double q);

#endif
