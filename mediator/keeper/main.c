/* SPDX-License-Identifier: MIT */
/*
 * vgpu-keeper: outlives the daemon and holds for the next one what must not be closed
 * meanwhile (vg_keep.h says how they talk). It does nothing else: what it holds it
 * never reads, writes or signals, so there is little in it that could fail.
 *
 * Started by the daemon with its listening socket and a first connection, as the same
 * user; nobody else but root is listened to. It ends when it is told to, when it has
 * nothing to hold, when its socket's name is gone, so that no daemon can find it, and
 * when none has come for as long as its argument says: what it holds ends then, as it
 * would have without a keeper.
 *
 * Usage: vgpu-keeper SOCKET SECONDS
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "hoard.h"
#include "mediator/base/loop.h"
#include "mediator/base/number.h"
#include "mediator/base/sock.h"

#define LOOK_MS  500u   /* between looks whether anybody can still come */
#define EMPTY_MS 2000u  /* with nothing to hold, a daemon that comes back is not waited for longer */
#define SEND_MS  5000u  /* a daemon that does not take its things is dead or hangs */

struct keeper {
    struct vg_loop loop;
    struct vg_hoard hoard;
    const char *path;
    struct stat socket;         /* the file at the path, as it was at the start */
    uint64_t patience;          /* ns without a daemon */
    uint64_t alone_since;       /* vg_now() */
    int conn;                   /* -1: no daemon */
    struct vg_io listen_io, conn_io;
    struct vg_timer look_timer;
};

/* ---- the daemon ---- */

static void hang_up(struct keeper *k)
{
    vg_io_del(&k->loop, &k->conn_io);
    vg_close(&k->conn);
    k->alone_since = vg_now();
}

/* False: it does not listen. */
static bool send_item(struct keeper *k, const struct vg_hoard_item *i)
{
    static struct vg_keep_msg msg;

    msg = (struct vg_keep_msg){ .magic = VG_KEEP_MAGIC, .type = VG_KEEP_ITEM, .key = i->key,
                                .len = i->len };
    memcpy(msg.data, i->data, i->len);
    return vg_sock_send_wait(k->conn, &msg, VG_KEEP_HEAD + i->len, i->fds, i->nfds, SEND_MS) == 0;
}

static bool send_list(struct keeper *k)
{
    const struct vg_keep_msg end = { .magic = VG_KEEP_MAGIC, .type = VG_KEEP_END };
    struct vg_hoard_item *i;

    vg_list_for_each(i, &k->hoard.items, link) {
        if (!send_item(k, i))
            return false;
    }
    return vg_sock_send_wait(k->conn, &end, VG_KEEP_HEAD, NULL, 0, SEND_MS) == 0;
}

static void close_all(const int *fds, unsigned nfds)
{
    for (unsigned i = 0; i < nfds; i++)
        close(fds[i]);
}

/* False: it is not to be talked to any more. Takes the descriptors. */
static bool obey(struct keeper *k, const struct vg_keep_msg *msg, const int *fds, unsigned nfds)
{
    if (msg->type == VG_KEEP_PUT && msg->key) {
        vg_hoard_put(&k->hoard, msg, fds, nfds);
        vg_hoard_drop(&k->hoard, msg->drop);
        return true;
    }
    close_all(fds, nfds);
    switch (msg->key ? msg->type : msg->type == VG_KEEP_LIST || msg->type == VG_KEEP_BYE
                                       ? msg->type : 0) {
    case VG_KEEP_SET:
        vg_hoard_set(&k->hoard, msg);
        vg_hoard_drop(&k->hoard, msg->drop);
        return true;
    case VG_KEEP_DROP:
        vg_hoard_drop(&k->hoard, msg->key);
        return true;
    case VG_KEEP_LIST:
        return send_list(k);
    case VG_KEEP_BYE:
        vg_loop_quit(&k->loop, 0);
        return true;
    default:
        return false;
    }
}

