/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory behind BAR1.  How it comes to be depends on the hypervisor: with
 * KVM and TCG the device makes a memfd that executors map too.  Under Xen,
 * where the pages must be the guest's own, another set of operations goes here.
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
};

struct vg_stub_backing {
    const struct vg_stub_backing_ops *ops;
    void *base;             /* zeroed and page-aligned; NULL: not open */
    uint64_t size;          /* bytes */
    int fd;                 /* for the mediator; -1: none, it cannot be shared */
    int why;                /* errno, then */
};

/* A sealed memfd: nobody who gets it can shrink it under QEMU's feet. */
extern const struct vg_stub_backing_ops vg_stub_backing_memfd;

#endif
