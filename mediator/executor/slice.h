/* SPDX-License-Identifier: MIT */
/*
 * How long the GPU's own scheduler lets this process run before it looks at others: the time
 * slices of its channel groups. NVIDIA's kernel driver lets a process set those of its own groups,
 * without privilege; that is undocumented, so nothing depends on it: the first try decides, and
 * where it fails the gate alone does the work.
 *
 * The groups are learned by watching: this program has an `ioctl` of its own, to which the driver
 * library, loaded later, is bound. It makes the call and looks at what came of it.
 *
 * The driver takes more than a millisecond to set one (H200), many while others start, so a thread
 * does that, and only groups of the engine that runs kernels are set.
 *
 * Watching happens on whatever thread calls; wanting on the serve thread.
 */
#ifndef VG_SLICE_H
#define VG_SLICE_H

#include <stdbool.h>
#include <stdint.h>

#include "mediator/vg_gate.h"

#define VG_SLICE_GROUPS 64u   /* of one process; a context has one */
#define VG_SLICE_FOUND  1024u /* us, of a group of which the driver's library has set nothing */

/* What makes the call; tests put a device of their own here. NULL: the kernel. */
typedef int vg_slice_device(int fd, unsigned long request, void *arg);
void vg_slice_set_device(vg_slice_device *device);

/*
 * The groups that there are shall have slices of so many us, 0: those that they had. Waits for
 * nothing, cheap where nothing has changed. Whether it works, as far as it is known.
 */
enum vg_gate_slice vg_slice_want(uint32_t us);

/* The same, done when it returns. */
enum vg_gate_slice vg_slice_apply(uint32_t us);

/* What has been seen, for the log. */
struct vg_slice_seen {
    unsigned groups;    /* that are there */
    unsigned others;    /* that were left alone: of engines that run no kernels */
    uint64_t calls;     /* of the driver's library, of any kind, to the driver */
    uint64_t settings;  /* ours */
    uint64_t took_ns;   /* all of ours */
    unsigned status;    /* of the kernel driver, for the last of ours that failed; 0: none did */
    int error;          /* errno of it, if it did not come so far */
};
struct vg_slice_seen vg_slice_seen(void);

/* For tests: forgets all. */
void vg_slice_reset(void);

#endif
