/* SPDX-License-Identifier: MIT */
/* The work of a real executor process: copies, waits, kernels, images, callbacks, contexts. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/executor/cases.h"
#include "vg_atomic.h"
#include "vg_codec.h"

START_TEST(copies_there_and_back)
{
    struct vg_result res;
    uint64_t in, out;
    const size_t n = 5 * VG_EXTENT_SIZE - 3;

    host_ready(&h);
    in = guest_extents(&h, 5);
    out = guest_extents(&h, 5);
    for (size_t i = 0; i < n; i++)
        guest_at(&h, in)[i] = (uint8_t)(i * 31 + i / 251);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, n), CUDA_SUCCESS);
    POST(&h, VG_CALL_COPY_IN, res.val[0], in, n, 0, 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, res.val[0], out, n, 0), CUDA_SUCCESS);
    ck_assert_mem_eq(guest_at(&h, out), guest_at(&h, in), n);
    guest_send(&h, VG_CALL_COPY_INLINE, WORDS(res.val[0] + 100, 0), "inline", 6, 0, 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, res.val[0], out, n, 0), CUDA_SUCCESS);
    ck_assert_mem_eq(guest_at(&h, out + 100), "inline", 6);
    ck_assert_uint_ge(h.stats->bytes_in, n);
    ck_assert_uint_ge(h.stats->bytes_out, 2 * n);
    stop_cleanly();
}
END_TEST

START_TEST(gives_staging_chunks_back)
{
    struct vg_result res;
    uint64_t in, out, end = now_ms() + TEST_WAIT_MS;

    host_ready(&h);
    in = guest_extents(&h, 8);
    out = guest_extents(&h, 1);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 8 * VG_EXTENT_SIZE), CUDA_SUCCESS);
    for (unsigned i = 0; i < 8; i++) {
        memset(guest_at(&h, in + i * VG_EXTENT_SIZE), (int)i + 1, VG_EXTENT_SIZE);
        vg_store_release(&h.slot->stage_busy[i * 9], 1);
        POST(&h, VG_CALL_COPY_IN, res.val[0] + i * VG_EXTENT_SIZE, in + i * VG_EXTENT_SIZE,
             VG_EXTENT_SIZE, 0, i * 9 + 1);
    }
    for (unsigned i = 0; i < 8; i++)
        while (vg_load_acquire(&h.slot->stage_busy[i * 9]))
            ck_assert_msg(now_ms() < end, "stage %u stays busy", i * 9);
    /* A copy that fails gives its chunk back too. */
    vg_store_release(&h.slot->stage_busy[5], 1);
    POST(&h, VG_CALL_COPY_IN, 4096, in, 1, 0, 6);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    ck_assert_uint_eq(h.slot->stage_busy[5], 0);
    ck_assert_uint_eq(h.slot->latched_error, CUDA_ERROR_INVALID_VALUE);
    for (unsigned i = 0; i < 8; i++) {
        ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, res.val[0] + i * VG_EXTENT_SIZE, out,
                             VG_EXTENT_SIZE, 0),
                         CUDA_SUCCESS);
        ck_assert_uint_eq(guest_at(&h, out)[0], i + 1);
        ck_assert_uint_eq(guest_at(&h, out)[VG_EXTENT_SIZE - 1], i + 1);
    }
    stop_cleanly();
}
END_TEST

