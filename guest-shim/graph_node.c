/* SPDX-License-Identifier: MIT */
/*
 * Entry points about nodes made by hand. Each typed call describes its node in the one
 * struct that can describe any, and keeps its own id, so that the host answers with the
 * driver's call of the same name. Any thread.
 */
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/fwd.h"
#include "guest-shim/node.h"
#include "guest-shim/state.h"
#include "vg_api.h"

/* ---- descriptions: false where there is nothing to describe -------------------------- */

static void start(CUgraphNodeParams *p, CUgraphNodeType type)
{
    memset(p, 0, sizeof(*p));
    p->type = type;
}

static bool of_kernel(CUgraphNodeParams *p, const CUDA_KERNEL_NODE_PARAMS *k)
{
    start(p, CU_GRAPH_NODE_TYPE_KERNEL);
    if (k)
        p->kernel = *k;
    return k != NULL;
}

static bool of_copy(CUgraphNodeParams *p, const CUDA_MEMCPY3D *c, CUcontext ctx)
{
    start(p, CU_GRAPH_NODE_TYPE_MEMCPY);
    p->memcpy.copyCtx = ctx;
    if (c)
        p->memcpy.copyParams = *c;
    return c != NULL;
}

static bool of_memset(CUgraphNodeParams *p, const CUDA_MEMSET_NODE_PARAMS *m, CUcontext ctx)
{
    start(p, CU_GRAPH_NODE_TYPE_MEMSET);
    if (m)
        memcpy(&p->memset, m, sizeof(*m));
    p->memset.ctx = ctx;
    return m != NULL;
}

static bool of_host(CUgraphNodeParams *p, const CUDA_HOST_NODE_PARAMS *h)
{
    start(p, CU_GRAPH_NODE_TYPE_HOST);
    if (h)
        memcpy(&p->host, h, sizeof(*h));
    return h != NULL;
}

static bool of_memops(CUgraphNodeParams *p, const CUDA_BATCH_MEM_OP_NODE_PARAMS *b)
{
    start(p, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP);
    if (b)
        memcpy(&p->memOp, b, sizeof(*b));
    return b != NULL;
}

/* The first form of the struct: without kernel and context. */
static const CUDA_KERNEL_NODE_PARAMS *newer(const CUDA_KERNEL_NODE_PARAMS_v1 *old,
                                            CUDA_KERNEL_NODE_PARAMS *k)
{
    memset(k, 0, sizeof(*k));
    if (old)
        memcpy(k, old, sizeof(*old));
    return old ? k : NULL;
}

/* ---- adding ----------------------------------------------------------------------------- */

#define PLACE {hGraph, dependencies, NULL, numDependencies}
#define ADD(symbol, described)                                                                     \
    const struct vg_node_place place = PLACE;                                                      \
    CUgraphNodeParams p;                                                                           \
                                                                                                   \
    return described ? vg_node_add(VG_CALL_##symbol, phGraphNode, &place, &p)                      \
                     : CUDA_ERROR_INVALID_VALUE;

CUresult cuGraphAddKernelNode_v2(CUgraphNode *phGraphNode, CUgraph hGraph,
                                 const CUgraphNode *dependencies, size_t numDependencies,
                                 const CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
    ADD(cuGraphAddKernelNode_v2, of_kernel(&p, nodeParams))
}

CUresult cuGraphAddKernelNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                              const CUgraphNode *dependencies, size_t numDependencies,
                              const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
    CUDA_KERNEL_NODE_PARAMS k;

    return cuGraphAddKernelNode_v2(phGraphNode, hGraph, dependencies, numDependencies,
                                   newer(nodeParams, &k));
}

CUresult cuGraphAddMemcpyNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                              const CUgraphNode *dependencies, size_t numDependencies,
                              const CUDA_MEMCPY3D *copyParams, CUcontext ctx)
{
    ADD(cuGraphAddMemcpyNode, of_copy(&p, copyParams, ctx))
}

CUresult cuGraphAddMemsetNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                              const CUgraphNode *dependencies, size_t numDependencies,
                              const CUDA_MEMSET_NODE_PARAMS *memsetParams, CUcontext ctx)
{
    ADD(cuGraphAddMemsetNode, of_memset(&p, memsetParams, ctx))
}

CUresult cuGraphAddHostNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                            const CUgraphNode *dependencies, size_t numDependencies,
                            const CUDA_HOST_NODE_PARAMS *nodeParams)
{
    ADD(cuGraphAddHostNode, of_host(&p, nodeParams))
}

CUresult cuGraphAddBatchMemOpNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                                  const CUgraphNode *dependencies, size_t numDependencies,
                                  const CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams)
{
    ADD(cuGraphAddBatchMemOpNode, of_memops(&p, nodeParams))
}

