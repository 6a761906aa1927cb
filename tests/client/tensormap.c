/* SPDX-License-Identifier: MIT */
/*
 * Tensor maps. On a GPU with TMA (compute capability 9.0 and up) kernels load tiles
 * through maps of a 2D tensor; on any other the calls say that they are not
 * supported, and the attribute said so before.
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <string.h>

VG_IMAGE(vg_tma_ptx, "tests/client/tma.ptx");

#define WIDTH  64u
#define HEIGHT 32u
#define BOX    8u

/* CUDA 12 compilers give a map this alignment, later ones twice as much. */
struct map {
    _Alignas(64) uint64_t word[17];
};

static CUresult encode(struct map *m, CUdeviceptr data, uint32_t rank, const uint64_t *dim)
{
    const uint64_t strides[] = {WIDTH * 4, WIDTH * HEIGHT * 4, WIDTH * HEIGHT * 4,
                                WIDTH * HEIGHT * 4};
    const uint32_t box[] = {BOX, BOX, 1, 1, 1}, step[] = {1, 1, 1, 1, 1};

    return vg_drv.cuTensorMapEncodeTiled((CUtensorMap *)m->word, CU_TENSOR_MAP_DATA_TYPE_UINT32,
                                         rank, (void *)(uintptr_t)data, dim, strides, box, step,
                                         CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
                                         CU_TENSOR_MAP_L2_PROMOTION_NONE,
                                         CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

static void must_be(CUresult got, CUresult want, const char *what)
{
    if (got != want)
        vg_drv_fail("%s: %s instead of %s", what, vg_drv_error(got), vg_drv_error(want));
}

static void not_here(CUdeviceptr data)
{
    const uint64_t dim[] = {WIDTH, HEIGHT};
    struct map m;

    memset(&m, 0x5a, sizeof(m));
    must_be(encode(&m, data, 2, dim), CUDA_ERROR_NOT_SUPPORTED, "encode");
    for (unsigned i = 0; i < 17; i++)
        if (m.word[i] != 0x5a5a5a5a5a5a5a5aull)
            vg_drv_fail("a failed call has written to the map");
}

/* The tile at (x, y); what lies outside of the tensor comes as 0. */
static void check_tile(const uint32_t *got, uint32_t x, uint32_t y, uint32_t base)
{
    for (uint32_t i = 0; i < BOX * BOX; i++) {
        uint32_t tx = x + i % BOX, ty = y + i / BOX;
        uint32_t want = tx < WIDTH && ty < HEIGHT ? base + ty * WIDTH + tx : 0;
        if (got[i] != want)
            vg_drv_fail("tile (%u, %u): word %u is %u, not %u", x, y, i, got[i], want);
    }
}

static void load_tile(CUfunction f, struct map *m, CUdeviceptr out, uint32_t x, uint32_t y,
                      uint32_t base)
{
    void *params[] = {m->word, &out, &x, &y};
    uint32_t got[BOX * BOX];

    VG_CU(cuMemsetD8_v2(out, 0xff, sizeof(got)));
    VG_CU(cuLaunchKernel(f, 1, 1, 1, BOX * BOX, 1, 1, 0, NULL, params, NULL));
    VG_CU(cuMemcpyDtoH_v2(got, out, sizeof(got)));
    check_tile(got, x, y, base);
}

static CUdeviceptr make_tensor(uint32_t base)
{
    static uint32_t host[WIDTH * HEIGHT];
    CUdeviceptr data = vg_drv_alloc(sizeof(host));

    for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
        host[i] = base + i;
    VG_CU(cuMemcpyHtoD_v2(data, host, sizeof(host)));
    return data;
}

static void refusals(CUdeviceptr data)
{
    const uint64_t dim[] = {WIDTH, HEIGHT, 1, 1, 1}, none[] = {WIDTH, 0};
    struct map m;

    must_be(encode(&m, data, 0, dim), CUDA_ERROR_INVALID_VALUE, "rank 0");
    must_be(encode(&m, data, 6, dim), CUDA_ERROR_INVALID_VALUE, "rank 6");
    must_be(encode(&m, data, 2, NULL), CUDA_ERROR_INVALID_VALUE, "no dimensions");
    must_be(encode(&m, data, 2, none), CUDA_ERROR_INVALID_VALUE, "a dimension of 0");
    must_be(encode(&m, data + 4, 2, dim), CUDA_ERROR_INVALID_VALUE, "address off by 4");
}

static void load_tiles(CUdeviceptr data)
{
    CUfunction f = vg_drv_function(vg_drv_module(vg_tma_ptx), "tile");
    CUdeviceptr out = vg_drv_alloc(BOX * BOX * 4), other = make_tensor(70000);
    const uint64_t dim[] = {WIDTH, HEIGHT};
    struct map m, again, moved;

    VG_CU_IS(CUDA_SUCCESS, cuCtxSynchronize());
    must_be(encode(&m, data, 2, dim), CUDA_SUCCESS, "encode");
    load_tile(f, &m, out, 0, 0, 1000);
    load_tile(f, &m, out, 24, 16, 1000);
    /* Half outside. A row of the tile begins at a multiple of 16 bytes, or the GPU traps. */
    load_tile(f, &m, out, WIDTH - BOX / 2, HEIGHT - 5, 1000);
    must_be(encode(&again, data, 2, dim), CUDA_SUCCESS, "the same again");
    if (memcmp(m.word, again.word, 128) != 0)
        vg_drv_fail("the same arguments gave another map");
    moved = m;
    VG_CU(cuTensorMapReplaceAddress((CUtensorMap *)moved.word, (void *)(uintptr_t)other));
    load_tile(f, &moved, out, 8, 8, 70000);
    must_be(encode(&again, other, 2, dim), CUDA_SUCCESS, "another address");
    load_tile(f, &again, out, 16, 24, 70000);
    refusals(data);
}

int main(void)
{
    int major, offered;

    vg_drv_start();
    VG_CU(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
    VG_CU(cuDeviceGetAttribute(&offered, CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED, 0));
    if (offered != (major >= 9))
        vg_drv_fail("compute capability %d, but tensor maps are %soffered", major,
                    offered ? "" : "not ");
    CUdeviceptr data = make_tensor(1000);
    if (offered)
        load_tiles(data);
    else
        not_here(data);
    printf("tensor maps: %s\n", offered ? "tiles loaded" : "not supported, as announced");
    return 0;
}
