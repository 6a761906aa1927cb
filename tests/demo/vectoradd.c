/* SPDX-License-Identifier: MIT */
/* c = a + b, a million times. */
#include "vg_demo.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT 1000000

static float *random_floats(int n, uint32_t seed)
{
    float *v = vg_demo_memory(n * sizeof(*v));

    for (int i = 0; i < n; i++)
        v[i] = (vg_drv_random(&seed) >> 8) * (1.0f / 65536) - 128;
    return v;
}

int main(void)
{
    float *a = random_floats(COUNT, 1), *b = random_floats(COUNT, 2);
    float *c = vg_demo_memory(COUNT * sizeof(*c));
    size_t bytes = COUNT * sizeof(float);
    int n = COUNT, wrong = 0;
    struct vg_demo demo;

    vg_demo_start(&demo, "vector_add");
    CUdeviceptr da = vg_demo_upload(a, bytes), db = vg_demo_upload(b, bytes);
    CUdeviceptr dc = vg_drv_alloc(bytes);
    vg_demo_run(&demo, (struct vg_demo_grid){(COUNT + 255) / 256, 1, 256, 1},
                (void *[]){&da, &db, &dc, &n});
    VG_CU(cuMemcpyDtoH_v2(c, dc, bytes));
    for (int i = 0; i < COUNT; i++)
        wrong += c[i] != a[i] + b[i];
    printf("c = a + b over %d floats: %d differ from the CPU\n", COUNT, wrong);
    free(a);
    free(b);
    free(c);
    return vg_demo_end(&demo, wrong == 0, "%d sums, all equal to the CPU's", COUNT - wrong);
}
