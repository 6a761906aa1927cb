/* SPDX-License-Identifier: MIT */
/*
 * The page on which the daemon tells one executor what it may: its turns on the GPU, and what its VM
 * may have. The daemon alone writes: it keeps the memfd and gives the executor a descriptor that
 * can only be read, of a file that cannot be opened otherwise (mediator/README.md, "Who is trusted").
 * A memfd, zeroed at first: the gate is open, and nothing has a limit.
 */
#ifndef VG_ORDERS_H
#define VG_ORDERS_H

#include <stdint.h>

#include "mediator/limit/account.h"
#include "mediator/vg_gate.h"

#define VG_ORDERS_SIZE 4096u /* of the memfd, bytes */

/* Of the VM, all its executors together; 0: no limit. Relaxed stores, each word by itself. */
struct vg_terms {
    uint64_t rate;                  /* calls a second */
    uint64_t burst;                 /* see vg_rate_init */
    uint64_t queue_depth;           /* calls in flight */
    uint64_t memory;                /* bytes */
    uint64_t context_bytes;         /* what the driver takes for a context, besides */
    uint64_t most[VG_QUOTA_KINDS];
};

struct vg_orders {
    struct vg_gate_grant grant;
    struct vg_terms terms;
};

typedef char vg_assert_orders_size[sizeof(struct vg_orders) <= VG_ORDERS_SIZE ? 1 : -1];

#endif
