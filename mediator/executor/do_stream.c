/* SPDX-License-Identifier: MIT */
/*
 * Bodies: streams, events and stream capture. Captures are always begun relaxed:
 * one thread makes the calls of all guest threads, so the driver's check of "unsafe
 * calls of this thread" would hit innocent ones. Serve thread.
 */
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/node.h"

static CUresult keep_stream(struct vg_exec *x, CUstream stream, unsigned flags)
{
    CUresult rc = vg_own_add(x, VG_OBJ_CUstream, (uintptr_t)stream, (uintptr_t)x->home,
                             flags & CU_STREAM_NON_BLOCKING ? VG_STREAM_NON_BLOCKING : 0);

    if (rc != CUDA_SUCCESS)
        x->cuda.cuStreamDestroy_v2(stream);
    return rc;
}

CUresult vg_do_cuStreamCreate(struct vg_exec *x, struct vg_req *r, struct vg_args_cuStreamCreate *a)
{
    CUresult rc = x->cuda.cuStreamCreate(&a->phStream, a->Flags);

    (void)r;
    return rc ? rc : keep_stream(x, a->phStream, a->Flags);
}

CUresult vg_do_cuStreamCreateWithPriority(struct vg_exec *x, struct vg_req *r,
                                          struct vg_args_cuStreamCreateWithPriority *a)
{
    CUresult rc = x->cuda.cuStreamCreateWithPriority(&a->phStream, a->flags, a->priority);

    (void)r;
    return rc ? rc : keep_stream(x, a->phStream, a->flags);
}

CUresult vg_do_cuStreamDestroy_v2(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuStreamDestroy_v2 *a)
{
    (void)r;
    if (!vg_obj_find(&x->obj, VG_OBJ_CUstream, (uintptr_t)a->hStream))
        return CUDA_ERROR_INVALID_HANDLE;
    vg_meter_stream_ends(x, a->hStream);
    CUresult rc = x->cuda.cuStreamDestroy_v2(a->hStream);
    if (rc == CUDA_SUCCESS) {
        vg_own_remove(x, VG_OBJ_CUstream, (uintptr_t)a->hStream);
        vg_own_count_captures(x);
    }
    return rc;
}

CUresult vg_do_cuStreamQuery(struct vg_exec *x, struct vg_req *r, struct vg_args_cuStreamQuery *a)
{
    (void)r;
    return x->cuda.cuStreamQuery(a->hStream);
}

CUresult vg_do_cuStreamSynchronize(struct vg_exec *x, struct vg_req *r,
                                   struct vg_args_cuStreamSynchronize *a)
{
    return vg_wait_stream(x, r, a->hStream);
}

CUresult vg_do_cuEventSynchronize(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuEventSynchronize *a)
{
    return a->hEvent ? vg_wait_event(x, r, a->hEvent) : CUDA_ERROR_INVALID_HANDLE;
}

