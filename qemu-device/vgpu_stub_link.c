/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Socket calls of the device vgpu-stub.  Runs under the host's lock, so must
 * never block.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vgpu_stub_link.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* More than the protocol passes, so that a wrong peer's extra descriptors
 * arrive here, to be closed. */
#define MAX_FDS 4

int vg_stub_link_connect(const char *path)
{
    struct sockaddr_un addr;
    int fd, error;

    memset(&addr, 0, sizeof(addr));
    addr.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(addr.sun_path)) {
        return -ENAMETOOLONG;
    }
    memcpy(addr.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int vg_stub_link_send(int fd, const struct vg_msg *msg, int pass_fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = { (void *)msg, sizeof(*msg) };
    struct msghdr hdr;
    struct cmsghdr *cmsg;
    ssize_t n;

    memset(&hdr, 0, sizeof(hdr));
    hdr.msg_iov = &iov;
    hdr.msg_iovlen = 1;
    if (pass_fd >= 0) {
        memset(&control, 0, sizeof(control));
        hdr.msg_control = &control;
        hdr.msg_controllen = sizeof(control);
        cmsg = CMSG_FIRSTHDR(&hdr);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &pass_fd, sizeof(int));
    }
    do {
        n = sendmsg(fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* The first descriptor of a packet; closes any others. */
static int take_fd(struct msghdr *hdr)
{
    struct cmsghdr *cmsg;
    int first = -1, fd;
    size_t i, count;

    for (cmsg = CMSG_FIRSTHDR(hdr); cmsg; cmsg = CMSG_NXTHDR(hdr, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (i = 0; i < count; i++) {
            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
            if (first < 0) {
                first = fd;
            } else {
                close(fd);
            }
        }
    }
    return first;
}

int vg_stub_link_recv(int fd, struct vg_msg *msg, size_t *ret_len,
                      int *ret_fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov = { msg, sizeof(*msg) };
    struct msghdr hdr;
    ssize_t n;

    memset(&hdr, 0, sizeof(hdr));
    hdr.msg_iov = &iov;
    hdr.msg_iovlen = 1;
    hdr.msg_control = &control;
    hdr.msg_controllen = sizeof(control);
    do {
        n = recvmsg(fd, &hdr, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return n < 0 ? -errno : -ECONNRESET;
    }
    *ret_len = (size_t)n;
    *ret_fd = take_fd(&hdr);
    return 0;
}

/* Only a full counter can make this fail, and then the sleeper is awake. */
void vg_stub_link_signal(int eventfd)
{
    uint64_t one = 1;
    ssize_t n;

    do {
        n = write(eventfd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
}
