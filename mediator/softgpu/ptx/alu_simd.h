/* SPDX-License-Identifier: MIT */
/*
 * Bodies of ALU_LIST, as loops over 32 lanes that a compiler can turn into
 * vector code. Included by alu_base.c and alu_avx2.c; everything is static.
 * Slots are the same or apart, never overlapping: IVDEP says so.
 */
#include <math.h>
#include <string.h>

#include "alu_list.h"
#include "half.h"
#include "handlers.h"

#if defined(__clang__)
#define IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif __GNUC__ > 4 || (__GNUC__ == 4 && __GNUC_MINOR__ >= 9)
#define IVDEP _Pragma("GCC ivdep")
#else
#define IVDEP           /* gcc 4.8 looks at run time whether slots overlap */
#endif

#define BIT4(n) 1u << (n), 2u << (n), 4u << (n), 8u << (n)
static const uint32_t lane_bit[PTX_LANES] = {BIT4(0),  BIT4(4),  BIT4(8),  BIT4(12),
                                             BIT4(16), BIT4(20), BIT4(24), BIT4(28)};

#define FN(name) static int h_##name(struct warp *w, const struct uop *u, uint32_t mask)

/* dt/at/bt/ct: how slots are stored. value: an expression of i. */
#define LANES(dt, value)                                                                          \
    do {                                                                                          \
        dt *d = (dt *)(void *)(w->regs + u->d);                                                   \
        if (mask == FULL_MASK) {                                                                  \
            IVDEP for (int i = 0; i < PTX_LANES; i++) d[i] = (dt)(value);                         \
        } else {                                                                                  \
            IVDEP for (int i = 0; i < PTX_LANES; i++)                                             \
            {                                                                                     \
                dt r = (dt)(value);                                                               \
                d[i] = (mask & lane_bit[i]) ? r : d[i];                                           \
            }                                                                                     \
        }                                                                                         \
        return CTL_NEXT;                                                                          \
    } while (0)

#define SRC(t, x) const t *x = (const t *)(const void *)(w->regs + u->x)

#define UNARY(name, dt, at, expr)                                                                 \
    FN(name)                                                                                      \
    {                                                                                             \
        SRC(at, a);                                                                               \
        LANES(dt, expr(a[i]));                                                                    \
    }
#define BINARY(name, dt, at, expr)                                                                \
    FN(name)                                                                                      \
    {                                                                                             \
        SRC(at, a);                                                                               \
        SRC(at, b);                                                                               \
        LANES(dt, expr(a[i], b[i]));                                                              \
    }
#define TERNARY(name, dt, at, ct, expr)                                                           \
    FN(name)                                                                                      \
    {                                                                                             \
        SRC(at, a);                                                                               \
        SRC(at, b);                                                                               \
        SRC(ct, c);                                                                               \
        LANES(dt, expr(a[i], b[i], c[i]));                                                        \
    }

/* ------------------------------------------------------------------ integers */

#define E_ID(a) (a)
UNARY(mov_32, uint32_t, uint32_t, E_ID)
UNARY(mov_64, uint64_t, uint64_t, E_ID)

/* x[1]: c negated */
#define SELP(name, t)                                                                             \
    FN(name)                                                                                      \
    {                                                                                             \
        SRC(t, a);                                                                                \
        SRC(t, b);                                                                                \
        uint32_t p = *reg32(w, u->c) ^ (u->x[1] ? FULL_MASK : 0);                                 \
        LANES(t, (p & lane_bit[i]) ? a[i] : b[i]);                                                \
    }
SELP(selp_32, uint32_t)
SELP(selp_64, uint64_t)

