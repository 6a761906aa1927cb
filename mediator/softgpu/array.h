/* SPDX-License-Identifier: MIT */
/*
 * CUDA arrays: memory of the arena that programs name by a handle only. Rows lie one behind the
 * other, slices (of a volume, layers, cube faces) too.
 */
#ifndef VG_SOFTGPU_ARRAY_H
#define VG_SOFTGPU_ARRAY_H

#include "api.h"
#include "ptx/texture.h"

struct vg_ctx;

struct vg_array {
    CUarray handle;
    struct vg_ctx *ctx;
    struct vg_array *next;              /* of the context; levels of a mipmap are not in there */
    CUDA_ARRAY3D_DESCRIPTOR desc;       /* as asked for; of a level: its own size */
    enum ptx_texel texel;
    bool always_normalized;             /* UNORM and SNORM formats */
    unsigned elem;                      /* bytes of one element, all channels */
    size_t width, height, depth;        /* none is 0; depth: slices of any kind */
    uint64_t base;
    bool is_level;
};

struct vg_mipmap {
    CUmipmappedArray handle;
    struct vg_ctx *ctx;
    struct vg_mipmap *next;
    CUDA_ARRAY3D_DESCRIPTOR desc;
    uint64_t base;
    unsigned levels;
    struct vg_array level[PTX_MAX_LEVELS];
};

/* NULL: not a live array. */
struct vg_array *vg_array_get(CUarray handle);
struct vg_mipmap *vg_mipmap_get(CUmipmappedArray handle);

/* Format of 8, 16 or 32 bits a channel. false: a format that is not served. */
bool vg_array_texel(CUarray_format format, unsigned channels, enum ptx_texel *ret_texel,
                    bool *ret_normalized);

struct ptx_level vg_array_level(const struct vg_array *a);

/* Ends of a copy that are arrays, checked: the box lies in them, its width in whole elements. */
CUresult vg_array_check_copy(const CUDA_MEMCPY3D *d);
/* Turns them into device memory; false if an array has ended meanwhile. */
bool vg_array_resolve(CUDA_MEMCPY3D *d);

/* Ends all of a context that has stopped; its memory goes with the arena's. */
void vg_array_end_ctx(struct vg_ctx *ctx);

#endif
