/* SPDX-License-Identifier: MIT */
/*
 * The daemon against peers of every kind: good ones, dying ones, hostile ones.
 * Each test starts a daemon of its own and ends it, and the end is checked too.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "mediator/base/file.h"
#include "mediator/base/sock.h"
#include "mediator/base/util.h"
#include "protocol/vg_regs.h"

#define TOKEN(slot, gen) VG_TOKEN(slot, gen)

static struct daemon d;

static void start(const char *mode)
{
    daemon_start(&d, mode, NULL);
}

/* Every test's end: the daemon obeys in time and leaves neither process nor socket. */
static void finish(void)
{
    pid_t children[64];
    unsigned n = daemon_children(&d, children, 64);
    uint64_t before = now_ms();

    ck_assert_int_eq(daemon_stop(&d), 0);
    ck_assert_uint_le(now_ms() - before, 2000);
    for (unsigned i = 0; i < n; i++)
        ck_assert_int_eq(kill(children[i], 0), -1);
    ck_assert_int_eq(access(d.socket, F_OK), -1);
    ck_assert_int_eq(access(d.control, F_OK), -1);
    daemon_clean(&d);
}

static int64_t vm_number(const char *vm, const char *key)
{
    char line[128];
    json_object *o, *metrics;
    int64_t n;

    snprintf(line, sizeof(line), "{\"op\":\"show-vm\",\"vm_name\":\"%s\"}", vm);
    o = control_ask(&d, line);
    ck_assert(json_object_object_get_ex(o, "metrics", &metrics));
    n = json_number(metrics, key);
    json_object_put(o);
    return n;
}

static int64_t health_fault(const char *key)
{
    json_object *o = control_ask(&d, "{\"op\":\"show-health\"}"), *health, *faults;
    int64_t n;

    ck_assert(json_object_object_get_ex(o, "health", &health));
    ck_assert(json_object_object_get_ex(health, "faults", &faults));
    n = json_number(faults, key);
    json_object_put(o);
    return n;
}

/* ---- the ordinary course ---- */

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

/* ---- executors that misbehave ---- */

static void executor_goes(const char *mode, enum vg_gone_reason reason, const char *fault)
{
    struct peer p;

    start(mode);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(1, 1)));
    peer_wait_slot(&p, 1, VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 1)->reason, reason);
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

START_TEST(executor_cannot_start)
{
    executor_goes("fail", VG_GONE_NO_GPU, "no-gpu");
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
    static const char *const settings[] = { "spin_us=20000", NULL };

    last_argument_is(settings, "20000");
    last_argument_is(NULL, "/nowhere/libvgpu-softcuda.so");
}
END_TEST

