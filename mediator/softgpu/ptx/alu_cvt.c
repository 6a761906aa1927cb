/* SPDX-License-Identifier: MIT */
/* Conversions of every kind, lane by lane; see alu_ops.h for the fields. */
#include <fenv.h>
#include <math.h>

#include "alu_ops.h"
#include "ast.h"
#include "half.h"

#include <string.h>

struct number { /* a value in its widest form */
    int is_float;
    double f;
    int is_signed;
    uint64_t i;
};

static double flush32(double d)
{
    return fabs(d) < 0x1p-126 ? copysign(0.0, d) : d;
}

static struct number load_float(const struct uop *u, uint32_t v32, uint64_t v64)
{
    struct number n = {1, 0, 0, 0};
    float f;

    switch (u->x[1]) {
    case T_F16: n.f = (double)vg_half_to_float((uint16_t)v32); break;
    case T_BF16: n.f = (double)vg_bf16_to_float((uint16_t)v32); break;
    case T_F64: memcpy(&n.f, &v64, 8); break;
    default:
        memcpy(&f, &v32, 4);
        n.f = (double)f;
        if (u->x[5])
            n.f = flush32(n.f);
        break;
    }
    return n;
}

static struct number load(const struct uop *u, uint32_t v32, uint64_t v64)
{
    struct number n = {0, 0, 0, 0};

    switch (u->x[1]) {
    case T_U8: n.i = (uint8_t)v32; break;
    case T_U16: n.i = (uint16_t)v32; break;
    case T_U32: n.i = v32; break;
    case T_U64: n.i = v64; break;
    case T_S8: n.i = (uint64_t)(int8_t)v32; n.is_signed = 1; break;
    case T_S16: n.i = (uint64_t)(int16_t)v32; n.is_signed = 1; break;
    case T_S32: n.i = (uint64_t)(int32_t)v32; n.is_signed = 1; break;
    case T_S64: n.i = v64; n.is_signed = 1; break;
    default: return load_float(u, v32, v64);
    }
    return n;
}

static double to_integer(double d, int round)
{
    switch (round) {
    case VG_RZ: return trunc(d);
    case VG_RM: return floor(d);
    case VG_RP: return ceil(d);
    default: return nearbyint(d);
    }
}

static void int_range(int type, int64_t *lo, uint64_t *hi)
{
    unsigned bits = ast_type_size((enum ast_type)type) * 8;

    if (type >= T_S8 && type <= T_S64) {
        *hi = (1ull << (bits - 1)) - 1;
        *lo = -(int64_t)*hi - 1;
    } else {
        *hi = bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
        *lo = 0;
    }
}

static uint64_t float_to_int(const struct uop *u, double d)
{
    unsigned bits = ast_type_size((enum ast_type)u->x[0]) * 8;
    int64_t lo;
    uint64_t hi;

    int_range(u->x[0], &lo, &hi);
    if (d != d) /* zero, except where double or 64 bits are involved */
        return u->x[1] == T_F64 || bits == 64 ? 1ull << (bits - 1) : 0;
    d = to_integer(d, u->x[2]);
    if (d <= (double)lo)
        return (uint64_t)lo;
    if (d >= (double)hi)
        return hi;
    return d < 0 ? (uint64_t)(int64_t)d : (uint64_t)d;
}

static uint64_t int_to_int(const struct uop *u, const struct number *n)
{
    int64_t lo, v = (int64_t)n->i;
    uint64_t hi;

    if (!(u->x[4] & 1))
        return n->i;
    int_range(u->x[0], &lo, &hi);
    if (n->is_signed && v < 0)
        return v < lo ? (uint64_t)lo : (uint64_t)v;
    return n->i > hi ? hi : n->i;
}

/* An integer of any size as a double whose last bit remembers what was lost. */
static double int_to_odd(const struct number *n)
{
    int negative = n->is_signed && (int64_t)n->i < 0;
    uint64_t a = negative ? 0 - n->i : n->i;
    double hi = (double)(a >> 32) * 0x1p32, lo = (double)(uint32_t)a, r = vg_add_odd(hi, lo);

    return negative ? -r : r;
}

static double int_to_double(const struct number *n, int round)
{
    static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD, FE_TONEAREST};
    volatile double r;
    volatile uint64_t v = n->i;

    fesetround(modes[round]);
    if (n->is_signed)
        r = (double)(int64_t)v;
    else
        r = (double)v;
    fesetround(FE_TONEAREST);
    return r;
}

