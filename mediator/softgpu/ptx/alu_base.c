/* SPDX-License-Identifier: MIT */
/* ALU_LIST for any CPU, and the choice between the two. */
#include "alu_simd.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

const ptx_fn ptx_alu_base[ALU_COUNT] = {
#define X(name) [ALU_##name] = h_##name,
    ALU_LIST(X)
#undef X
};

int ptx_alu_any_cpu;

#if defined(__x86_64__)
/* gcc 4.8 cannot be asked for FMA; cpuid is slow in a VM. Whoever comes first finds the same. */
static bool cpu_fits(void)
{
    enum { UNKNOWN, FITS, FITS_NOT };
    static int known;
    int found = __atomic_load_n(&known, __ATOMIC_RELAXED);
    unsigned a, b, c = 0, d;

    if (found == UNKNOWN) {
        found = __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_FMA)
                    ? FITS : FITS_NOT;
        __atomic_store_n(&known, found, __ATOMIC_RELAXED);
    }
    return found == FITS;
}
#endif

ptx_fn ptx_alu(enum alu_op op)
{
#if defined(__x86_64__)
    if (!ptx_alu_any_cpu && ptx_alu_avx2[op] && cpu_fits())
        return ptx_alu_avx2[op];
#endif
    return ptx_alu_base[op];
}
