/* SPDX-License-Identifier: MIT */
/*
 * The arithmetic that is worth vector code, compiled twice: alu_base.c for any
 * CPU, alu_avx2.c for x86 with AVX2 and FMA. Operands: d = f(a, b, c).
 * Comparisons (eq_u32...): predicate d, and e unless 0; x[0] = enum bool_op with
 * predicate c, x[1]: c negated.
 */
#ifndef VG_PTX_ALU_LIST_H
#define VG_PTX_ALU_LIST_H

#include "exec.h"

enum bool_op { BOOL_NONE, BOOL_AND, BOOL_OR, BOOL_XOR };

#define ALU_INT3(X, op) X(op##_16) X(op##_32) X(op##_64)
#define ALU_SIGNED(X, op)                                                                         \
    X(op##_s16) X(op##_u16) X(op##_s32) X(op##_u32) X(op##_s64) X(op##_u64)
#define ALU_CMP6(X, t) X(eq_##t) X(ne_##t) X(lt_##t) X(le_##t) X(gt_##t) X(ge_##t)
#define ALU_CMP_SIGNED(X, t) X(lt_##t) X(le_##t) X(gt_##t) X(ge_##t)
#define ALU_CMPF(X, t)                                                                            \
    ALU_CMP6(X, t) X(equ_##t) X(neu_##t) X(ltu_##t) X(leu_##t) X(gtu_##t) X(geu_##t) X(num_##t)   \
    X(nan_##t)
#define ALU_CVT_ROW(X, s)                                                                         \
    X(cvt_s8_##s) X(cvt_u8_##s) X(cvt_s16_##s) X(cvt_u16_##s) X(cvt_32_##s) X(cvt_64_##s)

#define ALU_LIST(X)                                                                               \
    X(mov_32) X(mov_64) X(selp_32) X(selp_64)                                                     \
    X(lds_32) X(sts_32) X(ldg_32) X(ldg_64) X(stg_32) X(stg_64)                                   \
    ALU_INT3(X, add) ALU_INT3(X, sub) ALU_INT3(X, mul) ALU_INT3(X, mad)                           \
    ALU_INT3(X, neg) ALU_INT3(X, shl) ALU_SIGNED(X, shr)                                          \
    ALU_SIGNED(X, mulhi) ALU_SIGNED(X, madhi)                                                     \
    ALU_SIGNED(X, min) ALU_SIGNED(X, max) ALU_SIGNED(X, div) ALU_SIGNED(X, rem)                   \
    X(abs_s16) X(abs_s32) X(abs_s64)                                                              \
    X(mulwide_s16) X(mulwide_u16) X(mulwide_s32) X(mulwide_u32)                                   \
    X(madwide_s16) X(madwide_u16) X(madwide_s32) X(madwide_u32)                                   \
    X(and_32) X(or_32) X(xor_32) X(not_32) X(and_64) X(or_64) X(xor_64) X(not_64) X(lop3)         \
    ALU_CVT_ROW(X, s8) ALU_CVT_ROW(X, u8) ALU_CVT_ROW(X, s16) ALU_CVT_ROW(X, u16)                 \
    ALU_CVT_ROW(X, s32) ALU_CVT_ROW(X, u32) ALU_CVT_ROW(X, u64)                                   \
    X(add_f32) X(sub_f32) X(mul_f32) X(fma_f32) X(add_f64) X(sub_f64) X(mul_f64) X(fma_f64)       \
    X(add_ftz) X(sub_ftz) X(mul_ftz) X(fma_ftz) X(ftz_f32)                                        \
    X(div_f32) X(div_f64) X(sqrt_f32) X(sqrt_f64)                                                 \
    X(sat_f32) X(sat_f64) X(neg_f32) X(neg_f64) X(abs_f32) X(abs_f64)                             \
    X(min_f32) X(max_f32) X(min_f64) X(max_f64)                                                   \
    X(cvt_f32_s32) X(cvt_f32_u32) X(cvt_f64_s32) X(cvt_f64_u32) X(cvt_f64_f32) X(cvt_f32_f64)     \
    X(cvt_s32_f32) X(cvt_f32_f16) X(cvt_f16_f32)                                                  \
    ALU_CMP6(X, u16) ALU_CMP_SIGNED(X, s16) ALU_CMP6(X, u32) ALU_CMP_SIGNED(X, s32)               \
    ALU_CMP6(X, u64) ALU_CMP_SIGNED(X, s64) ALU_CMPF(X, f32) ALU_CMPF(X, f64)

enum alu_op {
    ALU_NONE,
#define X(name) ALU_##name,
    ALU_LIST(X)
#undef X
    ALU_COUNT
};

extern const ptx_fn ptx_alu_base[ALU_COUNT];
extern const ptx_fn ptx_alu_avx2[ALU_COUNT]; /* all NULL where the build cannot make it */

/* For tests: modules loaded while it is set use the handlers for any CPU. */
extern int ptx_alu_any_cpu;

/* The best handler for this machine. */
ptx_fn ptx_alu(enum alu_op op);

#endif
