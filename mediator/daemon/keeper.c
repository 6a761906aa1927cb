/* SPDX-License-Identifier: MIT */
/* Finding, starting and telling vgpu-keeper, see keeper.h. Runs on the daemon's loop. */
#include "keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "keep.h"
#include "mediator.h"
#include "mediator/base/log.h"
#include "mediator/base/proc.h"
#include "mediator/base/sock.h"

#define BYE_MS 1000

static struct vg_loop *loop_of(struct vg_keeper *k)
{
    return &k->mediator->loop;
}

static int path_of(const struct vg_keeper *k, char *path, size_t cap)
{
    int n = snprintf(path, cap, "%s" VG_KEEP_SUFFIX, k->mediator->config.socket);

    return n < (int)cap ? 0 : -ENAMETOOLONG;
}

void vg_keeper_init(struct vg_keeper *k, struct vg_mediator *m)
{
    memset(k, 0, sizeof(*k));
    k->mediator = m;
    k->sock = k->io.fd = -1;
}

static void hang_up(struct vg_keeper *k)
{
    vg_io_del(loop_of(k), &k->io);
    vg_close(&k->sock);
}

/* ---- telling ---- */

static void start_later(struct vg_keeper *k);

static void unlink_socket(const struct vg_keeper *k)
{
    char path[PATH_MAX];

    if (path_of(k, path, sizeof(path)) == 0)
        unlink(path);
}

/*
 * One that has died or hangs: another one gets all there is. It may be no child of ours;
 * without its name and without us it ends by itself.
 */
static void lost(struct vg_keeper *k, const char *why)
{
    vg_log(VG_LOG_WARNING, "keeper-lost", "why=\"%s\"", why);
    hang_up(k);
    unlink_socket(k);
    if (k->child.pid)
        kill(k->child.pid, SIGKILL);
    start_later(k);
}

static void tell(struct vg_keeper *k, const struct vg_keep_msg *msg, const int *fds, unsigned nfds)
{
    int rc;

    if (!k->mediator || k->sock < 0)
        return;
    rc = vg_sock_send_wait(k->sock, msg, VG_KEEP_HEAD + msg->len, fds, nfds, VG_KEEPER_SEND_MS);
    if (rc < 0)
        lost(k, strerror(-rc));
}

static void tell_data(struct vg_keeper *k, const struct vg_keep_msg *head, const void *data,
                      size_t len, const int *fds, unsigned nfds)
{
    static struct vg_keep_msg msg;  /* 32 KiB; one thread */

    if (len > sizeof(msg.data))
        return;
    memcpy(&msg, head, VG_KEEP_HEAD);
    msg.len = (uint32_t)len;
    memcpy(msg.data, data, len);
    tell(k, &msg, fds, nfds);
}

void vg_keeper_put(struct vg_keeper *k, uint64_t key, const void *data, size_t len, const int *fds,
                   unsigned nfds)
{
    const struct vg_keep_msg head = { .magic = VG_KEEP_MAGIC, .type = VG_KEEP_PUT, .key = key };

    tell_data(k, &head, data, len, fds, nfds);
}

void vg_keeper_set(struct vg_keeper *k, uint64_t key, uint64_t drop, const void *data, size_t len)
{
    const struct vg_keep_msg head = { .magic = VG_KEEP_MAGIC, .type = VG_KEEP_SET, .key = key,
                                      .drop = drop };

    tell_data(k, &head, data, len, NULL, 0);
}

void vg_keeper_drop(struct vg_keeper *k, uint64_t key)
{
    const struct vg_keep_msg msg = { .magic = VG_KEEP_MAGIC, .type = VG_KEEP_DROP, .key = key };

    if (key)
        tell(k, &msg, NULL, 0);
}

/* ---- taking over ---- */

/* 1: an item, 0: that was all, or -errno. */
static int receive(struct vg_keeper *k, struct vg_kept **ret_item)
{
    static struct vg_keep_msg msg;
    struct pollfd p = { .fd = k->sock, .events = POLLIN };
    int fds[VG_KEEP_FDS_MAX];
    struct vg_kept *item;
    unsigned nfds = 0;
    ssize_t n = poll(&p, 1, VG_KEEPER_LIST_MS) == 1
                    ? vg_sock_recv(k->sock, &msg, sizeof(msg), fds, VG_KEEP_FDS_MAX, &nfds)
                    : -ETIMEDOUT;

    if (n < (ssize_t)VG_KEEP_HEAD)
        return n < 0 ? (int)n : -EPROTO;
    item = msg.magic == VG_KEEP_MAGIC && (size_t)n == VG_KEEP_HEAD + msg.len
               ? calloc(1, sizeof(*item) + msg.len) : NULL;
    if (!item) {
        for (unsigned i = 0; i < nfds; i++)
            close(fds[i]);
        return -EPROTO;
    }
    item->key = msg.key;
    item->len = msg.len;
    memcpy(item->data, msg.data, msg.len);
    memcpy(item->fds, fds, nfds * sizeof(fds[0]));
    item->nfds = nfds;
    *ret_item = item;
    return msg.type == VG_KEEP_ITEM;
}

void vg_kept_free(struct vg_kept *list)
{
    for (struct vg_kept *next; list; list = next) {
        next = list->next;
        for (unsigned i = 0; i < list->nfds; i++)
            vg_close(&list->fds[i]);
        free(list);
    }
}

