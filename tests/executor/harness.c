/* SPDX-License-Identifier: MIT */
/* Starts vgpu-executor and speaks to it; see harness.h. */
#include "tests/executor/harness.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mediator/executor/options.h"
#include "vg_atomic.h"
#include "vg_regs.h"

/* Where all sanitizers let a program map something. */
#define REGION_ADDRESS 0x7ea000000000ull

uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

/* ---- What to run ---- */

/* $(B), from the environment or from where this program lies: $(B)/tests/x. */
static const char *build_dir(void)
{
    static char dir[4096];
    const char *env = getenv("VG_BUILD");
    ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

    if (env)
        return env;
    dir[n > 0 ? n : 0] = '\0';
    for (int up = 0; up < 2; up++)
        if (strrchr(dir, '/'))
            *strrchr(dir, '/') = '\0';
    return dir;
}

const char *host_driver;

static const char *driver_path(void)
{
    static char path[4200];
    const char *env = getenv("VG_TEST_DRIVER");

    if (host_driver) {
        snprintf(path, sizeof(path), "%s/tests/%s", build_dir(), host_driver);
        return path;
    }
    if (env)
        return env;
    snprintf(path, sizeof(path), "%s/lib/libvgpu-softcuda.so", build_dir());
    return path;
}

static const char *backend(void)
{
    return getenv("VG_TEST_DRIVER") && !host_driver ? "cuda" : "soft";
}

bool host_available(void)
{
    if (getenv("VG_TEST_DRIVER") || access(driver_path(), R_OK) == 0)
        return true;
    printf("no driver: %s is not built\n", driver_path());
    return false;
}

/* ---- Descriptors ---- */

static int new_memfd(const char *name, size_t size)
{
    int fd = (int)syscall(SYS_memfd_create, name, 0u);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
    return fd;
}

void host_init(struct host *h)
{
    memset(h, 0, sizeof(*h));
    ck_assert(vg_region_layout_init(&h->layout, TEST_REGION_SIZE, TEST_SLOTS));
    h->region_fd = new_memfd("region", TEST_REGION_SIZE);
    h->base = mmap((void *)(uintptr_t)REGION_ADDRESS, TEST_REGION_SIZE, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_FIXED, h->region_fd, 0);
    ck_assert(h->base != MAP_FAILED);
    vg_region_format(h->base, &h->layout);
    h->slot = vg_region_slot(h->base, &h->layout, 1);
    h->slot->version = VG_PROTOCOL_VERSION;
    h->slot->pid = (uint32_t)getpid();
    h->slot->address = REGION_ADDRESS;
    h->slot->api_hash = vg_api_hash();
    strcpy(h->slot->comm, "a test");
    h->slot->state = VG_SLOT_ATTACHING;
    h->doorbell = eventfd(0, EFD_NONBLOCK);
    ck_assert_int_ge(h->doorbell, 0);
    h->account_fd = new_memfd("account", sizeof(*h->account));
    h->account = mmap(NULL, sizeof(*h->account), PROT_READ | PROT_WRITE, MAP_SHARED, h->account_fd,
                      0);
    ck_assert(h->account != MAP_FAILED);
    vg_account_sit(h->account, 0);
    h->orders_fd = new_memfd("orders", VG_ORDERS_SIZE);
    h->orders = mmap(NULL, VG_ORDERS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, h->orders_fd, 0);
    ck_assert(h->orders != MAP_FAILED);
    h->gate_fd = new_memfd("gate", VG_GATE_SIZE);
    h->gate = mmap(NULL, VG_GATE_SIZE, PROT_READ, MAP_SHARED, h->gate_fd, 0);
    ck_assert(h->gate != MAP_FAILED);
    h->shelf_fd = new_memfd("shelf", TEST_SHELF_SIZE);
}

/* In the child: the descriptors at their numbers, everything else closed. */
static void become_executor(const int fds[4], const struct host *h)
{
    char exe[4200];
    char *argv[] = {exe,
                    (char *)"--backend",
                    (char *)backend(),
                    (char *)"--driver",
                    (char *)driver_path(),
                    (char *)"--warm",
                    NULL};

    snprintf(exe, sizeof(exe), "%s/bin/vgpu-executor", build_dir());
    for (int i = 0; i < 4; i++)
        if (fcntl(fds[i], F_DUPFD, 20 + i) < 0 || dup2(fds[i], 30 + i) < 0)
            _exit(99);
    for (int i = 0; i < 4; i++)
        if (dup2(30 + i, 2 + i) < 0)
            _exit(99);
    if (dup2(h->orders_fd, 40) < 0 || dup2(h->gate_fd, 41) < 0)
        _exit(99);
    for (int fd = 6; fd < 40; fd++)
        close(fd);
    if (dup2(40, VG_FD_ORDERS) < 0 || dup2(41, VG_FD_GATE) < 0 || eventfd(0, 0) != VG_FD_BELL)
        _exit(99);
    for (int fd = 40; fd < 64; fd++)
        close(fd);
    execv(exe, argv);
    _exit(98);
}

void host_send_job(struct host *h)
{
    struct vg_msg m = {.type = VG_MSG_SERVE, .token = VG_TOKEN(1, 0),
                       .region_size = TEST_REGION_SIZE, .slot_count = TEST_SLOTS, .name = "test",
                       .shelf_size = TEST_SHELF_SIZE, .user = h->user};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } control = {.bytes = {0}};
    const int fds[3] = {h->region_fd, h->account_fd, h->shelf_fd};
    struct iovec io = {&m, sizeof(m)};
    struct msghdr msg = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = sizeof(control)};

    control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                      .cmsg_len = CMSG_LEN(sizeof(fds))};
    memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
    ck_assert_int_eq((int)sendmsg(h->control, &msg, MSG_NOSIGNAL), (int)sizeof(m));
}

