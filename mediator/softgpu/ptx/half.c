/* SPDX-License-Identifier: MIT */
/* Small floating formats through double; see half.h. Pure. */
#include "half.h"

#include <math.h>

const struct vg_format vg_f16 = {5, 10, 1}, vg_bf16 = {8, 7, 1}, vg_f32_format = {8, 23, 1},
                       vg_tf32 = {8, 10, 1}, vg_e4m3 = {4, 3, 0}, vg_e5m2 = {5, 2, 1};

/* a + b, the last bit odd when it is not exact (two-sum gives the error). */
double vg_add_odd(double a, double b)
{
    volatile double s = a + b, bb = s - a, x = s - bb, ea = a - x, eb = b - bb;
    double err = ea + eb, r = s;
    uint64_t bits;

    if (!(err != 0) || isinf(r) || isnan(r))
        return r;
    memcpy(&bits, &r, 8);
    if (!(bits & 1))
        bits += (err > 0) == (r > 0) ? 1 : (uint64_t)-1;
    memcpy(&r, &bits, 8);
    return r;
}

static uint32_t format_inf(const struct vg_format *f)
{
    return f->has_inf ? ((1u << f->exp) - 1) << f->man
                      : (1u << (f->exp + f->man)) - 1; /* its NaN stands in */
}

static uint32_t format_max(const struct vg_format *f)
{
    return format_inf(f) - 1;
}

/* Rounds m * 2^e (m an integer as double) half away or to even, or directed. */
static double round_integer(double m, enum vg_round r, int negative)
{
    double fl = floor(m), rest = m - fl;

    switch (r) {
    case VG_RZ: return fl;
    case VG_RM: return negative && rest > 0 ? fl + 1 : fl;
    case VG_RP: return !negative && rest > 0 ? fl + 1 : fl;
    case VG_RNA: return rest >= 0.5 ? fl + 1 : fl;
    default: break;
    }
    if (rest > 0.5 || (rest == 0.5 && fmod(fl, 2.0) != 0))
        return fl + 1;
    return fl;
}

/* What a number too large for the format becomes. */
static uint32_t overflow(const struct vg_format *f, enum vg_round r, int negative, int satfinite)
{
    int to_max = r == VG_RZ || (r == VG_RM && !negative) || (r == VG_RP && negative);

    return to_max || satfinite ? format_max(f) : format_inf(f);
}

uint32_t vg_double_to(const struct vg_format *f, double d, enum vg_round r, int satfinite)
{
    int bias = (1 << (f->exp - 1)) - 1, e, negative = signbit(d) != 0;
    uint32_t sign = negative ? 1u << (f->exp + f->man) : 0, bits;
    double a = fabs(d), m;

    if (isnan(d))
        return f->has_inf ? (1u << (f->exp + f->man)) - 1 : format_inf(f);
    if (isinf(d))
        return sign | (satfinite ? format_max(f) : format_inf(f));
    if (a == 0)
        return sign;
    frexp(a, &e);
    e--; /* 1.x * 2^e */
    if (e > bias + 1)
        return sign | overflow(f, r, negative, satfinite);
    if (e < 1 - bias)
        e = 1 - bias;
    m = round_integer(ldexp(a, f->man - e), r, negative);
    bits = (uint32_t)m + ((uint32_t)(e + bias - 1) << f->man); /* implicit one carries */
    if (m == 0)
        return sign;
    return sign | (bits > format_max(f) ? overflow(f, r, negative, satfinite) : bits);
}

double vg_double_from(const struct vg_format *f, uint32_t bits)
{
    int bias = (1 << (f->exp - 1)) - 1;
    uint32_t man = bits & ((1u << f->man) - 1), exp = bits >> f->man & ((1u << f->exp) - 1);
    double sign = (bits >> (f->exp + f->man) & 1) ? -1.0 : 1.0;

    if (f->has_inf && exp == (1u << f->exp) - 1)
        return man ? (double)NAN : sign * (double)INFINITY;
    if (!f->has_inf && (bits & ((1u << (f->exp + f->man)) - 1)) == format_inf(f))
        return (double)NAN;
    if (exp == 0)
        return sign * ldexp((double)man, 1 - bias - f->man);
    return sign * ldexp((double)(man | 1u << f->man), (int)exp - bias - f->man);
}
