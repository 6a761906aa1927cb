/* SPDX-License-Identifier: MIT */
/*
 * The channel of a process in a VM: the PCI device vgpu-stub, through sysfs, without
 * a kernel driver. BAR0 holds the registers, BAR1 is the region. A warden process
 * gives our slot back if we die (warden.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest-shim/chan.h"
#include "guest-shim/pci.h"
#include "guest-shim/state.h"
#include "guest-shim/warden_spawn.h"
#include "vg_atomic.h"
#include "vg_regs.h"
#include "vg_wire.h"

struct pci_chan {
    struct vg_chan chan;
    char device[300];               /* its directory in sysfs */
    volatile uint32_t *regs;
    uint32_t token;
    int warden;                     /* pipe to the warden, -1: none */
};

static struct pci_chan *of(struct vg_chan *c)
{
    return (struct pci_chan *)c;
}

static uint32_t reg_read(struct pci_chan *p, unsigned reg)
{
    return p->regs[reg / 4];
}

static void reg_write(struct pci_chan *p, unsigned reg, uint32_t value)
{
    p->regs[reg / 4] = value;
}

static void bell_ring(struct vg_chan *c)
{
    reg_write(of(c), VG_REG_DOORBELL, of(c)->token);
}

static void forget(struct vg_chan *c)
{
    if (of(c)->warden >= 0)
        close(of(c)->warden);
    if (c->region_fd >= 0)
        close(c->region_fd);
    of(c)->warden = c->region_fd = -1;
}

/* The warden's own release of the same token, a moment later, finds it stale. */
static void release(struct vg_chan *c)
{
    reg_write(of(c), VG_REG_RELEASE, of(c)->token);
}

/* The device marks our slot when it loses the mediator; asking it would be a costly access. */
static bool alive(struct vg_chan *c)
{
    (void)c;
    return true;
}

static const struct vg_chan_ops pci_ops = {
    .name = "pci", .futex = false, .doorbell = bell_ring, .release = release, .forget = forget,
    .alive = alive, .map_at = vg_chan_map_at,
};

bool vg_chan_have_pci(void)
{
    char device[300];

    return vg_pci_find(device, sizeof(device));
}

static int open_resource(struct pci_chan *p, const char *name)
{
    char path[400];

    snprintf(path, sizeof(path), "%s/%s", p->device, name);
    int fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
    if (fd < 0)
        vg_log(1, "no GPU: cannot open %s: %s", path, strerror(errno));
    return fd;
}

/* A device without a driver may have its memory decoding off; root may switch it on. */
static void enable_device(struct pci_chan *p)
{
    char path[400];

    snprintf(path, sizeof(path), "%s/enable", p->device);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = write(fd, "1", 1);
    (void)n;    /* whether it helped is seen in the next read of a register */
    close(fd);
}

