/* SPDX-License-Identifier: MIT */
/*
 * What a VM has, in one page of memory that the daemon and all executors of the VM share: an
 * executor writes its own seat and, by compare-and-swap, the bucket. What the VM may have is
 * elsewhere, where executors cannot write (vg_orders.h). Pure: atomics on memory, nothing else.
 *
 * Trust: an executor could write anything here. It could as well ask the driver for
 * memory without asking here first, so that is no loss: both hurt the limits of its own
 * VM and of no other. The daemon uses what it reads here as numbers to add and show.
 *
 * Death: an executor may be killed between any two instructions. There is no lock and no
 * sum in here, only what each seat claims; the daemon empties the seat of a dead one,
 * and with that everything it had is given back.
 */
#ifndef VG_ACCOUNT_H
#define VG_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "mediator/limit/bucket.h"

#define VG_ACCOUNT_MAGIC 0x36434356u    /* changes with the layout */
#define VG_SEATS         256u           /* executors of one VM */
#define VG_NO_SEAT       VG_SEATS

/* Things whose number is limited, of all processes together. */
enum vg_quota_kind {
    VG_QUOTA_CONTEXTS,
    VG_QUOTA_STREAMS,
    VG_QUOTA_EVENTS,
    VG_QUOTA_MODULES,   /* and libraries, and link states */
    VG_QUOTA_GRAPHS,    /* and executable ones */
    VG_QUOTA_KINDS
};

/* Written by one executor, but for `leaving`; two cache lines each. */
struct vg_seat {
    uint64_t held;      /* bytes of GPU memory that it has */
    uint64_t asked;     /* and is about to ask the driver for */
    uint64_t queued;    /* calls whose GPU work is not known to be complete */
    uint64_t leaving;   /* daemon: 1: it is being ended, what it holds is soon free */
    uint64_t things[8]; /* by enum vg_quota_kind: those that it has, and one that it is about to make */
    uint64_t reserved[4];
};

typedef char vg_assert_seat_kinds[VG_QUOTA_KINDS <= 8 ? 1 : -1];

struct vg_account {
    /* the daemon writes */
    uint32_t magic;
    uint32_t seats;             /* seats from here on have never been used */
    uint64_t pad0[7];
    /* all executors */
    uint64_t bucket;
    uint64_t pad1[7];
    struct vg_seat seat[VG_SEATS];
};

typedef char vg_assert_account_lines[sizeof(struct vg_account) % 64 == 0 ? 1 : -1];

enum vg_account_verdict {
    VG_ACCOUNT_GRANTED,
    VG_ACCOUNT_REFUSED,     /* too much */
    VG_ACCOUNT_CONTENDED,   /* too much only if another seat gets what it asks for: try again soon */
    VG_ACCOUNT_AWAITED,     /* too much until those that are leaving have gone: try again */
};

/*
 * Before memory is asked of the driver: claims `bytes` on top of what the seat holds, if all seats
 * then have no more than `limit`, 0: none.
 * GRANTED and CONTENDED leave a claim, which ends with vg_account_settle; so a caller
 * that is tired of trying settles too. One claim at a time per seat.
 */
enum vg_account_verdict vg_account_reserve(struct vg_account *a, unsigned seat, uint64_t bytes,
                                           uint64_t limit);

/* What the seat holds now, whatever became of its claim. */
void vg_account_settle(struct vg_account *a, unsigned seat, uint64_t held);

/*
 * Before a thing is made by a seat that has `have` of them: claims one more, if all seats
 * then have no more than `most`, 0: no limit. False: too many, and nothing is claimed; two that ask for the last one may both be told so. vg_account_has ends it.
 */
bool vg_account_admit(struct vg_account *a, unsigned seat, enum vg_quota_kind kind, uint64_t have,
                      uint64_t most);
void vg_account_has(struct vg_account *a, unsigned seat, enum vg_quota_kind kind, uint64_t have);

/* Of all seats. */
uint64_t vg_account_things(const struct vg_account *a, enum vg_quota_kind kind);

const char *vg_quota_kind_name(enum vg_quota_kind kind);    /* "streams" */

/* Bytes held and claimed by all seats; calls in flight of all. */
uint64_t vg_account_used(const struct vg_account *a);
uint64_t vg_account_queued(const struct vg_account *a);

/* For the daemon: a free seat, by its own books, becomes that of a new executor, empty. */
void vg_account_sit(struct vg_account *a, unsigned seat);
/* Its executor is being ended; then, it is dead. */
void vg_account_leaving(struct vg_account *a, unsigned seat);
void vg_account_leave(struct vg_account *a, unsigned seat);

#endif
