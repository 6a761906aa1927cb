/* SPDX-License-Identifier: MIT */
/* As much of HTTP as a scraper speaks, see metrics.h. */
#include "metrics.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "mediator.h"
#include "mediator/base/log.h"
#include "mediator/base/number.h"
#include "mediator/base/sock.h"
#include "scrape.h"

#define UNIX_PREFIX "unix:"

struct conn {
    struct vg_list link;
    struct vg_metrics *metrics;
    int fd;
    struct vg_io io;
    struct vg_timer timer;
    char in[VG_METRICS_REQUEST_MAX];
    size_t in_len;
    struct vg_text out;
    size_t out_done;
    bool answering;
};

static struct vg_loop *loop_of(const struct conn *c)
{
    return &c->metrics->mediator->loop;
}

static void conn_free(struct conn *c)
{
    vg_timer_del(&c->timer);
    vg_io_del(loop_of(c), &c->io);
    vg_close(&c->fd);
    vg_list_remove(&c->link);
    c->metrics->conn_count--;
    free(c->out.at);
    free(c);
}

static void too_slow(void *arg)
{
    conn_free(arg);
}

static void be_patient(struct conn *c)
{
    vg_timer_set(loop_of(c), &c->timer, vg_now() + VG_METRICS_PATIENCE_MS * VG_NS_PER_MS, too_slow,
                 c);
}

/* ---- requests ---- */

enum verdict { GET, HEAD, BAD, NOT_ALLOWED, NOT_FOUND, TOO_LONG, VERSION, VERDICTS };

static const struct {
    const char *status, *more;
} verdicts[VERDICTS] = {
    [GET] = { "200 OK", "" },
    [HEAD] = { "200 OK", "" },
    [BAD] = { "400 Bad Request", "" },
    [NOT_ALLOWED] = { "405 Method Not Allowed", "Allow: GET, HEAD\r\n" },
    [NOT_FOUND] = { "404 Not Found", "" },
    [TOO_LONG] = { "431 Request Header Fields Too Large", "" },
    [VERSION] = { "505 HTTP Version Not Supported", "" },
};

/* Words of the first line, which ends at `end`: method, target, version. */
static bool split(char *line, char *end, char *word[3])
{
    unsigned n = 0;

    *end = '\0';
    if (strlen(line) != (size_t)(end - line))
        return false;
    for (char *p = line; p; n++) {
        if (n == 3)
            return false;
        word[n] = p;
        p = strchr(p, ' ');
        if (p)
            *p++ = '\0';
    }
    return n == 3;
}

static enum verdict judge(char *line, char *end)
{
    char *word[3];
    size_t path;

    if (!split(line, end, word) || strncmp(word[2], "HTTP/", 5) != 0)
        return BAD;
    if (strcmp(word[2], "HTTP/1.1") != 0 && strcmp(word[2], "HTTP/1.0") != 0)
        return VERSION;
    if (strcmp(word[0], "GET") != 0 && strcmp(word[0], "HEAD") != 0)
        return NOT_ALLOWED;
    path = strcspn(word[1], "?");
    if (path != strlen("/metrics") || memcmp(word[1], "/metrics", path) != 0)
        return NOT_FOUND;
    return word[0][0] == 'G' ? GET : HEAD;
}

/* ---- answers ---- */

static void flush(struct conn *c)
{
    while (c->out_done < c->out.len) {
        ssize_t n = send(c->fd, c->out.at + c->out_done, c->out.len - c->out_done,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            vg_io_set(loop_of(c), &c->io, EPOLLOUT);
            return;
        }
        if (n < 0)
            break;
        c->out_done += (size_t)n;
    }
    shutdown(c->fd, SHUT_WR);
    conn_free(c);
}

static void answer(struct conn *c, enum verdict v)
{
    struct vg_text body = { .at = NULL };
    const char *status = verdicts[v].status;

    if (v == GET || v == HEAD)
        vg_scrape(c->metrics->mediator, &body);
    else
        vg_text_add(&body, "%s\n", status);
    if (body.full) {
        vg_log(VG_LOG_ERROR, "metrics-too-long", "bytes=%zu", body.len);
        status = "503 Service Unavailable";
        body.len = 0;
    }
    vg_text_add(&c->out, "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                "Content-Length: %zu\r\n%sConnection: close\r\n\r\n", status, body.len,
                verdicts[v].more);
    if (v != HEAD && body.len > 0 && c->out.at) {
        char *all = realloc(c->out.at, c->out.len + body.len);

        if (all) {
            memcpy(all + c->out.len, body.at, body.len);
            c->out.at = all;
            c->out.len += body.len;
        }
    }
    free(body.at);
    c->answering = true;
    be_patient(c);
    flush(c);
}

