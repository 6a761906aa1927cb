/* SPDX-License-Identifier: MIT */
/*
 * Reserving, creating and mapping memory without manners: absurd sizes, what was
 * never handed out, everything twice, and until there is no more.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/hostile/cases.h"
#include "vg_api.h"
#include "vg_cuda.h"

#define GRAIN (2ull << 20)

static const CUmemAllocationProp plain = {
    .type = CU_MEM_ALLOCATION_TYPE_PINNED,
    .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
};

static int reserve(struct guest *g, uint64_t size, uint64_t *ret_at)
{
    int rc = CALL(g, VG_CALL_cuMemAddressReserve, 1, size, 0, 0, 0);

    *ret_at = g->res.val[0];
    return rc;
}

static int create(struct guest *g, uint64_t size, const CUmemAllocationProp *prop, uint64_t *ret)
{
    const uint64_t arg[8] = {1, size, sizeof(*prop) + 1, 0};
    int rc = guest_call(g, VG_CALL_cuMemCreate, arg, prop, sizeof(*prop), VG_F_REPLY, 1);

    *ret = g->res.val[0];
    return rc;
}

static int allow(struct guest *g, uint64_t at, uint64_t size)
{
    const CUmemAccessDesc desc = {plain.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    /* The block stands behind two words, so its bytes are the whole payload. */
    const uint64_t arg[8] = {at, size, sizeof(desc) + 1, 1};
    uint8_t payload[16] = {0};

    memcpy(payload, &desc, sizeof(desc));
    return guest_call(g, VG_CALL_cuMemSetAccess, arg, payload, sizeof(payload), VG_F_REPLY, 1);
}

static void absurd_sizes(struct guest *g)
{
    static const uint64_t sizes[] = {0, 1, GRAIN - 1, 1ull << 60, 1ull << 63, UINT64_MAX,
                                     UINT64_MAX - GRAIN + 1};
    uint64_t at, h;

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        MUST(reserve(g, sizes[i], &at) != CUDA_SUCCESS);
        MUST(create(g, sizes[i], &plain, &h) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemUnmap, 0x200000000000, sizes[i]) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemAddressFree, 0x200000000000, sizes[i]) != CUDA_SUCCESS);
    }
}

static void strange_properties(struct guest *g)
{
    CUmemAllocationProp p[5];
    uint64_t h = 0;

    for (unsigned i = 0; i < 5; i++)
        p[i] = plain;
    p[0].location.id = -1;
    p[1].location.type = CU_MEM_LOCATION_TYPE_HOST;
    p[2].requestedHandleTypes = (CUmemAllocationHandleType)0xfe;
    p[3].type = (CUmemAllocationType)77;
    p[4].location.id = 1 << 20;
    for (unsigned i = 0; i < 5; i++)
        MUST(create(g, GRAIN, &p[i], &h) != CUDA_SUCCESS);
    p[0] = plain;
    p[0].win32HandleMetaData = (void *)0x4141414141414141;
    MUST(create(g, GRAIN, &p[0], &h) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemRelease, h) == CUDA_SUCCESS);
}

/* Addresses of others: the region, a cuMemAlloc, nobody's, a neighbour of our own. */
static void foreign_addresses(struct guest *g)
{
    uint64_t h = 0, at = 0;

    MUST(create(g, GRAIN, &plain, &h) == CUDA_SUCCESS && reserve(g, GRAIN, &at) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemAlloc_v2, 1, 2 * GRAIN) == CUDA_SUCCESS);
    const uint64_t others[] = {(uintptr_t)g->base, g->res.val[0] & ~(GRAIN - 1), 0, GRAIN,
                               at + GRAIN,         at - GRAIN,                   UINT64_MAX - GRAIN + 1};

    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        MUST(CALL(g, VG_CALL_cuMemMap, others[i], GRAIN, 0, h, 0) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemUnmap, others[i], GRAIN) != CUDA_SUCCESS);
        MUST(allow(g, others[i], GRAIN) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemRetainAllocationHandle, others[i]) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemAddressFree, others[i], GRAIN) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemMap, at, GRAIN, 0, others[i], 0) != CUDA_SUCCESS);
        MUST(CALL(g, VG_CALL_cuMemRelease, others[i]) != CUDA_SUCCESS);
    }
    MUST(CALL(g, VG_CALL_cuMemMap, at, 2 * GRAIN, 0, h, 0) != CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemMap, at, GRAIN, GRAIN, h, 0) != CUDA_SUCCESS);
    /* Reserved and mapped is not yet accessible. */
    MUST(CALL(g, VG_CALL_cuMemsetD8_v2, at, 1, 16) != CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemMap, at, GRAIN, 0, h, 0) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemsetD8_v2, at, 1, 16) != CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemFree_v2, at) != CUDA_SUCCESS);
}

