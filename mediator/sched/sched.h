/* SPDX-License-Identifier: MIT */
/*
 * Who may use one GPU, when, and for how long: the policy core. One struct
 * vg_sched stands for one GPU. README.md explains the algorithm and what it promises.
 *
 * Pure: no clock (`now` is passed in, ns of one monotonic clock, never going
 * back), no I/O, no allocation, no threads. All memory is the caller's: embed the
 * entities in your own objects; the fields under "private" are not yours. The same
 * calls with the same times give the same grants.
 *
 * pool -> class -> VM -> process. A pool has a share of the GPU, a VM a class and
 * a weight in its pool, the processes of a VM are equal.
 *
 * The driver's loop:
 *   1. something rang, or the time that decide() named has come;
 *   2. vg_sched_report() for every process that rang and every process whose grant
 *      is not VG_GRANT_CLOSED or that has work in flight;
 *   3. vg_sched_decide();
 *   4. while ((p = vg_sched_next_change(s))) put p->grant on p's gate page.
 */
#ifndef VG_SCHED_H
#define VG_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "mediator/base/list.h"

#define VG_SCHED_FOREVER    UINT64_MAX  /* a time that never comes, a budget without end */
#define VG_SCHED_WEIGHT_MAX 100u
#define VG_SCHED_PENDING    4u          /* measured spans of a process not charged yet */

enum vg_sched_class { VG_CLASS_HIGH, VG_CLASS_MEDIUM, VG_CLASS_LOW, VG_CLASSES };

/* ---- what a process may do ---------------------------------------------------------- */

enum vg_grant_mode {
    VG_GRANT_CLOSED,    /* start nothing more; what is in flight goes on */
    VG_GRANT_TURN,      /* start work within budget and window */
    VG_GRANT_OPEN       /* no limit: no other VM wants the GPU */
};

/*
 * What the executor shall ring for: once for each transition, and at once when a new
 * grant asks for what is already so.
 */
enum vg_grant_ask {
    VG_ASK_WORK = 1,    /* closed: something begins to wait; else: work begins after idleness */
    VG_ASK_USED = 2,    /* the budget is spent and at most lead_ns of it still in flight */
    VG_ASK_IDLE = 4     /* nothing waits and nothing is in flight, since hold_ns */
};

struct vg_grant {
    enum vg_grant_mode mode;
    unsigned ask;           /* of enum vg_grant_ask */
    uint64_t turn;          /* counts the turns of this process; a new number, a new budget */
    uint64_t budget_ns;     /* GPU time of this turn: start ops while measured + in flight
                             * (estimated) is below it; at least one op. May be FOREVER */
    uint64_t window_ns;     /* start an op only while less than this is in flight (estimated) */
    unsigned window_ops;    /* and fewer ops than this */
    uint64_t hold_ns;       /* idle for so long before ASK_IDLE rings */
    uint64_t lead_ns;       /* see VG_ASK_USED */
    unsigned slice_us;      /* hardware time slice of its work, where it can; 0: as found */
};

/* ---- what a process tells ----------------------------------------------------------- */

/*
 * One look at a process. [t0, t1] continues where its last report ended; busy_ns of
 * it the process had work on the GPU (a running period counts up to t1, not only up
 * to its last completion). Values that cannot be are cut to what can.
 */
struct vg_sched_report {
    uint64_t t0, t1;
    uint64_t busy_ns;
    uint64_t ops;           /* completed in it */
    uint64_t flight_ops;    /* started and not complete, at t1 */
    uint64_t flight_ns;     /* what they will still take, estimated; 0: unknown */
    bool waiting;           /* something is held back at its gate or would be if it were closed */
    uint64_t idle_since;    /* nothing waits and nothing is in flight since then; 0: not idle */
    uint64_t used_turn;     /* the last turn whose budget it has spent; 0: none */
};

/* ---- entities ----------------------------------------------------------------------- */

struct vg_sched;

struct vg_sched_level {         /* private: one class of one pool */
    int64_t credit;             /* ns of GPU time that its floor owes it */
    unsigned working;           /* VMs with work */
    unsigned weights;           /* of these, together */
    uint64_t vmin;              /* virtual time that all working VMs have reached */
};

struct vg_sched_pool {
    /* private */
    struct vg_list link;
    struct vg_list vms;
    unsigned share;
    uint64_t v;
    unsigned working;           /* VMs with work */
    unsigned top;               /* the highest class that keeps lower ones waiting, or VG_CLASSES */
    struct vg_sched_level level[VG_CLASSES];
};

struct vg_sched_vm {
    uint64_t charged_ns;        /* GPU time so far; yours to read */
    /* private */
    struct vg_list link;        /* in its pool */
    struct vg_list procs;
    struct vg_sched_pool *pool;
    enum vg_sched_class class_;
    unsigned weight;
    uint64_t free_ns;           /* of charged_ns, what it need not pay: switches to it */
    uint64_t v, vmin;           /* its own, and what its working processes have all reached */
    unsigned attached, working; /* processes; of these, with work */
    uint64_t served_at;         /* last time it was on the GPU or began to want it */
    uint64_t served_busy;       /* busy_ns of all then */
    uint64_t left_at;           /* it had no work any more then; 0: it never had any */
    uint64_t woke_at;           /* it came from a pause then */
};