static CUresult map_registers(struct pci_chan *p)
{
    int fd = open_resource(p, "resource0");

    if (fd < 0)
        return CUDA_ERROR_SYSTEM_NOT_READY;
    void *regs = mmap(NULL, VG_BAR0_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (regs == MAP_FAILED) {
        vg_log(1, "no GPU: cannot map its registers: %s", strerror(errno));
        return CUDA_ERROR_SYSTEM_NOT_READY;
    }
    madvise(regs, VG_BAR0_SIZE, MADV_DONTFORK);
    p->regs = regs;
    if (reg_read(p, VG_REG_MAGIC) != VG_REG_MAGIC_VALUE)
        enable_device(p);
    if (reg_read(p, VG_REG_MAGIC) != VG_REG_MAGIC_VALUE) {
        vg_log(1, "no GPU: the device's registers do not answer (is it enabled?)");
        return CUDA_ERROR_SYSTEM_NOT_READY;
    }
    if (reg_read(p, VG_REG_VERSION) != VG_PROTOCOL_VERSION) {
        vg_log(1, "the device speaks protocol version %u, this library %u",
               reg_read(p, VG_REG_VERSION), VG_PROTOCOL_VERSION);
        return CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
    }
    return CUDA_SUCCESS;
}

static CUresult map_region(struct pci_chan *p)
{
    uint64_t size = reg_read(p, VG_REG_REGION_LO) | (uint64_t)reg_read(p, VG_REG_REGION_HI) << 32;
    int fd = open_resource(p, "resource1");

    if (fd < 0)
        return CUDA_ERROR_SYSTEM_NOT_READY;
    p->chan.region_fd = fd;
    void *base = vg_chan_map(fd, size);
    if (!base) {
        vg_log(1, "no GPU: cannot map its memory: %s", strerror(errno));
        return CUDA_ERROR_SYSTEM_NOT_READY;
    }
    p->chan.base = base;
    p->chan.layout.size = size;     /* for unmapping, should adopt fail */
    return CUDA_SUCCESS;
}

static CUresult claim_slot(struct pci_chan *p)
{
    uint32_t status = reg_read(p, VG_REG_STATUS);

    /* Whom it refuses it does not keep connected. */
    if (status & VG_STATUS_REFUSED) {
        vg_log(1, "no GPU: the host's mediator refuses this VM");
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    }
    if (!(status & VG_STATUS_MEDIATOR)) {
        vg_log(1, "no GPU: the host's mediator is not running");
        return CUDA_ERROR_SYSTEM_NOT_READY;
    }
    p->token = reg_read(p, VG_REG_CLAIM);
    if (p->token == VG_CLAIM_NONE) {
        vg_log(1, "no GPU: %u processes of this VM use it already",
               reg_read(p, VG_REG_SLOT_COUNT));
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    }
    return vg_chan_adopt(&p->chan, p->chan.base, p->chan.layout.size,
                         reg_read(p, VG_REG_SLOT_COUNT), VG_TOKEN_SLOT(p->token));
}

/* 0 once the warden beats, or -errno. */
static int start_warden(struct pci_chan *p)
{
    uint64_t slot_off = (uint64_t)((char *)p->chan.slot - (char *)p->chan.base);
    uint32_t before = vg_load_relaxed(&p->chan.slot->heartbeat);
    int end = vg_warden_spawn(p->device, p->token, slot_off);

    if (end < 0)
        return end;
    struct pollfd pipe = {end, 0, 0};   /* POLLERR: the reading end is closed */
    for (int ms = 0; ms < 2000 && TEMP_FAILURE_RETRY(poll(&pipe, 1, 1)) == 0; ms++) {
        if (vg_load_relaxed(&p->chan.slot->heartbeat) != before) {
            p->warden = end;
            return 0;
        }
    }
    close(end);
    return pipe.revents ? -ECHILD : -ETIMEDOUT;
}

static CUresult attach(struct pci_chan *p)
{
    int e = start_warden(p);

    if (e)
        vg_log(1, "cannot start vgpu-warden (%s): the host will keep this process's memory if "
                  "it is killed", strerror(-e));
    vg_chan_hello(&p->chan, e == 0);
    reg_write(p, VG_REG_ATTACH, p->token);
    return vg_chan_await_ready(&p->chan);
}

static void undo(struct pci_chan *p)
{
    if (p->token != VG_CLAIM_NONE)
        reg_write(p, VG_REG_RELEASE, p->token);
    forget(&p->chan);
    if (p->chan.base)
        munmap(p->chan.base, p->chan.layout.size);
    if (p->regs)
        munmap((void *)p->regs, VG_BAR0_SIZE);
    free(p);
}

CUresult vg_chan_open_pci(struct vg_chan **ret_chan)
{
    struct pci_chan *p = calloc(1, sizeof(*p));

    if (!p)
        return CUDA_ERROR_OUT_OF_MEMORY;
    p->chan.ops = &pci_ops;
    p->token = VG_CLAIM_NONE;
    p->warden = p->chan.region_fd = -1;
    CUresult r = CUDA_ERROR_SYSTEM_NOT_READY;
    if (!vg_pci_find(p->device, sizeof(p->device)))
        vg_log(1, "no GPU: this machine has no vgpu device");
    else
        r = map_registers(p);
    if (!r)
        r = map_region(p);
    if (!r)
        r = claim_slot(p);
    if (!r)
        r = attach(p);
    if (r) {
        undo(p);
        return r;
    }
    *ret_chan = &p->chan;
    return CUDA_SUCCESS;
}
