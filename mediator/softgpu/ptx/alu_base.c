/* SPDX-License-Identifier: MIT */
/* ALU_LIST for any CPU, and the choice between the two. */
#include "alu_simd.h"

const ptx_fn ptx_alu_base[ALU_COUNT] = {
#define X(name) [ALU_##name] = h_##name,
    ALU_LIST(X)
#undef X
};

int ptx_alu_any_cpu;

ptx_fn ptx_alu(enum alu_op op)
{
#if defined(__x86_64__)
    if (!ptx_alu_any_cpu && ptx_alu_avx2[op] && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("fma"))
        return ptx_alu_avx2[op];
#endif
    return ptx_alu_base[op];
}
