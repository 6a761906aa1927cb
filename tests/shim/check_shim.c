/* SPDX-License-Identifier: MIT */
/*
 * The shim's core against a fake host: attaching, calls from many threads, latched
 * and sticky errors, loss of the executor, fork; check_shim_api.c has what it answers
 * itself. Each test runs in a process of its own, so that the shim's state is fresh.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest-shim/busy.h"
#include "guest-shim/call.h"
#include "guest-shim/state.h"
#include "tests/protocol/vg_test.h"
#include "tests/shim/check_shim.h"
#include "tests/shim/fake_host.h"
#include "vg_api.h"
#include "vg_atomic.h"

struct fake_host *host;
static char path[64];

static void setup(void)
{
    snprintf(path, sizeof(path), "/tmp/vg-shim-%d.sock", (int)getpid());
    setenv("VGPU_SOCKET", path, 1);
    setenv("VGPU_TRANSPORT", "unix", 1);
    vg_log_level = 0;
    host = fake_host_start(path);
}

static void setup_running(void)
{
    setup();
    ck_assert_int_eq(cuInit(0), CUDA_SUCCESS);
}

static void teardown(void)
{
    fake_host_stop(host);
    unlink(path);
}

CUcontext retain(void)
{
    CUcontext ctx = NULL;

    ck_assert_int_eq(cuDevicePrimaryCtxRetain(&ctx, 0), CUDA_SUCCESS);
    ck_assert_int_eq(cuCtxSetCurrent(ctx), CUDA_SUCCESS);
    return ctx;
}

START_TEST(before_init_calls_fail_and_init_is_retried)
{
    int n;

    ck_assert_int_eq(cuDeviceGetCount(&n), CUDA_ERROR_NOT_INITIALIZED);
    setenv("VGPU_SOCKET", "/nonexistent/socket", 1);
    ck_assert_int_eq(cuInit(0), CUDA_ERROR_SYSTEM_NOT_READY);
    setenv("VGPU_SOCKET", path, 1);
    ck_assert_int_eq(cuInit(0), CUDA_SUCCESS);
    ck_assert_int_eq(cuDeviceGetCount(&n), CUDA_SUCCESS);
    ck_assert_int_eq(n, 1);
}
END_TEST

START_TEST(devices_are_described_by_the_snapshot)
{
    char name[32], bus[32];
    CUdevice dev = -1;
    int value;

    ck_assert_int_eq(cuDeviceGetName(name, sizeof(name), 0), CUDA_SUCCESS);
    ck_assert_str_eq(name, "fake GPU");
    ck_assert_int_eq(cuDeviceGetName(name, 5, 0), CUDA_SUCCESS);
    ck_assert_str_eq(name, "fake");
    ck_assert_int_eq(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0), CUDA_SUCCESS);
    ck_assert_int_eq(value, 32);
    ck_assert_int_eq(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, 0),
                     CUDA_SUCCESS);
    ck_assert_int_eq(value, 0);     /* the host's GPU could, across the border it cannot */
    ck_assert_int_eq(cuDeviceGetAttribute(&value, (CUdevice_attribute)9999, 0),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 1),
                     CUDA_ERROR_INVALID_DEVICE);
    ck_assert_int_eq(cuDeviceGetPCIBusId(bus, sizeof(bus), 0), CUDA_SUCCESS);
    ck_assert_int_eq(cuDeviceGetByPCIBusId(&dev, bus), CUDA_SUCCESS);
    ck_assert_int_eq(dev, 0);
    ck_assert_int_eq(cuDeviceGetByPCIBusId(&dev, "17:00.0"), CUDA_SUCCESS);
    ck_assert_int_eq(cuDeviceGetByPCIBusId(&dev, "18:00.0"), CUDA_ERROR_INVALID_DEVICE);
    ck_assert_int_eq(cuDeviceGetByPCIBusId(&dev, "seventeen"), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

static void *call_many(void *arg)
{
    uint64_t me = (uintptr_t)arg;
    struct vg_reply reply;

    for (uint64_t i = 0; i < 300; i++) {
        if (vg_call_reply(VG_CALL_NOP, VG_WORDS(me * 1000 + i), &reply) != CUDA_SUCCESS ||
            reply.val[0] != me * 1000 + i)
            return (void *)1;
        if (vg_call_post(VG_CALL_NOP, VG_WORDS(0)) != CUDA_SUCCESS)
            return (void *)1;
    }
    return NULL;
}

START_TEST(answers_reach_the_thread_that_asked)
{
    enum { THREADS = 24 };
    pthread_t thread[THREADS];
    uint64_t before = fake_host_records(host);
    void *failed;

    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, call_many, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(thread[i], &failed);
        ck_assert_ptr_null(failed);
    }
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(0), NULL), CUDA_SUCCESS);
    ck_assert_uint_eq(fake_host_records(host) - before, THREADS * 600 + 1);
}
END_TEST

