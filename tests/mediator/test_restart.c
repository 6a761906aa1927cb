/* SPDX-License-Identifier: MIT */
/*
 * The daemon's end with executors running, and the next one's start: nobody notices,
 * nothing is lost or counted twice, and in the end nothing is left.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
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
#include "mediator/vg_keep.h"
#include "suite.h"
#include "restart.h"

/* ---- what goes on ---- */

START_TEST(an_executor_serves_on)
{
    struct peer p;
    pid_t pid;

    restart_begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(2, 1)));
    pid = restart_executor_pid("vm1");
    restart_wait_number("vm1", "calls", 10);
    for (unsigned i = 0; i < 3; i++) {
        restart_kill();
        ck_assert_int_eq(restart_executor_pid("vm1"), pid);
        ck_assert_int_eq(vm_number("vm1", "calls"), 10);
        ck_assert_int_eq(vm_number("vm1", "memory_bytes"), 1 << 20);
        ck_assert_int_eq(vm_number("vm1", "executors_started"), 1);
    }
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(2, 1));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(2, 1));
    restart_wait_dead(pid);
    close(peer_attach(&p, TOKEN(2, 2)));
    restart_wait_number("vm1", "calls", 20);
    ck_assert_int_eq(health_fault("crashed"), 0);
    peer_close(&p);
    restart_end();
}
END_TEST

START_TEST(totals_outlive_the_daemon)
{
    struct peer p;

    restart_begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    for (unsigned gen = 1; gen <= 4; gen++) {
        peer_tell(&p, VG_MSG_ATTACH, TOKEN(0, gen));
        restart_expect_answer(&p, VG_MSG_ATTACHED, TOKEN(0, gen));
        restart_wait_number("vm1", "calls", 10 * (int64_t)gen);
        if (gen % 2)
            restart_kill();
        peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, gen));
        restart_expect_answer(&p, VG_MSG_SLOT_FREE, TOKEN(0, gen));
        if (gen % 2 == 0)
            restart_kill();
    }
    ck_assert_int_eq(vm_number("vm1", "calls"), 40);
    ck_assert_int_eq(vm_number("vm1", "bytes_in"), 4 * 4096);
    ck_assert_int_eq(vm_number("vm1", "memory_bytes"), 0);
    ck_assert_int_eq(vm_number("vm1", "executors_started"), 4);
    peer_close(&p);
    restart_end();
}
END_TEST

START_TEST(what_is_said_meanwhile_is_heard)
{
    struct peer p, q;
    struct vg_msg msg = { .type = VG_MSG_HELLO, .version = VG_PROTOCOL_VERSION,
                          .role = VG_ROLE_PROCESS, .name = "late" };
    int fd;

    restart_begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    restart_executor_pid("vm1");
    daemon_kill(&d);
    /* One slot is given back, another taken, and somebody new comes. */
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, 1));
    peer_tell(&p, VG_MSG_ATTACH, TOKEN(1, 1));
    peer_connect(&q, &d);
    peer_send(&q, &msg, -1);
    restart_again(NULL);
    fd = peer_expect(&p, VG_MSG_ATTACHED, TOKEN(1, 1));
    ck_assert_int_ge(fd, 0);
    close(fd);
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(0, 1));
    close(peer_expect(&q, VG_MSG_WELCOME, 0));
    close(peer_attach(&q, TOKEN(0, 0)));
    restart_executor_pid("late");
    peer_close(&p);
    peer_close(&q);
    restart_wait_number("vm1", "executors", 0);
    restart_wait_number("late", "executors", 0);
    restart_end();
}
END_TEST

START_TEST(the_pool_is_taken_over)
{
    const char *const settings[] = { "keep=crash", "prestart=1", NULL };
    struct peer p;
    pid_t pids[2], pid;

    daemon_start(&d, NULL, settings);
    for (unsigned i = 0; restart_health_number("executors_ready") != 1; i++) {
        ck_assert_uint_lt(i, TEST_WAIT_MS / 5);
        sleep_ms(5);
    }
    ck_assert_uint_eq(daemon_children(&d, pids, 2), 2);
    pid = pids[0] == restart_keeper_pid() ? pids[1] : pids[0];
    daemon_kill(&d);
    ck_assert(restart_lives(pid));
    daemon_restart_with(&d, NULL, settings);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    ck_assert_int_eq(restart_executor_pid("vm1"), pid);
    peer_close(&p);
    restart_wait_dead(pid);
    restart_end();
}
END_TEST

