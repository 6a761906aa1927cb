/* SPDX-License-Identifier: MIT */
/* Executors that crash, hang, babble or never start. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mediator/base/file.h"
#include "mediator/base/sock.h"
#include "mediator/base/util.h"
#include "suite.h"

static void executor_goes(const char *mode, enum vg_gone_reason reason, const char *fault)
{
    struct peer p;

    start(mode);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(1, 1)));
    peer_wait_slot(&p, 1, VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 1)->reason, reason);
    /* It counts when it has been reaped, the guest may hear of it sooner. */
    for (uint64_t end = now_ms() + TEST_WAIT_MS; health_fault(fault) != 1 && now_ms() < end;)
        sleep_ms(2);
    ck_assert_int_eq(health_fault(fault), 1);
    /* The slot stays taken until the guest gives it back. */
    peer_tell(&p, VG_MSG_ATTACH, TOKEN(1, 2));
    peer_expect(&p, VG_MSG_REFUSED, TOKEN(1, 2));
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(1, 1));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(1, 1));
    peer_close(&p);
    finish();
}

START_TEST(executor_crashes)
{
    executor_goes("crash", VG_GONE_CRASHED, "crashed");
}
END_TEST

START_TEST(executor_ends_with_a_reason)
{
    executor_goes("exit15", VG_GONE_TIMEOUT, "timeout");
}
END_TEST

/* The guest process and its warden are dead: no RELEASE will come. */
START_TEST(slot_of_a_dead_guest_process_is_freed)
{
    struct peer p;

    start("exit17");
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(1, 1)));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(1, 1));
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 1)->reason, VG_GONE_LEASE);
    ck_assert_int_eq(health_fault("lease"), 1);
    close(peer_attach(&p, TOKEN(1, 2)));
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(executor_cannot_start)
{
    executor_goes("fail", VG_GONE_NO_GPU, "no-gpu");
}
END_TEST

/* After an executor found no GPU the mediator is not well, and says why. */
START_TEST(no_gpu_shows)
{
    json_object *o, *health;
    struct peer p;

    start("fail");
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    peer_wait_slot(&p, 0, VG_SLOT_GONE);
    ck_assert_int_eq(vm_number("vm1", "faults"), 1);
    o = control_ask(&d, "{\"op\":\"show-health\"}");
    ck_assert(json_object_object_get_ex(o, "health", &health));
    ck_assert_str_eq(json_text(health, "status"), "unusable");
    ck_assert_str_eq(json_text(health, "problem"), "the latest executor failed: no GPU here");
    json_object_put(o);
    peer_close(&p);
    finish();
}
END_TEST

/* Not so if a guest has chosen a GPU that is not there: that says nothing of the host. */
START_TEST(a_guests_choice_says_nothing_of_the_host)
{
    json_object *o, *health;
    struct vg_slot *slot;
    struct peer p;

    start("fail");
    peer_hello_device(&p, &d, "vm1");
    slot = vg_region_slot(p.base, &p.layout, 0);
    slot->visible[0] = 63;
    slot->visible_count = 1;
    close(peer_attach(&p, TOKEN(0, 1)));
    peer_wait_slot(&p, 0, VG_SLOT_GONE);
    ck_assert_uint_eq(slot->reason, VG_GONE_NO_GPU);
    o = control_ask(&d, "{\"op\":\"show-health\"}");
    ck_assert(json_object_object_get_ex(o, "health", &health));
    ck_assert_str_eq(json_text(health, "status"), "ok");
    ck_assert_str_eq(json_text(health, "problem"), "");
    json_object_put(o);
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(executor_sends_garbage)
{
    executor_goes("garbage", VG_GONE_CRASHED, "crashed");
}
END_TEST

START_TEST(executor_closes_its_control_socket)
{
    executor_goes("deaf", VG_GONE_CRASHED, "crashed");
}
END_TEST

START_TEST(executor_killed)
{
    struct peer a, b;
    pid_t pids[2];

    start(NULL);
    peer_hello_device(&a, &d, "vm1");
    peer_hello_device(&b, &d, "vm2");
    close(peer_attach(&a, TOKEN(0, 1)));
    daemon_wait_children(&d, 1);
    daemon_children(&d, pids, 1);
    close(peer_attach(&b, TOKEN(0, 1)));
    kill(pids[0], SIGKILL);
    peer_wait_slot(&a, 0, VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(a.base, &a.layout, 0)->reason, VG_GONE_CRASHED);
    /* The neighbour does not notice. */
    ck_assert_uint_eq(peer_slot_state(&b, 0), VG_SLOT_ATTACHING);
    ck_assert_int_eq(vm_number("vm2", "faults"), 0);
    ck_assert_int_eq(vm_number("vm1", "faults"), 1);
    peer_close(&a);
    peer_close(&b);
    finish();
}
END_TEST

START_TEST(stubborn_executor_is_killed)
{
    struct peer p;
    uint64_t before;

    start("stubborn");
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    /* SIGTERM before it ignores it would make this test say nothing. */
    for (unsigned i = 0; i < 1000 && vm_number("vm1", "calls") == 0; i++)
        sleep_ms(5);
    before = now_ms();
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, 1));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(0, 1));
    ck_assert_uint_ge(now_ms() - before, 400);
    ck_assert_uint_le(now_ms() - before, 2000);
    close(peer_attach(&p, TOKEN(0, 2)));
    sleep_ms(50);
    finish();   /* two seconds suffice for a stubborn one too */
    peer_close(&p);
}
END_TEST

