/* SPDX-License-Identifier: MIT */
/* Events of our own, used again and again: making one costs the driver more. Serve thread. */
#ifndef VG_EVENT_POOL_H
#define VG_EVENT_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "vg_cuda.h"

struct vg_exec;

/* Zeroed is empty. */
struct vg_event_pool {
    struct {
        CUcontext ctx;
        CUevent event;
        bool timed;
    } * at;
    size_t count, cap;
};

/*
 * One of the current context, with timing (which costs the driver a microsecond at each record)
 * or without; the driver's error if it must make one and fails.
 */
CUresult vg_event_get(struct vg_exec *x, bool timed, CUevent *ret_event);

/* Gives it back. An event of a context that is gone has died with it. */
void vg_event_put(struct vg_exec *x, CUcontext ctx, bool timed, CUevent event);

/* The list only: events end with their contexts. */
void vg_event_pool_fini(struct vg_event_pool *p);

#endif
