/* SPDX-License-Identifier: MIT */
/*
 * Pinned memory that the host registers part by part: buffers of every size, and one
 * that lies over the seams of parts which are in use, if the region is small enough.
 * Everything that may name such memory must take it as one: copies both ways, linear,
 * pitched and captured, and kernels. Twice, as a context takes its registrations along.
 *
 *   pins [BIG_MIB [hidden]]    default 40; hidden: where the GPU does not see such memory, and
 *                              the library has to say so
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

#define MIB   ((size_t)1 << 20)
#define STEP  (16 * MIB)    /* seams lie at multiples of it */
#define WORDS 1024u         /* that a kernel changes around each */

static CUstream stream;
static CUfunction mix;
static CUdeviceptr device;
static uint8_t *back;
static bool hidden;

static void fill(uint8_t *p, size_t bytes, uint32_t seed)
{
    uint32_t state = seed;

    for (size_t i = 0; i + 4 <= bytes; i += 4) {
        uint32_t w = vg_drv_random(&state);
        memcpy(p + i, &w, 4);
    }
}

static void same(const uint8_t *a, const uint8_t *b, size_t bytes, const char *what)
{
    if (memcmp(a, b, bytes) != 0)
        vg_drv_fail("%s: other bytes", what);
}

static void linear(uint8_t *p, size_t bytes)
{
    fill(p, bytes, 1);
    memcpy(back, p, bytes);
    VG_CU(cuMemcpyHtoDAsync_v2(device, p, bytes, stream));
    VG_CU(cuStreamSynchronize(stream));
    memset(p, 0, bytes);
    VG_CU(cuMemcpyDtoHAsync_v2(p, device, bytes, stream));
    VG_CU(cuStreamSynchronize(stream));
    same(p, back, bytes, "linear copies");
    VG_CU(cuMemsetD8_v2(device, 0, bytes));
    VG_CU(cuMemcpyDtoD_v2(device, (CUdeviceptr)(uintptr_t)p, bytes));
    VG_CU(cuCtxSynchronize());
    memset(p, 0, bytes);
    VG_CU(cuMemcpyDtoH_v2(p, device, bytes));
    same(p, back, bytes, "copies of unified addresses");
}

/* What one copy brings the next one takes away: in the stream's order, not the program's. */
static void relay(uint8_t *p, size_t bytes)
{
    VG_CU(cuMemcpyHtoD_v2(device, back, bytes));
    VG_CU(cuMemsetD8_v2(device + bytes, 0, bytes));
    memset(p, 0, bytes);
    VG_CU(cuMemcpyDtoHAsync_v2(p, device, bytes, stream));
    VG_CU(cuMemcpyHtoDAsync_v2(device + bytes, p, bytes, stream));
    VG_CU(cuStreamSynchronize(stream));
    same(p, back, bytes, "relay, half way");
    memset(p, 0, bytes);
    VG_CU(cuMemcpyDtoHAsync_v2(p, device + bytes, bytes, stream));
    VG_CU(cuStreamSynchronize(stream));
    same(p, back, bytes, "relay");
}

/* Slices of rows with gaps, so that seams fall into rows, between rows and into gaps. */
static void pitched(uint8_t *p, size_t bytes)
{
    const size_t pitch = 4104, width = 4000, rows = 16, slices = bytes / (pitch * rows);
    CUDA_MEMCPY3D c = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = p, .srcPitch = pitch,
                       .srcHeight = rows, .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                       .dstDevice = device, .dstPitch = width, .dstHeight = rows,
                       .WidthInBytes = width, .Height = rows, .Depth = slices};

    fill(p, bytes, 2);
    VG_CU(cuMemcpy3D_v2(&c));
    VG_CU(cuMemcpyDtoH_v2(back, device, width * rows * slices));
    for (size_t i = 0; i < rows * slices; i++)
        same(back + i * width, p + i * pitch, width, "pitched copy in");
    c = (CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = device,
                        .srcPitch = width, .srcHeight = rows,
                        .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = p, .dstPitch = pitch,
                        .dstHeight = rows, .WidthInBytes = width, .Height = rows,
                        .Depth = slices};
    memset(p, 0x5a, bytes);
    VG_CU(cuMemcpy3D_v2(&c));
    for (size_t i = 0; i < rows * slices; i++) {
        same(back + i * width, p + i * pitch, width, "pitched copy out");
        if (p[i * pitch + width] != 0x5a)
            vg_drv_fail("pitched copy out: a gap was written");
    }
}

