/* SPDX-License-Identifier: MIT */
/* vgpu-keeper as the daemon's: it is replaced, gives up, waits, and is for nobody else. */
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

START_TEST(the_keeper_is_replaced)
{
    struct peer p;
    pid_t pid, keeper;

    restart_begin(NULL);
    keeper = restart_wait_keeper(0);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = restart_executor_pid("vm1");
    for (unsigned i = 0; i < 2; i++) {
        kill(keeper, SIGKILL);
        keeper = restart_wait_keeper(keeper);
        json_object_put(control_ask(&d, "{\"op\":\"list\"}"));
        restart_kill();
        ck_assert_int_eq(restart_executor_pid("vm1"), pid);
        ck_assert_int_eq(vm_number("vm1", "calls"), 10);
    }
    peer_close(&p);
    restart_wait_dead(pid);
    restart_end();
}
END_TEST

START_TEST(both_are_killed)
{
    struct peer p;
    pid_t pid;

    restart_begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = restart_executor_pid("vm1");
    kill(d.pid, SIGSTOP);
    kill(restart_wait_keeper(0), SIGKILL);
    daemon_kill(&d);
    peer_expect_end(&p);
    restart_wait_dead(pid);
    peer_close(&p);
    restart_again(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    ck_assert_int_ne(restart_executor_pid("vm1"), pid);
    peer_close(&p);
    restart_end();
}
END_TEST

/* Somebody has removed the directory: no daemon will ever come for what it holds. */
START_TEST(the_keeper_gives_up_without_its_name)
{
    struct peer p;
    pid_t pid, keeper;
    char path[sizeof(d.socket) + sizeof(VG_KEEP_SUFFIX)];

    restart_begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = restart_executor_pid("vm1");
    keeper = restart_wait_keeper(0);
    daemon_kill(&d);
    sleep_ms(50);
    ck_assert(restart_lives(pid));
    snprintf(path, sizeof(path), "%s" VG_KEEP_SUFFIX, d.socket);
    ck_assert_int_eq(unlink(path), 0);
    peer_expect_end(&p);
    restart_wait_dead(pid);
    restart_wait_dead(keeper);
    peer_close(&p);
    daemon_clean(&d);
}
END_TEST

START_TEST(the_keeper_waits_as_long_as_it_is_told)
{
    const char *const settings[] = { "keep=crash", "keep_s=1", NULL };
    struct peer p;
    pid_t pid, keeper;

    daemon_start(&d, NULL, settings);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = restart_executor_pid("vm1");
    keeper = restart_wait_keeper(0);
    daemon_kill(&d);
    peer_expect_end(&p);
    restart_wait_dead(pid);
    restart_wait_dead(keeper);
    peer_close(&p);
    daemon_clean(&d);
}
END_TEST

static int try_as(uid_t uid, const char *path)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(setuid(uid) < 0 ? 2 : vg_sock_connect(SOCK_SEQPACKET, path) >= 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

/* Not by the file's permissions alone: somebody may loosen those. */
static void wants_only_its_own(const char *path)
{
    const struct vg_keep_msg list = { .magic = VG_KEEP_MAGIC, .type = VG_KEEP_LIST };
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct pollfd p = { .events = POLLIN };
        char c;

        if (setuid(65534) < 0)
            _exit(2);
        p.fd = vg_sock_connect(SOCK_SEQPACKET, path);
        if (p.fd < 0 || send(p.fd, &list, VG_KEEP_HEAD, MSG_NOSIGNAL) < 0)
            _exit(errno == EPIPE ? 0 : 3);
        _exit(poll(&p, 1, TEST_WAIT_MS) == 1 && recv(p.fd, &c, 1, 0) <= 0 ? 0 : 4);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}

START_TEST(the_keeper_is_for_the_daemon_only)
{
    char path[sizeof(d.socket) + sizeof(VG_KEEP_SUFFIX)];
    struct stat st;

    restart_begin(NULL);
    restart_wait_keeper(0);
    snprintf(path, sizeof(path), "%s" VG_KEEP_SUFFIX, d.socket);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    if (geteuid() == 0) {
        ck_assert_int_eq(chmod(d.dir, 0755), 0);
        ck_assert_int_eq(try_as(65534, path), 0);
        ck_assert_int_eq(chmod(path, 0666), 0);
        wants_only_its_own(path);
    }
    restart_end();
}
END_TEST

void add_keeper(Suite *s)
{
    ADD(s, "keeper", the_keeper_is_replaced, both_are_killed, the_keeper_gives_up_without_its_name,
        the_keeper_waits_as_long_as_it_is_told, the_keeper_is_for_the_daemon_only);
}
