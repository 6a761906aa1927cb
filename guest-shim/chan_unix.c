/* SPDX-License-Identifier: MIT */
/*
 * The channel of a process on the host (or in a container): the mediator's socket
 * gives a region of our own and an eventfd as doorbell. The open socket is our
 * sign of life; closing it, or dying, gives everything back.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "guest-shim/chan.h"
#include "guest-shim/state.h"
#include "vg_regs.h"
#include "vg_sock.h"

#define ATTEMPTS   5            /* to get a channel while the mediator ends under our hands */
#define ATTEMPT_MS 100          /* between two: the next mediator comes soon */

struct unix_chan {
    struct vg_chan chan;
    int sock, bell;
    bool lost;                  /* the connection ended before we had a channel */
    bool last;                  /* attempt: what goes wrong now is told */
};

static struct unix_chan *of(struct vg_chan *c)
{
    return (struct unix_chan *)c;
}

static void bell_ring(struct vg_chan *c)
{
    uint64_t one = 1;
    ssize_t n = TEMP_FAILURE_RETRY(write(of(c)->bell, &one, sizeof(one)));

    (void)n;    /* EAGAIN: the counter is full, so the executor is being woken anyway */
}

static void close_fds(struct vg_chan *c)
{
    if (of(c)->sock >= 0)
        close(of(c)->sock);
    if (of(c)->bell >= 0)
        close(of(c)->bell);
    if (c->region_fd >= 0)
        close(c->region_fd);
    of(c)->sock = of(c)->bell = c->region_fd = -1;
}

static void release(struct vg_chan *c)
{
    /* Seen by the mediator even while a forked child holds a copy of the socket. */
    shutdown(of(c)->sock, SHUT_RDWR);
}

/* Nothing is expected to arrive after ATTACHED, and what arrives is left unread. */
static bool alive(struct vg_chan *c)
{
    struct pollfd p = {of(c)->sock, 0, 0};

    return poll(&p, 1, 0) <= 0;
}

static const struct vg_chan_ops unix_ops = {
    .name = "unix", .futex = true, .doorbell = bell_ring, .release = release, .forget = close_fds,
    .alive = alive, .map_at = vg_chan_map_at,
};

static int sock_connect(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (s < 0)
        return -errno;
    if (strlen(path) >= sizeof(a.sun_path)) {
        close(s);
        return -ENAMETOOLONG;
    }
    strcpy(a.sun_path, path);
    if (TEMP_FAILURE_RETRY(connect(s, (struct sockaddr *)&a, sizeof(a))) < 0) {
        int e = errno;
        close(s);
        return -e;
    }
    return s;
}

static int msg_send(int sock, const struct vg_msg *m)
{
    ssize_t n = TEMP_FAILURE_RETRY(send(sock, m, sizeof(*m), MSG_NOSIGNAL));

    return n == (ssize_t)sizeof(*m) ? 0 : n < 0 ? -errno : -EIO;
}

/* One message and the descriptor with it (-1: none). */
static int msg_receive(int sock, struct vg_msg *m, int *ret_fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * 4)];
    } control;
    struct iovec io = {m, sizeof(*m)};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    struct pollfd p = {sock, POLLIN, 0};
    int fd = -1;

    /* A program with an interval timer must get through here, too. */
    if (TEMP_FAILURE_RETRY(poll(&p, 1, VG_CHAN_TIMEOUT_MS)) <= 0)
        return -ETIMEDOUT;
    ssize_t n = TEMP_FAILURE_RETRY(recvmsg(sock, &h, MSG_CMSG_CLOEXEC));
    if (n < 0)
        return -errno;
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    if (n != (ssize_t)sizeof(*m)) {
        if (fd >= 0)
            close(fd);
        return n == 0 ? -ECONNRESET : -EPROTO;
    }
    *ret_fd = fd;
    return 0;
}

