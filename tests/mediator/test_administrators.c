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

void add_administrators(Suite *s)
{
    ADD(s, "administrators", bad_requests, oversized_request, many_lines_on_one_connection,
        silent_administrators, register_and_unregister);
}
