/* SPDX-License-Identifier: MIT */
/*
 * What a kernel does wrong: the status, that it sticks to the context, and that nothing else breaks.
 */
#include "api.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static CUresult run(const char *name, void **params)
{
    CUresult rc = cuLaunchKernel(api_kernel(name), 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL);

    return rc != CUDA_SUCCESS ? rc : cuCtxSynchronize();
}

/* The fault comes back from every call, until the context is made anew. */
static void expect_sticky(CUresult fault)
{
    CUdeviceptr p;
    CUcontext ctx;
    CUstream s;

    ck_assert_int_eq(cuCtxSynchronize(), fault);
    ck_assert_int_eq(cuMemAlloc_v2(&p, 4), fault);
    ck_assert_int_eq(cuStreamCreate(&s, 0), fault);
    ck_assert_int_eq(cuStreamQuery(NULL), fault);
    ck_assert_int_eq(cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), fault);
    ck_cu(cuCtxGetCurrent(&ctx));
    ck_cu(cuDevicePrimaryCtxReset_v2(0));
    ck_cu(cuDevicePrimaryCtxRetain(&ctx, 0));
    ck_cu(cuCtxSynchronize());
    ck_cu(cuMemAlloc_v2(&p, 4));
}

START_TEST(wild_store)
{
    CUdeviceptr wild[] = { 0, 0x10, 0x7fffffffe000ull, 0xffffffffffff0000ull };
    void *params[] = { &wild[_i] };

    api_start();
    ck_assert_int_eq(run("store", params), CUDA_ERROR_ILLEGAL_ADDRESS);
    expect_sticky(CUDA_ERROR_ILLEGAL_ADDRESS);
}
END_TEST

START_TEST(use_after_free)
{
    CUdeviceptr p;
    void *params[] = { &p };

    api_start();
    api_kernel("store");                /* its variables must not take the place of p */
    p = api_alloc(64 << 10);
    ck_cu(cuMemFree_v2(p));
    ck_assert_int_eq(run("store", params), CUDA_ERROR_ILLEGAL_ADDRESS);
}
END_TEST

START_TEST(misaligned_store)
{
    CUdeviceptr p;
    void *params[] = { &p };

    api_start();
    p = api_alloc(64) + 2;
    ck_assert_int_eq(run("store", params), CUDA_ERROR_MISALIGNED_ADDRESS);
    expect_sticky(CUDA_ERROR_MISALIGNED_ADDRESS);
}
END_TEST

START_TEST(trap)
{
    api_start();
    ck_assert_int_eq(run("trapped", NULL), CUDA_ERROR_LAUNCH_FAILED);
    expect_sticky(CUDA_ERROR_LAUNCH_FAILED);
}
END_TEST

/* Runs fn with the stream fd redirected; what was written lands in text. */
static void capture_fd(int fd, void (*fn)(void), char *text, size_t size)
{
    FILE *file = tmpfile();
    int old = dup(fd);
    size_t n;

    fflush(NULL);
    dup2(fileno(file), fd);
    fn();
    fflush(NULL);
    dup2(old, fd);
    close(old);
    rewind(file);
    n = fread(text, 1, size - 1, file);
    text[n] = '\0';
    fclose(file);
}

static void do_assert(void)
{
    ck_assert_int_eq(run("asserted", NULL), CUDA_ERROR_ASSERT);
}

START_TEST(device_assert)
{
    char text[512];

    api_start();
    capture_fd(STDOUT_FILENO, do_assert, text, sizeof(text));
    ck_assert_str_eq(text, "a.cu:9: f: block: [0,0,0], thread: [0,0,0] Assertion `x > 0` "
                           "failed.\n");
    expect_sticky(CUDA_ERROR_ASSERT);
}
END_TEST

static void do_print(void)
{
    uint32_t v = 41;
    void *params[] = { &v };

    ck_cu(run("printed", params));
}

START_TEST(device_printf)
{
    char text[64];

    api_start();
    capture_fd(STDOUT_FILENO, do_print, text, sizeof(text));
    ck_assert_str_eq(text, "hi 41\n");
}
END_TEST

/* Work queued behind a fault does not run; a callback is told, a host function is not called. */
static void count_call(void *data)
{
    ++*(int *)data;
}

static void take_status(CUstream stream, CUresult status, void *data)
{
    (void)stream;
    *(CUresult *)data = status;
}

