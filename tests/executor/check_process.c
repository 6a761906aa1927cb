/* SPDX-License-Identifier: MIT */
/* A real executor process, driven as a guest would and as no guest should. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/executor/harness.h"
#include "vg_atomic.h"
#include "vg_codec.h"

static struct host h;

static void stop_cleanly(void)
{
    int status = host_stop(&h);

    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x", (unsigned)status);
}

/* The executor must end by itself, with this reason, published to the guest. */
static void expect_gone(enum vg_gone_reason reason)
{
    int status = host_wait(&h);

    ck_assert_msg(WIFEXITED(status), "status 0x%x", (unsigned)status);
    ck_assert_int_eq(WEXITSTATUS(status), 10 + (int)reason);
    ck_assert_uint_eq(h.slot->state, VG_SLOT_GONE);
    ck_assert_uint_eq(h.slot->reason, reason);
}

/* ---- Start and end ---- */

START_TEST(answers_a_nop)
{
    host_init(&h);
    ck_assert_msg(host_start(&h), "executor: %s", h.said.text);
    ck_assert_uint_eq(h.slot->state, VG_SLOT_READY);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    ck_assert_uint_eq(h.stats->magic, VG_STATS_MAGIC);
    ck_assert_uint_eq(h.stats->call[VG_CALL_NOP], 1);
    stop_cleanly();
}
END_TEST

START_TEST(ends_when_the_mediator_hangs_up)
{
    host_ready(&h);
    stop_cleanly();
}
END_TEST

START_TEST(gives_up_its_privileges)
{
    char path[64], line[256];
    int no_new_privs = -1, seccomp = -1;

    host_ready(&h);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)h.pid);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f)) {
        sscanf(line, "NoNewPrivs: %d", &no_new_privs);
        sscanf(line, "Seccomp: %d", &seccomp);
    }
    fclose(f);
    ck_assert_int_eq(no_new_privs, 1);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    ck_assert_int_eq(seccomp, 2);
#endif
    stop_cleanly();
}
END_TEST

/* Whoever sleeps on an answer must learn of the end: by hang-up, and by the signal. */
START_TEST(says_that_the_mediator_is_gone)
{
    host_ready(&h);
    if (_i == 0)
        close(h.control);
    else
        kill(h.pid, SIGTERM);
    int status = host_wait(&h);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x", (unsigned)status);
    ck_assert_uint_eq(h.slot->state, VG_SLOT_GONE);
    ck_assert_uint_eq(h.slot->reason, VG_GONE_MEDIATOR);
}
END_TEST

START_TEST(refuses_another_version)
{
    host_init(&h);
    h.slot->version = VG_PROTOCOL_VERSION + 1;
    ck_assert(!host_start(&h));
    ck_assert_uint_eq(h.said.type, VG_MSG_FAILED);
    ck_assert_uint_eq(h.said.token, VG_GONE_VERSION);
}
END_TEST

START_TEST(refuses_another_table)
{
    host_init(&h);
    h.slot->api_hash ^= 1;
    ck_assert(!host_start(&h));
    ck_assert_uint_eq(h.said.token, VG_GONE_VERSION);
}
END_TEST

START_TEST(refuses_bad_addresses)
{
    static const uint64_t bad[] = {
        0, 4096, 0x7ea000000001ull, 0x800000000000ull, UINT64_MAX - 4095, 0x7ffffffff000ull};

    host_init(&h);
    h.slot->address = bad[_i];
    ck_assert(!host_start(&h));
    ck_assert_uint_eq(h.said.token, VG_GONE_VERSION);
}
END_TEST

START_TEST(ends_without_heartbeat)
{
    host_init(&h);
    h.slot->has_warden = 1;
    ck_assert(host_start(&h));
    expect_gone(VG_GONE_LEASE);
}
END_TEST

/* ---- Snapshot ---- */

START_TEST(tells_about_the_device)
{
    uint64_t off;
    struct vg_result res;

    host_init(&h);
    ck_assert(host_start(&h));
    off = guest_extents(&h, 2);
    uint64_t arg[8] = {[6] = off, [7] = 2 * VG_EXTENT_SIZE};
    uint32_t seq = guest_send(&h, VG_CALL_SNAPSHOT, arg, 8, NULL, 0, VG_F_REPLY | VG_F_BULK, 3);
    ck_assert(guest_done(&h, 3, seq, TEST_WAIT_MS));
    res = vg_slot_cell(h.slot, 3)->result;
    ck_assert_uint_eq(res.result, 0);
    const struct vg_snapshot *s = (const struct vg_snapshot *)guest_at(&h, off);
    ck_assert_uint_eq(res.payload_len, s->size);
    ck_assert_uint_ge(s->driver_version, 12000);
    ck_assert_uint_ge(s->device_count, 1);
    ck_assert_uint_gt(s->device[0].total_memory, 0);
    ck_assert(s->device[0].attr_known[CU_DEVICE_ATTRIBUTE_WARP_SIZE]);
    ck_assert_int_eq(s->device[0].attr[CU_DEVICE_ATTRIBUTE_WARP_SIZE], 32);
    ck_assert_str_ne(s->device[0].name, "");
    stop_cleanly();
}
END_TEST

