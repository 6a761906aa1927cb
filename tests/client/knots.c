/* SPDX-License-Identifier: MIT */
/*
 * Copies of pinned memory that must wait for nothing but their own stream: not for a host function
 * that waits for them, not for copies of a stream that waits for them, and not in the call itself.
 * Any of these would wait for ever, so an alarm ends the program. Meant for a host where the GPU
 * does not see such memory, and right everywhere.
 *
 *   knots [streams]    streams: without the host functions. The executor rings bells in streams of the
 *                      software GPU, which has one thread for them and host functions
 */
#include "vg_drv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB      ((size_t)1 << 20)
#define BYTES    (3 * MIB + 5)
#define PATIENCE 100    /* seconds, for all of it */

static CUstream one, other, opener;
static CUdeviceptr gate, device;
static uint8_t *pinned;
static uint32_t opened;

/* ---- A gate: what comes behind it in the stream waits until it is opened ---- */

static void shut(CUstream stream)
{
    VG_CU(cuStreamWaitValue32_v2(stream, gate, opened + 1, CU_STREAM_WAIT_VALUE_GEQ));
}

static void open_gate(void)
{
    VG_CU(cuStreamWriteValue32_v2(opener, gate, ++opened, 0));
}

/* Asks, so that the wait itself needs nothing of the driver's. */
static void wait_for(CUstream stream)
{
    CUresult r;

    while ((r = vg_drv.cuStreamQuery(stream)) == CUDA_ERROR_NOT_READY)
        usleep(1000);
    if (r != CUDA_SUCCESS)
        vg_drv_fail("a stream failed: %s", vg_drv_error(r));
}

static void put(uint8_t *p, size_t bytes, uint32_t seed)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)(i * 7 + i / 253 + seed);
}

static void is(const uint8_t *p, size_t bytes, uint32_t seed, const char *what)
{
    for (size_t i = 0; i < bytes; i++)
        if (p[i] != (uint8_t)(i * 7 + i / 253 + seed))
            vg_drv_fail("%s: byte %zu of %zu", what, i, bytes);
}

/* ---- A host function that waits for the copy ---- */

static volatile int begun, may_end;

static void hold(void *arg)
{
    (void)arg;
    begun = 1;
    while (!may_end)
        usleep(1000);
}

static void behind_a_host_function(bool in)
{
    begun = may_end = 0;
    shut(other);
    if (in) {
        put(pinned, BYTES, 1);
        VG_CU(cuMemcpyHtoDAsync_v2(device, pinned, BYTES, other));
    } else {
        memset(pinned, 0, BYTES);
        VG_CU(cuMemcpyDtoHAsync_v2(pinned, device, BYTES, other));
    }
    VG_CU(cuLaunchHostFunc(one, hold, NULL));
    while (!begun)
        usleep(1000);
    open_gate();
    wait_for(other);
    may_end = 1;
    wait_for(one);
    if (!in)
        is(pinned, BYTES, 1, "beside a host function");
}

/* ---- A stream that waits, with more copies than there is memory between ---- */

static void beside_a_stuck_stream(void)
{
    uint8_t *p = pinned + 8 * MIB;

    put(pinned, 8 * MIB, 2);
    shut(one);
    VG_CU(cuMemcpyHtoDAsync_v2(device, pinned, 8 * MIB, one));
    VG_CU(cuMemcpyDtoHAsync_v2(pinned, device, 8 * MIB, one));
    VG_CU(cuMemcpyHtoDAsync_v2(device, pinned, 8 * MIB, one));
    put(p, BYTES, 3);
    VG_CU(cuMemcpyHtoDAsync_v2(device + 8 * MIB, p, BYTES, other));
    wait_for(other);
    memset(p, 0, BYTES);
    VG_CU(cuMemcpyDtoHAsync_v2(p, device + 8 * MIB, BYTES, other));
    wait_for(other);
    is(p, BYTES, 3, "beside a stuck stream");
    open_gate();
    wait_for(one);
    is(pinned, 8 * MIB, 2, "in a stuck stream");
}

