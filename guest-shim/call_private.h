/* SPDX-License-Identifier: MIT */
/* Between call.c, process.c and ctx.c only. */
#ifndef VG_SHIM_CALL_PRIVATE_H
#define VG_SHIM_CALL_PRIVATE_H

#include "vg_region.h"

/* The slot is READY and ours: calls may be made once vg_process is filled in. */
void vg_call_init(struct vg_slot *slot);

/* A context has ended: tell the ring the current one anew before the next call. */
void vg_call_forget_context(void);

/* One line of VGPU_LOG=3. */
void vg_call_trace(const struct vg_call *call);
const char *vg_internal_call_name(unsigned id);

#endif
