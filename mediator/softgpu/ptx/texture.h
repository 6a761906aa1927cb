/* SPDX-License-Identifier: MIT */
/*
 * What the tex, suld and sust instructions act on. The launcher describes each
 * texture or surface object once; kernels name it by a 64-bit handle.
 *
 * Texels of an image lie row by row at level[].base: element x of row y of slice
 * z (a depth slice, a layer, a cube's face) at z * slice + y * row + x * texel
 * bytes. Coordinates, sizes: elements. Any thread; nothing here changes while a
 * kernel may use it.
 */
#ifndef VG_PTX_TEXTURE_H
#define VG_PTX_TEXTURE_H

#include <stdbool.h>
#include <stdint.h>

enum { PTX_MAX_LEVELS = 18 };

enum ptx_texel {
    PTX_TEXEL_U8, PTX_TEXEL_U16, PTX_TEXEL_U32, PTX_TEXEL_S8, PTX_TEXEL_S16, PTX_TEXEL_S32,
    PTX_TEXEL_F16, PTX_TEXEL_F32, PTX_TEXEL_COUNT
};

enum ptx_address { PTX_ADDRESS_WRAP, PTX_ADDRESS_CLAMP, PTX_ADDRESS_MIRROR, PTX_ADDRESS_BORDER };

struct ptx_level {
    uint64_t base;
    uint64_t row, slice;    /* bytes */
    uint32_t width, height; /* at least 1 */
    uint32_t depth;         /* depth, or layers, or faces; at least 1 */
};

struct ptx_texture {
    enum ptx_texel texel;
    unsigned channels;  /* 1, 2, 4 */
    bool layered, cube; /* what slices are: layers, faces; neither: depth */
    bool foreign;       /* ordinary memory: the kernel's view of it is asked at each fetch */
    bool buffer;        /* 1D memory: outside of it lies 0 */
    unsigned levels;    /* at least 1 */
    struct ptx_level level[PTX_MAX_LEVELS];
    /* The sampler; of a surface all 0. */
    bool normalized_coords;
    bool read_normalized; /* 8 and 16 bit integers come as [0, 1] or [-1, 1] */
    bool srgb, seamless;
    bool linear, mip_linear;
    enum ptx_address address[3];
    float lod_bias, lod_min, lod_max;
    float border[4];
};

/* What a handle means to the kernels of one launch; find may be NULL. */
struct ptx_textures {
    void *ctx;
    const struct ptx_texture *(*find)(void *ctx, uint64_t handle, bool surface);
};

/* Bytes of one channel. */
unsigned ptx_texel_bytes(enum ptx_texel t);

#endif
