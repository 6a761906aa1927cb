/* SPDX-License-Identifier: MIT */
/* Arithmetic handlers outside ALU_LIST: lane by lane, any CPU. */
#ifndef VG_PTX_ALU_OPS_H
#define VG_PTX_ALU_OPS_H

#include "alu_list.h"
#include "handlers.h"

enum { PRED_AND, PRED_OR, PRED_XOR, PRED_NOT, PRED_MOV };

/* alu_bits.c */
HANDLER(ptx_op_pred_logic); /* predicates d = a x[0] b; x[1], x[2] negate */
HANDLER(ptx_op_carry); /* e = flag; x: in, out, sub, mul, hi, signed, 64-bit */
HANDLER(ptx_op_add_sat);
HANDLER(ptx_op_sub_sat);
HANDLER(ptx_op_packed16); /* two halves; x[0] = add sub min max, x[1] = signed */
HANDLER(ptx_op_mul24);    /* x[0] = hi, x[1] = signed */
enum bits_op {
    BITS_POPC, BITS_CLZ, BITS_BREV, BITS_BFIND, BITS_BFE, BITS_BFI, BITS_PRMT, BITS_SHF_L,
    BITS_SHF_R, BITS_SAD, BITS_FNS, BITS_CNOT, BITS_DP4A, BITS_DP2A, BITS_SLCT, BITS_SZEXT,
    BITS_BMSK
};
/* x[0] = enum bits_op, x[1] = signed, x[2] = bytes of the operands, x[3], x[4]
 * as the op needs: see alu_bits.c; e = fourth operand */
HANDLER(ptx_op_bits);

/* alu_sfu.c: x[0] = enum sfu_op, x[1] = double */
enum sfu_op {
    SFU_SIN, SFU_COS, SFU_LG2, SFU_EX2, SFU_RSQRT, SFU_RCP, SFU_SQRT, SFU_TANH, SFU_COPYSIGN,
    SFU_TESTP, SFU_RCP_HI, SFU_RSQRT_HI
};
HANDLER(ptx_op_sfu);
HANDLER(ptx_op_testp); /* predicate d, a; x[0] = test, x[1] = double */

/* alu_round.c: x[0] = enum round_op, x[1] = double, x[2] = enum vg_round */
enum round_op { ROUND_ADD, ROUND_SUB, ROUND_MUL, ROUND_DIV, ROUND_FMA, ROUND_SQRT, ROUND_RCP };
HANDLER(ptx_op_round);

/* alu_half.c: x[0] = enum half_op, x[1] = bf16, x[2] = two of them, x[3] = ftz,
 * x[4] = sat, x[5] = relu */
enum half_op {
    HALF_ADD, HALF_SUB, HALF_MUL, HALF_FMA, HALF_NEG, HALF_ABS, HALF_MIN, HALF_MAX, HALF_MIN_NAN,
    HALF_MAX_NAN, HALF_TANH, HALF_EX2
};
HANDLER(ptx_op_half);
/* Comparison of halves: x[0], x[1] as ALU_LIST; x[2] = enum cmp_op, x[3] = bf16,
 * x[4]: lane pairs are two comparisons, imm = which half */
enum cmp_op {
    CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE,
    CMP_EQU, CMP_NEU, CMP_LTU, CMP_LEU, CMP_GTU, CMP_GEU, CMP_NUM, CMP_NAN
};
HANDLER(ptx_op_half_cmp);

/* alu_cvt.c: x[0], x[1] = to and from enum ast_type, x[2] = enum vg_round,
 * x[3] = round to integer, x[4] = sat, x[5] = ftz, x[6] = relu; x[7] = 64-bit d */
HANDLER(ptx_op_cvt);
HANDLER(ptx_op_cvt_pack); /* d = {a, b}: x as above, imm = bits of a part */
HANDLER(ptx_op_cvt_unpack); /* e4m3x2/e5m2x2 to f16x2 */

#endif
