/* SPDX-License-Identifier: MIT */
/* C = A * B, tile by tile through shared memory; the CPU adds in the same order. */
#include "vg_demo.h"

#include <stdio.h>
#include <stdlib.h>

#define SIDE 192
#define TILE 16

static float *random_matrix(uint32_t seed)
{
    float *m = vg_demo_memory(SIDE * SIDE * sizeof(*m));

    for (int i = 0; i < SIDE * SIDE; i++)
        m[i] = (vg_drv_random(&seed) >> 8) * (2.0f / 16777216) - 1;
    return m;
}

/* Compiled without contraction: every product and every sum is rounded. */
static int differences(const float *a, const float *b, const float *c)
{
    int wrong = 0;

    for (int row = 0; row < SIDE; row++)
        for (int col = 0; col < SIDE; col++) {
            float sum = 0;

            for (int i = 0; i < SIDE; i++)
                sum += a[row * SIDE + i] * b[i * SIDE + col];
            wrong += sum != c[row * SIDE + col];
        }
    return wrong;
}

int main(void)
{
    float *a = random_matrix(3), *b = random_matrix(4);
    float *c = vg_demo_memory(SIDE * SIDE * sizeof(*c));
    size_t bytes = SIDE * SIDE * sizeof(float);
    int side = SIDE, wrong;
    struct vg_demo demo;

    vg_demo_start(&demo, "matmul_tiled");
    CUdeviceptr da = vg_demo_upload(a, bytes), db = vg_demo_upload(b, bytes);
    CUdeviceptr dc = vg_drv_alloc(bytes);
    vg_demo_run(&demo, (struct vg_demo_grid){SIDE / TILE, SIDE / TILE, TILE, TILE},
                (void *[]){&da, &db, &dc, &side});
    VG_CU(cuMemcpyDtoH_v2(c, dc, bytes));
    wrong = differences(a, b, c);
    printf("%dx%d times %dx%d in %dx%d tiles: %d of %d differ from the CPU\n", SIDE, SIDE, SIDE,
           SIDE, TILE, TILE, wrong, SIDE * SIDE);
    free(a);
    free(b);
    free(c);
    return vg_demo_end(&demo, wrong == 0, "%dx%d, equal to the last bit", SIDE, SIDE);
}
