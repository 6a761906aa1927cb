/* SPDX-License-Identifier: MIT */
/*
 * Graphs as a whole: those entry points that the table alone cannot make, because they
 * fill arrays of the application, carry a stream inside a struct, say something with a
 * failure too, or have an older form. Their nodes are in graph_node.c.
 * Graphs, nodes and executable graphs are the host's handles. Any thread.
 */
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/capture.h"
#include "guest-shim/flow.h"
#include "guest-shim/fwd.h"
#include "guest-shim/known.h"
#include "guest-shim/mem.h"
#include "guest-shim/node.h"
#include "guest-shim/state.h"
#include "guest-shim/transfer.h"
#include "vg_api.h"

/* ---- lists of nodes ------------------------------------------------------------- */

#define LIST_MAX (1u << 20)     /* elements; what does not fit the window is refused before */

/* A question for up to three parallel arrays of 8-byte elements. */
struct list {
    uint32_t id;
    uint64_t handle;
    unsigned arrays;
    void *out[3];               /* NULL: not wanted */
    size_t *count;              /* in: room, out: how many there are or were written */
};

typedef char vg_assert_edge_size[sizeof(CUgraphEdgeData) == 8 ? 1 : -1];
typedef char vg_assert_node_size[sizeof(CUgraphNode) == 8 ? 1 : -1];

static CUresult count_only(const struct list *l)
{
    struct vg_reply reply;
    CUresult r = vg_call_reply(l->id, VG_WORDS(l->handle, 0), &reply);

    if (!r)
        *l->count = reply.val[0];
    return r;
}

static CUresult fetch(const struct list *l, size_t room, uint8_t *window, size_t window_bytes)
{
    struct vg_reply reply;
    struct vg_tx tx;
    CUresult r = vg_begin_quiet(&tx, l->id, 0);

    if (r)
        return r;
    tx.call->flags |= VG_F_BULK;
    tx.call->arg[0] = l->handle;
    tx.call->arg[1] = room;
    tx.call->arg[6] = vg_window_off(window);
    tx.call->arg[7] = window_bytes;
    r = vg_finish(&tx, &reply);
    if (r)
        return r;
    size_t n = reply.val[0] < room ? reply.val[0] : room;
    for (unsigned i = 0; i < l->arrays; i++) {
        if (!l->out[i])
            continue;
        memcpy(l->out[i], window + i * room * 8, n * 8);
        memset((uint8_t *)l->out[i] + n * 8, 0, (*l->count - n) * 8);
    }
    *l->count = n;
    return CUDA_SUCCESS;
}

/* The driver's rule: no array, then the count; an array, then as many as fit, the rest cleared. */
static CUresult list(const struct list *l)
{
    size_t there = 0, window_bytes;
    struct list counting = *l;
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!l->count || !l->handle)
        return CUDA_ERROR_INVALID_VALUE;
    if (!l->out[0] && !l->out[1])
        return count_only(l);
    counting.count = &there;
    r = count_only(&counting);
    if (r)
        return r;
    size_t room = *l->count < there ? *l->count : there;
    size_t bytes = room * 8 * l->arrays;
    if (room > LIST_MAX)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (bytes == 0) {
        *l->count = 0;
        return CUDA_SUCCESS;
    }
    uint8_t *window = vg_window_get(bytes, bytes, &window_bytes);
    if (!window)
        return CUDA_ERROR_OUT_OF_MEMORY;
    r = fetch(l, room, window, window_bytes);
    vg_window_put(window, window_bytes);
    return r;
}

CUresult cuGraphGetNodes(CUgraph hGraph, CUgraphNode *nodes, size_t *numNodes)
{
    const struct list l = {VG_CALL_cuGraphGetNodes, (uintptr_t)hGraph, 1, {nodes}, numNodes};

    return list(&l);
}

CUresult cuGraphGetRootNodes(CUgraph hGraph, CUgraphNode *rootNodes, size_t *numRootNodes)
{
    const struct list l = {VG_CALL_cuGraphGetRootNodes, (uintptr_t)hGraph, 1, {rootNodes},
                           numRootNodes};

    return list(&l);
}

/* Both ends of the edges or neither. */
static CUresult edges(const struct list *l)
{
    if (!l->out[0] != !l->out[1])
        return CUDA_ERROR_INVALID_VALUE;
    return list(l);
}

CUresult cuGraphGetEdges(CUgraph hGraph, CUgraphNode *from, CUgraphNode *to, size_t *numEdges)
{
    const struct list l = {VG_CALL_cuGraphGetEdges, (uintptr_t)hGraph, 2, {from, to}, numEdges};

    return edges(&l);
}

