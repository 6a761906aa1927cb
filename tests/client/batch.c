/* SPDX-License-Identifier: MIT */
/*
 * Batches of copies, linear and of boxes, between host and device in both directions;
 * and the misuse that is refused before anything is copied. Runs on any driver that has
 * them (CUDA 13).
 */
#include "vg_drv.h"

#include <stdio.h>
#include <string.h>

#define COPIES 5u
#define BYTES  (1u << 20)

static uint8_t up[COPIES * BYTES], down[COPIES * BYTES];

static void fill(uint8_t *p, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(vg_drv_random(&seed) >> 24);
}

/* Copy i has i * 100001 + 1 bytes: small, odd and large ones. */
static size_t size_of(size_t i)
{
    return i * 100001 + 1;
}

static void linear(CUstream stream)
{
    CUmemcpyAttributes attrs[2] = {
        {.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM},
        {.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL},
    };
    CUdeviceptr device = vg_drv_alloc(COPIES * BYTES), to[COPIES], from[COPIES], back[COPIES];
    size_t sizes[COPIES], first[2] = {0, 2};

    fill(up, sizeof(up), 7);
    memset(down, 0, sizeof(down));
    for (size_t i = 0; i < COPIES; i++) {
        sizes[i] = size_of(i);
        from[i] = (uintptr_t)(up + i * BYTES);
        to[i] = device + i * BYTES;
        back[i] = (uintptr_t)(down + i * BYTES);
    }
    VG_CU(cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attrs, first, 2, stream));
    VG_CU(cuMemcpyBatchAsync_v2(back, to, sizes, COPIES, attrs, first, 1, stream));
    VG_CU(cuStreamSynchronize(stream));
    for (size_t i = 0; i < COPIES; i++)
        if (memcmp(up + i * BYTES, down + i * BYTES, sizes[i]) != 0 ||
            down[i * BYTES + sizes[i]] != 0)
            vg_drv_fail("copy %zu of %zu bytes is wrong", i, sizes[i]);

    VG_CU_IS(CUDA_ERROR_INVALID_VALUE,
             cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attrs, first, 0, stream));
    first[0] = 1;
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE,
             cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attrs, first, 1, stream));
    first[0] = 0;
    attrs[0].srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_INVALID;
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE,
             cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attrs, first, 1, stream));
    attrs[0].srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE,
             cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attrs, first, 1, NULL));
    VG_CU(cuMemFree_v2(device));
}

#define WIDTH  37u
#define HEIGHT 11u
#define DEPTH  3u
#define ROW    64u      /* bytes of a row on the host */
#define LAYER  13u      /* rows of a layer there */

/* A box out of a larger one on the host, packed on the device, and back to its place. */
static void boxes(CUstream stream)
{
    CUdeviceptr device = vg_drv_alloc(WIDTH * HEIGHT * DEPTH);
    CUDA_MEMCPY3D_BATCH_OP op = {
        .src = {.type = CU_MEMCPY_OPERAND_TYPE_POINTER},
        .dst = {.type = CU_MEMCPY_OPERAND_TYPE_POINTER},
        .extent = {WIDTH, HEIGHT, DEPTH},
        .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM,
    };
    CUDA_MEMCPY3D_BATCH_OP back = op;

    fill(up, ROW * LAYER * DEPTH, 9);
    memset(down, 0, ROW * LAYER * DEPTH);
    op.src.op.ptr.ptr = (uintptr_t)up;
    op.src.op.ptr.rowLength = ROW;
    op.src.op.ptr.layerHeight = LAYER;
    op.dst.op.ptr.ptr = device;
    back.src.op.ptr.ptr = device;
    back.dst.op.ptr.ptr = (uintptr_t)down;
    back.dst.op.ptr.rowLength = ROW;
    back.dst.op.ptr.layerHeight = LAYER;
    VG_CU(cuMemcpy3DBatchAsync_v2(1, &op, 0, stream));
    VG_CU(cuMemcpy3DBatchAsync_v2(1, &back, 0, stream));
    VG_CU(cuStreamSynchronize(stream));
    for (size_t i = 0; i < ROW * LAYER * DEPTH; i++) {
        bool inside = i % ROW < WIDTH && i / ROW % LAYER < HEIGHT;
        if (down[i] != (inside ? up[i] : 0))
            vg_drv_fail("byte %zu of the box is %u, not %u", i, down[i], inside ? up[i] : 0);
    }
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy3DBatchAsync_v2(1, &op, 1, stream));
    op.extent.depth = 0;
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy3DBatchAsync_v2(1, &op, 0, stream));
    op.extent.depth = DEPTH;
    op.src.op.ptr.rowLength = WIDTH - 1;
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuMemcpy3DBatchAsync_v2(1, &op, 0, stream));
    VG_CU(cuMemFree_v2(device));
}

int main(void)
{
    CUstream stream;

    vg_drv_start();
    VG_CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    linear(stream);
    boxes(stream);
    VG_CU(cuStreamDestroy_v2(stream));
    puts("batches");
    return 0;
}
