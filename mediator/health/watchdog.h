/* SPDX-License-Identifier: MIT */
/*
 * When work on the GPU is hung: it has had the GPU for so long, without any of the
 * process's work coming to an end. Residency counts, not the clock on the wall: what
 * others held the GPU for counts for them, and what waits for its turn counts nothing.
 * Pure: no clock, no I/O; `now` in ns of one monotonic clock.
 */
#ifndef VG_WATCHDOG_H
#define VG_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#define VG_WATCHDOG_STEP_NS 2000000000ull   /* no two looks count for more, however far apart */

/* Of one process; zeroed at first. */
struct vg_watchdog {
    uint64_t looked;        /* when last; 0: never */
    uint64_t charged;       /* GPU time charged until then */
    uint64_t progress;      /* its progress then */
    bool busy;              /* it had work on the GPU then */
    uint64_t stalled_ns;    /* residency since its last progress */
};

/* What is known of the process now; claims of an executor, so any value must do. */
struct vg_watchdog_sight {
    uint64_t now;
    bool busy;              /* it has work on the GPU, not merely at the gate */
    uint64_t progress;      /* another value: some of its work has ended */
    bool metered;           /* charged_ns means something; else sharers does */
    uint64_t charged_ns;    /* GPU time of the process in all, what runs now included */
    unsigned sharers;       /* processes that have work on this GPU now, this one included */
};

/*
 * Takes the sight. True: its work has been resident for limit_ns without progress; then
 * the count begins anew. A limit of 0 never is reached. Never early: what passed between
 * two looks counts only if both saw the same work, and at most as it passed.
 */
bool vg_watchdog_look(struct vg_watchdog *w, const struct vg_watchdog_sight *s, uint64_t limit_ns);

/* The signs of life of one process, a number that goes up; zeroed at first. */
struct vg_pulse {
    uint64_t beat, since;   /* the latest, and when it was new */
};

/* True: no new one for limit_ns. Who never gave one is not missed. */
bool vg_pulse_look(struct vg_pulse *p, uint64_t now, uint64_t beat, uint64_t limit_ns);

#endif
