/* SPDX-License-Identifier: MIT */
/*
 * Streams: the order that CUDA promises, said as "comes after" between tasks. The null stream comes
 * after all blocking streams and they after it; non-blocking streams know only their own order.
 */
#include "stream.h"

#include <pthread.h>
#include <stdlib.h>

#include "capture.h"
#include "ctx.h"
#include "device.h"
#include "handle.h"

static uint64_t next_stream_id = 1;

struct vg_stream *vg_stream_new(struct vg_ctx *ctx, unsigned flags, int priority)
{
    struct vg_stream *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->handle = vg_handle_new(VG_HANDLE_STREAM, s);
    if (s->handle == NULL) {
        free(s);
        return NULL;
    }
    s->ctx = ctx;
    s->flags = flags;
    s->priority = priority;
    vg_engine_lock();
    s->id = next_stream_id++;
    s->next = ctx->streams;
    ctx->streams = s;
    if (ctx->legacy == NULL)
        ctx->legacy = s;
    vg_engine_unlock();
    return s;
}

/* ------------------------------------------------------- per-thread streams */

/* One per thread and context; kept in a small list that ends with the thread. */
struct vg_own_stream {
    CUcontext ctx;
    CUstream handle;
    struct vg_own_stream *next;
};

static __thread struct vg_own_stream *own_streams;
static pthread_once_t own_once = PTHREAD_ONCE_INIT;
static pthread_key_t own_key;

static void own_streams_end(void *list)
{
    struct vg_own_stream *o = list, *next;
    struct vg_stream *s;

    for (; o != NULL; o = next) {
        next = o->next;
        s = vg_handle_get(o->handle, VG_HANDLE_STREAM);
        if (s != NULL)
            vg_stream_end(s);
        free(o);
    }
}

static void own_key_make(void)
{
    pthread_key_create(&own_key, own_streams_end);
}

static struct vg_stream *stream_of_thread(struct vg_ctx *ctx)
{
    struct vg_own_stream *o;
    struct vg_stream *s;

    for (o = own_streams; o != NULL; o = o->next)
        if (o->ctx == ctx->handle && (s = vg_handle_get(o->handle, VG_HANDLE_STREAM)) != NULL)
            return s;
    o = calloc(1, sizeof(*o));
    s = o != NULL ? vg_stream_new(ctx, CU_STREAM_DEFAULT, 0) : NULL;
    if (s == NULL) {
        free(o);
        return NULL;
    }
    o->ctx = ctx->handle;
    o->handle = s->handle;
    o->next = own_streams;
    own_streams = o;
    pthread_once(&own_once, own_key_make);
    pthread_setspecific(own_key, o);
    return s;
}

static __thread bool null_is_per_thread;

CUstream vg_stream_set_default(CUstream meaning)
{
    bool before = null_is_per_thread;

    null_is_per_thread = meaning == CU_STREAM_PER_THREAD;
    return before ? CU_STREAM_PER_THREAD : CU_STREAM_LEGACY;
}

CUresult vg_stream_enter(CUstream handle, struct vg_stream **ret)
{
    struct vg_stream *s = NULL;
    struct vg_ctx *ctx;
    CUresult rc;

    if (handle == NULL && null_is_per_thread)
        handle = CU_STREAM_PER_THREAD;
    if (handle == NULL || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) {
        rc = vg_ctx_enter(&ctx);
        if (rc != CUDA_SUCCESS)
            return rc;
        s = handle == CU_STREAM_PER_THREAD ? stream_of_thread(ctx) : ctx->legacy;
        if (s == NULL)
            return CUDA_ERROR_OUT_OF_MEMORY;
    } else {
        rc = vg_init_check();
        if (rc != CUDA_SUCCESS)
            return rc;
        s = vg_handle_get(handle, VG_HANDLE_STREAM);
        if (s == NULL)
            return vg_ctx_current(&ctx) != CUDA_SUCCESS ? vg_ctx_current(&ctx)
                                                        : CUDA_ERROR_INVALID_HANDLE;
    }
    *ret = s;
    return vg_ctx_error(s->ctx);
}

/* --------------------------------------------------------------------- order */

static bool stream_is_blocking(const struct vg_stream *s)
{
    return !(s->flags & CU_STREAM_NON_BLOCKING);
}

/* Forgets streams that were destroyed and have finished. */
static void reap_dead_locked(struct vg_ctx *ctx)
{
    struct vg_stream **at = &ctx->streams, *s;

    while ((s = *at) != NULL) {
        if (!s->dead || !vg_task_is_done(s->tail)) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        vg_task_put_locked(s->tail);
        vg_node_set_clear(&s->frontier);
        free(s);
    }
}

static void after_blocking_streams_locked(struct vg_ctx *ctx, struct vg_task *t)
{
    struct vg_stream *s;

    for (s = ctx->streams; s != NULL; s = s->next)
        if (stream_is_blocking(s))
            vg_task_after_locked(t, s->tail);
}