static void everything_twice(struct guest *g)
{
    uint64_t h = 0, at = 0;

    MUST(create(g, GRAIN, &plain, &h) == CUDA_SUCCESS);
    MUST(reserve(g, 2 * GRAIN, &at) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemMap, at, GRAIN, 0, h, 0) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemMap, at, GRAIN, 0, h, 0) != CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemMap, at + GRAIN, GRAIN, 0, h, 0) == CUDA_SUCCESS);
    MUST(allow(g, at, 2 * GRAIN) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemRelease, h) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemRelease, h) != CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemAddressFree, at, 2 * GRAIN) != CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemUnmap, at, GRAIN / 2) != CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemUnmap, at, 2 * GRAIN) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemUnmap, at, 2 * GRAIN) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemAddressFree, at, 2 * GRAIN) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemUnmap, at, 2 * GRAIN) != CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemAddressFree, at, 2 * GRAIN) != CUDA_SUCCESS);
}

static void until_no_more(struct guest *g)
{
    uint64_t h[64], at = 0;
    unsigned made = 0, places = 0;

    while (places < 10000 && reserve(g, 64ull << 30, &at) == CUDA_SUCCESS)
        places++;
    MUST(places < 10000);
    while (made < 64 && create(g, 1ull << 30, &plain, &h[made]) == CUDA_SUCCESS)
        made++;
    MUST(made < 64);
    while (made > 0)
        MUST(CALL(g, VG_CALL_cuMemRelease, h[--made]) == CUDA_SUCCESS);
}

/* The kernel faults, or never notices; the executor lives. */
static void unmap_in_use(struct guest *g)
{
    uint64_t h = 0, at = 0, func = guest_function(g, guest_module(g, plain_ptx), "spin");

    MUST(create(g, GRAIN, &plain, &h) == CUDA_SUCCESS && reserve(g, GRAIN, &at) == CUDA_SUCCESS);
    MUST(CALL(g, VG_CALL_cuMemMap, at, GRAIN, 0, h, 0) == CUDA_SUCCESS);
    MUST(allow(g, at, GRAIN) == CUDA_SUCCESS);
    const uint64_t arg[8] = {func, 1 | 1ull << 32, 1 | 32ull << 32, 1 | 1ull << 32, 0, 0, 16};
    const uint64_t param[2] = {at, 1};
    MUST(guest_call(g, VG_CALL_LAUNCH, arg, param, 16, VG_F_REPLY, 1) == CUDA_SUCCESS);
    usleep(50000);
    CALL(g, VG_CALL_cuMemRelease, h);
    CALL(g, VG_CALL_cuMemUnmap, at, GRAIN);
    CALL(g, VG_CALL_cuMemAddressFree, at, GRAIN);
    usleep(50000);
    expect_alive(g);
}

void mappings(const struct daemon *d)
{
    static void (*const part[])(struct guest *g) = {
        absurd_sizes, strange_properties, foreign_addresses, everything_twice, until_no_more,
        unmap_in_use,
    };

    for (unsigned i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
        struct guest g;
        MUST(guest_open(&g, d, NULL) && guest_context(&g) != 0);
        part[i](&g);
        expect_alive(&g);
        guest_close(&g);
    }
}
