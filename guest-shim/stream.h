/* SPDX-License-Identifier: MIT */
/* Streams that another file has made on the host. */
#ifndef VG_SHIM_STREAM_H
#define VG_SHIM_STREAM_H

#include "guest-shim/state.h"

/* Takes note of a stream of ctx; on failure it is destroyed. priority: clamped to the device's. */
CUresult vg_stream_note(CUstream stream, struct vg_ctx *ctx, unsigned flags, int priority);

/* The context of a stream that has a note, or NULL: legacy and per-thread streams have none. */
struct vg_ctx *vg_stream_context(CUstream stream);

#endif
