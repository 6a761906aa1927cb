/* SPDX-License-Identifier: MIT */
/*
 * Stream capture. The host's driver keeps the graphs; we note captures under way, so
 * that the usual question "is this stream capturing" costs nothing outside of them.
 * Modes and threads are judged here, because the host runs the calls of all threads
 * in one, whose own mode is relaxed, and begins every capture relaxed.
 */
#include "guest-shim/capture.h"

#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/fwd.h"
#include "guest-shim/lock.h"
#include "guest-shim/state.h"
#include "guest-shim/thread.h"
#include "vg_atomic.h"

struct capture {
    uint64_t stream;
    CUstreamCaptureMode mode;
    const struct vg_tls *thread;    /* that began it: only compared */
    const struct vg_ctx *ctx;
    struct capture *next;
};

static struct vg_lock lock;
static struct capture *captures;
uint32_t vg_captures_under_way;     /* how many there are */

/* ---- which there are --------------------------------------------------------- */

static void note_begin(struct capture *c, uint64_t stream, CUstreamCaptureMode mode)
{
    *c = (struct capture){.stream = stream, .mode = mode, .thread = &vg_tls, .ctx = vg_tls.ctx};
    vg_lock(&lock);
    c->next = captures;
    captures = c;
    vg_fetch_add(&vg_captures_under_way, 1);
    vg_unlock(&lock);
}

/* The capture that began on the stream; NULL: it has joined one, or is in none. */
static struct capture **find(uint64_t stream)
{
    struct capture **p = &captures;

    while (*p && (*p)->stream != stream)
        p = &(*p)->next;
    return *p ? p : NULL;
}

void vg_capture_forget(uint64_t stream)
{
    struct capture *c = NULL;

    vg_lock(&lock);
    struct capture **p = find(stream);
    if (p) {
        c = *p;
        *p = c->next;
        vg_fetch_add(&vg_captures_under_way, -1);
    }
    vg_unlock(&lock);
    free(c);
}

static void forget_of_ctx(struct vg_ctx *ctx)
{
    vg_lock(&lock);
    for (struct capture **p = &captures; *p;) {
        struct capture *c = *p;
        if (c->ctx != ctx) {
            p = &c->next;
            continue;
        }
        *p = c->next;
        vg_fetch_add(&vg_captures_under_way, -1);
        free(c);
    }
    vg_unlock(&lock);
}

static void __attribute__((constructor)) watch_contexts(void)
{
    vg_ctx_on_end(forget_of_ctx);
}

/* Only the thread that began it may end a capture, unless it is relaxed. */
static bool is_foreign(uint64_t stream)
{
    vg_lock(&lock);
    struct capture **p = find(stream);
    bool foreign = p && (*p)->mode != CU_STREAM_CAPTURE_MODE_RELAXED && (*p)->thread != &vg_tls;
    vg_unlock(&lock);
    return foreign;
}

/* ---- what they forbid -------------------------------------------------------- */

static bool forbids_unsafe(const struct capture *c)
{
    if (vg_tls.capture_mode == CU_STREAM_CAPTURE_MODE_RELAXED ||
        c->mode == CU_STREAM_CAPTURE_MODE_RELAXED)
        return false;
    return c->thread == &vg_tls || (vg_tls.capture_mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
                                    c->mode == CU_STREAM_CAPTURE_MODE_GLOBAL);
}

static bool forbids_sync(const struct capture *c)
{
    return c->ctx == vg_tls.ctx;
}

