/* SPDX-License-Identifier: MIT */
/* Reading and addressing texels: what sample.c builds filtering on. One lane at a time. */
#ifndef VG_PTX_TEXEL_H
#define VG_PTX_TEXEL_H

#include "texture.h"

struct warp;

/* Four channels, as floats or as the integers that were stored. */
union texel {
    float f[4];
    uint32_t u[4];
};

/* One lane's view of a texture. fault: memory that the kernel may not read. */
struct texture_view {
    const struct ptx_texture *t;
    struct warp *w;
    int lane;
    bool fault;
    uint64_t address;   /* of the fault */
};

/* True if texels come as integers: no filter applies to them. */
bool ptx_texture_is_integer(const struct ptx_texture *t);

/* The texel at (x, y, slice), which lies inside. */
union texel ptx_texel_read(struct texture_view *v, const struct ptx_level *l, uint32_t x,
                           uint32_t y, uint32_t slice);
union texel ptx_texel_border(const struct ptx_texture *t);

/*
 * Index i of an axis of n texels by the texture's mode for it; -1: the border.
 * normalized: wrap and mirror have a meaning.
 */
int64_t ptx_texel_index(const struct ptx_texture *t, unsigned axis, bool normalized, int64_t i,
                        uint32_t n);

#endif
