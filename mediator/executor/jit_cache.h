/* SPDX-License-Identifier: MIT */
/*
 * Machine code that the driver has made of PTX for a process of this VM, on the VM's shelf. The
 * driver's own cache is files, which all executors could read and write; this one is the VM's alone.
 * Any thread with a current context.
 */
#ifndef VG_JIT_CACHE_H
#define VG_JIT_CACHE_H

#include <stdint.h>

struct vg_exec;

/*
 * Code for the current context's GPU made of an image (vg_image_ok) that is PTX, compiled without
 * options: from the shelf, or compiled now and kept. In memory that the caller frees, with zero bytes
 * behind it. NULL: the image is something else, or it must be loaded as it is for its errors' sake.
 */
uint8_t *vg_jit_cached(struct vg_exec *x, const uint8_t *image, uint64_t len);

#endif
