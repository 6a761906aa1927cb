/* SPDX-License-Identifier: MIT */
/* Sampling: from coordinates to a filtered texel, level by level. One lane at a time. */
#ifndef VG_PTX_SAMPLE_H
#define VG_PTX_SAMPLE_H

#include "texel.h"

enum sample_shape { SAMPLE_1D, SAMPLE_2D, SAMPLE_3D, SAMPLE_CUBE };

struct sample {
    enum sample_shape shape;
    bool integer;               /* coord are whole numbers, in i */
    union {
        float f[3];
        int32_t i[3];
    } coord;
    uint32_t layer;
    float lod;                  /* level of detail, before bias and limits */
    bool has_gradient;
    float dx[3], dy[3];
};

union texel ptx_sample(struct texture_view *v, const struct sample *s);

/* Channel `channel` of the four texels that a linear filter would mix. */
union texel ptx_gather_texels(struct texture_view *v, const struct sample *s, unsigned channel);

#endif
