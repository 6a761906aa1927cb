/* SPDX-License-Identifier: MIT */
/*
 * Devices, contexts, function lookup, error names.
 */
#include "api.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(nothing_before_init)
{
    CUcontext ctx;
    CUdeviceptr p;
    int n;

    ck_assert_int_eq(cuDeviceGetCount(&n), CUDA_ERROR_NOT_INITIALIZED);
    ck_assert_int_eq(cuCtxGetCurrent(&ctx), CUDA_ERROR_NOT_INITIALIZED);
    ck_assert_int_eq(cuMemAlloc_v2(&p, 1), CUDA_ERROR_NOT_INITIALIZED);
    ck_cu(cuDriverGetVersion(&n));
    ck_assert_int_eq(n, 13000);
    ck_assert_int_eq(cuInit(1), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

START_TEST(device_description)
{
    char name[64], id[32], small[4];
    int v, cores, n;
    size_t memory;
    CUuuid a, b;
    CUdevice d;

    setenv("VGPU_SOFT_CORES", "3", 1);
    setenv("VGPU_SOFT_DEVICES", "2", 1);
    setenv("VGPU_SOFT_MEMORY_MIB", "100", 1);
    ck_cu(cuInit(0));
    ck_cu(cuDeviceGetCount(&n));
    ck_assert_int_eq(n, 2);
    ck_cu(cuDeviceGetName(name, sizeof(name), 1));
    ck_assert_str_eq(name, "vGPU software device");
    ck_cu(cuDeviceGetName(small, sizeof(small), 0));
    ck_assert_str_eq(small, "vGP");
    ck_cu(cuDeviceTotalMem_v2(&memory, 0));
    ck_assert_uint_eq(memory, 100u << 20);
    ck_cu(cuDeviceGetAttribute(&cores, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
    ck_assert_int_eq(cores, 3);
    ck_cu(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
    ck_assert_int_eq(v, 8);
    ck_cu(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
    ck_assert_int_eq(v, 32);
    ck_assert_int_eq(cuDeviceGetAttribute(&v, 0, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 2),
                     CUDA_ERROR_INVALID_DEVICE);
    ck_cu(cuDeviceGetUuid_v2(&a, 0));
    ck_cu(cuDeviceGetUuid_v2(&b, 1));
    ck_assert_int_ne(memcmp(&a, &b, sizeof(a)), 0);
    ck_cu(cuDeviceGetPCIBusId(id, sizeof(id), 1));
    ck_cu(cuDeviceGetByPCIBusId(&d, id));
    ck_assert_int_eq(d, 1);
    ck_assert_int_eq(cuDeviceGetByPCIBusId(&d, "0000:01:00.0"), CUDA_ERROR_INVALID_DEVICE);
    ck_assert_int_eq(cuDeviceGetByPCIBusId(&d, "banana"), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuDeviceGetLuid(name, (unsigned *)&v, 0), CUDA_ERROR_NOT_SUPPORTED);
}
END_TEST

START_TEST(primary_context)
{
    CUcontext a, b, current;
    unsigned flags;
    int active;

    ck_cu(cuInit(0));
    ck_cu(cuDevicePrimaryCtxGetState(0, &flags, &active));
    ck_assert_int_eq(active, 0);
    ck_cu(cuCtxGetCurrent(&current));
    ck_assert_ptr_null(current);
    ck_assert_int_eq(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
    ck_cu(cuDevicePrimaryCtxRetain(&a, 0));
    ck_cu(cuDevicePrimaryCtxRetain(&b, 0));
    ck_assert_ptr_eq(a, b);
    ck_cu(cuCtxSetCurrent(a));
    ck_cu(cuCtxSynchronize());
    ck_cu(cuDevicePrimaryCtxRelease_v2(0));
    ck_cu(cuCtxSynchronize());
    ck_cu(cuDevicePrimaryCtxRelease_v2(0));
    ck_assert_int_eq(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    ck_assert_int_eq(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
    ck_cu(cuDevicePrimaryCtxRetain(&b, 0));
    ck_assert_ptr_eq(a, b);
    ck_cu(cuCtxSynchronize());
}
END_TEST

START_TEST(context_stack)
{
    CUcontext a, b, c;
    CUdevice dev;
    unsigned version;
    size_t limit;

    ck_cu(cuInit(0));
    ck_cu(cuCtxCreate_v2(&a, CU_CTX_SCHED_YIELD, 0));
    ck_cu(cuCtxCreate_v4(&b, NULL, 0, 0));
    ck_cu(cuCtxGetCurrent(&c));
    ck_assert_ptr_eq(c, b);
    ck_cu(cuCtxPopCurrent_v2(&c));
    ck_assert_ptr_eq(c, b);
    ck_cu(cuCtxGetFlags((unsigned *)&version));
    ck_assert_uint_eq(version, CU_CTX_SCHED_YIELD);
    ck_cu(cuCtxPushCurrent_v2(b));
    ck_cu(cuCtxGetDevice(&dev));
    ck_assert_int_eq(dev, 0);
    ck_cu(cuCtxGetApiVersion(b, &version));
    ck_assert_uint_eq(version, 3020);
    ck_cu(cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, 1 << 20));
    ck_cu(cuCtxGetLimit(&limit, CU_LIMIT_MALLOC_HEAP_SIZE));
    ck_assert_uint_eq(limit, 1 << 20);
    ck_cu(cuCtxGetLimit(&limit, CU_LIMIT_CIG_ENABLED));     /* cuBLAS gives up without */
    ck_assert_uint_eq(limit, 0);
    ck_assert_int_eq(cuCtxGetLimit(&limit, CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH),
                     CUDA_ERROR_UNSUPPORTED_LIMIT);
    ck_assert_int_eq(cuCtxGetLimit(&limit, CU_LIMIT_MAX), CUDA_ERROR_INVALID_VALUE);
    ck_cu(cuCtxDestroy_v2(a));          /* not current: b stays on top */
    ck_cu(cuCtxSynchronize());
    ck_cu(cuCtxDestroy_v2(b));
    ck_assert_int_eq(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    ck_assert_int_eq(cuCtxDestroy_v2(b), CUDA_ERROR_INVALID_CONTEXT);
    ck_assert_int_eq(cuCtxSetCurrent((CUcontext)(uintptr_t)0x1230), CUDA_ERROR_INVALID_CONTEXT);
}
END_TEST

/* What a context owned is gone with it. */
START_TEST(context_owns_its_memory)
{
    size_t before, after, total;
    CUcontext a, b;
    CUdeviceptr p;
    CUstream s;
    CUmodule m;

    ck_cu(cuInit(0));
    ck_cu(cuCtxCreate_v2(&a, 0, 0));
    ck_cu(cuMemGetInfo_v2(&before, &total));
    ck_cu(cuCtxCreate_v2(&b, 0, 0));
    ck_cu(cuMemAlloc_v2(&p, 10 << 20));
    ck_cu(cuModuleLoadData(&m, api_ptx));
    ck_cu(cuStreamCreate(&s, 0));
    ck_cu(cuCtxDestroy_v2(b));
    ck_cu(cuCtxSetCurrent(a));
    ck_cu(cuMemGetInfo_v2(&after, &total));
    ck_assert_uint_eq(before, after);
    ck_assert_int_eq(cuMemcpyHtoD_v2(p, &a, 4), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuStreamQuery(s), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(cuModuleUnload(m), CUDA_ERROR_INVALID_HANDLE);
}
END_TEST

START_TEST(peers_copy)
{
    CUdeviceptr p, q;
    CUcontext a, b;
    uint32_t v = 8;
    int can;

    setenv("VGPU_SOFT_DEVICES", "2", 1);
    ck_cu(cuInit(0));
    ck_cu(cuDeviceCanAccessPeer(&can, 0, 1));
    ck_assert_int_eq(can, 1);
    ck_cu(cuCtxCreate_v2(&a, 0, 0));
    ck_cu(cuMemAlloc_v2(&p, 4));
    ck_cu(cuMemcpyHtoD_v2(p, &v, 4));
    ck_cu(cuCtxCreate_v2(&b, 0, 1));
    ck_cu(cuMemAlloc_v2(&q, 4));
    ck_cu(cuMemcpyPeer(q, b, p, a, 4));
    v = 0;
    ck_cu(cuMemcpyDtoH_v2(&v, q, 4));
    ck_assert_uint_eq(v, 8);
    ck_cu(cuPointerGetAttribute(&can, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, q));
    ck_assert_int_eq(can, 1);
}
END_TEST

START_TEST(proc_addresses)
{
    CUdriverProcAddressQueryResult status;
    CUresult (*version)(int *);
    void *fn, *ptsz;
    int v;

    ck_cu(cuGetProcAddress_v2("cuDriverGetVersion", (void **)&version, 13000, 0, &status));
    ck_assert_int_eq(status, CU_GET_PROC_ADDRESS_SUCCESS);
    ck_cu(version(&v));
    ck_cu(cuGetProcAddress_v2("cuMemAlloc", &fn, 12000, 0, NULL));
    ck_assert_ptr_eq(fn, (void *)(uintptr_t)cuMemAlloc_v2);
    ck_cu(cuGetProcAddress_v2("cuLaunchKernel", &fn, 12000, 0, NULL));
    ck_cu(cuGetProcAddress_v2("cuLaunchKernel", &ptsz, 12000, 2, NULL));
    ck_assert_ptr_eq(ptsz, (void *)(uintptr_t)cuLaunchKernel_ptsz);
    ck_assert_ptr_ne(fn, ptsz);
    ck_cu(cuGetProcAddress_v2("cuNoSuchThing", &fn, 12000, 0, &status));
    ck_assert_ptr_null(fn);
    ck_assert_int_eq(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
    ck_cu(cuGetProcAddress_v2("cuLibraryLoadData", &fn, 11000, 0, &status));
    ck_assert_int_eq(status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
    ck_assert_int_eq(cuGetProcAddress("cuNoSuchThing", &fn, 12000, 0), CUDA_ERROR_NOT_FOUND);
    ck_assert_int_eq(cuGetProcAddress_v2("cuInit", &fn, 14000, 0, NULL),
                     CUDA_ERROR_INVALID_VALUE);
}
END_TEST

START_TEST(error_names)
{
    const char *s;

    ck_cu(cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &s));
    ck_assert_str_eq(s, "CUDA_ERROR_ILLEGAL_ADDRESS");
    ck_cu(cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &s));
    ck_assert_str_eq(s, "out of memory");
    ck_assert_int_eq(cuGetErrorName(12345, &s), CUDA_ERROR_INVALID_VALUE);
    ck_assert_ptr_null(s);
}
END_TEST

/* A child is told to exec first; the parent goes on. */
START_TEST(fork_leaves_the_parent_alone)
{
    CUdeviceptr p;
    int status;
    pid_t pid;

    api_start();
    p = api_alloc(4);
    api_launch_add(p, NULL);
    ck_cu(cuCtxSynchronize());
    pid = fork();
    if (pid == 0)
        _exit(cuCtxSynchronize() == CUDA_ERROR_NOT_INITIALIZED &&
              cuMemFree_v2(p) == CUDA_ERROR_NOT_INITIALIZED ? 0 : 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    api_launch_add(p, NULL);
    ck_assert_uint_eq(api_peek(p), 2);
}
END_TEST

Suite *api_device_suite(void)
{
    Suite *suite = suite_create("softgpu devices");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, nothing_before_init);
    tcase_add_test(tc, device_description);
    tcase_add_test(tc, primary_context);
    tcase_add_test(tc, context_stack);
    tcase_add_test(tc, context_owns_its_memory);
    tcase_add_test(tc, peers_copy);
    tcase_add_test(tc, proc_addresses);
    tcase_add_test(tc, error_names);
    tcase_add_test(tc, fork_leaves_the_parent_alone);
    suite_add_tcase(suite, tc);
    return suite;
}
