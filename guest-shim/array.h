/* SPDX-License-Identifier: MIT */
/*
 * What this process knows of its CUDA arrays: enough to check copies at the call,
 * since they are sent without waiting. Any thread.
 */
#ifndef VG_SHIM_ARRAY_H
#define VG_SHIM_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

#include "vg_cuda.h"

/* What is not 0 for a dimension that the array does not have; in elements. */
struct vg_array_shape {
    size_t width, height, depth;
    unsigned element;           /* bytes; 0: of a packed format, the host checks */
};

/* False: no array of ours. */
bool vg_array_shape(CUarray array, struct vg_array_shape *ret_shape);

#endif
