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

static const char *const survive[] = { "keep=crash", NULL };

static void begin(const char *mode)
{
    daemon_start(&d, mode, survive);
}

static void again(const char *mode)
{
    daemon_restart_with(&d, mode, survive);
}

static void kill_and_restart(void)
{
    daemon_kill(&d);
    again(NULL);
}

/* ---- processes ---- */

/* True for a living process; one that only waits to be reaped has ended. */
static bool lives(pid_t pid)
{
    vg_auto_free char *text = NULL;
    char path[64], *end;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (vg_file_read(path, 4096, &text) < 0 || !(end = strrchr(text, ')')))
        return false;
    return end[2] != 'Z' && end[2] != 'X';
}

static void wait_dead(pid_t pid)
{
    for (unsigned i = 0; lives(pid); i++) {
        ck_assert_msg(i < TEST_WAIT_MS, "process %d lives", (int)pid);
        sleep_ms(1);
    }
}

/* Its command line names our socket. 0: there is none. */
static pid_t keeper_pid(void)
{
    DIR *proc = opendir("/proc");
    struct dirent *e;
    pid_t found = 0;

    while ((e = readdir(proc)) != NULL) {
        vg_auto_free char *text = NULL;
        char path[300];

        snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
        if (atoi(e->d_name) > 0 && vg_file_read(path, 4096, &text) == 0 &&
            strcmp(text, "vgpu-keeper") == 0 &&
            strncmp(text + sizeof("vgpu-keeper"), d.socket, strlen(d.socket)) == 0)
            found = atoi(e->d_name);
    }
    closedir(proc);
    return found;
}

static pid_t wait_keeper(pid_t other_than)
{
    for (unsigned i = 0; i < TEST_WAIT_MS / 5; i++) {
        pid_t pid = keeper_pid();

        if (pid && pid != other_than)
            return pid;
        sleep_ms(5);
    }
    ck_abort_msg("no keeper");
    return 0;
}

static json_object *executors_of(const char *vm, json_object **ret_answer)
{
    char line[128];
    json_object *list;

    snprintf(line, sizeof(line), "{\"op\":\"show-vm\",\"vm_name\":\"%s\"}", vm);
    *ret_answer = control_ask(&d, line);
    ck_assert(json_object_object_get_ex(*ret_answer, "executors", &list));
    return list;
}

/* Of the VM's first executor, once it serves. */
static pid_t executor_pid(const char *vm)
{
    for (unsigned i = 0; i < TEST_WAIT_MS / 5; i++) {
        json_object *answer, *list = executors_of(vm, &answer);
        json_object *first = json_object_array_get_idx(list, 0);
        pid_t pid = first && strcmp(json_text(first, "state"), "serving") == 0
                        ? (pid_t)json_number(first, "pid") : 0;

        json_object_put(answer);
        if (pid)
            return pid;
        sleep_ms(5);
    }
    ck_abort_msg("no executor serves");
    return 0;
}

static int64_t health_number(const char *key)
{
    json_object *o = control_ask(&d, "{\"op\":\"show-health\"}"), *health;
    int64_t n;

    ck_assert(json_object_object_get_ex(o, "health", &health));
    n = json_number(health, key);
    json_object_put(o);
    return n;
}

static void wait_number(const char *vm, const char *key, int64_t value)
{
    for (unsigned i = 0; vm_number(vm, key) != value; i++) {
        ck_assert_msg(i < TEST_WAIT_MS / 5, "%s is %d, not %d", key, (int)vm_number(vm, key),
                      (int)value);
        sleep_ms(5);
    }
}

/*
 * Where a daemon dies between an answer and noting it, the next one answers again, about
 * a use that is over by then; none may be missing.
 */
static void expect_answer(struct peer *p, enum vg_msg_type type, uint32_t token)
{
    for (;;) {
        struct vg_msg msg;
        int fd;

        ck_assert_msg(peer_recv(p, &msg, &fd), "the connection has ended");
        vg_close(&fd);
        if (msg.type == type && msg.token == token)
            return;
        ck_assert_msg(msg.type == VG_MSG_SLOT_FREE || msg.type == VG_MSG_ATTACHED,
                      "type %u token %#x text %s", msg.type, msg.token, msg.text);
    }
}

/* As suite's finish(), and the keeper is gone as well. */
static void end(void)
{
    pid_t keeper = keeper_pid();

    finish();
    wait_dead(keeper);
}

/* ---- what goes on ---- */

