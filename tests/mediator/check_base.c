/* SPDX-License-Identifier: MIT */
/* The base library: loop, packets, exec, numbers, ini, log text, peers; check_file.c has its files. */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mediator/base/ini.h"
#include "mediator/base/log.h"
#include "mediator/base/loop.h"
#include "mediator/base/number.h"
#include "mediator/base/peer.h"
#include "mediator/base/proc.h"
#include "mediator/base/sock.h"
#include "mediator/base/util.h"
#include "tests/mediator/check_base.h"

static struct vg_loop loop;

static void setup(void)
{
    ck_assert_int_eq(vg_loop_init(&loop), 0);
}

static void teardown(void)
{
    vg_loop_fini(&loop);
    vg_loop_fini(&loop);    /* twice does no harm */
}

static unsigned open_fds(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* ---- loop ---- */

static unsigned order[8], order_len;

static void note(void *arg)
{
    order[order_len++] = (unsigned)(uintptr_t)arg;
    if (order_len == 4)
        vg_loop_quit(&loop, 7);
}

START_TEST(timers_run_in_order)
{
    struct vg_timer t[5];
    uint64_t now = vg_now();

    memset(t, 0, sizeof(t));
    vg_timer_set(&loop, &t[0], now + 20 * VG_NS_PER_MS, note, (void *)3);
    vg_timer_set(&loop, &t[1], now + 5 * VG_NS_PER_MS, note, (void *)1);
    vg_timer_set(&loop, &t[2], now + 5 * VG_NS_PER_MS, note, (void *)2);
    vg_timer_set(&loop, &t[3], now, note, (void *)9);
    vg_timer_set(&loop, &t[3], now + 30 * VG_NS_PER_MS, note, (void *)4);
    vg_timer_set(&loop, &t[4], now, note, (void *)8);
    vg_timer_del(&t[4]);
    vg_timer_del(&t[4]);
    ck_assert_int_eq(vg_loop_run(&loop), 7);
    ck_assert_uint_ge(vg_now() - now, 30 * VG_NS_PER_MS);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(order[i], i + 1);
}
END_TEST

struct both {
    struct vg_io *self, *other;
    unsigned *runs;
};

/* Whichever comes first takes the other away, which must then not be called. */
static void remove_other(void *arg, uint32_t events)
{
    struct both *b = arg;

    ck_assert_uint_eq(events & EPOLLIN, EPOLLIN);
    (*b->runs)++;
    vg_io_del(&loop, b->other);
    vg_io_del(&loop, b->self);
}

START_TEST(io_removed_in_its_own_round)
{
    struct vg_io io[2] = { VG_IO_NULL, VG_IO_NULL };
    unsigned runs = 0;
    struct both b[2] = { { &io[0], &io[1], &runs }, { &io[1], &io[0], &runs } };
    int pipes[2][2];

    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(pipe2(pipes[i], O_CLOEXEC), 0);
        ck_assert_int_eq(write(pipes[i][1], "x", 1), 1);
        ck_assert_int_eq(vg_io_add(&loop, &io[i], pipes[i][0], EPOLLIN, remove_other, &b[i]), 0);
    }
    ck_assert_int_eq(vg_loop_step(&loop, 0), 0);
    ck_assert_int_eq(vg_loop_step(&loop, 0), 0);
    ck_assert_uint_eq(runs, 1);
}
END_TEST

static void ended(void *arg, const siginfo_t *how)
{
    ck_assert_int_eq(how->si_code, CLD_EXITED);
    *(int *)arg = how->si_status;
}

static pid_t fork_exit(int code)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(code);
    return pid;
}

START_TEST(children_are_told_apart)
{
    struct vg_child child[8];
    int status[8];
    pid_t stranger = fork_exit(99);

    for (int i = 0; i < 8; i++) {
        status[i] = -1;
        vg_child_add(&loop, &child[i], fork_exit(i), ended, &status[i]);
    }
    for (unsigned i = 0; i < 200 && !vg_list_empty(&loop.children); i++)
        vg_loop_step(&loop, 10);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(status[i], i);
    /* Not ours, so still there for whoever started it. */
    ck_assert_int_eq(waitpid(stranger, NULL, 0), stranger);
}
END_TEST

