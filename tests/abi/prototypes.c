/* SPDX-License-Identifier: MIT */
/*
 * Compiled by toolkit.sh, never run. The toolkit declares every symbol, then the table declares it
 * again: a difference does not compile. So does a row whose version or base name is not that of
 * the function pointer type the toolkit has for it: pfn.inc, P(symbol, type), is made by the script.
 */
#define __CUDA_API_VERSION_INTERNAL     /* every version under its own name, nothing renamed */
#define CUDA_ENABLE_DEPRECATED
#include <cuda.h>
#ifdef CUDA_PROFILER_HEADER
#include <cudaProfiler.h>
#include <cudaProfilerTypedefs.h>
#else
typedef enum { CU_OUT_KEY_VALUE_PAIR, CU_OUT_CSV } CUoutput_mode;
#endif
#include <cudaTypedefs.h>

#include "vg_api.h"

#define P(symbol, type) \
    _Static_assert(__builtin_types_compatible_p(type, __typeof__(&symbol)), #symbol " is no " #type);
#include "pfn.inc"
