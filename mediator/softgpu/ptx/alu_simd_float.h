/* SPDX-License-Identifier: MIT */
/*
 * Floating point and comparisons of ALU_LIST; part of alu_simd.h. Correctly
 * rounded to nearest: compiled with -ffp-contract=off, fma is a real one.
 */
static inline uint32_t f32_bits(float f)
{
    uint32_t b;

    memcpy(&b, &f, sizeof(b));
    return b;
}

static inline float f32_from(uint32_t b)
{
    float f;

    memcpy(&f, &b, sizeof(f));
    return f;
}

static inline uint64_t f64_bits(double f)
{
    uint64_t b;

    memcpy(&b, &f, sizeof(b));
    return b;
}

static inline double f64_from(uint64_t b)
{
    double f;

    memcpy(&f, &b, sizeof(f));
    return f;
}

static inline uint32_t ftz_bits(uint32_t b)
{
    return (b & 0x7f800000u) ? b : b & 0x80000000u;
}

static inline float ftz(float f)
{
    return f32_from(ftz_bits(f32_bits(f)));
}

#define E_FMAF(a, b, c) __builtin_fmaf(a, b, c)
#define E_FMA(a, b, c) __builtin_fma(a, b, c)
#define E_DIV(a, b) ((a) / (b))
BINARY(add_f32, float, float, E_ADD)
BINARY(sub_f32, float, float, E_SUB)
BINARY(mul_f32, float, float, E_MUL)
BINARY(div_f32, float, float, E_DIV)
TERNARY(fma_f32, float, float, float, E_FMAF)
BINARY(add_f64, double, double, E_ADD)
BINARY(sub_f64, double, double, E_SUB)
BINARY(mul_f64, double, double, E_MUL)
BINARY(div_f64, double, double, E_DIV)
TERNARY(fma_f64, double, double, double, E_FMA)

#define E_ADDZ(a, b) ftz(ftz(a) + ftz(b))
#define E_SUBZ(a, b) ftz(ftz(a) - ftz(b))
#define E_MULZ(a, b) ftz(ftz(a) * ftz(b))
#define E_FMAZ(a, b, c) ftz(__builtin_fmaf(ftz(a), ftz(b), ftz(c)))
BINARY(add_ftz, float, float, E_ADDZ)
BINARY(sub_ftz, float, float, E_SUBZ)
BINARY(mul_ftz, float, float, E_MULZ)
TERNARY(fma_ftz, float, float, float, E_FMAZ)
UNARY(ftz_f32, uint32_t, uint32_t, ftz_bits)

#define E_SQRTF(a) __builtin_sqrtf(a)
#define E_SQRT(a) __builtin_sqrt(a)
UNARY(sqrt_f32, float, float, E_SQRTF)
UNARY(sqrt_f64, double, double, E_SQRT)

/* [0, 1], NaN becomes 0 */
#define E_SAT(a) ((a) > 0 ? ((a) < 1 ? (a) : 1) : 0)
UNARY(sat_f32, float, float, E_SAT)
UNARY(sat_f64, double, double, E_SAT)

#define E_FLIP32(a) ((a) ^ 0x80000000u)
#define E_CLEAR32(a) ((a) & 0x7fffffffu)
#define E_FLIP64(a) ((a) ^ 0x8000000000000000u)
#define E_CLEAR64(a) ((a) & 0x7fffffffffffffffu)
UNARY(neg_f32, uint32_t, uint32_t, E_FLIP32)
UNARY(abs_f32, uint32_t, uint32_t, E_CLEAR32)
UNARY(neg_f64, uint64_t, uint64_t, E_FLIP64)
UNARY(abs_f64, uint64_t, uint64_t, E_CLEAR64)

