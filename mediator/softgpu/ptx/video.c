/* SPDX-License-Identifier: MIT */
/* Video SIMD: vadd2, vabsdiff4 and their family. See newops.h. */
#include "newops.h"

static int32_t part(uint32_t v, unsigned k, unsigned bits, int is_signed)
{
    uint32_t x = v >> (k * bits) << (32 - bits);

    return is_signed ? (int32_t)x >> (32 - bits) : (int32_t)(x >> (32 - bits));
}

static int32_t combine(int op, int32_t a, int32_t b)
{
    switch (op) {
    case VIDEO_ADD: return a + b;
    case VIDEO_SUB: return a - b;
    case VIDEO_ABSDIFF: return a < b ? b - a : a - b;
    case VIDEO_MIN: return a < b ? a : b;
    case VIDEO_MAX: return a > b ? a : b;
    default: return (a + b + (a + b >= 0)) >> 1; /* rounds away from zero */
    }
}

static int32_t clamp(int32_t v, unsigned bits, int mode)
{
    int32_t hi = mode == 2 ? (1 << (bits - 1)) - 1 : (1 << bits) - 1, lo = mode == 2 ? -hi - 1 : 0;

    return mode == 0 ? v : v < lo ? lo : v > hi ? hi : v;
}

HANDLER(ptx_op_video)
{
    unsigned n = u->x[1], bits = 32 / n, k;

    FOR_LANES(i, mask) {
        uint32_t a = reg32(w, u->a)[i], b = reg32(w, u->b)[i];
        uint32_t r = u->x[5] ? reg32(w, u->c)[i] : 0;

        for (k = 0; k < n; k++) {
            int32_t v = combine(u->x[0], part(a, k, bits, u->x[2]), part(b, k, bits, u->x[3]));

            v = clamp(v, bits, u->x[4]);
            if (u->x[5])
                r += (uint32_t)v;
            else
                r |= ((uint32_t)v & ((1u << bits) - 1)) << (k * bits);
        }
        reg32(w, u->d)[i] = r;
    }
    return CTL_NEXT;
}
