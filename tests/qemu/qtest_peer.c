/* SPDX-License-Identifier: MIT */
/* See qtest_peer.h. */
#include "qtest_peer.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/protocol/vg_test.h"

static int listener = -1;
int peer = -1, region_fd = -1;
void *region;
struct vg_region_layout layout;

void mediator_listen(const char *dir)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/mediator", dir);
    unlink(addr.sun_path);
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    ck_assert_int_eq(chmod(addr.sun_path, 0777), 0);     /* a confined QEMU is another user */
    ck_assert_int_eq(listen(listener, 1), 0);
}

void wait_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    ck_assert_msg(poll(&p, 1, PATIENCE) == 1, "nothing arrived");
}

struct vg_msg mediator_receive(int *ret_fd)
{
    union { struct cmsghdr align; char buf[CMSG_SPACE(sizeof(int))]; } control;
    struct vg_msg msg;
    struct iovec iov = { &msg, sizeof(msg) };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                          .msg_controllen = sizeof(control) };

    wait_readable(peer);
    ck_assert_int_eq(recvmsg(peer, &hdr, 0), sizeof(msg));
    struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);
    if (ret_fd) {
        ck_assert_ptr_nonnull(c);
        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
    } else {
        ck_assert_ptr_null(c);
    }
    return msg;
}

static void mediator_send(struct vg_msg msg, int fd)
{
    union { struct cmsghdr align; char buf[CMSG_SPACE(sizeof(int))]; } control;
    struct iovec iov = { &msg, sizeof(msg) };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (fd >= 0) {
        memset(&control, 0, sizeof(control));
        hdr.msg_control = &control;
        hdr.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    ck_assert_int_eq(sendmsg(peer, &hdr, MSG_NOSIGNAL), sizeof(msg));
}

void mediator_say(enum vg_msg_type type, uint32_t token, int fd)
{
    mediator_send((struct vg_msg){ .type = type, .version = VG_PROTOCOL_VERSION, .token = token }, fd);
}

void mediator_accept(void)
{
    wait_readable(listener);
    peer = accept(listener, NULL, NULL);
    ck_assert_int_ge(peer, 0);
    struct vg_msg hello = mediator_receive(&region_fd);
    ck_assert_uint_eq(hello.type, VG_MSG_HELLO);
    ck_assert_uint_eq(hello.version, VG_PROTOCOL_VERSION);
    ck_assert_uint_eq(hello.role, VG_ROLE_DEVICE);
    ck_assert_uint_eq(hello.region_size, SIZE);
    ck_assert_uint_eq(hello.slot_count, SLOTS);
    ck_assert_str_eq(hello.name, "qtest");
    ck_assert(vg_region_layout_init(&layout, hello.region_size, hello.slot_count));
    region = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, region_fd, 0);
    ck_assert_ptr_ne(region, MAP_FAILED);
}

void mediator_gone(void)
{
    if (peer >= 0)
        close(peer);
    if (listener >= 0)
        close(listener);
    if (region)
        munmap(region, SIZE);
    if (region_fd >= 0)
        close(region_fd);
    peer = listener = region_fd = -1;
    region = NULL;
}
