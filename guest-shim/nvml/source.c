/* SPDX-License-Identifier: MIT */
/*
 * The page's two sources: the mediator's socket, which gives a memfd to those that
 * call themselves monitors, and in a VM the telemetry area of BAR1.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest-shim/nvml/nv.h"
#include "guest-shim/pci.h"
#include "vg_regs.h"
#include "vg_sock.h"
#include "vg_wire.h"

#define ANSWER_MS  5000
#define ATTEMPTS   5        /* while the mediator ends under our hands */
#define ATTEMPT_US 100000

/* ---- the socket ---- */

static int sock_connect(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (s < 0)
        return -1;
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    if (TEMP_FAILURE_RETRY(connect(s, (struct sockaddr *)&a, sizeof(a))) == 0)
        return s;
    int e = errno;
    close(s);
    errno = e;
    return -1;
}

static int say_hello(int sock)
{
    struct vg_msg m = {.type = VG_MSG_HELLO, .version = VG_PROTOCOL_VERSION,
                       .role = VG_ROLE_MONITOR, .pid = (uint32_t)getpid()};
    const char *name = getenv("VGPU_VM_NAME");

    if (name)
        strncpy(m.name, name, sizeof(m.name) - 1);
    return send(sock, &m, sizeof(m), MSG_NOSIGNAL) == (ssize_t)sizeof(m) ? 0 : -1;
}

/* The memfd that came with WELCOME, or -1 with the refusal in m->text. */
static int receive_page(int sock, struct vg_msg *m)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec io = {m, sizeof(*m)};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    struct pollfd p = {sock, POLLIN, 0};
    int fd = -1;

    strcpy(m->text, "it does not answer");
    if (TEMP_FAILURE_RETRY(poll(&p, 1, ANSWER_MS)) <= 0 ||
        TEMP_FAILURE_RETRY(recvmsg(sock, &h, MSG_CMSG_CLOEXEC)) != (ssize_t)sizeof(*m))
        return -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    m->text[sizeof(m->text) - 1] = '\0';
    return fd;
}

static int map_page(struct nv_source *s, int fd, off_t off)
{
    void *page = mmap(NULL, VG_TELEMETRY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, off);

    if (page == MAP_FAILED)
        return -1;
    s->page = page;
    return 0;
}

/* The page's descriptor, or -1 with the reason. *ret_again: the mediator ended, the next one comes. */
static int ask_page(struct nv_source *s, const char *path, char *why, size_t cap, bool *ret_again)
{
    struct vg_msg m = {.type = 0};
    struct pollfd ended;
    int fd = -1;

    *ret_again = false;
    s->sock = sock_connect(path);
    if (s->sock < 0) {
        snprintf(why, cap, "the mediator at %s cannot be reached: %s", path, strerror(errno));
        return -1;
    }
    ended = (struct pollfd){s->sock, 0, 0};
    if (say_hello(s->sock) == 0)
        fd = receive_page(s->sock, &m);
    if (fd >= 0)
        return fd;
    snprintf(why, cap, "the mediator at %s refuses: %s", path, m.text);
    *ret_again = m.type != VG_MSG_REFUSED && poll(&ended, 1, 0) > 0;
    close(s->sock);
    s->sock = -1;
    return -1;
}

static int open_unix(struct nv_source *s, const char *path, char *why, size_t cap)
{
    bool again = true;
    int fd = -1, rc;

    for (unsigned i = 0; fd < 0 && again && i < ATTEMPTS; i++) {
        if (i > 0)
            usleep(ATTEMPT_US);
        fd = ask_page(s, path, why, cap, &again);
    }
    if (fd < 0)
        return -1;
    rc = map_page(s, fd, 0);
    close(fd);
    return rc;
}

/* ---- the device ---- */

