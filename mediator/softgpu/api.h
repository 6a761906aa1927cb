/* SPDX-License-Identifier: MIT */
/*
 * What every file that defines driver entry points needs: the CUDA types and VG_API.
 *
 * Entry points are written under the exact symbol they export (cuMemAlloc_v2, never cuMemAlloc), so
 * the renaming macros that a CUDA header may carry never apply to them.
 */
#ifndef VG_SOFTGPU_API_H
#define VG_SOFTGPU_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/vg_cuda.h"

/* Declares and defines one exported entry point: VG_API(cuInit, (unsigned flags)) { ... } */
#define VG_API(name, args)                                         \
    CUresult name args;                                            \
    __attribute__((visibility("default"))) CUresult name args

#define VG_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define VG_DRIVER_VERSION 13000

static inline size_t vg_round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

#endif