START_TEST(more_waiting_threads_than_cells)
{
    enum { THREADS = VG_CELLS + 40 };
    static pthread_t thread[THREADS];
    void *failed;

    fake_host_hold(host, 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, call_many, (void *)(i + 1)), 0);
    usleep(50000);
    fake_host_hold(host, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(thread[i], &failed);
        ck_assert_ptr_null(failed);
    }
}
END_TEST

START_TEST(a_full_ring_only_delays)
{
    struct vg_tx tx;
    uint64_t sum = 0;

    for (unsigned i = 0; i < 2000; i++) {
        ck_assert_int_eq(vg_begin(&tx, VG_CALL_NOP, 5000 + i), CUDA_SUCCESS);
        memset(tx.payload, (int)i, tx.room);
        tx.call->arg[0] = i;
        sum += i;
        ck_assert_int_eq(vg_post(&tx), CUDA_SUCCESS);
    }
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(0), NULL), CUDA_SUCCESS);
    ck_assert_uint_eq(fake_host_sum(host), sum);
    ck_assert_int_eq(vg_begin(&tx, VG_CALL_NOP, VG_PAYLOAD_MAX + 1), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

static void *post_many(void *arg)
{
    for (uint64_t i = 1; i <= 1000; i++)
        if (vg_call_post(VG_CALL_NOP, VG_WORDS(i)) != CUDA_SUCCESS)
            return arg;
    return NULL;
}

/* The host says when: until then threads keep quiet, and afterwards all is there. */
START_TEST(busy_is_waited_out)
{
    struct vg_slot *slot = fake_host_slot(host);
    pthread_t thread;
    void *failed;

    fake_host_hold(host, 1);
    vg_store_release(&slot->busy_us, 1000u);
    pthread_create(&thread, NULL, post_many, slot);
    while (vg_load_relaxed(&slot->busy_retries) < 3)
        usleep(1000);
    /* The host may be late to say how far it has come, by a part of the ring. */
    ck_assert_uint_le(vg_load_relaxed(&slot->head) - vg_load_relaxed(&slot->tail),
                      VG_BUSY_CREDIT + VG_RING_SIZE / 32 + 2 * sizeof(struct vg_call));
    vg_store_release(&slot->busy_us, 0u);
    fake_host_hold(host, 0);
    pthread_join(thread, &failed);
    ck_assert_ptr_null(failed);
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(0), NULL), CUDA_SUCCESS);
    ck_assert_uint_eq(fake_host_sum(host), 500500);
}
END_TEST

/* Anything between nothing and the retry time, which doubles; so that many do not come as one. */
START_TEST(back_offs_grow_and_differ)
{
    enum { DRAWS = 2000, RETRY_US = 1000 };

    for (unsigned round = 0; round < 24; round++) {
        uint64_t most = round < 10 ? (uint64_t)RETRY_US << round : UINT64_MAX, sum = 0;
        unsigned low = 0, high = 0;
        if (most > VG_BUSY_MAX_US)
            most = VG_BUSY_MAX_US;
        for (unsigned i = 0; i < DRAWS; i++) {
            uint32_t us = vg_busy_sleep_us(RETRY_US, round);
            ck_assert_uint_gt(us, 0);
            ck_assert_uint_le(us, most);
            sum += us;
            low += us < most / 4;
            high += us > most / 4 * 3;
        }
        /* All lengths are as likely: a quarter each, and half of it on average. */
        ck_assert_uint_gt(low, DRAWS / 8);
        ck_assert_uint_gt(high, DRAWS / 8);
        ck_assert_uint_gt(sum / DRAWS, most * 4 / 10);
        ck_assert_uint_lt(sum / DRAWS, most * 6 / 10);
    }
    ck_assert_uint_le(vg_busy_sleep_us(UINT32_MAX, 31), VG_BUSY_MAX_US);
}
END_TEST

