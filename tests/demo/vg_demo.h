/* SPDX-License-Identifier: MIT */
/*
 * What the demo's programs share.  Each is one process in the guest that
 * computes something on the GPU, checks all of it against the CPU, tells a
 * person what it did and closes with a line for demo.sh:
 *
 *   RESULT ok|WRONG <milliseconds on the GPU> <one line of text>
 */
#ifndef VG_DEMO_H
#define VG_DEMO_H

#include "vg_drv.h"

struct vg_demo {
    CUfunction kernel;
    double began;           /* when the program began */
    double gpu_ms;          /* set by vg_demo_run */
};

/* Opens the device and one of the kernels of kernels.cu. */
void vg_demo_start(struct vg_demo *demo, const char *kernel);

/* Device memory with a copy of `bytes` from `from` (may be NULL: zeros). */
CUdeviceptr vg_demo_upload(const void *from, size_t bytes);

/* Launches, waits, and adds the time to demo->gpu_ms. */
struct vg_demo_grid {
    unsigned grid_x, grid_y, block_x, block_y;
};
void vg_demo_run(struct vg_demo *demo, struct vg_demo_grid grid, void **args);

/* malloc that ends the program instead of failing. */
void *vg_demo_memory(size_t bytes);

/* Prints the RESULT line; returns the exit status. */
int vg_demo_end(const struct vg_demo *demo, bool ok, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
