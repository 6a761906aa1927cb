/* SPDX-License-Identifier: MIT */
/*
 * Connections of administrators: lines in, lines out, all bounded. One request is
 * answered before the next is read, so a client that does not read blocks itself; one
 * that follows events and does not read is dropped.
 */
#include "control.h"

#include <errno.h>
#include <inttypes.h>
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
    struct vg_asker asker;
    uint64_t active;        /* ns, when it last asked or read */
    char *in;               /* VG_CONTROL_LINE_MAX bytes, allocated with the first byte */
    size_t in_len;
    char *out;
    size_t out_len, out_done;
    bool last;              /* close when everything is sent */
    bool broken;            /* to be closed by the next who may */
};

static struct vg_loop *loop_of(const struct conn *c)
{
    return &c->ctl->mediator->loop;
}

static void drop_out(struct conn *c)
{
    c->ctl->waiting -= c->out_len;
    free(c->out);
    c->out = NULL;
    c->out_len = c->out_done = 0;
}

static void conn_free(struct conn *c)
{
    struct vg_control *ctl = c->ctl;

    vg_timer_del(&c->idle);
    vg_io_del(loop_of(c), &c->io);
    vg_close(&c->fd);
    vg_list_remove(&c->link);
    ctl->conn_count--;
    drop_out(c);
    free(c->in);
    free(c);
}

static void idle_over(void *arg)
{
    struct conn *c = arg;

    if (c->out_len > 0) {
        c->ctl->dropped++;
        vg_log(VG_LOG_WARNING, "control-slow", "unread=%zu", c->out_len - c->out_done);
    }
    conn_free(c);
}

/* One who follows and has read everything may be silent for ever. */
static void still_here(struct conn *c)
{
    c->active = vg_now();
    if (c->asker.follow && c->out_len == 0)
        vg_timer_del(&c->idle);
    else
        vg_timer_set(loop_of(c), &c->idle, c->active + VG_CONTROL_IDLE_MS * VG_NS_PER_MS,
                     idle_over, c);
}

/* ---- answers ---- */

/* True: everything is out. False: wait for room, or the connection is broken. */
static bool flush(struct conn *c)
{
    while (c->out_done < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN) {
            vg_io_set(loop_of(c), &c->io, EPOLLOUT);
            return false;
        }
        if (n < 0 && errno != EINTR) {
            c->broken = true;
            return false;
        }
        if (n > 0)
            c->out_done += (size_t)n;
    }
    drop_out(c);
    return true;
}

/* Adds a line to what is to be sent; where there is no room for it the connection ends. */
static void put(struct conn *c, const char *text, size_t n)
{
    size_t left = c->out_len - c->out_done;
    char *out;

    if (c->ctl->waiting + n + 1 > VG_CONTROL_OUT_MAX || !(out = malloc(left + n + 1))) {
        vg_log(VG_LOG_WARNING, "control-memory", "waiting=%zu", c->ctl->waiting);
        c->last = true;
        return;
    }
    if (left > 0)
        memcpy(out, c->out + c->out_done, left);
    memcpy(out + left, text, n);
    out[left + n] = '\n';
    drop_out(c);
    c->out = out;
    c->out_len = left + n + 1;
    c->ctl->waiting += c->out_len;
}

static void put_json(struct conn *c, json_object *o)
{
    const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);

    put(c, text, strlen(text));
    json_object_put(o);
}

static void put_error(struct conn *c, const char *why)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "ok", json_object_new_boolean(0));
    json_object_object_add(o, "error", json_object_new_string(why));
    put_json(c, o);
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
    put_json(c, vg_control_serve(c->ctl->mediator, &c->asker, c->in, len));
    c->in_len -= len + 1;
    memmove(c->in, end + 1, c->in_len);
    return true;
}

static void serve(struct conn *c)
{
    while (flush(c)) {
        if (c->last) {
            c->broken = true;
            return;
        }
        if (c->asker.follow || !take_line(c)) {
            if (c->asker.follow || c->in_len < VG_CONTROL_LINE_MAX) {
                vg_io_set(loop_of(c), &c->io, EPOLLIN);
                return;
            }
            vg_log(VG_LOG_WARNING, "control-oversized", "bytes=%zu", c->in_len);
            put_error(c, "the request is longer than 65536 bytes");
        }
    }
}