START_TEST(missing_executor_is_refused)
{
    static const char *const settings[] = { "executor=/nowhere/vgpu-executor", NULL };
    struct peer p;

    daemon_start(&d, NULL, settings);
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

/* ---- peers that misbehave ---- */

static void good_hello(struct vg_msg *msg)
{
    *msg = (struct vg_msg){ .type = VG_MSG_HELLO, .version = VG_PROTOCOL_VERSION,
                            .role = VG_ROLE_DEVICE, .region_size = TEST_REGION,
                            .slot_count = TEST_SLOTS, .name = "vm9" };
}

static void refused(const struct vg_msg *hello, int fd, const char *what)
{
    struct vg_msg msg;
    struct peer p;
    int got;

    peer_connect(&p, &d);
    peer_send(&p, hello, fd);
    ck_assert_msg(peer_recv(&p, &msg, &got), "%s: no answer", what);
    ck_assert_msg(msg.type == VG_MSG_REFUSED && msg.text[0], "%s: type %u", what, msg.type);
    peer_expect_end(&p);
    peer_close(&p);
}

START_TEST(bad_hellos)
{
    int small, good = vg_memfd_new("good", TEST_REGION), read_only, pipes[2];
    struct vg_msg m;
    char path[64];

    start(NULL);
    small = vg_memfd_new("small", TEST_REGION / 2);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", good);
    read_only = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(read_only, 0);
    ck_assert_int_eq(pipe(pipes), 0);

    good_hello(&m);
    refused(&m, -1, "no region");
    refused(&m, small, "region too small");
    refused(&m, read_only, "region read-only");
    refused(&m, pipes[1], "region is a pipe");
    m.version = 99;
    refused(&m, good, "version");
    good_hello(&m);
    m.role = 3;
    refused(&m, good, "role");
    good_hello(&m);
    m.region_size = 1ull << 50;
    refused(&m, good, "size too large");
    good_hello(&m);
    m.region_size = UINT64_MAX;
    refused(&m, good, "size overflows");
    good_hello(&m);
    m.slot_count = 0;
    refused(&m, good, "no slots");
    m.slot_count = 65;
    refused(&m, good, "too many slots");
    good_hello(&m);
    strcpy(m.name, "vm \"x\"");
    refused(&m, good, "name with blanks");
    memset(m.name, 'a', sizeof(m.name));
    good_hello(&m);
    m.name[0] = '\0';
    refused(&m, good, "empty name");
    ck_assert_int_eq(health_fault("peers_refused"), 12);
    finish();
}
END_TEST

/* The name fills its field without a NUL: it is cut, not read beyond. */
START_TEST(name_without_end)
{
    struct vg_msg m;
    struct peer p;
    int fd = vg_memfd_new("good", TEST_REGION);

    start(NULL);
    good_hello(&m);
    memset(m.name, 'a', sizeof(m.name));
    peer_connect(&p, &d);
    peer_send(&p, &m, fd);
    peer_expect(&p, VG_MSG_WELCOME, 0);
    peer_close(&p);
    finish();
}
END_TEST

static void cut_off_by(const void *buf, size_t len)
{
    struct peer p;

    peer_hello_device(&p, &d, "vm1");
    peer_send_raw(&p, buf, len);
    peer_expect_end(&p);
    peer_close(&p);
}

START_TEST(garbage)
{
    struct vg_msg m = { .type = 0 };
    struct peer good;
    char big[4096];
    unsigned seed = 1;

    start(NULL);
    peer_hello_device(&good, &d, "good");
    memset(big, 0xa5, sizeof(big));
    cut_off_by(&m, sizeof(m));              /* type 0 */
    cut_off_by(&m, 1);                      /* too short */
    cut_off_by(big, sizeof(m) + 1);         /* too long */
    cut_off_by(big, sizeof(big));
    m.type = VG_MSG_WELCOME;                /* ours, not theirs */
    cut_off_by(&m, sizeof(m));
    m.type = VG_MSG_HELLO;                  /* twice */
    cut_off_by(&m, sizeof(m));
    m.type = UINT32_MAX;
    cut_off_by(&m, sizeof(m));
    m.type = VG_MSG_ATTACH;
    m.token = TOKEN(TEST_SLOTS, 1);         /* no such slot */
    cut_off_by(&m, sizeof(m));
    m.type = VG_MSG_RELEASE;
    m.token = UINT32_MAX;
    cut_off_by(&m, sizeof(m));
    for (unsigned i = 0; i < 50; i++) {
        for (unsigned j = 0; j < sizeof(m); j++)
            big[j] = (char)rand_r(&seed);
        cut_off_by(big, sizeof(m));
    }
    ck_assert_int_eq(health_fault("peers_misbehaved"), 59);
    close(peer_attach(&good, TOKEN(0, 1)));
    peer_close(&good);
    finish();
}
END_TEST

START_TEST(messages_out_of_turn)
{
    static const enum vg_msg_type types[] = { VG_MSG_ATTACH, VG_MSG_RELEASE, VG_MSG_RESET };
    struct peer p;

    start(NULL);
    for (unsigned i = 0; i < VG_ARRAY_LEN(types); i++) {
        peer_connect(&p, &d);
        peer_tell(&p, types[i], 0);
        peer_expect_end(&p);
        peer_close(&p);
    }
    peer_hello_process(&p, &d, "app");
    peer_tell(&p, VG_MSG_RESET, 0);         /* a process is no VM */
    peer_expect_end(&p);
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(unwanted_descriptors)
{
    struct vg_msg m = { .type = VG_MSG_ATTACH, .token = TOKEN(0, 1) };
    int fds[4] = { 0, 0, 0, 0 };
    unsigned before;
    struct peer p;

    start(NULL);
    peer_hello_device(&p, &d, "vm1");
    peer_close(&p);
    daemon_wait_children(&d, 0);
    sleep_ms(50);
    before = daemon_fds(&d);
    for (unsigned n = 1; n <= 4; n++) {
        peer_hello_device(&p, &d, "vm1");
        ck_assert_int_eq(vg_sock_send(p.sock, &m, sizeof(m), fds, n), 0);
        peer_expect_end(&p);
        peer_close(&p);
    }
    sleep_ms(50);
    ck_assert_uint_eq(daemon_fds(&d), before);
    finish();
}
END_TEST

START_TEST(second_client_on_a_slot)
{
    struct peer p;

    start(NULL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(3, 1)));
    daemon_wait_children(&d, 1);
    peer_tell(&p, VG_MSG_ATTACH, TOKEN(3, 1));
    peer_expect(&p, VG_MSG_REFUSED, TOKEN(3, 1));
    peer_tell(&p, VG_MSG_ATTACH, TOKEN(3, 2));
    peer_expect(&p, VG_MSG_REFUSED, TOKEN(3, 2));
    /* The first one is served as before; a late release does not hit it. */
    ck_assert_uint_eq(peer_slot_state(&p, 3), VG_SLOT_ATTACHING);
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(3, 9));
    sleep_ms(100);
    ck_assert_uint_eq(daemon_children(&d, NULL, 0), 1);
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(3, 1));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(3, 1));
    peer_close(&p);
    finish();
}
END_TEST

