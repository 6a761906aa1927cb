/* SPDX-License-Identifier: MIT */
/*
 * An option of the software GPU's JIT beside CUDA's own: where the managed variables of a
 * library are to lie, in memory that is registered with it. Its value points to this.
 */
#ifndef VG_SOFT_MANAGED_H
#define VG_SOFT_MANAGED_H

#include <stdint.h>

#define VG_SOFT_JIT_MANAGED 0x76674d01

struct vg_soft_managed {
    uint64_t at, room;  /* bytes [at, at+room), aligned to 256 */
    uint64_t needed;    /* set by the load; more than room: CUDA_ERROR_OUT_OF_MEMORY */
};

#endif