enum heard { HEARD, NOTHING, ENDED };

static enum heard hear(struct keeper *k)
{
    static struct vg_keep_msg msg;
    int fds[VG_KEEP_FDS_MAX];
    unsigned nfds = 0;
    ssize_t n = vg_sock_recv(k->conn, &msg, sizeof(msg), fds, VG_KEEP_FDS_MAX, &nfds);

    if (n == -EAGAIN)
        return NOTHING;
    if (n >= (ssize_t)VG_KEEP_HEAD && msg.magic == VG_KEEP_MAGIC &&
        (size_t)n == VG_KEEP_HEAD + msg.len)
        return obey(k, &msg, fds, nfds) ? HEARD : ENDED;
    if (n > 0)
        close_all(fds, nfds);
    return ENDED;
}

static void conn_ready(void *arg, uint32_t events)
{
    struct keeper *k = arg;

    (void)events;
    if (hear(k) == ENDED)
        hang_up(k);
}

static void take_conn(struct keeper *k, int fd)
{
    k->conn = fd;
    if (vg_io_add(&k->loop, &k->conn_io, fd, EPOLLIN, conn_ready, k) < 0)
        hang_up(k);
}

static bool is_ours(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
           (cred.uid == 0 || cred.uid == geteuid());
}

/* A daemon holds a lock, so a second one means that the first is dying: its last words count. */
static void accept_ready(void *arg, uint32_t events)
{
    struct keeper *k = arg;
    int fd = vg_sock_accept(VG_KEEP_FD_LISTEN);

    (void)events;
    if (fd < 0)
        return;
    if (!is_ours(fd)) {
        close(fd);
        return;
    }
    while (k->conn >= 0 && hear(k) == HEARD)
        ;
    hang_up(k);
    take_conn(k, fd);
}

/* ---- the end ---- */

static bool can_be_found(const struct keeper *k)
{
    struct stat st;

    return stat(k->path, &st) == 0 && st.st_ino == k->socket.st_ino &&
           st.st_dev == k->socket.st_dev;
}

static void look(void *arg)
{
    struct keeper *k = arg;
    uint64_t now = vg_now(), limit = k->hoard.count ? k->patience : EMPTY_MS * VG_NS_PER_MS;

    if (k->conn < 0 && (now - k->alone_since > limit || !can_be_found(k)))
        vg_loop_quit(&k->loop, 0);
    vg_timer_set(&k->loop, &k->look_timer, now + LOOK_MS * VG_NS_PER_MS, look, k);
}

static int init(struct keeper *k, char **argv)
{
    char why[160];
    uint64_t seconds;
    int rc;

    k->path = argv[1];
    k->conn = k->listen_io.fd = k->conn_io.fd = -1;
    vg_hoard_init(&k->hoard);
    if (!vg_number(argv[2], 1, 1000000, &seconds, why, sizeof(why)) || stat(k->path, &k->socket) < 0)
        return -EINVAL;
    k->patience = seconds * VG_NS_PER_S;
    signal(SIGHUP, SIG_IGN);
    rc = vg_loop_init(&k->loop);
    if (rc == 0)
        rc = vg_io_add(&k->loop, &k->listen_io, VG_KEEP_FD_LISTEN, EPOLLIN, accept_ready, k);
    if (rc < 0)
        return rc;
    take_conn(k, VG_KEEP_FD_DAEMON);
    look(k);
    return 0;
}

int main(int argc, char **argv)
{
    static struct keeper k;

    if (argc != 3 || init(&k, argv) < 0) {
        fputs("usage: vgpu-keeper SOCKET SECONDS (started by vgpu-mediator)\n", stderr);
        return 2;
    }
    vg_loop_run(&k.loop);
    if (can_be_found(&k))
        unlink(k.path);
    vg_hoard_clear(&k.hoard);
    vg_loop_fini(&k.loop);
    return 0;
}