/* A number wins over NaN; -0 is below +0. */
#define MINMAX(t, ft, ut, from, nan)                                                              \
    static inline ut min_one_##t(ut x, ut y)                                                      \
    {                                                                                             \
        ft a = from(x), b = from(y);                                                              \
        ut r = a < b ? x : b < a ? y : x | y;                                                     \
        r = a != a ? y : r;                                                                       \
        r = b != b ? x : r;                                                                       \
        return a != a && b != b ? (ut)(nan) : r;                                                  \
    }                                                                                             \
    static inline ut max_one_##t(ut x, ut y)                                                      \
    {                                                                                             \
        ft a = from(x), b = from(y);                                                              \
        ut r = a > b ? x : b > a ? y : x & y;                                                     \
        r = a != a ? y : r;                                                                       \
        r = b != b ? x : r;                                                                       \
        return a != a && b != b ? (ut)(nan) : r;                                                  \
    }                                                                                             \
    BINARY(min_##t, ut, ut, min_one_##t) BINARY(max_##t, ut, ut, max_one_##t)
MINMAX(f32, float, uint32_t, f32_from, 0x7fffffffu)
MINMAX(f64, double, uint64_t, f64_from, 0x7ff8000000000000u)

#define CONVERT(name, dt, st, sv, via)                                                            \
    FN(name)                                                                                      \
    {                                                                                             \
        SRC(st, a);                                                                               \
        LANES(dt, via(sv)a[i]);                                                                   \
    }
CONVERT(cvt_f32_s32, float, uint32_t, int32_t, (float))
CONVERT(cvt_f32_u32, float, uint32_t, uint32_t, (float))
CONVERT(cvt_f64_s32, double, uint32_t, int32_t, (double))
CONVERT(cvt_f64_u32, double, uint32_t, uint32_t, (double))
CONVERT(cvt_f64_f32, double, float, float, (double))
CONVERT(cvt_f32_f64, float, double, double, (float))

/* Toward zero, clamped; NaN is 0. */
static inline int32_t s32_of(float a)
{
    float lo = a < -2147483648.0f ? -2147483648.0f : a;
    float in = lo >= 2147483648.0f || lo != lo ? 0 : lo;
    int32_t r = (int32_t)in;

    return lo >= 2147483648.0f ? INT32_MAX : r;
}
UNARY(cvt_s32_f32, uint32_t, float, s32_of)

#define E_FROM_HALF(a) vg_half_to_float((uint16_t)(a))
#define E_TO_HALF(a) vg_float_to_half(a)
UNARY(cvt_f32_f16, float, uint32_t, E_FROM_HALF)
UNARY(cvt_f16_f32, uint32_t, float, E_TO_HALF)

/* -------------------------------------------------------------- comparisons */

static inline int compared(struct warp *w, const struct uop *u, uint32_t mask, uint32_t bits)
{
    uint32_t q = ~bits;

    if (u->x[0] != BOOL_NONE) {
        uint32_t c = *reg32(w, u->c) ^ (u->x[1] ? FULL_MASK : 0);

        bits = u->x[0] == BOOL_AND ? bits & c : u->x[0] == BOOL_OR ? bits | c : bits ^ c;
        q = u->x[0] == BOOL_AND ? q & c : u->x[0] == BOOL_OR ? q | c : q ^ c;
    }
    set_pred(w, u->d, mask, bits);
    if (u->e)
        set_pred(w, u->e, mask, q);
    return CTL_NEXT;
}

#define COMPARE(name, st, vt, cond)                                                               \
    FN(name)                                                                                      \
    {                                                                                             \
        SRC(st, pa);                                                                              \
        SRC(st, pb);                                                                              \
        uint32_t bits = 0;                                                                        \
        for (int i = 0; i < PTX_LANES; i++) {                                                     \
            vt a = (vt)pa[i], b = (vt)pb[i];                                                      \
            bits |= (cond) ? lane_bit[i] : 0;                                                     \
        }                                                                                         \
        return compared(w, u, mask, bits);                                                        \
    }
#undef SRC
#define SRC(t, x) const t *x = (const t *)(const void *)(w->regs + SRC_##x)
#define SRC_pa u->a
#define SRC_pb u->b
#define COMPARE_ORDER(t, st, vt)                                                                  \
    COMPARE(lt_##t, st, vt, a < b)                                                                \
    COMPARE(le_##t, st, vt, a <= b)                                                               \
    COMPARE(gt_##t, st, vt, a > b)                                                                \
    COMPARE(ge_##t, st, vt, a >= b)
#define COMPARE_ALL(t, st, vt)                                                                    \
    COMPARE(eq_##t, st, vt, a == b)                                                               \
    COMPARE(ne_##t, st, vt, a != b) COMPARE_ORDER(t, st, vt)
COMPARE_ALL(u16, uint32_t, uint16_t)
COMPARE_ORDER(s16, uint32_t, int16_t)
COMPARE_ALL(u32, uint32_t, uint32_t)
COMPARE_ORDER(s32, uint32_t, int32_t)
COMPARE_ALL(u64, uint64_t, uint64_t)
COMPARE_ORDER(s64, uint64_t, int64_t)

#define COMPARE_FLOAT(t, vt)                                                                      \
    COMPARE(eq_##t, vt, vt, a == b)                                                               \
    COMPARE(ne_##t, vt, vt, a < b || a > b)                                                       \
    COMPARE_ORDER(t, vt, vt)                                                                      \
    COMPARE(equ_##t, vt, vt, !(a < b || a > b))                                                   \
    COMPARE(neu_##t, vt, vt, a != b)                                                              \
    COMPARE(ltu_##t, vt, vt, !(a >= b))                                                           \
    COMPARE(leu_##t, vt, vt, !(a > b))                                                            \
    COMPARE(gtu_##t, vt, vt, !(a <= b))                                                           \
    COMPARE(geu_##t, vt, vt, !(a < b))                                                            \
    COMPARE(num_##t, vt, vt, a == a && b == b)                                                    \
    COMPARE(nan_##t, vt, vt, a != a || b != b)
COMPARE_FLOAT(f32, float)
COMPARE_FLOAT(f64, double)