/* Registered or only met, with what an administrator gave it. */
START_TEST(vms_keep_their_policy)
{
    struct peer p;
    json_object *o, *vm;

    restart_begin(NULL);
    json_object_put(control_ask(&d, "{\"op\":\"register-vm\",\"vm_name\":\"vm1\","
                                    "\"weight\":\"80\",\"pool\":\"B\"}"));
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    restart_kill();
    o = control_ask(&d, "{\"op\":\"show-vm\",\"vm_name\":\"vm1\"}");
    ck_assert(json_object_object_get_ex(o, "vm", &vm));
    ck_assert_int_eq(json_number(vm, "weight"), 80);
    ck_assert_str_eq(json_text(vm, "pool"), "B");
    ck_assert_int_eq(json_number(vm, "peers"), 1);
    json_object_put(o);
    peer_close(&p);
    restart_end();
}
END_TEST

/* One that only watches keeps its page, and is a watcher still. */
START_TEST(a_monitor_stays)
{
    struct vg_msg msg = { .type = VG_MSG_HELLO, .version = VG_PROTOCOL_VERSION,
                          .role = VG_ROLE_MONITOR };
    struct pollfd f = { .events = 0 };
    struct peer p;

    restart_begin(NULL);
    peer_connect(&p, &d);
    peer_send(&p, &msg, -1);
    close(peer_expect(&p, VG_MSG_WELCOME, 0));
    ck_assert_int_eq(restart_health_number("executors"), 0);
    restart_kill();
    ck_assert_int_ge(restart_health_number("peers"), 1);
    f.fd = p.sock;
    ck_assert_int_eq(poll(&f, 1, 0), 0);
    /* It may attach nothing, which the new one knows too. */
    peer_tell(&p, VG_MSG_ATTACH, 0);
    peer_expect_end(&p);
    peer_close(&p);
    restart_end();
}
END_TEST

/* ---- what ends meanwhile ---- */

START_TEST(a_peer_dies_meanwhile)
{
    struct peer p;
    pid_t pid;

    restart_begin(NULL);
    peer_hello_process(&p, &d, "app");
    close(peer_attach(&p, 0));
    pid = restart_executor_pid("app");
    restart_wait_number("app", "calls", 10);
    daemon_kill(&d);
    peer_close(&p);
    restart_again(NULL);
    restart_wait_dead(pid);
    restart_wait_number("app", "executors", 0);
    ck_assert_int_eq(vm_number("app", "calls"), 10);
    ck_assert_int_eq(health_fault("crashed"), 0);
    restart_end();
}
END_TEST

START_TEST(an_executor_dies_meanwhile)
{
    struct peer p;
    pid_t pid;

    restart_begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = restart_executor_pid("vm1");
    restart_wait_number("vm1", "calls", 10);
    daemon_kill(&d);
    kill(pid, SIGKILL);
    restart_wait_dead(pid);
    restart_again(NULL);
    peer_wait_slot(&p, 0, VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 0)->reason, VG_GONE_CRASHED);
    restart_wait_number("vm1", "faults", 1);
    ck_assert_int_eq(vm_number("vm1", "calls"), 10);
    restart_kill();
    ck_assert_int_eq(vm_number("vm1", "faults"), 1);
    ck_assert_int_eq(vm_number("vm1", "calls"), 10);
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, 1));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(0, 1));
    peer_close(&p);
    restart_end();
}
END_TEST

/* And one that dies under the next daemon, whose child it is not. */
START_TEST(an_executor_dies_later)
{
    struct peer p;
    pid_t pid;

    restart_begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = restart_executor_pid("vm1");
    restart_kill();
    kill(pid, SIGKILL);
    peer_wait_slot(&p, 0, VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 0)->reason, VG_GONE_CRASHED);
    ck_assert_int_eq(health_fault("crashed"), 1);
    peer_close(&p);
    restart_end();
}
END_TEST

/* It was asked to end and does not; the next daemon sees to it. */
START_TEST(a_stubborn_one_is_killed_by_the_next)
{
    struct peer p;
    pid_t pid;

    restart_begin("stubborn");
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = restart_executor_pid("vm1");
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, 1));
    json_object_put(control_ask(&d, "{\"op\":\"list\"}"));
    restart_kill();
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(0, 1));
    restart_wait_dead(pid);
    peer_close(&p);
    restart_end();
}
END_TEST

/* The keeper holds a copy of its socket, of which the peer must not notice. */
START_TEST(a_peer_is_cut_off_all_the_same)
{
    struct peer p;
    pid_t pid;

    restart_begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = restart_executor_pid("vm1");
    restart_kill();
    peer_send_raw(&p, "nonsense", 8);
    peer_expect_end(&p);
    restart_wait_dead(pid);
    peer_close(&p);
    restart_end();
}
END_TEST

/* ---- stopping ---- */