/* ---- Broken protocol: cut off, with the reason, never a crash ---- */

START_TEST(cuts_off_a_head_moved_back)
{
    host_ready(&h);
    vg_store_release(&h.slot->head, h.slot->tail - 16);
    uint64_t one = 1;
    ck_assert_int_eq((int)write(h.doorbell, &one, 8), 8);
    expect_gone(VG_GONE_PROTOCOL);
}
END_TEST

START_TEST(cuts_off_bad_frames)
{
    static const struct {
        uint32_t call;
        uint16_t flags, cell;
        uint64_t off, cap;
    } bad[] = {
        {VG_CALL_NOP, 4, 0, 0, 0},
        {VG_CALL_NOP, VG_F_REPLY, VG_CELLS, 0, 0},
        {VG_CALL_NOP, VG_F_REPLY, 0xffff, 0, 0},
        {VG_CALL_NOP, 0, 1, 0, 0},
        {VG_CALL_NOP, VG_F_BULK, 0, 0, 0},
        {VG_CALL_SNAPSHOT, VG_F_REPLY | VG_F_BULK, 0, 0, 4096},
        {VG_CALL_SNAPSHOT, VG_F_REPLY | VG_F_BULK, 0, TEST_REGION_SIZE - 64, 65},
        {VG_CALL_SNAPSHOT, VG_F_REPLY | VG_F_BULK, 0, TEST_REGION_SIZE - 64, UINT64_MAX},
    };
    uint64_t arg[8] = {[6] = bad[_i].off, [7] = bad[_i].cap};

    host_ready(&h);
    guest_send(&h, bad[_i].call, arg, 8, NULL, 0, bad[_i].flags, bad[_i].cell);
    expect_gone(VG_GONE_PROTOCOL);
}
END_TEST

START_TEST(cuts_off_bad_payloads)
{
    static const struct {
        uint32_t call;
        uint64_t arg[8];
        uint32_t len;
    } bad[] = {
        {VG_CALL_cuEventCreate, {2, 0}, 0},   /* a flag that is none */
        {VG_CALL_cuEventCreate, {1, 0}, 8},   /* bytes left over */
        {VG_CALL_cuMemPoolCreate, {1, 5}, 8}, /* struct of another size */
        {VG_CALL_cuMemPoolCreate, {1, UINT64_MAX}, 0},
        {VG_CALL_cuModuleGetGlobal_v2, {1, 1, 0, 9}, 8}, /* string without NUL */
        {VG_CALL_FUNCTION_GET, {0, 0}, 16},              /* likewise */
        {VG_CALL_COPY_IN, {0, 0, 0, 0, VG_STAGES + 1}, 0},
        {VG_CALL_SYNC, {99, 0}, 0},
        {VG_CALL_LAUNCH, {[VG_LAUNCH_SIZES] = 1ull << 40}, 0},
        {VG_CALL_LAUNCH, {[VG_LAUNCH_SIZES] = 16}, 8},
        {VG_CALL_LAUNCH, {[VG_LAUNCH_SIZES] = (uint64_t)UINT32_MAX << 32 | UINT32_MAX}, 8},
        {VG_CALL_IMAGE_LOAD, {7, 0, 4}, 8},
    };
    uint8_t payload[16];

    memset(payload, 'x', sizeof(payload));
    host_ready(&h);
    guest_send(&h, bad[_i].call, bad[_i].arg, 8, payload, bad[_i].len, VG_F_REPLY, 0);
    expect_gone(VG_GONE_PROTOCOL);
}
END_TEST

#ifndef __SANITIZE_THREAD__
/* Every byte of ring and control page written by somebody else all the time. */
static void *scribble(void *arg)
{
    unsigned seed = 1;
    uint8_t *ring = vg_slot_ring(h.slot);

    while (!vg_load_relaxed((bool *)arg)) {
        ring[(unsigned)rand_r(&seed) % VG_RING_SIZE] ^= (uint8_t)(1u << (rand_r(&seed) & 7));
        h.slot->stage_busy[rand_r(&seed) % VG_STAGES] ^= 1;
        h.slot->console_tail ^= (uint64_t)rand_r(&seed);
        h.slot->callback_tail ^= (uint64_t)rand_r(&seed);
    }
    return NULL;
}

