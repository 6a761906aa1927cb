/* SPDX-License-Identifier: MIT */
/*
 * How the daemon and one executor share the GPU's turns. When the executor may give work to the GPU
 * stands on a page that only the daemon writes (vg_orders.h); what it has given, on this one, a
 * memfd of the daemon's too. Zeroed both, which means OPEN: an executor that nobody schedules
 * never waits.
 *
 * Each line of 64 bytes has one writer. Words are 64 bits, stored relaxed unless said
 * otherwise, and are read one by one: a set of them is no consistent snapshot, but for
 * the grant, which a sequence number guards. Times are CLOCK_MONOTONIC in ns.
 *
 * What the executor says are claims of something that a guest may have taken over. The
 * daemon clamps them (no more busy time than time has passed), never uses one as an
 * index or a length, and takes a turn away by its own clock.
 */
#ifndef VG_GATE_H
#define VG_GATE_H

#include <stdint.h>

#define VG_GATE_SIZE 4096u /* of the memfd, bytes */

enum vg_gate_mode {
    VG_GATE_OPEN,   /* as if there were no gate */
    VG_GATE_TURN,   /* within the budget and the window below */
    VG_GATE_CLOSED, /* what comes waits */
    VG_GATE_MODES
};

/*
 * What rings the daemon, if it asks for it: each once when it becomes so, and at once when a new
 * grant asks for what is so already.
 */
#define VG_GATE_ASK_WORK 1u /* CLOSED: a record waits; else: work has begun after idleness */
#define VG_GATE_ASK_USED 2u /* the budget is spent, and at most lead_us of it still to come */
#define VG_GATE_ASK_IDLE 4u /* nothing waits and nothing is in flight, for hold_us already */

/* ---- The daemon writes: one line, on the page of vg_orders.h ---- */

struct vg_gate_grant {
    uint32_t seq;        /* odd while the rest changes; goes up by two with each change */
    uint32_t mode;       /* enum vg_gate_mode */
    uint64_t turn;       /* number of the turn, of this executor's: a new one is a new budget */
    uint64_t budget_ns;  /* GPU time that may be begun in this turn; one call in any case */
    uint64_t window_ns;  /* of it in flight at a time, by estimate */
    uint32_t window_ops; /* calls in flight at a time */
    uint32_t ask;        /* of VG_GATE_ASK_* */
    uint32_t hold_us, lead_us;
    uint32_t slice_us;   /* time slice for the process's channel groups; 0: as they were */
    uint32_t unmeasured; /* bool: nobody asks what the process uses, so it need not know */
    uint32_t reserved[2];
};

/* ---- The executor writes: how things stand, what it adds up, what is done beside; a line each ---- */

struct vg_gate_now {
    uint64_t used_turn;    /* the last turn whose budget it has spent; 0: none */
    uint64_t waits_since;  /* a record has waited at the gate since then; 0: none */
    uint64_t in_flight;    /* calls given to the GPU, and not known to have ended. What waits for a
                              host function of the guest does not count. */
    uint64_t in_flight_ns; /* what they will still take, by estimate */
    uint64_t busy_since;   /* something has been in flight since then; 0: nothing is */
    uint64_t idle_since;   /* nothing waits, nothing is in flight; 0: not idle */
    uint32_t pending;      /* bool: there are records in the ring, or one waits */
    uint32_t asleep;       /* bool: its doorbell must ring before it sees a new grant */
    uint32_t seq;          /* of the grant that it acts on */
    uint32_t slice;        /* enum vg_gate_slice */
};

enum vg_gate_slice { VG_GATE_SLICE_UNKNOWN, VG_GATE_SLICE_WORKS, VG_GATE_SLICE_FAILS };

struct vg_gate_sum {
    uint64_t busy_ns;  /* GPU time: of all intervals with something in flight that have ended */
    uint64_t progress; /* goes up whenever some work is known to have ended */
    uint64_t ops;      /* calls of which that is known */
    uint64_t wait_ns;  /* that records waited at the gate */
    uint64_t turns;    /* in which it gave the GPU work */
    uint32_t seq;      /* odd while busy_ns, and busy_since above, change together */
    uint32_t reserved[5];
};

struct vg_gate_beside { /* its thread beside the serve thread, see aside.h, writes it */
    uint64_t since;    /* it has been at one piece of work since then; 0: at none */
    uint64_t reserved[7];
};

struct vg_gate {
    struct vg_gate_beside beside;
    struct vg_gate_now now;
    struct vg_gate_sum sum;
    uint64_t spare[VG_GATE_SIZE / 8 - 3 * 8];
};

typedef char vg_assert_gate_grant[sizeof(struct vg_gate_grant) == 64 ? 1 : -1];
typedef char vg_assert_gate_now[sizeof(struct vg_gate_now) == 64 ? 1 : -1];
typedef char vg_assert_gate_beside[sizeof(struct vg_gate_beside) == 64 ? 1 : -1];
typedef char vg_assert_gate_sum[sizeof(struct vg_gate_sum) == 64 ? 1 : -1];
typedef char vg_assert_gate_size[sizeof(struct vg_gate) == VG_GATE_SIZE ? 1 : -1];

#endif