START_TEST(an_executor_serves_on)
{
    struct peer p;
    pid_t pid;

    begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(2, 1)));
    pid = executor_pid("vm1");
    wait_number("vm1", "calls", 10);
    for (unsigned i = 0; i < 3; i++) {
        kill_and_restart();
        ck_assert_int_eq(executor_pid("vm1"), pid);
        ck_assert_int_eq(vm_number("vm1", "calls"), 10);
        ck_assert_int_eq(vm_number("vm1", "memory_bytes"), 1 << 20);
        ck_assert_int_eq(vm_number("vm1", "executors_started"), 1);
    }
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(2, 1));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(2, 1));
    wait_dead(pid);
    close(peer_attach(&p, TOKEN(2, 2)));
    wait_number("vm1", "calls", 20);
    ck_assert_int_eq(health_fault("crashed"), 0);
    peer_close(&p);
    end();
}
END_TEST

START_TEST(totals_outlive_the_daemon)
{
    struct peer p;

    begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    for (unsigned gen = 1; gen <= 4; gen++) {
        peer_tell(&p, VG_MSG_ATTACH, TOKEN(0, gen));
        expect_answer(&p, VG_MSG_ATTACHED, TOKEN(0, gen));
        wait_number("vm1", "calls", 10 * (int64_t)gen);
        if (gen % 2)
            kill_and_restart();
        peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, gen));
        expect_answer(&p, VG_MSG_SLOT_FREE, TOKEN(0, gen));
        if (gen % 2 == 0)
            kill_and_restart();
    }
    ck_assert_int_eq(vm_number("vm1", "calls"), 40);
    ck_assert_int_eq(vm_number("vm1", "bytes_in"), 4 * 4096);
    ck_assert_int_eq(vm_number("vm1", "memory_bytes"), 0);
    ck_assert_int_eq(vm_number("vm1", "executors_started"), 4);
    peer_close(&p);
    end();
}
END_TEST

START_TEST(what_is_said_meanwhile_is_heard)
{
    struct peer p, q;
    struct vg_msg msg = { .type = VG_MSG_HELLO, .version = VG_PROTOCOL_VERSION,
                          .role = VG_ROLE_PROCESS, .name = "late" };
    int fd;

    begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    executor_pid("vm1");
    daemon_kill(&d);
    /* One slot is given back, another taken, and somebody new comes. */
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, 1));
    peer_tell(&p, VG_MSG_ATTACH, TOKEN(1, 1));
    peer_connect(&q, &d);
    peer_send(&q, &msg, -1);
    again(NULL);
    fd = peer_expect(&p, VG_MSG_ATTACHED, TOKEN(1, 1));
    ck_assert_int_ge(fd, 0);
    close(fd);
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(0, 1));
    close(peer_expect(&q, VG_MSG_WELCOME, 0));
    close(peer_attach(&q, TOKEN(0, 0)));
    executor_pid("late");
    peer_close(&p);
    peer_close(&q);
    wait_number("vm1", "executors", 0);
    wait_number("late", "executors", 0);
    end();
}
END_TEST

START_TEST(the_pool_is_taken_over)
{
    const char *const settings[] = { "keep=crash", "prestart=1", NULL };
    struct peer p;
    pid_t pids[2], pid;

    daemon_start(&d, NULL, settings);
    for (unsigned i = 0; health_number("executors_ready") != 1; i++) {
        ck_assert_uint_lt(i, TEST_WAIT_MS / 5);
        sleep_ms(5);
    }
    ck_assert_uint_eq(daemon_children(&d, pids, 2), 2);
    pid = pids[0] == keeper_pid() ? pids[1] : pids[0];
    daemon_kill(&d);
    ck_assert(lives(pid));
    daemon_restart_with(&d, NULL, settings);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    ck_assert_int_eq(executor_pid("vm1"), pid);
    peer_close(&p);
    wait_dead(pid);
    end();
}
END_TEST

/* Registered or only met, with what an administrator gave it. */
START_TEST(vms_keep_their_policy)
{
    struct peer p;
    json_object *o, *vm;

    begin(NULL);
    json_object_put(control_ask(&d, "{\"op\":\"register-vm\",\"vm_name\":\"vm1\","
                                    "\"weight\":\"80\",\"pool\":\"B\"}"));
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    kill_and_restart();
    o = control_ask(&d, "{\"op\":\"show-vm\",\"vm_name\":\"vm1\"}");
    ck_assert(json_object_object_get_ex(o, "vm", &vm));
    ck_assert_int_eq(json_number(vm, "weight"), 80);
    ck_assert_str_eq(json_text(vm, "pool"), "B");
    ck_assert_int_eq(json_number(vm, "peers"), 1);
    json_object_put(o);
    peer_close(&p);
    end();
}
END_TEST

