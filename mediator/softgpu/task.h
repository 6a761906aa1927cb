/* SPDX-License-Identifier: MIT */
/*
 * The engine: tasks that wait for other tasks, and the threads that carry them out.
 *
 * A task is one op with the set of tasks it must come after. Streams, events and graphs are only
 * ways to say that set. One lock, the engine's, guards all tasks, streams, events and captures; it
 * is never held while an op runs (VG_LANE_INSTANT apart) or while program code is called.
 */
#ifndef VG_SOFTGPU_TASK_H
#define VG_SOFTGPU_TASK_H

#include "op.h"

struct vg_waiter;
struct vg_stream;

enum vg_task_state {
    VG_TASK_NEW,                /* being described */
    VG_TASK_BLOCKED,            /* submitted, predecessors unfinished */
    VG_TASK_READY,              /* in a lane's queue */
    VG_TASK_RUNNING,
    VG_TASK_DONE,
    VG_TASK_STATE_COUNT
};

struct vg_task {
    struct vg_op op;
    struct vg_ctx *ctx;
    const struct vg_stream *stream;     /* identity only: the stream may be gone */
    enum vg_task_state state;
    int refs;
    int priority;                       /* lower runs first, as CUDA counts */
    unsigned preds;                     /* unfinished predecessors */
    struct vg_task **succ;
    unsigned nsucc, cap;
    struct vg_task *succ_own[2];
    struct vg_waiter *waiters;
    struct vg_task *next;               /* in a queue */
    CUresult result;
    uint64_t done_ns;                   /* CLOCK_MONOTONIC */
};

void vg_engine_lock(void);
void vg_engine_unlock(void);            /* then calls destructors that are due (userobj.h) */
void vg_engine_lock_quietly(void);      /* the same without: for those destructors' own list */
void vg_engine_unlock_quietly(void);

/* Takes *op over (it becomes EMPTY). NULL when memory is out; *op is then untouched. One reference
 * belongs to the caller. */
struct vg_task *vg_task_new(struct vg_ctx *ctx, const struct vg_stream *stream, struct vg_op *op);
void vg_task_put_locked(struct vg_task *t);             /* NULL is fine */
struct vg_task *vg_task_get_locked(struct vg_task *t);

/* t must not start before pred is done. pred may be NULL or done. Where there is no memory to note
 * this, it waits for pred instead. */
void vg_task_after_locked(struct vg_task *t, struct vg_task *pred);

/*
 * All predecessors are named: t starts when they are done. here: the caller will carry a task that
 * is ready at once out itself; true is returned when it now must, by vg_task_run_locked().
 */
bool vg_task_submit_locked(struct vg_task *t, bool here);
void vg_task_run_locked(struct vg_task *t);             /* drops the lock meanwhile */

/* Returns when t is done, with its result; carries out tasks of the same stream meanwhile. */
CUresult vg_task_wait_locked(struct vg_task *t);

bool vg_task_is_done(const struct vg_task *t);          /* NULL counts as done; no lock needed */

/* Makes ctx end: kernels are cancelled, nothing new starts. Returns when no task of it is left. */
void vg_engine_stop_ctx(struct vg_ctx *ctx);

#endif
