/* SPDX-License-Identifier: MIT */
/*
 * The calls about streams, and memory operations in them.
 */
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "ctx.h"
#include "device.h"
#include "handle.h"
#include "mem.h"
#include "memops.h"
#include "stream.h"

#define VG_MEMOPS_MAX 65536u

VG_ENTRY(cuStreamCreateWithPriority, (CUstream *stream, unsigned flags, int priority))
{
    struct vg_stream *s;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (stream == NULL || flags > CU_STREAM_NON_BLOCKING)
        return CUDA_ERROR_INVALID_VALUE;
    if (priority > 0)
        priority = 0;
    if (priority < VG_PRIORITY_GREATEST)
        priority = VG_PRIORITY_GREATEST;
    s = vg_stream_new(ctx, flags, priority);
    if (s == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *stream = s->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuStreamCreate, (CUstream *stream, unsigned flags))
{
    return cuStreamCreateWithPriority(stream, flags, 0);
}

VG_ENTRY(cuStreamDestroy_v2, (CUstream stream))
{
    struct vg_stream *s;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    s = vg_handle_get(stream, VG_HANDLE_STREAM);
    if (s == NULL || s == s->ctx->legacy)
        return CUDA_ERROR_INVALID_HANDLE;
    rc = vg_ctx_error(s->ctx);
    vg_stream_end(s);
    return rc;
}

VG_ENTRY(cuStreamDestroy, (CUstream stream))
{
    return cuStreamDestroy_v2(stream);
}

VG_ENTRY(cuStreamQuery, (CUstream stream))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_engine_lock();
    rc = vg_capture_check_sync_locked(s);
    vg_engine_unlock();
    if (rc != CUDA_SUCCESS)
        return rc;
    return vg_stream_is_idle(s) ? vg_ctx_error(s->ctx) : CUDA_ERROR_NOT_READY;
}

/* The null stream stands for all blocking streams too. */
static CUresult sync_locked(struct vg_stream *s)
{
    struct vg_op op = { .type = VG_OP_EMPTY };
    struct vg_task *t;

    if (s == s->ctx->legacy) {
        t = vg_task_new(s->ctx, s, &op);
        if (t == NULL)
            return CUDA_ERROR_OUT_OF_MEMORY;
        vg_stream_append_locked(s, t);
        vg_task_submit_locked(t, false);
        vg_task_put_locked(t);
    }
    if (s->tail != NULL)
        vg_task_wait_locked(s->tail);
    return vg_ctx_error(s->ctx);
}

VG_ENTRY(cuStreamSynchronize, (CUstream stream))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_engine_lock();
    rc = vg_capture_check_sync_locked(s);
    if (rc == CUDA_SUCCESS)
        rc = sync_locked(s);
    vg_engine_unlock();
    return rc;
}

/* ------------------------------------------------------------------- properties */

VG_ENTRY(cuStreamGetPriority, (CUstream stream, int *priority))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (priority == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *priority = s->priority;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuStreamGetFlags, (CUstream stream, unsigned *flags))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *flags = s->flags;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuStreamGetId, (CUstream stream, unsigned long long *id))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (id == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *id = s->id;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuStreamGetCtx, (CUstream stream, CUcontext *ctx))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (ctx == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *ctx = s->ctx->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuStreamGetCtx_v2, (CUstream stream, CUcontext *ctx, CUgreenCtx *green))
{
    CUresult rc = cuStreamGetCtx(stream, ctx);

    if (rc == CUDA_SUCCESS && green != NULL)
        *green = NULL;
    return rc;
}

VG_ENTRY(cuStreamGetDevice, (CUstream stream, CUdevice *dev))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (dev == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *dev = s->ctx->dev->ordinal;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuStreamAttachMemAsync, (CUstream stream, CUdeviceptr dptr, size_t size, unsigned flags))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST &&
        flags != CU_MEM_ATTACH_SINGLE)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_mem_check_device(dptr, size);
}

/* Attributes are hints, apart from the priority, which is set at creation. */
VG_ENTRY(cuStreamGetAttribute, (CUstream stream, CUstreamAttrID attr, CUstreamAttrValue *value))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (value == NULL || (unsigned)attr >= CU_LAUNCH_ATTRIBUTE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    memset(value, 0, sizeof(*value));
    if (attr == CU_LAUNCH_ATTRIBUTE_PRIORITY)
        value->priority = s->priority;
    else if (attr == CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY)
        value->syncPolicy = CU_SYNC_POLICY_AUTO;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuStreamSetAttribute,
         (CUstream stream, CUstreamAttrID attr, const CUstreamAttrValue *value))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    return value != NULL && (unsigned)attr < CU_LAUNCH_ATTRIBUTE_MAX ? CUDA_SUCCESS
                                                                    : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuStreamCopyAttributes, (CUstream dst, CUstream src))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(dst, &s);

    return rc != CUDA_SUCCESS ? rc : vg_stream_enter(src, &s);
}