START_TEST(work_behind_a_fault)
{
    CUdeviceptr flag, out, wild = 0x10;
    void *params[] = { &wild };
    CUresult told = CUDA_SUCCESS;
    int calls = 0;
    CUstream s;
    CUevent e;

    api_start();
    flag = api_alloc(4);
    out = api_alloc(4);
    ck_cu(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    ck_cu(cuEventCreate(&e, 0));
    api_launch_until(flag, out, 1, s);
    ck_cu(cuLaunchKernel(api_kernel("store"), 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
    ck_cu(cuLaunchHostFunc(s, count_call, &calls));
    ck_cu(cuStreamAddCallback(s, take_status, &told, 0));
    ck_cu(cuEventRecord(e, s));
    api_launch_set(flag, 1, NULL);
    ck_assert_int_eq(cuEventSynchronize(e), CUDA_ERROR_ILLEGAL_ADDRESS);
    ck_assert_int_eq(cuStreamSynchronize(s), CUDA_ERROR_ILLEGAL_ADDRESS);
    ck_assert_int_eq(calls, 0);
    ck_assert_int_eq(told, CUDA_ERROR_ILLEGAL_ADDRESS);
}
END_TEST

/* A fault stays in its context. */
START_TEST(other_context_carries_on)
{
    CUdeviceptr wild = 0x10, p;
    void *params[] = { &wild };
    CUcontext a, b;

    ck_cu(cuInit(0));
    ck_cu(cuCtxCreate_v2(&a, 0, 0));
    ck_assert_int_eq(run("store", params), CUDA_ERROR_ILLEGAL_ADDRESS);
    ck_cu(cuCtxCreate_v2(&b, 0, 0));
    ck_cu(cuMemAlloc_v2(&p, 4));
    ck_cu(cuMemsetD8_v2(p, 0, 4));
    ck_cu(cuCtxSynchronize());
    ck_cu(cuCtxSetCurrent(a));
    ck_assert_int_eq(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}
END_TEST

START_TEST(endless_kernel_ends_with_its_context)
{
    double start;
    CUcontext ctx;

    ck_cu(cuInit(0));
    ck_cu(cuCtxCreate_v2(&ctx, 0, 0));
    ck_cu(cuLaunchKernel(api_kernel("endless"), 4, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL));
    usleep(20000);
    ck_assert_int_eq(cuStreamQuery(NULL), CUDA_ERROR_NOT_READY);
    start = api_now();
    ck_cu(cuCtxDestroy_v2(ctx));
    ck_assert(api_now() - start < 5.0);
}
END_TEST

/* Somebody who waits for an endless kernel is released when the context goes. */
static void *wait_for_all(void *ctx)
{
    ck_cu(cuCtxSetCurrent(ctx));
    return (void *)(uintptr_t)cuCtxSynchronize();
}

START_TEST(waiter_is_released_by_reset)
{
    CUcontext ctx = api_start();
    pthread_t id;
    void *rc;

    ck_cu(cuLaunchKernel(api_kernel("endless"), 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL));
    ck_assert_int_eq(pthread_create(&id, NULL, wait_for_all, ctx), 0);
    usleep(50000);
    ck_cu(cuDevicePrimaryCtxReset_v2(0));
    pthread_join(id, &rc);
    ck_assert_int_ne((uintptr_t)rc, CUDA_SUCCESS);
}
END_TEST

START_TEST(exit_does_not_wait_for_endless_kernel)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        api_start();
        ck_cu(cuLaunchKernel(api_kernel("endless"), 8, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL));
        usleep(20000);
        exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* A memory wait that is never met does not keep a context from ending. */
START_TEST(endless_wait_ends_with_its_context)
{
    CUdeviceptr p;
    CUcontext ctx;

    ck_cu(cuInit(0));
    ck_cu(cuCtxCreate_v2(&ctx, 0, 0));
    p = api_alloc(4);
    ck_cu(cuStreamWaitValue32_v2(NULL, p, 1, CU_STREAM_WAIT_VALUE_EQ));
    ck_cu(cuCtxDestroy_v2(ctx));
}
END_TEST

Suite *api_fault_suite(void)
{
    Suite *suite = suite_create("softgpu faults");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, wild_store, 0, 4);
    tcase_add_test(tc, use_after_free);
    tcase_add_test(tc, misaligned_store);
    tcase_add_test(tc, trap);
    tcase_add_test(tc, device_assert);
    tcase_add_test(tc, device_printf);
    tcase_add_test(tc, work_behind_a_fault);
    tcase_add_test(tc, other_context_carries_on);
    tcase_add_test(tc, endless_kernel_ends_with_its_context);
    tcase_add_test(tc, waiter_is_released_by_reset);
    tcase_add_test(tc, exit_does_not_wait_for_endless_kernel);
    tcase_add_test(tc, endless_wait_ends_with_its_context);
    suite_add_tcase(suite, tc);
    return suite;
}