START_TEST(latches_the_first_error)
{
    host_ready(&h);
    POST(&h, VG_CALL_cuEventRecord, 0x5555, 0);
    POST(&h, VG_CALL_COPY_IN, 0, 0, 1, 0, 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    ck_assert_uint_eq(vg_exchange(&h.slot->latched_error, 0), CUDA_ERROR_INVALID_HANDLE);
    POST(&h, VG_CALL_COPY_IN, 0, 0, 1, 0, 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    ck_assert_uint_eq(h.slot->latched_error, CUDA_ERROR_INVALID_VALUE);
    stop_cleanly();
}
END_TEST

/* A stream that waits for a word in the region: blocked until the test says so. */
START_TEST(a_wait_blocks_nobody_else)
{
    struct vg_result res;
    uint64_t off, stream, event;

    host_ready(&h);
    off = guest_extents(&h, 1);
    uint32_t *word = (uint32_t *)guest_at(&h, off);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuStreamCreate, 1, CU_STREAM_NON_BLOCKING),
                     CUDA_SUCCESS);
    stream = res.val[0];
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuEventCreate, 1, 0), CUDA_SUCCESS);
    event = res.val[0];
    CUresult rc = ASK(&h, NULL, VG_CALL_cuStreamWaitValue32_v2, stream, (uintptr_t)word, 7,
                      CU_STREAM_WAIT_VALUE_EQ);
    ck_assert_int_eq(rc, CUDA_SUCCESS);
    POST(&h, VG_CALL_cuEventRecord, event, stream);
    uint32_t a =
        guest_send(&h, VG_CALL_SYNC, WORDS(VG_SYNC_STREAM, stream), NULL, 0, VG_F_REPLY, 1);
    uint32_t b = guest_send(&h, VG_CALL_SYNC, WORDS(VG_SYNC_EVENT, event), NULL, 0, VG_F_REPLY, 2);
    uint32_t c = guest_send(&h, VG_CALL_SYNC, WORDS(VG_SYNC_CONTEXT), NULL, 0, VG_F_REPLY, 3);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    uint32_t d = guest_send(&h, VG_CALL_cuMemFree_v2, WORDS(res.val[0]), NULL, 0, VG_F_REPLY, 4);
    ck_assert(!guest_done(&h, 1, a, 100));
    ck_assert(!guest_done(&h, 2, b, 0) && !guest_done(&h, 3, c, 0) && !guest_done(&h, 4, d, 0));
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamQuery, stream), CUDA_ERROR_NOT_READY);
    vg_store_release(word, 7);
    ck_assert(guest_done(&h, 1, a, TEST_WAIT_MS));
    ck_assert(guest_done(&h, 2, b, TEST_WAIT_MS));
    ck_assert(guest_done(&h, 3, c, TEST_WAIT_MS));
    ck_assert(guest_done(&h, 4, d, TEST_WAIT_MS));
    for (uint16_t cell = 1; cell <= 4; cell++)
        ck_assert_uint_eq(vg_slot_cell(h.slot, cell)->result.result, 0);
    ck_assert_uint_eq(h.stats->memory, 0);
    stop_cleanly();
}
END_TEST

/* Streams seen idle are not asked again, until they are given something. */
START_TEST(a_stream_given_something_is_waited_for)
{
    struct vg_result res;
    uint64_t off, stream[3];

    host_ready(&h);
    off = guest_extents(&h, 1);
    uint32_t *word = (uint32_t *)guest_at(&h, off);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuStreamCreate, 1, CU_STREAM_NON_BLOCKING),
                         CUDA_SUCCESS);
        stream[i] = res.val[0];
    }
    for (uint32_t round = 1; round < 7; round++) {
        ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamWaitValue32_v2, stream[round % 3],
                             (uintptr_t)word, round, CU_STREAM_WAIT_VALUE_EQ),
                         CUDA_SUCCESS);
        uint32_t a =
            guest_send(&h, VG_CALL_SYNC, WORDS(VG_SYNC_CONTEXT), NULL, 0, VG_F_REPLY, 1);
        uint32_t b =
            guest_send(&h, VG_CALL_SYNC, WORDS(VG_SYNC_CONTEXT), NULL, 0, VG_F_REPLY, 2);
        ck_assert(!guest_done(&h, 1, a, 30) && !guest_done(&h, 2, b, 0));
        vg_store_release(word, round);
        ck_assert(guest_done(&h, 1, a, TEST_WAIT_MS) && guest_done(&h, 2, b, TEST_WAIT_MS));
        ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_CONTEXT), CUDA_SUCCESS);
    }
    stop_cleanly();
}
END_TEST