static void hear(struct host *h)
{
    ssize_t n = recv(h->control, &h->said, sizeof(h->said), 0);

    if (n != (ssize_t)sizeof(h->said))
        memset(&h->said, 0, sizeof(h->said));
}

void host_spawn(struct host *h)
{
    int sock[2], log[2], stats = new_memfd("stats", sizeof(struct vg_stats));

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock), 0);
    ck_assert_int_eq(pipe2(log, O_CLOEXEC), 0);
    h->stats = mmap(NULL, sizeof(*h->stats), PROT_READ, MAP_SHARED, stats, 0);
    ck_assert(h->stats != MAP_FAILED);
    h->pid = fork();
    ck_assert_int_ge(h->pid, 0);
    if (h->pid == 0) {
        const int fds[4] = {getenv("VG_TEST_VERBOSE") ? 2 : log[1], sock[1], h->doorbell, stats};
        become_executor(fds, h);
    }
    close(sock[1]);
    close(log[1]);
    close(stats);
    h->control = sock[0];
    h->log = log[0];
}

bool host_idle(struct host *h)
{
    hear(h);
    return h->said.type == VG_MSG_IDLE;
}

bool host_give(struct host *h)
{
    host_send_job(h);
    hear(h);
    /* It may have been done with the driver before the job was there. */
    if (h->said.type == VG_MSG_IDLE)
        hear(h);
    vg_ring_producer_init(&h->ring, h->slot);
    return h->said.type == VG_MSG_READY;
}

bool host_start(struct host *h)
{
    host_spawn(h);
    return host_give(h);
}

uint64_t host_ready(struct host *h)
{
    struct vg_result res;

    host_init(h);
    ck_assert_msg(host_start(h), "executor: %s", h->said.text);
    ck_assert_uint_eq(h->slot->state, VG_SLOT_READY);
    ck_assert_int_eq(ASK(h, &res, VG_CALL_cuDevicePrimaryCtxRetain, 1, 0), CUDA_SUCCESS);
    ck_assert_int_eq(ASK(h, NULL, VG_CALL_SET_CONTEXT, res.val[0]), CUDA_SUCCESS);
    return res.val[0];
}

int host_wait(struct host *h)
{
    uint64_t end = now_ms() + TEST_WAIT_MS;
    int status;

    while (now_ms() < end) {
        if (waitpid(h->pid, &status, WNOHANG) == h->pid)
            return status;
        nap();
    }
    kill(h->pid, SIGKILL);
    waitpid(h->pid, &status, 0);
    return -1;
}

int host_stop(struct host *h)
{
    close(h->control);
    int status = host_wait(h);
    close(h->log);
    close(h->doorbell);
    close(h->region_fd);
    munmap(h->base, TEST_REGION_SIZE);
    return status;
}

/* ---- The guest ---- */

static void ring_doorbell(struct host *h)
{
    uint64_t one = 1;

    ck_assert_int_eq((int)write(h->doorbell, &one, sizeof(one)), (int)sizeof(one));
}

uint32_t guest_send(struct host *h, uint32_t call, const uint64_t *arg, unsigned args,
                    const void *payload, uint32_t len, uint16_t flags, uint16_t cell)
{
    uint64_t end = now_ms() + TEST_WAIT_MS;
    struct vg_call *c;

    while (!(c = vg_ring_reserve(&h->ring, len))) {
        ck_assert_msg(now_ms() < end, "the ring stays full");
        nap();
    }
    memset(c, 0, offsetof(struct vg_call, payload_len));
    c->call = call;
    c->seq = ++h->seq;
    for (unsigned i = 0; i < args; i++)
        c->arg[i] = arg[i];
    c->flags = flags;
    c->cell = cell;
    if (len)
        memcpy(c + 1, payload, len);
    if (vg_ring_commit(&h->ring, c))
        ring_doorbell(h);
    return h->seq;
}

bool guest_done(struct host *h, uint16_t cell, uint32_t seq, int ms)
{
    uint64_t end = now_ms() + (uint64_t)ms;

    do {
        if (vg_load_acquire(&vg_slot_cell(h->slot, cell)->done) == seq)
            return true;
        nap();
    } while (now_ms() < end);
    return false;
}

CUresult guest_ask(struct host *h, uint32_t call, const uint64_t *arg, unsigned args,
                   const void *payload, uint32_t len, struct vg_result *ret)
{
    uint32_t seq = guest_send(h, call, arg, args, payload, len, VG_F_REPLY, 0);

    ck_assert_msg(guest_done(h, 0, seq, TEST_WAIT_MS),
                  "no answer to call 0x%x (state %u reason %u)", call, h->slot->state,
                  h->slot->reason);
    struct vg_result res = vg_slot_cell(h->slot, 0)->result;
    ck_assert_uint_eq(res.seq, seq & 0xffff);
    if (ret)
        *ret = res;
    return (CUresult)res.result;
}

uint64_t guest_extents(struct host *h, uint32_t count)
{
    uint64_t off = vg_extent_alloc(h->base, &h->layout, 1, count);

    ck_assert(off != 0);
    return off;
}

uint8_t *guest_at(struct host *h, uint64_t off)
{
    return h->base + off;
}
