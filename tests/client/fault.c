/* SPDX-License-Identifier: MIT */
/*
 * A process whose kernel misbehaves.  It checks that the error is the one a
 * real GPU gives, that it stays, and that nothing hangs.
 *
 *   fault wild            a store to an address that nobody owns
 *   fault misaligned      a store to an odd address
 *   fault trap, assert    a kernel that ends itself
 *   fault memory          more memory than there is: no fault, work goes on
 *   fault endless [S]     a kernel without end: after S seconds (2) without
 *                         any answer the process leaves by _exit(0); an error
 *                         from a watchdog before that is fine too
 *   fault long S          no fault: a kernel that runs for S seconds, and then ends well
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

/* Everything in pieces of 1 GiB at most, until not a MiB is left; then all of it back. */
static int out_of_memory(void)
{
    static CUdeviceptr piece[4096];
    unsigned count = 0;
    CUdeviceptr memory = vg_drv_alloc(4096);
    uint32_t word = 0;

    for (size_t bytes = (size_t)1 << 30; bytes >= (size_t)1 << 20 && count < 4096;) {
        CUresult r = vg_drv.cuMemAlloc_v2(&piece[count], bytes);

        if (r == CUDA_SUCCESS)
            count++;
        else if (r == CUDA_ERROR_OUT_OF_MEMORY)
            bytes /= 2;
        else
            vg_drv_fail("fault memory: %s", vg_drv_error(r));
    }
    printf("started pid %d, %u pieces\n", (int)getpid(), count);
    fflush(stdout);
    launch("poke", memory);
    VG_CU(cuMemcpyDtoH_v2(&word, memory, sizeof(word)));
    if (word != 51966)
        vg_drv_fail("fault memory: a kernel stored %u", word);
    while (count)
        VG_CU(cuMemFree_v2(piece[--count]));
    VG_CU(cuMemAlloc_v2(&piece[0], (size_t)1 << 20));
    printf("fault memory: ok\n");
    return 0;
}

static int faulting(const char *kind, const char *kernel, CUdeviceptr address, CUresult want)
{
    CUdeviceptr memory = vg_drv_alloc(4096), more;
    uint32_t word;

    launch(kernel, address ? address : memory + 1);
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

/* One kernel, which another stream ends; nothing else of this process does meanwhile. */
static int lasting(double seconds)
{
    CUdeviceptr flag = vg_drv_alloc(4);
    void *args[] = {&flag};
    CUstream work, other;
    double start = vg_drv_now();

    VG_CU(cuMemsetD32_v2(flag, 0, 1));
    VG_CU(cuStreamCreate(&work, CU_STREAM_NON_BLOCKING));
    VG_CU(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    VG_CU(cuLaunchKernel(vg_drv_function(module, "endless"), 1, 1, 1, 1, 1, 1, 0, work, args, NULL));
    printf("started pid %d\n", (int)getpid());
    fflush(stdout);
    usleep((useconds_t)(seconds * 1e6));
    VG_CU_IS(CUDA_ERROR_NOT_READY, cuStreamQuery(work));
    VG_CU(cuMemsetD8Async(flag, 1, 4, other));
    VG_CU(cuStreamSynchronize(work));
    printf("fault long: ok after %.1f s\n", vg_drv_now() - start);
    return 0;
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";

    vg_drv_start();
    module = vg_drv_module(vg_client_ptx);
    if (strcmp(kind, "wild") == 0)
        return faulting(kind, "poke", 0x100, CUDA_ERROR_ILLEGAL_ADDRESS);
    if (strcmp(kind, "misaligned") == 0)
        return faulting(kind, "poke", 0, CUDA_ERROR_MISALIGNED_ADDRESS);
    if (strcmp(kind, "trap") == 0)
        return faulting(kind, "do_trap", 0, CUDA_ERROR_LAUNCH_FAILED);
    if (strcmp(kind, "assert") == 0)
        return faulting(kind, "do_assert", 0, CUDA_ERROR_ASSERT);
    if (strcmp(kind, "memory") == 0)
        return out_of_memory();
    if (strcmp(kind, "endless") == 0)
        return endless(argc > 2 ? atof(argv[2]) : 2);
    if (strcmp(kind, "long") == 0)
        return lasting(argc > 2 ? atof(argv[2]) : 2);
    vg_drv_fail("usage: fault wild | misaligned | trap | assert | memory | endless [SECONDS] | "
                "long [SECONDS]");
}