static void captured(uint8_t *p, size_t bytes)
{
    CUgraphExec exec;
    CUgraph graph;

    VG_CU(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    VG_CU(cuMemcpyHtoDAsync_v2(device, p, bytes, stream));
    VG_CU(cuStreamEndCapture(stream, &graph));
    VG_CU(cuGraphInstantiateWithFlags(&exec, graph, 0));
    fill(p, bytes, 3);
    VG_CU(cuGraphLaunch(exec, stream));
    VG_CU(cuStreamSynchronize(stream));
    VG_CU(cuMemcpyDtoH_v2(back, device, bytes));
    same(p, back, bytes, "captured copy");
    VG_CU(cuGraphExecDestroy(exec));
    VG_CU(cuGraphDestroy(graph));
}

static void kernel_at(uint8_t *p)
{
    uint32_t key = 9, count = WORDS, before[WORDS], after[WORDS];
    void *args[] = {&p, &key, &count};

    memcpy(before, p, sizeof(before));
    VG_CU(cuLaunchKernel(mix, WORDS / 128, 1, 1, 128, 1, 1, 0, stream, args, NULL));
    VG_CU(cuStreamSynchronize(stream));
    memcpy(after, p, sizeof(after));
    for (unsigned i = 0; i < WORDS; i++)
        if (after[i] != before[i] * 3 + key)
            vg_drv_fail("a kernel over a seam: word %u", i);
}

static void kernels(uint8_t *p, size_t bytes)
{
    uintptr_t first = ((uintptr_t)p + STEP) & ~(uintptr_t)(STEP - 1);

    kernel_at(p);
    kernel_at(p + bytes - WORDS * 4);
    for (uintptr_t at = first; at + WORDS * 2 <= (uintptr_t)p + bytes; at += STEP)
        if (at - WORDS * 2 >= (uintptr_t)p)
            kernel_at((uint8_t *)at - WORDS * 2);
}

static uint8_t *get(size_t bytes)
{
    void *p;

    if (hidden)
        VG_CU_IS(CUDA_ERROR_NOT_SUPPORTED, cuMemHostAlloc(&p, bytes, CU_MEMHOSTALLOC_DEVICEMAP));
    VG_CU(cuMemHostAlloc(&p, bytes, hidden ? 0 : CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE));
    return p;
}

static void all(size_t bytes)
{
    uint8_t *p = get(bytes);
    CUdeviceptr seen = 0;

    VG_CU_IS(hidden ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS,
             cuMemHostGetDevicePointer_v2(&seen, p, 0));
    if (!hidden && seen != (uintptr_t)p)
        vg_drv_fail("another address on the GPU");
    linear(p, bytes);
    relay(p, bytes);
    pitched(p, bytes);
    captured(p, bytes);
    if (!hidden)
        kernels(p, bytes);
    VG_CU(cuMemFreeHost(p));
}

static void run(size_t big)
{
    vg_drv_start();
    VG_CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    mix = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    device = vg_drv_alloc(2 * big);
    for (size_t mib = 1; mib * MIB < big; mib = 2 * mib + 1)
        all(mib * MIB + 100);
    all(big);
    VG_CU(cuMemFree_v2(device));
    VG_CU(cuDevicePrimaryCtxRelease_v2(0));
}

int main(int argc, char **argv)
{
    size_t big = (argc > 1 ? (size_t)atoi(argv[1]) : 40) * MIB;

    hidden = argc > 2 && strcmp(argv[2], "hidden") == 0;
    back = malloc(big);
    if (!back)
        vg_drv_fail("out of memory");
    run(big);
    run(big);
    printf("pins: the GPU %s\n", hidden ? "copies what it does not see" : "sees all of it");
    free(back);
    return 0;
}
