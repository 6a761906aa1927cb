/* SPDX-License-Identifier: MIT */
/*
 * A process made to be killed: holds device memory, has work in flight, says
 * "ready" with the free memory before and after, and sleeps.
 *
 *   victim MIB [SECONDS]       default 60 seconds
 *   victim --meminfo           only prints `free_bytes N` and `total_bytes N`
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

static size_t free_bytes(size_t *ret_total)
{
    size_t available, total;

    VG_CU(cuMemGetInfo_v2(&available, &total));
    if (ret_total)
        *ret_total = total;
    return available;
}

static int meminfo(void)
{
    size_t total, available = free_bytes(&total);

    printf("free_bytes %zu\ntotal_bytes %zu\n", available, total);
    return 0;
}

int main(int argc, char **argv)
{
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    unsigned seconds = argc > 2 ? strtoul(argv[2], NULL, 10) : 60;
    uint32_t key = 1, words = 10000;
    size_t before;
    CUdeviceptr memory;
    CUfunction mix;

    vg_drv_start();
    if (argc > 1 && strcmp(argv[1], "--meminfo") == 0)
        return meminfo();
    if (!mib)
        vg_drv_fail("usage: victim MIB [SECONDS] | --meminfo");
    mix = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    before = free_bytes(NULL);
    memory = vg_drv_alloc(mib << 20);
    VG_CU(cuMemsetD8_v2(memory, 1, mib << 20));
    for (int i = 0; i < 100; i++) {
        void *args[] = {&memory, &key, &words};

        VG_CU(cuLaunchKernel(mix, (words + 127) / 128, 1, 1, 128, 1, 1, 0, NULL, args, NULL));
    }
    printf("ready pid %d free_before %zu free_after %zu\n", (int)getpid(), before,
           free_bytes(NULL));
    fflush(stdout);
    sleep(seconds);
    printf("victim: nobody killed me\n");
    return 0;
}
