/* SPDX-License-Identifier: MIT */
/*
 * f16, bf16 and the 8-bit formats as bits <-> float/double. Pure. A double
 * made by vg_add_odd() keeps "was inexact" in its last bit, so a second
 * rounding to a format of at most 51 bits is the correct single one.
 */
#ifndef VG_PTX_HALF_H
#define VG_PTX_HALF_H

#include <stdint.h>
#include <string.h>

static inline float vg_half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13, b;
    float f, magic;

    if (rest >= 0x7c00u << 13) { /* inf, NaN */
        b = sign | 0x7f800000u | (rest & 0x007fffffu);
        memcpy(&f, &b, 4);
        return f;
    }
    /* Scaling by 2^112 also normalises denormals. */
    b = 0x77800000u;
    memcpy(&magic, &b, 4);
    memcpy(&f, &rest, 4);
    f *= magic;
    memcpy(&b, &f, 4);
    b |= sign;
    memcpy(&f, &b, 4);
    return f;
}

/* To nearest even. */
static inline uint16_t vg_float_to_half(float f)
{
    uint32_t b, sign, r;

    memcpy(&b, &f, 4);
    sign = b >> 16 & 0x8000;
    b &= 0x7fffffffu;
    if (b > 0x7f800000u)
        return 0x7fff;
    if (b >= 0x477ff000u) /* rounds past 65504 */
        return (uint16_t)(sign | 0x7c00);
    if (b < 0x38800000u) { /* denormal result: the adder does the rounding */
        float a, half = 0.5f;

        memcpy(&a, &b, 4);
        a += half;
        memcpy(&r, &a, 4);
        return (uint16_t)(sign | (r - 0x3f000000u));
    }
    r = b - 0x38000000u;
    r += 0x0fff + (r >> 13 & 1);
    return (uint16_t)(sign | r >> 13);
}

static inline float vg_bf16_to_float(uint16_t h)
{
    uint32_t b = (uint32_t)h << 16;
    float f;

    memcpy(&f, &b, 4);
    return f;
}

static inline uint16_t vg_float_to_bf16(float f)
{
    uint32_t b;

    memcpy(&b, &f, 4);
    if ((b & 0x7fffffffu) > 0x7f800000u)
        return 0x7fff;
    return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

enum vg_round { VG_RN, VG_RZ, VG_RM, VG_RP, VG_RNA };

/* A small binary format: 1 + exp + man bits. */
struct vg_format {
    int exp, man;
    int has_inf; /* no: e4m3, its only NaN is all ones */
};
extern const struct vg_format vg_f16, vg_bf16, vg_f32_format, vg_tf32, vg_e4m3, vg_e5m2;

double vg_add_odd(double a, double b);
uint32_t vg_double_to(const struct vg_format *f, double d, enum vg_round r, int satfinite);
double vg_double_from(const struct vg_format *f, uint32_t bits);

#endif
