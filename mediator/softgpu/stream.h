/* SPDX-License-Identifier: MIT */
/*
 * Streams and events: who comes after whom. All fields are under the engine's lock.
 */
#ifndef VG_SOFTGPU_STREAM_H
#define VG_SOFTGPU_STREAM_H

#include "task.h"

struct vg_capture;
struct vg_ctx;
struct vg_event_counts;
struct vg_node;

/* Nodes that the next captured operation of a stream comes after. */
struct vg_node_set {
    struct vg_node **list;
    size_t n, cap;
};

struct vg_stream {
    CUstream handle;
    struct vg_ctx *ctx;
    struct vg_stream *next;             /* of the context */
    unsigned flags;
    int priority;
    uint64_t id;
    bool dead;                          /* destroyed; here until its work is done */
    struct vg_task *tail;               /* last submitted, referenced */
    struct vg_capture *capture;
    struct vg_node_set frontier;
};

struct vg_event {
    CUevent handle;
    struct vg_ctx *ctx;
    struct vg_event *next;              /* of the context */
    unsigned flags;
    struct vg_event_counts *counts;     /* of an interprocess event, see ipc.h; else NULL */
    int counts_fd;
    int refs;
    struct vg_task *task;               /* its last record, referenced; NULL before the first */
    uint64_t capture_id;                /* last recorded in this capture, 0 for none */
    struct vg_node_set nodes;           /* what it stands for there */
};

/* A stream for the context; the null stream is the one made first. NULL: no memory. */
struct vg_stream *vg_stream_new(struct vg_ctx *ctx, unsigned flags, int priority);

/* What an application's CUstream means: NULL, the two magic values, or a handle. Also checks the
 * context's fault. */
CUresult vg_stream_enter(CUstream handle, struct vg_stream **ret);

/* What NULL means to this thread while a _ptds or _ptsz entry point runs (ptds.c): CU_STREAM_LEGACY
 * or CU_STREAM_PER_THREAD. Returns what it meant before. */
CUstream vg_stream_set_default(CUstream meaning);

/* Hands an op to a stream: runs it, queues it or records it. Takes *op over in every case.
 * wait: returns when it is done, with its result. */
CUresult vg_stream_issue(struct vg_stream *s, struct vg_op *op, bool wait);

/* Nothing that the next op of s would wait for is unfinished: it would run at once. */
bool vg_stream_is_idle(struct vg_stream *s);

/* Puts t behind everything it must come after in the stream, and makes it the stream's last. */
void vg_stream_append_locked(struct vg_stream *s, struct vg_task *t);

/* A submitted task that is done when all work of the context so far is. *ret is NULL when there is
 * none left to wait for, else the caller's reference. */
CUresult vg_stream_join_ctx_locked(struct vg_ctx *ctx, struct vg_task **ret);

/* Carries op, an event's record, out when all work of the context so far is done. Takes *op over. */
CUresult vg_stream_record_all_locked(struct vg_ctx *ctx, struct vg_op *op);

/* The same with any other op, of no stream: nobody can wait for it. The engine is not locked. */
CUresult vg_stream_issue_after_all(struct vg_ctx *ctx, struct vg_op *op);
/* Everything given to any stream of the context from now on comes after the event. */
CUresult vg_stream_wait_all_locked(struct vg_ctx *ctx, struct vg_event *e);

/* The handle is gone at once, what was submitted still runs. */
void vg_stream_end(struct vg_stream *s);

/* Ends all streams of a context that has stopped. */
void vg_stream_end_ctx(struct vg_ctx *ctx);

struct vg_event *vg_event_get_locked(struct vg_event *e);
void vg_event_put_locked(struct vg_event *e);
CUresult vg_event_from_handle(CUevent handle, struct vg_event **ret);
/* counts, which may be NULL, and their file become the event's, on success. */
CUresult vg_event_new(struct vg_ctx *ctx, unsigned flags, struct vg_event_counts *counts, int fd,
                      CUevent *ret);
void vg_event_set_task_locked(struct vg_event *e, struct vg_task *t);
/* Ends the events of a context that has stopped. */
void vg_event_end_ctx(struct vg_ctx *ctx);

int vg_node_set_add(struct vg_node_set *set, struct vg_node *node);    /* once each; 0 or -ENOMEM */
int vg_node_set_add_all(struct vg_node_set *set, const struct vg_node_set *from);
void vg_node_set_clear(struct vg_node_set *set);                       /* frees too */

#endif
