/* SPDX-License-Identifier: MIT */
/* The ordinary course of peers, and the daemon's own: many at once, shutdown, restart. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mediator/base/file.h"
#include "mediator/base/sock.h"
#include "mediator/base/util.h"
#include "suite.h"

START_TEST(device_attach_release)
{
    struct peer p;
    int bell;

    start(NULL);
    peer_hello_device(&p, &d, "vm1");
    bell = peer_attach(&p, TOKEN(2, 1));
    daemon_wait_children(&d, 1);
    ck_assert_uint_eq(peer_slot_state(&p, 2), VG_SLOT_ATTACHING);
    ck_assert_int_eq(write(bell, "\1\0\0\0\0\0\0\0", 8), 8);
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(2, 1));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(2, 1));
    daemon_wait_children(&d, 0);
    close(bell);
    /* The slot serves again, under a new token only. */
    peer_tell(&p, VG_MSG_ATTACH, TOKEN(2, 1));
    peer_expect(&p, VG_MSG_REFUSED, TOKEN(2, 1));
    close(peer_attach(&p, TOKEN(2, 2)));
    ck_assert_int_eq(health_fault("crashed"), 0);
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(process_attach_and_die)
{
    struct peer p;
    uint64_t before;

    start(NULL);
    peer_hello_process(&p, &d, "my app");
    ck_assert_uint_eq(p.layout.slot_count, 1);
    close(peer_attach(&p, 0));
    daemon_wait_children(&d, 1);
    before = now_ms();
    peer_close(&p);
    daemon_wait_children(&d, 0);
    ck_assert_uint_le(now_ms() - before, 2000);
    ck_assert_int_eq(vm_number("my_app", "executors_started"), 1);
    ck_assert_int_eq(health_fault("crashed"), 0);
    finish();
}
END_TEST

/* A child that holds the socket must not keep a dead process's GPU memory. */
START_TEST(process_killed_while_its_child_lives)
{
    int alive[2];
    pid_t pid;
    char c;

    start(NULL);
    ck_assert_int_eq(pipe(alive), 0);
    pid = fork();
    if (pid == 0) {
        struct peer p;

        peer_hello_process(&p, &d, "parent");
        close(peer_attach(&p, 0));
        if (fork() == 0) {
            close(alive[0]);
            if (write(alive[1], "x", 1) != 1)
                _exit(1);
            sleep(20);
            _exit(0);
        }
        pause();
    }
    close(alive[1]);
    ck_assert_int_eq(read(alive[0], &c, 1), 1);
    daemon_wait_children(&d, 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    daemon_wait_children(&d, 0);
    /* The grandchild is still there: the pipe has a writer. */
    ck_assert_int_eq(fcntl(alive[0], F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(read(alive[0], &c, 1), -1);
    finish();
}
END_TEST

START_TEST(reset_frees_every_slot)
{
    struct peer p;
    unsigned seen = 0;

    start(NULL);
    peer_hello_device(&p, &d, "vm1");
    for (unsigned i = 0; i < 3; i++)
        close(peer_attach(&p, TOKEN(i, 7)));
    daemon_wait_children(&d, 3);
    peer_tell(&p, VG_MSG_RESET, 0);
    for (unsigned i = 0; i < 3; i++) {
        struct vg_msg msg;
        int fd;

        ck_assert(peer_recv(&p, &msg, &fd));
        ck_assert_uint_eq(msg.type, VG_MSG_SLOT_FREE);
        seen |= 1u << VG_TOKEN_SLOT(msg.token);
    }
    ck_assert_uint_eq(seen, 7);
    daemon_wait_children(&d, 0);
    close(peer_attach(&p, TOKEN(0, 7)));
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(peers_of_one_vm)
{
    struct peer a, b, c;

    start(NULL);
    peer_hello_device(&a, &d, "vm1");
    peer_hello_device(&b, &d, "vm1");
    peer_hello_process(&c, &d, "vm1");
    close(peer_attach(&a, TOKEN(0, 1)));
    close(peer_attach(&b, TOKEN(0, 1)));
    close(peer_attach(&c, 0));
    ck_assert_int_eq(vm_number("vm1", "executors"), 3);
    peer_close(&b);
    daemon_wait_children(&d, 2);
    peer_tell(&a, VG_MSG_RELEASE, TOKEN(0, 1));
    peer_expect(&a, VG_MSG_SLOT_FREE, TOKEN(0, 1));
    ck_assert_int_eq(vm_number("vm1", "executors"), 1);
    ck_assert_int_eq(vm_number("vm1", "executors_started"), 3);
    peer_close(&a);
    peer_close(&c);
    finish();
}
END_TEST

START_TEST(totals_outlive_executors)
{
    struct peer p;

    start(NULL);
    peer_hello_device(&p, &d, "vm1");
    for (unsigned gen = 1; gen <= 3; gen++) {
        close(peer_attach(&p, TOKEN(0, gen)));
        for (unsigned i = 0; i < 1000 && vm_number("vm1", "calls") != 10 * (int64_t)gen; i++)
            sleep_ms(5);
        ck_assert_int_eq(vm_number("vm1", "memory_bytes"), 1 << 20);
        peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, gen));
        peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(0, gen));
    }
    ck_assert_int_eq(vm_number("vm1", "calls"), 30);
    ck_assert_int_eq(vm_number("vm1", "bytes_in"), 3 * 4096);
    ck_assert_int_eq(vm_number("vm1", "memory_bytes"), 0);
    ck_assert_int_eq(vm_number("vm1", "memory_peak_bytes"), 1 << 20);
    ck_assert_int_eq(vm_number("vm1", "executors_started"), 3);
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(concurrent_clients)
{
    struct peer p[24];
    unsigned before;

    start(NULL);
    sleep_ms(50);
    before = daemon_fds(&d);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 24; i++) {
            char name[16];

            snprintf(name, sizeof(name), "vm%u", i);
            peer_hello_device(&p[i], &d, name);
            peer_tell(&p[i], VG_MSG_ATTACH, TOKEN(0, 1));
            peer_tell(&p[i], VG_MSG_ATTACH, TOKEN(1, 1));
        }
        for (unsigned i = 0; i < 24; i++) {
            close(peer_expect(&p[i], VG_MSG_ATTACHED, TOKEN(0, 1)));
            close(peer_expect(&p[i], VG_MSG_ATTACHED, TOKEN(1, 1)));
        }
        daemon_wait_children(&d, 48);
        for (unsigned i = 0; i < 24; i++)
            peer_close(&p[i]);
        daemon_wait_children(&d, 0);
    }
    sleep_ms(50);
    ck_assert_uint_eq(daemon_fds(&d), before);
    finish();
}
END_TEST

