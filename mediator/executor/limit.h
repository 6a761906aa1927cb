/* SPDX-License-Identifier: MIT */
/*
 * The VM's rate and queue depth: whether the next record may be carried out now. One
 * that may not is answered BUSY, in the slot's control page (protocol/README.md, §5),
 * and stays the next one: nothing overtakes it, nothing has happened. Serve thread.
 */
#ifndef VG_LIMIT_H
#define VG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "mediator/limit/bucket.h"

struct vg_exec;
struct vg_call;

struct vg_limiter {
    struct vg_rate rate;
    uint64_t per_second, burst; /* what `rate` was made of */
    uint64_t since;             /* vg_now() when the record was refused first, 0: none is */
    uint64_t until;             /* no look before this */
    uint32_t turns;             /* times in a row that the queue was too deep */
    bool holds;                 /* the record that was refused, in keeper.call and payload */
};

/* True: carry it out. False: BUSY, limiter.holds is set; ask again with the same. */
bool vg_limit_admit(struct vg_exec *x, const struct vg_call *call);

/* How long the loop may sleep at most, for the sake of the record that waits. */
uint64_t vg_limit_nap(const struct vg_exec *x, uint64_t now);

#endif
