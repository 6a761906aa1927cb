/* SPDX-License-Identifier: MIT */
/*
 * Memory pools: allocation in stream order. The address is known at the call; the memory is returned
 * when the stream reaches the free. A pool keeps nothing back, so its release threshold only is
 * remembered.
 */
#ifndef VG_SOFTGPU_POOL_H
#define VG_SOFTGPU_POOL_H

#include "api.h"

struct vg_device;

struct vg_pool {
    CUmemoryPool handle;
    struct vg_pool *next;               /* of the destroyed ones that still have blocks */
    struct vg_device *dev;
    uint64_t threshold;
    int reuse[3];                       /* the three CU_MEMPOOL_ATTR_REUSE_* switches */
    size_t max_size;                    /* 0: the device's */
    bool shareable;                     /* its memory may be exported by descriptor */
    int file;                           /* of an imported pool: the exporter's memory; else -1 */
    uint64_t used, used_high;           /* bytes; used is kept by the arena */
};

struct vg_pool *vg_pool_new(struct vg_device *dev);     /* NULL: no memory */

#endif