enum vg_sched_state {
    VG_PROC_IDLE,       /* has nothing to do */
    VG_PROC_WAITING,    /* something waits at its gate, nothing in flight */
    VG_PROC_RUNNING,    /* has a turn */
    VG_PROC_DRAINING,   /* its turn is over, work still in flight */
    VG_PROC_STATES
};

struct vg_sched_span {          /* private */
    uint64_t t0, t1, busy;
};

enum vg_sched_kind { VG_TURN_FAIR, VG_TURN_FLOOR, VG_TURN_AGED, VG_TURN_SOLO };

struct vg_sched_proc {
    struct vg_grant grant;      /* yours to read */
    uint64_t charged_ns;        /* GPU time so far; yours to read */
    uint64_t stuck_ns;          /* of this, since it last completed an op (for a watchdog) */
    /* private */
    struct vg_list link;        /* in its VM */
    struct vg_list all;         /* in the scheduler */
    struct vg_list live;        /* in the scheduler, while it has work or spans */
    struct vg_list changed;     /* the grant is new */
    struct vg_sched_vm *vm;
    enum vg_sched_state state;
    bool lever;
    bool waiting;               /* as last reported, and the three below */
    uint64_t flight_ops, flight_ns;
    uint64_t idle_since;
    uint64_t used_turn;
    uint64_t v;
    struct vg_sched_span span[VG_SCHED_PENDING];
    unsigned spans;
    uint64_t op_ns;             /* GPU time of an op, a moving mean */
    uint64_t told_at;           /* t1 of the last report */
    uint64_t thinks_since;      /* it has had nothing to do since then; 0: it has */
    uint64_t think_ns;          /* moving mean */
    uint64_t burst_ns, burst_from;  /* GPU time between two such; charged_ns at the last */
    enum vg_sched_kind kind;    /* of its turn */
    bool fresh;                 /* its next grant begins a turn */
    bool renew;                 /* its turn is just over, and it could use another */
    uint64_t budget;
    uint64_t turn_at, turn_used, turn_gap;
    uint64_t turn_told;         /* for how long it says that it had work on the GPU */
    uint64_t turn_free;         /* of this turn, what nobody pays for */
    uint64_t lead;              /* of this turn; see the tuning */
    bool handed;                /* it began at another's end, and has given the GPU nothing yet */
    uint64_t began_at;          /* it has, then; 0: not known yet */
    uint64_t turn_expected;     /* GPU time of this turn when what is in flight has ended; 0: unknown */
    uint64_t overrun;           /* charged since its turn was over */
    uint64_t use;               /* of one segment of time, while that is charged */
    unsigned hog_us;            /* slice that holds a kernel that does not end to its part; 0: none */
    uint64_t hog_at;            /* no longer one was due then */
    uint64_t drain_at;          /* its turn was over, and something in flight, since then */
    bool drains_soon;           /* then so little was that its end was near */
    unsigned cuts;              /* how many such rests the end of a hardware slice has cut */
    uint64_t not_before;        /* it left a turn unused: no other until then */
    uint64_t backoff;
};

/* ---- settings ----------------------------------------------------------------------- */

/* All ns unless they say otherwise. tuning.c has the defaults and why. */
struct vg_sched_tuning {
    uint64_t quantum;           /* a turn of a VM of mean weight */
    uint64_t quantum_min, quantum_max;
    uint64_t cycle;             /* many VMs: shorter turns, so that all have one in so long */
    uint64_t quantum_lower;     /* at most, below a class that has lately worked */
    uint64_t window;            /* in flight */
    uint64_t window_lower;      /* the same, below a class that has lately worked */
    unsigned window_ops, window_ops_lower;
    uint64_t handover;          /* at the beginning of a turn: free */
    uint64_t lead, lead_most;   /* the next turn begins when so much of the last is left: as it is found */
    uint64_t hold;              /* an idle process keeps its turn for at most so long */
    uint64_t think_most;        /* one that comes back sooner keeps its place, if it then uses 16 times as much */
    uint64_t stall;             /* a turn that is not begun within it goes to the next */
    uint64_t lag;               /* reports are at most so late */
    uint64_t open_after;        /* idle for so long: gates stand open */
    uint64_t linger;            /* "lately"; alone for so long: no limits */
    unsigned crowd;             /* beside other VMs at most so many processes of one run at a time */
    uint64_t floor_quantum;     /* a turn paid by a floor or by age */
    uint64_t kernel_long;       /* without long slices: no kernel of a peer is waited for that is longer, */
    uint64_t newcomer;          /* nor any by one who has had work for less than that */
    uint64_t patience;          /* it waits for a kernel of a higher class, but not longer */
    unsigned floor_ppm[VG_CLASSES];     /* of the pool's time, where a higher class has work */
    uint64_t age;               /* a VM that has waited for so long is next */
    uint64_t debt;              /* overuse beyond so much of its time is forgotten */
    unsigned slice_short_us;    /* below a class that is about */
    unsigned slice_long_us;     /* above one, and of kernels that run beside each other */
    unsigned slice_found_us;    /* else, and without the lever */
    uint64_t hog;               /* a kernel that has used so much without an end gets its own slice, */
    uint64_t hog_op;            /* and so does one whose kernels use so much */
    uint64_t hog_settle;        /* a longer one when it has been due for so long */
    uint64_t slice_linger;      /* what was so in the last so long is so */
};

