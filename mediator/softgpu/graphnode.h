/* SPDX-License-Identifier: MIT */
/*
 * What calls about single nodes share.
 */
#ifndef VG_SOFTGPU_GRAPHNODE_H
#define VG_SOFTGPU_GRAPHNODE_H

#include "op.h"

/* Gives the copy of node `origin` in an executable a new op of the same type. Takes *op over in
 * every case. CUDA_ERROR_INVALID_VALUE: no such copy, or another type. */
CUresult vg_exec_replace(CUgraphExec exec, CUgraphNode origin, struct vg_op *op);

#endif