static CUresult check(bool (*forbids)(const struct capture *))
{
    uint64_t stream[64];
    unsigned n = 0;

    vg_lock(&lock);
    for (const struct capture *c = captures; c && n < 64; c = c->next)
        if (forbids(c))
            stream[n++] = c->stream;
    vg_unlock(&lock);
    for (unsigned i = 0; i < n; i++)
        vg_capture_break(stream[i]);
    return n ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

CUresult vg_capture_check_unsafe(void)
{
    return check(forbids_unsafe);
}

CUresult vg_capture_check_sync(void)
{
    return check(forbids_sync);
}

bool vg_capture_has(uint64_t stream)
{
    struct vg_reply reply;

    return vg_capture_possible() &&
           !vg_call_reply(VG_CALL_cuStreamIsCapturing, VG_WORDS(stream, 1), &reply) &&
           reply.val[0] != CU_STREAM_CAPTURE_STATUS_NONE;
}

CUresult vg_capture_break(uint64_t stream)
{
    return vg_call_reply(VG_CALL_cuStreamQuery, VG_WORDS(stream), &(struct vg_reply){.len = 0});
}

/* Rows that are forwarded as they stand, but for captures. */
static CUresult host_event_query(VG_PARAMS(cuEventQuery))
VG_FWD_BODY(cuEventQuery)

CUresult cuEventQuery(CUevent hEvent)
{
    CUresult r = vg_enter();

    if (!r)
        r = vg_capture_allows();
    return r ? r : host_event_query(hEvent);
}

static CUresult host_trim(VG_PARAMS(cuMemPoolTrimTo))
VG_FWD_BODY(cuMemPoolTrimTo)

CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep)
{
    CUresult r = vg_enter();

    if (!r)
        r = vg_capture_allows();
    return r ? r : host_trim(pool, minBytesToKeep);
}

/* ---- beginning and ending ---------------------------------------------------- */

static CUresult begin(CUstream hStream, CUstreamCaptureMode mode, struct capture *c)
{
    uint64_t stream;
    CUresult r = vg_stream(hStream, &stream);

    if (!r)
        r = vg_call_reply(VG_CALL_cuStreamBeginCapture_v2, VG_WORDS(stream, mode), NULL);
    if (!r)
        note_begin(c, stream, mode);
    return r;
}

CUresult cuStreamBeginCapture_v2(CUstream hStream, CUstreamCaptureMode mode)
{
    CUresult r = vg_enter_stream(hStream);

    if (!r && (unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        r = CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    struct capture *c = malloc(sizeof(*c));
    r = c ? begin(hStream, mode, c) : CUDA_ERROR_OUT_OF_MEMORY;
    if (r)
        free(c);
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
    uint64_t stream;
    CUresult r = vg_enter_stream(hStream);

    if (!r && (unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        r = vg_stream(hStream, &stream);
    if (r)
        return r;
    struct capture *c = malloc(sizeof(*c));
    if (!c)
        return CUDA_ERROR_OUT_OF_MEMORY;
    r = host_begin_to_graph(hStream, hGraph, dependencies, dependencyData, numDependencies, mode);
    if (r)
        free(c);
    else
        note_begin(c, stream, mode);
    return r;
}

/* What is invalid or was not joined ends too; what cannot be ended there goes on. */
static bool has_ended(CUresult r)
{
    return r == CUDA_SUCCESS || r == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED ||
           r == CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
}

/* A capture that its own thread should have ended ends all the same, and its graph is lost. */
static CUresult end_capture(uint64_t stream, CUgraph *ret_graph)
{
    bool foreign = is_foreign(stream);
    struct vg_reply reply;
    CUresult r = vg_call_reply(VG_CALL_cuStreamEndCapture, VG_WORDS(stream, 1), &reply);
    CUgraph graph = r ? NULL : (CUgraph)(uintptr_t)reply.val[0];

    if (has_ended(r))
        vg_capture_forget(stream);
    if (graph && (foreign || !ret_graph)) {
        cuGraphDestroy(graph);
        graph = NULL;
    }
    if (ret_graph)
        *ret_graph = graph;
    return !r && foreign ? CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD : r;
}

CUresult cuStreamEndCapture(CUstream hStream, CUgraph *phGraph)
{
    uint64_t stream;
    CUresult r = vg_enter_stream(hStream);

    if (!r)
        r = vg_stream(hStream, &stream);
    return r ? r : end_capture(stream, phGraph);
}

CUresult cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
    struct vg_reply reply;
    uint64_t stream;
    CUresult r = vg_enter_stream(hStream);

    if (!r && !captureStatus)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        r = vg_sticky();
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
    if (reply.val[3] > NODES_MAX || !make_room(t, reply.val[3] + 1))
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
    if (!mode)
        return CUDA_ERROR_INVALID_VALUE;
    CUstreamCaptureMode old = vg_tls.capture_mode;
    vg_tls.capture_mode = *mode;
    *mode = old;
    return CUDA_SUCCESS;
}