/* Nobody sleeps on for a host that is gone. */
START_TEST(loss_ends_a_back_off)
{
    struct vg_slot *slot = fake_host_slot(host);
    pthread_t thread;
    void *failed;

    fake_host_hold(host, 1);
    vg_store_release(&slot->busy_us, VG_BUSY_MAX_US);
    pthread_create(&thread, NULL, post_many, slot);
    while (vg_load_relaxed(&slot->busy_retries) < 1)
        usleep(1000);
    vg_store_release(&slot->state, VG_SLOT_GONE);
    pthread_join(thread, &failed);
    ck_assert_ptr_nonnull(failed);
}
END_TEST

START_TEST(a_dropped_call_is_never_seen)
{
    struct vg_tx tx;

    ck_assert_int_eq(vg_begin_reply(&tx, VG_CALL_NOP, 100), CUDA_SUCCESS);
    tx.call->arg[0] = 77;
    vg_drop(&tx);
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(1), NULL), CUDA_SUCCESS);
    ck_assert_uint_eq(fake_host_sum(host), 1);
}
END_TEST

START_TEST(a_latched_error_comes_out_once)
{
    struct vg_tx tx;

    vg_store_release(&fake_host_slot(host)->latched_error, CUDA_ERROR_INVALID_IMAGE);
    ck_assert_int_eq(vg_begin_quiet(&tx, VG_CALL_NOP, 0), CUDA_SUCCESS);
    ck_assert_int_eq(vg_finish(&tx, NULL), CUDA_SUCCESS);
    ck_assert_int_eq(vg_call_post(VG_CALL_NOP, VG_WORDS(5)), CUDA_ERROR_INVALID_IMAGE);
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(6), NULL), CUDA_SUCCESS);
    ck_assert_uint_eq(fake_host_sum(host), 11);
    vg_store_release(&fake_host_slot(host)->latched_error, CUDA_ERROR_INVALID_IMAGE);
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(0), NULL), CUDA_ERROR_INVALID_IMAGE);
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(0), NULL), CUDA_SUCCESS);
}
END_TEST

START_TEST(a_sticky_error_stays)
{
    CUstream stream;

    retain();
    vg_store_release(&fake_host_slot(host)->sticky_error, CUDA_ERROR_ILLEGAL_ADDRESS);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
        ck_assert_int_eq(cuStreamCreate(&stream, 0), CUDA_ERROR_ILLEGAL_ADDRESS);
    }
}
END_TEST

/* A chunk that nobody gives back would be missing in the context that the program makes next. */
START_TEST(what_is_refused_keeps_no_chunk)
{
    static const uint8_t bytes[4096];
    CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = bytes, .srcPitch = 64,
                       .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstPitch = 128,
                       .WidthInBytes = 64, .Height = 64};

    retain();
    ck_assert_int_eq(cuMemAlloc_v2(&c.dstDevice, 64 * 128), CUDA_SUCCESS);
    vg_store_release(&fake_host_slot(host)->sticky_error, CUDA_ERROR_ILLEGAL_ADDRESS);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(cuMemcpy2DAsync_v2(&c, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
        ck_assert_int_eq(cuMemcpyHtoDAsync_v2(c.dstDevice, bytes, 4096, NULL),
                         CUDA_ERROR_ILLEGAL_ADDRESS);
    }
    for (unsigned i = 0; i < VG_STAGES; i++)
        ck_assert_uint_eq(vg_load_relaxed(&fake_host_slot(host)->stage_busy[i]), 0);
}
END_TEST

static void *lose_later(void *arg)
{
    struct vg_slot *s = arg;

    usleep(30000);
    s->reason = VG_GONE_TIMEOUT;
    vg_store_release(&s->state, VG_SLOT_GONE);
    return NULL;
}

