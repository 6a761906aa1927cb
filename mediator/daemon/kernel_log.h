/* SPDX-License-Identifier: MIT */
/*
 * What NVIDIA's kernel driver says about the host's GPUs, read from the kernel log as it
 * is written (setting kernel_log). What follows from it is gpus.h's.
 */
#ifndef VG_KERNEL_LOG_H
#define VG_KERNEL_LOG_H

#include <stddef.h>

#include "mediator/base/loop.h"

#define VG_KERNEL_LOG_LINE 1024u
#define VG_KERNEL_LOG_LINES 64u     /* taken in one go, then others get their turn */

struct vg_mediator;

struct vg_kernel_log {
    int fd;                         /* -1: not read */
    struct vg_io io;
    char line[VG_KERNEL_LOG_LINE];  /* of a pipe: what came of a line so far */
    size_t len;
    char problem[96];               /* why it cannot be read; "": it can, or shall not */
};

/* Cannot fail: without the log the daemon works, and says so. */
void vg_kernel_log_open(struct vg_mediator *m);
void vg_kernel_log_close(struct vg_mediator *m);

#endif
