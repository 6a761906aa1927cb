/* SPDX-License-Identifier: MIT */
/*
 * While the driver is held up in a call of one thread of the guest (held.c), others launch and
 * wait; but for what would end or change what that call uses.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/executor/cases.h"
#include "tests/executor/held.h"
#include "vg_atomic.h"

#define NODES    300u   /* enough to be called large ... */
#define MANY     2100u  /* ... and for an update, too */
#define CONTEXT  (64ull << 20) /* bytes that one is said to cost */
#define BIG      (48ull << 20) /* of a module's variable */
#define HELD     1u     /* cell of the thread that is held up */
#define OTHER    2u
#define SHORT_MS 50     /* in which what must not happen would */

static uint32_t *word;
static uint64_t func, memory;

/* ---- The stage ---- */

static const char ptx[] = ".version 7.0\n.target sm_52\n.address_size 64\n"
                          ".visible .entry add(.param .u64 p)\n{\n.reg .u64 %a;\n.reg .u32 %v;\n"
                          "ld.param.u64 %a, [p];\nld.global.u32 %v, [%a];\nadd.u32 %v, %v, 1;\n"
                          "st.global.u32 [%a], %v;\nret;\n}\n";

static uint64_t made(uint32_t call, const uint64_t *arg, unsigned args)
{
    struct vg_result res;

    ck_assert_int_eq(guest_ask(&h, call, arg, args, NULL, 0, &res), CUDA_SUCCESS);
    return res.val[0];
}

/* A kernel, and memory for it. */
static void get_work(void)
{
    struct vg_result res;
    uint64_t off = guest_extents(&h, 1);

    memcpy(guest_at(&h, off), ptx, sizeof(ptx));
    uint64_t module = made(VG_CALL_IMAGE_LOAD, WORDS(VG_IMAGE_MODULE, off, sizeof(ptx), 0));
    ck_assert_int_eq(guest_ask(&h, VG_CALL_FUNCTION_GET, WORDS(0, module), "add", 4, &res),
                     CUDA_SUCCESS);
    func = res.val[0];
    memory = made(VG_CALL_cuMemAlloc_v2, WORDS(1, 4096));
}

static void begin(void)
{
    char at[32];
    uint64_t ctx;

    host_init(&h);
    word = (uint32_t *)(void *)guest_at(&h, guest_extents(&h, 1));
    snprintf(at, sizeof(at), "%p", (void *)word);
    setenv("VG_TEST_HOLD", at, 1);
    h.orders->terms.context_bytes = CONTEXT;
    setenv("VGPU_SOFT_DEVICES", "2", 1);
    host_driver = "libheld-cuda.so";
    ck_assert_msg(host_start(&h), "executor: %s", h.said.text);
    ctx = made(VG_CALL_cuDevicePrimaryCtxRetain, WORDS(1, 0));
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, ctx), CUDA_SUCCESS);
    get_work();
}

static bool is_done(uint16_t cell, uint32_t seq)
{
    return vg_load_acquire(&vg_slot_cell(h.slot, cell)->done) == seq;
}

static void await_inside(void)
{
    uint64_t end = now_ms() + TEST_WAIT_MS;

    while (vg_load_acquire(word) != HOLD_INSIDE)
        ck_assert_msg(now_ms() < end, "the driver was not called");
}

/* Sends the call and waits until the driver is in it. */
static uint32_t hold_up(uint32_t call, const uint64_t *arg, unsigned args, const void *payload,
                        uint32_t len)
{
    vg_store_release(word, HOLD_NEXT);
    uint32_t seq = guest_send(&h, call, arg, args, payload, len, VG_F_REPLY, HELD);
    await_inside();
    return seq;
}

static struct vg_result let_go(uint32_t seq)
{
    ck_assert_msg(!is_done(HELD, seq), "it was answered while the driver was in it");
    vg_store_release(word, HOLD_NONE);
    ck_assert(guest_done(&h, HELD, seq, TEST_WAIT_MS));
    return vg_slot_cell(h.slot, HELD)->result;
}

static uint64_t beside_since(void)
{
    return vg_load_relaxed(&h.gate->beside.since);
}

