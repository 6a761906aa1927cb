/* SPDX-License-Identifier: MIT */
/* What only some threads need: a stack of contexts, streams of their own, captured nodes. */
#ifndef VG_SHIM_THREAD_H
#define VG_SHIM_THREAD_H

#include "guest-shim/state.h"

struct vg_own_stream {
    struct vg_ctx *ctx;
    uint64_t epoch;                 /* vg_ctx.epoch when it was made */
    CUstream stream;                /* the thread's default stream in ctx */
    struct vg_own_stream *next;
};

struct vg_thread {
    struct vg_ctx **below;          /* the contexts under the current one, bottom first */
    unsigned depth, room;
    struct vg_own_stream *streams;
    CUgraphNode *capture_nodes;     /* and behind them their edges; capture.c */
    size_t capture_room;            /* nodes */
};

/* The calling thread's, made at the first call; NULL: no memory. Freed when the thread ends. */
struct vg_thread *vg_thread(void);

#endif
