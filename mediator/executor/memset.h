/* SPDX-License-Identifier: MIT */
/*
 * Fills of memory, which are forwarded as they come but for two things: the table gives elements
 * where ownership is about bytes, and pinned memory of the guest is the region's, whose seams
 * (pin.h) one call of the driver must not reach over. Serve thread.
 */
#ifndef VG_MEMSET_H
#define VG_MEMSET_H

#include <stdbool.h>

#include "vg_cuda.h"
#include "vg_wire.h"

struct vg_exec;
struct vg_req;

/* Whether the call may be one at all: its id is of the group that has only these. */
bool vg_memset_is(const struct vg_call *c);

/* Whether the guest owns what it fills. */
CUresult vg_memset_owned(struct vg_exec *x, const struct vg_call *c);

/*
 * Forwards it, by parts where it lies over a seam: for each of them, forward decodes r anew and
 * makes the driver's call. Ends with the first that fails, as a copy does.
 */
CUresult vg_memset_forward(struct vg_exec *x, struct vg_req *r,
                           CUresult (*forward)(struct vg_exec *, struct vg_req *));

#endif
