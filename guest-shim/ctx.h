/* SPDX-License-Identifier: MIT */
/* Contexts, for the private tables and the thread's stack. */
#ifndef VG_SHIM_CTX_H
#define VG_SHIM_CTX_H

#include "guest-shim/state.h"

/* The handle of dev's primary context, without retaining or activating it. */
CUresult vg_ctx_primary_handle(CUdevice dev, CUcontext *ret_ctx);

/* The context if it may become current: alive, or a primary one that nobody retains at present
   (cudart makes it current first and retains it then). Else NULL. */
struct vg_ctx *vg_ctx_settable(CUcontext handle);

/*
 * The note of a green context's context form. It shares all but its multiprocessors with
 * the primary context, so nothing of what was made under it ends with it.
 */
CUresult vg_ctx_note_green(CUcontext handle, CUgreenCtx green, CUdevice dev,
                           struct vg_ctx **ret_ctx);
void vg_ctx_end_green(struct vg_ctx *ctx);

#endif
