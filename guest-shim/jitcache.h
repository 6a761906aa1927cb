/* SPDX-License-Identifier: MIT */
/*
 * A cache of what NVRTC, nvJitLink and the compilers inside cuDNN compile, which the driver
 * offers them in a private table (export.c): without it cuDNN compiles an attention kernel
 * anew for every token that a model decodes, 0.25 s each.
 *
 * It is a folder of files, one an entry: "vgpu" in $CUDA_CACHE_PATH or else in
 * ~/.nv/ComputeCache, of the user's own. CUDA_CACHE_DISABLE=1 turns it off and
 * CUDA_CACHE_MAXSIZE bounds it, in bytes, as they do with the driver's. A file holds all that
 * the result was made from; names are only where to look. What cannot be read, written or
 * trusted is not there: compiling again is always right.
 *
 * Any thread; processes may share the folder.
 */
#ifndef VG_SHIM_JITCACHE_H
#define VG_SHIM_JITCACHE_H

#include <stddef.h>
#include <stdint.h>

#include "vg_cuda.h"

/* One compilation to be: what goes in, copied. */
struct vg_jitcache;

/*
 * input: what is compiled, e.g. NVVM bitcode. kind: to what. options, target: text, or NULL.
 * compiler: an address in the library that asks; what one release makes is not handed to
 * another. INVALID_VALUE, OUT_OF_MEMORY; *ret then as before.
 */
CUresult vg_jitcache_open(struct vg_jitcache **ret, uint32_t kind, const void *input, size_t bytes,
                          const char *options, const char *target, const void *compiler);

/* *ret_data is the caller's, to be given back to vg_jitcache_free. NOT_FOUND is the usual miss. */
CUresult vg_jitcache_find(const struct vg_jitcache *c, void **ret_data, uint32_t *ret_bytes);

/* What was compiled. SUCCESS also if it could not be kept. */
CUresult vg_jitcache_put(const struct vg_jitcache *c, const void *data, size_t bytes);

void vg_jitcache_free(void *data);
void vg_jitcache_close(struct vg_jitcache *c);

#endif