/* A peer that shrinks its region hurts nobody but itself. */
START_TEST(region_shrinks)
{
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
    struct vg_msg m;
    struct peer p;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, TEST_REGION), 0);
    start("crash");
    good_hello(&m);
    peer_connect(&p, &d);
    peer_send(&p, &m, fd);
    peer_expect(&p, VG_MSG_WELCOME, 0);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    close(peer_attach(&p, TOKEN(3, 1)));
    for (unsigned i = 0; i < 1000 && health_fault("crashed") == 0; i++)
        sleep_ms(5);
    ck_assert_int_eq(health_fault("crashed"), 1);
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(too_many_clients)
{
    static const char *const settings[] = { "max_clients=3", "max_executors=1", NULL };
    struct peer p[3], q;

    daemon_start(&d, NULL, settings);
    sleep_ms(20);
    for (unsigned i = 0; i < 3; i++)
        peer_hello_device(&p[i], &d, "vm1");
    peer_connect(&q, &d);
    peer_expect(&q, VG_MSG_REFUSED, 0);
    peer_expect_end(&q);
    peer_close(&q);
    close(peer_attach(&p[0], TOKEN(0, 1)));
    peer_tell(&p[1], VG_MSG_ATTACH, TOKEN(0, 1));
    peer_expect(&p[1], VG_MSG_REFUSED, TOKEN(0, 1));
    for (unsigned i = 0; i < 3; i++)
        peer_close(&p[i]);
    finish();
}
END_TEST

START_TEST(unregistered_vm)
{
    static const char *const settings[] = { "auto_register=no", NULL };
    struct vg_msg m;
    struct peer p;
    int fd = vg_memfd_new("good", TEST_REGION);

    daemon_start(&d, NULL, settings);
    good_hello(&m);
    refused(&m, fd, "unregistered");
    json_object_put(control_ask(&d, "{\"op\":\"register-vm\",\"vm_name\":\"vm9\"}"));
    peer_connect(&p, &d);
    peer_send(&p, &m, fd);
    peer_expect(&p, VG_MSG_WELCOME, 0);
    peer_close(&p);
    finish();
}
END_TEST

/* ---- many at once, and the daemon's own end ---- */

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

/* ---- administrators ---- */

static void is_error(const char *line, const char *part)
{
    json_object *o = control_ask(&d, line);

    ck_assert_msg(o, "%s: the answer is no JSON", line);
    ck_assert_msg(json_number(o, "ok") == 0, "%s was accepted", line);
    ck_assert_msg(strstr(json_text(o, "error"), part), "%s: %s", line, json_text(o, "error"));
    json_object_put(o);
}

START_TEST(bad_requests)
{
    start(NULL);
    is_error("", "not a JSON object");
    is_error("nonsense", "not a JSON object");
    is_error("[]", "not a JSON object");
    is_error("{\"op\":", "not a JSON object");
    is_error("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}", "not a JSON");
    is_error("{}", "op");
    is_error("{\"op\":7}", "op");
    is_error("{\"op\":\"reboot\"}", "\"reboot\" is not one of");
    is_error("{\"op\":\"list\",\"vm_nam\":\"x\"}", "takes no \"vm_nam\"");
    is_error("{\"op\":\"show-vm\"}", "needs vm_name");
    is_error("{\"op\":\"show-vm\",\"vm_name\":7}", "needs vm_name");
    is_error("{\"op\":\"show-vm\",\"vm_name\":\"nobody\"}", "no VM \"nobody\"");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a b\"}", "not a VM name");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":0}", "from 1 to 100");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":101}", "\"101\"");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":-1}", "from 1 to 100");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":{}}", "weight");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":null}", "weight");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"priority\":\"max\"}", "high, medium, low");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"pool\":\"\"}", "pool");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"rate\":99999999999999999999}", "rate");
    /* Nothing of that has left a trace. */
    is_error("{\"op\":\"unregister-vm\",\"vm_name\":\"a\"}", "no VM \"a\"");
    finish();
}
END_TEST

