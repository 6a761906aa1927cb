/* SPDX-License-Identifier: MIT */
/* Bits, carries, small dot products: lane by lane. See alu_ops.h. */
#include "alu_ops.h"

HANDLER(ptx_op_pred_logic)
{
    uint32_t a = *reg32(w, u->a) ^ (u->x[1] ? FULL_MASK : 0);
    uint32_t b = *reg32(w, u->b) ^ (u->x[2] ? FULL_MASK : 0), r = a;

    switch (u->x[0]) {
    case PRED_AND: r = a & b; break;
    case PRED_OR: r = a | b; break;
    case PRED_XOR: r = a ^ b; break;
    case PRED_NOT: r = ~a; break;
    default: break;
    }
    set_pred(w, u->d, mask, r);
    return CTL_NEXT;
}

__extension__ typedef __int128 i128;
__extension__ typedef unsigned __int128 u128;

static uint64_t product(const struct uop *u, uint64_t a, uint64_t b)
{
    if (!u->x[4])
        return a * b;
    if (u->x[6])
        return u->x[5] ? (uint64_t)((i128)(int64_t)a * (int64_t)b >> 64)
                       : (uint64_t)((u128)a * b >> 64);
    return u->x[5] ? (uint32_t)((int64_t)(int32_t)a * (int32_t)b >> 32) : (uint32_t)(a * b >> 32);
}

/* One lane; *flag: carry or borrow in and out. */
static uint64_t carry_one(const struct uop *u, uint64_t a, uint64_t b, uint64_t c, uint32_t *flag)
{
    uint64_t limit = u->x[6] ? UINT64_MAX : UINT32_MAX, in = u->x[0] ? *flag : 0;
    u128 r;

    if (u->x[3]) {
        a = product(u, a, b) & limit;
        b = c;
    }
    if (u->x[2]) {
        *flag = (u128)a < (u128)b + in;
        return (a - b - in) & limit;
    }
    r = (u128)a + b + in;
    *flag = r > limit;
    return (uint64_t)r & limit;
}

HANDLER(ptx_op_carry)
{
    uint32_t flags = *reg32(w, u->e), out = 0;
    int wide = u->x[6];

    FOR_LANES(i, mask) {
        uint32_t flag = flags >> i & 1;
        uint64_t a = wide ? reg64(w, u->a)[i] : reg32(w, u->a)[i];
        uint64_t b = wide ? reg64(w, u->b)[i] : reg32(w, u->b)[i];
        uint64_t c = !u->x[3] ? 0 : wide ? reg64(w, u->c)[i] : reg32(w, u->c)[i];
        uint64_t r = carry_one(u, a, b, c, &flag);

        if (wide)
            reg64(w, u->d)[i] = r;
        else
            reg32(w, u->d)[i] = (uint32_t)r;
        out |= flag << i;
    }
    if (u->x[1])
        set_pred(w, u->e, mask, out);
    return CTL_NEXT;
}

static uint32_t clamp_s32(int64_t v)
{
    return (uint32_t)(v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v);
}

HANDLER(ptx_op_add_sat)
{
    FOR_LANES(i, mask)
        reg32(w, u->d)[i] =
            clamp_s32((int64_t)(int32_t)reg32(w, u->a)[i] + (int32_t)reg32(w, u->b)[i]);
    return CTL_NEXT;
}

HANDLER(ptx_op_sub_sat)
{
    FOR_LANES(i, mask)
        reg32(w, u->d)[i] =
            clamp_s32((int64_t)(int32_t)reg32(w, u->a)[i] - (int32_t)reg32(w, u->b)[i]);
    return CTL_NEXT;
}

static uint32_t packed_one(int op, int is_signed, uint32_t a, uint32_t b)
{
    int32_t x = is_signed ? (int16_t)a : (int32_t)(uint16_t)a;
    int32_t y = is_signed ? (int16_t)b : (int32_t)(uint16_t)b;
    int32_t r = op == 0 ? x + y : op == 1 ? x - y : op == 2 ? (x < y ? x : y) : (x > y ? x : y);

    return (uint32_t)r & 0xffff;
}

HANDLER(ptx_op_packed16)
{
    FOR_LANES(i, mask) {
        uint32_t a = reg32(w, u->a)[i], b = reg32(w, u->b)[i];

        reg32(w, u->d)[i] = packed_one(u->x[0], u->x[1], a, b) |
                            packed_one(u->x[0], u->x[1], a >> 16, b >> 16) << 16;
    }
    return CTL_NEXT;
}

HANDLER(ptx_op_mul24)
{
    FOR_LANES(i, mask) {
        uint32_t a = reg32(w, u->a)[i] << 8, b = reg32(w, u->b)[i] << 8;
        uint64_t p = u->x[1] ? (uint64_t)((int64_t)((int32_t)a >> 8) * ((int32_t)b >> 8))
                             : (uint64_t)(a >> 8) * (b >> 8);

        reg32(w, u->d)[i] = (uint32_t)(u->x[0] ? p >> 16 : p) + reg32(w, u->c)[i];
    }
    return CTL_NEXT;
}

