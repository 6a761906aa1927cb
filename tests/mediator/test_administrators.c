/* SPDX-License-Identifier: MIT */
/* The control socket: what is refused, and that nothing blocks on it. */
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
    is_error("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}", "nested too deep");
    is_error("{\"op\":\"list\",\"op\":\"show-health\"}", "a key that is there twice");
    is_error("{\"op\":\"list\"} {\"op\":\"list\"}", "something after the end");
    is_error("{\"op\":NaN}", "not a JSON object");
    is_error("{}", "op");
    is_error("{\"op\":7}", "op");
    is_error("{\"op\":\"reboot\"}", "\"reboot\" is not one of");
    is_error("{\"op\":\"l\"}", "\"l\" is not one of");
    is_error("{\"op\":\"list\",\"vm_nam\":\"x\"}", "takes no \"vm_nam\"");
    is_error("{\"op\":\"show-vm\"}", "needs vm_name");
    is_error("{\"op\":\"show-vm\",\"vm_name\":7}", "vm_name: 7 is of the wrong type");
    is_error("{\"op\":\"show-vm\",\"vm_name\":\"nobody\"}", "no VM \"nobody\"");
    is_error("{\"op\":\"show-vm\",\"vm_name\":\"no\\u0000body\"}", "not a JSON object");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a b\"}", "not a VM name");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":0}", "from 1 to 100");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":101}", "\"101\"");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":-1}", "from 1 to 100");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":1e1}", "weight: 1e1 is of the wrong");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":50.0}", "weight");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":true}", "weight");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":{}}", "weight");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":[]}", "weight");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"weight\":null}", "weight");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"priority\":\"max\"}", "high, medium, low");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"priority\":1}", "wrong type");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"pool\":\"\"}", "pool");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"rate\":99999999999999999999}", "too long");
    is_error("{\"op\":\"register-vm\",\"vm_name\":\"a\",\"rate\":\"99999999999999999999\"}",
             "rate: \"99999999999999999999\" is not a number from 0");
    is_error("{\"op\":\"set-rate-limit\",\"vm_name\":\"a\"}", "at least one of rate queue_depth");
    is_error("{\"op\":\"set-weight\",\"vm_name\":\"a\"}", "needs weight");
    is_error("{\"op\":\"set-weight\",\"vm_name\":\"a\",\"weight\":3,\"pool\":\"B\"}", "takes no \"pool\"");
    is_error("{\"op\":\"set-weight\",\"vm_name\":\"a\",\"weight\":3}", "no VM \"a\"");
    is_error("{\"op\":\"top\",\"interval\":500}", "takes no \"interval\"");
    is_error("{\"op\":\"events\",\"follow\":\"yes\"}", "follow: yes is of the wrong type");
    is_error("{\"op\":\"events\",\"limit\":0}", "limit: \"0\" is not a number from 1");
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

/* Each verb that sets something sets it, and says so in the events. */
START_TEST(set_verbs)
{
    static const char *const sets[][3] = {
        { "{\"op\":\"set-weight\",\"vm_name\":\"a\",\"weight\":7}", "weight", "7" },
        { "{\"op\":\"set-weight\",\"vm_name\":\"a\",\"weight\":\"8\"}", "weight", "8" },
        { "{\"op\":\"set-priority\",\"vm_name\":\"a\",\"priority\":\"low\"}", "priority", "low" },
        { "{\"op\":\"set-pool\",\"vm_name\":\"a\",\"pool\":\"B\"}", "pool", "B" },
        { "{\"op\":\"set-rate-limit\",\"vm_name\":\"a\",\"rate\":900}", "rate", "900" },
        { "{\"op\":\"set-rate-limit\",\"vm_name\":\"a\",\"queue_depth\":4}", "queue_depth", "4" },
        { "{\"op\":\"set-memory\",\"vm_name\":\"a\",\"memory_mib\":512}", "memory_mib", "512" },
    };
    json_object *o, *vm, *value;

    start(NULL);
    json_object_put(control_ask(&d, "{\"op\":\"register-vm\",\"vm_name\":\"a\"}"));
    for (unsigned i = 0; i < VG_ARRAY_LEN(sets); i++) {
        o = control_ask(&d, sets[i][0]);
        ck_assert_msg(json_object_object_get_ex(o, "vm", &vm), "%s", sets[i][0]);
        ck_assert(json_object_object_get_ex(vm, sets[i][1], &value));
        ck_assert_str_eq(json_object_get_string(value), sets[i][2]);
        json_object_put(o);
    }
    /* One does not undo another. */
    o = control_ask(&d, "{\"op\":\"show-vm\",\"vm_name\":\"a\"}");
    ck_assert(json_object_object_get_ex(o, "vm", &vm));
    ck_assert_int_eq(json_number(vm, "rate"), 900);
    ck_assert_int_eq(json_number(vm, "weight"), 8);
    json_object_put(o);
    o = control_ask(&d, "{\"op\":\"events\",\"vm_name\":\"a\",\"limit\":1}");
    ck_assert(json_object_object_get_ex(o, "events", &vm));
    ck_assert_int_eq((int)json_object_array_length(vm), 1);
    vm = json_object_array_get_idx(vm, 0);
    ck_assert_str_eq(json_text(vm, "type"), "vm-changed");
    ck_assert_str_eq(json_text(vm, "text"), "memory_mib=512 memory_mib_was=0");
    json_object_put(o);
    finish();
}
END_TEST

