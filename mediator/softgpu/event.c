/* SPDX-License-Identifier: MIT */
/*
 * Events. An event is a reference to the task that its last record became; its time is when that
 * task was done.
 */
#include <stdlib.h>
#include <time.h>

#include "capture.h"
#include "ctx.h"
#include "device.h"
#include "handle.h"
#include "ipc.h"
#include "stream.h"

#define VG_FOREIGN_NAP_NS 50000         /* between looks at another process's work */
#define VG_EVENT_FLAGS (CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS)

struct vg_event *vg_event_get_locked(struct vg_event *e)
{
    e->refs++;
    return e;
}

void vg_event_put_locked(struct vg_event *e)
{
    if (--e->refs != 0)
        return;
    vg_task_put_locked(e->task);
    vg_node_set_clear(&e->nodes);
    vg_ipc_counts_free(e->counts, e->counts_fd);
    free(e);
}

void vg_event_set_task_locked(struct vg_event *e, struct vg_task *t)
{
    struct vg_task *old = e->task;

    e->task = vg_task_get_locked(t);
    e->capture_id = 0;
    vg_node_set_clear(&e->nodes);
    vg_task_put_locked(old);
}

CUresult vg_event_from_handle(CUevent handle, struct vg_event **ret)
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    *ret = vg_handle_get(handle, VG_HANDLE_EVENT);
    return *ret != NULL ? vg_ctx_error((*ret)->ctx) : CUDA_ERROR_INVALID_HANDLE;
}

static void event_unlink_locked(struct vg_event *e)
{
    struct vg_event **at = &e->ctx->events;

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    vg_handle_end(e->handle);
    vg_event_put_locked(e);
}

void vg_event_end_ctx(struct vg_ctx *ctx)
{
    vg_engine_lock();
    while (ctx->events != NULL)
        event_unlink_locked(ctx->events);
    vg_engine_unlock();
}

