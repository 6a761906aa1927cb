/* SPDX-License-Identifier: MIT */
/* One question to the mediator, see ask.h. Blocks, for a bounded time. */
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "mediator/base/sock.h"
#include "mediator/base/util.h"

#define ANSWER_MAX (16u << 20)  /* bytes; 1024 VMs with every call counted need 10 MiB */

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

/* Feeds the parser piece by piece until the object is complete. */
static int receive(int fd, struct json_tokener *tok, json_object **ret_answer)
{
    char piece[16384];
    size_t total = 0;

    while (total < ANSWER_MAX) {
        ssize_t n = recv(fd, piece, sizeof(piece), 0);
        enum json_tokener_error error;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        total += (size_t)n;
        *ret_answer = json_tokener_parse_ex(tok, piece, (int)n);
        error = json_tokener_get_error(tok);
        if (error != json_tokener_continue)
            return error == json_tokener_success ? 0 : -EPROTO;
    }
    return -EMSGSIZE;
}

static int exchange(int fd, json_object *request, json_object **ret_answer)
{
    struct timeval limit = { .tv_sec = VG_ASK_TIMEOUT_S };
    struct json_tokener *tok = json_tokener_new();
    int rc;

    if (!tok)
        return -ENOMEM;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    rc = send_line(fd, json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
    if (rc == 0)
        rc = receive(fd, tok, ret_answer);
    json_tokener_free(tok);
    return rc;
}

static const char *hint(int rc)
{
    if (rc == -ENOENT || rc == -ECONNREFUSED)
        return "; is vgpu-mediator running?";
    return rc == -EACCES ? "; only its user and group may connect" : "";
}

json_object *vg_ask(const char *path, json_object *request, char *why, size_t why_cap)
{
    vg_auto_fd int fd = vg_sock_connect(SOCK_STREAM, path);
    json_object *answer = NULL;
    int rc = fd < 0 ? fd : exchange(fd, request, &answer);

    if (rc == -EAGAIN)
        rc = -ETIMEDOUT;
    if (rc == 0)
        return answer;
    snprintf(why, why_cap, "%s: %s%s", path, strerror(-rc), hint(rc));
    json_object_put(answer);
    return NULL;
}
