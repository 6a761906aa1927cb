/* SPDX-License-Identifier: MIT */
/*
 * An executor under the limits of its VM, with the test as the daemon: it owns the account,
 * and a second seat in it stands for another process of the VM. It says when there is room,
 * so nothing here depends on time.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/executor/cases.h"
#include "vg_atomic.h"

#define MIB   (1ull << 20)
#define OTHER 1u    /* seat */

static void ready(void)
{
    host_ready(&h);
    vg_account_sit(h.account, OTHER);
}

/* ---- BUSY ---- */

static void fill_queue(bool full)
{
    vg_store_release(&h.orders->terms.queue_depth, 4);
    vg_store_release(&h.account->seat[OTHER].queued, full ? 4 : 0);
}

static uint32_t await_busy(void)
{
    uint64_t end = now_ms() + TEST_WAIT_MS;
    uint32_t us;

    while (!(us = vg_load_acquire(&h.slot->busy_us)))
        ck_assert_msg(now_ms() < end, "no BUSY");
    return us;
}

static uint32_t nop(uint16_t cell)
{
    return guest_send(&h, VG_CALL_NOP, NULL, 0, NULL, 0, VG_F_REPLY, cell);
}

START_TEST(busy_says_which_and_when)
{
    ready();
    uint64_t calls = h.stats->calls;
    fill_queue(true);
    uint32_t first = nop(1), us = await_busy();
    ck_assert_uint_le(us, VG_BUSY_MAX_US);
    ck_assert_uint_eq(h.slot->busy_seq, first);
    ck_assert_uint_ge(h.slot->busy_count, 1);
    ck_assert_uint_ge(h.stats->busy, 1);
    ck_assert_uint_eq(h.stats->calls, calls);
    fill_queue(false);
    ck_assert(guest_done(&h, 1, first, TEST_WAIT_MS));
    ck_assert_uint_eq(h.stats->calls, calls + 1);
    ck_assert_uint_eq(vg_load_acquire(&h.slot->busy_us), 0);
    ck_assert_uint_gt(h.stats->busy_wait.sum, 0);
    stop_cleanly();
}
END_TEST

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

#define AT_ONCE_US 100u

/* Of a hundred the best, and tenfold: the rest tells of the machine. */
START_TEST(busy_is_said_at_once)
{
    uint64_t best = UINT64_MAX;

    ready();
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
        fill_queue(true);
        uint64_t from = now_us();
        uint32_t first = nop(1);
        await_busy();
        uint64_t took = now_us() - from;
        best = took < best ? took : best;
        fill_queue(false);
        ck_assert(guest_done(&h, 1, first, TEST_WAIT_MS));
    }
    ck_assert_uint_le(best, 10 * AT_ONCE_US);
    stop_cleanly();
}
END_TEST

/* Nothing overtakes the record that was refused, and nothing of its payload is lost. */
START_TEST(busy_keeps_the_order)
{
    static uint8_t payload[1000];
    struct vg_result res;

    ready();
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    CUdeviceptr p = res.val[0];
    uint64_t off = guest_extents(&h, 1);
    fill_queue(true);
    memset(payload, 0x5a, sizeof(payload));
    guest_send(&h, VG_CALL_COPY_INLINE, WORDS(p, 0), payload, sizeof(payload), 0, 0);
    await_busy();
    /* Each of these writes over a part of the one before. */
    POST(&h, VG_CALL_cuMemsetD8_v2, p, 0x11, 500);
    POST(&h, VG_CALL_cuMemsetD8_v2, p, 0x22, 100);
    uint32_t last = guest_send(&h, VG_CALL_COPY_OUT, WORDS(p, off, sizeof(payload), 0), NULL, 0,
                               VG_F_REPLY, 2);
    ck_assert(!guest_done(&h, 2, last, 20));
    fill_queue(false);
    ck_assert(guest_done(&h, 2, last, TEST_WAIT_MS));
    ck_assert_uint_eq(guest_at(&h, off)[99], 0x22);
    ck_assert_uint_eq(guest_at(&h, off)[100], 0x11);
    ck_assert_uint_eq(guest_at(&h, off)[499], 0x11);
    ck_assert_uint_eq(guest_at(&h, off)[500], 0x5a);
    ck_assert_uint_eq(guest_at(&h, off)[999], 0x5a);
    stop_cleanly();
}
END_TEST

