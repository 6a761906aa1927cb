/* SPDX-License-Identifier: MIT */
/* Contexts, for the private tables. */
#ifndef VG_SHIM_CTX_H
#define VG_SHIM_CTX_H

#include "guest-shim/state.h"

/* The handle of dev's primary context, without retaining or activating it. */
CUresult vg_ctx_primary_handle(CUdevice dev, CUcontext *ret_ctx);

#endif