START_TEST(talkative_executor)
{
    struct peer p;
    uint64_t before;

    start("babble");
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    sleep_ms(100);
    before = now_ms();
    json_object_put(control_ask(&d, "{\"op\":\"list\"}"));
    ck_assert_uint_le(now_ms() - before, 500);
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(shutdown_tells_the_guests)
{
    struct peer p;

    start(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    daemon_wait_children(&d, 1);
    finish();
    peer_expect_end(&p);
    ck_assert_uint_eq(peer_slot_state(&p, 0), VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 0)->reason, VG_GONE_MEDIATOR);
    peer_close(&p);
}
END_TEST

/* After kill -9 nothing of the old daemon is left that could disturb the new one. */
START_TEST(restart_after_kill)
{
    struct peer p;
    pid_t child;

    start(NULL);
    json_object_put(control_ask(&d, "{\"op\":\"register-vm\",\"vm_name\":\"kept\","
                                    "\"weight\":\"80\",\"pool\":\"B\"}"));
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    daemon_wait_children(&d, 1);
    daemon_children(&d, &child, 1);
    daemon_kill(&d);
    peer_expect_end(&p);
    for (unsigned i = 0; i < TEST_WAIT_MS && kill(child, 0) == 0; i++)
        sleep_ms(1);
    ck_assert_int_eq(kill(child, 0), -1);
    peer_close(&p);

    daemon_restart(&d, NULL);   /* over the stale sockets */
    json_object *o = control_ask(&d, "{\"op\":\"show-vm\",\"vm_name\":\"kept\"}"), *vm;
    ck_assert(json_object_object_get_ex(o, "vm", &vm));
    ck_assert_int_eq(json_number(vm, "weight"), 80);
    ck_assert_str_eq(json_text(vm, "pool"), "B");
    json_object_put(o);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(second_instance_is_refused)
{
    struct peer p;

    start(NULL);
    ck_assert_int_eq(daemon_try(&d), 1);
    /* It has not taken away the first one's sockets. */
    peer_hello_device(&p, &d, "vm1");
    peer_close(&p);
    json_object_put(control_ask(&d, "{\"op\":\"list\"}"));
    finish();
}
END_TEST

void add_course(Suite *s)
{
    ADD(s, "course", device_attach_release, process_attach_and_die,
        process_killed_while_its_child_lives, reset_frees_every_slot, peers_of_one_vm, totals_outlive_executors);
    ADD(s, "daemon", concurrent_clients, talkative_executor, shutdown_tells_the_guests,
        restart_after_kill, second_instance_is_refused);
}