static void on_usr1(void *arg, const struct signalfd_siginfo *info)
{
    ck_assert_uint_eq(info->ssi_signo, SIGUSR1);
    ++*(int *)arg;
}

START_TEST(signals_arrive_in_the_loop)
{
    int count = 0;

    ck_assert_int_eq(vg_loop_on_signal(&loop, SIGUSR1, on_usr1, &count), 0);
    raise(SIGUSR1);
    ck_assert_int_eq(count, 0);
    ck_assert_int_eq(vg_loop_step(&loop, 100), 0);
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(vg_loop_on_signal(&loop, 0, on_usr1, NULL), -EINVAL);
    ck_assert_int_eq(vg_loop_on_signal(&loop, 64, on_usr1, NULL), -EINVAL);
}
END_TEST

/* ---- packets ---- */

static int pair[2];

static void make_pair(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

START_TEST(packets_carry_descriptors)
{
    int send[2], got[2] = { -1, -1 };
    unsigned nfds = 9;
    char buf[8];

    make_pair();
    ck_assert_int_eq(pipe2(send, O_CLOEXEC), 0);
    ck_assert_int_eq(vg_sock_send(pair[0], "abc", 3, send, 2), 0);
    ck_assert_int_eq(vg_sock_recv(pair[1], buf, sizeof(buf), got, 2, &nfds), 3);
    ck_assert_uint_eq(nfds, 2);
    ck_assert_int_eq(fcntl(got[0], F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(write(got[1], "y", 1), 1);
    ck_assert_int_eq(read(send[0], buf, 1), 1);
    ck_assert_int_eq(vg_sock_recv(pair[1], buf, sizeof(buf), got, 2, &nfds), -EAGAIN);
    close(pair[0]);
    ck_assert_int_eq(vg_sock_recv(pair[1], buf, sizeof(buf), got, 2, &nfds), 0);
    ck_assert_uint_eq(nfds, 0);
}
END_TEST

/* More than the kernel can hand over, by hand, as a hostile peer would. */
static void send_many(unsigned count)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(64 * sizeof(int))];
    } control;
    struct iovec iov = { .iov_base = (char *)"x", .iov_len = 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                          .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    int zeros[64] = { 0 };

    memset(&control, 0, sizeof(control));
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), zeros, count * sizeof(int));
    ck_assert_int_eq(sendmsg(pair[0], &msg, 0), 1);
}

START_TEST(too_many_descriptors_leak_nothing)
{
    unsigned before, nfds = 77;
    int got[4] = { -5, -5, -5, -5 };
    char c;

    make_pair();
    before = open_fds();
    for (unsigned count = 2; count <= 64; count++) {
        send_many(count);
        ck_assert_int_eq(vg_sock_recv(pair[1], &c, 1, got, 1, &nfds), -EMSGSIZE);
        ck_assert_uint_eq(open_fds(), before);
    }
    ck_assert_uint_eq(nfds, 77);    /* untouched on failure */
    ck_assert_int_eq(got[0], -5);
}
END_TEST

START_TEST(truncated_packet_leaks_nothing)
{
    unsigned before, nfds;
    int fd = 0, got = -1;
    char c;

    make_pair();
    before = open_fds();
    ck_assert_int_eq(vg_sock_send(pair[0], "too long", 8, &fd, 1), 0);
    ck_assert_int_eq(vg_sock_recv(pair[1], &c, 1, &got, 1, &nfds), -EMSGSIZE);
    ck_assert_uint_eq(open_fds(), before);
}
END_TEST

