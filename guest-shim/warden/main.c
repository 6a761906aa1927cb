/* SPDX-License-Identifier: MIT */
/*
 * vgpu-warden: a tiny process beside each CUDA process in a VM. Its standard input
 * is a pipe whose only writer is that process; when the pipe ends, however the
 * process died, it gives the process's slot back to the device. Until then it
 * counts a heartbeat up in the slot, so that the host notices a frozen or dead VM.
 * While the VM is saved or migrated the region is not there; so that the process does
 * not touch it, the warden holds it.
 *
 * Usage: vgpu-warden SYSFS-DEVICE TOKEN SLOT-OFFSET [PID]
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest-shim/warden/hold.h"
#include "guest-shim/warden/keep.h"
#include "vg_atomic.h"
#include "vg_region.h"
#include "vg_regs.h"
#include "vg_wire.h"

#define LOOK_MS (VG_HEARTBEAT_MS / 5)   /* the device waits for us when it asks */

struct warden {
    uint32_t token;
    pid_t pid;                          /* of the process; 0: it is never held */
    volatile uint32_t *regs;
    struct vg_slot *slot;
    const struct vg_region_header *header;
    int region_fd;
    struct vg_region_layout layout;
};

static int open_resource(const char *device, const char *name)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", device, name) >= (int)sizeof(path))
        return -1;
    return open(path, O_RDWR | O_SYNC | O_CLOEXEC);
}

static void *map(int fd, uint64_t off, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)off);

    return p == MAP_FAILED ? NULL : p;
}

static bool read_layout(struct warden *w)
{
    uint64_t size = w->regs[VG_REG_REGION_LO / 4] | (uint64_t)w->regs[VG_REG_REGION_HI / 4] << 32;

    return vg_region_layout_init(&w->layout, size, w->regs[VG_REG_SLOT_COUNT / 4]) &&
           VG_TOKEN_SLOT(w->token) < w->layout.slot_count;
}

static bool begin(struct warden *w, char **argv)
{
    int fd = open_resource(argv[1], "resource0");

    w->token = (uint32_t)strtoul(argv[2], NULL, 10);
    w->pid = argv[4] ? (pid_t)strtol(argv[4], NULL, 10) : 0;
    w->regs = fd < 0 ? NULL : map(fd, 0, VG_BAR0_SIZE);
    if (fd >= 0)
        close(fd);
    w->region_fd = open_resource(argv[1], "resource1");
    if (w->region_fd < 0 || !w->regs)
        return false;
    w->slot = map(w->region_fd, strtoull(argv[3], NULL, 10), VG_PAGE);
    w->header = map(w->region_fd, 0, VG_PAGE);
    return w->slot && w->header && read_layout(w);
}

/* Descriptors that the application opened without close-on-exec: not ours to keep open. */
static void close_others(int ours)
{
    long max = sysconf(_SC_OPEN_MAX);

    if (max < 0 || max > 65536)
        max = 65536;
    for (int fd = 3; fd < max; fd++)
        if (fd != ours)
            close(fd);
}

static void unblock_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The only writer. A plain store, because while the region is away Xen performs it for us. */
static void beat(struct vg_slot *slot)
{
    vg_store_relaxed(&slot->heartbeat, vg_load_relaxed(&slot->heartbeat) + 1);
}

/* False: the process has ended. */
static bool look(struct warden *w)
{
    struct pollfd p = {STDIN_FILENO, POLLIN, 0};
    int n = poll(&p, 1, LOOK_MS);
    char c;

    beat(w->slot);
    if (n <= 0)
        return true;
    ssize_t got = read(STDIN_FILENO, &c, 1);
    return got > 0 || (got < 0 && errno == EINTR);
}

static bool is_moving(const struct warden *w)
{
    return vg_load_acquire(&w->header->moving) != 0;
}

/* The slot is still the process's, in another region than it knows. */
static bool has_lost(const struct warden *w)
{
    return vg_load_acquire(&w->slot->state) == VG_SLOT_GONE &&
           w->slot->generation == VG_TOKEN_GEN(w->token);
}

/* False: the process has ended. */
static bool stand_still(struct warden *w)
{
    struct vg_kept kept = {0};
    struct vg_held held;
    bool lives = true;

    if (!vg_hold(&held, w->pid)) {
        vg_store_relaxed(&w->slot->parks, 0);
        return true;
    }
    vg_keep(&kept, w->region_fd, &w->layout, VG_TOKEN_SLOT(w->token));
    while (lives && is_moving(w)) {
        vg_store_release(&w->slot->parked, 1);
        lives = look(w);
    }
    if (lives && has_lost(w))
        vg_keep_put_back(&kept, w->region_fd, &w->layout, VG_TOKEN_SLOT(w->token));
    vg_unhold(&held);
    vg_keep_forget(&kept, &w->layout);
    return lives;
}

static void watch(struct warden *w)
{
    bool lives = true;

    vg_store_relaxed(&w->slot->parks, w->pid != 0);
    beat(w->slot);      /* "I am there": the application waits for it */
    while (lives && (lives = look(w)))
        if (vg_load_relaxed(&w->slot->parks) && is_moving(w))
            lives = stand_still(w);
}

int main(int argc, char **argv)
{
    struct warden w = {0};

    if (argc != 4 && argc != 5) {
        fputs("usage: vgpu-warden SYSFS-DEVICE TOKEN SLOT-OFFSET [PID]\n", stderr);
        return 2;
    }
    if (!begin(&w, argv))
        return 1;
    setsid();       /* away from the application's terminal and its signals */
    unblock_signals();
    if (chdir("/") < 0)
        return 1;
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    close_others(w.region_fd);
    watch(&w);
    w.regs[VG_REG_RELEASE / 4] = w.token;
    return 0;
}
