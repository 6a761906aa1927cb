/* SPDX-License-Identifier: MIT */
/* Questions to the mediator, see ask.h. Blocks, for a bounded time unless it follows. */
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "mediator/base/sock.h"
#include "mediator/base/util.h"

#define ANSWER_MAX (16u << 20)  /* bytes; 1024 VMs with every call counted need 10 MiB */

struct stream {
    int fd;
    char piece[16384];
    size_t at, len;         /* of the piece: not parsed yet */
    struct json_tokener *tok;
};

static int send_line(int fd, const char *line)
{
    size_t len = strlen(line);

    while (len > 0) {
        ssize_t n = send(fd, line, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        line += n;
        len -= (size_t)n;
    }
    return send(fd, "\n", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int refill(struct stream *s)
{
    ssize_t n = recv(s->fd, s->piece, sizeof(s->piece), 0);

    if (n <= 0)
        return n < 0 ? -errno : -ECONNRESET;
    s->at = 0;
    s->len = (size_t)n;
    return 0;
}

/* Feeds the parser piece by piece until the object is complete; what comes behind it stays. */
static int receive(struct stream *s, json_object **ret_answer)
{
    size_t total = 0;

    json_tokener_reset(s->tok);
    while (total < ANSWER_MAX) {
        enum json_tokener_error error;
        int rc = s->at < s->len ? 0 : refill(s);

        if (rc < 0)
            return rc;
        if (total == 0 && s->piece[s->at] == '\n') {
            s->at++;
            continue;
        }
        *ret_answer = json_tokener_parse_ex(s->tok, s->piece + s->at, (int)(s->len - s->at));
        error = json_tokener_get_error(s->tok);
        total += s->len - s->at;
        s->at = error == json_tokener_success ? s->at + (size_t)s->tok->char_offset : s->len;
        if (error != json_tokener_continue)
            return error == json_tokener_success ? 0 : -EPROTO;
    }
    return -EMSGSIZE;
}

static int begin(struct stream *s, const char *path, json_object *request, unsigned timeout_s)
{
    struct timeval limit = { .tv_sec = (time_t)timeout_s };

    s->at = s->len = 0;
    s->tok = NULL;
    s->fd = vg_sock_connect(SOCK_STREAM, path);
    if (s->fd < 0)
        return s->fd;
    s->tok = json_tokener_new();
    if (!s->tok)
        return -ENOMEM;
    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    return send_line(s->fd, json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
}

static void end(struct stream *s)
{
    if (s->tok)
        json_tokener_free(s->tok);
    vg_close(&s->fd);
}

static const char *hint(int rc)
{
    if (rc == -ENOENT || rc == -ECONNREFUSED)
        return "; is vgpu-mediator running?";
    return rc == -EACCES ? "; only its user and group may connect" : "";
}

static void explain(int rc, const char *path, char *why, size_t cap)
{
    if (rc == -EAGAIN)
        rc = -ETIMEDOUT;
    snprintf(why, cap, "%s: %s%s", path, strerror(-rc), hint(rc));
}

/* A refusal at the door is sent before we ask, and then asking may fail. */
static int first_answer(struct stream *s, int rc, json_object **ret_answer)
{
    if (rc < 0 && rc != -EPIPE && rc != -ECONNRESET)
        return rc;
    while ((rc = receive(s, ret_answer)) == -EINTR)
        ;
    return rc;
}

json_object *vg_ask_within(const char *path, json_object *request, unsigned timeout_s, char *why,
                           size_t why_cap)
{
    struct stream s;
    json_object *answer = NULL;
    int rc = begin(&s, path, request, timeout_s);

    rc = s.fd < 0 ? rc : first_answer(&s, rc, &answer);
    end(&s);
    if (rc == 0)
        return answer;
    explain(rc, path, why, why_cap);
    json_object_put(answer);
    return NULL;
}

json_object *vg_ask(const char *path, json_object *request, char *why, size_t why_cap)
{
    return vg_ask_within(path, request, VG_ASK_TIMEOUT_S, why, why_cap);
}

static int go_on(struct stream *s, bool (*fn)(void *arg, json_object *line), void *arg)
{
    struct timeval for_ever = { .tv_sec = 0 };
    json_object *line = NULL;
    bool more = true;
    int rc = 0;

    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever));
    while (more && (rc = receive(s, &line)) == 0) {
        more = fn(arg, line);
        json_object_put(line);
    }
    return rc == -EINTR ? 0 : rc;
}

int vg_ask_follow(const char *path, json_object *request, bool (*fn)(void *arg, json_object *line),
                  void *arg, char *why, size_t why_cap)
{
    struct stream s;
    json_object *answer = NULL;
    int rc = begin(&s, path, request, VG_ASK_TIMEOUT_S);

    rc = s.fd < 0 ? rc : first_answer(&s, rc, &answer);
    if (rc == 0 && fn(arg, answer))
        rc = go_on(&s, fn, arg);
    json_object_put(answer);
    end(&s);
    if (rc < 0)
        explain(rc, path, why, why_cap);
    return rc;
}