START_TEST(survives_bytes_that_change_under_it)
{
    pthread_t thread;
    bool stop = false;
    uint8_t payload[1024] = {0};
    uint64_t end = now_ms() + 1500;

    host_ready(&h);
    ck_assert_int_eq(pthread_create(&thread, NULL, scribble, &stop), 0);
    while (now_ms() < end && h.slot->state == VG_SLOT_READY) {
        struct vg_call *c = vg_ring_reserve(&h.ring, sizeof(payload));
        if (!c)
            continue;
        memset(c, 0, offsetof(struct vg_call, payload_len));
        c->call = VG_CALL_COPY_INLINE;
        uint64_t one = 1;
        if (vg_ring_commit(&h.ring, c) && write(h.doorbell, &one, 8) != 8)
            break;
    }
    vg_store_relaxed(&stop, true);
    pthread_join(thread, NULL);
    int status = host_stop(&h);
    ck_assert_msg(WIFEXITED(status), "killed by signal: 0x%x", (unsigned)status);
    ck_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 10 + VG_GONE_PROTOCOL);
}
END_TEST
#endif

/* ---- Things the guest does not own ---- */

START_TEST(knows_no_other_calls)
{
    host_ready(&h);
    ck_assert_int_eq(ASK(&h, NULL, 0x0030), CUDA_ERROR_NOT_SUPPORTED);
    ck_assert_int_eq(ASK(&h, NULL, 0x00ff), CUDA_ERROR_NOT_SUPPORTED);
    ck_assert_int_eq(ASK(&h, NULL, 0x1fff), CUDA_ERROR_NOT_SUPPORTED);
    ck_assert_int_eq(ASK(&h, NULL, 0xffffffff), CUDA_ERROR_NOT_SUPPORTED);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuInit), CUDA_ERROR_NOT_SUPPORTED);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuIpcGetMemHandle), CUDA_ERROR_NOT_SUPPORTED);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

START_TEST(rejects_forged_handles)
{
    uint64_t ctx = host_ready(&h);
    uint64_t rejected = h.stats->rejected;

    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, ctx + 8), CUDA_ERROR_INVALID_CONTEXT);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, ctx), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_STREAM, ctx), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_EVENT, ctx), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SYNC, VG_SYNC_EVENT, 0), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuEventDestroy_v2, 0x1234), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuModuleUnload, ctx), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_LAUNCH, ctx), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphLaunch, ctx, 0), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_HOST_DONE, 77), CUDA_ERROR_INVALID_VALUE);
    ck_assert_uint_ge(h.stats->rejected, rejected + 6);
    stop_cleanly();
}
END_TEST

START_TEST(rejects_memory_of_others)
{
    struct vg_result res;
    uint64_t off, p;

    host_ready(&h);
    off = guest_extents(&h, 1);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 8192), CUDA_SUCCESS);
    p = res.val[0];
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_IN, p, off, 8192, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_IN, p, off, 8193, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_IN, p - 1, off, 1, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_IN, p + 8191, off, 2, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_IN, p, off, UINT64_MAX, 0),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, p, 0, 64, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, p, TEST_REGION_SIZE - 1, 2, 0),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemcpyDtoD_v2, p, (uintptr_t)&res, 64),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemsetD32_v2, p, 0, 2048), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemsetD32_v2, p, 0, 2049), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemsetD32_v2, p, 0, 1ull << 62),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemsetD2D8_v2, p, 4096, 1, 64, 2), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemsetD2D8_v2, p, 4096, 1, 64, 3),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemFree_v2, p + 256), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemFree_v2, p), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemFree_v2, p), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemFree_v2, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_IN, p, off, 1, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_uint_eq(h.stats->memory, 0);
    ck_assert_uint_eq(h.stats->memory_peak, 8192);
    stop_cleanly();
}
END_TEST