/* Sends m and waits for the answer of type `want` in *m, which must bring a descriptor. */
static CUresult exchange(struct unix_chan *u, struct vg_msg *m, uint32_t want, int *ret_fd)
{
    int fd = -1, e = msg_send(u->sock, m);

    if (!e)
        e = msg_receive(u->sock, m, &fd);
    u->lost = e == -ECONNRESET || e == -EPIPE;
    if (!e && m->type == want && fd >= 0) {
        *ret_fd = fd;
        return CUDA_SUCCESS;
    }
    if (fd >= 0)
        close(fd);
    if (!e && m->type == VG_MSG_REFUSED) {
        m->text[sizeof(m->text) - 1] = '\0';
        vg_log(1, "the mediator refuses this process: %s", m->text);
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    }
    vg_log(u->lost && !u->last ? 2 : 1, "the mediator does not answer as expected: %s", e ? strerror(-e) : "wrong message");
    return CUDA_ERROR_SYSTEM_NOT_READY;
}

static CUresult get_region(struct unix_chan *u)
{
    struct vg_msg m = {.type = VG_MSG_HELLO, .version = VG_PROTOCOL_VERSION,
                       .role = VG_ROLE_PROCESS, .pid = (uint32_t)getpid()};
    const char *name = getenv("VGPU_VM_NAME");
    int fd;

    strncpy(m.name, name && *name ? name : program_invocation_short_name, sizeof(m.name) - 1);
    CUresult r = exchange(u, &m, VG_MSG_WELCOME, &fd);
    if (r)
        return r;
    if (m.version != VG_PROTOCOL_VERSION) {
        close(fd);
        vg_log(1, "the mediator speaks protocol version %u, this library %u", m.version,
               VG_PROTOCOL_VERSION);
        return CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
    }
    void *base = vg_chan_map(fd, m.region_size);
    if (!base) {
        vg_log(1, "cannot map the shared region: %s", strerror(errno));
        close(fd);
        return CUDA_ERROR_SYSTEM_NOT_READY;
    }
    u->chan.region_fd = fd;
    r = vg_chan_adopt(&u->chan, base, m.region_size, m.slot_count, 0);
    if (r)
        munmap(base, m.region_size);
    return r;
}

static CUresult attach(struct unix_chan *u)
{
    struct vg_msg m = {.type = VG_MSG_ATTACH, .token = VG_TOKEN(0, u->chan.slot->generation)};

    vg_chan_hello(&u->chan, false);
    CUresult r = exchange(u, &m, VG_MSG_ATTACHED, &u->bell);
    return r ? r : vg_chan_await_ready(&u->chan);
}

static CUresult open_once(struct unix_chan *u, const char *path, bool no_device)
{
    u->lost = false;
    u->sock = sock_connect(path);
    if (u->sock < 0) {
        vg_log(1, "no GPU: %sthe mediator at %s cannot be reached: %s",
               no_device ? "this machine has no vgpu device, and " : "", path,
               strerror(-u->sock));
        return CUDA_ERROR_SYSTEM_NOT_READY;
    }
    CUresult r = get_region(u);
    return r ? r : attach(u);
}

static void undo(struct unix_chan *u)
{
    close_fds(&u->chan);
    if (u->chan.base)
        munmap(u->chan.base, u->chan.layout.size);
    u->chan.base = NULL;
}

/* A mediator that is killed keeps whom it knows; who is just arriving has to come again. */
CUresult vg_chan_open_unix(const char *path, bool no_device, struct vg_chan **ret_chan)
{
    struct unix_chan *u = calloc(1, sizeof(*u));
    const struct timespec pause = {0, ATTEMPT_MS * 1000000};
    CUresult r = CUDA_ERROR_SYSTEM_NOT_READY;

    if (!u)
        return CUDA_ERROR_OUT_OF_MEMORY;
    u->chan.ops = &unix_ops;
    u->bell = u->chan.region_fd = -1;
    u->lost = true;
    for (unsigned i = 1; r && u->lost && i <= ATTEMPTS; i++) {
        u->last = i == ATTEMPTS;
        if (i > 1)
            nanosleep(&pause, NULL);
        r = open_once(u, path, no_device);
        if (r)
            undo(u);
    }
    if (r)
        free(u);
    else
        *ret_chan = &u->chan;
    return r;
}
