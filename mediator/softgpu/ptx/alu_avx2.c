/* SPDX-License-Identifier: MIT */
/*
 * ALU_LIST for x86 CPUs with AVX2 and FMA, chosen at run time in alu_base.c. The whole file is
 * compiled for such a CPU (module.mk), so nothing but the table may be seen from outside.
 */
#if defined(__x86_64__)
#include "alu_simd.h"
#else
#include "alu_list.h"
#endif

const ptx_fn ptx_alu_avx2[ALU_COUNT] = {
#if defined(__x86_64__)
#define X(name) [ALU_##name] = h_##name,
    ALU_LIST(X)
#undef X
#else
    [ALU_NONE] = NULL,
#endif
};
