/* SPDX-License-Identifier: MIT */
/* The name of a chosen image's content. Any thread; may start others, which end by themselves. */
#ifndef VG_SHIM_DIGEST_H
#define VG_SHIM_DIGEST_H

#include "guest-shim/image.h"
#include "vg_digest.h"

void vg_image_digest(const struct vg_image *image, uint8_t ret_digest[VG_DIGEST_BYTES]);

/* The same with at most so many threads beside the caller's. */
void vg_image_digest_with(const struct vg_image *image, unsigned helpers,
                          uint8_t ret_digest[VG_DIGEST_BYTES]);

#endif
