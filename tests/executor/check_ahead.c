/* SPDX-License-Identifier: MIT */
/* An executor that is started before there is a guest for it. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/executor/cases.h"

static void spawn_idle(void)
{
    host_init(&h);
    host_spawn(&h);
    ck_assert_msg(host_idle(&h), "executor: %s", h.said.text);
}

/* The value of a line of /proc/PID/status. */
static int status_of(const char *line_format)
{
    char path[64], line[256];
    int value = -1;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)h.pid);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f))
        sscanf(line, line_format, &value);
    fclose(f);
    return value;
}

/* All that restricts it holds before it has seen a byte of any guest. */
START_TEST(waits_with_nothing_left_to_give_up)
{
    spawn_idle();
    ck_assert_str_ne(h.said.text, "");
    ck_assert_int_eq(status_of("NoNewPrivs: %d"), 1);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    ck_assert_int_eq(status_of("Seccomp: %d"), 2);
#endif
    ck_assert_uint_eq(h.stats->magic, 0);
    stop_cleanly();
}
END_TEST

START_TEST(serves_what_it_is_given)
{
    struct vg_result res;

    spawn_idle();
    ck_assert_msg(host_give(&h), "executor: %s", h.said.text);
    ck_assert_uint_eq(h.slot->state, VG_SLOT_READY);
    ck_assert_uint_eq(h.stats->guest_pid, (uint32_t)getpid());
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuDevicePrimaryCtxRetain, 1, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_SET_CONTEXT, res.val[0]), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(&h, &res, VG_CALL_cuMemAlloc_v2, 1, 4096), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

/* The snapshot made ahead is the one that an executor makes when it is asked. */
START_TEST(tells_the_same_about_the_device)
{
    struct vg_snapshot *s[2];
    struct vg_result res;

    for (int i = 0; i < 2; i++) {
        host_init(&h);
        host_spawn(&h);
        if (i == 1)
            ck_assert(host_idle(&h));
        ck_assert(host_give(&h));
        uint64_t off = guest_extents(&h, 1);
        const uint64_t arg[8] = {[6] = off, [7] = VG_EXTENT_SIZE};
        uint32_t seq = guest_send(&h, VG_CALL_SNAPSHOT, arg, 8, NULL, 0, VG_F_REPLY | VG_F_BULK, 0);
        ck_assert(guest_done(&h, 0, seq, TEST_WAIT_MS));
        res = vg_slot_cell(h.slot, 0)->result;
        ck_assert_int_eq(res.result, CUDA_SUCCESS);
        s[i] = malloc(res.payload_len);
        memcpy(s[i], guest_at(&h, off), res.payload_len);
        ck_assert_uint_eq(s[i]->size, res.payload_len);
        for (uint32_t d = 0; d < s[i]->device_count; d++)
            s[i]->device[d].default_pool = 0;
        stop_cleanly();
    }
    ck_assert_uint_eq(s[0]->size, s[1]->size);
    ck_assert_mem_eq(s[0], s[1], s[0]->size);
    free(s[0]);
    free(s[1]);
}
END_TEST

START_TEST(checks_the_guest_all_the_same)
{
    host_init(&h);
    h.slot->api_hash ^= 1;
    host_spawn(&h);
    ck_assert(host_idle(&h));
    ck_assert(!host_give(&h));
    ck_assert_uint_eq(h.said.type, VG_MSG_FAILED);
    ck_assert_uint_eq(h.said.token, VG_GONE_VERSION);
}
END_TEST

/* The place where guests like to have their region is free even beside a driver at work. */
START_TEST(keeps_the_usual_places_free)
{
    static const uint64_t places[] = {VG_REGION_PLACES};

    host_init(&h);
    h.slot->address = places[_i % (sizeof(places) / sizeof(places[0]))] + (uint64_t)_i * VG_PAGE;
    host_spawn(&h);
    ck_assert(host_idle(&h));
    ck_assert_msg(host_give(&h), "executor: %s", h.said.text);
    ck_assert_int_eq(ASK(&h, NULL, VG_CALL_NOP), CUDA_SUCCESS);
    stop_cleanly();
}
END_TEST

START_TEST(ends_by_signal_while_it_waits)
{
    spawn_idle();
    kill(h.pid, SIGTERM);
    int status = host_wait(&h);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x", (unsigned)status);
}
END_TEST

START_TEST(takes_no_malformed_job)
{
    struct vg_msg m = {.type = _i ? VG_MSG_SERVE : VG_MSG_HELLO, .region_size = TEST_REGION_SIZE,
                       .slot_count = TEST_SLOTS};

    spawn_idle();
    /* Without a region it is none. */
    ck_assert_int_eq((int)send(h.control, &m, sizeof(m), 0), (int)sizeof(m));
    int status = host_wait(&h);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 10 + VG_GONE_CRASHED,
                  "status 0x%x", (unsigned)status);
}
END_TEST

/*
 * Whoever was started to stay who it is, which may be root, serves no VM that has a user of its
 * own: it ends, and neither the daemon nor the guest is told a reason, so another takes its place.
 */
START_TEST(ends_untold_rather_than_serve_as_itself)
{
    spawn_idle();
    h.user = 2100000001;
    host_send_job(&h);
    int status = host_wait(&h);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 10 + VG_GONE_CRASHED,
                  "status 0x%x", (unsigned)status);
    struct vg_msg said;
    ck_assert_int_eq((int)recv(h.control, &said, sizeof(said), 0), 0);
    ck_assert_uint_eq(h.slot->state, VG_SLOT_ATTACHING);
    ck_assert_uint_eq(h.slot->reason, VG_GONE_NONE);
}
END_TEST

TCase *ahead_cases(void)
{
    TCase *t = tcase_create("ahead");

    tcase_set_timeout(t, 40);
    tcase_add_test(t, waits_with_nothing_left_to_give_up);
    tcase_add_test(t, serves_what_it_is_given);
    tcase_add_test(t, tells_the_same_about_the_device);
    tcase_add_test(t, checks_the_guest_all_the_same);
    tcase_add_loop_test(t, keeps_the_usual_places_free, 0, 4);
    tcase_add_test(t, ends_by_signal_while_it_waits);
    tcase_add_loop_test(t, takes_no_malformed_job, 0, 2);
    tcase_add_test(t, ends_untold_rather_than_serve_as_itself);
    return t;
}
