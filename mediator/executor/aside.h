/* SPDX-License-Identifier: MIT */
/*
 * Calls in which the driver computes for long on this thread (the JIT, for one) are
 * made by a thread beside the serve thread, so that other threads of the guest go on.
 * The guest thread that made the call waits for its answer anyway.
 *
 * `work` makes driver calls and writes only what lies in its own vg_aside; `finish`
 * runs on the serve thread, takes note of what was made, and frees it.
 */
#ifndef VG_ASIDE_H
#define VG_ASIDE_H

#include "mediator/executor/executor.h"

struct vg_aside {
    struct vg_aside *next;
    CUcontext ctx;                  /* current for work() */
    void (*work)(struct vg_exec *x, struct vg_aside *a);
    CUresult (*finish)(struct vg_exec *x, struct vg_req *r, struct vg_aside *a);
    uint32_t done;                  /* set last, with release */
};

/* Carries it out beside; the request is answered later. Or at once, where no thread can be had. */
CUresult vg_aside_run(struct vg_exec *x, struct vg_req *r, struct vg_aside *a);

/* ---- for wait.c ---- */

/* Hands it to the thread. False: there is none. */
bool vg_aside_queue(struct vg_exec *x, struct vg_aside *a);

static inline bool vg_aside_is_done(const struct vg_aside *a)
{
    return __atomic_load_n(&a->done, __ATOMIC_ACQUIRE) != 0;
}

#endif
