/* SPDX-License-Identifier: MIT */
/*
 * The page that the daemon and one executor share: when the executor may give work to
 * the GPU, and what it has given. A memfd of the daemon's, zeroed at first, which means
 * OPEN: an executor that nobody schedules never waits.
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

/* Changes that ring the daemon, if it asks for them. */
#define VG_GATE_RING_BEGIN   1u /* the first work after none in flight, let through or not */
#define VG_GATE_RING_WAITS   2u /* a record has begun to wait at a closed gate */
#define VG_GATE_RING_USED    4u /* the turn's budget is used up, counting what is in flight */
#define VG_GATE_RING_DRAINED 8u /* nothing is in flight any more */
#define VG_GATE_RING_NEARLY  16u /* less than low_ns of the turn are left, or nothing waits to use it */

/* ---- The daemon writes: one line ---- */

struct vg_gate_grant {
    uint32_t seq;        /* odd while the rest changes; goes up by two with each change */
    uint32_t mode;       /* enum vg_gate_mode */
    uint64_t turn;       /* number of the turn, of this executor's: a new one is a new budget */
    uint64_t budget_ns;  /* GPU time that may be begun in this turn */
    uint64_t window_ns;  /* of it in flight at a time, by estimate; 0: no bound */
    uint32_t window_ops; /* calls in flight at a time; 0: no bound */
    uint32_t ring;       /* VG_GATE_RING_* that the daemon wants to hear of */
    uint32_t slice_us;   /* hint: time slice for the process's channel groups; 0: as they were */
    uint32_t low_us;     /* for VG_GATE_RING_NEARLY */
    uint64_t reserved[2];
};

/* ---- The executor writes: what happens now, one line; what it adds up, one line ---- */

struct vg_gate_now {
    uint64_t turn;           /* the turn it acts on */
    uint64_t waits_since;    /* a record has waited at the gate since then; 0: none */
    uint64_t in_flight;      /* calls given to the GPU that are not known to have ended */
    uint64_t in_flight_ns;   /* their estimated time */
    uint64_t resident_since; /* since when the oldest of them, as far as known, has had the GPU to
                                run on; 0: none in flight. A host function is no work. */
    uint64_t turn_ns;        /* measured in this turn */
    uint32_t used_up;        /* bool: the turn's budget */
    uint32_t asleep;         /* bool: it must be woken by its doorbell to see a change */
    uint64_t begun;          /* when nothing was in flight last ended: start of the present interval */
};

struct vg_gate_sum {
    uint64_t busy_ns;   /* GPU time: length of the union of intervals with work in flight, up to ... */
    uint64_t busy_until;/* ... then; what has been in flight since counts when it is looked at again */
    uint64_t progress;  /* goes up whenever some work is known to have ended */
    uint64_t ops;       /* calls given to the GPU */
    uint64_t wait_ns;   /* that records waited at the gate */
    uint64_t turns;     /* used */
    uint64_t slice_us;  /* the hint that has been carried out; ~0: the driver takes none */
    uint64_t reserved[1];
};

struct vg_gate {
    struct vg_gate_grant grant;
    struct vg_gate_now now;
    struct vg_gate_sum sum;
    uint64_t spare[VG_GATE_SIZE / 8 - 3 * 8];
};

typedef char vg_assert_gate_grant[sizeof(struct vg_gate_grant) == 64 ? 1 : -1];
typedef char vg_assert_gate_now[sizeof(struct vg_gate_now) == 64 ? 1 : -1];
typedef char vg_assert_gate_sum[sizeof(struct vg_gate_sum) == 64 ? 1 : -1];
typedef char vg_assert_gate_size[sizeof(struct vg_gate) == VG_GATE_SIZE ? 1 : -1];

#endif
