/* SPDX-License-Identifier: MIT */
/*
 * Memory that a program maps itself, as allocators of frameworks do: a large
 * reservation that grows piece by piece, copies and kernels across the pieces, one
 * memory at two addresses, and what pointers tell of it.
 *
 *   vmm           0: right, 77: the device does not offer it
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

#define PIECES 3
#define KEY    7u

static size_t grain;            /* bytes of one piece */
static CUfunction mix;
static const CUmemAllocationProp prop = {
    .type = CU_MEM_ALLOCATION_TYPE_PINNED,
    .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
};

static void expect(bool ok, const char *what)
{
    if (!ok)
        vg_drv_fail("%s", what);
}

static CUdeviceptr reserve(size_t size)
{
    CUdeviceptr p = 0;

    VG_CU(cuMemAddressReserve(&p, size, 0, 0, 0));
    expect(p != 0 && p % grain == 0, "the reservation is not aligned");
    return p;
}

static CUmemGenericAllocationHandle create(size_t size)
{
    CUmemGenericAllocationHandle h = 0;

    VG_CU(cuMemCreate(&h, size, &prop, 0));
    return h;
}

static void allow(CUdeviceptr p, size_t size, CUmemAccess_flags flags)
{
    CUmemAccessDesc desc = {.location = prop.location, .flags = flags};

    VG_CU(cuMemSetAccess(p, size, &desc, 1));
}

static void map(CUdeviceptr p, size_t size, CUmemGenericAllocationHandle h)
{
    VG_CU(cuMemMap(p, size, 0, h, 0));
    allow(p, size, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
}

static void unmap(CUdeviceptr p, size_t size)
{
    VG_CU(cuCtxSynchronize());
    VG_CU(cuMemUnmap(p, size));
}

static void run_mix(CUdeviceptr p, uint32_t count)
{
    uint32_t key = KEY;
    void *args[] = {&p, &key, &count};

    VG_CU(cuLaunchKernel(mix, (count + 127) / 128, 1, 1, 128, 1, 1, 0, NULL, args, NULL));
}

static void expect_words(CUdeviceptr p, uint32_t *buffer, size_t count, uint32_t (*want)(size_t))
{
    VG_CU(cuMemcpyDtoH_v2(buffer, p, count * 4));
    for (size_t i = 0; i < count; i++)
        if (buffer[i] != want(i))
            vg_drv_fail("word %zu is %u, not %u", i, buffer[i], want(i));
}

static uint32_t once(size_t i) { return (uint32_t)i * 3 + KEY; }
static uint32_t twice(size_t i) { return once(i) * 3 + KEY; }
static uint32_t sevens(size_t i) { (void)i; return 0x07070707; }

/* ---- one segment of several pieces ---- */

struct segment {
    CUdeviceptr base;
    size_t reserved;
    CUmemGenericAllocationHandle piece[PIECES];
    uint32_t *buffer;
};

static void grow(struct segment *s)
{
    for (int i = 0; i < PIECES; i++) {
        s->piece[i] = create(grain);
        map(s->base + (size_t)i * grain, grain, s->piece[i]);
    }
}

/* What lies in three mappings is one array for copies, memsets and kernels. */
static void use_across_pieces(struct segment *s)
{
    size_t words = PIECES * grain / 4, odd = 1000;

    for (size_t i = 0; i < words; i++)
        s->buffer[i] = (uint32_t)i;
    VG_CU(cuMemcpyHtoD_v2(s->base, s->buffer, words * 4));
    run_mix(s->base, (uint32_t)words);
    expect_words(s->base, s->buffer, words, once);
    VG_CU(cuMemsetD8_v2(s->base + grain - odd, 7, grain + 2 * odd));
    expect_words(s->base + grain - odd, s->buffer, (grain + 2 * odd) / 4, sevens);
    VG_CU(cuMemcpyDtoD_v2(s->base, s->base + grain - odd, 2 * odd));
    expect_words(s->base, s->buffer, odd / 2, sevens);
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE,
             cuMemsetD8_v2(s->base + 2 * grain, 1, grain + 1));
}

static uint64_t attribute(CUpointer_attribute a, CUdeviceptr p)
{
    uint64_t v = 0;

    VG_CU(cuPointerGetAttribute(&v, a, p));
    return v;
}

static void ask_pointers(struct segment *s)
{
    CUdeviceptr inside = s->base + grain + 12345, base = 0;
    size_t size = 0;

    VG_CU(cuMemGetAddressRange_v2(&base, &size, inside));
    expect(base == s->base + grain && size == grain, "cuMemGetAddressRange is not the mapping's");
    expect(attribute(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, inside) == CU_MEMORYTYPE_DEVICE, "type");
    expect(attribute(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, inside) == 0, "device");
    expect(attribute(CU_POINTER_ATTRIBUTE_IS_MANAGED, inside) == 0, "managed");
    expect(attribute(CU_POINTER_ATTRIBUTE_MAPPED, inside) == 1, "mapped");
    expect(attribute(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, inside) == s->base, "range start");
    expect(attribute(CU_POINTER_ATTRIBUTE_RANGE_SIZE, inside) == s->reserved, "range size");
    expect(attribute(CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR, inside) == base, "mapping base");
    expect(attribute(CU_POINTER_ATTRIBUTE_MAPPING_SIZE, inside) == grain, "mapping size");
    expect(attribute(CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES, inside) == 0, "handle types");
}