/* More waits than the executor keeps: the ring stops, nothing is lost. */
START_TEST(many_waits_are_all_answered)
{
    struct vg_result res;
    uint64_t off, stream;
    uint32_t last[VG_CELLS] = {0};

    host_ready(&h);
    off = guest_extents(&h, 1);
    uint32_t *word = (uint32_t *)guest_at(&h, off);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuStreamCreate, 1, CU_STREAM_NON_BLOCKING),
                     CUDA_SUCCESS);
    stream = res.val[0];
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuStreamWaitValue32_v2, stream, (uintptr_t)word, 1,
                         CU_STREAM_WAIT_VALUE_EQ),
                     CUDA_SUCCESS);
    for (unsigned i = 0; i < 800; i++)
        last[i % VG_CELLS] = guest_send(&h, VG_CALL_SYNC, WORDS(VG_SYNC_STREAM, stream), NULL, 0,
                                        VG_F_REPLY, (uint16_t)(i % VG_CELLS));
    vg_store_release(word, 1);
    for (unsigned i = 0; i < VG_CELLS; i++)
        ck_assert(guest_done(&h, (uint16_t)i, last[i], TEST_WAIT_MS));
    stop_cleanly();
}
END_TEST

static const char ptx[] =
    ".version 7.0\n.target sm_52\n.address_size 64\n"
    ".visible .global .align 4 .u32 counter = 5;\n"
    ".visible .entry fill(.param .u64 p, .param .u32 v)\n{\n"
    ".reg .u64 %a, %o;\n.reg .u32 %i, %c, %n, %t, %v;\n"
    "ld.param.u64 %a, [p];\nld.param.u32 %v, [v];\n"
    "cvta.to.global.u64 %a, %a;\n"
    "mov.u32 %c, %ctaid.x;\nmov.u32 %n, %ntid.x;\nmov.u32 %t, %tid.x;\n"
    "mad.lo.u32 %i, %c, %n, %t;\nmul.wide.u32 %o, %i, 4;\nadd.u64 %a, %a, %o;\n"
    "add.u32 %v, %v, %i;\nst.global.u32 [%a], %v;\nret;\n}\n";

static uint64_t load_ptx(const char *text, size_t len, CUresult want)
{
    struct vg_result res;
    uint64_t off = guest_extents(&h, 1);
    uint64_t arg[8] = {VG_IMAGE_MODULE, 0, len, 0, [6] = off, [7] = VG_EXTENT_SIZE};
    uint32_t seq =
        guest_send(&h, VG_CALL_IMAGE_LOAD, arg, 8, text, (uint32_t)len, VG_F_REPLY | VG_F_BULK, 0);

    ck_assert(guest_done(&h, 0, seq, TEST_WAIT_MS));
    res = vg_slot_cell(h.slot, 0)->result;
    ck_assert_msg(res.result == want, "load: %u, log: %s", res.result, (char *)guest_at(&h, off));
    return res.val[0];
}