void vg_stream_append_locked(struct vg_stream *s, struct vg_task *t)
{
    struct vg_ctx *ctx = s->ctx;

    t->priority = s->priority;
    if (s == ctx->legacy) {
        after_blocking_streams_locked(ctx, t);
    } else {
        vg_task_after_locked(t, s->tail);
        if (stream_is_blocking(s))
            vg_task_after_locked(t, ctx->legacy->tail);
    }
    if (t->op.type == VG_OP_EVENT_WAIT)
        vg_task_after_locked(t, t->op.u.event->task);
    if (t->op.type == VG_OP_EVENT_RECORD)
        vg_event_set_task_locked(t->op.u.event, t);
    vg_task_put_locked(s->tail);
    s->tail = vg_task_get_locked(t);
}

bool vg_stream_is_idle(struct vg_stream *s)
{
    const struct vg_stream *o;
    bool idle;

    vg_engine_lock();
    idle = vg_task_is_done(s->tail);
    if (s == s->ctx->legacy)
        for (o = s->ctx->streams; o != NULL && idle; o = o->next)
            idle = !stream_is_blocking(o) || vg_task_is_done(o->tail);
    else if (stream_is_blocking(s))
        idle = idle && vg_task_is_done(s->ctx->legacy->tail);
    vg_engine_unlock();
    return idle;
}

static CUresult issue_locked(struct vg_stream *s, struct vg_op *op, bool wait)
{
    bool here = wait || vg_op_is_small(op);
    struct vg_task *t;
    CUresult rc;

    if (vg_capture_intercept_locked(s, op, wait, &rc))
        return rc;
    t = vg_task_new(s->ctx, s, op);
    if (t == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    vg_stream_append_locked(s, t);
    if (vg_task_submit_locked(t, here))
        vg_task_run_locked(t);
    rc = wait ? vg_task_wait_locked(t) : CUDA_SUCCESS;
    vg_task_put_locked(t);
    return rc;
}

CUresult vg_stream_issue(struct vg_stream *s, struct vg_op *op, bool wait)
{
    CUresult rc;

    vg_engine_lock();
    rc = issue_locked(s, op, wait);
    vg_op_fini_locked(op);              /* EMPTY unless it was refused */
    vg_engine_unlock();
    return rc;
}

CUresult vg_stream_join_ctx_locked(struct vg_ctx *ctx, struct vg_task **ret)
{
    struct vg_op op = { .type = VG_OP_EMPTY };
    struct vg_task *t = NULL;
    struct vg_stream *s;

    reap_dead_locked(ctx);
    for (s = ctx->streams; s != NULL; s = s->next) {
        if (vg_task_is_done(s->tail))
            continue;
        if (t == NULL && (t = vg_task_new(ctx, NULL, &op)) == NULL)
            return CUDA_ERROR_OUT_OF_MEMORY;
        vg_task_after_locked(t, s->tail);
    }
    if (t != NULL)
        vg_task_submit_locked(t, false);
    *ret = t;
    return CUDA_SUCCESS;
}

static struct vg_task *task_after_all_locked(struct vg_ctx *ctx, struct vg_op *op)
{
    struct vg_task *t = vg_task_new(ctx, NULL, op);

    for (struct vg_stream *s = ctx->streams; t != NULL && s != NULL; s = s->next)
        vg_task_after_locked(t, s->tail);
    return t;
}

CUresult vg_stream_record_all_locked(struct vg_ctx *ctx, struct vg_op *op)
{
    struct vg_event *e = op->u.event;
    struct vg_task *t = task_after_all_locked(ctx, op);

    if (t == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    vg_event_set_task_locked(e, t);
    vg_task_submit_locked(t, false);
    vg_task_put_locked(t);
    return CUDA_SUCCESS;
}

CUresult vg_stream_issue_after_all(struct vg_ctx *ctx, struct vg_op *op)
{
    vg_engine_lock();
    struct vg_task *t = task_after_all_locked(ctx, op);
    if (t != NULL) {
        vg_task_submit_locked(t, false);
        vg_task_put_locked(t);
    }
    vg_op_fini_locked(op);              /* EMPTY if the task has it */
    vg_engine_unlock();
    return t != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vg_stream_wait_all_locked(struct vg_ctx *ctx, struct vg_event *e)
{
    struct vg_stream *s;
    struct vg_task *t;

    for (s = ctx->streams; s != NULL; s = s->next) {
        struct vg_op op = { .type = VG_OP_EVENT_WAIT };

        op.u.event = vg_event_get_locked(e);
        t = vg_task_new(ctx, s, &op);
        if (t == NULL) {
            vg_event_put_locked(e);
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
        vg_stream_append_locked(s, t);
        vg_task_submit_locked(t, false);
        vg_task_put_locked(t);
    }
    return CUDA_SUCCESS;
}

void vg_stream_end(struct vg_stream *s)
{
    vg_engine_lock();
    vg_capture_leave_locked(s);
    vg_handle_end(s->handle);
    s->dead = true;
    reap_dead_locked(s->ctx);
    vg_engine_unlock();
}

void vg_stream_end_ctx(struct vg_ctx *ctx)
{
    struct vg_stream *s;

    vg_engine_lock();
    vg_capture_end_ctx_locked(ctx);
    for (s = ctx->streams; s != NULL; s = s->next) {
        vg_handle_end(s->dead ? NULL : s->handle);
        s->dead = true;
    }
    reap_dead_locked(ctx);
    ctx->legacy = NULL;
    vg_engine_unlock();
}