START_TEST(loss_ends_every_wait_and_says_why)
{
    pthread_t thread;

    fake_host_hold(host, 1);
    pthread_create(&thread, NULL, lose_later, fake_host_slot(host));
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(0), NULL), CUDA_ERROR_LAUNCH_TIMEOUT);
    ck_assert_int_eq(vg_call_post(VG_CALL_NOP, VG_WORDS(0)), CUDA_ERROR_LAUNCH_TIMEOUT);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(loss_ends_a_wait_for_room)
{
    pthread_t thread;
    CUresult r = CUDA_SUCCESS;

    fake_host_hold(host, 1);
    pthread_create(&thread, NULL, lose_later, fake_host_slot(host));
    while (!r)
        r = vg_call_post(VG_CALL_NOP, VG_WORDS(0));
    ck_assert_int_eq(r, CUDA_ERROR_LAUNCH_TIMEOUT);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(a_dead_host_is_noticed)
{
    fake_host_hang_up(host);
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(0), NULL), CUDA_ERROR_DEVICE_UNAVAILABLE);
    ck_assert_int_eq(vg_call_post(VG_CALL_NOP, VG_WORDS(0)), CUDA_ERROR_DEVICE_UNAVAILABLE);
}
END_TEST

START_TEST(a_child_has_no_gpu_and_does_the_parent_no_harm)
{
    int n, status;

    retain();
    pid_t pid = fork();
    if (pid == 0) {
        bool refused = cuDeviceGetCount(&n) == CUDA_ERROR_NOT_INITIALIZED &&
                       cuInit(0) == CUDA_ERROR_NOT_INITIALIZED &&
                       cuCtxSynchronize() == CUDA_ERROR_NOT_INITIALIZED;
        exit(refused ? 0 : 1);      /* with exit handlers: they must not release the parent's slot */
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(cuCtxSynchronize(), CUDA_SUCCESS);
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(3), NULL), CUDA_SUCCESS);
}
END_TEST

START_TEST(a_child_forked_before_init_has_its_own_gpu)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(cuInit(0) == CUDA_SUCCESS ? 0 : 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* A posted call must stay far below a native launch; generous, for machines under load. */
START_TEST(posting_is_cheap)
{
    enum { CALLS = 20000 };
    struct timespec a, b;
    double best = 1e9;

    for (int round = 0; round < 5; round++) {
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int i = 0; i < CALLS; i++)
            vg_call_post(VG_CALL_NOP, VG_WORDS(0));
        clock_gettime(CLOCK_MONOTONIC, &b);
        double ns = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / CALLS;
        best = ns < best ? ns : best;
    }
    printf("posted call: %.0f ns\n", best);
    ck_assert_double_lt(best, 5000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shim");
    TCase *fresh = tcase_create("fresh"), *core = tcase_create("core");

    tcase_add_checked_fixture(fresh, setup, teardown);
    tcase_add_test(fresh, before_init_calls_fail_and_init_is_retried);
    tcase_add_test(fresh, a_child_forked_before_init_has_its_own_gpu);
    tcase_add_checked_fixture(core, setup_running, teardown);
    tcase_add_test(core, devices_are_described_by_the_snapshot);
    tcase_add_test(core, answers_reach_the_thread_that_asked);
    tcase_add_test(core, more_waiting_threads_than_cells);
    tcase_add_test(core, a_full_ring_only_delays);
    tcase_add_test(core, busy_is_waited_out);
    tcase_add_test(core, back_offs_grow_and_differ);
    tcase_add_test(core, loss_ends_a_back_off);
    tcase_add_test(core, a_dropped_call_is_never_seen);
    tcase_add_test(core, a_latched_error_comes_out_once);
    tcase_add_test(core, a_sticky_error_stays);
    tcase_add_test(core, what_is_refused_keeps_no_chunk);
    tcase_add_test(core, loss_ends_every_wait_and_says_why);
    tcase_add_test(core, loss_ends_a_wait_for_room);
    tcase_add_test(core, a_dead_host_is_noticed);
    tcase_add_test(core, a_child_has_no_gpu_and_does_the_parent_no_harm);
    tcase_add_test(core, posting_is_cheap);
    add_api_tests(core);
    add_lend_tests(core);
    tcase_set_timeout(core, 60);
    suite_add_tcase(s, fresh);
    suite_add_tcase(s, core);
    return vg_test_main(s);
}
