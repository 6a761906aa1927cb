/* SPDX-License-Identifier: MIT */
/*
 * Connections of administrators: lines in, lines out, all bounded. One request is
 * answered before the next is read, so a client that does not read blocks itself.
 */
#include "control.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "mediator.h"
#include "mediator/base/log.h"
#include "mediator/base/sock.h"

struct conn {
    struct vg_list link;
    struct vg_control *ctl;
    int fd;
    struct vg_io io;
    struct vg_timer idle;
    char *in;               /* VG_CONTROL_LINE_MAX bytes, allocated with the first byte */
    size_t in_len;
    char *out;
    size_t out_len, out_done;
    bool last;              /* close when everything is sent */
};

static void conn_free(struct conn *c)
{
    struct vg_control *ctl = c->ctl;

    vg_timer_del(&c->idle);
    vg_io_del(&ctl->mediator->loop, &c->io);
    vg_close(&c->fd);
    vg_list_remove(&c->link);
    ctl->conn_count--;
    free(c->in);
    free(c->out);
    free(c);
}

static void idle_over(void *arg)
{
    conn_free(arg);
}

static void still_here(struct conn *c)
{
    vg_timer_set(&c->ctl->mediator->loop, &c->idle, vg_now() + VG_CONTROL_IDLE_MS * VG_NS_PER_MS,
                 idle_over, c);
}

/* ---- answers ---- */

/* True: everything is out. False: wait for room, or the connection has been freed (*ret_freed). */
static bool flush(struct conn *c, bool *ret_freed)
{
    while (c->out_done < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN) {
            vg_io_set(&c->ctl->mediator->loop, &c->io, EPOLLOUT);
            return false;
        }
        if (n < 0 && errno != EINTR) {
            conn_free(c);
            *ret_freed = true;
            return false;
        }
        if (n > 0)
            c->out_done += (size_t)n;
    }
    free(c->out);
    c->out = NULL;
    c->out_len = c->out_done = 0;
    return true;
}

static void answer(struct conn *c, const char *line, size_t len)
{
    json_object *o = vg_control_serve(c->ctl->mediator, line, len);
    const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    size_t n = strlen(text);

    c->out = malloc(n + 1);
    if (c->out) {
        memcpy(c->out, text, n);
        c->out[n] = '\n';
        c->out_len = n + 1;
    }
    c->last = c->last || !c->out;
    json_object_put(o);
}

static void answer_too_long(struct conn *c)
{
    static const char text[] = "{\"ok\":false,\"error\":\"the request is longer than 65536 "
                               "bytes\"}\n";

    vg_log(VG_LOG_WARNING, "control-oversized", "bytes=%zu", c->in_len);
    c->out = strdup(text);
    c->out_len = c->out ? sizeof(text) - 1 : 0;
    c->last = true;
}

/* ---- requests ---- */

/* Answers the first complete line, if there is one. */
static bool take_line(struct conn *c)
{
    char *end = memchr(c->in, '\n', c->in_len);
    size_t len;

    if (!end)
        return false;
    len = (size_t)(end - c->in);
    answer(c, c->in, len);
    c->in_len -= len + 1;
    memmove(c->in, end + 1, c->in_len);
    return true;
}

static void serve(struct conn *c)
{
    bool freed = false;

    while (flush(c, &freed)) {
        if (c->last) {
            conn_free(c);
            return;
        }
        if (!take_line(c)) {
            if (c->in_len < VG_CONTROL_LINE_MAX) {
                vg_io_set(&c->ctl->mediator->loop, &c->io, EPOLLIN);
                return;
            }
            answer_too_long(c);
        }
    }
}

static void conn_ready(void *arg, uint32_t events)
{
    struct conn *c = arg;
    ssize_t n;

    if (!c->in)
        c->in = malloc(VG_CONTROL_LINE_MAX);
    if (!c->in || (events & EPOLLERR)) {
        conn_free(c);
        return;
    }
    if (c->out_len == 0) {
        n = recv(c->fd, c->in + c->in_len, VG_CONTROL_LINE_MAX - c->in_len, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            conn_free(c);
            return;
        }
        if (n > 0)
            c->in_len += (size_t)n;
    }
    still_here(c);
    serve(c);
}

static void accept_ready(void *arg, uint32_t events)
{
    struct vg_control *ctl = arg;
    int fd = vg_sock_accept(ctl->listen_fd);
    struct conn *c;

    (void)events;
    if (fd < 0)
        return;
    c = ctl->conn_count < VG_CONTROL_CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;
    if (!c || vg_io_add(&ctl->mediator->loop, &c->io, fd, EPOLLIN, conn_ready, c) < 0) {
        vg_log(VG_LOG_WARNING, "control-full", "connections=%u", ctl->conn_count);
        close(fd);
        free(c);
        return;
    }
    c->ctl = ctl;
    c->fd = fd;
    vg_list_append(&ctl->conns, &c->link);
    ctl->conn_count++;
    still_here(c);
}

/* ---- life ---- */

int vg_control_init(struct vg_control *ctl, struct vg_mediator *m, const char *path, gid_t gid)
{
    int rc;

    memset(ctl, 0, sizeof(*ctl));
    ctl->mediator = m;
    ctl->listen_io.fd = -1;
    vg_list_init(&ctl->conns);
    ctl->listen_fd = vg_sock_listen(SOCK_STREAM, path, 0660, gid);
    if (ctl->listen_fd < 0)
        return ctl->listen_fd;
    rc = vg_io_add(&m->loop, &ctl->listen_io, ctl->listen_fd, EPOLLIN, accept_ready, ctl);
    if (rc < 0) {
        unlink(path);
        vg_control_fini(ctl);
    }
    return rc;
}

void vg_control_fini(struct vg_control *ctl)
{
    struct conn *c, *next;

    if (!ctl->mediator)
        return;
    vg_list_for_each_safe(c, next, &ctl->conns, link)
        conn_free(c);
    vg_io_del(&ctl->mediator->loop, &ctl->listen_io);
    vg_close(&ctl->listen_fd);
    ctl->mediator = NULL;
}
