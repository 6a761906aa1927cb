/* SPDX-License-Identifier: MIT */
/* Between call.c, sync.c, process.c and ctx.c only. */
#ifndef VG_SHIM_CALL_PRIVATE_H
#define VG_SHIM_CALL_PRIVATE_H

#include "vg_cuda.h"
#include "vg_region.h"

/* The slot is READY and ours: calls may be made once vg_process is filled in. */
void vg_call_init(struct vg_slot *slot);

/* A context has ended: tell the ring the current one anew before the next call. */
void vg_call_forget_context(void);

/* What a call must say that does not cross: the error that `id` would meet, or a latched one. */
CUresult vg_call_errors(uint32_t id);

/* The seq of the latest record of any thread. */
uint32_t vg_call_latest(void);

/* One line of VGPU_LOG=3. */
void vg_call_trace(const struct vg_call *call);
const char *vg_internal_call_name(unsigned id);

#endif
