/* SPDX-License-Identifier: MIT */
/*
 * What every file that defines driver entry points needs: the CUDA types, the prototypes of all
 * symbols, and VG_ENTRY. Entry points are written under the exact symbol they export: cuMemAlloc_v2
 * is what a program that calls cuMemAlloc gets.
 */
#ifndef VG_SOFTGPU_API_H
#define VG_SOFTGPU_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/vg_api.h"

/* Defines one exported entry point, checked against the table's prototype:
 * VG_ENTRY(cuInit, (unsigned flags)) { ... } */
#define VG_ENTRY(name, args) CUresult name args

#define VG_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define VG_DRIVER_VERSION 13000

static inline size_t vg_round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

#endif