START_TEST(launches_a_kernel)
{
    struct vg_result res;
    uint64_t module, func, p, off;

    host_ready(&h);
    module = load_ptx(ptx, sizeof(ptx), CUDA_SUCCESS);
    ck_assert_int_eq(guest_ask(&h, VG_CALL_FUNCTION_GET, WORDS(0, module), "absent", 7, NULL),
                     CUDA_ERROR_NOT_FOUND);
    ck_assert_int_eq(guest_ask(&h, VG_CALL_FUNCTION_GET, WORDS(0, module), "fill", 5, &res),
                     CUDA_SUCCESS);
    func = res.val[0];
    const struct vg_function_info *info = (const void *)vg_slot_reply(h.slot, 0);
    ck_assert_uint_eq(info->param_count, 2);
    ck_assert_uint_eq(info->param_bytes, 12);
    ck_assert_uint_eq(info->param[1].offset, 8);
    ck_assert_uint_eq(info->param[1].size, 4);
    off = guest_extents(&h, 1);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    p = res.val[0];
    struct {
        uint64_t p;
        uint32_t v, pad;
    } params = {p, 100, 0};
    uint64_t arg[8] = {func, 8 | 1ull << 32, 1 | 128ull << 32, 1 | 1ull << 32, 0, 0, 12};
    guest_send(&h, VG_CALL_LAUNCH, arg, 7, &params, sizeof(params), 0, 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_CONTEXT), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, p, off, 4096, 0), CUDA_SUCCESS);
    for (unsigned i = 0; i < 1024; i++)
        ck_assert_uint_eq(((uint32_t *)guest_at(&h, off))[i], 100 + i);
    ck_assert_uint_eq(h.stats->launches, 1);
    ck_assert_uint_eq(h.slot->latched_error, 0);
    /* Too few bytes of parameters, an unknown attribute. */
    arg[6] = 8;
    ck_assert_int_eq(guest_ask(&h, VG_CALL_LAUNCH, arg, 7, &params, 8, NULL),
                     CUDA_ERROR_INVALID_VALUE);
    CUlaunchAttribute attr = {.id = (CUlaunchAttributeID)55};
    uint8_t both[16 + sizeof(attr)];
    memcpy(both, &params, 16);
    memcpy(both + 16, &attr, sizeof(attr));
    arg[6] = 12 | 1ull << 32;
    ck_assert_int_eq(guest_ask(&h, VG_CALL_LAUNCH, arg, 7, both, sizeof(both), NULL),
                     CUDA_ERROR_INVALID_VALUE);
    /* An answer that has no room is none; nothing is written behind the region. */
    uint64_t nowhere[8] = {func, VG_IMAGE_MODULE, [6] = TEST_REGION_SIZE, [7] = 0};
    for (unsigned i = 0; i < 3; i++) {
        static const uint32_t call[] = {VG_CALL_FUNCTION_ATTRS, VG_CALL_FUNCTION_INFO,
                                        VG_CALL_FUNCTION_NAME};
        uint32_t seq = guest_send(&h, call[i], nowhere, 8, NULL, 0, VG_F_REPLY | VG_F_BULK, 0);
        ck_assert(guest_done(&h, 0, seq, TEST_WAIT_MS));
        ck_assert_uint_eq(vg_slot_cell(h.slot, 0)->result.payload_len, 0);
    }
    /* With its module the function ends. */
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuModuleUnload, module), CUDA_SUCCESS);
    arg[6] = 12;
    ck_assert_int_eq(guest_ask(&h, VG_CALL_LAUNCH, arg, 7, &params, 16, NULL),
                     CUDA_ERROR_INVALID_HANDLE);
    stop_cleanly();
}
END_TEST

START_TEST(variables_are_memory_of_the_module)
{
    struct vg_result res;
    uint64_t module, off, w[8];
    struct vg_call call;
    struct vg_enc e;
    uint8_t payload[64];

    host_ready(&h);
    module = load_ptx(ptx, sizeof(ptx), CUDA_SUCCESS);
    vg_enc_init_call(&e, &call, payload, sizeof(payload));
    vg_enc_word(&e, 1);
    vg_enc_word(&e, 1);
    vg_enc_word(&e, module);
    vg_enc_string(&e, "counter");
    memcpy(w, call.arg, sizeof(w));
    ck_assert_int_eq(
        guest_ask(&h, VG_CALL_cuModuleGetGlobal_v2, w, 8, payload, (uint32_t)e.len, &res),
        CUDA_SUCCESS);
    ck_assert_uint_eq(res.val[1], 4);
    off = guest_extents(&h, 1);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, res.val[0], off, 4, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(*(uint32_t *)guest_at(&h, off), 5);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, res.val[0], off, 8, 0),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuModuleUnload, module), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, res.val[0], off, 4, 0),
                     CUDA_ERROR_INVALID_VALUE);
    stop_cleanly();
}
END_TEST

START_TEST(bad_images_fail_and_say_why)
{
    static const char bad[] = ".version 7.0\n.target sm_52\n.address_size 64\nnonsense\n";
    uint8_t elf[128] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

    host_ready(&h);
    load_ptx(bad, sizeof(bad), CUDA_ERROR_INVALID_PTX);
    elf[0x28] = 0xff; /* sections far behind the end */
    elf[0x3c] = 9;
    elf[0x3a] = 64;
    load_ptx((char *)elf, sizeof(elf), CUDA_ERROR_INVALID_IMAGE);
    load_ptx("\x50\xed\x55\xba\1\0\x10\0\xff\xff\xff\xff\xff\xff\xff\xff", 16,
             CUDA_ERROR_INVALID_IMAGE);
    load_ptx("\xb1\x43\x62\x46\1\0\0\0\0\0\0\0\0\0\0\0", 16, CUDA_ERROR_INVALID_IMAGE);
    stop_cleanly();
}
END_TEST

