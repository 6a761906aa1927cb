/* SPDX-License-Identifier: MIT */
/*
 * CUDA_VISIBLE_DEVICES, as NVIDIA's library takes it: numbers, or the beginnings of UUIDs, in the
 * order in which the process is to count them; the list ends at the first entry that is no device,
 * and one that names a device twice names none. Under the lock of attaching.
 */
#ifndef VG_SHIM_VISIBLE_H
#define VG_SHIM_VISIBLE_H

#include <stdbool.h>

#include "vg_limits.h"
#include "vg_wire.h"

/* What the next hello asks the host for. count 0: all devices. */
struct vg_visible {
    uint32_t count;
    uint8_t at[VG_DEVICES_MAX];
    bool twice;     /* it names a device twice, which is another error than naming none */
};
extern struct vg_visible vg_visible;

/* True if it names nothing, whatever devices there are. */
bool vg_visible_nothing(void);

/* Which of the snapshot's devices it names. False: it is not set. */
bool vg_visible_choose(const struct vg_snapshot *s, struct vg_visible *ret);

/* True if they are the first ones in their own order: then the rest need only be left out. */
bool vg_visible_is_prefix(const struct vg_visible *v);

#endif
