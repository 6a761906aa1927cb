/* SPDX-License-Identifier: MIT */
/*
 * A channel: how this process got its region and slot, and how it wakes the
 * executor. Two kinds: the PCI device in a VM (chan_pci.c) and the mediator's
 * socket on a host (chan_unix.c). Opened under the lock of cuInit; doorbell is
 * called by any thread that holds the ring.
 */
#ifndef VG_SHIM_CHAN_H
#define VG_SHIM_CHAN_H

#include <stdbool.h>

#include "vg_cuda.h"
#include "vg_region.h"

struct vg_chan;

struct vg_chan_ops {
    const char *name;
    bool futex;                              /* the executor can wake our futexes */
    void (*doorbell)(struct vg_chan *c);
    /* Gives the slot back at once. Closes nothing: other threads may be ringing the bell. */
    void (*release)(struct vg_chan *c);
    /* Closes our ends; in a forked child, without a release, this leaves the slot to the parent. */
    void (*forget)(struct vg_chan *c);
    /* False once the far end has hung up without marking the slot. A system call or none. */
    bool (*alive)(struct vg_chan *c);
    /* Maps the region's bytes [off, off+bytes) a second time at `at`, over what is there. Page
       aligned. 0 or -errno. */
    int (*map_at)(struct vg_chan *c, void *at, uint64_t off, size_t bytes);
};

struct vg_chan {
    const struct vg_chan_ops *ops;
    int region_fd;                           /* the memfd, or BAR1's file in sysfs */
    void *base;                              /* region, mapped */
    struct vg_region_layout layout;
    unsigned slot_index;
    struct vg_slot *slot;
};

/*
 * Claims a slot and asks for an executor; returns when the slot is READY.
 * On failure *ret_chan is untouched and the CUresult tells why (logged, too).
 */
CUresult vg_chan_open(struct vg_chan **ret_chan);
/* no_device: the socket is tried for want of a device, which a failure must tell. */
CUresult vg_chan_open_unix(const char *path, bool no_device, struct vg_chan **ret_chan);
CUresult vg_chan_open_pci(struct vg_chan **ret_chan);
bool vg_chan_have_pci(void);

/* ---- for the two kinds ---- */

#define VG_CHAN_TIMEOUT_MS 10000

/* Maps the region at an address that is likely free in the executor as well. NULL: errno. */
void *vg_chan_map(int fd, uint64_t size);
/* vg_chan_ops.map_at of both kinds. */
int vg_chan_map_at(struct vg_chan *c, void *at, uint64_t off, size_t bytes);
/* Checks the region's header and takes the slot of that index. */
CUresult vg_chan_adopt(struct vg_chan *c, void *base, uint64_t size, uint32_t slot_count,
                       unsigned slot_index);
/* What the executor must know about us, before ATTACH. */
void vg_chan_hello(struct vg_chan *c, bool has_warden);
/*
 * Marks the slot GONE if the channel is dead: both processes of the host can be
 * killed before either says so. Worth asking now and then while waiting.
 */
void vg_chan_check(struct vg_chan *c);
/* Waits until the slot is READY or GONE. */
CUresult vg_chan_await_ready(struct vg_chan *c);

/* The CUresult and the words for a reason of VG_SLOT_GONE. */
CUresult vg_chan_gone_result(unsigned reason);
const char *vg_chan_gone_text(unsigned reason);

#endif