START_TEST(sender_never_waits)
{
    char buf[1024] = "";
    int rc = 0;

    make_pair();
    for (unsigned i = 0; i < 100000 && rc == 0; i++)
        rc = vg_sock_send(pair[0], buf, sizeof(buf), NULL, 0);
    ck_assert_int_eq(rc, -EAGAIN);
    close(pair[1]);
    rc = vg_sock_send(pair[0], buf, sizeof(buf), NULL, 0);
    ck_assert_msg(rc == -EPIPE || rc == -ECONNRESET, "%d", rc);
    ck_assert_int_eq(vg_sock_send(pair[0], buf, 1, &rc, VG_SOCK_FDS_MAX + 1), -EINVAL);
}
END_TEST

static char path[64];

static void make_path(void)
{
    snprintf(path, sizeof(path), "/tmp/vgpu-base-%d.sock", (int)getpid());
    unlink(path);
}

START_TEST(stale_socket_is_replaced_and_a_living_one_is_not)
{
    char longer[200];
    struct stat st;
    int fd;

    make_path();
    fd = vg_sock_listen(SOCK_SEQPACKET, path, 0640, (gid_t)-1);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0640);
    ck_assert_int_eq(vg_sock_listen(SOCK_SEQPACKET, path, 0640, (gid_t)-1), -EADDRINUSE);
    close(fd);
    ck_assert_int_eq(vg_sock_connect(SOCK_SEQPACKET, path), -ECONNREFUSED);
    fd = vg_sock_listen(SOCK_SEQPACKET, path, 0600, (gid_t)-1);
    ck_assert_int_ge(fd, 0);
    close(fd);
    unlink(path);
    /* What is not a socket is not ours to remove. */
    close(open(path, O_CREAT | O_WRONLY, 0600));
    ck_assert_int_eq(vg_sock_listen(SOCK_SEQPACKET, path, 0600, (gid_t)-1), -EADDRINUSE);
    ck_assert_int_eq(stat(path, &st), 0);
    unlink(path);
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    ck_assert_int_eq(vg_sock_listen(SOCK_STREAM, longer, 0600, (gid_t)-1), -ENAMETOOLONG);
    ck_assert_int_eq(vg_sock_connect(SOCK_STREAM, longer), -ENAMETOOLONG);
}
END_TEST

/* ---- processes ---- */

static char *const no_env[] = { NULL };

