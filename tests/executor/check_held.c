/* SPDX-License-Identifier: MIT */
/*
 * While the driver is held up in a call of one thread of the guest (held_stage.h), others launch
 * and wait; but for what would end or change what that call uses.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/executor/cases.h"
#include "tests/executor/held_stage.h"
#include "vg_atomic.h"

#define NODES    300u   /* enough to be called large ... */
#define MANY     2100u  /* ... and for an update, too */
#define BIG      (48ull << 20) /* of a module's variable */

/* ---- Contexts ---- */

static uint64_t beside_since(void)
{
    return vg_load_relaxed(&h.gate->beside.since);
}

START_TEST(contexts_are_made_beside)
{
    struct vg_result res;

    held_begin();
    held_others_go_on();
    ck_assert_uint_eq(beside_since(), 0);
    uint32_t seq = held_up(VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0);
    uint64_t since = beside_since();
    ck_assert_uint_ne(since, 0);
    held_others_go_on();
    ck_assert_uint_eq(beside_since(), since);
    res = held_let_go(seq);
    ck_assert_int_eq(res.result, CUDA_SUCCESS);
    ck_assert_uint_eq(beside_since(), 0);
    held_others_go_on(); /* in their own context */
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, res.val[0]), CUDA_SUCCESS);
    ck_assert_uint_ne(held_made(VG_CALL_cuMemAlloc_v2, WORDS(1, 4096)), 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxDestroy_v2, res.val[0]), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* Two threads that need it first: both get the one there is, and it counts once. */
START_TEST(primary_contexts_are_made_beside)
{
    struct vg_result res;

    held_begin();
    uint64_t before = vg_load_relaxed(&h.stats->memory_claimed);
    uint32_t seq = held_up(VG_CALL_cuDevicePrimaryCtxRetain, WORDS(1, 1), NULL, 0);
    uint32_t again = guest_send(&h, VG_CALL_cuDevicePrimaryCtxRetain, WORDS(1, 1), NULL, 0,
                                VG_F_REPLY, OTHER);
    held_others_go_on();
    ck_assert(!held_is_done(OTHER, again));
    res = held_let_go(seq);
    ck_assert_int_eq(res.result, CUDA_SUCCESS);
    ck_assert(guest_done(&h, OTHER, again, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_SUCCESS);
    ck_assert_uint_eq(vg_slot_cell(h.slot, OTHER)->result.val[0], res.val[0]);
    ck_assert_uint_eq(vg_load_relaxed(&h.stats->memory_claimed) - before,
                      CONTEXT);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, res.val[0]), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* No device 7 of two: the error comes from the driver, and nothing stays claimed. */
START_TEST(a_failure_is_told)
{
    held_begin();
    uint64_t before = vg_load_relaxed(&h.stats->memory_claimed);
    uint32_t seq = held_up(VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 7), NULL, 0);
    ck_assert_int_eq(held_let_go(seq).result, CUDA_ERROR_INVALID_DEVICE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuDevicePrimaryCtxRetain, 1, 7),
                     CUDA_ERROR_INVALID_DEVICE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuDevicePrimaryCtxRetain, 1, 1u << 20),
                     CUDA_ERROR_INVALID_DEVICE);
    ck_assert_uint_eq(vg_load_relaxed(&h.stats->memory_claimed), before);
    stop_cleanly();
}
END_TEST

START_TEST(a_session_ends_while_the_driver_is_held_up)
{
    held_begin();
    held_up(VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0);
    stop_cleanly();
}
END_TEST