static int open_resource(const char *device, const char *name, char *why, size_t cap)
{
    char path[400];

    snprintf(path, sizeof(path), "%s/%s", device, name);
    int fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
    if (fd < 0)
        snprintf(why, cap, "cannot open %s: %s", path, strerror(errno));
    return fd;
}

static int map_registers(struct nv_source *s, const char *device, char *why, size_t cap)
{
    int fd = open_resource(device, "resource0", why, cap);

    if (fd < 0)
        return -1;
    void *regs = mmap(NULL, VG_BAR0_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (regs == MAP_FAILED) {
        snprintf(why, cap, "cannot map the device's registers: %s", strerror(errno));
        return -1;
    }
    s->regs = regs;
    if (s->regs[VG_REG_MAGIC / 4] == VG_REG_MAGIC_VALUE &&
        s->regs[VG_REG_VERSION / 4] == VG_PROTOCOL_VERSION)
        return 0;
    snprintf(why, cap, "the device is not enabled or speaks another version of the protocol");
    return -1;
}

static int map_area(struct nv_source *s, const char *device, char *why, size_t cap)
{
    uint64_t size = s->regs[VG_REG_REGION_LO / 4] | (uint64_t)s->regs[VG_REG_REGION_HI / 4] << 32;
    struct vg_region_layout l;

    if (!vg_region_layout_init(&l, size, s->regs[VG_REG_SLOT_COUNT / 4])) {
        snprintf(why, cap, "the device's memory has no layout that this library knows");
        return -1;
    }
    int fd = open_resource(device, "resource1", why, cap);
    if (fd < 0)
        return -1;
    int rc = map_page(s, fd, (off_t)l.telemetry_off);
    if (rc < 0)
        snprintf(why, cap, "cannot map the device's memory: %s", strerror(errno));
    close(fd);
    return rc;
}

static int open_pci(struct nv_source *s, const char *device, char *why, size_t cap)
{
    if (map_registers(s, device, why, cap) < 0 || map_area(s, device, why, cap) < 0)
        return -1;
    if (nv_source_alive(s))
        return 0;
    snprintf(why, cap, "the host's mediator is not running, or refuses this VM");
    return -1;
}

/* ---- both ---- */

/* The choice is that of libvgpu-cuda.so (VGPU_TRANSPORT, VGPU_SOCKET). */
static int open_any(struct nv_source *s, char *why, size_t cap)
{
    const char *transport = getenv("VGPU_TRANSPORT"), *path = getenv("VGPU_SOCKET");
    bool pci = transport && strcmp(transport, "pci") == 0;
    bool host = transport && strcmp(transport, "unix") == 0;
    char device[300];

    if (!pci && (host || (path && *path)))
        return open_unix(s, path && *path ? path : VG_SOCKET_PATH, why, cap);
    if (vg_pci_find(device, sizeof(device)))
        return open_pci(s, device, why, cap);
    if (!pci)
        return open_unix(s, VG_SOCKET_PATH, why, cap);
    snprintf(why, cap, "this machine has no vgpu device");
    return -1;
}

int nv_source_open(struct nv_source *s, char *why, size_t cap)
{
    *s = (struct nv_source){.sock = -1};
    if (open_any(s, why, cap) == 0)
        return 0;
    nv_source_close(s);
    return -1;
}

void nv_source_close(struct nv_source *s)
{
    if (s->page)
        munmap(s->page, VG_TELEMETRY_SIZE);
    if (s->regs)
        munmap((void *)s->regs, VG_BAR0_SIZE);
    if (s->sock >= 0)
        close(s->sock);
    *s = (struct nv_source){.sock = -1};
}

bool nv_source_alive(const struct nv_source *s)
{
    struct pollfd p = {s->sock, 0, 0};

    if (!s->regs)
        return s->sock >= 0 && poll(&p, 1, 0) <= 0;
    uint32_t status = s->regs[VG_REG_STATUS / 4];
    return (status & VG_STATUS_MEDIATOR) && !(status & VG_STATUS_REFUSED);
}
