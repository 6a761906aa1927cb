/* SPDX-License-Identifier: MIT */
/*
 * Host memory that kernels may touch: allocated by cuMemHostAlloc or registered. Its device address
 * is its host address.
 */
#ifndef VG_SOFTGPU_HOSTMEM_H
#define VG_SOFTGPU_HOSTMEM_H

#include "api.h"
#include "ptx/ptx.h"

struct vg_ctx;

struct vg_hostmem_info {
    uint64_t base;
    size_t size;
    unsigned flags;                     /* CU_MEMHOSTALLOC_* or CU_MEMHOSTREGISTER_* */
    bool allocated;                     /* ours to unmap; else the program's, only registered */
    struct vg_ctx *ctx;
    uint64_t id;
};

/* What kernels see; unchanged while it is held. */
struct vg_hostmem_view {
    int refs;
    size_t n;
    struct ptx_range range[];
};

/* The range that holds addr, or -ENOENT. */
int vg_hostmem_find(uint64_t addr, struct vg_hostmem_info *ret);

/* NULL when memory is out. */
struct vg_hostmem_view *vg_hostmem_view_get(void);
void vg_hostmem_view_put(struct vg_hostmem_view *view);

void vg_hostmem_end_ctx(const struct vg_ctx *ctx);

/* Whether this process could read and write [p, p + size): a wild pointer must not end it. */
bool vg_hostmem_is_mapped(const void *p, size_t size);

#endif
