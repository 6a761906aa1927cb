/* SPDX-License-Identifier: MIT */
/*
 * BUSY: the host carries out no call for now, because the VM has used up its rate or has
 * too much in flight. The call in question stays where it is, first in the ring, and is
 * carried out when its time has come. So what is left for a guest is to keep quiet:
 * threads that want to make further calls wait here, outside the ring, and the program
 * sees nothing but time. Any thread; nothing is held but what the caller holds.
 */
#ifndef VG_SHIM_BUSY_H
#define VG_SHIM_BUSY_H

#include <stdbool.h>

#include "vg_atomic.h"
#include "vg_region.h"

static inline bool vg_is_busy(const struct vg_slot *slot)
{
    return vg_load_relaxed(&slot->busy_us) != 0;
}

/*
 * Sleeps while the host is busy and has as many of our calls as it wants to have
 * (VG_BUSY_CREDIT: with some at hand it never waits for us while it may go on).
 * Exponential back-off with full jitter from the host's retry time, at most
 * VG_BUSY_MAX_US at once. Ends early when the executor is gone.
 */
void vg_busy_back_off(struct vg_slot *slot);

/* For how long in its n-th round (0: the first); another number each time. */
uint32_t vg_busy_sleep_us(uint32_t retry_us, unsigned round);

#endif
