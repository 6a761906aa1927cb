/* SPDX-License-Identifier: MIT */
/*
 * Within check-shim: what it lends the host. Staging chunks, callbacks, pages of the application, and
 * its notes of graphs' copies.
 */
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest-shim/call.h"
#include "guest-shim/mem.h"
#include "guest-shim/node.h"
#include "guest-shim/state.h"
#include "tests/protocol/vg_test.h"
#include "tests/shim/check_shim.h"
#include "vg_api.h"
#include "vg_atomic.h"

/* ---- Staging ---- */

static void *acquire(void *arg)
{
    return (void *)(uintptr_t)vg_stage_acquire(arg);
}

static void until_asked(uint64_t before)
{
    while (fake_host_records(host) == before)
        usleep(1000);
}

/* A new chunk has to be shown to the GPU, which is a way to the host and back. */
START_TEST(a_new_chunk_holds_up_nobody)
{
    struct vg_stage one, two, again;
    pthread_t thread;
    void *result;

    fake_host_slot(host)->features = VG_HOST_PINS_PARTS;
    retain();
    ck_assert_int_eq(vg_stage_acquire(&one), CUDA_SUCCESS);
    fake_host_hold(host, 1);
    uint64_t before = fake_host_records(host);
    ck_assert_int_eq(pthread_create(&thread, NULL, acquire, &two), 0);
    until_asked(before);
    vg_stage_release(&one);
    ck_assert(vg_stage_try(&again));
    ck_assert_uint_eq(again.index, one.index);
    fake_host_hold(host, 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_null(result);
    ck_assert_uint_ne(two.index, one.index);
}
END_TEST

static void *reserve(void *arg)
{
    vg_stage_reserve();
    return arg;
}

/* The same of one for copies of graphs, which nobody but those may take meanwhile or later. */
START_TEST(a_reserved_chunk_holds_up_nobody)
{
    struct vg_stage one, two, again, of_graphs;
    pthread_t thread;

    fake_host_slot(host)->features = VG_HOST_PINS_PARTS;
    retain();
    ck_assert_int_eq(vg_stage_acquire(&one), CUDA_SUCCESS);
    fake_host_hold(host, 1);
    uint64_t before = fake_host_records(host);
    ck_assert_int_eq(pthread_create(&thread, NULL, reserve, NULL), 0);
    until_asked(before);
    vg_stage_release(&one);
    ck_assert(vg_stage_try(&again));
    ck_assert_uint_eq(again.index, one.index);
    fake_host_hold(host, 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(vg_stage_acquire(&two), CUDA_SUCCESS);
    vg_tls.in_callback = true;
    ck_assert(vg_stage_try(&of_graphs));
    ck_assert(of_graphs.index != one.index && of_graphs.index != two.index);
}
END_TEST

/* The only chunk is reserved, and others have the rest of the region: there is nothing to wait for. */
START_TEST(a_copy_without_any_chunk_to_come_ends)
{
    struct vg_stage stage;
    size_t got;

    retain();
    vg_stage_reserve();
    while (vg_window_get(VG_EXTENT_SIZE, VG_EXTENT_SIZE, &got))
        continue;
    ck_assert_int_eq(vg_stage_acquire(&stage), CUDA_ERROR_OUT_OF_MEMORY);
    vg_tls.in_callback = true;
    ck_assert_int_eq(vg_stage_acquire(&stage), CUDA_SUCCESS);
}
END_TEST

/* ---- An error of before: whoever hears it frees what the host has been given ---- */

static void make_error(void)
{
    vg_store_release(&fake_host_slot(host)->latched_error, CUDA_ERROR_INVALID_IMAGE);
}

static void is_still_there(void)
{
    ck_assert_uint_eq(fake_host_slot(host)->latched_error, CUDA_ERROR_INVALID_IMAGE);
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(0), NULL), CUDA_ERROR_INVALID_IMAGE);
}

static void nothing(void *data)
{
    (void)data;
}

START_TEST(a_host_function_leaves_errors_of_before)
{
    retain();
    make_error();
    ck_assert_int_eq(cuLaunchHostFunc(NULL, nothing, NULL), CUDA_SUCCESS);
    is_still_there();
}
END_TEST

START_TEST(a_changed_node_leaves_errors_of_before)
{
    const CUDA_HOST_NODE_PARAMS p = {nothing, NULL};

    retain();
    make_error();
    ck_assert_int_eq(cuGraphHostNodeSetParams((CUgraphNode)0x7000, &p), CUDA_SUCCESS);
    is_still_there();
}
END_TEST

START_TEST(registered_pages_leave_errors_of_before)
{
    void *pages = mmap(NULL, VG_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert(pages != MAP_FAILED);
    retain();
    make_error();
    ck_assert_int_eq(cuMemHostRegister_v2(pages, VG_PAGE, CU_MEMHOSTREGISTER_DEVICEMAP),
                     CUDA_SUCCESS);
    is_still_there();
}
END_TEST

#ifndef __SANITIZE_THREAD__     /* which forbids the address that device memory would have */
static char ordinary[4096];

/* Of ordinary memory. error: one of before is there. */
static void capture_copy(bool error)
{
    CUdeviceptr device;
    CUstream stream;

    ck_assert_int_eq(cuMemAlloc_v2(&device, sizeof(ordinary)), CUDA_SUCCESS);
    ck_assert_int_eq(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
    ck_assert_int_eq(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED),
                     CUDA_SUCCESS);
    if (error)
        make_error();
    ck_assert_int_eq(cuMemcpyHtoDAsync_v2(device, ordinary, sizeof(ordinary), stream),
                     CUDA_SUCCESS);
}

START_TEST(a_captured_copy_leaves_errors_of_before)
{
    retain();
    capture_copy(true);
    is_still_there();
}
END_TEST

/* ---- Copies of graphs ---- */

/* A program may change a node before each launch, for days. */
START_TEST(changes_of_one_node_are_one_note)
{
    const CUgraphExec exec = (CUgraphExec)0x8000;

    retain();
    capture_copy(false);
    vg_switch_made(exec);
    vg_switch_changed((CUgraphNode)0x7000);
    size_t before = mallinfo2().uordblks;
    for (unsigned i = 0; i < 100000; i++)
        vg_switch_changed((CUgraphNode)(uintptr_t)(0x7000 + i % 4));
    ck_assert_uint_le(mallinfo2().uordblks, before + 10000);
    vg_switch_gone(exec);
}
END_TEST
#endif

void add_lend_tests(TCase *core)
{
    tcase_add_test(core, a_new_chunk_holds_up_nobody);
    tcase_add_test(core, a_reserved_chunk_holds_up_nobody);
    tcase_add_test(core, a_copy_without_any_chunk_to_come_ends);
    tcase_add_test(core, a_host_function_leaves_errors_of_before);
    tcase_add_test(core, a_changed_node_leaves_errors_of_before);
    tcase_add_test(core, registered_pages_leave_errors_of_before);
#ifndef __SANITIZE_THREAD__
    tcase_add_test(core, a_captured_copy_leaves_errors_of_before);
    tcase_add_test(core, changes_of_one_node_are_one_note);
#endif
}