static const struct vg_format *format_of(int type)
{
    switch (type) {
    case T_F16: case T_F16X2: return &vg_f16;
    case T_BF16: case T_BF16X2: return &vg_bf16;
    case T_TF32: return &vg_tf32;
    case T_E4M3X2: return &vg_e4m3;
    case T_E5M2X2: return &vg_e5m2;
    default: return &vg_f32_format;
    }
}

static double saturate(const struct uop *u, double d)
{
    if (u->x[4] & 1)
        return d > 0 ? (d < 1 ? d : 1) : 0;
    if (u->x[6] && d == d)
        return d > 0 ? d : 0;
    return d;
}

/* The bits of a float of u's target type. */
static uint64_t store_float(const struct uop *u, double d, int round)
{
    uint64_t bits;

    d = saturate(u, d);
    if (u->x[0] == T_F64) {
        memcpy(&bits, &d, 8);
        return bits;
    }
    bits = vg_double_to(format_of(u->x[0]), d, (enum vg_round)round, u->x[4] & 2);
    if (u->x[0] == T_TF32)
        bits <<= 13;
    if (u->x[0] == T_F32 && u->x[5] && !(bits & 0x7f800000u))
        bits &= 0x80000000u;
    return bits;
}

static uint64_t convert(const struct uop *u, const struct number *n)
{
    int to_int = u->x[0] >= T_U8 && u->x[0] <= T_S64;

    if (to_int)
        return n->is_float ? float_to_int(u, n->f) : int_to_int(u, n);
    if (!n->is_float)
        return u->x[0] == T_F64 ? store_float(u, int_to_double(n, u->x[2]), VG_RN)
                                : store_float(u, int_to_odd(n), u->x[2]);
    if (u->x[3])
        return store_float(u, to_integer(n->f, u->x[2]), VG_RN);
    return store_float(u, n->f, u->x[2]);
}

/* Narrow integers fill their register as their sign says. */
static uint64_t extend(int type, uint64_t v)
{
    switch (type) {
    case T_U8: return (uint8_t)v;
    case T_U16: return (uint16_t)v;
    case T_U32: return (uint32_t)v;
    case T_S8: return (uint64_t)(int8_t)v;
    case T_S16: return (uint64_t)(int16_t)v;
    case T_S32: return (uint64_t)(int32_t)v;
    default: return v;
    }
}

HANDLER(ptx_op_cvt)
{
    int wide = ast_type_size((enum ast_type)u->x[1]) == 8;

    FOR_LANES(i, mask) {
        struct number n = load(u, wide ? 0 : reg32(w, u->a)[i], wide ? reg64(w, u->a)[i] : 0);
        uint64_t r = extend(u->x[0], convert(u, &n));

        if (u->x[7])
            reg64(w, u->d)[i] = r;
        else
            reg32(w, u->d)[i] = (uint32_t)r;
    }
    return CTL_NEXT;
}

static double float_at(const struct warp *w, uint32_t at, uint32_t lane)
{
    float f;

    memcpy(&f, &reg32(w, at)[lane], 4);
    return (double)f;
}

/* imm = bits of one half of the result. From f32: a above b; from f16x2: both. */
HANDLER(ptx_op_cvt_pack)
{
    FOR_LANES(i, mask) {
        double hi, lo;

        if (u->x[1] == T_F32) {
            hi = float_at(w, u->a, i);
            lo = float_at(w, u->b, i);
        } else {
            hi = (double)vg_half_to_float((uint16_t)(reg32(w, u->a)[i] >> 16));
            lo = (double)vg_half_to_float((uint16_t)reg32(w, u->a)[i]);
        }
        reg32(w, u->d)[i] = (uint32_t)(store_float(u, hi, u->x[2]) << u->imm |
                                       store_float(u, lo, u->x[2]));
    }
    return CTL_NEXT;
}

HANDLER(ptx_op_cvt_unpack)
{
    const struct vg_format *f = format_of(u->x[1]);

    FOR_LANES(i, mask) {
        uint32_t v = reg32(w, u->a)[i];
        double hi = saturate(u, vg_double_from(f, v >> 8 & 0xff));
        double lo = saturate(u, vg_double_from(f, v & 0xff));

        reg32(w, u->d)[i] = vg_double_to(&vg_f16, hi, VG_RN, 0) << 16 |
                            vg_double_to(&vg_f16, lo, VG_RN, 0);
    }
    return CTL_NEXT;
}
