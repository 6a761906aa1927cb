/* SPDX-License-Identifier: MIT */
/*
 * What a context takes from the GPU besides what the guest asks for: hundreds of MiB that differ
 * from GPU to GPU and from driver to driver. CUDA can say what a GPU has left only once there is
 * a context, so NVML is asked, before and after the process's first one. The daemon has some
 * executors do so, until it knows (options.h: nvml). Main thread, then serve thread.
 */
#ifndef VG_OVERHEAD_H
#define VG_OVERHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "vg_cuda.h"

struct vg_exec;

struct vg_overhead {
    void *library;          /* NVML; NULL: not asked, or not any more */
    uint64_t bytes;         /* of a context, as measured; 0: not known */
    void *device;           /* while a context is being made: NVML's handle of its GPU */
    uint64_t left;          /* and what that had left before, bytes */
};

/* Loads NVML if the options say so; without it nothing is measured. Before the restrictions. */
void vg_overhead_open(struct vg_exec *x);

/* Around the driver's making of a context. */
void vg_overhead_before(struct vg_exec *x, CUdevice dev);
void vg_overhead_after(struct vg_exec *x);

/* What a context counts: as measured here, else as the daemon says. */
uint64_t vg_overhead_bytes(const struct vg_exec *x);

#endif
