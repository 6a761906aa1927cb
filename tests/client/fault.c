/* SPDX-License-Identifier: MIT */
/*
 * A process whose kernel misbehaves.  It checks that the error is the one a
 * real GPU gives, that it stays, and that nothing hangs.
 *
 *   fault wild            a store to an address that nobody owns
 *   fault misaligned      a store to an odd address
 *   fault endless [S]     a kernel without end: after S seconds (2) without
 *                         any answer the process leaves by _exit(0); an error
 *                         from a watchdog before that is fine too
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

static CUmodule module;

static void launch(const char *kernel, CUdeviceptr address)
{
    void *args[] = {&address};

    VG_CU(cuLaunchKernel(vg_drv_function(module, kernel), 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
}

static int faulting(const char *kind, CUdeviceptr address, CUresult want)
{
    CUdeviceptr memory = vg_drv_alloc(4096), more;
    uint32_t word;

    launch("poke", address ? address : memory + 1);
    VG_CU_IS(want, cuCtxSynchronize());
    VG_CU_IS(want, cuMemcpyDtoH_v2(&word, memory, sizeof(word)));
    VG_CU_IS(want, cuMemAlloc_v2(&more, 4096));
    VG_CU_IS(want, cuCtxSynchronize());
    printf("fault %s: ok: %s, and it stays\n", kind, vg_drv_error(want));
    return 0;
}

static int endless(double seconds)
{
    CUdeviceptr flag = vg_drv_alloc(4);
    double end = vg_drv_now() + seconds;
    CUresult got;

    VG_CU(cuMemsetD32_v2(flag, 0, 1));
    launch("endless", flag);
    printf("started pid %d\n", (int)getpid());
    fflush(stdout);
    do {
        usleep(20000);
        got = vg_drv.cuStreamQuery(NULL);
    } while (got == CUDA_ERROR_NOT_READY && vg_drv_now() < end);
    if (got == CUDA_SUCCESS)
        vg_drv_fail("fault endless: the kernel without end has ended");
    printf("fault endless: ok: left after %s\n", vg_drv_error(got));
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";

    vg_drv_start();
    module = vg_drv_module(vg_client_ptx);
    if (strcmp(kind, "wild") == 0)
        return faulting(kind, 0x100, CUDA_ERROR_ILLEGAL_ADDRESS);
    if (strcmp(kind, "misaligned") == 0)
        return faulting(kind, 0, CUDA_ERROR_MISALIGNED_ADDRESS);
    if (strcmp(kind, "endless") == 0)
        return endless(argc > 2 ? atof(argv[2]) : 2);
    vg_drv_fail("usage: fault wild | misaligned | endless [SECONDS]");
}
