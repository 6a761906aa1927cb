/* SPDX-License-Identifier: MIT */
/* Handlers of newer instructions: mbarrier, alloca, video SIMD, matrices. */
#ifndef VG_PTX_NEWOPS_H
#define VG_PTX_NEWOPS_H

#include "handlers.h"

/* mbarrier.c: address; x[2] = 8, x[3] = op, x[4] = operand given; d = state or
 * predicate, b = operand */
enum mbar_op { MBAR_INIT, MBAR_INVAL, MBAR_ARRIVE, MBAR_DROP, MBAR_WAIT, MBAR_PARITY };
HANDLER(ptx_op_mbarrier);
HANDLER(ptx_op_mbar_pending); /* d = pending count of state a */

/* alloca.c: a = bytes, imm = alignment, d = address (x[1]: 64-bit) */
HANDLER(ptx_op_alloca);
HANDLER(ptx_op_stacksave);
HANDLER(ptx_op_stackrestore); /* a */

/* video.c: d, a, b, c; x[0] = op, x[1] = lanes (2, 4), x[2] = signed a, x[3] =
 * signed b, x[4] = saturate to signed d (2) or unsigned (1), x[5] = add up */
enum video_op { VIDEO_ADD, VIDEO_SUB, VIDEO_ABSDIFF, VIDEO_MIN, VIDEO_MAX, VIDEO_AVRG };
HANDLER(ptx_op_video);

/* matrix.c: aux = struct matrix_op */
enum matrix_type { MX_F16, MX_BF16, MX_TF32, MX_F32, MX_F64, MX_S8, MX_U8, MX_S32 };

struct matrix_part {
    uint32_t slots[8];
    uint32_t n;
    enum matrix_type type;
};

struct matrix_op {
    uint32_t m, n, k;
    struct matrix_part d, a, b, c;
    /* wmma.load, wmma.store: rows x cols in memory, leading dimension in stride */
    uint32_t rows, cols, stride;
    int col_major, has_stride;
    /* ldmatrix, stmatrix */
    uint32_t count;
    int trans, is_store;
    int saturate;
};
HANDLER(ptx_op_mma);
HANDLER(ptx_op_wmma_mma);
HANDLER(ptx_op_wmma_load);
HANDLER(ptx_op_wmma_store);
HANDLER(ptx_op_ldmatrix);

#endif