/* What one who follows still says is read, to see its end, and has no meaning. */
static void receive(struct conn *c)
{
    size_t room;
    ssize_t n;

    if (c->asker.follow)
        c->in_len = 0;
    room = VG_CONTROL_LINE_MAX - c->in_len;
    n = recv(c->fd, c->in + c->in_len, room, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        c->broken = true;
    if (n > 0)
        c->in_len += (size_t)n;
}

static void conn_ready(void *arg, uint32_t events)
{
    struct conn *c = arg;

    if (!c->in)
        c->in = malloc(VG_CONTROL_LINE_MAX);
    if (!c->in || (events & EPOLLERR))
        c->broken = true;
    else if (c->out_len == 0)
        receive(c);
    if (!c->broken)
        serve(c);
    if (c->broken)
        conn_free(c);
    else
        still_here(c);
}

/* ---- events ---- */

static bool wants(const struct conn *c, const struct vg_event_entry *e)
{
    return c->asker.follow && !c->last && !c->broken &&
           (!c->asker.follow_vm[0] || strcmp(c->asker.follow_vm, e->vm) == 0);
}

/* Sent when the socket is next looked at: an event may come up in the middle of anything. */
static void tell(struct conn *c, const struct vg_event_entry *e)
{
    json_object *line = json_object_new_object();
    bool full = c->out_len - c->out_done > VG_CONTROL_QUEUE_MAX;
    uint64_t patience = full ? 0 : VG_CONTROL_IDLE_MS * VG_NS_PER_MS;

    json_object_object_add(line, "event", vg_control_event(e));
    put_json(c, line);
    vg_io_set(loop_of(c), &c->io, EPOLLOUT);
    if (full || !c->idle.armed)
        vg_timer_set(loop_of(c), &c->idle, vg_now() + patience, idle_over, c);
    c->last = c->last || full;
}

static void on_event(void *arg, const struct vg_event_entry *e)
{
    struct vg_control *ctl = arg;
    struct conn *c;

    vg_list_for_each(c, &ctl->conns, link) {
        if (wants(c, e))
            tell(c, e);
    }
}

/* ---- arrivals ---- */

/* The one that has been silent longest among those with the least rights, up to `rights`. */
static struct conn *least_needed(struct vg_control *ctl, enum vg_rights rights)
{
    struct conn *c, *found = NULL;

    vg_list_for_each(c, &ctl->conns, link) {
        if (c->asker.rights <= rights &&
            (!found || c->asker.rights < found->asker.rights ||
             (c->asker.rights == found->asker.rights && c->active < found->active)))
            found = c;
    }
    return found;
}

/* Readers cannot keep administrators out: these take the place of one of them. */
static bool make_room(struct vg_control *ctl, enum vg_rights rights)
{
    struct conn *c;

    if (ctl->conn_count < VG_CONTROL_CONNS_MAX)
        return true;
    c = least_needed(ctl, rights);
    vg_log(VG_LOG_WARNING, "control-full", "connections=%u closed=%s", ctl->conn_count,
           c ? "oldest" : "new");
    if (c)
        conn_free(c);
    return c != NULL;
}

static void accept_ready(void *arg, uint32_t events)
{
    static const char no[] = "{\"ok\":false,\"error\":\"not permitted for your user and groups\"}\n";
    struct vg_control *ctl = arg;
    int fd = vg_sock_accept(ctl->listen_fd);
    enum vg_rights rights;
    struct conn *c;

    (void)events;
    if (fd < 0)
        return;
    rights = vg_control_rights(ctl, fd);
    if (rights == VG_RIGHTS_NONE)
        (void)!send(fd, no, sizeof(no) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    c = rights != VG_RIGHTS_NONE && make_room(ctl, rights) ? calloc(1, sizeof(*c)) : NULL;
    if (!c || vg_io_add(&ctl->mediator->loop, &c->io, fd, EPOLLIN, conn_ready, c) < 0) {
        close(fd);
        free(c);
        return;
    }
    c->ctl = ctl;
    c->fd = fd;
    c->asker.rights = rights;
    vg_list_append(&ctl->conns, &c->link);
    ctl->conn_count++;
    still_here(c);
}

/* ---- life ---- */

/*
 * With groups for this socket the kernel lets everybody in and we look who it is; with
 * the one group of both sockets, its permissions say the same already.
 */
static int listen_at(const struct vg_control *ctl, const struct vg_config *c)
{
    bool own = c->admin_group[0] || c->monitor_group[0];

    return vg_sock_listen(SOCK_STREAM, c->control_socket, own ? 0666 : 0660, ctl->admin_gid);
}

int vg_control_init(struct vg_control *ctl, struct vg_mediator *m, char *why, size_t why_cap)
{
    const struct vg_config *config = &m->config;
    int rc;

    memset(ctl, 0, sizeof(*ctl));
    ctl->listen_io.fd = -1;
    ctl->uid = geteuid();
    vg_list_init(&ctl->conns);
    rc = vg_control_groups(ctl, config, why, why_cap);
    if (rc < 0)
        return rc;
    ctl->listen_fd = listen_at(ctl, config);
    if (ctl->listen_fd < 0) {
        vg_mediator_explain_listen(ctl->listen_fd, config->control_socket, why, why_cap);
        return ctl->listen_fd;
    }
    ctl->mediator = m;
    rc = vg_io_add(&m->loop, &ctl->listen_io, ctl->listen_fd, EPOLLIN, accept_ready, ctl);
    if (rc < 0) {
        unlink(config->control_socket);
        vg_control_fini(ctl);
        return rc;
    }
    m->events.fn = on_event;
    m->events.arg = ctl;
    return 0;
}

/* The last events, such as that of the stop, are still for those who follow. */
void vg_control_fini(struct vg_control *ctl)
{
    struct conn *c, *next;

    if (!ctl->mediator)
        return;
    ctl->mediator->events.fn = NULL;
    vg_list_for_each_safe(c, next, &ctl->conns, link) {
        flush(c);
        conn_free(c);
    }
    vg_io_del(&ctl->mediator->loop, &ctl->listen_io);
    vg_close(&ctl->listen_fd);
    ctl->mediator = NULL;
}