static int run_shell(const char *script, const int *fds, unsigned nfds)
{
    char *argv[] = { (char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL };
    struct vg_proc proc = { .path = "/bin/sh", .argv = argv, .envp = no_env, .fds = fds,
                            .nfds = nfds };
    int status;
    pid_t pid;

    ck_assert_int_eq(vg_proc_spawn(&proc, &pid), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The descriptors arrive where they should although they overlap with their own targets. */
START_TEST(exact_descriptors)
{
    char buf[16] = "";
    int p[2], leak = open("/dev/null", O_RDONLY);   /* without close-on-exec, on purpose */

    ck_assert_int_eq(pipe(p), 0);
    int fds[] = { -1, -1, 2, p[1], p[0] };
    ck_assert_int_eq(run_shell("echo hello >&3; for i in 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do "
                               "test ! -e /proc/$$/fd/$i || exit $i; done", fds, 5), 0);
    ck_assert_int_eq(read(p[0], buf, sizeof(buf)), 6);
    ck_assert_str_eq(buf, "hello\n");
    ck_assert_int_eq(run_shell("exec 2>/dev/null; : <&9", fds, 3) != 0, 1);
    close(leak);
}
END_TEST

START_TEST(exec_failure_is_reported)
{
    char *argv[] = { (char *)"x", NULL };
    struct vg_proc proc = { .path = "/nowhere/program", .argv = argv, .envp = no_env };
    unsigned before = open_fds();
    pid_t pid = 4711;

    ck_assert_int_eq(vg_proc_spawn(&proc, &pid), -ENOENT);
    ck_assert_int_eq(pid, 4711);
    proc.path = "/etc/passwd";
    ck_assert_int_eq(vg_proc_spawn(&proc, &pid), -EACCES);
    ck_assert_uint_eq(open_fds(), before);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

START_TEST(signals_are_unblocked_in_the_child)
{
    int fds[] = { -1, -1, 2 };

    signal(SIGTERM, SIG_IGN);
    ck_assert_int_eq(vg_loop_on_signal(&loop, SIGTERM, on_usr1, NULL), 0);
    ck_assert_int_eq(run_shell("kill -TERM $$; exit 3", fds, 3), 128 + SIGTERM);
}
END_TEST

START_TEST(death_signal)
{
    char *argv[] = { (char *)"sleep", (char *)"30", NULL };
    int p[2], alive[2];
    pid_t pid, child = 0;
    char c;

    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(alive, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        int fds[] = { -1, -1, 2, alive[1] };
        struct vg_proc proc = { .path = "/bin/sleep", .argv = argv, .envp = no_env, .fds = fds,
                                .nfds = 4, .death_signal = SIGKILL };

        if (vg_proc_spawn(&proc, &child) < 0 || write(p[1], &child, sizeof(child)) < 0)
            _exit(1);
        _exit(0);
    }
    close(alive[1]);
    waitpid(pid, NULL, 0);
    ck_assert_int_eq(read(p[0], &child, sizeof(child)), sizeof(child));
    /* The end of the pipe is the end of the last process that held it. */
    struct pollfd pfd = { .fd = alive[0], .events = POLLIN };
    ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
    ck_assert_int_eq(read(alive[0], &c, 1), 0);
}
END_TEST

START_TEST(environment_is_scrubbed)
{
    static const char *const keep[] = { "KEEP", "CUDA_*", NULL };
    char *extra[] = { (char *)"NEW=1", NULL };
    char **envp;

    clearenv();
    setenv("KEEP", "a", 1);
    setenv("KEEPER", "b", 1);
    setenv("CUDA_X", "c", 1);
    setenv("LD_PRELOAD", "d", 1);
    envp = vg_proc_env(keep, extra);
    ck_assert_str_eq(envp[0], "NEW=1");
    ck_assert_str_eq(envp[1], "KEEP=a");
    ck_assert_str_eq(envp[2], "CUDA_X=c");
    ck_assert_ptr_null(envp[3]);
    free(envp);
}
END_TEST

START_TEST(peer_death_is_seen)
{
    struct vg_peer p, none;
    pid_t pid = fork();

    if (pid == 0)
        pause();
    vg_peer_init(&p, pid);
    vg_peer_init(&none, 0);
    ck_assert(vg_peer_lives(&p));
    kill(pid, SIGKILL);
    for (unsigned i = 0; i < 1000 && vg_peer_lives(&p); i++)
        usleep(1000);
    ck_assert(!vg_peer_lives(&p));      /* a zombie that nobody has waited for */
    waitpid(pid, NULL, 0);
    ck_assert(!vg_peer_lives(&p));
    ck_assert(vg_peer_lives(&none));
    vg_peer_init(&p, getpid());
    ck_assert(vg_peer_lives(&p));
    p.start_time--;                     /* the number now belongs to another */
    ck_assert(!vg_peer_lives(&p));
}
END_TEST

/* ---- text ---- */

START_TEST(numbers)
{
    static const char *const bad[] = { "", " 1", "1 ", "-1", "+1", "0x10", "1e3", "11", "4", "abc",
                                       "18446744073709551616", "99999999999999999999999" };
    uint64_t v = 42;
    char why[128];

    for (unsigned i = 0; i < VG_ARRAY_LEN(bad); i++) {
        why[0] = '\0';
        ck_assert_msg(!vg_number(bad[i], 5, 10, &v, why, sizeof(why)), "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(why, "from 5 to 10"));
    }
    ck_assert_uint_eq(v, 42);
    ck_assert(vg_number("5", 5, 10, &v, why, sizeof(why)));
    ck_assert(vg_number("010", 5, 10, &v, why, sizeof(why)));
    ck_assert_uint_eq(v, 10);
    ck_assert(vg_number("18446744073709551615", 0, UINT64_MAX, &v, why, sizeof(why)));
    ck_assert_uint_eq(v, UINT64_MAX);
}
END_TEST

START_TEST(names)
{
    ck_assert(vg_name_ok("a", 8));
    ck_assert(vg_name_ok("vm-1.x:y", 64));
    ck_assert(vg_name_ok("1234567", 8));
    ck_assert(!vg_name_ok("12345678", 8));
    ck_assert(!vg_name_ok("", 8));
    ck_assert(!vg_name_ok("-a", 8));
    ck_assert(!vg_name_ok(".", 8));
    ck_assert(!vg_name_ok("a/b", 8));
    ck_assert(!vg_name_ok("a\nb", 8));
    ck_assert(!vg_name_ok("\xc3\xa4", 8));
}
END_TEST

START_TEST(log_text_cannot_forge)
{
    char out[16];

    vg_log_clean(out, sizeof(out), "a\n\"b\"\x1b[0m", 100);
    ck_assert_str_eq(out, "a?'b'?[0m");
    vg_log_clean(out, 4, "abcdef", 6);
    ck_assert_str_eq(out, "abc");
    vg_log_clean(out, sizeof(out), "abc", 2);
    ck_assert_str_eq(out, "ab");
    vg_log_clean(out, 1, "abc", 3);
    ck_assert_str_eq(out, "");
}
END_TEST

static int collect(void *arg, const char *key, const char *value, char *why, size_t cap)
{
    char *all = arg;

    if (strcmp(key, "bad") == 0) {
        snprintf(why, cap, "\"%s\" is not good", value);
        return -EINVAL;
    }
    sprintf(all + strlen(all), "[%s|%s]", key, value);
    return 0;
}

static int ini(const char *text, char *all, char *why)
{
    vg_auto_free char *copy = strdup(text);

    all[0] = why[0] = '\0';
    return vg_ini_parse("f.conf", copy, collect, all, why, 200);
}

START_TEST(ini_files)
{
    char all[200], why[200];

    ck_assert_int_eq(ini("", all, why), 0);
    ck_assert_int_eq(ini("# c\n ; d\n\n a = b c \nx=\r\n\tk=v=w", all, why), 0);
    ck_assert_str_eq(all, "[a|b c][x|][k|v=w]");
    ck_assert_int_eq(ini("a=b\n\nbad = 7\n", all, why), -EINVAL);
    ck_assert_str_eq(why, "f.conf:3: \"7\" is not good");
    ck_assert_int_eq(ini("a=b\nword", all, why), -EINVAL);
    ck_assert_str_eq(why, "f.conf:2: \"word\" is no \"key = value\"");
    ck_assert_int_eq(ini("= x", all, why), -EINVAL);
}
END_TEST

int main(void)
{
    const TTest *const looped[] = {
        timers_run_in_order, io_removed_in_its_own_round, children_are_told_apart,
        signals_arrive_in_the_loop, signals_are_unblocked_in_the_child,
    };
    const TTest *const plain[] = {
        packets_carry_descriptors, too_many_descriptors_leak_nothing,
        truncated_packet_leaks_nothing, sender_never_waits,
        stale_socket_is_replaced_and_a_living_one_is_not, exact_descriptors,
        exec_failure_is_reported, death_signal, environment_is_scrubbed, peer_death_is_seen,
        numbers, names, log_text_cannot_forge, ini_files,
    };
    Suite *s = suite_create("base");
    TCase *with_loop = tcase_create("loop"), *others = tcase_create("others");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(with_loop, setup, teardown);
    for (unsigned i = 0; i < VG_ARRAY_LEN(looped); i++)
        tcase_add_test(with_loop, looped[i]);
    for (unsigned i = 0; i < VG_ARRAY_LEN(plain); i++)
        tcase_add_test(others, plain[i]);
    tcase_set_timeout(others, 20);
    suite_add_tcase(s, with_loop);
    suite_add_tcase(s, others);
    suite_add_tcase(s, vg_file_cases());
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