/* It sleeps with a record in hand, and goes when it is told to. */
START_TEST(busy_ends_when_told)
{
    ready();
    fill_queue(true);
    nop(1);
    await_busy();
    stop_cleanly();
}
END_TEST

START_TEST(a_rate_only_delays)
{
    ready();
    uint64_t calls = h.stats->calls;
    h.orders->terms.burst = 5;
    vg_store_release(&h.orders->terms.rate, 2000);
    for (unsigned i = 0; i < 300; i++)
        ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    ck_assert_uint_eq(h.stats->calls, calls + 300);
    ck_assert_uint_ne(h.account->bucket, 0);
    stop_cleanly();
}
END_TEST

/* ---- Memory ---- */

static uint64_t held(void)
{
    return vg_load_acquire(&h.account->seat[0].held);
}

static void limit(uint64_t mib)
{
    vg_store_release(&h.orders->terms.memory, mib * MIB);
}

static void other_has(uint64_t mib)
{
    vg_account_settle(h.account, OTHER, mib * MIB);
}

START_TEST(memory_is_the_vms_not_the_processes)
{
    struct vg_result res;

    ready();
    limit(64);
    other_has(40);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 25 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_uint_eq(held(), 0);
    ck_assert_uint_eq(h.account->seat[0].asked, 0);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 20 * MIB), CUDA_SUCCESS);
    ck_assert_uint_eq(held(), 20 * MIB);
    ck_assert_uint_eq(h.stats->refused_memory, 1);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemFree_v2, res.val[0]), CUDA_SUCCESS);
    ck_assert_uint_eq(held(), 0);
    other_has(64);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 1), CUDA_ERROR_OUT_OF_MEMORY);
    limit(0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 1), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

static void *end_the_other(void *arg)
{
    (void)arg;
    usleep(50000);
    vg_account_leave(h.account, OTHER);
    return NULL;
}

/* What is being ended gives back in a moment, so that is waited for. */
START_TEST(memory_of_the_dying_is_awaited)
{
    pthread_t thread;

    ready();
    limit(64);
    other_has(64);
    vg_account_leaving(h.account, OTHER);
    ck_assert_int_eq(pthread_create(&thread, NULL, end_the_other, NULL), 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 60 * MIB), CUDA_SUCCESS);
    pthread_join(thread, NULL);
    stop_cleanly();
}
END_TEST

START_TEST(info_shows_the_limit)
{
    struct vg_result res;

    ready();
    limit(64);
    other_has(14);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 20 * MIB), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemGetInfo_v2, 1, 1), CUDA_SUCCESS);
    ck_assert_uint_eq(res.val[1], 64 * MIB);
    ck_assert_uint_eq(res.val[0], 30 * MIB);
    limit(16);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemGetInfo_v2, 1, 1), CUDA_SUCCESS);
    ck_assert_uint_eq(res.val[1], 16 * MIB);
    ck_assert_uint_eq(res.val[0], 0);
    stop_cleanly();
}
END_TEST

START_TEST(contexts_cost)
{
    struct vg_result res;

    host_init(&h);
    limit(64);
    h.orders->terms.context_bytes = 40 * MIB;
    ck_assert_msg(host_start(&h), "executor: %s", h.said.text);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuDevicePrimaryCtxRetain, 1, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(held(), 40 * MIB);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, res.val[0]), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxCreate_v2, 1, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 24 * MIB), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuDevicePrimaryCtxRelease_v2, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(held(), 0);
    limit(30);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuDevicePrimaryCtxRetain, 1, 0),
                     CUDA_ERROR_OUT_OF_MEMORY);
    stop_cleanly();
}
END_TEST