/* One that only watches keeps its page, and is a watcher still. */
START_TEST(a_monitor_stays)
{
    struct vg_msg msg = { .type = VG_MSG_HELLO, .version = VG_PROTOCOL_VERSION,
                          .role = VG_ROLE_MONITOR };
    struct pollfd f = { .events = 0 };
    struct peer p;

    begin(NULL);
    peer_connect(&p, &d);
    peer_send(&p, &msg, -1);
    close(peer_expect(&p, VG_MSG_WELCOME, 0));
    ck_assert_int_eq(health_number("executors"), 0);
    kill_and_restart();
    ck_assert_int_ge(health_number("peers"), 1);
    f.fd = p.sock;
    ck_assert_int_eq(poll(&f, 1, 0), 0);
    /* It may attach nothing, which the new one knows too. */
    peer_tell(&p, VG_MSG_ATTACH, 0);
    peer_expect_end(&p);
    peer_close(&p);
    end();
}
END_TEST

/* ---- what ends meanwhile ---- */

START_TEST(a_peer_dies_meanwhile)
{
    struct peer p;
    pid_t pid;

    begin(NULL);
    peer_hello_process(&p, &d, "app");
    close(peer_attach(&p, 0));
    pid = executor_pid("app");
    wait_number("app", "calls", 10);
    daemon_kill(&d);
    peer_close(&p);
    again(NULL);
    wait_dead(pid);
    wait_number("app", "executors", 0);
    ck_assert_int_eq(vm_number("app", "calls"), 10);
    ck_assert_int_eq(health_fault("crashed"), 0);
    end();
}
END_TEST

START_TEST(an_executor_dies_meanwhile)
{
    struct peer p;
    pid_t pid;

    begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = executor_pid("vm1");
    wait_number("vm1", "calls", 10);
    daemon_kill(&d);
    kill(pid, SIGKILL);
    wait_dead(pid);
    again(NULL);
    peer_wait_slot(&p, 0, VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 0)->reason, VG_GONE_CRASHED);
    wait_number("vm1", "faults", 1);
    ck_assert_int_eq(vm_number("vm1", "calls"), 10);
    kill_and_restart();
    ck_assert_int_eq(vm_number("vm1", "faults"), 1);
    ck_assert_int_eq(vm_number("vm1", "calls"), 10);
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, 1));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(0, 1));
    peer_close(&p);
    end();
}
END_TEST

/* And one that dies under the next daemon, whose child it is not. */
START_TEST(an_executor_dies_later)
{
    struct peer p;
    pid_t pid;

    begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = executor_pid("vm1");
    kill_and_restart();
    kill(pid, SIGKILL);
    peer_wait_slot(&p, 0, VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 0)->reason, VG_GONE_CRASHED);
    ck_assert_int_eq(health_fault("crashed"), 1);
    peer_close(&p);
    end();
}
END_TEST

/* It was asked to end and does not; the next daemon sees to it. */
START_TEST(a_stubborn_one_is_killed_by_the_next)
{
    struct peer p;
    pid_t pid;

    begin("stubborn");
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = executor_pid("vm1");
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, 1));
    json_object_put(control_ask(&d, "{\"op\":\"list\"}"));
    kill_and_restart();
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(0, 1));
    wait_dead(pid);
    peer_close(&p);
    end();
}
END_TEST

/* The keeper holds a copy of its socket, of which the peer must not notice. */
START_TEST(a_peer_is_cut_off_all_the_same)
{
    struct peer p;
    pid_t pid;

    begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = executor_pid("vm1");
    kill_and_restart();
    peer_send_raw(&p, "nonsense", 8);
    peer_expect_end(&p);
    wait_dead(pid);
    peer_close(&p);
    end();
}
END_TEST

/* ---- the keeper ---- */

START_TEST(the_keeper_is_replaced)
{
    struct peer p;
    pid_t pid, keeper;

    begin(NULL);
    keeper = wait_keeper(0);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = executor_pid("vm1");
    for (unsigned i = 0; i < 2; i++) {
        kill(keeper, SIGKILL);
        keeper = wait_keeper(keeper);
        json_object_put(control_ask(&d, "{\"op\":\"list\"}"));
        kill_and_restart();
        ck_assert_int_eq(executor_pid("vm1"), pid);
        ck_assert_int_eq(vm_number("vm1", "calls"), 10);
    }
    peer_close(&p);
    wait_dead(pid);
    end();
}
END_TEST

