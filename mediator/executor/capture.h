/* SPDX-License-Identifier: MIT */
/* Memory of ours that a captured graph refers to. Serve thread. */
#ifndef VG_CAPTURE_H
#define VG_CAPTURE_H

#include <stddef.h>

#include "vg_cuda.h"

#define VG_CAPTURED_MAX (1ull << 30) /* bytes */

struct vg_exec;

/*
 * A private copy of bytes that lives as long as the graph the stream is captured
 * into, and all graphs instantiated from it. NULL without memory, or where all
 * copies together would exceed VG_CAPTURED_MAX.
 */
void *vg_capture_copy(struct vg_exec *x, CUstream stream, const void *bytes, size_t len);

/* Frees the copies that no graph took over (a driver without user objects). */
void vg_capture_fini(struct vg_exec *x);

#endif
