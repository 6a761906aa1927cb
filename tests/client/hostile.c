/* SPDX-License-Identifier: MIT */
/*
 * A neighbour that does its worst, for as long as a file exists. What it is answered does
 * not matter to it, but that it is answered: it ends with status 0 and says how often it
 * did what. A loss of the GPU is what it deserves and ends it too.
 *
 *   hostile launches FILE   launches without ever looking back
 *   hostile memory FILE     all memory there is, and then again
 *   hostile modules FILE    modules, sound and broken ones, without giving one back
 *   hostile streams FILE    streams, events and contexts, likewise
 *   hostile queue FILE      a kernel without end and thousands of calls behind it
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

#define PIECES 4096u

static const char *stop;
static unsigned long done, refused;

/* True: go on. */
static bool goes_on(CUresult r)
{
    done += r == CUDA_SUCCESS;
    refused += r != CUDA_SUCCESS;
    if (r == CUDA_ERROR_DEVICE_UNAVAILABLE || r == CUDA_ERROR_LAUNCH_FAILED ||
        r == CUDA_ERROR_LAUNCH_TIMEOUT)
        return false;
    return access(stop, F_OK) == 0;
}

static CUresult launch(CUfunction f, CUdeviceptr at)
{
    uint32_t key = 1, words = 1024;
    void *args[] = {&at, &key, &words};

    return vg_drv.cuLaunchKernel(f, 8, 1, 1, 128, 1, 1, 0, NULL, args, NULL);
}

static void launches(void)
{
    CUfunction f = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    CUdeviceptr at = vg_drv_alloc(1 << 16);

    while (goes_on(launch(f, at)))
        ;
}

static void memory(void)
{
    static CUdeviceptr piece[PIECES];

    for (bool on = true; on;) {
        unsigned n = 0;

        for (size_t size = (size_t)1 << 30; on && n < PIECES && size >= 4096;) {
            CUresult r = vg_drv.cuMemAlloc_v2(&piece[n], size);

            n += r == CUDA_SUCCESS;
            if (r != CUDA_SUCCESS)
                size /= 4;
            on = goes_on(r);
        }
        while (n > 0)
            vg_drv.cuMemFree_v2(piece[--n]);
    }
}

/* Every second one is cut off somewhere. */
static void modules(void)
{
    size_t len = strlen(vg_client_ptx);
    char *image = malloc(len + 1);
    uint32_t seed = 7;
    CUmodule module;

    do {
        memcpy(image, vg_client_ptx, len + 1);
        if (vg_drv_random(&seed) % 2)
            image[vg_drv_random(&seed) % len] = '\0';
    } while (goes_on(vg_drv.cuModuleLoadData(&module, image)));
    free(image);
}

static void streams(void)
{
    CUstream stream;
    CUevent event;
    CUcontext ctx;
    CUdevice dev;

    VG_CU(cuDeviceGet(&dev, 0));
    while (goes_on(vg_drv.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING)) &&
           goes_on(vg_drv.cuEventCreate(&event, 0)))
        if (done % 100 == 0 && !goes_on(vg_drv.cuCtxCreate_v2(&ctx, 0, dev)))
            break;
}

static void queue(void)
{
    CUmodule module = vg_drv_module(vg_client_ptx);
    CUdeviceptr flag = vg_drv_alloc(1 << 16);
    void *args[] = {&flag};

    VG_CU(cuMemsetD32_v2(flag, 0, 1));
    VG_CU(cuLaunchKernel(vg_drv_function(module, "endless"), 1, 1, 1, 1, 1, 1, 0, NULL, args, NULL));
    /* A process that is stuck in a call behind it is ended from outside. */
    while (goes_on(launch(vg_drv_function(module, "mix"), flag)))
        ;
}

static const struct {
    const char *name;
    void (*run)(void);
} kinds[] = {
    {"launches", launches}, {"memory", memory}, {"modules", modules},
    {"streams", streams},   {"queue", queue},
};

int main(int argc, char **argv)
{
    unsigned k = 0, count = sizeof(kinds) / sizeof(kinds[0]);

    while (argc == 3 && k < count && strcmp(kinds[k].name, argv[1]) != 0)
        k++;
    if (argc != 3 || k == count)
        vg_drv_fail("usage: hostile launches | memory | modules | streams | queue FILE");
    stop = argv[2];
    vg_drv_start();
    printf("hostile pid %d\n", (int)getpid());
    fflush(stdout);
    kinds[k].run();
    printf("hostile %s: %lu done, %lu refused\n", argv[1], done, refused);
    fflush(stdout);
    /* It gives nothing back. */
    _exit(0);
}
