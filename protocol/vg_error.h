/* SPDX-License-Identifier: MIT */
/*
 * Names and descriptions of CUDA statuses. The names are CUDA's, the descriptions ours. Pure data;
 * any thread.
 */
#ifndef VG_ERROR_H
#define VG_ERROR_H

#include "vg_cuda.h"

/* "CUDA_ERROR_OUT_OF_MEMORY" and "out of memory"; NULL for a code that CUDA 13.0 does not know. */
const char *vg_error_name(CUresult code);
const char *vg_error_text(CUresult code);

/*
 * The code of a name. 0 and *ret_code, or -ENOENT if no code has that name.
 */
int vg_error_by_name(const char *name, CUresult *ret_code);

#endif
