/* SPDX-License-Identifier: MIT */
/*
 * A device as the mediator sees it: connects, says HELLO with a region, tells what
 * comes back, and stays until the connection ends or it is killed.
 *
 *   xen-peer SOCKET NAME [UID]      as that user
 *
 * Prints "welcome NAME", "refused TEXT" or "error TEXT", then "end" at the end.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "mediator/base/file.h"
#include "mediator/base/sock.h"
#include "mediator/base/util.h"
#include "protocol/vg_region.h"
#include "protocol/vg_sock.h"

#define REGION (16u << 20)

static int fail(const char *what, int rc)
{
    printf("error %s: %s\n", what, strerror(-rc));
    return 1;
}

/* False: the connection has ended. */
static bool next(int sock, struct vg_msg *msg)
{
    struct pollfd pfd = { .fd = sock, .events = POLLIN };
    unsigned nfds;
    int fd = -1;
    ssize_t n;

    do {
        poll(&pfd, 1, -1);
        n = vg_sock_recv(sock, msg, sizeof(*msg), &fd, 1, &nfds);
    } while (n == -EAGAIN);
    return n == (ssize_t)sizeof(*msg);
}

int main(int argc, char **argv)
{
    struct vg_msg msg = { .type = VG_MSG_HELLO, .version = VG_PROTOCOL_VERSION,
                          .role = VG_ROLE_DEVICE, .region_size = REGION, .slot_count = 1 };
    int region, sock, rc;

    if (argc < 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 3 && (setgid((gid_t)atoi(argv[3])) < 0 || setuid((uid_t)atoi(argv[3])) < 0))
        return fail("setuid", -errno);
    region = vg_memfd_new("region", REGION);
    sock = vg_sock_connect(SOCK_SEQPACKET, argv[1]);
    if (sock < 0)
        return fail("connect", sock);
    snprintf(msg.name, sizeof(msg.name), "%s", argv[2]);
    rc = vg_sock_send(sock, &msg, sizeof(msg), &region, 1);
    if (rc < 0)
        return fail("send", rc);
    while (next(sock, &msg))
        printf("%s %s\n", msg.type == VG_MSG_WELCOME ? "welcome" : "refused",
               msg.type == VG_MSG_WELCOME ? msg.name : msg.text);
    puts("end");
    return 0;
}
