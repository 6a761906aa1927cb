/* SPDX-License-Identifier: MIT */
/*
 * Order: within streams, across events, between the null stream and others; host functions, memory
 * operations, threads.
 */
#include "api.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* A stream keeps the order of its launches. */
START_TEST(stream_is_in_order)
{
    CUdeviceptr p;
    CUstream s;
    int i;

    api_start();
    p = api_alloc(4);
    ck_cu(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    for (i = 0; i < 500; i++)
        api_launch_add(p, s);
    ck_cu(cuStreamSynchronize(s));
    ck_assert_uint_eq(api_peek(p), 500);
    ck_cu(cuStreamDestroy_v2(s));
    ck_assert_int_eq(cuStreamQuery(s), CUDA_ERROR_INVALID_HANDLE);
}
END_TEST

/* A kernel that waits for a flag does not keep another stream from setting it. */
START_TEST(streams_run_beside_each_other)
{
    CUdeviceptr flag, out;
    CUstream a, b;

    api_start();
    flag = api_alloc(4);
    out = api_alloc(4);
    ck_cu(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    api_launch_until(flag, out, 5, a);
    usleep(2000);
    ck_assert_int_eq(cuStreamQuery(a), CUDA_ERROR_NOT_READY);
    api_launch_set(flag, 1, b);
    ck_cu(cuStreamSynchronize(a));
    ck_assert_uint_eq(api_peek(out), 5);
}
END_TEST

START_TEST(event_orders_streams)
{
    CUdeviceptr p, q;
    CUstream a, b;
    CUevent e;
    int i;

    api_start();
    p = api_alloc(4);
    q = api_alloc(4);
    ck_cu(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    ck_cu(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
    for (i = 1; i <= 20; i++) {
        api_launch_slow(p, (uint32_t)i, 20000, a);
        ck_cu(cuEventRecord(e, a));
        ck_cu(cuStreamWaitEvent(b, e, 0));
        api_launch_copy(q, p, b);
        ck_cu(cuStreamSynchronize(b));
        ck_assert_uint_eq(api_peek(q), (uint32_t)i);
    }
}
END_TEST

/* The null stream comes after blocking streams and before what they get later. */
START_TEST(null_stream_is_a_barrier)
{
    CUdeviceptr p, q, r;
    CUstream a, b;

    api_start();
    p = api_alloc(4);
    q = api_alloc(4);
    r = api_alloc(4);
    ck_cu(cuStreamCreate(&a, CU_STREAM_DEFAULT));
    ck_cu(cuStreamCreate(&b, CU_STREAM_DEFAULT));
    api_launch_slow(p, 1, 200000, a);
    api_launch_copy(q, p, NULL);
    api_launch_copy(r, q, b);
    ck_cu(cuStreamSynchronize(b));
    ck_assert_uint_eq(api_peek(q), 1);
    ck_assert_uint_eq(api_peek(r), 1);
}
END_TEST

START_TEST(null_stream_ignores_non_blocking)
{
    CUdeviceptr flag, out;
    CUstream a;

    api_start();
    flag = api_alloc(4);
    out = api_alloc(4);
    ck_cu(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    api_launch_until(flag, out, 9, a);
    api_launch_set(flag, 1, NULL);      /* would never start if it waited for a */
    ck_cu(cuCtxSynchronize());
    ck_assert_uint_eq(api_peek(out), 9);
}
END_TEST

START_TEST(event_states_and_times)
{
    CUdeviceptr flag, out;
    CUevent a, b, untimed;
    CUstream s;
    float ms = -1;

    api_start();
    flag = api_alloc(4);
    out = api_alloc(4);
    ck_cu(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    ck_cu(cuEventCreate(&a, 0));
    ck_cu(cuEventCreate(&b, 0));
    ck_cu(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
    ck_cu(cuEventQuery(a));
    ck_assert_int_eq(cuEventElapsedTime_v2(&ms, a, b), CUDA_ERROR_INVALID_HANDLE);
    ck_cu(cuEventRecord(a, s));
    api_launch_until(flag, out, 1, s);
    ck_cu(cuEventRecord(b, s));
    usleep(20000);
    ck_assert_int_eq(cuEventQuery(b), CUDA_ERROR_NOT_READY);
    ck_assert_int_eq(cuEventElapsedTime_v2(&ms, a, b), CUDA_ERROR_NOT_READY);
    api_launch_set(flag, 1, NULL);
    ck_cu(cuEventSynchronize(b));
    ck_cu(cuEventElapsedTime_v2(&ms, a, b));
    ck_assert(ms >= 19.0f && ms < 5000.0f);
    ck_cu(cuEventRecord(untimed, s));
    ck_assert_int_eq(cuEventElapsedTime_v2(&ms, a, untimed), CUDA_ERROR_INVALID_HANDLE);
    ck_cu(cuEventDestroy_v2(a));
    ck_assert_int_eq(cuEventQuery(a), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(cuEventCreate(&a, 0x80), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

/* An event of a whole context: after all its streams, and all its streams after one. */
START_TEST(context_events)
{
    CUdeviceptr flag, p, q;
    CUstream a, b;
    CUevent all, gate;

    api_start();
    flag = api_alloc(4);
    p = api_alloc(4);
    q = api_alloc(4);
    ck_cu(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    ck_cu(cuEventCreate(&all, 0));
    ck_cu(cuEventCreate(&gate, 0));
    api_launch_until(flag, p, 4, a);
    ck_cu(cuCtxRecordEvent(NULL, all));
    ck_assert_int_eq(cuEventQuery(all), CUDA_ERROR_NOT_READY);
    ck_cu(cuEventRecord(gate, a));
    ck_cu(cuCtxWaitEvent(NULL, gate));
    api_launch_copy(q, p, b);
    ck_assert_int_eq(cuStreamQuery(b), CUDA_ERROR_NOT_READY);
    *(volatile uint32_t *)(uintptr_t)flag = 1;  /* the device's memory is the process's here */
    ck_cu(cuEventSynchronize(all));
    ck_cu(cuStreamSynchronize(b));
    ck_assert_uint_eq(api_peek(q), 4);
}
END_TEST

struct calls {
    int order[8];
    int n;
    CUresult status;
};

static void note_call(void *data)
{
    struct calls *c = data;

    c->order[c->n++] = 1;
}

static void note_status(CUstream stream, CUresult status, void *data)
{
    struct calls *c = data;

    (void)stream;
    c->order[c->n++] = 2;
    c->status = status;
}

START_TEST(host_functions_run_in_order)
{
    struct calls calls = { { 0 }, 0, CUDA_ERROR_UNKNOWN };
    CUdeviceptr p;
    CUstream s;

    api_start();
    p = api_alloc(4);
    ck_cu(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    api_launch_slow(p, 1, 100000, s);
    ck_cu(cuLaunchHostFunc(s, note_call, &calls));
    ck_cu(cuStreamAddCallback(s, note_status, &calls, 0));
    api_launch_add(p, s);
    ck_cu(cuStreamSynchronize(s));
    ck_assert_int_eq(calls.n, 2);
    ck_assert_int_eq(calls.order[0], 1);
    ck_assert_int_eq(calls.order[1], 2);
    ck_assert_int_eq(calls.status, CUDA_SUCCESS);
    ck_assert_uint_eq(api_peek(p), 2);
}
END_TEST

START_TEST(memory_operations)
{
    CUstreamBatchMemOpParams batch[2];
    CUdeviceptr p;
    uint32_t *host;
    CUstream a, b;

    api_start();
    p = api_alloc(64);
    ck_cu(cuMemHostAlloc((void **)&host, 64, 0));
    memset(host, 0, 64);
    ck_cu(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
    ck_cu(cuStreamWaitValue32_v2(a, p, 3, CU_STREAM_WAIT_VALUE_GEQ));
    ck_cu(cuStreamWriteValue32_v2(a, (CUdeviceptr)(uintptr_t)host, 77, 0));
    usleep(5000);
    ck_assert_uint_eq(*(volatile uint32_t *)host, 0);
    ck_cu(cuStreamWriteValue32_v2(b, p, 4, 0));
    ck_cu(cuStreamSynchronize(a));
    ck_assert_uint_eq(host[0], 77);
    memset(batch, 0, sizeof(batch));
    batch[0].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_64;
    batch[0].writeValue.address = p + 8;
    batch[0].writeValue.value64 = 0x100000002ull;
    batch[1].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_64;
    batch[1].waitValue.address = p + 8;
    batch[1].waitValue.value64 = 0x100000000ull;
    batch[1].waitValue.flags = CU_STREAM_WAIT_VALUE_AND;
    ck_cu(cuStreamBatchMemOp_v2(a, 2, batch, 0));
    ck_cu(cuStreamSynchronize(a));
    ck_assert_uint_eq(api_peek(p + 12), 1);
    ck_assert_int_eq(cuStreamWriteValue32_v2(a, p + 2, 1, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuStreamWriteValue32_v2(a, 64, 1, 0), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

#define THREADS 8

static void *thread_work(void *ctx)
{
    CUdeviceptr p;
    CUstream s;
    int i;

    ck_cu(cuCtxSetCurrent(ctx));
    ck_cu(cuMemAlloc_v2(&p, 4));
    ck_cu(cuMemsetD8Async_ptsz(p, 0, 4, NULL));
    for (i = 0; i < 100; i++)
        api_launch_add(p, CU_STREAM_PER_THREAD);
    ck_cu(cuStreamSynchronize(CU_STREAM_PER_THREAD));
    ck_assert_uint_eq(api_peek(p), 100);
    ck_cu(cuStreamCreate(&s, 0));
    for (i = 0; i < 100; i++)
        api_launch_add(p, s);
    ck_cu(cuStreamSynchronize(s));
    ck_assert_uint_eq(api_peek(p), 200);
    ck_cu(cuMemFree_v2(p));
    return NULL;
}

START_TEST(threads)
{
    CUcontext ctx = api_start();
    pthread_t id[THREADS];
    int i;

    api_kernel("addone");
    for (i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&id[i], NULL, thread_work, ctx), 0);
    for (i = 0; i < THREADS; i++)
        pthread_join(id[i], NULL);
}
END_TEST

START_TEST(stream_properties)
{
    int least, greatest, priority;
    unsigned long long id_a, id_b;
    unsigned flags;
    CUcontext ctx = api_start(), of_stream;
    CUstream a, b;

    ck_cu(cuCtxGetStreamPriorityRange(&least, &greatest));
    ck_assert_int_lt(greatest, least);
    ck_cu(cuStreamCreateWithPriority(&a, CU_STREAM_NON_BLOCKING, greatest - 7));
    ck_cu(cuStreamCreate(&b, 0));
    ck_cu(cuStreamGetPriority(a, &priority));
    ck_assert_int_eq(priority, greatest);
    ck_cu(cuStreamGetFlags(a, &flags));
    ck_assert_uint_eq(flags, CU_STREAM_NON_BLOCKING);
    ck_cu(cuStreamGetId(a, &id_a));
    ck_cu(cuStreamGetId(b, &id_b));
    ck_assert_uint_ne(id_a, id_b);
    ck_cu(cuStreamGetCtx(a, &of_stream));
    ck_assert_ptr_eq(of_stream, ctx);
    ck_assert_int_eq(cuStreamCreate(&a, 2), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuStreamQuery((CUstream)(uintptr_t)0x12345670), CUDA_ERROR_INVALID_HANDLE);
}
END_TEST

/* Work of a destroyed stream still happens, and the null stream still waits for it. */
START_TEST(destroyed_stream_finishes)
{
    CUdeviceptr p, q;
    CUstream s;

    api_start();
    p = api_alloc(4);
    q = api_alloc(4);
    ck_cu(cuStreamCreate(&s, 0));
    api_launch_slow(p, 3, 200000, s);
    ck_cu(cuStreamDestroy_v2(s));
    api_launch_copy(q, p, NULL);
    ck_cu(cuCtxSynchronize());
    ck_assert_uint_eq(api_peek(q), 3);
}
END_TEST

Suite *api_stream_suite(void)
{
    Suite *suite = suite_create("softgpu streams");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, stream_is_in_order);
    tcase_add_test(tc, streams_run_beside_each_other);
    tcase_add_test(tc, event_orders_streams);
    tcase_add_test(tc, null_stream_is_a_barrier);
    tcase_add_test(tc, null_stream_ignores_non_blocking);
    tcase_add_test(tc, event_states_and_times);
    tcase_add_test(tc, context_events);
    tcase_add_test(tc, host_functions_run_in_order);
    tcase_add_test(tc, memory_operations);
    tcase_add_test(tc, threads);
    tcase_add_test(tc, stream_properties);
    tcase_add_test(tc, destroyed_stream_finishes);
    suite_add_tcase(suite, tc);
    return suite;
}
