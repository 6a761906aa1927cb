/* SPDX-License-Identifier: MIT */
/*
 * How a thread waits for the host: awake at first, for as long as that has paid lately,
 * then asleep, and never longer than the executor lives. For call.c; vg_backoff_step of
 * call.h is here too, as it knows how many processors there are to be awake on.
 */
#ifndef VG_SHIM_AWAIT_H
#define VG_SHIM_AWAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-shim/state.h"
#include "vg_atomic.h"
#include "vg_region.h"

/* Counts the processors. The channel is there. */
void vg_await_init(void);

/* The executor was lost, or has left the slot. */
static inline bool vg_host_gone(void)
{
    return vg_load_relaxed(&vg_process.lost) ||
           vg_load_acquire(&vg_process.slot->state) != VG_SLOT_READY;
}

static inline bool vg_cell_done(const struct vg_cell *cell, uint32_t seq)
{
    return vg_load_acquire(&cell->done) == seq;
}

/*
 * Waits for the answer to call `seq`, likely to take expect_us (0: unknown); prints meanwhile
 * what kernels say. False: the executor is gone and did not answer.
 */
bool vg_await(struct vg_cell *cell, uint32_t seq, uint32_t expect_us)
    __attribute__((warn_unused_result));

#endif
