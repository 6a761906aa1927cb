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

#endif