/* Adds 1 to the word of that number. The cell is for an answer, 0: none. */
static uint32_t launch_in(uint64_t stream, unsigned number, uint16_t cell)
{
    const uint64_t one = 1ull << 32 | 1u, at = memory + 4ull * number;
    uint64_t arg[8] = {0};

    arg[VG_LAUNCH_FUNC] = func;
    arg[VG_LAUNCH_GRID_XY] = one;
    arg[VG_LAUNCH_GRIDZ_BX] = one;
    arg[VG_LAUNCH_BLOCK_YZ] = one;
    arg[VG_LAUNCH_STREAM] = stream;
    arg[VG_LAUNCH_SIZES] = sizeof(at);
    return guest_send(&h, VG_CALL_LAUNCH, arg, 8, &at, sizeof(at), cell ? VG_F_REPLY : 0, cell);
}

static void launch(uint64_t stream, unsigned number)
{
    launch_in(stream, number, 0);
}

/* What another thread does: a launch and a wait, both while the first one is held up. */
static void others_go_on(void)
{
    static uint32_t launches;
    uint64_t out = guest_extents(&h, 1);
    uint32_t value;

    launch(0, 0);
    launches++;
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_CONTEXT, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, memory, out, sizeof(value), 0), CUDA_SUCCESS);
    memcpy(&value, guest_at(&h, out), sizeof(value));
    ck_assert_uint_eq(value, launches);
}

/* ---- Contexts ---- */

START_TEST(contexts_are_made_beside)
{
    struct vg_result res;

    begin();
    others_go_on();
    ck_assert_uint_eq(beside_since(), 0);
    uint32_t seq = hold_up(VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0);
    uint64_t since = beside_since();
    ck_assert_uint_ne(since, 0);
    others_go_on();
    ck_assert_uint_eq(beside_since(), since);
    res = let_go(seq);
    ck_assert_int_eq(res.result, CUDA_SUCCESS);
    ck_assert_uint_eq(beside_since(), 0);
    others_go_on(); /* in their own context */
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, res.val[0]), CUDA_SUCCESS);
    ck_assert_uint_ne(made(VG_CALL_cuMemAlloc_v2, WORDS(1, 4096)), 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxDestroy_v2, res.val[0]), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* Two threads that need it first: both get the one there is, and it counts once. */
START_TEST(primary_contexts_are_made_beside)
{
    struct vg_result res;

    begin();
    uint64_t before = vg_load_relaxed(&h.stats->memory_claimed);
    uint32_t seq = hold_up(VG_CALL_cuDevicePrimaryCtxRetain, WORDS(1, 1), NULL, 0);
    uint32_t again = guest_send(&h, VG_CALL_cuDevicePrimaryCtxRetain, WORDS(1, 1), NULL, 0,
                                VG_F_REPLY, OTHER);
    others_go_on();
    ck_assert(!is_done(OTHER, again));
    res = let_go(seq);
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
    begin();
    uint64_t before = vg_load_relaxed(&h.stats->memory_claimed);
    uint32_t seq = hold_up(VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 7), NULL, 0);
    ck_assert_int_eq(let_go(seq).result, CUDA_ERROR_INVALID_DEVICE);
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
    begin();
    hold_up(VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0);
    stop_cleanly();
}
END_TEST