/* Known operations only: another might name an address where we do not look for one. */
CUresult vg_memop_check(struct vg_exec *x, const CUstreamBatchMemOpParams *op)
{
    switch (op->operation) {
    case CU_STREAM_MEM_OP_WAIT_VALUE_32:
    case CU_STREAM_MEM_OP_WRITE_VALUE_32:
        return vg_own_range(x, op->waitValue.address, sizeof(uint32_t));
    case CU_STREAM_MEM_OP_WAIT_VALUE_64:
    case CU_STREAM_MEM_OP_WRITE_VALUE_64:
        return vg_own_range(x, op->waitValue.address, sizeof(uint64_t));
    case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
    case CU_STREAM_MEM_OP_BARRIER:
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

static bool waits_for_value(const CUstreamBatchMemOpParams *op, uint64_t count)
{
    while (count > 0 && op[count - 1].operation != CU_STREAM_MEM_OP_WAIT_VALUE_32 &&
           op[count - 1].operation != CU_STREAM_MEM_OP_WAIT_VALUE_64)
        count--;
    return count > 0;
}

CUresult vg_do_cuStreamBatchMemOp_v2(struct vg_exec *x, struct vg_req *r)
{
    CUstream stream = (CUstream)(uintptr_t)vg_dec_word(&r->dec);
    uint64_t count = vg_dec_word(&r->dec);
    size_t bytes;
    const void *block = vg_dec_block(&r->dec, &bytes);
    uint64_t flags = vg_dec_word(&r->dec);
    CUstreamBatchMemOpParams op[VG_BATCH_MAX];

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    if (!block || count > VG_BATCH_MAX || bytes != count * sizeof(op[0]))
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(op, block, bytes);
    CUresult rc = vg_own_stream(x, stream);
    for (uint64_t i = 0; i < count && rc == CUDA_SUCCESS; i++)
        rc = vg_memop_check(x, &op[i]);
    if (rc != CUDA_SUCCESS)
        return rc;
    vg_meter_stall_begin(x, stream);
    rc = x->cuda.cuStreamBatchMemOp_v2(stream, (unsigned)count, op, (unsigned)flags);
    if (rc == CUDA_SUCCESS && waits_for_value(op, count))
        vg_meter_stall_end(x, stream);
    return rc;
}

/* ---- Capture ---- */

static void mark_capturing(struct vg_exec *x, CUstream stream, bool on)
{
    struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUstream, (uintptr_t)stream);

    if (o)
        o->info = on ? o->info | VG_STREAM_CAPTURING : o->info & ~VG_STREAM_CAPTURING;
    else if (on)
        x->thread_captures++;
    else if (x->thread_captures > 0)
        x->thread_captures--;
    vg_own_count_captures(x);
}

CUresult vg_do_cuStreamBeginCapture_v2(struct vg_exec *x, struct vg_req *r,
                                       struct vg_args_cuStreamBeginCapture_v2 *a)
{
    vg_meter_close_all(x);
    CUresult rc = x->cuda.cuStreamBeginCapture_v2(a->hStream, CU_STREAM_CAPTURE_MODE_RELAXED);

    (void)r;
    if (rc == CUDA_SUCCESS)
        mark_capturing(x, a->hStream, true);
    return rc;
}

CUresult vg_do_cuStreamBeginCaptureToGraph(struct vg_exec *x, struct vg_req *r,
                                           struct vg_args_cuStreamBeginCaptureToGraph *a)
{
    CUresult rc = vg_own_nodes(x, a->dependencies, a->dependencies ? a->numDependencies : 0);

    (void)r;
    vg_meter_close_all(x);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuStreamBeginCaptureToGraph(a->hStream, a->hGraph, a->dependencies,
                                                 a->dependencyData, a->numDependencies,
                                                 CU_STREAM_CAPTURE_MODE_RELAXED);
    if (rc == CUDA_SUCCESS)
        mark_capturing(x, a->hStream, true);
    return rc;
}

/* A capture that fails takes its graph, and the nodes we told of, with it. */
CUresult vg_do_cuStreamEndCapture(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuStreamEndCapture *a)
{
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    CUgraph graph = NULL;
    uint64_t id;

    (void)r;
    x->cuda.cuStreamGetCaptureInfo_v2(a->hStream, &status, &id, &graph, NULL, NULL);
    CUresult rc = x->cuda.cuStreamEndCapture(a->hStream, &a->phGraph);
    if (rc != CUDA_SUCCESS && graph)
        vg_own_remove(x, VG_OBJ_CUgraph, (uintptr_t)graph);
    if (rc != CUDA_SUCCESS && graph)
        vg_obj_orphan(&x->obj, (uintptr_t)graph);
    if (status != CU_STREAM_CAPTURE_STATUS_NONE && rc != CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD &&
        rc != CUDA_ERROR_STREAM_CAPTURE_UNMATCHED)
        mark_capturing(x, a->hStream, false);
    return rc;
}

CUresult vg_do_cuStreamIsCapturing(struct vg_exec *x, struct vg_req *r,
                                   struct vg_args_cuStreamIsCapturing *a)
{
    (void)r;
    return x->cuda.cuStreamIsCapturing(a->hStream, &a->captureStatus);
}

struct capture_info {
    CUstreamCaptureStatus status;
    uint64_t id;
    CUgraph graph;
    const CUgraphNode *node;
    const CUgraphEdgeData *edge; /* NULL: all plain */
    size_t count;
};

/* A driver before 12.3 knows plain edges only. */
static CUresult ask_capture(struct vg_exec *x, CUstream stream, struct capture_info *i)
{
    memset(i, 0, sizeof(*i));
    CUresult rc = x->cuda.cuStreamGetCaptureInfo_v3(stream, &i->status, &i->id, &i->graph, &i->node,
                                                    &i->edge, &i->count);
    if (rc == CUDA_ERROR_NOT_SUPPORTED)
        rc = x->cuda.cuStreamGetCaptureInfo_v2(stream, &i->status, &i->id, &i->graph, &i->node,
                                               &i->count);
    if (i->status != CU_STREAM_CAPTURE_STATUS_ACTIVE) {
        i->graph = NULL;
        i->count = 0;
    }
    return rc;
}

/* Bare handles, then as many edges: all, or nothing where they do not fit. */
static void send_nodes(struct vg_exec *x, struct vg_req *r, const struct capture_info *info)
{
    size_t size = sizeof(CUgraphNode) + sizeof(CUgraphEdgeData), n = info->count;
    uint8_t *to = r->enc.payload;

    if (n > r->enc.cap / size)
        return;
    for (size_t i = 0; i < n; i++) {
        uint64_t handle = (uintptr_t)info->node[i];
        if (!vg_obj_find(&x->obj, VG_OBJ_CUgraphNode, handle))
            vg_own_add(x, VG_OBJ_CUgraphNode, handle, (uintptr_t)info->graph, 0);
        memcpy(to + i * sizeof(handle), &handle, sizeof(handle));
    }
    if (info->edge)
        memcpy(to + n * sizeof(CUgraphNode), info->edge, n * sizeof(CUgraphEdgeData));
    else
        memset(to + n * sizeof(CUgraphNode), 0, n * sizeof(CUgraphEdgeData));
    r->enc.len = n * size;
}

CUresult vg_do_cuStreamGetCaptureInfo_v2(struct vg_exec *x, struct vg_req *r)
{
    CUstream stream = (CUstream)(uintptr_t)vg_dec_word(&r->dec);
    struct capture_info info;

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_own_stream(x, stream);
    if (rc == CUDA_SUCCESS)
        rc = ask_capture(x, stream, &info);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (info.graph && !vg_obj_find(&x->obj, VG_OBJ_CUgraph, (uintptr_t)info.graph))
        vg_own_add(x, VG_OBJ_CUgraph, (uintptr_t)info.graph, 0, 0);
    vg_enc_word(&r->enc, info.status);
    vg_enc_word(&r->enc, info.id);
    vg_enc_word(&r->enc, (uintptr_t)info.graph);
    vg_enc_word(&r->enc, info.count);
    send_nodes(x, r, &info);
    return CUDA_SUCCESS;
}

/* Words stream, block nodes, block edges or none, word count, word flags. */
CUresult vg_do_cuStreamUpdateCaptureDependencies(struct vg_exec *x, struct vg_req *r)
{
    CUstream stream = (CUstream)(uintptr_t)vg_dec_word(&r->dec);
    size_t bytes, edge_bytes;
    CUgraphNode *node = (CUgraphNode *)(uintptr_t)vg_dec_block(&r->dec, &bytes);
    const CUgraphEdgeData *edge = vg_dec_block(&r->dec, &edge_bytes);
    uint64_t count = vg_dec_word(&r->dec), flags = vg_dec_word(&r->dec);

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    if ((node ? bytes : 0) != count * sizeof(*node) ||
        (edge && edge_bytes != count * sizeof(*edge)))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_own_stream(x, stream);
    if (rc == CUDA_SUCCESS)
        rc = vg_own_nodes(x, node, count);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (edge)
        return x->cuda.cuStreamUpdateCaptureDependencies_v2(stream, node, edge, count,
                                                            (unsigned)flags);
    return x->cuda.cuStreamUpdateCaptureDependencies(stream, node, count, (unsigned)flags);
}