START_TEST(an_upgrade_leaves_executors)
{
    const char *const always[] = { "keep=always", NULL };
    struct peer p;
    pid_t pid, keeper;

    daemon_start(&d, NULL, always);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = restart_executor_pid("vm1");
    keeper = restart_wait_keeper(0);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(daemon_stop(&d), 0);
        ck_assert(restart_lives(pid) && restart_lives(keeper));
        daemon_restart_with(&d, NULL, always);
        ck_assert_int_eq(restart_executor_pid("vm1"), pid);
        ck_assert_int_eq(restart_keeper_pid(), keeper);
    }
    ck_assert_int_eq(daemon_signal(&d, SIGINT), 0);
    peer_expect_end(&p);
    restart_wait_dead(pid);
    restart_wait_dead(keeper);
    ck_assert_int_eq(access(d.socket, F_OK), -1);
    peer_close(&p);
    daemon_clean(&d);
}
END_TEST

/* A daemon that is told to keep nothing still takes over, for the last time. */
START_TEST(the_setting_can_be_taken_back)
{
    const char *const never[] = { "keep=never", NULL };
    struct peer p;
    pid_t pid, keeper;

    restart_begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = restart_executor_pid("vm1");
    keeper = restart_wait_keeper(0);
    daemon_kill(&d);
    daemon_restart_with(&d, NULL, never);
    restart_wait_dead(keeper);
    ck_assert_int_eq(restart_executor_pid("vm1"), pid);
    daemon_kill(&d);
    peer_expect_end(&p);
    restart_wait_dead(pid);
    peer_close(&p);
    daemon_clean(&d);
}
END_TEST

/* ---- at any moment ---- */

/* Kills and restarts the daemon under the parent's feet; where, chance decides. */
static void trouble_maker(unsigned seed, unsigned times)
{
    srand(seed);
    for (unsigned i = 0; i < times; i++) {
        usleep((useconds_t)(rand() % 20000));
        kill(d.pid, SIGKILL);
        while (waitpid(d.pid, NULL, 0) < 0 && errno == EINTR)
            ;
        restart_again(NULL);
    }
}

START_TEST(attaches_under_kills)
{
    struct peer p;
    unsigned uses = 0;
    pid_t maker, daemon, keeper;
    int done[2], go[2];
    char c;

    ck_assert_int_eq(pipe(done), 0);
    ck_assert_int_eq(pipe(go), 0);
    maker = fork();
    if (maker == 0) {
        restart_begin(NULL);
        ck_assert_int_eq(write(done[1], &d, sizeof(d)), (ssize_t)sizeof(d));
        ck_assert_int_eq(read(go[0], &c, 1), 1);
        trouble_maker(1, 10);
        ck_assert_int_eq(write(done[1], "x", 1), 1);
        pause();
    }
    ck_assert_int_eq(read(done[0], &d, sizeof(d)), (ssize_t)sizeof(d));
    peer_hello_device(&p, &d, "vm1");
    /* One that was welcomed in the daemon's last moment has to come again. */
    ck_assert_int_eq(restart_health_number("executors"), 0);
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    for (struct pollfd f = { done[0], POLLIN, 0 }; poll(&f, 1, 0) == 0 && uses < 60000;) {
        uses++;
        peer_tell(&p, VG_MSG_ATTACH, TOKEN(0, uses));
        restart_expect_answer(&p, VG_MSG_ATTACHED, TOKEN(0, uses));
        peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, uses));
        restart_expect_answer(&p, VG_MSG_SLOT_FREE, TOKEN(0, uses));
    }
    ck_assert_int_eq(read(done[0], &c, 1), 1);
    ck_assert_int_eq(vm_number("vm1", "executors_started"), (int64_t)uses);
    ck_assert_int_eq(vm_number("vm1", "executors"), 0);
    peer_close(&p);
    /* The last daemon is the other one's child: this one can only ask it to go. */
    daemon = (pid_t)restart_health_number("pid");
    keeper = restart_wait_keeper(0);
    kill(daemon, SIGTERM);
    restart_wait_dead(daemon);
    restart_wait_dead(keeper);
    kill(maker, SIGKILL);
    waitpid(maker, NULL, 0);
    daemon_clean(&d);
}
END_TEST

void add_restart(Suite *s)
{
    ADD(s, "restart", an_executor_serves_on, totals_outlive_the_daemon,
        what_is_said_meanwhile_is_heard, the_pool_is_taken_over, vms_keep_their_policy,
        a_monitor_stays,
        a_peer_dies_meanwhile, an_executor_dies_meanwhile, an_executor_dies_later,
        a_stubborn_one_is_killed_by_the_next, a_peer_is_cut_off_all_the_same,
        an_upgrade_leaves_executors, the_setting_can_be_taken_back, attaches_under_kills);
}
