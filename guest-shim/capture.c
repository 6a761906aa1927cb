/* SPDX-License-Identifier: MIT */
/*
 * Stream capture. The host's driver keeps the graphs; we count captures under way,
 * so that the usual question "is this stream capturing" costs nothing outside of
 * them. The capture mode of a thread lives here, because the host runs the calls of
 * all threads in one, whose own mode is relaxed.
 */
#include "guest-shim/capture.h"

#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/fwd.h"
#include "guest-shim/state.h"
#include "guest-shim/thread.h"
#include "vg_atomic.h"

static int32_t under_way;

bool vg_capture_possible(void)
{
    return vg_load_relaxed(&under_way) > 0;
}

static CUresult host_begin(CUstream hStream, CUstreamCaptureMode mode)
{
    uint64_t stream;
    CUresult r = vg_stream(hStream, &stream);

    if (r)
        return r;
    return vg_call_reply(VG_CALL_cuStreamBeginCapture_v2, VG_WORDS(stream, mode), NULL);
}

CUresult cuStreamBeginCapture_v2(CUstream hStream, CUstreamCaptureMode mode)
{
    CUresult r = vg_enter_stream(hStream);

    if (!r && (unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        r = host_begin(hStream, mode);
    if (!r)
        vg_fetch_add(&under_way, 1);
    return r;
}

CUresult cuStreamBeginCapture(CUstream hStream)
{
    return cuStreamBeginCapture_v2(hStream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

static CUresult host_begin_to_graph(VG_PARAMS(cuStreamBeginCaptureToGraph))
VG_FWD_BODY(cuStreamBeginCaptureToGraph)

CUresult cuStreamBeginCaptureToGraph(CUstream hStream, CUgraph hGraph,
                                     const CUgraphNode *dependencies,
                                     const CUgraphEdgeData *dependencyData, size_t numDependencies,
                                     CUstreamCaptureMode mode)
{
    CUresult r = host_begin_to_graph(hStream, hGraph, dependencies, dependencyData, numDependencies,
                                     mode);

    if (!r)
        vg_fetch_add(&under_way, 1);
    return r;
}

/* What is invalid or was not joined ends too; what cannot be ended there goes on. */
static bool has_ended(CUresult r)
{
    return r == CUDA_SUCCESS || r == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED ||
           r == CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
}

CUresult cuStreamEndCapture(CUstream hStream, CUgraph *phGraph)
{
    struct vg_reply reply;
    uint64_t stream;
    CUresult r = vg_enter_stream(hStream);

    if (!r && !phGraph)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        r = vg_stream(hStream, &stream);
    if (r)
        return r;
    r = vg_call_reply(VG_CALL_cuStreamEndCapture, VG_WORDS(stream, 1), &reply);
    *phGraph = r ? NULL : (CUgraph)(uintptr_t)reply.val[0];
    if (has_ended(r) && vg_load_relaxed(&under_way) > 0)
        vg_fetch_add(&under_way, -1);
    return r;
}

CUresult cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
    struct vg_reply reply;
    uint64_t stream;
    CUresult r = vg_enter_stream(hStream);

    if (!r && !captureStatus)
        r = CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    if (!vg_capture_possible()) {
        *captureStatus = CU_STREAM_CAPTURE_STATUS_NONE;
        return CUDA_SUCCESS;
    }
    r = vg_stream(hStream, &stream);
    if (!r)
        r = vg_call_reply(VG_CALL_cuStreamIsCapturing, VG_WORDS(stream, 1), &reply);
    if (!r)
        *captureStatus = (CUstreamCaptureStatus)reply.val[0];
    return r;
}

/* ---- capture info ------------------------------------------------------------ */

struct info {
    CUstreamCaptureStatus status;
    uint64_t id;
    CUgraph graph;
    size_t count;
    const CUgraphNode *nodes;       /* the thread's, until its next question */
    const CUgraphEdgeData *edges;   /* behind them */
};

#define PER_NODE (sizeof(CUgraphNode) + sizeof(CUgraphEdgeData))
#define NODES_MAX (1u << 20)

/* Room for the answer, which the thread keeps. */
static bool make_room(struct vg_thread *t, size_t count)
{
    if (count <= t->capture_room)
        return true;
    CUgraphNode *bigger = realloc(t->capture_nodes, count * PER_NODE);
    if (!bigger)
        return false;
    t->capture_nodes = bigger;
    t->capture_room = count;
    return true;
}

/* Asks again, for more nodes than a reply cell holds. */
static CUresult fetch_nodes(struct vg_thread *t, uint64_t stream, size_t count,
                            struct vg_reply *ret_reply)
{
    size_t room, bytes = count * PER_NODE;
    uint8_t *window = vg_window_get(bytes, bytes, &room);
    struct vg_tx tx;

    if (!window)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_cuStreamGetCaptureInfo_v2, 0);
    if (!r) {
        tx.call->flags |= VG_F_BULK;
        tx.call->arg[0] = stream;
        tx.call->arg[6] = vg_window_off(window);
        tx.call->arg[7] = room;
        r = vg_finish(&tx, ret_reply);
    }
    /* Other threads may have captured more meanwhile. */
    if (!r && (ret_reply->val[3] > count || ret_reply->len < ret_reply->val[3] * PER_NODE))
        r = CUDA_ERROR_UNKNOWN;
    if (!r)
        memcpy(t->capture_nodes, window, ret_reply->val[3] * PER_NODE);
    vg_window_put(window, room);
    return r;
}

/* Reply: val0 status, val1 id, val2 graph, val3 number of nodes; payload: nodes, then edges. */
static CUresult host_info(CUstream hStream, struct info *ret_info)
{
    struct vg_thread *t = vg_thread();
    struct vg_reply reply;
    uint64_t stream;
    CUresult r = t ? vg_stream(hStream, &stream) : CUDA_ERROR_OUT_OF_MEMORY;

    if (!r)
        r = vg_call_reply(VG_CALL_cuStreamGetCaptureInfo_v2, VG_WORDS(stream), &reply);
    if (r)
        return r;
    if (reply.val[3] > NODES_MAX || !make_room(t, reply.val[3]))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (reply.len >= reply.val[3] * PER_NODE)
        memcpy(t->capture_nodes, reply.data, reply.val[3] * PER_NODE);
    else
        r = fetch_nodes(t, stream, reply.val[3], &reply);
    size_t n = reply.val[3];
    *ret_info = (struct info){(CUstreamCaptureStatus)reply.val[0], reply.val[1],
                              (CUgraph)(uintptr_t)reply.val[2], n, t->capture_nodes,
                              (const CUgraphEdgeData *)(t->capture_nodes + n)};
    return r;
}

/* What is not plain order: kernels that begin before others have ended. */
static bool edges_plain(const CUgraphEdgeData *edge, size_t count)
{
    static const CUgraphEdgeData plain;

    for (size_t i = 0; edge && i < count; i++)
        if (memcmp(&edge[i], &plain, sizeof(plain)) != 0)
            return false;
    return true;
}

static CUresult capture_info(CUstream hStream, CUstreamCaptureStatus *status, uint64_t *id,
                             struct info *ret_info)
{
    CUresult r = vg_enter_stream(hStream);

    *ret_info = (struct info){.status = CU_STREAM_CAPTURE_STATUS_NONE};
    if (!r && !status)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && vg_capture_possible())
        r = host_info(hStream, ret_info);
    if (r)
        return r;
    *status = ret_info->status;
    if (id && ret_info->status == CU_STREAM_CAPTURE_STATUS_ACTIVE)
        *id = ret_info->id;
    return CUDA_SUCCESS;
}

CUresult cuStreamGetCaptureInfo_v3(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                   uint64_t *id_out, CUgraph *graph_out,
                                   const CUgraphNode **dependencies_out,
                                   const CUgraphEdgeData **edgeData_out,
                                   size_t *numDependencies_out)
{
    struct info info;
    CUresult r = capture_info(hStream, captureStatus_out, id_out, &info);

    if (r || info.status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
        return r;
    /* Who asks for the nodes alone must not lose what stands in the edges. */
    if (dependencies_out && !edgeData_out && !edges_plain(info.edges, info.count))
        return CUDA_ERROR_LOSSY_QUERY;
    if (graph_out)
        *graph_out = info.graph;
    if (dependencies_out)
        *dependencies_out = info.nodes;
    if (edgeData_out)
        *edgeData_out = info.edges;
    if (numDependencies_out)
        *numDependencies_out = info.count;
    return CUDA_SUCCESS;
}

CUresult cuStreamGetCaptureInfo_v2(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                   uint64_t *id_out, CUgraph *graph_out,
                                   const CUgraphNode **dependencies_out,
                                   size_t *numDependencies_out)
{
    return cuStreamGetCaptureInfo_v3(hStream, captureStatus_out, id_out, graph_out,
                                     dependencies_out, NULL, numDependencies_out);
}

CUresult cuStreamGetCaptureInfo(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                uint64_t *id_out)
{
    return cuStreamGetCaptureInfo_v3(hStream, captureStatus_out, id_out, NULL, NULL, NULL, NULL);
}

static CUresult host_update(uint64_t stream, const CUgraphNode *node, const CUgraphEdgeData *edge,
                            size_t count, unsigned flags)
{
    struct vg_tx tx;
    struct vg_enc e;
    size_t bytes = node ? count * sizeof(*node) : 0, edge_bytes = edge ? count * sizeof(*edge) : 0;

    if (count > VG_PAYLOAD_MAX / PER_NODE - 8)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = vg_begin_reply(&tx, VG_CALL_cuStreamUpdateCaptureDependencies, bytes + edge_bytes);
    if (r)
        return r;
    vg_tx_encoder(&tx, &e);
    vg_enc_word(&e, stream);
    vg_enc_block(&e, node, bytes);
    vg_enc_block(&e, edge, edge_bytes);
    vg_enc_word(&e, count);
    vg_enc_word(&e, flags);
    if (!vg_tx_encoded(&tx, &e)) {
        vg_drop(&tx);
        return CUDA_ERROR_INVALID_VALUE;
    }
    return vg_finish(&tx, NULL);
}

CUresult cuStreamUpdateCaptureDependencies_v2(CUstream hStream, CUgraphNode *dependencies,
                                              const CUgraphEdgeData *dependencyData,
                                              size_t numDependencies, unsigned flags)
{
    uint64_t stream;
    CUresult r = vg_enter_stream(hStream);

    if (!r)
        r = vg_stream(hStream, &stream);
    if (r)
        return r;
    const CUgraphEdgeData *edge = edges_plain(dependencyData, numDependencies) ? NULL
                                                                               : dependencyData;
    return host_update(stream, dependencies, edge, numDependencies, flags);
}

CUresult cuStreamUpdateCaptureDependencies(CUstream hStream, CUgraphNode *dependencies,
                                           size_t numDependencies, unsigned flags)
{
    return cuStreamUpdateCaptureDependencies_v2(hStream, dependencies, NULL, numDependencies,
                                                flags);
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!mode || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    CUstreamCaptureMode old = vg_tls.capture_mode;
    vg_tls.capture_mode = *mode;
    *mode = old;
    return CUDA_SUCCESS;
}
