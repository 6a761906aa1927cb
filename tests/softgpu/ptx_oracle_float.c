/* SPDX-License-Identifier: MIT */
/* Floating-point instructions against C: exact ones bit for bit, approximations
 * within CUDA's documented error. Halves against a search over all their values. */
#include "ptx_harness.h"

#include <check.h>
#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/softgpu/ptx/alu_list.h"

#define U(a, b, c) __attribute__((unused)) uint64_t a, __attribute__((unused)) uint64_t b, \
                   __attribute__((unused)) uint64_t c
#define F(name, expr) static uint64_t name(U(a, b, c)) { return (uint64_t)(expr); }
#define R(insn, sig, name) {insn, sig, name, 0}
#define RU(insn, sig, name, ulp) {insn, sig, name, ulp}
#define f32 ptx_f32
#define f64 ptx_f64
#define b32 ptx_bits32
#define b64 ptx_bits64

static uint64_t zap(uint64_t v) { return (v & 0x7f800000) ? v : v & 0x80000000; }

F(add_f, b32(f32(a) + f32(b)))
F(sub_f, b32(f32(a) - f32(b)))
F(mul_f, b32(f32(a) * f32(b)))
F(div_f, b32(f32(a) / f32(b)))
F(fma_f, b32(fmaf(f32(a), f32(b), f32(c))))
F(sqrt_f, b32(sqrtf(f32(a))))
F(rcp_f, b32(1.0f / f32(a)))
F(addz, zap(b32(f32(zap(a)) + f32(zap(b)))))
F(mulz, zap(b32(f32(zap(a)) * f32(zap(b)))))
F(fmaz, zap(b32(fmaf(f32(zap(a)), f32(zap(b)), f32(zap(c))))))
F(add_d, b64(f64(a) + f64(b)))
F(sub_d, b64(f64(a) - f64(b)))
F(mul_d, b64(f64(a) * f64(b)))
F(div_d, b64(f64(a) / f64(b)))
F(fma_d, b64(fma(f64(a), f64(b), f64(c))))
F(sqrt_d, b64(sqrt(f64(a))))
F(neg_f, a ^ 0x80000000)
F(abs_f, a & 0x7fffffff)
F(neg_d, a ^ 1ull << 63)
F(abs_d, a & ~(1ull << 63))
static float sat(float f) { return f > 0 ? (f < 1 ? f : 1) : 0; }
F(add_sat, b32(sat(f32(a) + f32(b))))
F(fma_sat, b32(sat(fmaf(f32(a), f32(b), f32(c)))))

/* IEEE minNum with -0 below +0. */
static uint64_t pick_f(uint64_t a, uint64_t b, int max, int nan)
{
    float x = f32(a), y = f32(b);

    if (isnan(x) || isnan(y))
        return nan || (isnan(x) && isnan(y)) ? 0x7fffffff : isnan(x) ? b : a;
    if (x == y)
        return (signbit(x) != 0) == (max == 0) ? a : b;
    return (x < y) == (max == 0) ? a : b;
}
static uint64_t pick_d(uint64_t a, uint64_t b, int max)
{
    double x = f64(a), y = f64(b);

    if (isnan(x) || isnan(y))
        return isnan(x) ? b : a;
    if (x == y)
        return (signbit(x) != 0) == (max == 0) ? a : b;
    return (x < y) == (max == 0) ? a : b;
}
F(min_f, pick_f(a, b, 0, 0))
F(max_f, pick_f(a, b, 1, 0))
F(min_nan, pick_f(a, b, 0, 1))
F(min_d, pick_d(a, b, 0))
F(max_d, pick_d(a, b, 1))
F(copysign_f, b32(copysignf(f32(b), f32(a))))
F(copysign_d, b64(copysign(f64(b), f64(a))))

