/* SPDX-License-Identifier: MIT */
/*
 * Copies of graphs, which the guest carries out: the driver must not wait for one on the thread
 * that serves the guest meanwhile, and for nothing else does this thread let a call wait.
 */
#include <check.h>
#include <string.h>

#include "tests/executor/cases.h"
#include "tests/executor/held_stage.h"
#include "vg_atomic.h"

#define COOKIE 0x1234u

static uint64_t new_stream(void)
{
    return held_made(VG_CALL_cuStreamCreate, WORDS(1, CU_STREAM_NON_BLOCKING));
}

/* An executable graph of one copy, which the guest is asked to carry out. */
static uint64_t copying_graph(uint64_t stream)
{
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamBeginCapture_v2, stream,
                         CU_STREAM_CAPTURE_MODE_RELAXED),
                     CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_HOST_FUNC, stream, COOKIE, VG_CALLBACK_TRANSFER),
                     CUDA_SUCCESS);
    return held_instance_of(held_made(VG_CALL_cuStreamEndCapture, WORDS(stream, 1)));
}

static void await_copy(uint64_t number)
{
    uint64_t end = now_ms() + TEST_WAIT_MS;

    while (vg_load_acquire(&h.slot->callback_head) != number)
        ck_assert_msg(now_ms() < end, "the graph did not come to its copy");
}

/* As the guest's thread for it does: over another stream, then the graph goes on. */
static void carry_out_copy(uint64_t stream)
{
    uint64_t from = guest_extents(&h, 1);

    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_IN, held_memory + 64, from, 64, stream, 0),
                     CUDA_SUCCESS);
    vg_store_release(&h.slot->callback_tail, vg_load_relaxed(&h.slot->callback_tail) + 1);
}

/* The driver waits for the graph with the code of a kernel, the graph for a copy, that for us. */
START_TEST(code_is_loaded_when_copies_of_graphs_are_done)
{
    held_begin();
    uint64_t stream = new_stream(), beside = new_stream(), exec = copying_graph(stream);

    vg_store_release(held_word, HOLD_LOADS);
    for (uint64_t n = 1; n <= 2; n++) {
        POST(&h, VG_CALL_cuGraphLaunch, exec, stream);
        uint32_t seq = held_launch_in(stream, 1, OTHER);
        await_copy(n);
        ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
        ck_assert_msg(!held_is_done(OTHER, seq), "code was loaded while a graph waited for a copy");
        carry_out_copy(beside);
        ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
        ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_SUCCESS);
    }
    stop_cleanly();
}
END_TEST

/* send: a call for which the driver waits. Graph after graph, it is made when the last is done. */
static void waits_for_the_last_graph(uint32_t (*send)(uint64_t stream))
{
    held_begin();
    uint64_t stream[2] = {new_stream(), new_stream()}, beside = new_stream();
    uint64_t exec[2] = {copying_graph(stream[0]), copying_graph(stream[1])};

    vg_store_release(held_word, HOLD_LOADS);
    POST(&h, VG_CALL_cuGraphLaunch, exec[0], stream[0]);
    uint32_t seq = send(beside);
    POST(&h, VG_CALL_cuGraphLaunch, exec[1], stream[1]);
    await_copy(1);
    carry_out_copy(beside);
    await_copy(2);
    ck_assert_msg(!guest_done(&h, OTHER, seq, SHORT_MS),
                  "the driver was called before the last graph's end");
    carry_out_copy(beside);
    ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_SUCCESS);
    stop_cleanly();
}

static uint32_t send_launch(uint64_t stream)
{
    return held_launch_in(stream, 1, OTHER);
}

static uint32_t send_free(uint64_t stream)
{
    uint64_t p = held_made(VG_CALL_cuMemAlloc_v2, WORDS(1, 4096));

    (void)stream;
    return guest_send(&h, VG_CALL_cuMemFree_v2, WORDS(p), NULL, 0, VG_F_REPLY, OTHER);
}

START_TEST(code_is_loaded_when_no_such_graph_is_left)
{
    waits_for_the_last_graph(send_launch);
}
END_TEST

START_TEST(memory_is_freed_when_no_such_graph_is_left)
{
    waits_for_the_last_graph(send_free);
}
END_TEST

/* Nor is one launched while a module is being loaded, for which the driver waits at its end. */
START_TEST(graphs_with_copies_are_launched_after_what_is_loaded)
{
    held_begin();
    uint64_t stream = new_stream(), off = guest_extents(&h, 1), exec = copying_graph(stream);
    uint64_t plain = held_instance_of(held_graph_of(2));

    memcpy(guest_at(&h, off), HELD_PTX, sizeof(HELD_PTX));
    uint32_t seq = held_up(VG_CALL_IMAGE_LOAD, WORDS(VG_IMAGE_MODULE, off, sizeof(HELD_PTX), 0),
                           NULL, 0);
    held_others_go_on();
    held_waits_for(seq, VG_CALL_cuGraphLaunch, WORDS(exec, stream));
    await_copy(1);
    carry_out_copy(new_stream());
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphLaunch, plain, stream), CUDA_SUCCESS);
    held_others_go_on();
    stop_cleanly();
}
END_TEST

static uint32_t ask_function(void)
{
    return guest_send(&h, VG_CALL_FUNCTION_INFO, WORDS(held_func, VG_IMAGE_MODULE), NULL, 0,
                      VG_F_REPLY, OTHER);
}