START_TEST(an_image_may_come_in_parts)
{
    struct vg_result res;
    uint64_t total = sizeof(ptx);
    uint64_t arg[8] = {VG_IMAGE_MODULE};

    host_ready(&h);
#define PART(pos, n)                                                                               \
    guest_ask(&h, VG_CALL_IMAGE_PART, WORDS(0, n, total, pos), ptx + (pos), (uint32_t)(n), NULL)
    ck_assert_int_eq(PART(0, 100), CUDA_SUCCESS);
    ck_assert_int_eq(guest_ask(&h, VG_CALL_IMAGE_LOAD, arg, 8, NULL, 0, NULL),
                     CUDA_ERROR_INVALID_IMAGE);
    ck_assert_int_eq(PART(50, 100), CUDA_ERROR_INVALID_IMAGE);
    ck_assert_int_eq(PART(100, sizeof(ptx) - 100), CUDA_SUCCESS);
    ck_assert_int_eq(guest_ask(&h, VG_CALL_IMAGE_LOAD, arg, 8, NULL, 0, &res), CUDA_SUCCESS);
    ck_assert_uint_ne(res.val[0], 0);
    ck_assert_int_eq(guest_ask(&h, VG_CALL_IMAGE_LOAD, arg, 8, NULL, 0, NULL),
                     CUDA_ERROR_INVALID_IMAGE);
    total = VG_IMAGE_MAX + 1;
    ck_assert_int_eq(PART(0, 100), CUDA_ERROR_INVALID_IMAGE);
    stop_cleanly();
}
END_TEST

START_TEST(host_functions_run_in_the_guest)
{
    uint64_t end = now_ms() + TEST_WAIT_MS;

    host_ready(&h);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_HOST_FUNC, 0, 0xc0ffee, VG_CALLBACK_HOST_FUNC),
                     CUDA_SUCCESS);
    while (vg_load_acquire(&h.slot->callback_head) == 0)
        ck_assert(now_ms() < end);
    ck_assert_uint_eq(h.slot->callback[0].cookie, 0xc0ffee);
    ck_assert_uint_eq(h.slot->callback[0].kind, VG_CALLBACK_HOST_FUNC);
    uint32_t seq = guest_send(&h, VG_CALL_SYNC, WORDS(VG_SYNC_STREAM, 0), NULL, 0, VG_F_REPLY, 1);
    ck_assert(!guest_done(&h, 1, seq, 50));
    vg_store_release(&h.slot->callback_tail, 1);
    ck_assert(guest_done(&h, 1, seq, TEST_WAIT_MS));
    stop_cleanly();
}
END_TEST

/* A driver may hold up who launches behind a callback: its end must not need the ring. */
START_TEST(a_callback_ends_while_the_ring_is_full)
{
    uint64_t end = now_ms() + TEST_WAIT_MS;
    uint32_t seq = 0;

    host_ready(&h);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_HOST_FUNC, 0, 0xc0ffee, VG_CALLBACK_HOST_FUNC),
                     CUDA_SUCCESS);
    while (vg_load_acquire(&h.slot->callback_head) == 0)
        ck_assert(now_ms() < end);
    for (uint16_t i = 0; i < 4; i++)
        seq = guest_send(&h, VG_CALL_SYNC, WORDS(VG_SYNC_STREAM, 0), NULL, 0, VG_F_REPLY,
                         (uint16_t)(i + 1));
    /* It is stopped, as if the driver held it. */
    ck_assert_int_eq(kill(h.pid, SIGSTOP), 0);
    while (vg_ring_reserve(&h.ring, 4096))
        POST(&h, VG_CALL_NOP, 0);
    vg_store_release(&h.slot->callback_tail, 1);
    ck_assert_int_eq(kill(h.pid, SIGCONT), 0);
    ck_assert(guest_done(&h, 4, seq, TEST_WAIT_MS));
    stop_cleanly();
}
END_TEST

