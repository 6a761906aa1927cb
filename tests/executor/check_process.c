/* SPDX-License-Identifier: MIT */
/* A real executor process, driven as a guest would and as no guest should. */
#include <check.h>
#include <dirent.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/executor/cases.h"
#include "vg_atomic.h"
#include "vg_codec.h"

struct host h;

void stop_cleanly(void)
{
    int status = host_stop(&h);

    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x", (unsigned)status);
}

void expect_gone(enum vg_gone_reason reason)
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

static unsigned open_fds(pid_t pid)
{
    char path[64];
    unsigned n = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* A mediator that has taken over does not know whether its executors have their slots. */
START_TEST(takes_its_job_once)
{
    int left = 1;

    host_init(&h);
    ck_assert_msg(host_start(&h), "executor: %s", h.said.text);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    unsigned before = open_fds(h.pid);
    host_send_job(&h);
    for (int i = 0; i < 10000 && left > 0; i++) {
        ck_assert_int_eq(ioctl(h.control, SIOCOUTQ, &left), 0);
        usleep(1000);
    }
    ck_assert_int_eq(left, 0);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    ck_assert_uint_eq(open_fds(h.pid), before);
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

START_TEST(goes_first_when_memory_runs_out)
{
    char path[64];
    int score = 0;

    host_ready(&h);
    snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)h.pid);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%d", &score), 1);
    fclose(f);
    ck_assert_int_eq(score, 1000);
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
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuMemGetHandleForAddressRange),
                     CUDA_ERROR_NOT_SUPPORTED);
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
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_cuGraphLaunch, ctx, 0), CUDA_ERROR_INVALID_VALUE);
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
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_PIN, 0, 64), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_PIN, off, 0), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_PIN, off, UINT64_MAX), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_PIN, off, TEST_REGION_SIZE), CUDA_ERROR_INVALID_VALUE);
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

int main(void)
{
    if (!host_available())
        return 77;
    Suite *s = suite_create("executor");
    TCase *life = tcase_create("life"), *hostile = tcase_create("hostile");

    tcase_set_timeout(life, 40);
    tcase_add_test(life, answers_a_nop);
    tcase_add_test(life, takes_its_job_once);
    tcase_add_test(life, ends_when_the_mediator_hangs_up);
    tcase_add_test(life, gives_up_its_privileges);
    tcase_add_test(life, goes_first_when_memory_runs_out);
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
    suite_add_tcase(s, life);
    suite_add_tcase(s, hostile);
    suite_add_tcase(s, work_cases());
    suite_add_tcase(s, array_cases());
    suite_add_tcase(s, ahead_cases());
    suite_add_tcase(s, aside_cases());
    suite_add_tcase(s, held_cases());
    suite_add_tcase(s, copying_cases());
    suite_add_tcase(s, graph_cases());
    suite_add_tcase(s, limit_cases());
    suite_add_tcase(s, image_cases());
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