START_TEST(oversized_request)
{
    static char big[100000];
    char answer[256] = "";
    size_t sent = 0;
    ssize_t n;
    int fd;

    start(NULL);
    fd = vg_sock_connect(SOCK_STREAM, d.control);
    memset(big, ' ', sizeof(big));
    while (sent < sizeof(big) && (n = send(fd, big, sizeof(big) - sent, MSG_NOSIGNAL)) > 0)
        sent += (size_t)n;
    for (size_t len = 0; (n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0;)
        len += (size_t)n;
    /* Unread input makes the close a reset, which may overtake the answer. */
    ck_assert(strstr(answer, "longer than") || (n < 0 && errno == ECONNRESET));
    close(fd);
    json_object_put(control_ask(&d, "{\"op\":\"list\"}"));
    finish();
}
END_TEST

START_TEST(many_lines_on_one_connection)
{
    static const char two[] = "{\"op\":\"list\"}\n{\"op\":\"show-health\"}\n{\"op\":";
    char answer[8192] = "", *line;
    size_t len = 0;
    int fd;

    start(NULL);
    fd = vg_sock_connect(SOCK_STREAM, d.control);
    ck_assert_int_eq(send(fd, two, sizeof(two) - 1, 0), sizeof(two) - 1);
    ck_assert_int_eq(send(fd, "\"list\"}\n", 8, 0), 8);
    while (len < sizeof(answer) - 1) {
        unsigned lines = 0;

        len += (size_t)recv(fd, answer + len, sizeof(answer) - 1 - len, 0);
        for (line = answer; (line = strchr(line, '\n')) != NULL; line++)
            lines++;
        if (lines == 3)
            break;
    }
    ck_assert_ptr_nonnull(strstr(answer, "\"health\""));
    close(fd);
    finish();
}
END_TEST

START_TEST(silent_administrators)
{
    int fds[40];

    start(NULL);
    for (unsigned i = 0; i < 40; i++)
        fds[i] = vg_sock_connect(SOCK_STREAM, d.control);
    sleep_ms(50);
    /* The first 32 may stay, the others have been closed; peers are served as before. */
    struct peer p;
    peer_hello_device(&p, &d, "vm1");
    peer_close(&p);
    for (unsigned i = 0; i < 40; i++)
        close(fds[i]);
    sleep_ms(50);
    json_object_put(control_ask(&d, "{\"op\":\"list\"}"));
    finish();
}
END_TEST

START_TEST(register_and_unregister)
{
    json_object *o, *vms;

    start(NULL);
    o = control_ask(&d, "{\"op\":\"register-vm\",\"vm_name\":\"a\",\"priority\":\"high\"}");
    ck_assert_int_eq(json_number(o, "ok"), 1);
    json_object_put(o);
    /* Again, with one field: the others stay. */
    json_object_put(control_ask(&d, "{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":7}"));
    o = control_ask(&d, "{\"op\":\"list\"}");
    ck_assert(json_object_object_get_ex(o, "vms", &vms));
    ck_assert_int_eq((int)json_object_array_length(vms), 1);
    ck_assert_str_eq(json_text(json_object_array_get_idx(vms, 0), "priority"), "high");
    ck_assert_int_eq(json_number(json_object_array_get_idx(vms, 0), "weight"), 7);
    json_object_put(o);
    json_object_put(control_ask(&d, "{\"op\":\"unregister-vm\",\"vm_name\":\"a\"}"));
    is_error("{\"op\":\"show-vm\",\"vm_name\":\"a\"}", "no VM");
    finish();
}
END_TEST

static void add(Suite *s, const char *name, const TTest *const *tests, unsigned count)
{
    TCase *tc = tcase_create(name);

    tcase_set_timeout(tc, 30);
    for (unsigned i = 0; i < count; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(s, tc);
}

#define ADD(suite, name, ...)                                        \
    do {                                                             \
        const TTest *const tests_[] = { __VA_ARGS__ };               \
        add(suite, name, tests_, VG_ARRAY_LEN(tests_));              \
    } while (0)

int main(void)
{
    Suite *s = suite_create("mediator");
    SRunner *r = srunner_create(s);
    int failed;

    ADD(s, "course", device_attach_release, process_attach_and_die,
        process_killed_while_its_child_lives, reset_frees_every_slot, totals_outlive_executors);
    ADD(s, "executors", executor_crashes, executor_ends_with_a_reason, executor_cannot_start,
        executor_sends_garbage, executor_closes_its_control_socket, executor_killed, stubborn_executor_is_killed,
        executor_that_never_gets_ready, spin_time_is_passed_on, missing_executor_is_refused);
    ADD(s, "peers", bad_hellos, name_without_end, garbage, messages_out_of_turn,
        unwanted_descriptors, second_client_on_a_slot, region_shrinks, too_many_clients,
        unregistered_vm);
    ADD(s, "daemon", concurrent_clients, talkative_executor, shutdown_tells_the_guests,
        restart_after_kill, second_instance_is_refused);
    ADD(s, "administrators", bad_requests, oversized_request, many_lines_on_one_connection,
        silent_administrators, register_and_unregister);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