CUresult vg_event_new(struct vg_ctx *ctx, unsigned flags, struct vg_event_counts *counts, int fd,
                      CUevent *event)
{
    struct vg_event *e = calloc(1, sizeof(*e));

    if (e == NULL || (e->handle = vg_handle_new(VG_HANDLE_EVENT, e)) == NULL) {
        free(e);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    e->ctx = ctx;
    e->flags = flags;
    e->counts = counts;
    e->counts_fd = fd;
    e->refs = 1;
    vg_engine_lock();
    e->next = ctx->events;
    ctx->events = e;
    vg_engine_unlock();
    *event = e->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuEventCreate, (CUevent *event, unsigned flags))
{
    struct vg_event_counts *counts = NULL;
    struct vg_ctx *ctx;
    int fd = -1;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (event == NULL || (flags & ~(unsigned)VG_EVENT_FLAGS) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if ((flags & CU_EVENT_INTERPROCESS) && !(flags & CU_EVENT_DISABLE_TIMING))
        return CUDA_ERROR_INVALID_VALUE;
    if ((flags & CU_EVENT_INTERPROCESS) && vg_ipc_counts_new(&counts, &fd) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    rc = vg_event_new(ctx, flags, counts, fd, event);
    if (rc != CUDA_SUCCESS)
        vg_ipc_counts_free(counts, fd);
    return rc;
}

VG_ENTRY(cuEventDestroy_v2, (CUevent event))
{
    struct vg_event *e = NULL;
    CUresult rc = vg_event_from_handle(event, &e);

    if (e == NULL)
        return rc;
    vg_engine_lock();
    event_unlink_locked(e);
    vg_engine_unlock();
    return rc;
}

/* An interprocess event is recorded twice: for us, and for everybody. */
static CUresult record_in(struct vg_stream *s, struct vg_op *op)
{
    struct vg_event *e = op->u.event;
    struct vg_op counts = { .type = VG_OP_EMPTY };
    bool shared = e->counts != NULL && s->capture == NULL;
    CUresult rc;

    vg_engine_lock();
    vg_event_get_locked(e);
    vg_engine_unlock();
    rc = vg_stream_issue(s, op, false);
    if (rc == CUDA_SUCCESS && shared)
        rc = vg_ipc_record_op(e, &counts);
    return rc == CUDA_SUCCESS && shared ? vg_stream_issue(s, &counts, false) : rc;
}

static CUresult event_record(CUevent event, CUstream stream, unsigned flags)
{
    struct vg_op op = { .type = VG_OP_EVENT_RECORD, .external = flags != 0 };
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags & ~(unsigned)CU_EVENT_RECORD_EXTERNAL)
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_event_from_handle(event, &op.u.event);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (op.u.event->ctx != s->ctx)
        return CUDA_ERROR_INVALID_HANDLE;
    return record_in(s, &op);
}

VG_ENTRY(cuEventRecord, (CUevent event, CUstream stream))
{
    return event_record(event, stream, 0);
}

VG_ENTRY(cuEventRecordWithFlags, (CUevent event, CUstream stream, unsigned flags))
{
    return event_record(event, stream, flags);
}

VG_ENTRY(cuStreamWaitEvent, (CUstream stream, CUevent event, unsigned flags))
{
    struct vg_op op = { .type = VG_OP_EVENT_WAIT, .external = flags != 0 };
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags & ~(unsigned)CU_EVENT_WAIT_EXTERNAL)
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_event_from_handle(event, &op.u.event);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (op.u.event->counts != NULL && s->capture == NULL) {
        rc = vg_ipc_wait_op(op.u.event, &op);
        return rc == CUDA_SUCCESS ? vg_stream_issue(s, &op, false) : rc;
    }
    vg_engine_lock();
    vg_event_get_locked(op.u.event);
    vg_engine_unlock();
    return vg_stream_issue(s, &op, false);
}

VG_ENTRY(cuEventQuery, (CUevent event))
{
    struct vg_event *e;
    CUresult rc = vg_event_from_handle(event, &e);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (e->counts != NULL && !vg_ipc_is_done(e->counts))
        return CUDA_ERROR_NOT_READY;
    vg_engine_lock();
    rc = vg_capture_check_event_locked(e);
    if (rc == CUDA_SUCCESS && !vg_task_is_done(e->task))
        rc = CUDA_ERROR_NOT_READY;
    else if (rc == CUDA_SUCCESS && e->task != NULL)
        rc = e->task->result;
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuEventSynchronize, (CUevent event))
{
    struct vg_event *e;
    CUresult rc = vg_event_from_handle(event, &e);

    if (rc != CUDA_SUCCESS)
        return rc;
    while (e->counts != NULL && !vg_ipc_is_done(e->counts))
        nanosleep(&(struct timespec){ .tv_nsec = VG_FOREIGN_NAP_NS }, NULL);
    vg_engine_lock();
    rc = vg_capture_check_event_locked(e);
    if (rc == CUDA_SUCCESS && e->task != NULL)
        rc = vg_task_wait_locked(e->task);
    vg_engine_unlock();
    return rc;
}

static CUresult elapsed_locked(const struct vg_event *a, const struct vg_event *b, float *ms)
{
    CUresult rc = vg_capture_check_event_locked(a);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_event_locked(b);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (a->task == NULL || b->task == NULL)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!vg_task_is_done(a->task) || !vg_task_is_done(b->task))
        return CUDA_ERROR_NOT_READY;
    *ms = (float)((double)(int64_t)(b->task->done_ns - a->task->done_ns) / 1e6);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuEventElapsedTime_v2, (float *ms, CUevent start, CUevent end))
{
    struct vg_event *a, *b;
    CUresult rc = vg_event_from_handle(start, &a);

    if (rc == CUDA_SUCCESS)
        rc = vg_event_from_handle(end, &b);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (ms == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if ((a->flags | b->flags) & CU_EVENT_DISABLE_TIMING)
        return CUDA_ERROR_INVALID_HANDLE;
    vg_engine_lock();
    rc = elapsed_locked(a, b, ms);
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuEventElapsedTime, (float *ms, CUevent start, CUevent end))
{
    return cuEventElapsedTime_v2(ms, start, end);
}

VG_ENTRY(cuEventDestroy, (CUevent event))
{
    return cuEventDestroy_v2(event);
}

/* ------------------------------------------------------------ whole contexts */

VG_ENTRY(cuCtxRecordEvent, (CUcontext handle, CUevent event))
{
    struct vg_op op = { .type = VG_OP_EVENT_RECORD };
    struct vg_event *e;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_from_handle(handle, &ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_ctx_sync(ctx);
    if (rc == CUDA_SUCCESS)
        rc = vg_event_from_handle(event, &e);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (e->ctx != ctx)
        return CUDA_ERROR_INVALID_HANDLE;
    vg_engine_lock();
    op.u.event = vg_event_get_locked(e);
    rc = vg_stream_record_all_locked(ctx, &op);
    vg_op_fini_locked(&op);
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuCtxWaitEvent, (CUcontext handle, CUevent event))
{
    struct vg_event *e;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_from_handle(handle, &ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_ctx_sync(ctx);
    if (rc == CUDA_SUCCESS)
        rc = vg_event_from_handle(event, &e);
    if (rc != CUDA_SUCCESS)
        return rc;
    vg_engine_lock();
    rc = vg_stream_wait_all_locked(ctx, e);
    vg_engine_unlock();
    return rc;
}
