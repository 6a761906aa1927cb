/* SPDX-License-Identifier: MIT */
/*
 * What launches and graph nodes share: checking a kernel's dimensions and packing its parameters.
 */
#ifndef VG_SOFTGPU_LAUNCH_H
#define VG_SOFTGPU_LAUNCH_H

#include "op.h"

/* k->func and the dimensions are set: what the driver would say to them. */
CUresult vg_launch_check(const struct vg_op_kernel *k);

/* Sets k->params and param_size from one of the two ways to give parameters. */
CUresult vg_launch_pack(struct vg_op_kernel *k, void **params, void **extra);

#endif
