/* SPDX-License-Identifier: MIT */
/* Peers that break the protocol: they go, everybody else stays. */
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
    m.role = 4;
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
    json_object *o = control_ask(&d, "{\"op\":\"show-vm\",\"vm_name\":\"vm9\"}");
    ck_assert_int_eq(json_number(o, "ok"), 0);  /* none of them has left a VM behind */
    json_object_put(o);
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

/* Connections that never say HELLO go, oldest first; whoever says it is welcome. */
static void many_silent(unsigned count, unsigned max_open)
{
    struct peer silent[40], p;
    struct vg_msg m;
    int fd;

    ck_assert_uint_le(count, VG_ARRAY_LEN(silent));
    for (unsigned i = 0; i < count; i++)
        peer_connect(&silent[i], &d);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    for (unsigned i = 0; i < count - max_open; i++) {
        peer_expect(&silent[i], VG_MSG_REFUSED, 0);
        peer_expect_end(&silent[i]);
    }
    /* The youngest has not been harmed, and neither has the one that said HELLO. */
    fd = vg_memfd_new("good", TEST_REGION);
    good_hello(&m);
    peer_send(&silent[count - 1], &m, fd);
    peer_expect(&silent[count - 1], VG_MSG_WELCOME, 0);
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, 1));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(0, 1));
    close(fd);
    for (unsigned i = 0; i < count; i++)
        peer_close(&silent[i]);
    peer_close(&p);
}

START_TEST(silent_peers_of_one_user)
{
    start(NULL);
    many_silent(40, 16);
    finish();
}
END_TEST

START_TEST(silent_peers_in_all_places)
{
    static const char *const settings[] = { "max_clients=3", NULL };

    daemon_start(&d, NULL, settings);
    sleep_ms(20);
    many_silent(20, 2);
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

void add_peers(Suite *s)
{
    ADD(s, "peers", bad_hellos, name_without_end, garbage, messages_out_of_turn,
        unwanted_descriptors, second_client_on_a_slot, region_shrinks, too_many_clients,
        silent_peers_of_one_user, silent_peers_in_all_places, unregistered_vm);
}
