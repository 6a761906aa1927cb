/* SPDX-License-Identifier: MIT */
/* How often each byte occurs in a megabyte, counted with atomics, drawn as bars. */
#include "vg_demo.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT (1 << 20)
#define BARS 16

/* The mean of three random bytes: a bell. */
static unsigned char bell(uint32_t *seed)
{
    uint32_t r = vg_drv_random(seed);

    return (unsigned char)(((r & 255) + (r >> 8 & 255) + (r >> 16 & 255)) / 3);
}

static void draw(const unsigned *bins)
{
    for (int bar = 0; bar < BARS; bar++) {
        unsigned sum = 0;

        for (int i = 0; i < 256 / BARS; i++)
            sum += bins[bar * (256 / BARS) + i];
        printf("  %3d..%3d %7u ", bar * (256 / BARS), (bar + 1) * (256 / BARS) - 1, sum);
        for (unsigned i = 0; i < sum / 3000; i++)
            putchar('#');
        putchar('\n');
    }
}

int main(void)
{
    unsigned char *data = vg_demo_memory(COUNT);
    unsigned want[256] = {0}, got[256];
    uint32_t seed = 6;
    int n = COUNT, wrong = 0;
    struct vg_demo demo;

    for (int i = 0; i < COUNT; i++) {
        data[i] = bell(&seed);
        want[data[i]]++;
    }
    vg_demo_start(&demo, "histogram");
    CUdeviceptr ddata = vg_demo_upload(data, COUNT), bins = vg_demo_upload(NULL, sizeof(got));
    vg_demo_run(&demo, (struct vg_demo_grid){32, 1, 256, 1}, (void *[]){&ddata, &n, &bins});
    VG_CU(cuMemcpyDtoH_v2(got, bins, sizeof(got)));
    for (int i = 0; i < 256; i++)
        wrong += got[i] != want[i];
    draw(got);
    free(data);
    return vg_demo_end(&demo, wrong == 0, "%d bytes in 256 bins, %d differ from the CPU", COUNT,
                       wrong);
}
