/* SPDX-License-Identifier: MIT */
/*
 * Host functions on streams: the driver calls us on a thread of its own, we post
 * the guest's cookie to the slot and hold that thread until the guest says it has
 * run the function. Any thread.
 */
#ifndef VG_CALLBACK_H
#define VG_CALLBACK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vg_cuda.h"
#include "vg_region.h"

struct vg_callback_run;

struct vg_callbacks {
    pthread_mutex_t lock;
    struct vg_slot *slot;
    uint64_t head;                      /* callbacks posted */
    struct vg_callback_run *running;    /* posted, not done */
    struct vg_callback *gone;           /* ended, and the guest not told yet */
    struct vg_callback *spare;          /* ended; kept, because a late run may still look at one */
    bool transfers;                     /* one was a graph's copy, ever. Serve thread */
};

/* What a stream or a graph's node carries; freed after its run unless a graph may run it again. */
struct vg_callback {
    struct vg_callbacks *owner;
    struct vg_callback *next;           /* in `gone`, or of all of executable graphs */
    CUgraphExec exec;
    uint64_t cookie;
    bool once;
    bool transfer;          /* a copy node: the guest copies from or to its ordinary memory */
};

void vg_callbacks_init(struct vg_callbacks *c, struct vg_slot *slot);

struct vg_callback *vg_callback_new(struct vg_callbacks *c, uint64_t cookie, bool once);

/* Takes back one that the driver has refused. NULL is none. */
void vg_callback_drop(struct vg_callback *cb);

/* Frees what is kept, at the end of the process. */
void vg_callbacks_fini(struct vg_callbacks *c);

/* For cuLaunchHostFunc and cuStreamAddCallback; arg is a struct vg_callback. */
void vg_callback_host_func(void *arg);
void vg_callback_stream(CUstream stream, CUresult status, void *arg);

/*
 * Nothing should run it any more: tells the guest, as soon as there is room, and ends it.
 * arg is a struct vg_callback. Any thread: the driver calls it for user objects.
 */
void vg_callback_gone(void *arg);

/* Tells of those for which there was no room. Serve thread, now and then. */
void vg_callbacks_flush(struct vg_callbacks *c);

/* This one is a graph's copy of ordinary memory, which the guest carries out. Serve thread. */
void vg_callback_transfers(struct vg_callback *cb);

/* Whether the guest runs one of those now. */
bool vg_callback_is_transferring(struct vg_callbacks *c);

#endif