START_TEST(checks_pitched_copies)
{
    struct vg_result res;
    uint64_t off;
    CUDA_MEMCPY3D c;

    host_ready(&h);
    off = guest_extents(&h, 1);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    memset(&c, 0, sizeof(c));
    c.srcMemoryType = CU_MEMORYTYPE_HOST;
    c.srcHost = guest_at(&h, off);
    c.srcPitch = 128;
    c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    c.dstDevice = res.val[0];
    c.dstPitch = 256;
    c.WidthInBytes = 64;
    c.Height = 16;
    c.Depth = 1;
    for (unsigned i = 0; i < 2048; i++)
        guest_at(&h, off)[i] = (uint8_t)(i * 7);
#define COPY3D() guest_ask(&h, VG_CALL_COPY_3D, WORDS(0, 0), &c, sizeof(c), NULL)
    ck_assert_int_eq(COPY3D(), CUDA_SUCCESS);
    c.Height = 17;
    ck_assert_int_eq(COPY3D(), CUDA_ERROR_INVALID_VALUE);
    c.Height = SIZE_MAX;
    ck_assert_int_eq(COPY3D(), CUDA_ERROR_INVALID_VALUE);
    c.Height = 16;
    c.Depth = SIZE_MAX / 2;
    ck_assert_int_eq(COPY3D(), CUDA_ERROR_INVALID_VALUE);
    c.Depth = 1;
    c.dstXInBytes = SIZE_MAX - 32;
    ck_assert_int_eq(COPY3D(), CUDA_ERROR_INVALID_VALUE);
    c.dstXInBytes = 0;
    c.srcHost = h.slot;
    ck_assert_int_eq(COPY3D(), CUDA_ERROR_INVALID_VALUE);
    c.srcHost = &c;
    ck_assert_int_eq(COPY3D(), CUDA_ERROR_INVALID_VALUE);
    memset(guest_at(&h, off + 8192), 0, 4096);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_COPY_OUT, res.val[0], off + 8192, 4096, 0),
                     CUDA_SUCCESS);
    for (unsigned row = 0; row < 16; row++)
        ck_assert_mem_eq(guest_at(&h, off + 8192 + row * 256), guest_at(&h, off + row * 128), 64);
    stop_cleanly();
}
END_TEST

/* ---- Work ---- */

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
                     CUDA_ERROR_NOT_SUPPORTED);
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
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_HOST_DONE, 0xc0ffee), CUDA_SUCCESS);
    ck_assert(guest_done(&h, 1, seq, TEST_WAIT_MS));
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

int main(void)
{
    if (!host_available())
        return 77;
    Suite *s = suite_create("executor");
    TCase *life = tcase_create("life"), *hostile = tcase_create("hostile"),
          *work = tcase_create("work");

    tcase_set_timeout(life, 40);
    tcase_add_test(life, answers_a_nop);
    tcase_add_test(life, ends_when_the_mediator_hangs_up);
    tcase_add_test(life, gives_up_its_privileges);
    tcase_add_loop_test(life, says_that_the_mediator_is_gone, 0, 2);
    tcase_add_test(life, refuses_another_version);
    tcase_add_test(life, refuses_another_table);
    tcase_add_loop_test(life, refuses_bad_addresses, 0, 6);
    tcase_add_test(life, ends_without_heartbeat);
    tcase_add_test(life, tells_about_the_device);
    tcase_set_timeout(hostile, 40);
    tcase_add_test(hostile, cuts_off_a_head_moved_back);
    tcase_add_loop_test(hostile, cuts_off_bad_frames, 0, 8);
    tcase_add_loop_test(hostile, cuts_off_bad_payloads, 0, 12);
#ifndef __SANITIZE_THREAD__ /* the race is the test */
    tcase_add_test(hostile, survives_bytes_that_change_under_it);
#endif
    tcase_add_test(hostile, knows_no_other_calls);
    tcase_add_test(hostile, rejects_forged_handles);
    tcase_add_test(hostile, rejects_memory_of_others);
    tcase_add_test(hostile, checks_pitched_copies);
    tcase_set_timeout(work, 40);
    tcase_add_test(work, copies_there_and_back);
    tcase_add_test(work, gives_staging_chunks_back);
    tcase_add_test(work, latches_the_first_error);
    tcase_add_test(work, a_wait_blocks_nobody_else);
    tcase_add_test(work, many_waits_are_all_answered);
    tcase_add_test(work, launches_a_kernel);
    tcase_add_test(work, variables_are_memory_of_the_module);
    tcase_add_test(work, bad_images_fail_and_say_why);
    tcase_add_test(work, an_image_may_come_in_parts);
    tcase_add_test(work, host_functions_run_in_the_guest);
    tcase_add_test(work, objects_end_with_their_context);
    tcase_add_test(work, region_bytes_at_a_second_address);
    suite_add_tcase(s, life);
    suite_add_tcase(s, hostile);
    suite_add_tcase(s, work);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
