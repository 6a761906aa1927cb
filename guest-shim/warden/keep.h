/* SPDX-License-Identifier: MIT */
/* A copy of what is a process's in the region, for when the VM comes to a new one. */
#ifndef VG_WARDEN_KEEP_H
#define VG_WARDEN_KEEP_H

#include <stdint.h>

#include "vg_region.h"

struct vg_kept {
    uint8_t *block;     /* of the slot; NULL: nothing is kept */
    uint8_t **extent;   /* [extent_count]; NULL: not the process's, or no room for it */
};

/*
 * From the region behind `fd`. As much as there is memory and time for: the device waits for us,
 * and takes the region away at some time.
 */
void vg_keep(struct vg_kept *k, int fd, const struct vg_region_layout *l, unsigned slot);

/* Into the region that is behind `fd` now; what the device has said of the slot stands. */
void vg_keep_put_back(const struct vg_kept *k, int fd, const struct vg_region_layout *l,
                      unsigned slot);

void vg_keep_forget(struct vg_kept *k, const struct vg_region_layout *l);

#endif
