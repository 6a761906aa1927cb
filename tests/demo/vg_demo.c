/* SPDX-License-Identifier: MIT */
/* Start, run and end of a demo program.  Runs in the guest, single-threaded. */
#include "vg_demo.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "vg_image.h"

VG_IMAGE(vg_demo_ptx, "tests/demo/kernels.ptx");

void vg_demo_start(struct vg_demo *demo, const char *kernel)
{
    demo->began = vg_drv_now();
    demo->gpu_ms = 0;
    vg_drv_start();
    demo->kernel = vg_drv_function(vg_drv_module(vg_demo_ptx), kernel);
}

CUdeviceptr vg_demo_upload(const void *from, size_t bytes)
{
    CUdeviceptr address = vg_drv_alloc(bytes);

    if (from)
        VG_CU(cuMemcpyHtoD_v2(address, from, bytes));
    else
        VG_CU(cuMemsetD8_v2(address, 0, bytes));
    return address;
}

void vg_demo_run(struct vg_demo *demo, struct vg_demo_grid grid, void **args)
{
    double start;

    VG_CU(cuCtxSynchronize());
    start = vg_drv_now();
    VG_CU(cuLaunchKernel(demo->kernel, grid.grid_x, grid.grid_y, 1, grid.block_x, grid.block_y, 1,
                         0, NULL, args, NULL));
    VG_CU(cuCtxSynchronize());
    demo->gpu_ms += (vg_drv_now() - start) * 1e3;
}

void *vg_demo_memory(size_t bytes)
{
    void *memory = malloc(bytes);

    if (!memory)
        vg_drv_fail("out of memory");
    return memory;
}

int vg_demo_end(const struct vg_demo *demo, bool ok, const char *format, ...)
{
    va_list args;

    printf("RESULT %s %.2f ", ok ? "ok" : "WRONG", demo->gpu_ms);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    return ok ? 0 : 1;
}
