/* SPDX-License-Identifier: MIT */
/* What the system call filter leaves of a process: threads yes, processes no, signals and looks at itself only. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mediator/executor/filter.h"

#ifndef SYS_clone3
#define SYS_clone3 435
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FILTERED false  /* the sanitizers want more than an executor may */
#else
#define FILTERED true
#endif

static void *nothing(void *arg)
{
    return arg;
}

static int can_thread(void)
{
    pthread_t t;

    return pthread_create(&t, NULL, nothing, NULL) == 0 && pthread_join(t, NULL) == 0;
}

/* Each returns 0 if the kernel refused as it should. */

static int plain_clone(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        _exit(0);
    return pid < 0 && errno == EPERM ? 0 : 1;
}

static int shared_clone(void)
{
    /* As posix_spawn does: the same memory, another process. */
    pid_t pid;
    char *argv[] = {(char *)"true", NULL};

    return posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL) != 0 ? 0 : 2;
}

static int new_clone(void)
{
    return syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS ? 0 : 4;
}

static int old_forks(void)
{
    return syscall(SYS_fork) < 0 && errno == EPERM && syscall(SYS_vfork) < 0 && errno == EPERM ? 0
                                                                                             : 8;
}

/* Parent and child have the same user, so nothing but the filter stands between them. */
static int signals(pid_t parent)
{
    bool others = syscall(SYS_tgkill, parent, parent, 0) < 0 && errno == EPERM &&
                  syscall(SYS_tkill, parent, 0) < 0 && errno == EPERM &&
                  kill(parent, 0) < 0 && errno == EPERM;

    return others && syscall(SYS_tgkill, getpid(), getpid(), 0) == 0 ? 0 : 32;
}

/* Without the filter each of them would succeed, or complain of what it was given. */
static int looks_elsewhere(pid_t parent)
{
    bool none = syscall(SYS_ptrace, PTRACE_TRACEME, 0, NULL, NULL) < 0 && errno == EPERM &&
                syscall(SYS_process_vm_readv, parent, NULL, 0, NULL, 0, 0) < 0 && errno == EPERM &&
                syscall(SYS_execve, NULL, NULL, NULL) < 0 && errno == EPERM &&
                syscall(SYS_unshare, 0) < 0 && errno == EPERM &&
                syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM;

    return none ? 0 : 128;
}

static void in_filter(bool software)
{
    pid_t parent = getpid();
    int status;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || vg_filter_install(software) < 0)
            _exit(64);
        _exit(plain_clone() + shared_clone() + new_clone() + old_forks() + signals(parent) +
              looks_elsewhere(parent) + (can_thread() ? 0 : 16));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
}

START_TEST(threads_but_no_processes)
{
    if (FILTERED)
        in_filter(_i == 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("filter");
    TCase *t = tcase_create("clone");
    SRunner *r = srunner_create(s);

    tcase_add_loop_test(t, threads_but_no_processes, 0, 2);
    suite_add_tcase(s, t);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
