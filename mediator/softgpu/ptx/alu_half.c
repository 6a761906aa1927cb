/* SPDX-License-Identifier: MIT */
/*
 * f16 and bf16 arithmetic. add, sub and mul are exact enough in float that one
 * more rounding is right; fma goes through a double rounded to odd.
 */
#include <math.h>

#include "alu_ops.h"
#include "half.h"

static float load(int bf, uint16_t h)
{
    return bf ? vg_bf16_to_float(h) : vg_half_to_float(h);
}

static uint16_t save(int bf, float f)
{
    return bf ? vg_float_to_bf16(f) : vg_float_to_half(f);
}

static uint16_t fma_half(int bf, uint16_t a, uint16_t b, uint16_t c)
{
    double p = (double)load(bf, a) * (double)load(bf, b);

    return (uint16_t)vg_double_to(bf ? &vg_bf16 : &vg_f16, vg_add_odd(p, (double)load(bf, c)),
                                  VG_RN, 0);
}

static uint16_t canonical_nan(void)
{
    return 0x7fff;
}

static uint16_t min_half(int bf, uint16_t a, uint16_t b, int want_max, int nan)
{
    float x = load(bf, a), y = load(bf, b);

    if (x != x || y != y) {
        if (nan || (x != x && y != y))
            return canonical_nan();
        return x != x ? b : a;
    }
    if (x == y)
        return want_max ? a & b : a | b;
    return (x < y) != want_max ? a : b;
}

static uint16_t flush_half(int bf, uint16_t h)
{
    uint16_t exponent = bf ? 0x7f80 : 0x7c00;

    return (h & exponent) ? h : h & 0x8000;
}

static uint16_t half_value(const struct uop *u, uint16_t a, uint16_t b, uint16_t c)
{
    int bf = u->x[1];

    switch (u->x[0]) {
    case HALF_ADD: return save(bf, load(bf, a) + load(bf, b));
    case HALF_SUB: return save(bf, load(bf, a) - load(bf, b));
    case HALF_MUL: return save(bf, load(bf, a) * load(bf, b));
    case HALF_FMA: return fma_half(bf, a, b, c);
    case HALF_NEG: return a ^ 0x8000;
    case HALF_ABS: return a & 0x7fff;
    case HALF_MIN: return min_half(bf, a, b, 0, 0);
    case HALF_MAX: return min_half(bf, a, b, 1, 0);
    case HALF_MIN_NAN: return min_half(bf, a, b, 0, 1);
    case HALF_MAX_NAN: return min_half(bf, a, b, 1, 1);
    case HALF_TANH: return save(bf, tanhf(load(bf, a)));
    default: return save(bf, exp2f(load(bf, a)));
    }
}

static uint16_t half_one(const struct uop *u, uint32_t a, uint32_t b, uint32_t c)
{
    int bf = u->x[1];
    uint16_t r, x = (uint16_t)a, y = (uint16_t)b, z = (uint16_t)c;

    if (u->x[3]) {
        x = flush_half(bf, x);
        y = flush_half(bf, y);
        z = flush_half(bf, z);
    }
    r = half_value(u, x, y, z);
    if (u->x[3])
        r = flush_half(bf, r);
    if (u->x[4] || u->x[5]) {
        float f = load(bf, r);

        if (u->x[4])
            r = f != f || f <= 0 ? 0 : f > 1 ? save(bf, 1.0f) : r;
        else
            r = f != f ? canonical_nan() : f <= 0 ? 0 : r;
    }
    return r;
}

HANDLER(ptx_op_half)
{
    uint32_t *d = reg32(w, u->d);
    const uint32_t *a = reg32(w, u->a), *b = u->b ? reg32(w, u->b) : a,
                   *c = u->c ? reg32(w, u->c) : a;

    FOR_LANES(i, mask) {
        uint32_t r = half_one(u, a[i], b[i], c[i]);

        if (u->x[2])
            r |= (uint32_t)half_one(u, a[i] >> 16, b[i] >> 16, c[i] >> 16) << 16;
        d[i] = r;
    }
    return CTL_NEXT;
}

static int compare(int op, float a, float b)
{
    int unordered = a != a || b != b;

    switch (op) {
    case CMP_EQ: return a == b;
    case CMP_NE: return a < b || a > b;
    case CMP_LT: return a < b;
    case CMP_LE: return a <= b;
    case CMP_GT: return a > b;
    case CMP_GE: return a >= b;
    case CMP_EQU: return unordered || a == b;
    case CMP_NEU: return unordered || a != b;
    case CMP_LTU: return unordered || a < b;
    case CMP_LEU: return unordered || a <= b;
    case CMP_GTU: return unordered || a > b;
    case CMP_GEU: return unordered || a >= b;
    case CMP_NUM: return !unordered;
    default: return unordered;
    }
}

HANDLER(ptx_op_half_cmp)
{
    uint32_t bits = 0, q, c = *reg32(w, u->c) ^ (u->x[1] ? FULL_MASK : 0);
    int shift = u->imm ? 16 : 0;

    FOR_LANES(i, mask) {
        float a = load(u->x[3], (uint16_t)(reg32(w, u->a)[i] >> shift));
        float b = load(u->x[3], (uint16_t)(reg32(w, u->b)[i] >> shift));

        bits |= compare(u->x[2], a, b) ? 1u << i : 0;
    }
    q = ~bits;
    if (u->x[0] == BOOL_AND)
        bits &= c, q &= c;
    else if (u->x[0] == BOOL_OR)
        bits |= c, q |= c;
    else if (u->x[0] == BOOL_XOR)
        bits ^= c, q ^= c;
    set_pred(w, u->d, mask, bits);
    if (u->e)
        set_pred(w, u->e, mask, q);
    return CTL_NEXT;
}
