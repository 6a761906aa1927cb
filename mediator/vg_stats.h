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

/*
 * A histogram: bucket i counts values below 2^i (and not below 2^(i-1)), the last one
 * all others. In ns it reaches beyond 9 minutes, in bytes to 512 GiB.
 */
#define VG_HIST_BUCKETS 40u

struct vg_hist {
    uint64_t sum;
    uint64_t bucket[VG_HIST_BUCKETS];
};

#define VG_STATS_CLASSES 16u    /* room for enum vg_api_class */

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
    uint64_t gpu_ns;            /* time in which the GPU had work of this process, as measured */
    uint64_t gate_wait_ns;      /* time in which calls waited for their turn */
    uint64_t turns;             /* turns on the GPU; none while alone on it */
    uint64_t busy;              /* times the guest was told to come again later */
    uint64_t retries;           /* times a thread of the guest backed off, as the guest says */
    uint64_t memory_claimed;    /* bytes that count against the VM's limit; goes up and down */
    uint64_t refused_memory;    /* allocations that did not fit the VM's limit */
    uint64_t refused_objects;   /* things that were one too many in the process */
    uint64_t beat;              /* goes up, at least every second while it looks at its guest */
    uint64_t context_bytes;     /* of GPU memory that a context costs, as measured; 0: was not */
    uint64_t images;            /* modules and libraries that were to be loaded */
    uint64_t images_known;      /* of these, named and not sent: the VM's shelf had them */
    uint64_t images_fetched;    /* of those, copied from it before they were asked for */

    uint64_t call[VG_STATS_CALLS];

    struct vg_hist latency[VG_STATS_CLASSES];   /* ns from taking a record to its answer, or to
                                                   the next record if it has none */
    struct vg_hist gpu_time;    /* ns: stretches of work that were measured together */
    struct vg_hist gate_wait;   /* ns that a record was held back, of those that were */
    struct vg_hist busy_wait;   /* ns that a record was told to wait by a limit */
    struct vg_hist copy_bytes;  /* of each copy, either direction */
};

/* One more value, or n times the same. Only the executor's serve thread. */
static inline void vg_hist_add(struct vg_hist *h, uint64_t value, uint64_t n)
{
    unsigned i = value ? 64u - (unsigned)__builtin_clzll(value) : 0;

    if (i >= VG_HIST_BUCKETS)
        i = VG_HIST_BUCKETS - 1;
    __atomic_store_n(&h->bucket[i], h->bucket[i] + n, __ATOMIC_RELAXED);
    __atomic_store_n(&h->sum, h->sum + value * n, __ATOMIC_RELAXED);
}

typedef char vg_assert_stats_calls[sizeof(struct vg_stats) % 8 == 0 ? 1 : -1];

#endif
