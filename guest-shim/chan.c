/* SPDX-License-Identifier: MIT */
/* What both kinds of channel share: choosing one, mapping the region, waiting for the executor. */
#include "guest-shim/chan.h"
#include "guest-shim/visible.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "guest-shim/state.h"
#include "vg_api.h"
#include "vg_atomic.h"
#include "vg_sock.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000    /* Linux 4.17; older kernels take it as a hint */
#endif

CUresult vg_chan_open(struct vg_chan **ret_chan)
{
    const char *kind = getenv("VGPU_TRANSPORT");
    const char *path = getenv("VGPU_SOCKET");
    bool no_device = false;

    if (!kind || !*kind || strcmp(kind, "auto") == 0) {
        no_device = !path && !vg_chan_have_pci();
        kind = path || no_device ? "unix" : "pci";
    }
    if (strcmp(kind, "pci") == 0)
        return vg_chan_open_pci(ret_chan);
    if (strcmp(kind, "unix") == 0)
        return vg_chan_open_unix(path && *path ? path : VG_SOCKET_PATH, no_device, ret_chan);
    vg_log(1, "VGPU_TRANSPORT=%s: must be auto, pci or unix", kind);
    return CUDA_ERROR_SYSTEM_NOT_READY;
}

static const uintptr_t places[] = {VG_REGION_PLACES};

void *vg_chan_map(int fd, uint64_t size)
{
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        void *want = (void *)places[i];
        void *got = mmap(want, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
                         0);
        if (got == want) {
            madvise(got, size, MADV_DONTFORK);
            return got;
        }
        if (got != MAP_FAILED)
            munmap(got, size);
        else if (errno != EEXIST)
            return NULL;
    }
    errno = EEXIST;
    return NULL;
}

int vg_chan_map_at(struct vg_chan *c, void *at, uint64_t off, size_t bytes)
{
    void *got = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, c->region_fd,
                     (off_t)off);

    if (got == MAP_FAILED)
        return -errno;
    madvise(at, bytes, MADV_DONTFORK);
    return 0;
}

CUresult vg_chan_adopt(struct vg_chan *c, void *base, uint64_t size, uint32_t slot_count,
                       unsigned slot_index)
{
    const struct vg_region_header *h = base;

    if (vg_load_acquire(&h->magic) != VG_REGION_MAGIC || h->version != VG_PROTOCOL_VERSION ||
        !vg_region_layout_init(&c->layout, size, slot_count) || slot_index >= slot_count) {
        vg_log(1, "the shared region has another layout than this library knows");
        return CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
    }
    c->base = base;
    c->slot_index = slot_index;
    c->slot = vg_region_slot(base, &c->layout, slot_index);
    return CUDA_SUCCESS;
}

static void read_comm(char *comm, size_t size)
{
    int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, comm, size - 1);

    if (fd >= 0)
        close(fd);
    comm[n > 0 ? n : 0] = '\0';
    comm[strcspn(comm, "\n")] = '\0';
}

void vg_chan_hello(struct vg_chan *c, bool has_warden)
{
    struct vg_slot *s = c->slot;

    s->version = VG_PROTOCOL_VERSION;
    s->pid = (uint32_t)getpid();
    s->address = (uintptr_t)c->base;
    s->api_hash = vg_api_hash();
    s->has_warden = has_warden;
    s->pins = 1;
    s->visible_count = vg_visible.count;
    memcpy(s->visible, vg_visible.at, sizeof(s->visible));
    read_comm(s->comm, sizeof(s->comm));
    vg_fence();
}

void vg_chan_check(struct vg_chan *c)
{
    if (vg_load_acquire(&c->slot->state) == VG_SLOT_GONE || c->ops->alive(c))
        return;
    c->slot->reason = VG_GONE_MEDIATOR;
    vg_store_release(&c->slot->state, VG_SLOT_GONE);
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

CUresult vg_chan_await_ready(struct vg_chan *c)
{
    uint64_t deadline = now_ms() + VG_CHAN_TIMEOUT_MS;
    const struct timespec pause = {0, 200000};

    for (;;) {
        vg_chan_check(c);
        uint32_t state = vg_load_acquire(&c->slot->state);
        if (state == VG_SLOT_READY)
            return CUDA_SUCCESS;
        if (state == VG_SLOT_GONE) {
            vg_log(1, "no executor: %s", vg_chan_gone_text(c->slot->reason));
            return vg_chan_gone_result(c->slot->reason);
        }
        if (now_ms() > deadline) {
            vg_log(1, "no executor within %d s", VG_CHAN_TIMEOUT_MS / 1000);
            return CUDA_ERROR_SYSTEM_NOT_READY;
        }
        nanosleep(&pause, NULL);
    }
}

/*
 * Chosen for what the application and its user see of them: "busy or unavailable"
 * where the host took the GPU away, the launch errors where a kernel of ours is to
 * blame, the driver mismatch where two installed versions are.
 */
static const struct {
    CUresult result;
    const char *text;
} gone[] = {
    [VG_GONE_NONE]     = {CUDA_ERROR_UNKNOWN, "it ended without a reason"},
    [VG_GONE_REFUSED]  = {CUDA_ERROR_DEVICE_UNAVAILABLE, "the host does not admit this process"},
    [VG_GONE_MEDIATOR] = {CUDA_ERROR_DEVICE_UNAVAILABLE, "the host's mediator went away"},
    [VG_GONE_CRASHED]  = {CUDA_ERROR_LAUNCH_FAILED, "the executor crashed"},
    [VG_GONE_PROTOCOL] = {CUDA_ERROR_UNKNOWN, "the host found our calls malformed"},
    [VG_GONE_TIMEOUT]  = {CUDA_ERROR_LAUNCH_TIMEOUT, "a kernel or a compilation took longer than the host allows"},
    [VG_GONE_NO_GPU]   = {CUDA_ERROR_NO_DEVICE, "the host has no usable GPU or driver"},
    [VG_GONE_LEASE]    = {CUDA_ERROR_DEVICE_UNAVAILABLE, "no heartbeat reached the host"},
    [VG_GONE_VERSION]  = {CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
                          "host and guest run different versions"},
    [VG_GONE_QUARANTINED] = {CUDA_ERROR_DEVICE_UNAVAILABLE,
                             "the host has put this VM in quarantine, after faults of its programs "
                             "or by its administrator; only he can end that"},
    [VG_GONE_GPU_SICK] = {CUDA_ERROR_DEVICE_UNAVAILABLE,
                          "the host's GPU has failed and must be reset"},
    [VG_GONE_MOVED]    = {CUDA_ERROR_DEVICE_UNAVAILABLE,
                          "this VM was suspended or migrated, and the GPU's memory stayed behind; "
                          "programs that start now find a GPU"},
};

CUresult vg_chan_gone_result(unsigned reason)
{
    return gone[reason < sizeof(gone) / sizeof(gone[0]) ? reason : VG_GONE_NONE].result;
}

const char *vg_chan_gone_text(unsigned reason)
{
    return gone[reason < sizeof(gone) / sizeof(gone[0]) ? reason : VG_GONE_NONE].text;
}