/* The types that one handle or address describes. */
#define ADD_ONE(symbol, type, field, value)                                                        \
    const struct vg_node_place place = PLACE;                                                      \
    CUgraphNodeParams p;                                                                           \
                                                                                                   \
    start(&p, type);                                                                               \
    p.field = value;                                                                               \
    return vg_node_add(VG_CALL_##symbol, phGraphNode, &place, &p);

CUresult cuGraphAddChildGraphNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                                  const CUgraphNode *dependencies, size_t numDependencies,
                                  CUgraph childGraph)
{
    ADD_ONE(cuGraphAddChildGraphNode, CU_GRAPH_NODE_TYPE_GRAPH, graph.graph, childGraph)
}

CUresult cuGraphAddEmptyNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                             const CUgraphNode *dependencies, size_t numDependencies)
{
    ADD_ONE(cuGraphAddEmptyNode, CU_GRAPH_NODE_TYPE_EMPTY, reserved2, 0)
}

CUresult cuGraphAddEventRecordNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                                   const CUgraphNode *dependencies, size_t numDependencies,
                                   CUevent event)
{
    ADD_ONE(cuGraphAddEventRecordNode, CU_GRAPH_NODE_TYPE_EVENT_RECORD, eventRecord.event, event)
}

CUresult cuGraphAddEventWaitNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                                 const CUgraphNode *dependencies, size_t numDependencies,
                                 CUevent event)
{
    ADD_ONE(cuGraphAddEventWaitNode, CU_GRAPH_NODE_TYPE_WAIT_EVENT, eventWait.event, event)
}

CUresult cuGraphAddMemFreeNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                               const CUgraphNode *dependencies, size_t numDependencies,
                               CUdeviceptr dptr)
{
    ADD_ONE(cuGraphAddMemFreeNode, CU_GRAPH_NODE_TYPE_MEM_FREE, free.dptr, dptr)
}

CUresult cuGraphAddMemAllocNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                                const CUgraphNode *dependencies, size_t numDependencies,
                                CUDA_MEM_ALLOC_NODE_PARAMS *nodeParams)
{
    const struct vg_node_place place = PLACE;
    CUgraphNodeParams p;

    if (!nodeParams)
        return CUDA_ERROR_INVALID_VALUE;
    start(&p, CU_GRAPH_NODE_TYPE_MEM_ALLOC);
    memcpy(&p.alloc, nodeParams, sizeof(*nodeParams));
    CUresult r = vg_node_add(VG_CALL_cuGraphAddMemAllocNode, phGraphNode, &place, &p);
    nodeParams->dptr = r ? 0 : p.alloc.dptr;
    return r;
}

CUresult cuGraphAddNode_v2(CUgraphNode *phGraphNode, CUgraph hGraph,
                           const CUgraphNode *dependencies, const CUgraphEdgeData *dependencyData,
                           size_t numDependencies, CUgraphNodeParams *nodeParams)
{
    const struct vg_node_place place = {hGraph, dependencies, dependencyData, numDependencies};

    return nodeParams ? vg_node_add(VG_CALL_cuGraphAddNode_v2, phGraphNode, &place, nodeParams)
                      : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGraphAddNode(CUgraphNode *phGraphNode, CUgraph hGraph, const CUgraphNode *dependencies,
                        size_t numDependencies, CUgraphNodeParams *nodeParams)
{
    const struct vg_node_place place = PLACE;

    return nodeParams ? vg_node_add(VG_CALL_cuGraphAddNode, phGraphNode, &place, nodeParams)
                      : CUDA_ERROR_INVALID_VALUE;
}

/* ---- changing --------------------------------------------------------------------------- */

#define SET(symbol, described)                                                                     \
    CUgraphNodeParams p;                                                                           \
                                                                                                   \
    return described ? vg_node_set(VG_CALL_##symbol, NULL, hNode, &p) : CUDA_ERROR_INVALID_VALUE;

CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode hNode, const CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
    SET(cuGraphKernelNodeSetParams_v2, of_kernel(&p, nodeParams))
}

CUresult cuGraphKernelNodeSetParams(CUgraphNode hNode, const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
    CUDA_KERNEL_NODE_PARAMS k;

    return cuGraphKernelNodeSetParams_v2(hNode, newer(nodeParams, &k));
}

CUresult cuGraphMemcpyNodeSetParams(CUgraphNode hNode, const CUDA_MEMCPY3D *nodeParams)
{
    SET(cuGraphMemcpyNodeSetParams, of_copy(&p, nodeParams, NULL))
}

CUresult cuGraphMemsetNodeSetParams(CUgraphNode hNode, const CUDA_MEMSET_NODE_PARAMS *nodeParams)
{
    SET(cuGraphMemsetNodeSetParams, of_memset(&p, nodeParams, NULL))
}

CUresult cuGraphHostNodeSetParams(CUgraphNode hNode, const CUDA_HOST_NODE_PARAMS *nodeParams)
{
    SET(cuGraphHostNodeSetParams, of_host(&p, nodeParams))
}

CUresult cuGraphBatchMemOpNodeSetParams(CUgraphNode hNode,
                                        const CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams)
{
    SET(cuGraphBatchMemOpNodeSetParams, of_memops(&p, nodeParams))
}

CUresult cuGraphNodeSetParams(CUgraphNode hNode, CUgraphNodeParams *nodeParams)
{
    return nodeParams ? vg_node_set(VG_CALL_cuGraphNodeSetParams, NULL, hNode, nodeParams)
                      : CUDA_ERROR_INVALID_VALUE;
}

/* ---- changing in executable graphs -------------------------------------------------------- */

#define SET_EXEC(symbol, described)                                                                \
    CUgraphNodeParams p;                                                                           \
                                                                                                   \
    return hGraphExec && described ? vg_node_set(VG_CALL_##symbol, hGraphExec, hNode, &p)          \
                                   : CUDA_ERROR_INVALID_VALUE;

CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec hGraphExec, CUgraphNode hNode,
                                           const CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
    SET_EXEC(cuGraphExecKernelNodeSetParams_v2, of_kernel(&p, nodeParams))
}

CUresult cuGraphExecKernelNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                        const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
    CUDA_KERNEL_NODE_PARAMS k;

    return cuGraphExecKernelNodeSetParams_v2(hGraphExec, hNode, newer(nodeParams, &k));
}

CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                        const CUDA_MEMCPY3D *copyParams, CUcontext ctx)
{
    SET_EXEC(cuGraphExecMemcpyNodeSetParams, of_copy(&p, copyParams, ctx))
}

CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                        const CUDA_MEMSET_NODE_PARAMS *memsetParams, CUcontext ctx)
{
    SET_EXEC(cuGraphExecMemsetNodeSetParams, of_memset(&p, memsetParams, ctx))
}

CUresult cuGraphExecHostNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                      const CUDA_HOST_NODE_PARAMS *nodeParams)
{
    SET_EXEC(cuGraphExecHostNodeSetParams, of_host(&p, nodeParams))
}

CUresult cuGraphExecBatchMemOpNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                            const CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams)
{
    SET_EXEC(cuGraphExecBatchMemOpNodeSetParams, of_memops(&p, nodeParams))
}

CUresult cuGraphExecNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                  CUgraphNodeParams *nodeParams)
{
    return hGraphExec && nodeParams
               ? vg_node_set(VG_CALL_cuGraphExecNodeSetParams, hGraphExec, hNode, nodeParams)
               : CUDA_ERROR_INVALID_VALUE;
}

/* ---- edges and ends ------------------------------------------------------------------------ */

CUresult cuGraphAddDependencies(VG_PARAMS(cuGraphAddDependencies))
VG_FWD_BODY(cuGraphAddDependencies)

CUresult cuGraphAddDependencies_v2(VG_PARAMS(cuGraphAddDependencies_v2))
VG_FWD_BODY(cuGraphAddDependencies_v2)

CUresult cuGraphRemoveDependencies(VG_PARAMS(cuGraphRemoveDependencies))
VG_FWD_BODY(cuGraphRemoveDependencies)

CUresult cuGraphRemoveDependencies_v2(VG_PARAMS(cuGraphRemoveDependencies_v2))
VG_FWD_BODY(cuGraphRemoveDependencies_v2)

CUresult cuGraphChildGraphNodeGetGraph(VG_PARAMS(cuGraphChildGraphNodeGetGraph))
VG_FWD_BODY(cuGraphChildGraphNodeGetGraph)

CUresult cuGraphNodeGetType(VG_PARAMS(cuGraphNodeGetType))
VG_FWD_BODY(cuGraphNodeGetType)

/* Forgotten before: afterwards the handle may mean another one. */
static CUresult host_destroy_node(VG_PARAMS(cuGraphDestroyNode))
VG_FWD_BODY(cuGraphDestroyNode)

CUresult cuGraphDestroyNode(CUgraphNode hNode)
{
    vg_node_forget(hNode);
    return host_destroy_node(hNode);
}

static CUresult host_destroy(VG_PARAMS(cuGraphDestroy))
VG_FWD_BODY(cuGraphDestroy)

CUresult cuGraphDestroy(CUgraph hGraph)
{
    CUresult r = vg_enter();

    /* No graph is none, also where an error sticks to every other call. */
    if (!hGraph)
        return r && r != vg_sticky() ? r : CUDA_ERROR_INVALID_VALUE;
    vg_node_forget_graph(hGraph);
    return host_destroy(hGraph);
}

static CUresult host_destroy_exec(VG_PARAMS(cuGraphExecDestroy))
VG_FWD_BODY(cuGraphExecDestroy)

CUresult cuGraphExecDestroy(CUgraphExec hGraphExec)
{
    vg_switch_gone(hGraphExec);
    return host_destroy_exec(hGraphExec);
}