/* What is on its way counts: the VM may have three, and has one. */
START_TEST(limits_count_what_is_on_its_way)
{
    struct vg_result res;
    uint32_t seq[2];

    begin();
    vg_store_relaxed(&h.orders->terms.most[VG_QUOTA_CONTEXTS], 3);
    seq[0] = hold_up(VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0);
    seq[1] = guest_send(&h, VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0, VG_F_REPLY, OTHER);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuEventCreate, 1, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxCreate_v2, 1, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(let_go(seq[0]).result, CUDA_SUCCESS);
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
    begin();
    vg_store_relaxed(&h.orders->terms.memory, claimed() + CONTEXT + CONTEXT / 2);
    uint32_t seq = hold_up(VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxCreate_v2, 1, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, CONTEXT), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxCreate_v2, 1, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(let_go(seq).result, CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* Two ask for the same one: if the first is refused, the second has to pay for it. */
START_TEST(who_asks_for_the_same_one_pays_if_the_first_fails)
{
    begin();
    vg_store_relaxed(&h.orders->terms.memory, claimed() + CONTEXT + CONTEXT / 2);
    uint32_t seq = hold_up(VG_CALL_cuDevicePrimaryCtxRetain, WORDS(1, 1), NULL, 0);
    uint32_t again = guest_send(&h, VG_CALL_cuDevicePrimaryCtxRetain, WORDS(1, 1), NULL, 0,
                                VG_F_REPLY, OTHER);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    vg_store_release(word, HOLD_FAIL);
    ck_assert(guest_done(&h, HELD, seq, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, HELD)->result.result, CUDA_ERROR_OUT_OF_MEMORY);
    await_inside();
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuCtxCreate_v2, 1, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
    vg_store_release(word, HOLD_NONE);
    ck_assert(guest_done(&h, OTHER, again, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* A module is measured while contexts are counted that have not taken anything yet. */
START_TEST(contexts_on_their_way_do_not_hide_a_module)
{
    char text[sizeof(ptx) + 100];
    uint32_t made_later[2];

    begin();
    uint64_t off = guest_extents(&h, 1), before = claimed();
    vg_store_relaxed(&h.orders->terms.memory, before + 1024 * (1ull << 20));
    int n = snprintf(text, sizeof(text), "%s.global .align 4 .b8 big[%llu];\n", ptx, BIG);
    memcpy(guest_at(&h, off), text, (size_t)n + 1);
    uint32_t seq = hold_up(VG_CALL_IMAGE_LOAD, WORDS(VG_IMAGE_MODULE, off, (uint64_t)n + 1, 0), NULL, 0);
    for (uint16_t i = 0; i < 2; i++)
        made_later[i] = guest_send(&h, VG_CALL_cuCtxCreate_v2, WORDS(1, 0, 0), NULL, 0, VG_F_REPLY,
                                   (uint16_t)(OTHER + i));
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    ck_assert_uint_ge(claimed(), before + 2 * CONTEXT);
    ck_assert_int_eq(let_go(seq).result, CUDA_SUCCESS);
    for (uint16_t i = 0; i < 2; i++)
        ck_assert(guest_done(&h, (uint16_t)(OTHER + i), made_later[i], TEST_WAIT_MS));
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    ck_assert_uint_ge(claimed(), before + 2 * CONTEXT + BIG);
    stop_cleanly();
}
END_TEST

/* ---- Graphs ---- */

static uint64_t graph_of(unsigned nodes)
{
    uint64_t stream = made(VG_CALL_cuStreamCreate, WORDS(1, CU_STREAM_NON_BLOCKING));

    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamBeginCapture_v2, stream,
                         CU_STREAM_CAPTURE_MODE_RELAXED),
                     CUDA_SUCCESS);
    for (unsigned i = 0; i < nodes; i++)
        launch(stream, 1);
    return made(VG_CALL_cuStreamEndCapture, WORDS(stream, 1));
}

static uint64_t instance_of(uint64_t graph)
{
    return made(VG_CALL_cuGraphInstantiateWithFlags, WORDS(1, graph, 0));
}

/* The record waits, and goes on when the driver has been let go. Frees cell OTHER. */
static void waits_for(uint32_t held, uint32_t call, const uint64_t *arg, unsigned args)
{
    uint32_t seq = guest_send(&h, call, arg, args, NULL, 0, VG_F_REPLY, OTHER);

    ck_assert_msg(!guest_done(&h, OTHER, seq, SHORT_MS), "call 0x%x did not wait", call);
    ck_assert_int_eq(let_go(held).result, CUDA_SUCCESS);
    ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_SUCCESS);
}

static uint32_t hold_up_instantiation(uint64_t graph)
{
    return hold_up(VG_CALL_cuGraphInstantiateWithFlags, WORDS(1, graph, 0), NULL, 0);
}

START_TEST(large_graphs_are_instantiated_beside)
{
    struct vg_result res;

    begin();
    uint64_t graph = graph_of(NODES), small = instance_of(graph_of(2));
    uint32_t seq = hold_up_instantiation(graph);
    others_go_on();
    POST(&h, VG_CALL_cuGraphLaunch, small, 0); /* another one may run */
    others_go_on();
    res = let_go(seq);
    ck_assert_int_eq(res.result, CUDA_SUCCESS);
    POST(&h, VG_CALL_cuGraphLaunch, res.val[0], 0);
    others_go_on();
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphExecDestroy, res.val[0]), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* Neither the graph nor anything that it may name ends or changes under the driver's hands. */
START_TEST(what_is_instantiated_does_not_change)
{
    begin();
    uint64_t graph = graph_of(NODES), event = made(VG_CALL_cuEventCreate, WORDS(1, 0));
    uint64_t stream = made(VG_CALL_cuStreamCreate, WORDS(1, 0));

    waits_for(hold_up_instantiation(graph), VG_CALL_cuGraphClone, WORDS(1, graph));
    waits_for(hold_up_instantiation(graph), VG_CALL_cuEventDestroy_v2, WORDS(event));
    waits_for(hold_up_instantiation(graph), VG_CALL_cuStreamBeginCapture_v2,
              WORDS(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    stop_cleanly();
}
END_TEST

START_TEST(a_graph_is_destroyed_after_its_instantiation)
{
    begin();
    uint64_t graph = graph_of(NODES);
    waits_for(hold_up_instantiation(graph), VG_CALL_cuGraphDestroy, WORDS(graph));
    ck_assert_int_ne(ASK(&h, NULL, VG_CALL_cuGraphInstantiateWithFlags, 1, graph, 0), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

START_TEST(updates_and_uploads_are_made_beside)
{
    struct vg_result res;

    begin();
    uint64_t graph = graph_of(MANY), exec = instance_of(graph), other = instance_of(graph);
    uint32_t seq = hold_up(VG_CALL_cuGraphUpload, WORDS(exec, 0), NULL, 0);
    others_go_on();
    waits_for(seq, VG_CALL_cuGraphExecDestroy, WORDS(other));
    seq = hold_up(VG_CALL_cuGraphExecUpdate_v2, WORDS(exec, graph), NULL, 0);
    others_go_on();
    waits_for(seq, VG_CALL_cuGraphLaunch, WORDS(exec, 0)); /* of the very one */
    res = vg_slot_cell(h.slot, HELD)->result;
    ck_assert_int_eq(res.result, CUDA_SUCCESS);
    others_go_on();
    stop_cleanly();
}
END_TEST

/* ---- The linker ---- */

static void add_ptx(uint64_t link, uint64_t off)
{
    const uint64_t input[8] = {VG_IMAGE_LINK_INPUT, off, sizeof(ptx), 0, link, CU_JIT_INPUT_PTX};

    ck_assert_int_eq(guest_ask(&h, VG_CALL_IMAGE_LOAD, input, 8, NULL, 0, NULL), CUDA_SUCCESS);
}

START_TEST(links_are_made_beside)
{
    begin();
    uint64_t link = made(VG_CALL_cuLinkCreate_v2, WORDS(0)), off = guest_extents(&h, 1);

    memcpy(guest_at(&h, off), ptx, sizeof(ptx));
    add_ptx(link, off);
    uint32_t seq = hold_up(VG_CALL_cuLinkComplete, WORDS(link), NULL, 0);
    others_go_on();
    waits_for(seq, VG_CALL_cuLinkDestroy, WORDS(link));
    ck_assert_uint_ne(vg_slot_cell(h.slot, HELD)->result.val[0], 0);
    stop_cleanly();
}
END_TEST

/* Two threads of a guest that link at the same time, neither within the other's work. */
START_TEST(each_link_has_a_thread)
{
    uint64_t link[2];

    begin();
    uint64_t off = guest_extents(&h, 1);
    memcpy(guest_at(&h, off), ptx, sizeof(ptx));
    for (unsigned round = 0; round < 3; round++) {
        link[0] = made(VG_CALL_cuLinkCreate_v2, WORDS(0));
        link[1] = made(VG_CALL_cuLinkCreate_v2, WORDS(0));
        for (unsigned i = 0; i < 2; i++)
            add_ptx(link[i], off);
        for (unsigned i = 0; i < 2; i++)
            ck_assert_uint_ne(made(VG_CALL_cuLinkComplete, WORDS(link[i])), 0);
        for (unsigned i = 0; i < 2; i++)
            ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuLinkDestroy, link[i]), CUDA_SUCCESS);
    }
    stop_cleanly();
}
END_TEST

/* ---- Copies of graphs, which the guest carries out ---- */

#define COOKIE 0x1234u

static uint64_t new_stream(void)
{
    return made(VG_CALL_cuStreamCreate, WORDS(1, CU_STREAM_NON_BLOCKING));
}

/* An executable graph of one copy, which the guest is asked to carry out. */
static uint64_t copying_graph(uint64_t stream)
{
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamBeginCapture_v2, stream,
                         CU_STREAM_CAPTURE_MODE_RELAXED),
                     CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_HOST_FUNC, stream, COOKIE, VG_CALLBACK_TRANSFER),
                     CUDA_SUCCESS);
    return instance_of(made(VG_CALL_cuStreamEndCapture, WORDS(stream, 1)));
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

    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_IN, memory + 64, from, 64, stream, 0), CUDA_SUCCESS);
    vg_store_release(&h.slot->callback_tail, vg_load_relaxed(&h.slot->callback_tail) + 1);
}

