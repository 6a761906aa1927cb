/* SPDX-License-Identifier: MIT */
/*
 * Special functions. The C library's are more exact than the approximations
 * PTX documents, so results lie within its error bounds. See alu_ops.h.
 */
#include <math.h>

#include "alu_ops.h"

#include <string.h>

static uint32_t bits_of(float f)
{
    uint32_t b;

    memcpy(&b, &f, 4);
    return b;
}

/* Arguments without a value in C's sense give NaN, never an errno path we need. */
static float sfu_float(int op, float a, float b)
{
    switch (op) {
    case SFU_SIN: return sinf(a);
    case SFU_COS: return cosf(a);
    case SFU_LG2: return log2f(a);
    case SFU_EX2: return exp2f(a);
    case SFU_RSQRT: return (float)(1.0 / sqrt((double)a));
    case SFU_TANH: return tanhf(a);
    case SFU_COPYSIGN: return copysignf(b, a); /* PTX: sign of a, value of b */
    default: return 0;
    }
}

/* The .ftz.f64 forms deliver the upper 32 bits of the result, zero below. */
static double upper_half(double d)
{
    uint64_t v;

    memcpy(&v, &d, 8);
    v &= 0xffffffff00000000u;
    memcpy(&d, &v, 8);
    return d;
}

static double flush(double d)
{
    return fpclassify(d) == FP_SUBNORMAL ? copysign(0.0, d) : d;
}

static double sfu_double(int op, double a, double b)
{
    switch (op) {
    case SFU_RSQRT: return 1.0 / sqrt(a);
    case SFU_RSQRT_HI: return upper_half(1.0 / sqrt(flush(a)));
    case SFU_RCP_HI: return upper_half(flush(1.0 / flush(a)));
    case SFU_COPYSIGN: return copysign(b, a);
    default: return 0;
    }
}

HANDLER(ptx_op_sfu)
{
    FOR_LANES(i, mask) {
        if (u->x[1]) {
            double a, b, d;

            memcpy(&a, &reg64(w, u->a)[i], 8);
            memcpy(&b, &reg64(w, u->b ? u->b : u->a)[i], 8);
            d = sfu_double(u->x[0], a, b);
            memcpy(&reg64(w, u->d)[i], &d, 8);
        } else {
            float a, b;

            memcpy(&a, &reg32(w, u->a)[i], 4);
            memcpy(&b, &reg32(w, u->b ? u->b : u->a)[i], 4);
            reg32(w, u->d)[i] = bits_of(sfu_float(u->x[0], a, b));
        }
    }
    return CTL_NEXT;
}

static int test(int what, int class)
{
    switch (what) {
    case 0: return class != FP_NAN && class != FP_INFINITE;
    case 1: return class == FP_INFINITE;
    case 2: return class != FP_NAN;
    case 3: return class == FP_NAN;
    case 4: return class == FP_NORMAL;
    default: return class == FP_SUBNORMAL;
    }
}

HANDLER(ptx_op_testp)
{
    uint32_t bits = 0;

    FOR_LANES(i, mask) {
        double d;
        float f;
        int class;

        if (u->x[1]) {
            memcpy(&d, &reg64(w, u->a)[i], 8);
            class = fpclassify(d);
        } else {
            memcpy(&f, &reg32(w, u->a)[i], 4);
            class = fpclassify(f);
        }
        bits |= test(u->x[0], class) ? 1u << i : 0;
    }
    set_pred(w, u->d, mask, bits);
    return CTL_NEXT;
}