CUresult cuGraphGetEdges_v2(CUgraph hGraph, CUgraphNode *from, CUgraphNode *to,
                            CUgraphEdgeData *edgeData, size_t *numEdges)
{
    const struct list l = {VG_CALL_cuGraphGetEdges_v2, (uintptr_t)hGraph, 3, {from, to, edgeData},
                           numEdges};

    return edges(&l);
}

CUresult cuGraphNodeGetDependencies(CUgraphNode hNode, CUgraphNode *dependencies,
                                    size_t *numDependencies)
{
    const struct list l = {VG_CALL_cuGraphNodeGetDependencies, (uintptr_t)hNode, 1, {dependencies},
                           numDependencies};

    return list(&l);
}

CUresult cuGraphNodeGetDependencies_v2(CUgraphNode hNode, CUgraphNode *dependencies,
                                       CUgraphEdgeData *edgeData, size_t *numDependencies)
{
    const struct list l = {VG_CALL_cuGraphNodeGetDependencies_v2, (uintptr_t)hNode, 2,
                           {dependencies, edgeData}, numDependencies};

    return list(&l);
}

CUresult cuGraphNodeGetDependentNodes(CUgraphNode hNode, CUgraphNode *dependentNodes,
                                      size_t *numDependentNodes)
{
    const struct list l = {VG_CALL_cuGraphNodeGetDependentNodes, (uintptr_t)hNode, 1,
                           {dependentNodes}, numDependentNodes};

    return list(&l);
}

CUresult cuGraphNodeGetDependentNodes_v2(CUgraphNode hNode, CUgraphNode *dependentNodes,
                                         CUgraphEdgeData *edgeData, size_t *numDependentNodes)
{
    const struct list l = {VG_CALL_cuGraphNodeGetDependentNodes_v2, (uintptr_t)hNode, 2,
                           {dependentNodes, edgeData}, numDependentNodes};

    return list(&l);
}

/* ---- instantiation and launch ------------------------------------------------------ */

/* What the host says with a failure too: count words. False: it said nothing. */
static bool complaint(const struct vg_reply *reply, uint64_t *word, unsigned count)
{
    if (reply->len < count * sizeof(*word))
        return false;
    memcpy(word, reply->data, count * sizeof(*word));
    return true;
}

static CUresult decode_instance(const struct vg_reply *reply, CUgraphExec *ret_exec,
                                CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
    struct vg_dec d;

    vg_reply_decoder(reply, &d);
    *ret_exec = (CUgraphExec)(uintptr_t)vg_dec_word(&d);
    const void *p = vg_dec_struct(&d, sizeof(*params));
    if (!p || d.bad)
        return CUDA_ERROR_UNKNOWN;
    memcpy(params, p, sizeof(*params));
    return CUDA_SUCCESS;
}

static CUresult instantiate(CUgraphExec *ret_exec, CUgraph graph,
                            CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
    struct vg_reply reply = {.len = 0};
    struct vg_tx tx;
    struct vg_enc e;
    uint64_t why[2];
    CUresult r = vg_begin_quiet(&tx, VG_CALL_cuGraphInstantiateWithParams, sizeof(*params) + 32);

    if (r)
        return r;
    vg_tx_encoder(&tx, &e);
    vg_enc_word(&e, 1);
    vg_enc_word(&e, (uintptr_t)graph);
    vg_enc_block(&e, params, sizeof(*params));
    if (!vg_tx_encoded(&tx, &e)) {
        vg_drop(&tx);
        return CUDA_ERROR_INVALID_VALUE;
    }
    r = vg_finish(&tx, &reply);
    if (!r)
        return decode_instance(&reply, ret_exec, params);
    if (complaint(&reply, why, 2)) {
        params->result_out = (CUgraphInstantiateResult)why[0];
        params->hErrNode_out = (CUgraphNode)(uintptr_t)why[1];
    }
    return r;
}

static void made(CUgraphExec exec)
{
    vg_switch_made(exec);
    if (vg_transfer_any())
        vg_stage_reserve();
}

/* The struct is the application's: the stream in it is put back. */
static CUresult instantiate_with(CUgraphExec *exec, CUgraph graph,
                                 CUDA_GRAPH_INSTANTIATE_PARAMS *params, CUstream none)
{
    CUstream given;
    uint64_t stream;
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!exec || !params)
        return CUDA_ERROR_INVALID_VALUE;
    given = params->hUploadStream;
    if (params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) {
        r = vg_stream(given ? given : none, &stream);
        if (r)
            return r;
        params->hUploadStream = (CUstream)(uintptr_t)stream;
    }
    r = instantiate(exec, graph, params);
    params->hUploadStream = given;
    if (!r)
        made(*exec);
    return r;
}

static CUresult host_instantiate(VG_PARAMS(cuGraphInstantiateWithFlags))
VG_FWD_BODY(cuGraphInstantiateWithFlags)

