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

/*
 * The managed variables of a library, in memory of the shared region that the caller has got.
 * False: no memory for the notes. End them with all their extents, which are given back.
 */
bool vg_managed_variables(void *at, size_t bytes) __attribute__((warn_unused_result));
void vg_managed_end_variables(void *at, size_t room);

/* cuMemFree of managed memory, after the context's work. False: dptr is none. */
bool vg_managed_free(CUdeviceptr dptr, CUresult *ret_result);

#endif
