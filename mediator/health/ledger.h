/* SPDX-License-Identifier: MIT */
/*
 * The faults of one VM, and when they are too many: within a short window, or, for who
 * stays just below that for ever, within a long one. Bounded in memory. Pure: no clock,
 * no I/O; times in ns of one monotonic clock.
 */
#ifndef VG_LEDGER_H
#define VG_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

enum vg_fault_kind {
    VG_FAULT_CRASH,     /* the executor died */
    VG_FAULT_BREACH,    /* the guest broke the protocol */
    VG_FAULT_HANG,      /* the watchdog ended it */
    VG_FAULT_KERNEL,    /* a kernel's own error, such as an illegal address */
    VG_FAULT_KINDS
};

/*
 * A fault weighs VG_FAULT_POINTS, but one of a kernel a tenth: it harms nobody else, and
 * who develops kernels meets it all day. Yet each costs the host an executor and, on a
 * real GPU, the driver a recovery, so that a storm of them is too much as well.
 */
#define VG_FAULT_POINTS 10u

#define VG_LEDGER_MAX 128u          /* entries; more than that, and the oldest are joined */
#define VG_INCIDENT_NS 5000000000ull

struct vg_ledger_entry {
    uint64_t at;
    uint32_t points;
    uint32_t kind;                  /* enum vg_fault_kind; of joined ones the last's */
};

struct vg_ledger {
    struct vg_ledger_entry entry[VG_LEDGER_MAX];    /* oldest first */
    unsigned count;
};

struct vg_ledger_limits {
    unsigned limit;                 /* full faults in the short window, 0: no limit */
    uint64_t window_ns;
    unsigned long_limit;            /* in the long one, 0: no limit */
    uint64_t long_window_ns;
};

enum vg_ledger_verdict { VG_LEDGER_FINE, VG_LEDGER_SHORT, VG_LEDGER_LONG };

/*
 * Enters a fault of a process that was started at `born`. Processes of one VM that fail
 * together are one incident: a fault weighs nothing if its process was there already when
 * the one before happened, VG_INCIDENT_NS ago at most, in the same way.
 */
void vg_ledger_add(struct vg_ledger *l, enum vg_fault_kind kind, uint64_t born, uint64_t now);

/* Enters what is known from before, with its weight. */
void vg_ledger_put(struct vg_ledger *l, enum vg_fault_kind kind, unsigned points, uint64_t at);

/* Points of the entries not older than `window_ns`. */
unsigned vg_ledger_points(const struct vg_ledger *l, uint64_t now, uint64_t window_ns);

/* How many entries these are. */
unsigned vg_ledger_count(const struct vg_ledger *l, uint64_t now, uint64_t window_ns);

enum vg_ledger_verdict vg_ledger_judge(const struct vg_ledger *l,
                                       const struct vg_ledger_limits *limits, uint64_t now);

const char *vg_fault_name(unsigned kind);       /* "crash", "hang" */
const char *vg_fault_title(unsigned kind);      /* "crash of an executor", for people */
unsigned vg_fault_kind_of(const char *name);    /* VG_FAULT_KINDS: there is no such kind */

#endif