CUresult cuGraphInstantiateWithFlags(CUgraphExec *phGraphExec, CUgraph hGraph,
                                     unsigned long long flags)
{
    CUresult r = host_instantiate(phGraphExec, hGraph, flags);

    if (!r)
        made(*phGraphExec);
    return r;
}

CUresult cuGraphInstantiateWithParams(CUgraphExec *phGraphExec, CUgraph hGraph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
    return instantiate_with(phGraphExec, hGraph, instantiateParams, NULL);
}

CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *phGraphExec, CUgraph hGraph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
    return instantiate_with(phGraphExec, hGraph, instantiateParams, CU_STREAM_PER_THREAD);
}

/* The form before CUDA 12: the newer one without flags; the driver writes no log any more. */
CUresult cuGraphInstantiate_v2(CUgraphExec *phGraphExec, CUgraph hGraph, CUgraphNode *phErrorNode,
                               char *logBuffer, size_t bufferSize)
{
    if (phErrorNode)
        *phErrorNode = NULL;
    if (logBuffer && bufferSize)
        *logBuffer = '\0';
    return cuGraphInstantiateWithFlags(phGraphExec, hGraph, 0);
}

CUresult cuGraphExecUpdate_v2(CUgraphExec hGraphExec, CUgraph hGraph,
                              CUgraphExecUpdateResultInfo *resultInfo)
{
    struct vg_reply reply = {.len = 0};
    uint64_t why[3];
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!hGraphExec || !hGraph)
        return CUDA_ERROR_INVALID_VALUE;
    if (vg_switch_any_off(hGraphExec))
        return vg_unsupported("an update of a graph whose copy of ordinary memory is switched off");
    r = vg_call_reply(VG_CALL_cuGraphExecUpdate_v2,
                      VG_WORDS((uintptr_t)hGraphExec, (uintptr_t)hGraph), &reply);
    if (resultInfo && complaint(&reply, why, 3))
        *resultInfo = (CUgraphExecUpdateResultInfo){(CUgraphExecUpdateResult)why[0],
                                                    (CUgraphNode)(uintptr_t)why[1],
                                                    (CUgraphNode)(uintptr_t)why[2]};
    if (!r)
        vg_switch_updated(hGraphExec);
    return r;
}

/* The form before CUDA 12. */
CUresult cuGraphExecUpdate(CUgraphExec hGraphExec, CUgraph hGraph, CUgraphNode *hErrorNode_out,
                           CUgraphExecUpdateResult *updateResult_out)
{
    CUgraphExecUpdateResultInfo info = {CU_GRAPH_EXEC_UPDATE_ERROR, NULL, NULL};
    CUresult r = cuGraphExecUpdate_v2(hGraphExec, hGraph, &info);

    if (hErrorNode_out)
        *hErrorNode_out = info.errorNode;
    if (updateResult_out)
        *updateResult_out = info.result;
    return r;
}

CUresult cuGraphLaunch(CUgraphExec hGraph, CUstream hStream)
{
    uint64_t stream;
    CUresult r = vg_enter_ctx();

    if (!r && !hGraph)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        r = vg_stream(hStream, &stream);
    if (r)
        return r;
    /* A capture may refuse it, which the call itself must say. */
    if (VG_LIKELY(vg_known(VG_KNOWN_EXEC, (uintptr_t)hGraph) && !vg_capture_possible()))
        return vg_flow_gave(stream, VG_FLOW_GRAPH,
                            vg_call_post(VG_CALL_cuGraphLaunch,
                                         VG_WORDS((uintptr_t)hGraph, stream)));
    r = vg_call_reply(VG_CALL_cuGraphLaunch, VG_WORDS((uintptr_t)hGraph, stream), NULL);
    if (!r)
        vg_known_add(VG_KNOWN_EXEC, (uintptr_t)hGraph);
    return r;
}

/* ---- memory of graphs ---------------------------------------------------------------- */

static CUresult enter_attribute(CUdevice device, const void *value)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!vg_device(device))
        return CUDA_ERROR_INVALID_DEVICE;
    return value ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void *value)
{
    struct vg_reply reply;
    CUresult r = enter_attribute(device, value);

    if (!r)
        r = vg_call_reply(VG_CALL_cuDeviceGetGraphMemAttribute, VG_WORDS((uint64_t)device, attr),
                          &reply);
    if (!r)
        *(uint64_t *)value = reply.val[0];
    return r;
}

CUresult cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void *value)
{
    CUresult r = enter_attribute(device, value);

    if (r)
        return r;
    return vg_call_reply(VG_CALL_cuDeviceSetGraphMemAttribute,
                         VG_WORDS((uint64_t)device, attr, *(uint64_t *)value), NULL);
}
