/* SPDX-License-Identifier: MIT */
/*
 * Memory that the program maps itself, where the software GPU's own rules show: what a kernel may
 * do follows cuMemSetAccess, and the device's limit counts memory, not mappings.
 */
#include "api.h"

#include <stdlib.h>

#define GRAIN ((size_t)2 << 20)

static const CUmemAllocationProp prop = {
    .type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 }
};

static void allow(CUdeviceptr p, size_t size, CUmemAccess_flags flags)
{
    CUmemAccessDesc desc = { prop.location, flags };

    ck_cu(cuMemSetAccess(p, size, &desc, 1));
}

/* One grain of memory at a new place. */
static CUdeviceptr mapped(CUmemGenericAllocationHandle *ret)
{
    CUdeviceptr p;

    ck_cu(cuMemAddressReserve(&p, GRAIN, 0, 0, 0));
    ck_cu(cuMemCreate(ret, GRAIN, &prop, 0));
    ck_cu(cuMemMap(p, GRAIN, 0, *ret, 0));
    return p;
}

/* Each in a process of its own, because the fault stays with the context. */
static void write_with(CUmemAccess_flags flags, CUresult want)
{
    CUmemGenericAllocationHandle h;
    CUdeviceptr p;

    api_start();
    p = mapped(&h);
    allow(p, GRAIN, flags);
    api_launch_set(p + 4096, 77, NULL);
    ck_assert_int_eq(cuCtxSynchronize(), want);
}

START_TEST(kernel_writes_where_it_may)
{
    write_with(CU_MEM_ACCESS_FLAGS_PROT_READWRITE, CUDA_SUCCESS);
}
END_TEST

START_TEST(kernel_writes_read_only)
{
    write_with(CU_MEM_ACCESS_FLAGS_PROT_READ, CUDA_ERROR_ILLEGAL_ADDRESS);
}
END_TEST

START_TEST(kernel_writes_without_access)
{
    write_with(CU_MEM_ACCESS_FLAGS_PROT_NONE, CUDA_ERROR_ILLEGAL_ADDRESS);
}
END_TEST

START_TEST(kernel_writes_after_unmap)
{
    CUmemGenericAllocationHandle h;
    CUdeviceptr p;

    api_start();
    p = mapped(&h);
    allow(p, GRAIN, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    ck_cu(cuMemUnmap(p, GRAIN));
    api_launch_set(p, 1, NULL);
    ck_assert_int_eq(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}
END_TEST

/* The limit is the device's; memory goes when neither handle nor mapping holds it. */
START_TEST(what_counts)
{
    CUmemGenericAllocationHandle h, more;
    size_t before, now, total;
    CUdeviceptr p;

    setenv("VGPU_SOFT_MEMORY_MIB", "64", 1);
    api_start();
    ck_cu(cuMemGetInfo_v2(&before, &total));
    p = mapped(&h);
    ck_cu(cuMemGetInfo_v2(&now, &total));
    ck_assert_uint_eq(before - now, GRAIN);
    ck_assert_int_eq(cuMemCreate(&more, total, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY);
    ck_cu(cuMemRelease(h));
    ck_cu(cuMemGetInfo_v2(&now, &total));
    ck_assert_uint_eq(before - now, GRAIN);
    ck_assert_int_eq(cuMemRelease(h), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuMemRetainAllocationHandle(&more, (void *)(uintptr_t)(p + 5)));
    ck_cu(cuMemUnmap(p, GRAIN));
    ck_cu(cuMemGetInfo_v2(&now, &total));
    ck_assert_uint_eq(before - now, GRAIN);
    ck_cu(cuMemRelease(more));
    ck_cu(cuMemGetInfo_v2(&now, &total));
    ck_assert_uint_eq(before, now);
    ck_cu(cuMemAddressFree(p, GRAIN));
}
END_TEST

START_TEST(places)
{
    CUdeviceptr a, b, c, wish;

    api_start();
    ck_cu(cuMemAddressReserve(&a, GRAIN, 0, 0, 0));
    ck_cu(cuMemAddressReserve(&b, 3 * GRAIN, 16 * GRAIN, 0, 0));
    ck_assert_uint_eq(b % (16 * GRAIN), 0);
    wish = b + 64 * GRAIN;
    ck_cu(cuMemAddressReserve(&c, GRAIN, 0, wish, 0));
    ck_assert_uint_eq(c, wish);
    ck_cu(cuMemAddressReserve(&wish, GRAIN, 0, c, 0));
    ck_assert_uint_ne(c, wish);
    ck_cu(cuMemAddressFree(a, GRAIN));
    ck_cu(cuMemAddressReserve(&wish, GRAIN, 0, 0, 0));
    ck_assert_uint_eq(a, wish);
    ck_assert_int_eq(cuMemAddressReserve(&a, (size_t)1 << 60, 0, 0, 0),
                     CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(cuMemAddressReserve(&a, GRAIN, 12345, 0, 0), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

Suite *api_vmm_suite(void)
{
    Suite *suite = suite_create("softgpu vmm");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, kernel_writes_where_it_may);
    tcase_add_test(tc, kernel_writes_read_only);
    tcase_add_test(tc, kernel_writes_without_access);
    tcase_add_test(tc, kernel_writes_after_unmap);
    tcase_add_test(tc, what_counts);
    tcase_add_test(tc, places);
    suite_add_tcase(suite, tc);
    return suite;
}