/* The driver waits for the graph with the code of a kernel, the graph for a copy, and that for us. */
START_TEST(code_is_loaded_when_copies_of_graphs_are_done)
{
    begin();
    uint64_t stream = new_stream(), beside = new_stream(), exec = copying_graph(stream);

    vg_store_release(word, HOLD_LOADS);
    for (uint64_t n = 1; n <= 2; n++) {
        POST(&h, VG_CALL_cuGraphLaunch, exec, stream);
        uint32_t seq = launch_in(stream, 1, OTHER);
        await_copy(n);
        ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
        ck_assert_msg(!is_done(OTHER, seq), "code was loaded while a graph waited for a copy");
        carry_out_copy(beside);
        ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
        ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_SUCCESS);
    }
    stop_cleanly();
}
END_TEST

/* send: a call for which the driver waits. Graph after graph, it is not made before the last is done. */
static void waits_for_the_last_graph(uint32_t (*send)(uint64_t stream))
{
    begin();
    uint64_t stream[2] = {new_stream(), new_stream()}, beside = new_stream();
    uint64_t exec[2] = {copying_graph(stream[0]), copying_graph(stream[1])};

    vg_store_release(word, HOLD_LOADS);
    POST(&h, VG_CALL_cuGraphLaunch, exec[0], stream[0]);
    uint32_t seq = send(beside);
    POST(&h, VG_CALL_cuGraphLaunch, exec[1], stream[1]);
    await_copy(1);
    carry_out_copy(beside);
    await_copy(2);
    ck_assert_msg(!guest_done(&h, OTHER, seq, SHORT_MS), "the driver was called before the last graph's end");
    carry_out_copy(beside);
    ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_SUCCESS);
    stop_cleanly();
}