void vg_sched_tuning_init(struct vg_sched_tuning *t);

enum vg_sched_mode {
    VG_SCHED_QUIET,     /* nobody has work */
    VG_SCHED_SOLO,      /* one VM has */
    VG_SCHED_CROWD,     /* one VM has, in so many processes that they take turns */
    VG_SCHED_ALONE,     /* one VM has, and nobody else had for a while */
    VG_SCHED_SHARED,    /* several have: they take turns */
    VG_SCHED_MODES
};

struct vg_sched {
    struct vg_sched_tuning tuning;
    uint64_t busy_ns;           /* GPU time charged to anybody; yours to read */
    uint64_t turns;             /* turns of SHARED begun; yours to read */
    /* private */
    struct vg_list pools, all, live, changes;
    uint64_t settled;           /* everything before is charged */
    struct vg_sched_proc *on;   /* then on the GPU, as far as is known */
    uint64_t on_left;           /* of its slice */
    enum vg_sched_mode mode;
    uint64_t mode_since;
    struct vg_sched_vm *solo;   /* who has the GPU in SOLO, CROWD and ALONE */
    unsigned working, attached; /* VMs */
    unsigned running;           /* processes that have a turn */
    unsigned class_working[VG_CLASSES], class_attached[VG_CLASSES];     /* VMs, of all pools */
    uint64_t worked_at[VG_CLASSES];
    uint64_t lead;              /* as hand-overs have lately needed it */
    uint64_t ended_at;          /* the last end of all that a process had in flight */
    const struct vg_sched_vm *woke;     /* the last VM that came from a pause; compared, never followed */
    uint64_t woke_at, woke_before;      /* when it did, and the last other one; 0: never */
    uint64_t overran_at;        /* last time that somebody ran beside a kernel longer than its turn */
    uint64_t vmin;              /* of the pools */
};

/* ---- calls -------------------------------------------------------------------------- */

/* NULL: the defaults. Nothing to free: forget it when no entity is left. */
void vg_sched_init(struct vg_sched *s, const struct vg_sched_tuning *tuning, uint64_t now);

/* `share` counts against the other pools of this GPU, from 1 on. */
void vg_sched_add_pool(struct vg_sched *s, struct vg_sched_pool *pool, unsigned share);
void vg_sched_set_share(struct vg_sched *s, struct vg_sched_pool *pool, unsigned share);
void vg_sched_remove_pool(struct vg_sched *s, struct vg_sched_pool *pool);  /* empty */

/* A VM belongs to the scheduler of its pool; to move it to another, remove it there. */
void vg_sched_add_vm(struct vg_sched *s, struct vg_sched_vm *vm, struct vg_sched_pool *pool,
                     enum vg_sched_class class_, unsigned weight);
/* All three at once, also under load; the next decide() goes by them. */
void vg_sched_set_policy(struct vg_sched *s, struct vg_sched_vm *vm, struct vg_sched_pool *pool,
                         enum vg_sched_class class_, unsigned weight);
void vg_sched_remove_vm(struct vg_sched *s, struct vg_sched_vm *vm);        /* no processes left */

/* A new process has nothing to do; its first grant comes out of the next decide(). */
void vg_sched_add_proc(struct vg_sched *s, struct vg_sched_vm *vm, struct vg_sched_proc *proc,
                       uint64_t now);
/* Also in the middle of a turn (killed). */
void vg_sched_remove_proc(struct vg_sched *s, struct vg_sched_proc *proc, uint64_t now);
/* Whether its executor can set hardware slices; false to begin with. */
void vg_sched_set_lever(struct vg_sched *s, struct vg_sched_proc *proc, bool works);

void vg_sched_report(struct vg_sched *s, struct vg_sched_proc *proc,
                     const struct vg_sched_report *r, uint64_t now);

/* Brings all grants up to date; returns when to call again if nothing rings before. */
uint64_t vg_sched_decide(struct vg_sched *s, uint64_t now);

/* One process whose grant has changed since it was last returned here, or NULL. */
struct vg_sched_proc *vg_sched_next_change(struct vg_sched *s);

/* Whether it, or its pool, has had more than others that are there, so that it pays when it comes back. */
bool vg_sched_owes(const struct vg_sched *s, const struct vg_sched_vm *vm);

/* What the VM may have of the GPU now, in millionths, given who has work. */
unsigned vg_sched_entitled(const struct vg_sched *s, const struct vg_sched_vm *vm);

#endif
