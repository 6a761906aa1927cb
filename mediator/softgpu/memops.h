/* SPDX-License-Identifier: MIT */
/*
 * Memory operations of streams, as graphs use them too.
 */
#ifndef VG_SOFTGPU_MEMOPS_H
#define VG_SOFTGPU_MEMOPS_H

#include "op.h"

/* Checks a list and makes *op a VG_OP_MEMOPS with a copy of it. */
CUresult vg_memops_make(struct vg_op *op, const CUstreamBatchMemOpParams *list, unsigned n);

#endif