/* The heap of device code is memory of the GPU, and so is every thread's stack. */
START_TEST(limits_of_a_context_count)
{
    ready();
    limit(64);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxSetLimit, CU_LIMIT_MALLOC_HEAP_SIZE, 1000 * MIB),
                     CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxSetLimit, CU_LIMIT_MALLOC_HEAP_SIZE, 40 * MIB),
                     CUDA_SUCCESS);
    ck_assert_uint_gt(held(), 20 * MIB);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 45 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxSetLimit, CU_LIMIT_MALLOC_HEAP_SIZE, 8 * MIB),
                     CUDA_SUCCESS);
    ck_assert_uint_lt(held(), 20 * MIB);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 45 * MIB), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxSetLimit, CU_LIMIT_STACK_SIZE, 512 << 10),
                     CUDA_ERROR_OUT_OF_MEMORY);
    stop_cleanly();
}
END_TEST

START_TEST(memory_of_graphs_counts)
{
    struct vg_result res;

    ready();
    limit(64);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuStreamCreate, 1, 0), CUDA_SUCCESS);
    uint64_t stream = res.val[0];
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamBeginCapture_v2, stream, 2), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAllocAsync, 1, 40 * MIB, stream), CUDA_SUCCESS);
    ck_assert_uint_eq(held(), 40 * MIB);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAllocAsync, 1, 40 * MIB, stream),
                     CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuStreamEndCapture, stream, 1), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphDestroy, res.val[0]), CUDA_SUCCESS);
    ck_assert_uint_eq(held(), 0);
    stop_cleanly();
}
END_TEST

START_TEST(absurd_sizes)
{
    ready();
    limit(64);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, UINT64_MAX), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAllocPitch_v2, 1, 1, UINT64_MAX / 2, 4, 4),
                     CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_uint_eq(held(), 0);
    ck_assert_uint_eq(h.account->seat[0].asked, 0);
    stop_cleanly();
}
END_TEST

/* ---- Numbers of things ---- */

static uint64_t streams(void)
{
    return vg_load_acquire(&h.account->seat[0].things[VG_QUOTA_STREAMS]);
}

/* Another process of the VM has two of the five already. */
START_TEST(so_many_streams)
{
    struct vg_result res;

    ready();
    h.orders->terms.most[VG_QUOTA_STREAMS] = 5;
    vg_account_has(h.account, OTHER, VG_QUOTA_STREAMS, 2);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuStreamCreate, 1, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(streams(), 3);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamCreateWithPriority, 1, 0, 0),
                     CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_uint_eq(h.stats->refused_objects, 1);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamDestroy_v2, res.val[0]), CUDA_SUCCESS);
    ck_assert_uint_eq(streams(), 2);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamCreate, 1, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamCreate, 1, 0), CUDA_ERROR_OUT_OF_MEMORY);
    vg_account_has(h.account, OTHER, VG_QUOTA_STREAMS, 1);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamCreate, 1, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuEventCreate, 1, 0), CUDA_SUCCESS);
    /* One that the driver refuses leaves nothing claimed. */
    ck_assert_int_ne(ASK(&h, NULL, VG_CALL_cuEventCreate, 1, 0xffff), CUDA_SUCCESS);
    ck_assert_uint_eq(h.account->seat[0].things[VG_QUOTA_EVENTS], 1);
    stop_cleanly();
}
END_TEST

TCase *limit_cases(void)
{
    TCase *t = tcase_create("limits");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, busy_says_which_and_when);
    tcase_add_test(t, busy_is_said_at_once);
    tcase_add_test(t, busy_keeps_the_order);
    tcase_add_test(t, busy_ends_when_told);
    tcase_add_test(t, a_rate_only_delays);
    tcase_add_test(t, memory_is_the_vms_not_the_processes);
    tcase_add_test(t, memory_of_the_dying_is_awaited);
    tcase_add_test(t, info_shows_the_limit);
    tcase_add_test(t, contexts_cost);
    tcase_add_test(t, limits_of_a_context_count);
    tcase_add_test(t, memory_of_graphs_counts);
    tcase_add_test(t, absurd_sizes);
    tcase_add_test(t, so_many_streams);
    return t;
}
