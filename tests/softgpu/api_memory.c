/* SPDX-License-Identifier: MIT */
/*
 * Memory: allocation and its limits, copies of every shape, fills, host memory, pools, pointers.
 */
#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1u << 20)

START_TEST(alloc_and_free)
{
    CUdeviceptr a, b, base;
    size_t before, during, after, total, size;

    api_start();
    ck_cu(cuMemGetInfo_v2(&before, &total));
    ck_cu(cuMemAlloc_v2(&a, 1));
    ck_cu(cuMemAlloc_v2(&b, 3 * MIB + 5));
    ck_assert_uint_eq(a % 512, 0);
    ck_assert_uint_eq(b % 512, 0);
    ck_cu(cuMemGetInfo_v2(&during, &total));
    ck_assert_uint_ge(before - during, 3 * MIB + 6);
    ck_cu(cuMemGetAddressRange_v2(&base, &size, b + 1000));
    ck_assert_uint_eq(base, b);
    ck_assert_uint_eq(size, 3 * MIB + 5);
    ck_assert_int_eq(cuMemFree_v2(b + 512), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemFree_v2(0x1234), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuMemFree_v2(0));
    ck_cu(cuMemFree_v2(b));
    ck_assert_int_eq(cuMemFree_v2(b), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuMemFree_v2(a));
    ck_cu(cuMemGetInfo_v2(&after, &total));
    ck_assert_uint_eq(before, after);
    ck_assert_int_eq(cuMemAlloc_v2(&a, 0), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

/* Fill the device, then free every other block: what fits in the gaps is found again. */
START_TEST(limit_and_fragmentation)
{
    CUdeviceptr p[64], more;
    size_t free_bytes, total;
    int i;

    setenv("VGPU_SOFT_MEMORY_MIB", "64", 1);
    api_start();
    ck_cu(cuMemGetInfo_v2(&free_bytes, &total));
    ck_assert_uint_eq(total, 64 * MIB);
    ck_assert_int_eq(cuMemAlloc_v2(&more, 65 * (size_t)MIB), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(cuMemAlloc_v2(&more, (size_t)1 << 50), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(cuMemAlloc_v2(&more, SIZE_MAX), CUDA_ERROR_OUT_OF_MEMORY);
    for (i = 0; i < 64; i++)
        ck_cu(cuMemAlloc_v2(&p[i], MIB));
    ck_assert_int_eq(cuMemAlloc_v2(&more, 1), CUDA_ERROR_OUT_OF_MEMORY);
    for (i = 0; i < 64; i += 2)
        ck_cu(cuMemFree_v2(p[i]));
    for (i = 0; i < 64; i += 2)
        ck_cu(cuMemAlloc_v2(&p[i], MIB));
    for (i = 0; i < 64; i++)
        ck_cu(cuMemFree_v2(p[i]));
    ck_cu(cuMemAlloc_v2(&more, 64 * MIB));
}
END_TEST

START_TEST(linear_copies)
{
    static const size_t size[] = { 1, 3, 511, 512, 4096, 65536, 65537, MIB + 1, 5 * MIB };
    CUdeviceptr a, b;
    uint8_t *in = malloc(5 * MIB), *out = malloc(5 * MIB);
    size_t i, j;

    api_start();
    a = api_alloc(5 * MIB);
    b = api_alloc(5 * MIB);
    for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        for (j = 0; j < size[i]; j++)
            in[j] = (uint8_t)(j * 31 + i);
        memset(out, 0, size[i]);
        ck_cu(cuMemcpyHtoD_v2(a, in, size[i]));
        ck_cu(cuMemcpyDtoDAsync_v2(b, a, size[i], NULL));
        ck_cu(cuMemcpyAsync((CUdeviceptr)(uintptr_t)out, b, size[i], NULL));
        ck_cu(cuStreamSynchronize(NULL));
        ck_assert_int_eq(memcmp(in, out, size[i]), 0);
    }
    ck_assert_int_eq(cuMemcpyHtoD_v2(a, in, 5 * MIB + 513), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemcpyHtoD_v2(0x1000, in, 4), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemcpyDtoH_v2(out, b + 5 * MIB, 4), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemcpyDtoH_v2((void *)0x10, b, 4), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemcpy(a, 0x7000000000000000ull, 4), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuMemcpyHtoD_v2(a, in, 0));
    free(in);
    free(out);
}
END_TEST

/* The caller may change a pageable source as soon as the call has returned. */
START_TEST(pageable_source_is_taken_along)
{
    CUdeviceptr flag, out, dst;
    uint32_t value = 1, got;
    CUstream s;

    api_start();
    flag = api_alloc(4);
    out = api_alloc(4);
    dst = api_alloc(4);
    ck_cu(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    api_launch_until(flag, out, 1, s);
    ck_cu(cuMemcpyHtoDAsync_v2(dst, &value, 4, s));
    value = 2;
    api_launch_set(flag, 1, NULL);
    ck_cu(cuMemcpyDtoHAsync_v2(&got, dst, 4, s));
    ck_assert_uint_eq(got, 1);
}
END_TEST

START_TEST(copies_in_2d_and_3d)
{
    CUDA_MEMCPY2D c2;
    CUDA_MEMCPY3D c3;
    CUdeviceptr dev;
    size_t pitch, x, y, z;
    uint8_t in[5][7][11], out[5][7][11];

    api_start();
    ck_cu(cuMemAllocPitch_v2(&dev, &pitch, 11, 7 * 5, 4));
    ck_assert_uint_eq(pitch % 512, 0);
    for (z = 0; z < 5; z++)
        for (y = 0; y < 7; y++)
            for (x = 0; x < 11; x++)
                in[z][y][x] = (uint8_t)(z * 100 + y * 11 + x);
    memset(&c3, 0, sizeof(c3));
    c3.srcMemoryType = CU_MEMORYTYPE_HOST;
    c3.srcHost = in;
    c3.srcPitch = 11;
    c3.srcHeight = 7;
    c3.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    c3.dstDevice = dev;
    c3.dstPitch = pitch;
    c3.dstHeight = 7;
    c3.WidthInBytes = 11;
    c3.Height = 7;
    c3.Depth = 5;
    ck_cu(cuMemcpy3D_v2(&c3));
    memset(out, 0, sizeof(out));
    memset(&c2, 0, sizeof(c2));         /* rows 2..5, columns 3..8 of slice 4 */
    c2.srcMemoryType = CU_MEMORYTYPE_UNIFIED;
    c2.srcDevice = dev + 4 * 7 * pitch;
    c2.srcPitch = pitch;
    c2.srcXInBytes = 3;
    c2.srcY = 2;
    c2.dstMemoryType = CU_MEMORYTYPE_HOST;
    c2.dstHost = out[4];
    c2.dstPitch = 11;
    c2.dstXInBytes = 3;
    c2.dstY = 2;
    c2.WidthInBytes = 6;
    c2.Height = 4;
    ck_cu(cuMemcpy2D_v2(&c2));
    for (y = 0; y < 7; y++)
        for (x = 0; x < 11; x++)
            ck_assert_uint_eq(out[4][y][x],
                              x >= 3 && x < 9 && y >= 2 && y < 6 ? in[4][y][x] : 0);
    c2.dstPitch = 8;
    ck_assert_int_eq(cuMemcpy2D_v2(&c2), CUDA_ERROR_INVALID_VALUE);
    c2.dstPitch = 11;
    c2.Height = (size_t)1 << 60;
    ck_assert_int_eq(cuMemcpy2D_v2(&c2), CUDA_ERROR_INVALID_VALUE);
    c2.Height = 4;
    c2.srcMemoryType = CU_MEMORYTYPE_ARRAY;
    ck_assert_int_eq(cuMemcpy2D_v2(&c2), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

START_TEST(fills)
{
    CUdeviceptr p;
    uint32_t words[64];
    uint8_t *bytes = (uint8_t *)words;
    int i;

    api_start();
    p = api_alloc(256);
    ck_cu(cuMemsetD32Async(p, 0x01020304, 64, NULL));
    ck_cu(cuMemsetD16_v2(p + 2, 0xabcd, 1));
    ck_cu(cuMemsetD2D8_v2(p + 64, 16, 0x77, 4, 8));
    ck_cu(cuMemcpyDtoH_v2(words, p, sizeof(words)));
    ck_assert_uint_eq(words[0], 0xabcd0304);
    ck_assert_uint_eq(words[1], 0x01020304);
    for (i = 0; i < 128; i++)
        ck_assert_uint_eq(bytes[64 + i] == 0x77, i % 16 < 4);
    ck_assert_int_eq(cuMemsetD32_v2(p + 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemsetD8_v2(p, 0, 257 + 512), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemsetD8_v2(0x4000, 0, 1), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemsetD2D8_v2(p, 2, 0, 4, 4), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

START_TEST(host_memory)
{
    CUdeviceptr d;
    uint32_t *p;
    unsigned flags;

    api_start();
    ck_cu(cuMemHostAlloc((void **)&p, 1000, CU_MEMHOSTALLOC_PORTABLE));
    ck_cu(cuMemHostGetDevicePointer_v2(&d, p + 1, 0));
    ck_assert_uint_eq(d, (uintptr_t)(p + 1));
    ck_cu(cuMemHostGetFlags(&flags, p));
    ck_assert_uint_eq(flags, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
    api_launch_set(d, 99, NULL);
    ck_cu(cuCtxSynchronize());
    ck_assert_uint_eq(p[1], 99);
    ck_cu(cuMemFreeHost(p));
    ck_assert_int_eq(cuMemFreeHost(p), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemHostGetDevicePointer_v2(&d, p, 0), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

START_TEST(registered_memory)
{
    char *area = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CUdeviceptr d;

    api_start();
    ck_cu(cuMemHostRegister_v2(area + 100, MIB, CU_MEMHOSTREGISTER_DEVICEMAP));
    ck_assert_int_eq(cuMemHostRegister_v2(area + MIB, MIB, 0),
                     CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    ck_cu(cuMemHostGetDevicePointer_v2(&d, area + 104, 0));
    ck_assert_uint_eq(d, (uintptr_t)area + 104);
    api_launch_set(d, 5, NULL);
    ck_cu(cuCtxSynchronize());
    ck_assert_int_eq(area[104], 5);
    ck_assert_int_eq(cuMemHostUnregister(area + 104), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    ck_cu(cuMemHostUnregister(area + 100));
    ck_assert_int_eq(cuMemHostUnregister(area + 100), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    munmap(area + 2 * MIB, MIB);
    ck_assert_int_eq(cuMemHostRegister_v2(area + MIB, 3 * MIB, 0), CUDA_ERROR_INVALID_VALUE);
    api_launch_set((uintptr_t)area, 5, NULL);
    ck_assert_int_eq(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}
END_TEST

/* Pinned memory goes with the context that made it, also while another context copies from it. */
START_TEST(host_memory_of_a_gone_context)
{
    CUdeviceptr flag, out, dst;
    CUcontext a, b;
    uint32_t *pinned;
    CUstream s;

    ck_cu(cuInit(0));
    ck_cu(cuCtxCreate_v2(&a, 0, 0));
    ck_cu(cuMemHostAlloc((void **)&pinned, 8 * MIB, CU_MEMHOSTALLOC_PORTABLE));
    ck_cu(cuCtxCreate_v2(&b, 0, 0));
    flag = api_alloc(4);
    out = api_alloc(4);
    dst = api_alloc(8 * MIB);
    ck_cu(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    api_launch_until(flag, out, 3, s);
    ck_cu(cuMemcpyHtoDAsync_v2(dst, pinned, 8 * MIB, s));
    ck_cu(cuCtxDestroy_v2(a));
    api_launch_set(flag, 1, NULL);
    ck_cu(cuStreamSynchronize(s));
    ck_assert_uint_eq(api_peek(out), 3);
    ck_assert_uint_eq(api_peek(dst), 0);
    ck_assert_int_eq(cuMemFreeHost(pinned), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

START_TEST(stream_ordered_allocation)
{
    CUdeviceptr flag, out, p, q;
    size_t before, after, total;
    CUmemoryPool pool;
    uint64_t used;
    CUstream s;

    api_start();
    flag = api_alloc(4);
    out = api_alloc(4);
    api_kernel("set");
    ck_cu(cuDeviceGetDefaultMemPool(&pool, 0));
    ck_cu(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    ck_cu(cuMemGetInfo_v2(&before, &total));
    api_launch_until(flag, out, 1, s);
    ck_cu(cuMemAllocAsync(&p, MIB, s));
    api_launch_set(p, 31, s);
    api_launch_copy(out, p, s);
    ck_cu(cuMemFreeAsync(p, s));
    ck_cu(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
    ck_assert_uint_eq(used, MIB);       /* the free has not been reached */
    api_launch_set(flag, 1, NULL);
    ck_cu(cuStreamSynchronize(s));
    ck_assert_uint_eq(api_peek(out), 31);
    ck_cu(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
    ck_assert_uint_eq(used, 0);
    ck_cu(cuMemGetInfo_v2(&after, &total));
    ck_assert_uint_eq(before, after);
    ck_assert_int_eq(cuMemFreeAsync(p, s), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuMemAllocAsync(&q, 100, s));
    ck_cu(cuMemFree_v2(q));
}
END_TEST

START_TEST(pools)
{
    CUmemPoolProps props;
    CUmemoryPool pool, current;
    CUmemAccess_flags access;
    CUdeviceptr p;
    uint64_t value = 123;

    api_start();
    memset(&props, 0, sizeof(props));
    props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    props.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    props.maxSize = MIB;
    ck_cu(cuMemPoolCreate(&pool, &props));
    ck_cu(cuDeviceSetMemPool(0, pool));
    ck_cu(cuDeviceGetMemPool(&current, 0));
    ck_assert_ptr_eq(current, pool);
    ck_cu(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &value));
    value = 0;
    ck_cu(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &value));
    ck_assert_uint_eq(value, 123);
    ck_assert_int_eq(cuMemAllocFromPoolAsync(&p, 2 * MIB, pool, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    ck_cu(cuMemAllocFromPoolAsync(&p, 4096, pool, NULL));
    ck_cu(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &value));
    ck_assert_uint_eq(value, 4096);
    ck_cu(cuMemPoolGetAccess(&access, pool, &props.location));
    ck_assert_int_eq(access, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    ck_cu(cuMemPoolTrimTo(pool, 0));
    ck_cu(cuMemPoolDestroy(pool));
    ck_cu(cuMemFreeAsync(p, NULL));
    ck_assert_int_eq(cuMemPoolTrimTo(pool, 0), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

START_TEST(pointer_attributes)
{
    CUpointer_attribute ask[] = { CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                  CU_POINTER_ATTRIBUTE_IS_MANAGED };
    unsigned type = 9, managed = 0;
    int device = 9, local = 0;
    void *answers[] = { &type, &device, &managed };
    CUdeviceptr p, base;
    CUcontext ctx = api_start(), of;
    size_t size;

    p = api_alloc(1000);
    ck_cu(cuPointerGetAttribute(&of, CU_POINTER_ATTRIBUTE_CONTEXT, p));
    ck_assert_ptr_eq(of, ctx);
    ck_cu(cuPointerGetAttribute(&base, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, p + 9));
    ck_assert_uint_eq(base, p);
    ck_cu(cuPointerGetAttribute(&size, CU_POINTER_ATTRIBUTE_RANGE_SIZE, p + 9));
    ck_assert_uint_eq(size, 1000);
    ck_assert_int_eq(cuPointerGetAttribute(&of, CU_POINTER_ATTRIBUTE_CONTEXT, (uintptr_t)&local),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuPointerGetAttribute(&of, CU_POINTER_ATTRIBUTE_HOST_POINTER, p),
                     CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuPointerGetAttributes(3, ask, answers, p));
    ck_assert_uint_eq(type, CU_MEMORYTYPE_DEVICE);
    ck_assert_int_eq(device, 0);
    ck_cu(cuPointerGetAttributes(3, ask, answers, (uintptr_t)&local));
    ck_assert_uint_eq(type, 0);
    ck_assert_int_eq(device, CU_DEVICE_INVALID);
    ck_cu(cuMemAllocManaged(&p, 100, CU_MEM_ATTACH_GLOBAL));
    ck_cu(cuPointerGetAttributes(3, ask, answers, p));
    ck_assert_uint_eq(managed, 1);
    *(volatile int *)(uintptr_t)p = 3;
    api_launch_add(p, NULL);
    ck_cu(cuCtxSynchronize());
    ck_assert_int_eq(*(volatile int *)(uintptr_t)p, 4);
}
END_TEST

/* Pages of freed memory go back to the system: the process does not stay as large as it was. */
START_TEST(freed_pages_are_returned)
{
    unsigned long pages = 0, resident_before, resident_after;
    CUdeviceptr p;
    FILE *f;

    api_start();
    ck_cu(cuMemAlloc_v2(&p, 128 * MIB));
    ck_cu(cuMemsetD8_v2(p, 1, 128 * MIB));
    f = fopen("/proc/self/statm", "r");
    ck_assert_int_eq(fscanf(f, "%lu %lu", &pages, &resident_before), 2);
    fclose(f);
    ck_cu(cuMemFree_v2(p));
    f = fopen("/proc/self/statm", "r");
    ck_assert_int_eq(fscanf(f, "%lu %lu", &pages, &resident_after), 2);
    fclose(f);
    ck_assert_uint_ge(resident_before, resident_after + 30000);
}
END_TEST

Suite *api_memory_suite(void)
{
    Suite *suite = suite_create("softgpu memory");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, alloc_and_free);
    tcase_add_test(tc, limit_and_fragmentation);
    tcase_add_test(tc, linear_copies);
    tcase_add_test(tc, pageable_source_is_taken_along);
    tcase_add_test(tc, copies_in_2d_and_3d);
    tcase_add_test(tc, fills);
    tcase_add_test(tc, host_memory);
    tcase_add_test(tc, registered_memory);
    tcase_add_test(tc, host_memory_of_a_gone_context);
    tcase_add_test(tc, stream_ordered_allocation);
    tcase_add_test(tc, pools);
    tcase_add_test(tc, pointer_attributes);
    tcase_add_test(tc, freed_pages_are_returned);
    suite_add_tcase(suite, tc);
    return suite;
}
