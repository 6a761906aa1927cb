/* SPDX-License-Identifier: MIT */
/* Calls that take the driver long must not hold up those of other threads. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/executor/cases.h"
#include "vg_atomic.h"

#define LINES 40000u    /* instructions: takes any driver far longer than an empty call */

static const char head[] = ".version 7.0\n.target sm_52\n.address_size 64\n"
                           ".visible .entry long_one(.param .u64 p)\n{\n"
                           ".reg .u64 %a;\n.reg .u32 %v;\n"
                           "ld.param.u64 %a, [p];\nld.global.u32 %v, [%a];\n";
static const char line[] = "mad.lo.u32 %v, %v, %v, 3;\n";
static const char tail[] = "st.global.u32 [%a], %v;\nret;\n}\n";

/* PTX of many lines in the region; *ret_len with its NUL. Returns its offset. */
static uint64_t long_ptx(size_t *ret_len)
{
    size_t len = sizeof(head) + LINES * (sizeof(line) - 1) + sizeof(tail);
    uint64_t off = guest_extents(&h, (uint32_t)(len / VG_EXTENT_SIZE + 1));
    char *at = (char *)guest_at(&h, off), *p = at;

    memcpy(p, head, sizeof(head) - 1);
    p += sizeof(head) - 1;
    for (unsigned i = 0; i < LINES; i++, p += sizeof(line) - 1)
        memcpy(p, line, sizeof(line) - 1);
    memcpy(p, tail, sizeof(tail));
    *ret_len = (size_t)(p - at) + sizeof(tail);
    return off;
}

static uint32_t load(uint64_t off, size_t len, uint16_t cell)
{
    const uint64_t arg[8] = {VG_IMAGE_MODULE, off, len, 0};

    return guest_send(&h, VG_CALL_IMAGE_LOAD, arg, 8, NULL, 0, VG_F_REPLY, cell);
}

static bool is_done(uint16_t cell, uint32_t seq)
{
    return vg_load_acquire(&vg_slot_cell(h.slot, cell)->done) == seq;
}

START_TEST(a_compilation_blocks_nobody_else)
{
    struct vg_result res;
    size_t len;

    host_ready(&h);
    uint64_t off = long_ptx(&len);
    uint32_t seq = load(off, len, 1);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    ck_assert_msg(!is_done(1, seq), "it was compiled before the others had their answers");
    ck_assert(guest_done(&h, 1, seq, TEST_WAIT_MS));
    res = vg_slot_cell(h.slot, 1)->result;
    ck_assert_int_eq(res.result, CUDA_SUCCESS);
    ck_assert_int_eq(guest_ask(&h, VG_CALL_FUNCTION_GET, WORDS(0, res.val[0]), "long_one", 9, NULL),
                     CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* Three at once, from three threads of the guest: each gets its own module. */
START_TEST(compilations_queue)
{
    uint64_t module[3];
    uint32_t seq[3];
    size_t len;

    host_ready(&h);
    uint64_t off = long_ptx(&len);
    for (uint16_t i = 0; i < 3; i++)
        seq[i] = load(off, len, (uint16_t)(i + 1));
    for (uint16_t i = 0; i < 3; i++) {
        ck_assert(guest_done(&h, (uint16_t)(i + 1), seq[i], TEST_WAIT_MS));
        ck_assert_int_eq(vg_slot_cell(h.slot, i + 1u)->result.result, CUDA_SUCCESS);
        module[i] = vg_slot_cell(h.slot, i + 1u)->result.val[0];
    }
    ck_assert(module[0] != module[1] && module[1] != module[2] && module[0] != module[2]);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuModuleUnload, module[i]), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

START_TEST(ends_in_the_middle_of_a_compilation)
{
    size_t len;

    host_ready(&h);
    uint64_t off = long_ptx(&len);
    load(off, len, 1);
    stop_cleanly();
}
END_TEST

/* The compiler works in the context that another thread of the guest ends. */
START_TEST(a_context_ends_after_its_compilations)
{
    struct vg_result res;
    size_t len;

    host_ready(&h);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuCtxCreate_v2, 1, 0, 0), CUDA_SUCCESS);
    uint64_t ctx = res.val[0], off = long_ptx(&len);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, ctx), CUDA_SUCCESS);
    uint32_t compiled = load(off, len, 1);
    uint32_t ended = guest_send(&h, VG_CALL_cuCtxDestroy_v2, WORDS(ctx), NULL, 0, VG_F_REPLY, 2);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    ck_assert_msg(is_done(1, compiled) || !is_done(2, ended), "it ended under the compiler");
    ck_assert(guest_done(&h, 1, compiled, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, 1)->result.result, CUDA_SUCCESS);
    ck_assert(guest_done(&h, 2, ended, TEST_WAIT_MS));
    ck_assert_int_eq(vg_slot_cell(h.slot, 2)->result.result, CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* It ends with what its stream had to do when it came, whatever has come since. */
START_TEST(a_wait_is_for_what_came_before)
{
    struct vg_result res;
    uint64_t stream;

    host_ready(&h);
    uint64_t off = guest_extents(&h, 1);
    uint32_t *word = (uint32_t *)(void *)guest_at(&h, off);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuStreamCreate, 1, CU_STREAM_NON_BLOCKING),
                     CUDA_SUCCESS);
    stream = res.val[0];
    for (uint32_t i = 0; i < 2; i++)
        ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamWaitValue32_v2, stream,
                             (uintptr_t)(word + 16 * i), 7, CU_STREAM_WAIT_VALUE_EQ),
                         CUDA_SUCCESS);
    uint32_t first, second;
    first = guest_send(&h, VG_CALL_SYNC, WORDS(VG_SYNC_STREAM, stream), NULL, 0, VG_F_REPLY, 1);
    if (_i)
        ck_assert(!guest_done(&h, 1, first, 50)); /* the executor sleeps by now */
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamWaitValue32_v2, stream, (uintptr_t)(word + 32),
                         7, CU_STREAM_WAIT_VALUE_EQ),
                     CUDA_SUCCESS);
    second = guest_send(&h, VG_CALL_SYNC, WORDS(VG_SYNC_STREAM, stream), NULL, 0, VG_F_REPLY, 2);
    vg_store_release(word, 7);
    ck_assert(!guest_done(&h, 1, first, 20));
    vg_store_release(word + 16, 7);
    ck_assert(guest_done(&h, 1, first, TEST_WAIT_MS));
    ck_assert(!guest_done(&h, 2, second, 20));
    vg_store_release(word + 32, 7);
    ck_assert(guest_done(&h, 2, second, TEST_WAIT_MS));
    stop_cleanly();
}
END_TEST

TCase *aside_cases(void)
{
    TCase *t = tcase_create("aside");

    tcase_set_timeout(t, 40);
    tcase_add_test(t, a_compilation_blocks_nobody_else);
    tcase_add_test(t, compilations_queue);
    tcase_add_test(t, ends_in_the_middle_of_a_compilation);
    tcase_add_test(t, a_context_ends_after_its_compilations);
    tcase_add_loop_test(t, a_wait_is_for_what_came_before, 0, 2);
    return t;
}