/* A host function may wait for this very thread of the guest, so this needs not wait for it. */
START_TEST(code_is_asked_for_beside_other_work)
{
    held_begin();
    uint64_t stream = new_stream(), beside = new_stream(), exec = copying_graph(stream);

    POST(&h, VG_CALL_HOST_FUNC, beside, COOKIE, VG_CALLBACK_HOST_FUNC);
    await_copy(1);
    uint32_t seq = ask_function(); /* no graph was ever launched */
    ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
    vg_store_release(&h.slot->callback_tail, 1);
    POST(&h, VG_CALL_cuGraphLaunch, exec, stream);
    await_copy(2);
    seq = ask_function();
    ck_assert(!guest_done(&h, OTHER, seq, SHORT_MS));
    carry_out_copy(beside);
    ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
    POST(&h, VG_CALL_HOST_FUNC, beside, COOKIE, VG_CALLBACK_HOST_FUNC);
    await_copy(3);
    seq = ask_function(); /* none since they were over */
    ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
    vg_store_release(&h.slot->callback_tail, 3);
    stop_cleanly();
}
END_TEST

/* The context is never idle: another thread's host functions follow each other. */
START_TEST(code_is_loaded_while_others_go_on_working)
{
    held_begin();
    uint64_t stream = new_stream(), beside = new_stream(), third = new_stream();
    uint64_t exec = copying_graph(stream);

    POST(&h, VG_CALL_cuGraphLaunch, exec, stream);
    await_copy(1);
    uint32_t seq = ask_function();
    POST(&h, VG_CALL_HOST_FUNC, third, COOKIE, VG_CALLBACK_HOST_FUNC); /* not what it waits for */
    carry_out_copy(beside);
    await_copy(2);
    ck_assert_msg(guest_done(&h, OTHER, seq, TEST_WAIT_MS), "it waits for what came behind it");
    vg_store_release(&h.slot->callback_tail, 2);
    stop_cleanly();
}
END_TEST

/* Two that wait for the same copy: the second is about what the first has ended by then. */
START_TEST(what_waited_looks_again_at_what_is_used)
{
    held_begin();
    uint64_t stream = new_stream(), beside = new_stream(), exec = copying_graph(stream);
    uint64_t link = held_made(VG_CALL_cuLinkCreate_v2, WORDS(0));

    POST(&h, VG_CALL_cuGraphLaunch, exec, stream);
    await_copy(1);
    uint32_t ends = guest_send(&h, VG_CALL_cuLinkDestroy, WORDS(link), NULL, 0, VG_F_REPLY, HELD);
    uint32_t uses = guest_send(&h, VG_CALL_cuLinkComplete, WORDS(link), NULL, 0, VG_F_REPLY, OTHER);
    ck_assert(!guest_done(&h, HELD, ends, SHORT_MS));
    ck_assert(!held_is_done(OTHER, uses));
    carry_out_copy(beside);
    ck_assert(guest_done(&h, HELD, ends, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, HELD)->result.result, CUDA_SUCCESS);
    ck_assert(guest_done(&h, OTHER, uses, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_ERROR_INVALID_HANDLE);
    stop_cleanly();
}
END_TEST

/* What no honest guest sends ends it, also where it had to wait before anybody looked at it. */
START_TEST(what_waited_may_prove_malformed)
{
    uint64_t arg[8] = {0};

    held_begin();
    uint64_t stream = new_stream(), beside = new_stream(), exec = copying_graph(stream);

    POST(&h, VG_CALL_cuGraphLaunch, exec, stream);
    await_copy(1);
    arg[VG_LAUNCH_SIZES] = UINT32_MAX;
    uint32_t seq = guest_send(&h, VG_CALL_LAUNCH, arg, 8, NULL, 0, VG_F_REPLY, OTHER);
    ck_assert(!guest_done(&h, OTHER, seq, SHORT_MS));
    carry_out_copy(beside);
    expect_gone(VG_GONE_PROTOCOL);
}
END_TEST

/* Streams that are captured cannot be asked: what they had to do before may still run. */
START_TEST(graphs_of_streams_that_were_captured_count)
{
    held_begin();
    uint64_t stream = new_stream(), beside = new_stream(), exec = copying_graph(stream);

    uint32_t *go = (uint32_t *)(void *)guest_at(&h, guest_extents(&h, 1));

    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamWaitValue32_v2, beside, (uintptr_t)go, 1,
                         CU_STREAM_WAIT_VALUE_EQ),
                     CUDA_SUCCESS);
    POST(&h, VG_CALL_cuGraphLaunch, exec, stream);
    await_copy(1);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamBeginCapture_v2, stream,
                         CU_STREAM_CAPTURE_MODE_RELAXED),
                     CUDA_SUCCESS);
    uint32_t seq = ask_function();
    ck_assert(!guest_done(&h, OTHER, seq, SHORT_MS));
    held_made(VG_CALL_cuStreamEndCapture, WORDS(stream, 1));
    vg_store_release(go, 1);
    ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
    seq = ask_function();
    ck_assert_msg(!guest_done(&h, OTHER, seq, SHORT_MS), "a graph that waits for a copy is over");
    carry_out_copy(beside);
    ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
    stop_cleanly();
}
END_TEST

TCase *copying_cases(void)
{
    TCase *t = tcase_create("copying");

    tcase_set_timeout(t, 40);
    tcase_add_test(t, code_is_loaded_when_copies_of_graphs_are_done);
    tcase_add_test(t, code_is_loaded_when_no_such_graph_is_left);
    tcase_add_test(t, memory_is_freed_when_no_such_graph_is_left);
    tcase_add_test(t, graphs_with_copies_are_launched_after_what_is_loaded);
    tcase_add_test(t, code_is_asked_for_beside_other_work);
    tcase_add_test(t, code_is_loaded_while_others_go_on_working);
    tcase_add_test(t, what_waited_looks_again_at_what_is_used);
    tcase_add_test(t, what_waited_may_prove_malformed);
    tcase_add_test(t, graphs_of_streams_that_were_captured_count);
    return t;
}