/* ---------------------------------------------------------------- bit fields */

static uint64_t field_mask(unsigned n)
{
    return n >= 64 ? UINT64_MAX : (1ull << n) - 1;
}

static uint64_t bfe(const struct uop *u, uint64_t a, uint32_t b, uint32_t c)
{
    unsigned width = u->x[2] * 8u, pos = b & 0xff, len = c & 0xff;
    uint64_t sign, v;

    if (len == 0)
        return 0;
    /* The sign is the field's top bit, or the operand's when that is beyond it. */
    sign = u->x[1] ? a >> (pos + len - 1 < width - 1 ? pos + len - 1 : width - 1) & 1 : 0;
    v = pos < width ? a >> pos : 0;
    if (pos + len > width)
        len = pos < width ? width - pos : 0;
    v &= field_mask(len);
    return sign ? v | ~field_mask(len) : v;
}

static uint64_t bfi(const struct uop *u, uint64_t a, uint64_t b, uint32_t c, uint32_t d)
{
    unsigned width = u->x[2] * 8u, pos = c & 0xff, len = d & 0xff;
    uint64_t m;

    if (pos >= width)
        return b;
    m = field_mask(len) << pos;
    return (b & ~m) | (a << pos & m);
}

/* x[3]: .shiftamt; all ones when no bit is found */
static uint64_t bfind(const struct uop *u, uint64_t a)
{
    unsigned width = u->x[2] * 8u, bit;

    if (u->x[1] && (a >> (width - 1) & 1))
        a = ~a & field_mask(width);
    if (a == 0)
        return 0xffffffffu;
    bit = 63u - (unsigned)__builtin_clzll(a);
    return u->x[3] ? width - 1 - bit : bit;
}

static uint64_t reverse(uint64_t a, unsigned width)
{
    uint64_t r = 0;
    unsigned i;

    for (i = 0; i < width; i++)
        r |= (a >> i & 1) << (width - 1 - i);
    return r;
}

static uint32_t prmt_selector(int mode, uint32_t c)
{
    static const uint16_t f4e[4] = {0x3210, 0x4321, 0x5432, 0x6543};
    static const uint16_t b4e[4] = {0x5670, 0x6701, 0x7012, 0x0123};
    static const uint16_t ecl[4] = {0x3210, 0x3211, 0x3222, 0x3333};
    static const uint16_t ecr[4] = {0x0000, 0x1110, 0x2210, 0x3210};

    switch (mode) {
    case 1: return f4e[c & 3];
    case 2: return b4e[c & 3];
    case 3: return (c & 3) * 0x1111u;
    case 4: return ecl[c & 3];
    case 5: return ecr[c & 3];
    case 6: return (c & 1) ? 0x3232 : 0x1010;
    default: return c;
    }
}

/* x[3]: 0 by selector, else f4e b4e rc8 ecl ecr rc16 */
static uint32_t prmt(const struct uop *u, uint32_t a, uint32_t b, uint32_t c)
{
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t sel = prmt_selector(u->x[3], c), r = 0, i;

    for (i = 0; i < 4; i++) {
        uint32_t s = sel >> (4 * i) & 15, v = (uint32_t)(bytes >> (8 * (s & 7))) & 0xff;

        if (s & 8)
            v = (v & 0x80) ? 0xff : 0;
        r |= v << (8 * i);
    }
    return r;
}

/* x[3]: wrap, else clamp */
static uint32_t shf(const struct uop *u, uint32_t a, uint32_t b, uint32_t c)
{
    uint64_t v = (uint64_t)b << 32 | a;
    uint32_t n = u->x[3] ? c & 31 : c > 32 ? 32 : c;

    return u->x[0] == BITS_SHF_L ? (uint32_t)(v << n >> 32) : (uint32_t)(v >> n);
}

static uint64_t sad(const struct uop *u, uint64_t a, uint64_t b, uint64_t c)
{
    unsigned drop = 64 - u->x[2] * 8u;
    int64_t x = (int64_t)(a << drop) >> drop, y = (int64_t)(b << drop) >> drop;

    if (u->x[1])
        return c + (x < y ? (uint64_t)y - (uint64_t)x : (uint64_t)x - (uint64_t)y);
    a = a << drop >> drop;
    b = b << drop >> drop;
    return c + (a < b ? b - a : a - b);
}

