/* SPDX-License-Identifier: MIT */
/* Formats and addressing of texels; see texel.h and texture.h. */
#include "texel.h"

#include <math.h>
#include <string.h>

#include "half.h"
#include "handlers.h"

unsigned ptx_texel_bytes(enum ptx_texel t)
{
    switch (t) {
    case PTX_TEXEL_U8: case PTX_TEXEL_S8: return 1;
    case PTX_TEXEL_U16: case PTX_TEXEL_S16: case PTX_TEXEL_F16: return 2;
    default: return 4;
    }
}

bool ptx_texture_is_integer(const struct ptx_texture *t)
{
    return t->texel == PTX_TEXEL_U32 || t->texel == PTX_TEXEL_S32 ||
           (t->texel != PTX_TEXEL_F16 && t->texel != PTX_TEXEL_F32 && !t->read_normalized);
}

/* ------------------------------------------------------------------------ formats */

static float at_least(float v, float low)
{
    return v < low ? low : v;
}

static float from_srgb(float c)
{
    return c <= 0.04045f ? c / 12.92f : powf((c + 0.055f) / 1.055f, 2.4f);
}

/* Channels of 8 and 16 bits as the whole range from 0 or -1 to 1. */
static float normalized(const struct ptx_texture *t, uint32_t raw)
{
    switch (t->texel) {
    case PTX_TEXEL_U8: return (float)raw / 255.0f;
    case PTX_TEXEL_U16: return (float)raw / 65535.0f;
    case PTX_TEXEL_S8: return at_least((float)(int32_t)raw / 127.0f, -1.0f);
    default: return at_least((float)(int32_t)raw / 32767.0f, -1.0f);
    }
}

/* Sign- or zero-extended; floats as their bits. */
static uint32_t raw_channel(enum ptx_texel texel, const unsigned char *p)
{
    uint16_t h;
    uint32_t w;

    switch (texel) {
    case PTX_TEXEL_U8: return *p;
    case PTX_TEXEL_S8: return (uint32_t)(int8_t)*p;
    case PTX_TEXEL_U16: case PTX_TEXEL_F16: memcpy(&h, p, 2); return h;
    case PTX_TEXEL_S16: memcpy(&h, p, 2); return (uint32_t)(int16_t)h;
    default: memcpy(&w, p, 4); return w;
    }
}

static float float_channel(const struct ptx_texture *t, uint32_t raw, unsigned channel)
{
    float f;

    if (t->texel == PTX_TEXEL_F16)
        return vg_half_to_float((uint16_t)raw);
    if (t->texel == PTX_TEXEL_F32) {
        memcpy(&f, &raw, 4);
        return f;
    }
    f = normalized(t, raw);
    return t->srgb && channel < 3 ? from_srgb(f) : f;
}

/* -------------------------------------------------------------------------- reading */

union texel ptx_texel_read(struct texture_view *v, const struct ptx_level *l, uint32_t x,
                           uint32_t y, uint32_t slice)
{
    const struct ptx_texture *t = v->t;
    unsigned bytes = ptx_texel_bytes(t->texel), i;
    uint64_t at = l->base + slice * l->slice + y * l->row + (uint64_t)x * bytes * t->channels;
    const unsigned char *p = (const unsigned char *)(uintptr_t)at;
    bool integer = ptx_texture_is_integer(t);
    union texel r;

    memset(&r, 0, sizeof(r));
    if (t->foreign && !ptx_lane_memory(v->w, v->lane, at, bytes * t->channels, 0)) {
        v->fault = true;
        v->address = at;
        return r;
    }
    for (i = 0; i < t->channels; i++) {
        uint32_t raw = raw_channel(t->texel, p + i * bytes);

        if (integer)
            r.u[i] = raw;
        else
            r.f[i] = float_channel(t, raw, i);
    }
    return r;
}

union texel ptx_texel_border(const struct ptx_texture *t)
{
    union texel r;
    unsigned i;

    memset(&r, 0, sizeof(r));
    for (i = 0; i < t->channels && !t->buffer; i++) {
        if (ptx_texture_is_integer(t))
            memcpy(&r.u[i], &t->border[i], 4);
        else
            r.f[i] = t->border[i];
    }
    return r;
}

/* ------------------------------------------------------------------------ addressing */

static int64_t wrap(int64_t i, int64_t n)
{
    i %= n;
    return i < 0 ? i + n : i;
}

int64_t ptx_texel_index(const struct ptx_texture *t, unsigned axis, bool normalized_coords,
                        int64_t i, uint32_t n)
{
    enum ptx_address mode = t->buffer ? PTX_ADDRESS_BORDER : t->address[axis];

    if (i >= 0 && i < n)
        return i;
    if (!normalized_coords && mode != PTX_ADDRESS_BORDER)
        mode = PTX_ADDRESS_CLAMP;
    switch (mode) {
    case PTX_ADDRESS_WRAP:
        return wrap(i, n);
    case PTX_ADDRESS_MIRROR:
        i = wrap(i, 2 * (int64_t)n);
        return i < n ? i : 2 * (int64_t)n - 1 - i;
    case PTX_ADDRESS_CLAMP:
        return i < 0 ? 0 : n - 1;
    default:
        return -1;
    }
}
