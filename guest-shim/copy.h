/* SPDX-License-Identifier: MIT */
/*
 * Copies between any two kinds of memory, in pieces that fit the data window. The
 * exported cuMemcpy* functions (copy.c, copy3d.c) are thin over these.
 *
 * stream is what vg_stream() gave. `wait`: return only when the copy is complete
 * (natively synchronous calls). Without it a copy from ordinary memory returns when
 * the bytes are staged, a copy to ordinary memory when they have arrived.
 */
#ifndef VG_SHIM_COPY_H
#define VG_SHIM_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest-shim/mem.h"
#include "vg_cuda.h"

/* What a copy needs to know of one end. */
enum vg_end {
    VG_END_PLAIN,       /* ordinary memory: staged */
    VG_END_SHARED,      /* in the region: the executor reaches it */
    VG_END_GPU,
    VG_END_ARRAY,       /* on the GPU, by handle: copies of boxes only */
    VG_END_BAD,         /* begins in a known range and leaves it */
};
enum vg_end vg_end_of(uintptr_t p, size_t bytes);

/* Region offset of a SHARED end. */
uint64_t vg_end_off(uintptr_t p);

/*
 * Before a synchronous copy from ordinary memory, as the driver does: the stream's work comes to its
 * end. Only then has a host function written what is to be copied, and a program may read what the
 * kernels before the copy left to the host. wait: it is a synchronous one. False: the context is
 * broken; other errors do not stop the copy.
 */
bool vg_copy_settle(uint64_t stream, bool wait, CUresult *ret_error) __attribute__((warn_unused_result));

CUresult vg_copy(uintptr_t dst, uintptr_t src, size_t bytes, uint64_t stream, bool wait);

#endif