START_TEST(executor_that_never_gets_ready)
{
    static const char *const settings[] = { "start_timeout_s=1", NULL };
    struct peer p;

    daemon_start(&d, "mute", settings);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    peer_wait_slot(&p, 0, VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 0)->reason, VG_GONE_NO_GPU);
    daemon_wait_children(&d, 0);
    peer_close(&p);
    finish();
}
END_TEST

static void last_argument_is(const char *const *settings, const char *expected)
{
    json_object *o, *health;
    struct peer p;

    daemon_start(&d, "spin", settings);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    for (unsigned i = 0; i < 1000; i++) {
        bool done;

        o = control_ask(&d, "{\"op\":\"show-health\"}");
        ck_assert(json_object_object_get_ex(o, "health", &health));
        done = strcmp(json_text(health, "device"), expected) == 0;
        json_object_put(o);
        if (done)
            break;
        ck_assert_uint_lt(i, 999);
        sleep_ms(5);
    }
    peer_close(&p);
    finish();
}

START_TEST(spin_time_is_passed_on)
{
    static const char *const settings[] = { "executor_uid=0", "spin_us=20000", NULL };
    static const char *const none[] = { "executor_uid=0", NULL };

    last_argument_is(settings, "20000");
    last_argument_is(none, "/nowhere/libvgpu-softcuda.so");
}
END_TEST

START_TEST(user_is_passed_on)
{
    static const char *const settings[] = { "executor_uid=1234567", NULL };

    /* Nobody but root can give one. */
    last_argument_is(settings, geteuid() == 0 ? "1234567" : "/nowhere/libvgpu-softcuda.so");
}
END_TEST

/* The driver's own cache is told by the environment, and by whose home that is. */
START_TEST(code_is_kept_where_the_driver_keeps_none)
{
    const char *settings[] = { "backend=cuda", "cuda_library=/nowhere/cuda", "jit_cache=yes",
                               "executor_uid=0", NULL };

    setenv("HOME", "/nowhere", 1);
    last_argument_is(settings, "--jit-cache");
    settings[2] = "jit_cache=auto";
    last_argument_is(settings, "/nowhere/cuda");
    settings[3] = "executor_uid=1234567";
    last_argument_is(settings, geteuid() == 0 ? "--jit-cache" : "/nowhere/cuda");
    settings[3] = "executor_uid=0";
    unsetenv("HOME");
    unsetenv("CUDA_CACHE_PATH");
    last_argument_is(settings, "--jit-cache");
    settings[2] = "jit_cache=no";
    last_argument_is(settings, "/nowhere/cuda");
}
END_TEST

/* It was there when the daemon started, which looks, and then went away. */
START_TEST(missing_executor_is_refused)
{
    char setting[64] = "executor=/tmp/vgpu-executor-XXXXXX";
    const char *const settings[] = { setting, NULL };
    char *path = setting + strlen("executor=");
    int fd = mkstemp(path);
    struct peer p;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fchmod(fd, 0700), 0);
    close(fd);
    daemon_start(&d, NULL, settings);
    ck_assert_int_eq(unlink(path), 0);
    peer_hello_device(&p, &d, "vm1");
    peer_tell(&p, VG_MSG_ATTACH, TOKEN(0, 1));
    peer_expect(&p, VG_MSG_REFUSED, TOKEN(0, 1));
    ck_assert_uint_eq(peer_slot_state(&p, 0), VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 0)->reason, VG_GONE_REFUSED);
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, 1));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(0, 1));
    peer_close(&p);
    finish();
}
END_TEST

void add_executors(Suite *s)
{
    ADD(s, "executors", executor_crashes, executor_ends_with_a_reason,
        slot_of_a_dead_guest_process_is_freed, executor_cannot_start, no_gpu_shows,
        a_guests_choice_says_nothing_of_the_host,
        executor_sends_garbage, executor_closes_its_control_socket, executor_killed,
        stubborn_executor_is_killed, executor_that_never_gets_ready, spin_time_is_passed_on,
        user_is_passed_on, code_is_kept_where_the_driver_keeps_none,
        missing_executor_is_refused);
}