/* The n-th set bit of a, counting from base up (n > 0) or down. */
static uint32_t fns(uint32_t a, uint32_t base, int32_t n)
{
    int32_t i, step = n < 0 ? -1 : 1, left = n < 0 ? -n : n;

    if (base > 31)
        return UINT32_MAX;
    if (n == 0)
        return (a >> base & 1) ? base : UINT32_MAX;
    for (i = (int32_t)base; i >= 0 && i < 32; i += step)
        if ((a >> i & 1) && --left == 0)
            return (uint32_t)i;
    return UINT32_MAX;
}

/* x[1]: a signed, x[3]: b signed; dp2a x[4]: high half of b */
static uint32_t dot(const struct uop *u, uint32_t a, uint32_t b, uint32_t c)
{
    int i, n = u->x[0] == BITS_DP4A ? 4 : 2;

    if (n == 2)
        b >>= u->x[4] ? 16 : 0;
    for (i = 0; i < n; i++) {
        uint32_t av = n == 4 ? a >> (8 * i) : a >> (16 * i), bv = b >> (8 * i);
        int32_t x = n == 4 ? (u->x[1] ? (int8_t)av : (int32_t)(uint8_t)av)
                           : (u->x[1] ? (int16_t)av : (int32_t)(uint16_t)av);
        int32_t y = u->x[3] ? (int8_t)bv : (int32_t)(uint8_t)bv;

        c += (uint32_t)(x * y);
    }
    return c;
}

/* x[3]: wrap, else clamp. */
static uint32_t szext(const struct uop *u, uint32_t a, uint32_t b)
{
    uint32_t n = u->x[3] ? b & 31 : b;

    if (n == 0)
        return 0;
    if (n >= 32)
        return a;
    return u->x[1] ? (uint32_t)((int32_t)(a << (32 - n)) >> (32 - n)) : a & ((1u << n) - 1);
}

static uint32_t bmsk(const struct uop *u, uint32_t a, uint32_t b)
{
    uint32_t pos = u->x[3] ? a & 31 : a, n = u->x[3] ? b & 31 : b;

    return pos >= 32 ? 0 : (uint32_t)(field_mask(n > 32 ? 32 : n) << pos);
}

/* x[3]: the third operand is a float */
static uint64_t slct(const struct uop *u, uint64_t a, uint64_t b, uint32_t c)
{
    if (u->x[3] && (c & 0x7fffffffu) == 0)
        return a; /* -0 is not below 0 */
    if (u->x[3] && (c & 0x7fffffffu) > 0x7f800000u)
        return b;
    return (int32_t)c >= 0 ? a : b;
}

static uint64_t bits_one(const struct uop *u, uint64_t a, uint64_t b, uint64_t c, uint64_t e)
{
    unsigned width = u->x[2] * 8u;

    switch (u->x[0]) {
    case BITS_POPC: return (uint64_t)__builtin_popcountll(a);
    case BITS_CLZ: return a ? (uint64_t)__builtin_clzll(a) - (64 - width) : width;
    case BITS_BREV: return reverse(a, width);
    case BITS_BFIND: return bfind(u, a);
    case BITS_BFE: return bfe(u, a, (uint32_t)b, (uint32_t)c);
    case BITS_BFI: return bfi(u, a, b, (uint32_t)c, (uint32_t)e);
    case BITS_PRMT: return prmt(u, (uint32_t)a, (uint32_t)b, (uint32_t)c);
    case BITS_SHF_L:
    case BITS_SHF_R: return shf(u, (uint32_t)a, (uint32_t)b, (uint32_t)c);
    case BITS_SAD: return sad(u, a, b, c);
    case BITS_FNS: return fns((uint32_t)a, (uint32_t)b, (int32_t)c);
    case BITS_CNOT: return (width == 16 ? (uint16_t)a : a) == 0;
    case BITS_DP4A:
    case BITS_DP2A: return dot(u, (uint32_t)a, (uint32_t)b, (uint32_t)c);
    case BITS_SLCT: return slct(u, a, b, (uint32_t)c);
    case BITS_SZEXT: return szext(u, (uint32_t)a, (uint32_t)b);
    default: return bmsk(u, (uint32_t)a, (uint32_t)b);
    }
}

/* x[5], x[6], x[7]: width flags of b, c and d (64-bit slots); a is x[2] == 8 */
HANDLER(ptx_op_bits)
{
    FOR_LANES(i, mask) {
        uint64_t a = u->x[2] == 8 ? reg64(w, u->a)[i] : reg32(w, u->a)[i];
        uint64_t b = u->x[5] ? reg64(w, u->b)[i] : reg32(w, u->b)[i];
        uint64_t c = u->x[6] ? reg64(w, u->c)[i] : reg32(w, u->c)[i];
        uint64_t r = bits_one(u, a, b, c, reg32(w, u->e)[i]);

        if (u->x[7])
            reg64(w, u->d)[i] = r;
        else
            reg32(w, u->d)[i] = (uint32_t)r;
    }
    return CTL_NEXT;
}
