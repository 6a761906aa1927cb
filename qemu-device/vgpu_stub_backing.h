/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory behind BAR1.  How it comes to be depends on the hypervisor: with
 * KVM and TCG the device makes a memfd that executors map too.  Under Xen the
 * pages are the guest's own (vgpu_stub_xen.c), and move with the BAR.
 */
#ifndef VGPU_STUB_BACKING_H
#define VGPU_STUB_BACKING_H

#include <stdint.h>

struct vg_stub_backing;

struct vg_stub_backing_ops {
    const char *name;
    /* Fills base, size and fd: 0 or -errno. */
    int (*open)(struct vg_stub_backing *b, uint64_t size);
    /* Idempotent. */
    void (*close)(struct vg_stub_backing *b);
    /*
     * Only where the pages are the guest's: the guest has mapped the BAR at
     * this frame, or (0) unmapped it.  0 or -errno; then they may be anywhere.
     */
    int (*place)(struct vg_stub_backing *b, uint64_t gfn);
    /*
     * Likewise: puts the pages above all that the guest has had so far, where
     * nobody looks who has begun to save it.  place() brings them back.
     * 0 or -errno; then they may be anywhere.
     */
    int (*hide)(struct vg_stub_backing *b);
    /*
     * Likewise: takes the pages out of the guest's memory, for good; base and
     * other maps of them stay as they are.  0 or -errno; then some may be left.
     */
    int (*drop)(struct vg_stub_backing *b);
};

struct vg_stub_backing {
    const struct vg_stub_backing_ops *ops;
    void *base;             /* zeroed and page-aligned; NULL: not open */
    uint64_t size;          /* bytes */
    int fd;                 /* for the mediator; -1: none, it cannot be shared */
    int why;                /* errno, then */
    uint64_t gfn;           /* Xen: the guest's first frame of it, now */
    uint64_t parking;       /* Xen: the same, while no BAR is mapped */
    uint64_t top;           /* Xen: above all frames that the guest has had */
    uint64_t memory_top;    /* Xen, set before open: the same of all it may get */

    /* For tests, set before open: */
    uint64_t try_parking;   /* Xen: frame that is tried first; 0: none */
    uint32_t fail_place;    /* Xen: this move from now fails half-way; 0: none */
};

#define VG_STUB_ABOVE_MEMORY ((4ull << 30) / 4096)

/*
 * The frame to park `pages` at, of a guest whose highest is `highest` now and whose
 * memory may grow up to `memory_top`: one that was ballooned, and saved and
 * restored, has less now than it may have again.  Above all that and, as firmware
 * gives large BARs the room right above memory, out of the way of ours.  Not
 * higher: whoever saves the guest looks at all frames below the highest that ever
 * was.
 */
static inline uint64_t vg_stub_parking(uint64_t highest, uint64_t memory_top,
                                       uint64_t pages)
{
    uint64_t room = VG_STUB_ABOVE_MEMORY > 4 * pages ? VG_STUB_ABOVE_MEMORY
                                                     : 4 * pages;
    uint64_t above = highest < memory_top ? memory_top : highest + 1;

    return (above + pages - 1) / pages * pages + room;
}

/* A sealed memfd: nobody who gets it can shrink it under QEMU's feet. */
extern const struct vg_stub_backing_ops vg_stub_backing_memfd;
#ifdef CONFIG_XEN
extern const struct vg_stub_backing_ops vg_stub_backing_xen;
#endif

#endif