/* ---- Pitched copies behind a gate: the calls return ---- */

#define WIDTH  1000u
#define PITCH  1056u
#define ROWS   50u
#define SLICES 40u

static CUDA_MEMCPY3D box(bool in)
{
    CUDA_MEMCPY3D c = {.WidthInBytes = WIDTH, .Height = ROWS - 2, .Depth = SLICES};

    c.srcMemoryType = in ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    c.dstMemoryType = in ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    c.srcHost = c.dstHost = pinned;
    c.srcDevice = c.dstDevice = device;
    c.srcPitch = in ? PITCH : WIDTH;
    c.dstPitch = in ? WIDTH : PITCH;
    c.srcHeight = c.dstHeight = ROWS;
    *(in ? &c.srcXInBytes : &c.dstXInBytes) = 16;
    c.srcY = c.dstY = 1;
    return c;
}

static void pitched(void)
{
    CUDA_MEMCPY3D in = box(true), out = box(false);
    const size_t bytes = (size_t)PITCH * ROWS * SLICES;
    uint8_t *want = malloc(bytes);

    put(want, bytes, 4);
    memset(pinned, 0, bytes);
    shut(one);
    VG_CU(cuMemcpy3DAsync_v2(&in, one));
    VG_CU(cuMemcpy3DAsync_v2(&out, one));
    VG_CU(cuMemsetD8Async(device, 0, bytes, other));
    wait_for(other);
    memcpy(pinned, want, bytes);    /* what is copied is read when the stream comes to it */
    open_gate();
    wait_for(one);
    if (!want || memcmp(pinned, want, bytes) != 0)
        vg_drv_fail("pitched copies: other bytes");
    memset(pinned, 0x5a, bytes);
    VG_CU(cuMemcpy3DAsync_v2(&out, one));
    wait_for(one);
    for (size_t i = 0; i < bytes; i++) {
        size_t x = i % PITCH, y = i / PITCH % ROWS;
        bool inside = x >= 16 && x < 16 + WIDTH && y >= 1 && y < ROWS - 1;
        if (pinned[i] != (inside ? want[i] : 0x5a))
            vg_drv_fail("pitched copy out: byte %zu", i);
    }
    free(want);
}

/* Rows longer than any chunk. */
static void long_rows(void)
{
    const size_t width = 2 * MIB + 3, rows = 3;
    CUDA_MEMCPY3D c = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = pinned, .srcPitch = width,
                       .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = device,
                       .dstPitch = width, .WidthInBytes = width, .Height = rows, .Depth = 1};

    put(pinned, width * rows, 5);
    VG_CU(cuMemcpy3DAsync_v2(&c, one));
    wait_for(one);
    memset(pinned, 0, width * rows);
    VG_CU(cuMemcpyDtoHAsync_v2(pinned, device, width * rows, one));
    wait_for(one);
    is(pinned, width * rows, 5, "long rows");
}

int main(int argc, char **argv)
{
    bool streams_only = argc > 1 && strcmp(argv[1], "streams") == 0;
    void *p;

    alarm(PATIENCE);
    vg_drv_start();
    VG_CU(cuStreamCreate(&one, CU_STREAM_NON_BLOCKING));
    VG_CU(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    VG_CU(cuStreamCreate(&opener, CU_STREAM_NON_BLOCKING));
    gate = vg_drv_alloc(4);
    VG_CU(cuMemsetD32_v2(gate, 0, 1));
    device = vg_drv_alloc(12 * MIB);
    VG_CU(cuMemHostAlloc(&p, 12 * MIB, 0));
    pinned = p;
    if (!streams_only) {
        behind_a_host_function(true);
        behind_a_host_function(false);
    }
    beside_a_stuck_stream();
    pitched();
    long_rows();
    puts("knots: none");
    return 0;
}