static const struct ptx_row exact[] = {
    R("add.f32", "fff", add_f), R("sub.f32", "fff", sub_f), R("mul.f32", "fff", mul_f),
    R("add.rn.f32", "fff", add_f), R("div.rn.f32", "fff", div_f), R("fma.rn.f32", "ffff", fma_f),
    R("mad.rn.f32", "ffff", fma_f), R("sqrt.rn.f32", "ff", sqrt_f), R("rcp.rn.f32", "ff", rcp_f),
    R("add.ftz.f32", "fff", addz), R("mul.ftz.f32", "fff", mulz), R("fma.rn.ftz.f32", "ffff", fmaz),
    R("add.f64", "ddd", add_d), R("sub.f64", "ddd", sub_d), R("mul.f64", "ddd", mul_d),
    R("div.rn.f64", "ddd", div_d), R("fma.rn.f64", "dddd", fma_d), R("sqrt.rn.f64", "dd", sqrt_d),
    R("neg.f32", "ff", neg_f), R("abs.f32", "ff", abs_f), R("neg.f64", "dd", neg_d),
    R("abs.f64", "dd", abs_d), R("add.sat.f32", "fff", add_sat),
    R("fma.rn.sat.f32", "ffff", fma_sat), R("min.f32", "fff", min_f), R("max.f32", "fff", max_f),
    R("min.NaN.f32", "fff", min_nan), R("min.f64", "ddd", min_d), R("max.f64", "ddd", max_d),
    R("copysign.f32", "fff", copysign_f), R("copysign.f64", "ddd", copysign_d),
};

/* ----------------------------------------------------------- directed rounding */

