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

    /* For tests, set before open: */
    uint64_t try_parking;   /* Xen: frame that is tried first; 0: none */
    uint32_t fail_place;    /* Xen: this move from now fails half-way; 0: none */
};

/* A sealed memfd: nobody who gets it can shrink it under QEMU's feet. */
extern const struct vg_stub_backing_ops vg_stub_backing_memfd;
#ifdef CONFIG_XEN
extern const struct vg_stub_backing_ops vg_stub_backing_xen;
#endif

#endif
