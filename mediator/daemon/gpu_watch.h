/* SPDX-License-Identifier: MIT */
/*
 * What NVML says of the host's GPUs as it happens: which there are, by what numbers, and their
 * Xids. The daemon loads no library of the driver's, so a process of vgpu-telemetry's waits for
 * them, from the daemon's start to its end, and is started anew when it fails. Where NVML has no
 * such events it ends, and the kernel log alone tells. Setting gpu_events. Runs on the daemon's loop.
 */
#ifndef VG_GPU_WATCH_H
#define VG_GPU_WATCH_H

#include "mediator/base/loop.h"

#define VG_GPU_WATCH_RETRY_MS 5000u /* after it failed */

struct vg_mediator;

struct vg_gpu_watch {
    int sock;                   /* valid while `armed` */
    bool armed;
    struct vg_io io;
    struct vg_child child;      /* armed while it runs */
    struct vg_timer timer;      /* the next start */
};

/* Cannot fail: what goes wrong is logged and tried again. */
void vg_gpu_watch_start(struct vg_mediator *m);
void vg_gpu_watch_stop(struct vg_mediator *m);     /* idempotent, also before any start */

#endif
