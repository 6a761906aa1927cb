/* SPDX-License-Identifier: MIT */
/*
 * Managed memory: a part of the shared region, which application and GPU see at one
 * address, at all times and coherently. It stays in host memory: prefetching and
 * advice are checked and remembered, and move nothing.
 */
#ifndef VG_SHIM_MANAGED_H
#define VG_SHIM_MANAGED_H

#include <stdbool.h>

#include "vg_cuda.h"

/* cuMemFree of managed memory, after the context's work. False: dptr is none. */
bool vg_managed_free(CUdeviceptr dptr, CUresult *ret_result);

#endif
