/* SPDX-License-Identifier: MIT */
/* The stage on which the driver is held up; see held_stage.h. */
#include "tests/executor/held_stage.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/executor/cases.h"
#include "vg_atomic.h"

uint32_t *held_word;
uint64_t held_func, held_memory;

uint64_t held_made(uint32_t call, const uint64_t *arg, unsigned args)
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

    memcpy(guest_at(&h, off), HELD_PTX, sizeof(HELD_PTX));
    uint64_t module = held_made(VG_CALL_IMAGE_LOAD,
                                WORDS(VG_IMAGE_MODULE, off, sizeof(HELD_PTX), 0));
    ck_assert_int_eq(guest_ask(&h, VG_CALL_FUNCTION_GET, WORDS(0, module), "add", 4, &res),
                     CUDA_SUCCESS);
    held_func = res.val[0];
    held_memory = held_made(VG_CALL_cuMemAlloc_v2, WORDS(1, 4096));
}

void held_begin(void)
{
    char at[32];
    uint64_t ctx;

    host_init(&h);
    held_word = (uint32_t *)(void *)guest_at(&h, guest_extents(&h, 1));
    snprintf(at, sizeof(at), "%p", (void *)held_word);
    setenv("VG_TEST_HOLD", at, 1);
    h.orders->terms.context_bytes = CONTEXT;
    setenv("VGPU_SOFT_DEVICES", "2", 1);
    host_driver = "libheld-cuda.so";
    ck_assert_msg(host_start(&h), "executor: %s", h.said.text);
    ctx = held_made(VG_CALL_cuDevicePrimaryCtxRetain, WORDS(1, 0));
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, ctx), CUDA_SUCCESS);
    get_work();
}

bool held_is_done(uint16_t cell, uint32_t seq)
{
    return vg_load_acquire(&vg_slot_cell(h.slot, cell)->done) == seq;
}

void held_await(void)
{
    uint64_t end = now_ms() + TEST_WAIT_MS;

    while (vg_load_acquire(held_word) != HOLD_INSIDE)
        ck_assert_msg(now_ms() < end, "the driver was not called");
}

uint32_t held_up(uint32_t call, const uint64_t *arg, unsigned args, const void *payload,
                 uint32_t len)
{
    vg_store_release(held_word, HOLD_NEXT);
    uint32_t seq = guest_send(&h, call, arg, args, payload, len, VG_F_REPLY, HELD);
    held_await();
    return seq;
}

struct vg_result held_let_go(uint32_t seq)
{
    ck_assert_msg(!held_is_done(HELD, seq), "it was answered while the driver was in it");
    vg_store_release(held_word, HOLD_NONE);
    ck_assert(guest_done(&h, HELD, seq, TEST_WAIT_MS));
    return vg_slot_cell(h.slot, HELD)->result;
}

uint32_t held_launch_in(uint64_t stream, unsigned number, uint16_t cell)
{
    const uint64_t one = 1ull << 32 | 1u, at = held_memory + 4ull * number;
    uint64_t arg[8] = {0};

    arg[VG_LAUNCH_FUNC] = held_func;
    arg[VG_LAUNCH_GRID_XY] = one;
    arg[VG_LAUNCH_GRIDZ_BX] = one;
    arg[VG_LAUNCH_BLOCK_YZ] = one;
    arg[VG_LAUNCH_STREAM] = stream;
    arg[VG_LAUNCH_SIZES] = sizeof(at);
    return guest_send(&h, VG_CALL_LAUNCH, arg, 8, &at, sizeof(at), cell ? VG_F_REPLY : 0, cell);
}

void held_launch(uint64_t stream, unsigned number)
{
    held_launch_in(stream, number, 0);
}

void held_others_go_on(void)
{
    static uint32_t launches;
    uint64_t out = guest_extents(&h, 1);
    uint32_t value;

    held_launch(0, 0);
    launches++;
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_CONTEXT, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, held_memory, out, sizeof(value), 0),
                     CUDA_SUCCESS);
    memcpy(&value, guest_at(&h, out), sizeof(value));
    ck_assert_uint_eq(value, launches);
}

uint64_t held_graph_of(unsigned nodes)
{
    uint64_t stream = held_made(VG_CALL_cuStreamCreate, WORDS(1, CU_STREAM_NON_BLOCKING));

    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamBeginCapture_v2, stream,
                         CU_STREAM_CAPTURE_MODE_RELAXED),
                     CUDA_SUCCESS);
    for (unsigned i = 0; i < nodes; i++)
        held_launch(stream, 1);
    return held_made(VG_CALL_cuStreamEndCapture, WORDS(stream, 1));
}

uint64_t held_instance_of(uint64_t graph)
{
    return held_made(VG_CALL_cuGraphInstantiateWithFlags, WORDS(1, graph, 0));
}

void held_waits_for(uint32_t held, uint32_t call, const uint64_t *arg, unsigned args)
{
    uint32_t seq = guest_send(&h, call, arg, args, NULL, 0, VG_F_REPLY, OTHER);

    ck_assert_msg(!guest_done(&h, OTHER, seq, SHORT_MS), "call 0x%x did not wait", call);
    ck_assert_int_eq(held_let_go(held).result, CUDA_SUCCESS);
    ck_assert(guest_done(&h, OTHER, seq, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, OTHER)->result.result, CUDA_SUCCESS);
}
