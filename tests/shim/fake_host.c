/* SPDX-License-Identifier: MIT */
#include "tests/shim/fake_host.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest-shim/lock.h"
#include "vg_api.h"
#include "vg_atomic.h"
#include "vg_ring.h"
#include "vg_sock.h"

#define REGION_SIZE (16u << 20)

struct fake_host {
    int listener, bell;
    pthread_t thread;
    uint8_t *base;
    struct vg_region_layout layout;
    struct vg_slot *slot;
    int stop, held, hang_up;
    uint64_t records, sum, context;
};

static void publish(struct vg_cell *cell, uint32_t seq)
{
    vg_store_release(&cell->done, seq);
    vg_fence();
    if (vg_load_relaxed(&cell->waiting))
        vg_futex_wake(&cell->done);
}

static void reply(struct vg_slot *s, const struct vg_call *c, int result, const uint64_t *val)
{
    struct vg_cell *cell = vg_slot_cell(s, c->cell);

    if (!(c->flags & VG_F_REPLY))
        return;
    cell->result = (struct vg_result){.result = (uint16_t)result, .seq = (uint16_t)c->seq};
    if (val)
        memcpy(cell->result.val, val, sizeof(cell->result.val));
    publish(cell, c->seq);
}

static void snapshot(struct fake_host *h, const struct vg_call *c)
{
    struct vg_snapshot *s = (struct vg_snapshot *)(h->base + c->arg[6]);
    struct vg_cell *cell = vg_slot_cell(h->slot, c->cell);
    size_t size = sizeof(*s) + sizeof(s->device[0]);

    memset(s, 0, size);
    s->size = (uint32_t)size;
    s->driver_version = 13000;
    s->device_count = 1;
    strcpy(s->device[0].name, "fake GPU");
    strcpy(s->device[0].pci_bus_id, "0000:17:00.0");
    s->device[0].total_memory = 1 << 30;
    s->device[0].priority_greatest = -5;
    s->device[0].attr[CU_DEVICE_ATTRIBUTE_MAX_PITCH] = 1 << 20;
    s->device[0].attr[CU_DEVICE_ATTRIBUTE_WARP_SIZE] = 32;
    s->device[0].attr_known[CU_DEVICE_ATTRIBUTE_WARP_SIZE] = 1;
    s->device[0].attr[CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS] = 1;
    s->device[0].attr_known[CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS] = 1;
    s->device[0].attr[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR] = 9;
    s->device[0].attr_known[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR] = 1;
    cell->result = (struct vg_result){.payload_len = (uint32_t)size, .seq = (uint16_t)c->seq};
    publish(cell, c->seq);
}

static void wait_while_held(const struct fake_host *h)
{
    while (vg_load_relaxed(&h->held) && !vg_load_relaxed(&h->stop))
        usleep(1000);
}

/* The host changes no machine code that is compressed; the library has no managed variables. */
static CUresult load_image(const struct vg_call *c, const uint8_t *fatbin)
{
    const uint8_t cubin = 2;
    const uint64_t compressed = 0xa000;
    uint64_t flags;

    memcpy(&flags, fatbin + 16 + 40, sizeof(flags));
    return c->arg[0] & VG_IMAGE_MANAGED && fatbin[16] == cubin && (flags & compressed)
               ? CUDA_ERROR_NOT_SUPPORTED
               : CUDA_SUCCESS;
}

static void serve_record(struct fake_host *h, const struct vg_call *c, const uint8_t *payload)
{
    static const uint64_t library[4] = {0x7000};
    static const uint64_t handle[4] = {0xc0de0000};
    static const uint64_t memory[4] = {0x300000000000};
    static const uint64_t capturing[4] = {CU_STREAM_CAPTURE_STATUS_ACTIVE};
    static uint64_t stream[4] = {0x5000};

    vg_store_relaxed(&h->records, h->records + 1);
    switch (c->call) {
    case VG_CALL_SNAPSHOT:
        snapshot(h, c);
        break;
    case VG_CALL_SET_CONTEXT:
        vg_store_relaxed(&h->context, c->arg[0]);
        break;
    case VG_CALL_NOP:
        wait_while_held(h);
        if (vg_load_relaxed(&h->hang_up))
            return;
        vg_store_relaxed(&h->sum, h->sum + c->arg[0]);
        reply(h->slot, c, 0, c->arg);
        break;
    case VG_CALL_PIN: /* the GPU sees nothing */
        wait_while_held(h);
        reply(h->slot, c, 0, NULL);
        break;
    case VG_CALL_cuStreamIsCapturing: /* which the shim asks of streams that may */
        reply(h->slot, c, 0, capturing);
        break;
    case VG_CALL_cuDevicePrimaryCtxRetain:
        reply(h->slot, c, 0, handle);
        break;
    case VG_CALL_IMAGE_LOAD:
        reply(h->slot, c, load_image(c, payload), library);
        break;
    case VG_CALL_cuMemAlloc_v2:
        reply(h->slot, c, 0, memory);
        break;
    case VG_CALL_cuStreamCreateWithPriority:
        stream[0] += 16;
        reply(h->slot, c, 0, stream);
        break;
    default:
        reply(h->slot, c, c->arg[0] == 0xbad ? CUDA_ERROR_INVALID_HANDLE : 0, NULL);
    }
}