/* What is on its way counts: the VM may have three, and has one. */
START_TEST(limits_count_what_is_on_its_way)
{
    struct vg_result res;
    uint32_t seq[2];

    held_begin();
    vg_store_relaxed(&h.orders->terms.most[VG_QUOTA_CONTEXTS], 3);
    seq[0] = held_up(VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0);
    seq[1] = guest_send(&h, VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0, VG_F_REPLY, OTHER);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuEventCreate, 1, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxCreate_v2, 1, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(held_let_go(seq[0]).result, CUDA_SUCCESS);
    ck_assert(guest_done(&h, OTHER, seq[1], TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

static uint64_t claimed(void)
{
    return vg_load_relaxed(&h.stats->memory_claimed);
}

/* And holds memory from when it is asked for: there is room for one and a half. */
START_TEST(contexts_on_their_way_hold_memory)
{
    held_begin();
    vg_store_relaxed(&h.orders->terms.memory, claimed() + CONTEXT + CONTEXT / 2);
    uint32_t seq = held_up(VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxCreate_v2, 1, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, CONTEXT), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxCreate_v2, 1, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(held_let_go(seq).result, CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* Two ask for the same one: if the first is refused, the second has to pay for it. */
START_TEST(who_asks_for_the_same_one_pays_if_the_first_fails)
{
    held_begin();
    vg_store_relaxed(&h.orders->terms.memory, claimed() + CONTEXT + CONTEXT / 2);
    uint32_t seq = held_up(VG_CALL_cuDevicePrimaryCtxRetain, WORDS(1, 1), NULL, 0);
    uint32_t again = guest_send(&h, VG_CALL_cuDevicePrimaryCtxRetain, WORDS(1, 1), NULL, 0,
                                VG_F_REPLY, OTHER);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    vg_store_release(held_word, HOLD_FAIL);
    ck_assert(guest_done(&h, HELD, seq, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, HELD)->result.result, CUDA_ERROR_OUT_OF_MEMORY);
    held_await();
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxCreate_v2, 1, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
    vg_store_release(held_word, HOLD_NONE);
    ck_assert(guest_done(&h, OTHER, again, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* A module is measured while contexts are counted that have not taken anything yet. */
START_TEST(contexts_on_their_way_do_not_hide_a_module)
{
    char text[sizeof(HELD_PTX) + 100];
    uint32_t made_later[2];

    held_begin();
    uint64_t off = guest_extents(&h, 1), before = claimed();
    vg_store_relaxed(&h.orders->terms.memory, before + 1024 * (1ull << 20));
    int n = snprintf(text, sizeof(text), "%s.global .align 4 .b8 big[%llu];\n", HELD_PTX, BIG);
    memcpy(guest_at(&h, off), text, (size_t)n + 1);
    uint32_t seq = held_up(VG_CALL_IMAGE_LOAD, WORDS(VG_IMAGE_MODULE, off, (uint64_t)n + 1, 0),
                           NULL, 0);
    for (uint16_t i = 0; i < 2; i++)
        made_later[i] = guest_send(&h, VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0, VG_F_REPLY,
                                   (uint16_t)(OTHER + i));
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    ck_assert_uint_ge(claimed(), before + 2 * CONTEXT);
    ck_assert_int_eq(held_let_go(seq).result, CUDA_SUCCESS);
    for (uint16_t i = 0; i < 2; i++)
        ck_assert(guest_done(&h, (uint16_t)(OTHER + i), made_later[i], TEST_WAIT_MS));
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    ck_assert_uint_ge(claimed(), before + 2 * CONTEXT + BIG);
    stop_cleanly();
}
END_TEST

/* ---- Graphs ---- */

static uint32_t hold_up_instantiation(uint64_t graph)
{
    return held_up(VG_CALL_cuGraphInstantiateWithFlags, WORDS(1, graph, 0), NULL, 0);
}

START_TEST(large_graphs_are_instantiated_beside)
{
    struct vg_result res;

    held_begin();
    uint64_t graph = held_graph_of(NODES), small = held_instance_of(held_graph_of(2));
    uint32_t seq = hold_up_instantiation(graph);
    held_others_go_on();
    POST(&h, VG_CALL_cuGraphLaunch, small, 0); /* another one may run */
    held_others_go_on();
    res = held_let_go(seq);
    ck_assert_int_eq(res.result, CUDA_SUCCESS);
    POST(&h, VG_CALL_cuGraphLaunch, res.val[0], 0);
    held_others_go_on();
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphExecDestroy, res.val[0]), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* Neither the graph nor anything that it may name ends or changes under the driver's hands. */
START_TEST(what_is_instantiated_does_not_change)
{
    held_begin();
    uint64_t graph = held_graph_of(NODES), event = held_made(VG_CALL_cuEventCreate, WORDS(1, 0));
    uint64_t stream = held_made(VG_CALL_cuStreamCreate, WORDS(1, 0));

    held_waits_for(hold_up_instantiation(graph), VG_CALL_cuGraphClone, WORDS(1, graph));
    held_waits_for(hold_up_instantiation(graph), VG_CALL_cuEventDestroy_v2, WORDS(event));
    held_waits_for(hold_up_instantiation(graph), VG_CALL_cuStreamBeginCapture_v2,
              WORDS(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    stop_cleanly();
}
END_TEST

START_TEST(a_graph_is_destroyed_after_its_instantiation)
{
    held_begin();
    uint64_t graph = held_graph_of(NODES);
    held_waits_for(hold_up_instantiation(graph), VG_CALL_cuGraphDestroy, WORDS(graph));
    ck_assert_int_ne(ASK(&h, NULL, VG_CALL_cuGraphInstantiateWithFlags, 1, graph, 0), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

START_TEST(updates_and_uploads_are_made_beside)
{
    struct vg_result res;

    held_begin();
    uint64_t graph = held_graph_of(MANY);
    uint64_t exec = held_instance_of(graph), other = held_instance_of(graph);
    uint32_t seq = held_up(VG_CALL_cuGraphUpload, WORDS(exec, 0), NULL, 0);
    held_others_go_on();
    held_waits_for(seq, VG_CALL_cuGraphExecDestroy, WORDS(other));
    seq = held_up(VG_CALL_cuGraphExecUpdate_v2, WORDS(exec, graph), NULL, 0);
    held_others_go_on();
    held_waits_for(seq, VG_CALL_cuGraphLaunch, WORDS(exec, 0)); /* of the very one */
    res = vg_slot_cell(h.slot, HELD)->result;
    ck_assert_int_eq(res.result, CUDA_SUCCESS);
    held_others_go_on();
    stop_cleanly();
}
END_TEST

/* ---- The linker ---- */

static void add_ptx(uint64_t link, uint64_t off)
{
    const uint64_t input[8] = {VG_IMAGE_LINK_INPUT, off, sizeof(HELD_PTX), 0, link,
                               CU_JIT_INPUT_PTX};

    ck_assert_int_eq(guest_ask(&h, VG_CALL_IMAGE_LOAD, input, 8, NULL, 0, NULL), CUDA_SUCCESS);
}

START_TEST(links_are_made_beside)
{
    held_begin();
    uint64_t link = held_made(VG_CALL_cuLinkCreate_v2, WORDS(0)), off = guest_extents(&h, 1);
    uint64_t event = held_made(VG_CALL_cuEventCreate, WORDS(1, 0));

    memcpy(guest_at(&h, off), HELD_PTX, sizeof(HELD_PTX));
    add_ptx(link, off);
    uint32_t seq = held_up(VG_CALL_cuLinkComplete, WORDS(link), NULL, 0);
    held_others_go_on();
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuEventDestroy_v2, event), CUDA_SUCCESS);
    held_waits_for(seq, VG_CALL_cuLinkDestroy, WORDS(link));
    ck_assert_uint_ne(vg_slot_cell(h.slot, HELD)->result.val[0], 0);
    stop_cleanly();
}
END_TEST

static uint32_t hold_up_compilation(void)
{
    uint64_t off = guest_extents(&h, 1);

    memcpy(guest_at(&h, off), HELD_PTX, sizeof(HELD_PTX));
    return held_up(VG_CALL_IMAGE_LOAD, WORDS(VG_IMAGE_MODULE, off, sizeof(HELD_PTX), 0), NULL, 0);
}

/* While the call waits for what is compiled, others end their things. */
static void bars_nothing(uint32_t call, const uint64_t *arg, unsigned args)
{
    uint64_t event = held_made(VG_CALL_cuEventCreate, WORDS(1, 0));
    uint32_t held = hold_up_compilation();
    uint32_t seq = guest_send(&h, call, arg, args, NULL, 0, VG_F_REPLY, OTHER);

    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuEventDestroy_v2, event), CUDA_SUCCESS);
    held_others_go_on();
    ck_assert(!held_is_done(OTHER, seq));
    ck_assert_int_eq(held_let_go(held).result, CUDA_SUCCESS);
    ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_SUCCESS);
}

START_TEST(a_link_that_is_to_be_made_bars_nothing)
{
    held_begin();
    bars_nothing(VG_CALL_cuLinkCreate_v2, WORDS(0));
    uint64_t link = vg_slot_cell(h.slot, OTHER)->result.val[0];
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuLinkDestroy, link), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

START_TEST(a_link_that_is_to_end_bars_nothing)
{
    held_begin();
    uint64_t link = held_made(VG_CALL_cuLinkCreate_v2, WORDS(0));
    bars_nothing(VG_CALL_cuLinkDestroy, WORDS(link));
    ck_assert_int_ne(ASK(&h, NULL, VG_CALL_cuLinkDestroy, link), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* Two threads of a guest that link at the same time, neither within the other's work. */
START_TEST(each_link_has_a_thread)
{
    uint64_t link[2];

    held_begin();
    uint64_t off = guest_extents(&h, 1);
    memcpy(guest_at(&h, off), HELD_PTX, sizeof(HELD_PTX));
    for (unsigned round = 0; round < 3; round++) {
        link[0] = held_made(VG_CALL_cuLinkCreate_v2, WORDS(0));
        link[1] = held_made(VG_CALL_cuLinkCreate_v2, WORDS(0));
        for (unsigned i = 0; i < 2; i++)
            add_ptx(link[i], off);
        for (unsigned i = 0; i < 2; i++)
            ck_assert_uint_ne(held_made(VG_CALL_cuLinkComplete, WORDS(link[i])), 0);
        for (unsigned i = 0; i < 2; i++)
            ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuLinkDestroy, link[i]), CUDA_SUCCESS);
    }
    stop_cleanly();
}
END_TEST

TCase *held_cases(void)
{
    TCase *t = tcase_create("held");

    tcase_set_timeout(t, 40);
    tcase_add_test(t, contexts_are_made_beside);
    tcase_add_test(t, primary_contexts_are_made_beside);
    tcase_add_test(t, a_failure_is_told);
    tcase_add_test(t, a_session_ends_while_the_driver_is_held_up);
    tcase_add_test(t, limits_count_what_is_on_its_way);
    tcase_add_test(t, contexts_on_their_way_hold_memory);
    tcase_add_test(t, contexts_on_their_way_do_not_hide_a_module);
    tcase_add_test(t, who_asks_for_the_same_one_pays_if_the_first_fails);
    tcase_add_test(t, large_graphs_are_instantiated_beside);
    tcase_add_test(t, what_is_instantiated_does_not_change);
    tcase_add_test(t, a_graph_is_destroyed_after_its_instantiation);
    tcase_add_test(t, updates_and_uploads_are_made_beside);
    tcase_add_test(t, links_are_made_beside);
    tcase_add_test(t, a_link_that_is_to_be_made_bars_nothing);
    tcase_add_test(t, a_link_that_is_to_end_bars_nothing);
    tcase_add_test(t, each_link_has_a_thread);
    return t;
}
