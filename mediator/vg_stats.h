/* SPDX-License-Identifier: MIT */
/*
 * Counters of one executor, in a memfd of its own: the executor writes, the
 * mediator maps it read-only. Counters only grow unless the comment says so, are
 * written with relaxed stores of 64 bits by the executor's serve thread, and may
 * be read at any moment; a set of them is not a consistent snapshot.
 *
 * The mediator treats the values as claims of one VM's executor: it adds them up
 * and shows them, it never uses them as a size or an index.
 */
#ifndef VG_STATS_H
#define VG_STATS_H

#include <stdint.h>

#define VG_STATS_MAGIC     0x31545447u  /* set last, with release */
#define VG_STATS_INTERNAL  64u          /* calls of vg_wire.h count at their id */
#define VG_STATS_CALLS     768u         /* CUDA calls count at VG_STATS_INTERNAL + dense row index */

struct vg_stats {
    uint32_t magic;
    uint32_t guest_pid;         /* as the guest told in its hello */
    char     guest_comm[32];    /* process name; the mediator sanitises it before it shows it */

    uint64_t calls;             /* records served */
    uint64_t errors;            /* of these, answered or latched with an error */
    uint64_t rejected;          /* of these, malformed or naming what the guest does not own */
    uint64_t bytes_in;          /* guest to GPU: copies and payloads */
    uint64_t bytes_out;         /* GPU to guest */
    uint64_t memory;            /* bytes of GPU memory held now; goes up and down */
    uint64_t memory_peak;
    uint64_t launches;
    uint64_t busy_ns;           /* time the serve thread spent on calls */
    uint64_t doorbells;         /* times it slept and was woken */
    uint64_t gpu_faults;        /* sticky errors of contexts */
    uint64_t reserved[13];

    uint64_t call[VG_STATS_CALLS];
};

typedef char vg_assert_stats_calls[sizeof(struct vg_stats) % 8 == 0 ? 1 : -1];

#endif