#define E_ADD(a, b) ((a) + (b))
#define E_SUB(a, b) ((a) - (b))
#define E_MUL(a, b) ((a) * (b))
#define E_MAD(a, b, c) ((a) * (b) + (c))
#define E_NEG(a) (0 - (a))
#define INT3(op, expr, shape)                                                                     \
    shape(op##_16, uint32_t, uint32_t, expr) shape(op##_32, uint32_t, uint32_t, expr)             \
        shape(op##_64, uint64_t, uint64_t, expr)
INT3(add, E_ADD, BINARY)
INT3(sub, E_SUB, BINARY)
INT3(mul, E_MUL, BINARY)
INT3(neg, E_NEG, UNARY)
TERNARY(mad_16, uint32_t, uint32_t, uint32_t, E_MAD)
TERNARY(mad_32, uint32_t, uint32_t, uint32_t, E_MAD)
TERNARY(mad_64, uint64_t, uint64_t, uint64_t, E_MAD)

#define E_AND(a, b) ((a) & (b))
#define E_OR(a, b) ((a) | (b))
#define E_XOR(a, b) ((a) ^ (b))
#define E_NOT(a) (~(a))
BINARY(and_32, uint32_t, uint32_t, E_AND)
BINARY(or_32, uint32_t, uint32_t, E_OR)
BINARY(xor_32, uint32_t, uint32_t, E_XOR)
UNARY(not_32, uint32_t, uint32_t, E_NOT)
BINARY(and_64, uint64_t, uint64_t, E_AND)
BINARY(or_64, uint64_t, uint64_t, E_OR)
BINARY(xor_64, uint64_t, uint64_t, E_XOR)
UNARY(not_64, uint64_t, uint64_t, E_NOT)

/* imm = truth table */
FN(lop3)
{
    SRC(uint32_t, a);
    SRC(uint32_t, b);
    SRC(uint32_t, c);
    uint32_t m[8];
    int k;

    for (k = 0; k < 8; k++)
        m[k] = (u->imm >> k & 1) ? FULL_MASK : 0;
    LANES(uint32_t, (~a[i] & ((~b[i] & ((~c[i] & m[0]) | (c[i] & m[1]))) |
                              (b[i] & ((~c[i] & m[2]) | (c[i] & m[3]))))) |
                        (a[i] & ((~b[i] & ((~c[i] & m[4]) | (c[i] & m[5]))) |
                                 (b[i] & ((~c[i] & m[6]) | (c[i] & m[7]))))));
}

/* Shift counts are 32-bit registers, clamped to the width. */
#define SHIFT(name, st, vt, width, over, op)                                                      \
    FN(name)                                                                                      \
    {                                                                                             \
        SRC(st, a);                                                                               \
        SRC(uint32_t, b);                                                                         \
        LANES(st, b[i] < width ? (vt)a[i] op (b[i] & (width - 1)) : (vt)(over));                  \
    }
SHIFT(shl_16, uint32_t, uint32_t, 16, 0, <<)
SHIFT(shl_32, uint32_t, uint32_t, 32, 0, <<)
SHIFT(shl_64, uint64_t, uint64_t, 64, 0, <<)
SHIFT(shr_u16, uint32_t, uint16_t, 16, 0, >>)
SHIFT(shr_u32, uint32_t, uint32_t, 32, 0, >>)
SHIFT(shr_u64, uint64_t, uint64_t, 64, 0, >>)
SHIFT(shr_s16, uint32_t, int16_t, 16, (int16_t)a[i] >> 15, >>)
SHIFT(shr_s32, uint32_t, int32_t, 32, (int32_t)a[i] >> 31, >>)
SHIFT(shr_s64, uint64_t, int64_t, 64, (int64_t)a[i] >> 63, >>)

/* st: slot, vt: value, wt: twice as wide */
#define E_HI(wt, sh, a, b) ((wt)(a) * (wt)(b) >> (sh))
#define MULHI(t, st, vt, wt, sh)                                                                  \
    FN(mulhi_##t)                                                                                 \
    {                                                                                             \
        SRC(st, a);                                                                               \
        SRC(st, b);                                                                               \
        LANES(st, E_HI(wt, sh, (vt)a[i], (vt)b[i]));                                              \
    }                                                                                             \
    FN(madhi_##t)                                                                                 \
    {                                                                                             \
        SRC(st, a);                                                                               \
        SRC(st, b);                                                                               \
        SRC(st, c);                                                                               \
        LANES(st, (st)E_HI(wt, sh, (vt)a[i], (vt)b[i]) + c[i]);                                   \
    }
__extension__ typedef __int128 i128;
__extension__ typedef unsigned __int128 u128;
MULHI(s16, uint32_t, int16_t, int32_t, 16)
MULHI(u16, uint32_t, uint16_t, uint32_t, 16)
MULHI(s32, uint32_t, int32_t, int64_t, 32)
MULHI(u32, uint32_t, uint32_t, uint64_t, 32)
MULHI(s64, uint64_t, int64_t, i128, 64)
MULHI(u64, uint64_t, uint64_t, u128, 64)

#define MULWIDE(t, dt, vt, wt)                                                                    \
    FN(mulwide_##t)                                                                               \
    {                                                                                             \
        SRC(uint32_t, a);                                                                         \
        SRC(uint32_t, b);                                                                         \
        LANES(dt, (wt)(vt)a[i] * (wt)(vt)b[i]);                                                   \
    }                                                                                             \
    FN(madwide_##t)                                                                               \
    {                                                                                             \
        SRC(uint32_t, a);                                                                         \
        SRC(uint32_t, b);                                                                         \
        SRC(dt, c);                                                                               \
        LANES(dt, (dt)((wt)(vt)a[i] * (wt)(vt)b[i]) + c[i]);                                      \
    }
MULWIDE(s16, uint32_t, int16_t, int32_t)
MULWIDE(u16, uint32_t, uint16_t, uint32_t)
MULWIDE(s32, uint64_t, int32_t, int64_t)
MULWIDE(u32, uint64_t, uint32_t, uint64_t)

#define E_MIN(a, b) ((a) < (b) ? (a) : (b))
#define E_MAX(a, b) ((a) > (b) ? (a) : (b))
#define TYPED(name, st, vt, expr)                                                                 \
    FN(name)                                                                                      \
    {                                                                                             \
        SRC(st, a);                                                                               \
        SRC(st, b);                                                                               \
        LANES(st, expr((vt)a[i], (vt)b[i]));                                                      \
    }
#define TYPED_ALL(op, expr)                                                                       \
    TYPED(op##_s16, uint32_t, int16_t, expr) TYPED(op##_u16, uint32_t, uint16_t, expr)            \
    TYPED(op##_s32, uint32_t, int32_t, expr) TYPED(op##_u32, uint32_t, uint32_t, expr)            \
    TYPED(op##_s64, uint64_t, int64_t, expr) TYPED(op##_u64, uint64_t, uint64_t, expr)
TYPED_ALL(min, E_MIN)
TYPED_ALL(max, E_MAX)

/* Division by zero gives all ones, as the hardware does; MIN / -1 wraps. */
#define DIVIDE(t, st, ut, vt)                                                                     \
    static inline st div_one_##t(vt a, vt b)                                                      \
    {                                                                                             \
        return b == 0 ? (st)~(st)0 : b == (vt)-1 && (vt)-1 < (vt)1 ? (st)(ut)(0 - (ut)a)          \
                                                                   : (st)(a / b);                 \
    }                                                                                             \
    static inline st rem_one_##t(vt a, vt b)                                                      \
    {                                                                                             \
        return b == 0 ? (st)a : b == (vt)-1 && (vt)-1 < (vt)1 ? 0 : (st)(a % b);                  \
    }                                                                                             \
    TYPED(div_##t, st, vt, div_one_##t) TYPED(rem_##t, st, vt, rem_one_##t)
DIVIDE(s16, uint32_t, uint16_t, int16_t)
DIVIDE(u16, uint32_t, uint16_t, uint16_t)
DIVIDE(s32, uint32_t, uint32_t, int32_t)
DIVIDE(u32, uint32_t, uint32_t, uint32_t)
DIVIDE(s64, uint64_t, uint64_t, int64_t)
DIVIDE(u64, uint64_t, uint64_t, uint64_t)

#define ABS_OF(name, st, vt)                                                                      \
    FN(name)                                                                                      \
    {                                                                                             \
        SRC(st, a);                                                                               \
        LANES(st, (vt)a[i] < 0 ? 0 - a[i] : a[i]);                                                \
    }
ABS_OF(abs_s16, uint32_t, int16_t)
ABS_OF(abs_s32, uint32_t, int32_t)
ABS_OF(abs_s64, uint64_t, int64_t)

/* Narrow results are kept extended in their sign: a wider read is right too. */
#define CVT(name, dt, vt, st, sv)                                                                 \
    FN(name)                                                                                      \
    {                                                                                             \
        SRC(st, a);                                                                               \
        LANES(dt, (vt)(sv)a[i]);                                                                  \
    }
#define CVT_ROW(s, st, sv)                                                                        \
    CVT(cvt_s8_##s, uint32_t, int8_t, st, sv) CVT(cvt_u8_##s, uint32_t, uint8_t, st, sv)          \
    CVT(cvt_s16_##s, uint32_t, int16_t, st, sv) CVT(cvt_u16_##s, uint32_t, uint16_t, st, sv)      \
    CVT(cvt_32_##s, uint32_t, uint32_t, st, sv) CVT(cvt_64_##s, uint64_t, uint64_t, st, sv)
CVT_ROW(s8, uint32_t, int8_t)
CVT_ROW(u8, uint32_t, uint8_t)
CVT_ROW(s16, uint32_t, int16_t)
CVT_ROW(u16, uint32_t, uint16_t)
CVT_ROW(s32, uint32_t, int32_t)
CVT_ROW(u32, uint32_t, uint32_t)
CVT_ROW(u64, uint64_t, uint64_t)

#include "alu_simd_mem.h"

#include "alu_simd_float.h"
