/* SPDX-License-Identifier: MIT */
/*
 * Stream capture: operations of a capturing stream become nodes of a graph instead of running.
 * All under the engine's lock unless said otherwise.
 */
#ifndef VG_SOFTGPU_CAPTURE_H
#define VG_SOFTGPU_CAPTURE_H

#include "stream.h"

/*
 * True when the op must not run: it was recorded (*ret_rc is CUDA_SUCCESS and *op taken over) or it
 * is illegal during capture (*ret_rc says why; a capture may be invalidated by it).
 */
bool vg_capture_intercept_locked(struct vg_stream *s, struct vg_op *op, bool wait,
                                 CUresult *ret_rc);

/* For synchronize and query of a stream: illegal while it captures. */
CUresult vg_capture_check_sync_locked(struct vg_stream *s);

/*
 * For whoever asks about the event: one of a capture under way tells nothing, and the capture is
 * lost; one of a capture that is over never happened.
 */
CUresult vg_capture_check_event_locked(const struct vg_event *e);

/* Takes the lock itself. For calls that synchronize a whole context by definition. */
CUresult vg_capture_check_ctx_sync(const struct vg_ctx *ctx);

/*
 * Takes the lock itself. For calls that are "potentially unsafe" (cuMemAlloc and the like): illegal
 * while a capture is under way that forbids them to this thread.
 */
CUresult vg_capture_check_unsafe(void);

/* The stream ends; its capture, if any, is invalidated. */
void vg_capture_leave_locked(struct vg_stream *s);
void vg_capture_end_ctx_locked(struct vg_ctx *ctx);

#endif
