/* SPDX-License-Identifier: MIT */
/* Unix sockets, see sock.h. Must not log and must not leak a received descriptor. */
#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "util.h"

static int address(struct sockaddr_un *sun, const char *path)
{
    if (strlen(path) >= sizeof(sun->sun_path))
        return -ENAMETOOLONG;
    memset(sun, 0, sizeof(*sun));
    sun->sun_family = AF_UNIX;
    strcpy(sun->sun_path, path);
    return 0;
}

int vg_sock_connect(int type, const char *path)
{
    vg_auto_fd int fd = -1;
    struct sockaddr_un sun;
    int rc = address(&sun, path);

    if (rc < 0)
        return rc;
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
        return -errno;
    return vg_steal_fd(&fd);
}

/* Who listened there has died: what still accepts is a child of his that has yet to close it. */
static bool has_dead_owner(int fd)
{
    struct ucred owner = { .pid = 0 };
    socklen_t len = sizeof(owner);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &owner, &len) == 0 && owner.pid > 0 &&
           kill(owner.pid, 0) < 0 && errno == ESRCH;
}

/* True if the path is a socket at which nobody listens any more. */
static bool is_stale(int type, const char *path)
{
    struct stat st;
    int fd;

    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    fd = vg_sock_connect(type, path);
    if (fd < 0)
        return fd == -ECONNREFUSED;
    bool dead = has_dead_owner(fd);
    close(fd);
    return dead;
}

/* The socket is born without permissions, so nobody slips in before chown and chmod. */
static int bind_as(int fd, const struct sockaddr_un *sun, mode_t mode, gid_t gid)
{
    mode_t old = umask(0777);
    int rc = bind(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0 ? -errno : 0;

    umask(old);
    if (rc < 0)
        return rc;
    if ((gid != (gid_t)-1 && chown(sun->sun_path, (uid_t)-1, gid) < 0) ||
        chmod(sun->sun_path, mode) < 0) {
        rc = -errno;
        unlink(sun->sun_path);
    }
    return rc;
}

int vg_sock_listen(int type, const char *path, mode_t mode, gid_t gid)
{
    vg_auto_fd int fd = -1;
    struct sockaddr_un sun;
    int rc = address(&sun, path);

    if (rc < 0)
        return rc;
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    rc = bind_as(fd, &sun, mode, gid);
    if (rc == -EADDRINUSE && is_stale(type, path)) {
        unlink(path);
        rc = bind_as(fd, &sun, mode, gid);
    }
    if (rc == 0 && listen(fd, 64) < 0)
        rc = -errno;
    return rc < 0 ? rc : vg_steal_fd(&fd);
}

int vg_sock_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

/* ---- packets ---- */

union control {
    struct cmsghdr align;
    char buf[CMSG_SPACE(VG_SOCK_FDS_MAX * sizeof(int))];
};

int vg_sock_send(int sock, const void *buf, size_t len, const int *fds, unsigned nfds)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    union control control;
    ssize_t n;

    if (nfds > VG_SOCK_FDS_MAX)
        return -EINVAL;
    if (nfds > 0) {
        memset(&control, 0, sizeof(control));
        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
    }
    do {
        n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* -ETOOMANYREFS: more descriptors are under way than this user may have; they arrive soon. */
int vg_sock_send_wait(int sock, const void *buf, size_t len, const int *fds, unsigned nfds,
                      unsigned ms)
{
    struct pollfd p = { .fd = sock, .events = POLLOUT };
    int rc = vg_sock_send(sock, buf, len, fds, nfds);

    for (; (rc == -EAGAIN || rc == -ETOOMANYREFS) && ms > 0; ms--) {
        if (rc == -EAGAIN)
            poll(&p, 1, 1);
        else
            poll(NULL, 0, 1);
        rc = vg_sock_send(sock, buf, len, fds, nfds);
    }
    return rc == -ETOOMANYREFS ? -EAGAIN : rc;
}

/* Every descriptor of the packet, whatever it thinks of itself. At most VG_SOCK_FDS_MAX. */
static unsigned take_fds(struct msghdr *msg, int *fds)
{
    unsigned total = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n && total < VG_SOCK_FDS_MAX; i++)
            memcpy(&fds[total++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    return total;
}

static ssize_t receive(int sock, int flags, void *buf, size_t cap, int *ret_fds, unsigned max_fds,
                       unsigned *ret_nfds)
{
    struct iovec iov = { .iov_base = buf, .iov_len = cap };
    union control control;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
                          .msg_controllen = sizeof(control.buf) };
    int fds[VG_SOCK_FDS_MAX];
    unsigned nfds;
    ssize_t n;

    do {
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT | flags);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    nfds = take_fds(&msg, fds);
    if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || nfds > max_fds) {
        for (unsigned i = 0; i < nfds; i++)
            close(fds[i]);
        return -EMSGSIZE;
    }
    if (nfds > 0)
        memcpy(ret_fds, fds, nfds * sizeof(int));
    *ret_nfds = nfds;
    return n;
}

ssize_t vg_sock_recv(int sock, void *buf, size_t cap, int *ret_fds, unsigned max_fds,
                     unsigned *ret_nfds)
{
    return receive(sock, 0, buf, cap, ret_fds, max_fds, ret_nfds);
}

ssize_t vg_sock_peek(int sock, void *buf, size_t cap, int *ret_fds, unsigned max_fds,
                     unsigned *ret_nfds)
{
    return receive(sock, MSG_PEEK, buf, cap, ret_fds, max_fds, ret_nfds);
}

/* Without room for descriptors the kernel drops those that come with it. */
void vg_sock_skip(int sock)
{
    char byte;
    struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    while (recvmsg(sock, &msg, MSG_DONTWAIT) < 0 && errno == EINTR)
        ;
}