static void ask_handles(struct segment *s)
{
    CUmemGenericAllocationHandle again = 0;
    CUmemAllocationProp got;
    unsigned long long flags = 0;

    VG_CU(cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)(s->base + grain)));
    expect(again == s->piece[1], "another handle for the same memory");
    VG_CU(cuMemRelease(again));
    VG_CU(cuMemGetAllocationPropertiesFromHandle(&got, s->piece[1]));
    expect(got.type == prop.type && got.location.type == prop.location.type &&
           got.location.id == 0, "properties");
    VG_CU(cuMemGetAccess(&flags, &prop.location, s->base + grain));
    expect(flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE, "access");
}

/* The handle may go while the mapping stays; without the mapping the addresses are nobody's. */
static void empty_middle(struct segment *s)
{
    CUdeviceptr middle = s->base + grain;

    VG_CU(cuMemRelease(s->piece[1]));
    VG_CU(cuMemsetD8_v2(middle, 7, grain));
    expect_words(middle, s->buffer, grain / 4, sevens);
    unmap(middle, grain);
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8_v2(middle, 1, 16));
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8_v2(s->base, 1, grain + 1));
    VG_CU(cuMemUnmap(middle, grain));   /* nothing is there to unmap */
    VG_CU(cuMemsetD8_v2(s->base, 1, grain));
}

/* The same memory at two addresses, then at one of them only: the content stays. */
static void two_addresses(struct segment *s)
{
    CUdeviceptr middle = s->base + grain, other = reserve(grain);
    CUmemGenericAllocationHandle h = create(grain);

    map(middle, grain, h);
    map(other, grain, h);
    for (size_t i = 0; i < grain / 4; i++)
        s->buffer[i] = (uint32_t)i;
    VG_CU(cuMemcpyHtoD_v2(middle, s->buffer, grain));
    run_mix(other, (uint32_t)(grain / 4));
    VG_CU(cuCtxSynchronize());
    expect_words(middle, s->buffer, grain / 4, once);
    unmap(middle, grain);
    run_mix(other, (uint32_t)(grain / 4));
    VG_CU(cuCtxSynchronize());
    map(middle, grain, h);
    expect_words(middle, s->buffer, grain / 4, twice);
    unmap(other, grain);
    VG_CU(cuMemAddressFree(other, grain));
    s->piece[1] = h;
}

static void refuse_nonsense(struct segment *s)
{
    CUmemGenericAllocationHandle h;
    CUdeviceptr p;

    expect(vg_drv.cuMemUnmap(s->base, grain / 2) != CUDA_SUCCESS, "half a mapping unmapped");
    expect(vg_drv.cuMemMap(s->base, grain, 0, s->piece[0], 0) != CUDA_SUCCESS, "mapped over");
    expect(vg_drv.cuMemAddressFree(s->base, grain) != CUDA_SUCCESS, "a part freed");
    expect(vg_drv.cuMemCreate(&h, grain / 2, &prop, 0) != CUDA_SUCCESS, "half a grain made");
    expect(vg_drv.cuMemCreate(&h, 0, &prop, 0) != CUDA_SUCCESS, "nothing made");
    expect(vg_drv.cuMemAddressReserve(&p, 0, 0, 0, 0) != CUDA_SUCCESS, "nothing reserved");
    expect(vg_drv.cuMemAddressReserve(&p, grain, 3, 0, 0) != CUDA_SUCCESS, "odd alignment");
    expect(vg_drv.cuMemFree_v2(s->base) != CUDA_SUCCESS, "a mapping freed by cuMemFree");
}

static void end(struct segment *s)
{
    unmap(s->base, PIECES * grain);
    for (int i = 0; i < PIECES; i++)
        VG_CU(cuMemRelease(s->piece[i]));
    VG_CU(cuMemAddressFree(s->base, s->reserved));
}

/* More in all than a small device has, a part at a time. (A real one takes its time for each.) */
static void come_and_go(size_t total)
{
    size_t most = (size_t)1 << 30, size = (total / 4 < most ? total / 4 : most) / grain * grain;
    CUdeviceptr p = reserve(size);

    for (int i = 0; i < 6; i++) {
        CUmemGenericAllocationHandle h = create(size);
        map(p, size, h);
        VG_CU(cuMemRelease(h));
        VG_CU(cuMemUnmap(p, size));
    }
    VG_CU(cuMemAddressFree(p, size));
}

int main(void)
{
    struct segment s = {.reserved = (size_t)1 << 40};
    size_t total;
    int offered = 0;

    vg_drv_start();
    VG_CU(cuDeviceGetAttribute(
        &offered, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 0));
    if (!offered)
        return 77;
    VG_CU(cuMemGetAllocationGranularity(&grain, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    mix = vg_drv_function(vg_drv_module(vg_client_ptx), "mix");
    s.base = reserve(s.reserved);
    s.buffer = malloc(PIECES * grain);
    grow(&s);
    use_across_pieces(&s);
    ask_pointers(&s);
    ask_handles(&s);
    empty_middle(&s);
    two_addresses(&s);
    refuse_nonsense(&s);
    end(&s);
    VG_CU(cuMemGetInfo_v2(NULL, &total));
    come_and_go(total);
    printf("a segment of %d pieces of %zu bytes, used and given back\n", PIECES, grain);
    return 0;
}
