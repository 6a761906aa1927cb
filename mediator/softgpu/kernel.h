/* SPDX-License-Identifier: MIT */
/*
 * Running kernels: the seam between the API and the interpreter.
 */
#ifndef VG_SOFTGPU_KERNEL_H
#define VG_SOFTGPU_KERNEL_H

#include "op.h"

/* Makes the pool of threads that blocks are spread over. Once per process. 0 or -errno. */
int vg_kernel_init(unsigned cores);

/* Runs one grid on this thread and the pool; blocks until it has ended. What a kernel prints goes
 * to stdout. Returns the fault as the driver would name it. */
CUresult vg_kernel_run(const struct vg_op_kernel *k, struct vg_ctx *ctx);

#endif