static uint32_t send_launch(uint64_t stream)
{
    return launch_in(stream, 1, OTHER);
}

static uint32_t send_free(uint64_t stream)
{
    uint64_t p = made(VG_CALL_cuMemAlloc_v2, WORDS(1, 4096));

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
    begin();
    uint64_t stream = new_stream(), off = guest_extents(&h, 1), exec = copying_graph(stream);
    uint64_t plain = instance_of(graph_of(2));

    memcpy(guest_at(&h, off), ptx, sizeof(ptx));
    uint32_t seq = hold_up(VG_CALL_IMAGE_LOAD, WORDS(VG_IMAGE_MODULE, off, sizeof(ptx), 0), NULL, 0);
    others_go_on();
    waits_for(seq, VG_CALL_cuGraphLaunch, WORDS(exec, stream));
    await_copy(1);
    carry_out_copy(new_stream());
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphLaunch, plain, stream), CUDA_SUCCESS);
    others_go_on();
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
    tcase_add_test(t, each_link_has_a_thread);
    tcase_add_test(t, code_is_loaded_when_copies_of_graphs_are_done);
    tcase_add_test(t, code_is_loaded_when_no_such_graph_is_left);
    tcase_add_test(t, memory_is_freed_when_no_such_graph_is_left);
    tcase_add_test(t, graphs_with_copies_are_launched_after_what_is_loaded);
    return t;
}
