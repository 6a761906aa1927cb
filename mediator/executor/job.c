/* SPDX-License-Identifier: MIT */
/* Receives the job; see job.h. Main thread, before anything of the guest is read. */
#include "mediator/executor/job.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "mediator/limit/account.h"
#include "vg_limits.h"
#include "vg_regs.h"
#include "vg_sock.h"

void vg_job_init(struct vg_job *j)
{
    *j = (struct vg_job){.vm = "-", .mem = {.fd = -1}, .account_fd = -1, .shelf_fd = -1};
}

bool vg_job_is_here(int control_fd)
{
    struct pollfd p = {.fd = control_fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

enum { FD_REGION, FD_ACCOUNT, FD_SHELF, FDS };

/* Those that are missing are -1. */
static void fds_of(struct msghdr *h, int ret_fds[FDS])
{
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    size_t len = 0;

    for (unsigned i = 0; i < FDS; i++)
        ret_fds[i] = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        len = c->cmsg_len - CMSG_LEN(0);
    if (len > 0)
        memcpy(ret_fds, CMSG_DATA(c), len < FDS * sizeof(int) ? len : FDS * sizeof(int));
}

static ssize_t receive(int control_fd, struct vg_msg *m, int ret_fds[FDS])
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(FDS * sizeof(int))];
    } control;
    struct iovec io = {m, sizeof(*m)};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    ssize_t n;

    do {
        n = recvmsg(control_fd, &h, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        fds_of(&h, ret_fds);
    return n;
}

int vg_job_wait(int control_fd, struct vg_job *ret_job)
{
    struct vg_msg m;
    int fds[FDS];
    ssize_t n = receive(control_fd, &m, fds);

    if (n <= 0)
        return -EPIPE;
    if (n != (ssize_t)sizeof(m) || m.type != VG_MSG_SERVE || fds[FD_REGION] < 0 || m.region_size == 0 ||
        m.region_size > VG_REGION_SIZE_MAX || m.slot_count > VG_SLOTS_MAX ||
        VG_TOKEN_SLOT(m.token) >= m.slot_count || m.pid >= VG_SEATS)
        return -EPROTO;
    *ret_job = (struct vg_job){.region_size = m.region_size, .slot_count = m.slot_count,
                               .slot = VG_TOKEN_SLOT(m.token),
                               .generation = m.token >> 16, .user = m.user,
                               .mem = {.fd = fds[FD_REGION], .domid = m.domid,
                                       .gfn = m.region_gfn},
                               .account_fd = fds[FD_ACCOUNT], .seat = m.pid,
                               .shelf_fd = fds[FD_SHELF], .shelf_size = m.shelf_size};
    memcpy(ret_job->vm, m.name, sizeof(ret_job->vm) - 1);
    return 0;
}