/* Serves the ring until the socket ends; sleeps by the protocol, so that doorbells are tested. */
static void serve(struct fake_host *h, int sock)
{
    static uint8_t payload[VG_PAYLOAD_MAX];
    struct vg_ring_consumer ring;
    struct vg_call call;
    const char *why;

    vg_ring_consumer_init(&ring, h->slot);
    vg_store_release(&h->slot->state, VG_SLOT_READY);
    for (unsigned idle = 0; !vg_load_relaxed(&h->stop) && !vg_load_relaxed(&h->hang_up);) {
        enum vg_ring_verdict v = vg_ring_take(&ring, &call, payload, &why);
        if (v == VG_RING_BROKEN)
            abort();
        if (v == VG_RING_RECORD) {
            serve_record(h, &call, payload);
            idle = 0;
            continue;
        }
        if (++idle < 2000) {
            vg_cpu_relax();
            continue;
        }
        if (!vg_ring_sleepy(&ring))
            continue;
        struct pollfd p[2] = {{h->bell, POLLIN, 0}, {sock, POLLIN, 0}};
        uint64_t n;
        poll(p, 2, 100);
        vg_ring_awake(&ring);
        if (read(h->bell, &n, sizeof(n)) < 0 && errno != EAGAIN)
            abort();
        if (p[1].revents || vg_load_relaxed(&h->hang_up))
            return;
    }
}

static void send_msg(int sock, struct vg_msg m, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec io = {&m, sizeof(m)};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
                       .msg_controllen = sizeof(control)};

    memset(&control, 0, sizeof(control));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    if (sendmsg(sock, &h, MSG_NOSIGNAL) < 0)
        abort();
}

static void serve_client(struct fake_host *h, int sock)
{
    int fd = (int)syscall(SYS_memfd_create, "region", 0);
    struct vg_msg m;

    if (fd < 0 || ftruncate(fd, REGION_SIZE) < 0 || !vg_region_layout_init(&h->layout, REGION_SIZE, 1))
        abort();
    h->base = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    vg_region_format(h->base, &h->layout);
    if (recv(sock, &m, sizeof(m), 0) == sizeof(m)) {
        send_msg(sock, (struct vg_msg){.type = VG_MSG_WELCOME, .version = VG_PROTOCOL_VERSION,
                                       .region_size = REGION_SIZE, .slot_count = 1}, fd);
        if (recv(sock, &m, sizeof(m), 0) == sizeof(m)) {
            vg_store_release(&h->slot, vg_region_slot(h->base, &h->layout, 0));
            h->bell = eventfd(0, EFD_NONBLOCK);
            send_msg(sock, (struct vg_msg){.type = VG_MSG_ATTACHED, .token = m.token}, h->bell);
            serve(h, sock);
            close(h->bell);
        }
    }
    vg_store_release(&h->slot, NULL);
    munmap(h->base, REGION_SIZE);
    close(fd);
}

static void *host_main(void *arg)
{
    struct fake_host *h = arg;
    struct pollfd p = {h->listener, POLLIN, 0};

    while (!vg_load_relaxed(&h->stop)) {
        if (poll(&p, 1, 50) <= 0)
            continue;
        int sock = accept(h->listener, NULL, NULL);
        if (sock < 0)
            continue;
        serve_client(h, sock);
        close(sock);
    }
    return NULL;
}

struct fake_host *fake_host_start(const char *path)
{
    struct fake_host *h = calloc(1, sizeof(*h));
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (!h)
        abort();
    strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
    unlink(path);
    h->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (bind(h->listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(h->listener, 4) < 0 ||
        pthread_create(&h->thread, NULL, host_main, h) != 0)
        abort();
    return h;
}

void fake_host_stop(struct fake_host *h)
{
    vg_store_relaxed(&h->stop, 1);
    pthread_join(h->thread, NULL);
    close(h->listener);
    free(h);
}

struct vg_slot *fake_host_slot(struct fake_host *h)
{
    return vg_load_acquire(&h->slot);
}

void fake_host_hold(struct fake_host *h, int held)
{
    vg_store_relaxed(&h->held, held);
}

void fake_host_hang_up(struct fake_host *h)
{
    vg_store_relaxed(&h->hang_up, 1);
}

uint64_t fake_host_records(struct fake_host *h)
{
    return vg_load_relaxed(&h->records);
}

uint64_t fake_host_sum(struct fake_host *h)
{
    return vg_load_relaxed(&h->sum);
}

uint64_t fake_host_context(struct fake_host *h)
{
    return vg_load_relaxed(&h->context);
}
