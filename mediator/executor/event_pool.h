/* SPDX-License-Identifier: MIT */
/* Events of our own, used again and again: making one costs the driver more. Serve thread. */
#ifndef VG_EVENT_POOL_H
#define VG_EVENT_POOL_H

#include <stddef.h>

#include "vg_cuda.h"

struct vg_exec;

/* Zeroed is empty. */
struct vg_event_pool {
    struct {
        CUcontext ctx;
        CUevent event;
    } * at;
    size_t count, cap;
};

/* One of the current context, without timing; the driver's error if it must make one and fails. */
CUresult vg_event_get(struct vg_exec *x, CUevent *ret_event);

/* Gives it back. An event of a context that is gone has died with it. */
void vg_event_put(struct vg_exec *x, CUcontext ctx, CUevent event);

/* The list only: events end with their contexts. */
void vg_event_pool_fini(struct vg_event_pool *p);

#endif
