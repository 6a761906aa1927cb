/* SPDX-License-Identifier: MIT */
/* ALU_LIST for x86 CPUs with AVX2 and FMA; chosen at run time in alu_base.c. */
#if defined(__x86_64__) && defined(__clang__)
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2"))), apply_to = function)
#include "alu_simd.h"
#pragma clang attribute pop
#elif defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi,bmi2")
#include "alu_simd.h"
#pragma GCC pop_options
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