START_TEST(objects_end_with_their_context)
{
    struct vg_result res;
    uint64_t ctx = host_ready(&h), p, stream;

    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    p = res.val[0];
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuStreamCreate, 1, 0), CUDA_SUCCESS);
    stream = res.val[0];
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuDevicePrimaryCtxReset_v2, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(h.stats->memory, 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, ctx), CUDA_ERROR_INVALID_CONTEXT);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_STREAM, stream),
                     CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemFree_v2, p), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuDevicePrimaryCtxRetain, 1, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, res.val[0]), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* Registered memory: the same bytes at a second address, until it is given up or the context ends.
 */
START_TEST(region_bytes_at_a_second_address)
{
    const uint64_t at = 0x7eb000000000ull;
    struct vg_result res;
    uint64_t off, p;

    host_ready(&h);
    off = guest_extents(&h, 2);
    memset(guest_at(&h, off), 0x5a, 2 * VG_EXTENT_SIZE);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, VG_EXTENT_SIZE), CUDA_SUCCESS);
    p = res.val[0];
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemcpyDtoD_v2, p, at, 64), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_ALIAS, at, off, 2 * VG_EXTENT_SIZE), CUDA_SUCCESS);
    ck_assert_int_ne(ASK(&h, NULL, VG_CALL_ALIAS, at, off, VG_EXTENT_SIZE), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_ALIAS, at + 1, off, 4096), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_ALIAS, at - 4096, 0, 4096), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_ALIAS, 0, off, 4096), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemsetD8_v2, at + 100, 0x11, 10), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_CONTEXT), CUDA_SUCCESS);
    ck_assert_uint_eq(guest_at(&h, off)[99], 0x5a);
    ck_assert_uint_eq(guest_at(&h, off)[100], 0x11);
    ck_assert_int_ne(ASK(&h, NULL, VG_CALL_UNALIAS, at, 4096), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_UNALIAS, at, 2 * VG_EXTENT_SIZE), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemsetD8_v2, at, 0, 1), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_ALIAS, at, off, VG_EXTENT_SIZE), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuDevicePrimaryCtxReset_v2, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuDevicePrimaryCtxRetain, 1, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, res.val[0]), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_ALIAS, at, off, VG_EXTENT_SIZE), CUDA_SUCCESS);
    /* Over a part of the old place and some more; then less of it. */
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_UNALIAS, at, VG_EXTENT_SIZE), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_ALIAS, at + VG_EXTENT_SIZE, off, 2 * VG_EXTENT_SIZE),
                     CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemsetD8_v2, at, 0, 1), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemsetD8_v2, at + 3 * VG_EXTENT_SIZE - 1, 0x77, 1),
                     CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_CONTEXT), CUDA_SUCCESS);
    ck_assert_uint_eq(guest_at(&h, off)[2 * VG_EXTENT_SIZE - 1], 0x77);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_UNALIAS, at + VG_EXTENT_SIZE, 2 * VG_EXTENT_SIZE),
                     CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_ALIAS, at + 4096, off, 4096), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

TCase *work_cases(void)
{
    TCase *work = tcase_create("work");

    tcase_set_timeout(work, 40);
    tcase_add_test(work, copies_there_and_back);
    tcase_add_test(work, gives_staging_chunks_back);
    tcase_add_test(work, latches_the_first_error);
    tcase_add_test(work, a_wait_blocks_nobody_else);
    tcase_add_test(work, a_stream_given_something_is_waited_for);
    tcase_add_test(work, many_waits_are_all_answered);
    tcase_add_test(work, launches_a_kernel);
    tcase_add_test(work, variables_are_memory_of_the_module);
    tcase_add_test(work, bad_images_fail_and_say_why);
    tcase_add_test(work, an_image_may_come_in_parts);
    tcase_add_test(work, host_functions_run_in_the_guest);
    tcase_add_test(work, a_callback_ends_while_the_ring_is_full);
    tcase_add_test(work, objects_end_with_their_context);
    tcase_add_test(work, region_bytes_at_a_second_address);
    return work;
}