START_TEST(both_are_killed)
{
    struct peer p;
    pid_t pid;

    begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = executor_pid("vm1");
    kill(d.pid, SIGSTOP);
    kill(wait_keeper(0), SIGKILL);
    daemon_kill(&d);
    peer_expect_end(&p);
    wait_dead(pid);
    peer_close(&p);
    again(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    ck_assert_int_ne(executor_pid("vm1"), pid);
    peer_close(&p);
    end();
}
END_TEST

/* Somebody has removed the directory: no daemon will ever come for what it holds. */
START_TEST(the_keeper_gives_up_without_its_name)
{
    struct peer p;
    pid_t pid, keeper;
    char path[sizeof(d.socket) + sizeof(VG_KEEP_SUFFIX)];

    begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = executor_pid("vm1");
    keeper = wait_keeper(0);
    daemon_kill(&d);
    sleep_ms(50);
    ck_assert(lives(pid));
    snprintf(path, sizeof(path), "%s" VG_KEEP_SUFFIX, d.socket);
    ck_assert_int_eq(unlink(path), 0);
    peer_expect_end(&p);
    wait_dead(pid);
    wait_dead(keeper);
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
    pid = executor_pid("vm1");
    keeper = wait_keeper(0);
    daemon_kill(&d);
    peer_expect_end(&p);
    wait_dead(pid);
    wait_dead(keeper);
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

    begin(NULL);
    wait_keeper(0);
    snprintf(path, sizeof(path), "%s" VG_KEEP_SUFFIX, d.socket);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    if (geteuid() == 0) {
        ck_assert_int_eq(chmod(d.dir, 0755), 0);
        ck_assert_int_eq(try_as(65534, path), 0);
        ck_assert_int_eq(chmod(path, 0666), 0);
        wants_only_its_own(path);
    }
    end();
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
    pid = executor_pid("vm1");
    keeper = wait_keeper(0);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(daemon_stop(&d), 0);
        ck_assert(lives(pid) && lives(keeper));
        daemon_restart_with(&d, NULL, always);
        ck_assert_int_eq(executor_pid("vm1"), pid);
        ck_assert_int_eq(keeper_pid(), keeper);
    }
    ck_assert_int_eq(daemon_signal(&d, SIGINT), 0);
    peer_expect_end(&p);
    wait_dead(pid);
    wait_dead(keeper);
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

    begin(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    pid = executor_pid("vm1");
    keeper = wait_keeper(0);
    daemon_kill(&d);
    daemon_restart_with(&d, NULL, never);
    wait_dead(keeper);
    ck_assert_int_eq(executor_pid("vm1"), pid);
    daemon_kill(&d);
    peer_expect_end(&p);
    wait_dead(pid);
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
        again(NULL);
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
        begin(NULL);
        ck_assert_int_eq(write(done[1], &d, sizeof(d)), (ssize_t)sizeof(d));
        ck_assert_int_eq(read(go[0], &c, 1), 1);
        trouble_maker(1, 10);
        ck_assert_int_eq(write(done[1], "x", 1), 1);
        pause();
    }
    ck_assert_int_eq(read(done[0], &d, sizeof(d)), (ssize_t)sizeof(d));
    peer_hello_device(&p, &d, "vm1");
    /* One that was welcomed in the daemon's last moment has to come again. */
    ck_assert_int_eq(health_number("executors"), 0);
    ck_assert_int_eq(write(go[1], "x", 1), 1);
    for (struct pollfd f = { done[0], POLLIN, 0 }; poll(&f, 1, 0) == 0 && uses < 60000;) {
        uses++;
        peer_tell(&p, VG_MSG_ATTACH, TOKEN(0, uses));
        expect_answer(&p, VG_MSG_ATTACHED, TOKEN(0, uses));
        peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, uses));
        expect_answer(&p, VG_MSG_SLOT_FREE, TOKEN(0, uses));
    }
    ck_assert_int_eq(read(done[0], &c, 1), 1);
    ck_assert_int_eq(vm_number("vm1", "executors_started"), (int64_t)uses);
    ck_assert_int_eq(vm_number("vm1", "executors"), 0);
    peer_close(&p);
    /* The last daemon is the other one's child: this one can only ask it to go. */
    daemon = (pid_t)health_number("pid");
    keeper = wait_keeper(0);
    kill(daemon, SIGTERM);
    wait_dead(daemon);
    wait_dead(keeper);
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
        the_keeper_is_replaced, both_are_killed, the_keeper_gives_up_without_its_name,
        the_keeper_waits_as_long_as_it_is_told, the_keeper_is_for_the_daemon_only,
        an_upgrade_leaves_executors, the_setting_can_be_taken_back, attaches_under_kills);
}