/* ------------------------------------------------------------- memory operations */

static CUresult memop_check(const CUstreamBatchMemOpParams *p)
{
    bool wide = p->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64 ||
                p->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64;

    switch (p->operation) {
    case CU_STREAM_MEM_OP_WAIT_VALUE_32:
    case CU_STREAM_MEM_OP_WAIT_VALUE_64:
        if (p->waitValue.flags & ~(3u | CU_STREAM_WAIT_VALUE_FLUSH))
            return CUDA_ERROR_INVALID_VALUE;
        break;
    case CU_STREAM_MEM_OP_WRITE_VALUE_32:
    case CU_STREAM_MEM_OP_WRITE_VALUE_64:
        if (p->writeValue.flags & ~(unsigned)CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER)
            return CUDA_ERROR_INVALID_VALUE;
        break;
    case CU_STREAM_MEM_OP_BARRIER:
    case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (p->waitValue.address % (wide ? 8 : 4) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_mem_check_device(p->waitValue.address, wide ? 8 : 4);
}

CUresult vg_memops_make(struct vg_op *op, const CUstreamBatchMemOpParams *list, unsigned n)
{
    CUresult rc = CUDA_SUCCESS;
    unsigned i;

    if (n == 0 || n > VG_MEMOPS_MAX || list == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < n && rc == CUDA_SUCCESS; i++)
        rc = memop_check(&list[i]);
    if (rc != CUDA_SUCCESS)
        return rc;
    op->u.memops.list = malloc(n * sizeof(*list));
    if (op->u.memops.list == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(op->u.memops.list, list, n * sizeof(*list));
    op->u.memops.count = n;
    op->u.memops.done = 0;
    op->u.memops.hold = NULL;
    op->type = VG_OP_MEMOPS;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuStreamBatchMemOp_v2,
         (CUstream stream, unsigned n, CUstreamBatchMemOpParams *list, unsigned flags))
{
    struct vg_op op = { .type = VG_OP_EMPTY };
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    rc = flags == 0 ? vg_memops_make(&op, list, n) : CUDA_ERROR_INVALID_VALUE;
    return rc != CUDA_SUCCESS ? rc : vg_stream_issue(s, &op, false);
}

static CUresult memop_one(CUstream stream, CUstreamBatchMemOpType type, CUdeviceptr addr,
                          uint64_t value, unsigned flags)
{
    CUstreamBatchMemOpParams p;

    memset(&p, 0, sizeof(p));
    p.waitValue.operation = type;       /* both structs have the same members */
    p.waitValue.address = addr;
    p.waitValue.value64 = value;
    p.waitValue.flags = flags;
    return cuStreamBatchMemOp_v2(stream, 1, &p, 0);
}

VG_ENTRY(cuStreamWaitValue32_v2,
         (CUstream stream, CUdeviceptr addr, uint32_t value, unsigned flags))
{
    return memop_one(stream, CU_STREAM_MEM_OP_WAIT_VALUE_32, addr, value, flags);
}

VG_ENTRY(cuStreamWaitValue64_v2,
         (CUstream stream, CUdeviceptr addr, uint64_t value, unsigned flags))
{
    return memop_one(stream, CU_STREAM_MEM_OP_WAIT_VALUE_64, addr, value, flags);
}

VG_ENTRY(cuStreamWriteValue32_v2,
         (CUstream stream, CUdeviceptr addr, uint32_t value, unsigned flags))
{
    return memop_one(stream, CU_STREAM_MEM_OP_WRITE_VALUE_32, addr, value, flags);
}

VG_ENTRY(cuStreamWriteValue64_v2,
         (CUstream stream, CUdeviceptr addr, uint64_t value, unsigned flags))
{
    return memop_one(stream, CU_STREAM_MEM_OP_WRITE_VALUE_64, addr, value, flags);
}

/* The first forms: today they mean the same. */
VG_ENTRY(cuStreamBatchMemOp,
         (CUstream stream, unsigned n, CUstreamBatchMemOpParams *list, unsigned flags))
{
    return cuStreamBatchMemOp_v2(stream, n, list, flags);
}

VG_ENTRY(cuStreamWaitValue32, (CUstream stream, CUdeviceptr addr, uint32_t value, unsigned flags))
{
    return cuStreamWaitValue32_v2(stream, addr, value, flags);
}

VG_ENTRY(cuStreamWaitValue64, (CUstream stream, CUdeviceptr addr, uint64_t value, unsigned flags))
{
    return cuStreamWaitValue64_v2(stream, addr, value, flags);
}

VG_ENTRY(cuStreamWriteValue32,
         (CUstream stream, CUdeviceptr addr, uint32_t value, unsigned flags))
{
    return cuStreamWriteValue32_v2(stream, addr, value, flags);
}

VG_ENTRY(cuStreamWriteValue64,
         (CUstream stream, CUdeviceptr addr, uint64_t value, unsigned flags))
{
    return cuStreamWriteValue64_v2(stream, addr, value, flags);
}