static uint64_t with(int mode, uint64_t (*fn)(uint64_t, uint64_t, uint64_t), U(a, b, c))
{
    uint64_t r;

    fesetround(mode);
    r = fn(a, b, c);
    fesetround(FE_TONEAREST);
    return r;
}
/* volatile keeps the arithmetic between the two mode changes */
static uint64_t vadd(U(a, b, c)) { volatile float x = f32(a), y = f32(b); x = x + y; return b32(x); }
static uint64_t vmul(U(a, b, c)) { volatile float x = f32(a), y = f32(b); x = x * y; return b32(x); }
static uint64_t vdiv(U(a, b, c)) { volatile float x = f32(a), y = f32(b); x = x / y; return b32(x); }
static uint64_t vaddd(U(a, b, c)) { volatile double x = f64(a), y = f64(b); x = x + y; return b64(x); }
static uint64_t vmuld(U(a, b, c)) { volatile double x = f64(a), y = f64(b); x = x * y; return b64(x); }
static uint64_t vfma(U(a, b, c)) { volatile float x = f32(a); x = fmaf(x, f32(b), f32(c)); return b32(x); }
static uint64_t vsqrtd(U(a, b, c)) { volatile double x = f64(a); x = sqrt(x); return b64(x); }
static uint64_t vcvt(U(a, b, c)) { volatile double x = f64(a); volatile float y = (float)x; return b32(y); }
static uint64_t vs64(U(a, b, c)) { volatile int64_t x = (int64_t)a; volatile float y = (float)x; return b32(y); }
static uint64_t vu64(U(a, b, c)) { volatile uint64_t x = a; volatile double y = (double)x; return b64(y); }
static uint64_t vs32(U(a, b, c)) { volatile int32_t x = (int32_t)a; volatile float y = (float)x; return b32(y); }
#define MODES(n) F(n##_z, with(FE_TOWARDZERO, n, a, b, c)) F(n##_m, with(FE_DOWNWARD, n, a, b, c))  \
                 F(n##_p, with(FE_UPWARD, n, a, b, c))
MODES(vadd) MODES(vmul) MODES(vdiv) MODES(vaddd) MODES(vmuld) MODES(vfma) MODES(vsqrtd) MODES(vcvt)
MODES(vs64) MODES(vu64) MODES(vs32)
#define ROUNDED(op, t, s, n)                                                                      \
    R(op ".rz." t, s, n##_z), R(op ".rm." t, s, n##_m), R(op ".rp." t, s, n##_p)

static const struct ptx_row directed[] = {
    ROUNDED("add", "f32", "fff", vadd), ROUNDED("mul", "f32", "fff", vmul),
    ROUNDED("div", "f32", "fff", vdiv), ROUNDED("add", "f64", "ddd", vaddd),
    ROUNDED("mul", "f64", "ddd", vmuld), ROUNDED("fma", "f32", "ffff", vfma),
    ROUNDED("sqrt", "f64", "dd", vsqrtd), ROUNDED("cvt", "f32.f64", "fd", vcvt),
    ROUNDED("cvt", "f32.s64", "f8", vs64), ROUNDED("cvt", "f64.u64", "d8", vu64),
    ROUNDED("cvt", "f32.s32", "f4", vs32),
};

/* -------------------------------------------------------------- approximations */

static double flush_d(uint64_t v) { double d = f64(v); return fabs(d) < 0x1p-1022 ? copysign(0, d) : d; }
F(sin_f, b32(fabsf(f32(a)) < 3.2f ? (float)sin((double)f32(a)) : sinf(f32(a))))
F(cos_f, b32(fabsf(f32(a)) < 3.2f ? (float)cos((double)f32(a)) : cosf(f32(a))))
F(lg2_f, b32((float)log2((double)f32(a))))
F(ex2_f, b32((float)exp2((double)f32(a))))
F(rsqrt_f, b32((float)(1 / sqrt((double)f32(a)))))
F(tanh_f, b32((float)tanh((double)f32(a))))
F(rsqrt_d, b64(1 / sqrt(f64(a))))
F(rcp_hi, b64(flush_d(b64(1 / flush_d(a)))) & 0xffffffff00000000)

static const struct ptx_row approx[] = {
    RU("sin.approx.f32", "ff", sin_f, 2), RU("cos.approx.f32", "ff", cos_f, 2),
    RU("lg2.approx.f32", "ff", lg2_f, 2), RU("ex2.approx.f32", "ff", ex2_f, 2),
    RU("rsqrt.approx.f32", "ff", rsqrt_f, 2), RU("rcp.approx.f32", "ff", rcp_f, 1),
    RU("sqrt.approx.f32", "ff", sqrt_f, 1), RU("div.full.f32", "fff", div_f, 2),
    RU("div.approx.f32", "fff", div_f, 2), RU("tanh.approx.f32", "ff", tanh_f, 4),
    RU("rsqrt.approx.f64", "dd", rsqrt_d, 2), R("rcp.approx.ftz.f64", "dd", rcp_hi),
};

/* ------------------------------------------------------- comparisons, conversions */

#define UN(x, y) (isnan(x) || isnan(y))
#define CMPF(t, g)                                                                                \
    F(eq_##t, g(a) == g(b)) F(ne_##t, !UN(g(a), g(b)) && g(a) != g(b)) F(lt_##t, g(a) < g(b))     \
    F(le_##t, g(a) <= g(b)) F(gt_##t, g(a) > g(b)) F(ge_##t, g(a) >= g(b))                        \
    F(equ_##t, UN(g(a), g(b)) || g(a) == g(b)) F(neu_##t, g(a) != g(b))                           \
    F(ltu_##t, UN(g(a), g(b)) || g(a) < g(b)) F(leu_##t, UN(g(a), g(b)) || g(a) <= g(b))          \
    F(gtu_##t, UN(g(a), g(b)) || g(a) > g(b)) F(geu_##t, UN(g(a), g(b)) || g(a) >= g(b))          \
    F(num_##t, !UN(g(a), g(b))) F(nan_##t, UN(g(a), g(b)))
#define CMPROWS(t, s, o)                                                                          \
    R("setp.eq." t, s, eq_##o), R("setp.ne." t, s, ne_##o), R("setp.lt." t, s, lt_##o),           \
        R("setp.le." t, s, le_##o), R("setp.gt." t, s, gt_##o), R("setp.ge." t, s, ge_##o),       \
        R("setp.equ." t, s, equ_##o), R("setp.neu." t, s, neu_##o), R("setp.ltu." t, s, ltu_##o), \
        R("setp.leu." t, s, leu_##o), R("setp.gtu." t, s, gtu_##o), R("setp.geu." t, s, geu_##o), \
        R("setp.num." t, s, num_##o), R("setp.nan." t, s, nan_##o)

/* Halves as doubles, from the definition. */
static double small(uint64_t v, int exp, int man)
{
    int e = (int)(v >> man & ((1u << exp) - 1)), bias = (1 << (exp - 1)) - 1;
    uint64_t m = v & ((1u << man) - 1);
    double d;

    if (e == (1 << exp) - 1)
        d = m ? NAN : INFINITY;
    else
        d = e ? ldexp((double)(m | 1u << man), e - bias - man) : ldexp((double)m, 1 - bias - man);
    return v >> (exp + man) & 1 ? -d : d;
}
static double h16(uint64_t v) { return small(v & 0xffff, 5, 10); }
static double bf16(uint64_t v) { return small(v & 0xffff, 8, 7); }

/* The nearest value, ties to even, found by looking at all of them. */
static uint64_t nearest(long double d, double (*of)(uint64_t), uint64_t inf)
{
    uint64_t sign = signbit(d) ? 0x8000 : 0, lo = 0, hi = inf;
    long double a = fabsl(d), mid, top;

    if (isnan(d))
        return inf + 1;
    top = (long double)of(inf - 1);
    if (a >= top + (top - (long double)of(inf - 2)) / 2)
        return sign | inf;
    while (hi - lo > 1) { /* of() grows with the bits */
        uint64_t m = (lo + hi) / 2;

        if (m == inf ? 0 : (long double)of(m) <= a)
            lo = m;
        else
            hi = m;
    }
    if ((long double)of(lo) == a || lo == inf - 1)
        return sign | lo;
    mid = ((long double)of(lo) + (long double)of(lo + 1)) / 2;
    return sign | (a > mid || (a == mid && (lo & 1)) ? lo + 1 : lo);
}
#define TOH(e) nearest((long double)(e), h16, 0x7c00)
#define TOB(e) nearest((long double)(e), bf16, 0x7f80)
CMPF(f, f32)
CMPF(d, f64)
CMPF(h, h16)
F(h_add, TOH(h16(a) + h16(b)))
F(h_sub, TOH(h16(a) - h16(b)))
F(h_mul, TOH(h16(a) * h16(b)))
F(h_fma, TOH((long double)h16(a) * h16(b) + h16(c)))
F(b_add, TOB(bf16(a) + bf16(b)))
F(b_mul, TOB(bf16(a) * bf16(b)))
F(b_from_f, TOB(f32(a)))
F(h_from_f, TOH(f32(a)))
F(h_from_d, TOH(f64(a)))
F(f_from_h, b32((float)h16(a)))
F(f_from_b, b32((float)bf16(a)))
F(d_from_h, b64(h16(a)))
F(h2_add, TOH(h16(a) + h16(b)) | TOH(h16(a >> 16) + h16(b >> 16)) << 16)
F(h2_fma, TOH((long double)h16(a) * h16(b) + h16(c)) |
          TOH((long double)h16(a >> 16) * h16(b >> 16) + h16(c >> 16)) << 16)
F(b2_mul, TOB(bf16(a) * bf16(b)) | TOB(bf16(a >> 16) * bf16(b >> 16)) << 16)
F(pack_h, TOH(f32(a)) << 16 | TOH(f32(b)))
F(pack_b, TOB(f32(a)) << 16 | TOB(f32(b)))
F(h_neg, a ^ 0x8000)
F(h_abs, a & 0x7fff)
F(h_from_s32, TOH((int32_t)a))
F(h_min, isnan(h16(a)) ? b : isnan(h16(b)) ? a : h16(a) < h16(b) || (h16(a) == h16(b) && a >> 15) ? a : b)

/* Float to integer: clamped; NaN is zero, or the most negative where PTX says so. */
static uint64_t to_int(double d, double (*round)(double), int bits, int is_signed, int nan_top)
{
    double lo = is_signed ? -ldexp(1, bits - 1) : 0, hi = ldexp(1, is_signed ? bits - 1 : bits);

    if (isnan(d))
        return nan_top ? 1ull << (bits - 1) : 0;
    d = round(d);
    if (d < lo)
        d = lo;
    if (d >= hi)
        return is_signed ? (1ull << (bits - 1)) - 1 : bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
    return d < 0 ? (uint64_t)(int64_t)d : (uint64_t)d;
}
F(s32_rz, to_int(f32(a), trunc, 32, 1, 0))
F(s32_rn, to_int(f32(a), rint, 32, 1, 0))
F(u32_rm, to_int(f32(a), floor, 32, 0, 0))
F(s64_rp, to_int(f32(a), ceil, 64, 1, 1))
F(u64_rz, to_int(f64(a), trunc, 64, 0, 1))
F(s32_d, to_int(f64(a), trunc, 32, 1, 1))
F(s16_rz, to_int(f32(a), trunc, 16, 1, 0))
F(u8_rz, to_int(f32(a), trunc, 8, 0, 0))
F(s32_h, to_int(h16(a), trunc, 32, 1, 0))
F(f_s32, b32((float)(int32_t)a))
F(f_u32, b32((float)(uint32_t)a))
F(f_u64, b32((float)a))
F(d_s64, b64((double)(int64_t)a))
F(d_u32, b64((double)(uint32_t)a))
F(f_u8, b32((float)(uint8_t)a))
F(d_f, b64((double)f32(a)))
F(f_d, b32((float)f64(a)))
F(rni_f, b32(rintf(f32(a))))
F(rmi_f, b32(floorf(f32(a))))
F(rpi_d, b64(ceil(f64(a))))
F(sat_f, b32(sat(f32(a))))
F(test_sub, fpclassify(f32(a)) == FP_SUBNORMAL)
F(test_fin, isfinite(f64(a)) != 0)

static const struct ptx_row compare[] = {
    CMPROWS("f32", "pff", f), CMPROWS("f64", "pdd", d), CMPROWS("f16", "phh", h),
    R("testp.subnormal.f32", "pf", test_sub), R("testp.finite.f64", "pd", test_fin),
};
static const struct ptx_row half[] = {
    R("add.f16", "hhh", h_add), R("sub.rn.f16", "hhh", h_sub), R("mul.f16", "hhh", h_mul),
    R("fma.rn.f16", "hhhh", h_fma), R("neg.f16", "hh", h_neg), R("abs.f16", "hh", h_abs),
    R("min.f16", "hhh", h_min), R("add.f16x2", "HHH", h2_add), R("fma.rn.f16x2", "HHHH", h2_fma),
    R("add.rn.bf16", "bbb", b_add), R("mul.bf16", "bbb", b_mul), R("mul.bf16x2", "BBB", b2_mul),
    R("cvt.rn.f16.f32", "hf", h_from_f), R("cvt.f32.f16", "fh", f_from_h),
    R("cvt.rn.bf16.f32", "bf", b_from_f), R("cvt.f32.bf16", "fb", f_from_b),
    R("cvt.rn.f16.f64", "hd", h_from_d), R("cvt.f64.f16", "dh", d_from_h),
    R("cvt.rn.f16x2.f32", "Hff", pack_h), R("cvt.rn.bf16x2.f32", "Bff", pack_b),
    R("cvt.rn.f16.s32", "h4", h_from_s32), R("cvt.rzi.s32.f16", "4h", s32_h),
};
static const struct ptx_row convert[] = {
    R("cvt.rzi.s32.f32", "4f", s32_rz), R("cvt.rni.s32.f32", "4f", s32_rn),
    R("cvt.rmi.u32.f32", "4f", u32_rm), R("cvt.rpi.s64.f32", "8f", s64_rp),
    R("cvt.rzi.u64.f64", "8d", u64_rz), R("cvt.rzi.s32.f64", "4d", s32_d),
    R("cvt.rzi.s16.f32", "2f", s16_rz), R("cvt.rzi.u8.f32", "4f", u8_rz),
    R("cvt.rn.f32.s32", "f4", f_s32), R("cvt.rn.f32.u32", "f4", f_u32),
    R("cvt.rn.f32.u64", "f8", f_u64), R("cvt.rn.f64.s64", "d8", d_s64),
    R("cvt.rn.f64.u32", "d4", d_u32), R("cvt.rn.f32.u8", "f4", f_u8),
    R("cvt.f64.f32", "df", d_f), R("cvt.rn.f32.f64", "fd", f_d), R("cvt.rni.f32.f32", "ff", rni_f),
    R("cvt.rmi.f32.f32", "ff", rmi_f), R("cvt.rpi.f64.f64", "dd", rpi_d),
    R("cvt.sat.f32.f32", "ff", sat_f),
};

/* --------------------------------------------------------------------- driver */

static struct ptx_test t;

static void setup(void) { ptx_test_init(&t, 1); }
static void teardown(void) { ptx_test_fini(&t); }

/* _i: 1 with the handlers that any CPU can run */
#define TEST(name, rows)                                                                          \
    START_TEST(name)                                                                              \
    {                                                                                             \
        ptx_alu_any_cpu = _i;                                                                     \
        ptx_test_rows(&t, rows, sizeof(rows) / sizeof(rows[0]), (unsigned)_i);                    \
    }                                                                                             \
    END_TEST
TEST(test_exact, exact)
TEST(test_directed, directed)
TEST(test_approx, approx)
TEST(test_compare, compare)
TEST(test_half, half)
TEST(test_convert, convert)

int main(void)
{
    Suite *s = suite_create("ptx floating-point instructions");
    TCase *c = tcase_create("oracle");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, test_exact, 0, 2);
    tcase_add_loop_test(c, test_directed, 0, 1);
    tcase_add_loop_test(c, test_approx, 0, 1);
    tcase_add_loop_test(c, test_compare, 0, 2);
    tcase_add_loop_test(c, test_half, 0, 2);
    tcase_add_loop_test(c, test_convert, 0, 2);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
