/* SPDX-License-Identifier: MIT */
/*
 * What NVIDIA's kernel driver says about the host's GPUs, read from the kernel log as it
 * is written (setting kernel_log), and the states that follow (mediator/health/xid.h). A
 * GPU that needs a reset takes nobody new; whoever is on it stays. An administrator says
 * when it is well again, or the host starts anew.
 */
#ifndef VG_KERNEL_LOG_H
#define VG_KERNEL_LOG_H

#include <json-c/json.h>
#include <stdint.h>

#include "mediator/base/loop.h"
#include "mediator/health/xid.h"

#define VG_GPUS_MAX 16u
#define VG_KERNEL_LOG_LINE 1024u
#define VG_KERNEL_LOG_LINES 64u     /* taken in one go, then others get their turn */

struct vg_mediator;

struct vg_gpu {
    char name[VG_XID_GPU_MAX];      /* PCI address */
    enum vg_gpu_state state;
    unsigned xid;                   /* that brought it there */
    uint64_t xids;                  /* seen in all */
    int64_t since;                  /* s since 1970 */
};

struct vg_gpus {
    struct vg_gpu gpu[VG_GPUS_MAX]; /* of which something was said */
    unsigned count;
};

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

/* The worst state of any. */
enum vg_gpu_state vg_gpus_worst(const struct vg_gpus *g);
/* One that takes nobody, or NULL. */
const struct vg_gpu *vg_gpus_sick(const struct vg_gpus *g);

/* The one of that name, a new one if need be. NULL: too many. */
struct vg_gpu *vg_gpus_find(struct vg_gpus *g, const char *name);

/* An administrator says that it is well. 0, or < 0 with the reason. */
int vg_gpu_clear(struct vg_mediator *m, const char *name, char *why, size_t why_cap);

/* A list of those of which something was said. */
json_object *vg_gpus_to(const struct vg_gpus *g);

#endif