static void receive(struct conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_free(c);
        return;
    }
    c->in_len += (size_t)n;
    if (memmem(c->in, c->in_len, "\r\n\r\n", 4))
        answer(c, judge(c->in, memmem(c->in, c->in_len, "\r\n", 2)));
    else if (c->in_len == sizeof(c->in))
        answer(c, TOO_LONG);
}

static void conn_ready(void *arg, uint32_t events)
{
    struct conn *c = arg;

    if (events & EPOLLERR)
        conn_free(c);
    else if (c->answering)
        flush(c);
    else
        receive(c);
}

static void accept_ready(void *arg, uint32_t events)
{
    struct vg_metrics *x = arg;
    int fd = vg_sock_accept(x->listen_fd);
    struct conn *c;

    (void)events;
    if (fd < 0)
        return;
    c = x->conn_count < VG_METRICS_CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;
    if (!c || vg_io_add(&x->mediator->loop, &c->io, fd, EPOLLIN, conn_ready, c) < 0) {
        close(fd);
        free(c);
        return;
    }
    c->metrics = x;
    c->fd = fd;
    vg_list_append(&x->conns, &c->link);
    x->conn_count++;
    be_patient(c);
}

/* ---- life ---- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* "127.0.0.1:9400" or "[::1]:9400"; nothing that another host could reach. */
static bool parse(const char *setting, union address *a, socklen_t *ret_len)
{
    char host[64], why[128];
    const char *colon = strrchr(setting, ':');
    uint64_t port;

    if (!colon || (size_t)(colon - setting) >= sizeof(host) ||
        !vg_number(colon + 1, 1, 65535, &port, why, sizeof(why)))
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - setting), setting);
    memset(a, 0, sizeof(*a));
    if (strcmp(host, "[::1]") == 0) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_addr = in6addr_loopback;
        a->v6.sin6_port = htons((uint16_t)port);
        *ret_len = sizeof(a->v6);
        return true;
    }
    a->v4.sin_family = AF_INET;
    a->v4.sin_port = htons((uint16_t)port);
    *ret_len = sizeof(a->v4);
    return inet_pton(AF_INET, host, &a->v4.sin_addr) == 1 &&
           ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
}

static int listen_tcp(const union address *a, socklen_t len)
{
    vg_auto_fd int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int yes = 1;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, &a->any, len) < 0 || listen(fd, 16) < 0)
        return -errno;
    return vg_steal_fd(&fd);
}

static int listen_at(struct vg_mediator *m, const char *setting, char *why, size_t cap)
{
    const struct vg_control *ctl = &m->control;
    bool path = strncmp(setting, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
    union address a;
    socklen_t len;
    int fd;

    if (!path && !parse(setting, &a, &len)) {
        snprintf(why, cap, "metrics_listen: \"%.80s\" is none of unix:PATH, 127.0.0.1:PORT and "
                           "[::1]:PORT", setting);
        return -EINVAL;
    }
    if (path)
        fd = vg_sock_listen(SOCK_STREAM, setting + strlen(UNIX_PREFIX), 0660,
                            ctl->monitor_gid != (gid_t)-1 ? ctl->monitor_gid : ctl->admin_gid);
    else
        fd = listen_tcp(&a, len);
    if (fd < 0)
        snprintf(why, cap, "metrics_listen: %.80s: %s", setting, strerror(-fd));
    return fd;
}

int vg_metrics_init(struct vg_metrics *x, struct vg_mediator *m, char *why, size_t why_cap)
{
    int rc;

    memset(x, 0, sizeof(*x));
    x->listen_fd = x->listen_io.fd = -1;
    vg_list_init(&x->conns);
    if (!m->config.metrics_listen[0])
        return 0;
    rc = listen_at(m, m->config.metrics_listen, why, why_cap);
    if (rc < 0)
        return rc;
    x->listen_fd = rc;
    x->mediator = m;
    return vg_io_add(&m->loop, &x->listen_io, x->listen_fd, EPOLLIN, accept_ready, x);
}

void vg_metrics_fini(struct vg_metrics *x)
{
    struct conn *c, *next;

    if (!x->mediator)
        return;
    vg_list_for_each_safe(c, next, &x->conns, link)
        conn_free(c);
    vg_io_del(&x->mediator->loop, &x->listen_io);
    vg_close(&x->listen_fd);
    if (strncmp(x->mediator->config.metrics_listen, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        unlink(x->mediator->config.metrics_listen + strlen(UNIX_PREFIX));
    x->mediator = NULL;
}
