/* SPDX-License-Identifier: MIT */
/* The sum of a million numbers: warp shuffles, shared memory, one atomic per block. */
#include "vg_demo.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT 1000003

int main(void)
{
    int *in = vg_demo_memory(COUNT * sizeof(*in)), n = COUNT;
    long long want = 0, got = 0;
    uint32_t seed = 5;
    struct vg_demo demo;

    for (int i = 0; i < COUNT; i++) {
        in[i] = (int)(vg_drv_random(&seed) % 20001) - 10000;
        want += in[i];
    }
    vg_demo_start(&demo, "reduce_sum");
    CUdeviceptr din = vg_demo_upload(in, COUNT * sizeof(*in));
    CUdeviceptr total = vg_demo_upload(NULL, sizeof(got));
    vg_demo_run(&demo, (struct vg_demo_grid){64, 1, 256, 1}, (void *[]){&din, &n, &total});
    VG_CU(cuMemcpyDtoH_v2(&got, total, sizeof(got)));
    printf("the sum of %d numbers is %lld, the CPU says %lld\n", COUNT, got, want);
    free(in);
    return vg_demo_end(&demo, got == want, "%d numbers add up to %lld", COUNT, got);
}