/* Reads until `part` has come, a bounded time. */
static void wait_for(int fd, const char *part)
{
    static char got[1 << 16];
    size_t len = 0;
    uint64_t end = now_ms() + 4 * TEST_WAIT_MS;

    got[0] = '\0';
    while (!strstr(got, part) && now_ms() < end && len < sizeof(got) - 1) {
        ssize_t n = recv(fd, got + len, sizeof(got) - 1 - len, MSG_DONTWAIT);

        ck_assert_msg(n != 0, "the connection ended before \"%s\"", part);
        if (n < 0)
            sleep_ms(5);
        len += n > 0 ? (size_t)n : 0;
        got[len] = '\0';
    }
    ck_assert_msg(strstr(got, part), "no \"%s\" in: %s", part, got);
}

static int follow(const char *line)
{
    int fd = vg_sock_connect(SOCK_STREAM, d.control);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(send(fd, line, strlen(line), 0), (int)strlen(line));
    return fd;
}

START_TEST(follow_events)
{
    int all, one;

    start(NULL);
    all = follow("{\"op\":\"events\",\"follow\":true}\n");
    one = follow("{\"op\":\"events\",\"vm_name\":\"b\",\"follow\":true}\n");
    wait_for(all, "mediator-started");
    wait_for(one, "\"next\"");
    json_object_put(control_ask(&d, "{\"op\":\"register-vm\",\"vm_name\":\"a\"}"));
    json_object_put(control_ask(&d, "{\"op\":\"register-vm\",\"vm_name\":\"b\"}"));
    wait_for(all, "\"vm\":\"b\"");
    wait_for(one, "\"vm\":\"b\"");
    close(one);
    json_object_put(control_ask(&d, "{\"op\":\"unregister-vm\",\"vm_name\":\"b\"}"));
    wait_for(all, "vm-unregistered");
    ck_assert_int_eq(daemon_stop(&d), 0);
    wait_for(all, "mediator-stopping");
    close(all);
    daemon_clean(&d);
}
END_TEST

/* One who follows and does not read is dropped; the others get their answers all the time. */
START_TEST(follower_who_does_not_read)
{
    char rest[4096];
    struct peer p;
    uint64_t end;
    ssize_t n = 1;
    int fd;

    start(NULL);
    fd = follow("{\"op\":\"events\",\"follow\":true}\n");
    /* Each makes two events of more than 100 bytes; socket and queue take half a megabyte. */
    for (unsigned i = 0; i < 5000; i++) {
        peer_connect(&p, &d);
        peer_send_raw(&p, "nonsense", 8);
        peer_expect_end(&p);
        peer_close(&p);
    }
    json_object_put(control_ask(&d, "{\"op\":\"list\"}"));
    for (end = now_ms() + 4 * TEST_WAIT_MS; n != 0 && now_ms() < end;) {
        n = recv(fd, rest, sizeof(rest), MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            n = 0;
    }
    ck_assert_msg(n == 0, "it is still there");
    close(fd);
    finish();
}
END_TEST

void add_administrators(Suite *s)
{
    ADD(s, "administrators", bad_requests, oversized_request, many_lines_on_one_connection,
        silent_administrators, register_and_unregister, set_verbs, follow_events,
        follower_who_does_not_read);
}