/* What has come when it goes wrong still counts: it is all there is. */
static struct vg_kept *receive_all(struct vg_keeper *k)
{
    struct vg_kept *list = NULL, **end = &list, *item = NULL;
    int rc;

    while ((rc = receive(k, &item)) > 0) {
        *end = item;
        end = &item->next;
    }
    if (rc == 0)
        vg_kept_free(item);
    else
        vg_log(VG_LOG_ERROR, "keeper-unclear", "error=\"%s\"", strerror(-rc));
    return list;
}

static void keeper_ready(void *arg, uint32_t events)
{
    (void)events;
    lost(arg, "it has ended");
}

/* It says nothing unasked, so whatever comes is its end. */
static int watch(struct vg_keeper *k)
{
    return vg_io_add(loop_of(k), &k->io, k->sock, EPOLLIN, keeper_ready, k);
}

struct vg_kept *vg_keeper_take(struct vg_keeper *k)
{
    const struct vg_keep_msg list = { .magic = VG_KEEP_MAGIC, .type = VG_KEEP_LIST };
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    struct vg_kept *items;

    if (path_of(k, path, sizeof(path)) < 0)
        return NULL;
    k->sock = vg_sock_connect(SOCK_SEQPACKET, path);
    if (k->sock < 0) {
        k->sock = -1;
        return NULL;
    }
    if (vg_sock_send(k->sock, &list, VG_KEEP_HEAD, NULL, 0) < 0)
        return NULL;
    items = receive_all(k);
    if (watch(k) < 0)
        hang_up(k);
    return items;
}

/* ---- starting ---- */

static void child_ended(void *arg, const siginfo_t *how)
{
    (void)arg;
    vg_log(VG_LOG_INFO, "keeper-end", "%s=%d", how->si_code == CLD_EXITED ? "exit" : "signal",
           how->si_status);
}

static int spawn(struct vg_keeper *k, const char *path, int listener, int their_end)
{
    char program[PATH_MAX], seconds[24];
    char *argv[] = { (char *)"vgpu-keeper", (char *)(uintptr_t)path, seconds, NULL };
    char *envp[] = { NULL };
    /* Not even our log: who waits for the end of it must not wait for the keeper. */
    const int fds[VG_KEEP_FDS] = { -1, -1, -1, listener, their_end };
    struct vg_proc proc = { .path = program, .argv = argv, .envp = envp, .fds = fds,
                            .nfds = VG_KEEP_FDS, .session = true };
    pid_t pid;
    int rc = vg_backend_keeper(program, sizeof(program));

    snprintf(seconds, sizeof(seconds), "%" PRIu64, k->mediator->config.keep_s);
    if (rc == 0)
        rc = vg_proc_spawn(&proc, &pid);
    if (rc < 0)
        return rc;
    vg_child_add(loop_of(k), &k->child, pid, child_ended, k);
    vg_log(VG_LOG_INFO, "keeper-start", "pid=%d socket=%s", (int)pid, path);
    return 0;
}

static int start(struct vg_keeper *k)
{
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    vg_auto_fd int listener = -1, theirs = -1;
    int pair[2], rc = path_of(k, path, sizeof(path));

    if (rc < 0)
        return rc;
    listener = vg_sock_listen(SOCK_SEQPACKET, path, 0600, (gid_t)-1);
    if (listener < 0)
        return listener;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    k->sock = pair[0];
    theirs = pair[1];
    rc = watch(k);
    if (rc == 0)
        rc = spawn(k, path, listener, theirs);
    if (rc < 0) {
        hang_up(k);
        unlink(path);
    }
    return rc;
}

static void start_again(void *arg)
{
    vg_keeper_start(arg);
}

/* Not at once: it may be ending because something here makes it end. */
static void start_later(struct vg_keeper *k)
{
    uint64_t at = k->started_at + VG_KEEPER_RETRY_MS * VG_NS_PER_MS, now = vg_now();

    vg_timer_set(loop_of(k), &k->timer, at > now ? at : now, start_again, k);
}

void vg_keeper_start(struct vg_keeper *k)
{
    int rc;

    if (k->mediator->stopping)
        return;
    if (k->mediator->config.keep == VG_KEEP_NEVER) {
        vg_keeper_bye(k);
        return;
    }
    if (k->sock < 0) {
        k->started_at = vg_now();
        rc = start(k);
        if (rc < 0) {
            vg_log(VG_LOG_ERROR, "keeper-start-failed", "error=\"%s\"", strerror(-rc));
            start_later(k);
            return;
        }
    }
    vg_keep_all(k->mediator);
}

/* ---- the end ---- */

void vg_keeper_bye(struct vg_keeper *k)
{
    const struct vg_keep_msg msg = { .magic = VG_KEEP_MAGIC, .type = VG_KEEP_BYE };
    struct pollfd p = { .fd = k->sock, .events = POLLIN };

    if (!k->mediator || k->sock < 0)
        return;
    unlink_socket(k);
    if (vg_sock_send(k->sock, &msg, VG_KEEP_HEAD, NULL, 0) == 0)
        poll(&p, 1, BYE_MS);
    hang_up(k);
}

void vg_keeper_fini(struct vg_keeper *k)
{
    if (!k->mediator)
        return;
    vg_timer_del(&k->timer);
    hang_up(k);
    vg_child_del(&k->child);
}
