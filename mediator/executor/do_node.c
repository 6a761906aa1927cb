/* SPDX-License-Identifier: MIT */
/*
 * Bodies: nodes of graphs, made and changed. Every typed call goes to the driver's
 * call of the same name, so that its errors are the driver's. Serve thread.
 */
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/capture.h"
#include "mediator/executor/node.h"

#define ANY ((CUgraphNodeType)-1)

/* ---- Decoding ---- */

static bool decode_description(struct vg_req *r, struct vg_node *n)
{
    const void *p = vg_dec_struct(&r->dec, sizeof(n->p));

    n->extra = vg_dec_block(&r->dec, &n->extra_bytes);
    n->transfer = vg_dec_word(&r->dec) != 0;
    if (!n->extra)
        n->extra_bytes = 0;
    if (!p)
        r->dec.bad = true;
    else
        memcpy(&n->p, p, sizeof(n->p));
    return vg_req_decoded(r);
}

static bool length_is(const void *p, size_t bytes, uint64_t count, size_t size)
{
    return p ? bytes % size == 0 && bytes / size == count : true;
}

static bool decode_place(struct vg_req *r, struct vg_node *n)
{
    size_t deps, edges;

    n->graph = (CUgraph)(uintptr_t)vg_dec_word(&r->dec);
    n->deps = vg_dec_block(&r->dec, &deps);
    n->edges = vg_dec_block(&r->dec, &edges);
    n->count = vg_dec_word(&r->dec);
    if (length_is(n->deps, deps, n->count, sizeof(*n->deps)) &&
        length_is(n->edges, edges, n->count, sizeof(*n->edges)))
        return true;
    r->breach = "array length differs from its count";
    return false;
}

/* ---- Dependencies ---- */

/* The driver reads `count` of them, so there must be as many. */
static CUresult check_place(struct vg_exec *x, const struct vg_node *n)
{
    CUresult rc = vg_own_handle(x, VG_OBJ_CUgraph, (uintptr_t)n->graph);

    if (rc == CUDA_SUCCESS && n->count > 0 && !n->deps)
        rc = CUDA_ERROR_INVALID_VALUE;
    return rc ? rc : vg_own_nodes(x, n->deps, n->count);
}

static CUresult own_edges(struct vg_exec *x, CUgraph graph, const CUgraphNode *from,
                          const CUgraphNode *to, uint64_t count)
{
    CUresult rc = count && (!from || !to) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;

    (void)graph;
    if (rc == CUDA_SUCCESS)
        rc = vg_own_nodes(x, from, count);
    return rc ? rc : vg_own_nodes(x, to, count);
}

#define EDGES_BODY(symbol, ...)                                                                    \
    CUresult vg_do_##symbol(struct vg_exec *x, struct vg_req *r, struct vg_args_##symbol *a)       \
    {                                                                                              \
        CUresult rc = own_edges(x, a->hGraph, a->from, a->to, a->numDependencies);                 \
                                                                                                   \
        (void)r;                                                                                   \
        return rc ? rc : x->cuda.symbol(a->hGraph, a->from, a->to, __VA_ARGS__);                   \
    }

EDGES_BODY(cuGraphAddDependencies, a->numDependencies)
EDGES_BODY(cuGraphAddDependencies_v2, a->edgeData, a->numDependencies)
EDGES_BODY(cuGraphRemoveDependencies, a->numDependencies)
EDGES_BODY(cuGraphRemoveDependencies_v2, a->edgeData, a->numDependencies)

/* ---- Adding ---- */

static CUresult begin_add(struct vg_exec *x, struct vg_req *r, CUgraphNodeType type,
                          struct vg_node *n)
{
    memset(n, 0, sizeof(*n));
    if (!decode_place(r, n) || !decode_description(r, n))
        return CUDA_ERROR_INVALID_VALUE;
    if (type != ANY && n->p.type != type)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = check_place(x, n);
    if (rc == CUDA_SUCCESS)
        rc = vg_node_check(x, n);
    /* The memory comes with a launch; it is the graph's from now on. */
    if (rc == CUDA_SUCCESS && n->p.type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
        rc = vg_quota_reserve(x, n->p.alloc.bytesize);
    return rc;
}

/* The graphs of a conditional node's branches belong to the node. */
static CUresult keep_branches(struct vg_exec *x, const struct vg_node *n)
{
    const CUDA_CONDITIONAL_NODE_PARAMS *c = &n->p.conditional;
    CUresult rc = CUDA_SUCCESS;

    for (unsigned i = 0; c->phGraph_out && i < c->size && rc == CUDA_SUCCESS; i++)
        rc = vg_own_add(x, VG_OBJ_CUgraph, (uintptr_t)c->phGraph_out[i], (uintptr_t)n->node,
                        VG_GRAPH_INNER);
    return rc;
}

/* A child graph that the node took over is no longer the guest's to destroy. */
static CUresult keep_child(struct vg_exec *x, const struct vg_node *n)
{
    if (n->p.graph.ownership != CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE)
        return CUDA_SUCCESS;
    return vg_own_add(x, VG_OBJ_CUgraph, (uintptr_t)n->p.graph.graph, (uintptr_t)n->node,
                      VG_GRAPH_INNER);
}

static bool owns_graphs(const struct vg_node *n)
{
    return n->p.type == CU_GRAPH_NODE_TYPE_CONDITIONAL ||
           (n->p.type == CU_GRAPH_NODE_TYPE_GRAPH &&
            n->p.graph.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE);
}

static CUresult keep_node(struct vg_exec *x, const struct vg_node *n)
{
    CUresult rc = vg_own_add(x, VG_OBJ_CUgraphNode, (uintptr_t)n->node, (uintptr_t)n->graph,
                             owns_graphs(n) ? VG_GRAPH_INNER : 0);

    if (rc != CUDA_SUCCESS)
        return rc;
    switch (n->p.type) {
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        x->graph_memory = true;
        return vg_own_add_range(x, n->p.alloc.dptr, n->p.alloc.bytesize, VG_RANGE_GRAPH, 0);
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        return keep_branches(x, n);
    case CU_GRAPH_NODE_TYPE_GRAPH:
        return keep_child(x, n);
    case CU_GRAPH_NODE_TYPE_HOST:
        vg_callback_tie(x, n->callback, n->graph);
        return CUDA_SUCCESS;
    default:
        return CUDA_SUCCESS;
    }
}

/* Answer: node, address of an allocation, graph that the node belongs to in the end, branches. */
static void answer(struct vg_exec *x, struct vg_req *r, const struct vg_node *n)
{
    bool alloc = n->p.type == CU_GRAPH_NODE_TYPE_MEM_ALLOC;

    vg_enc_word(&r->enc, (uintptr_t)n->node);
    vg_enc_word(&r->enc, alloc ? n->p.alloc.dptr : 0);
    vg_enc_word(&r->enc, vg_node_root(x, n->node));
    if (n->p.type != CU_GRAPH_NODE_TYPE_CONDITIONAL || !n->p.conditional.phGraph_out)
        return;
    vg_enc_block(&r->enc, n->p.conditional.phGraph_out, n->p.conditional.size * sizeof(CUgraph));
}

static CUresult end_add(struct vg_exec *x, struct vg_req *r, struct vg_node *n, CUresult rc)
{
    if (rc == CUDA_SUCCESS)
        rc = keep_node(x, n);
    else
        vg_callback_drop(n->callback);
    if (rc == CUDA_SUCCESS)
        answer(x, r, n);
    vg_quota_settle(x);
    return rc;
}

#define ADD_BODY(symbol, type, ...)                                                                \
    CUresult vg_do_##symbol(struct vg_exec *x, struct vg_req *r)                                   \
    {                                                                                              \
        struct vg_node n;                                                                          \
        CUresult rc = begin_add(x, r, type, &n);                                                   \
                                                                                                   \
        if (rc != CUDA_SUCCESS || r->breach)                                                       \
            return rc;                                                                             \
        return end_add(x, r, &n, x->cuda.symbol(&n.node, n.graph, n.deps, __VA_ARGS__));           \
    }

/* The first forms of these structs are how the present ones begin. */
#define FIRST(type, field) ((type *)(void *)&n.p.field)

ADD_BODY(cuGraphAddKernelNode_v2, CU_GRAPH_NODE_TYPE_KERNEL, n.count, &n.p.kernel)
ADD_BODY(cuGraphAddMemcpyNode, CU_GRAPH_NODE_TYPE_MEMCPY, n.count, &n.p.memcpy.copyParams,
         n.p.memcpy.copyCtx)
ADD_BODY(cuGraphAddMemsetNode, CU_GRAPH_NODE_TYPE_MEMSET, n.count,
         FIRST(CUDA_MEMSET_NODE_PARAMS, memset), n.p.memset.ctx)
ADD_BODY(cuGraphAddHostNode, CU_GRAPH_NODE_TYPE_HOST, n.count, FIRST(CUDA_HOST_NODE_PARAMS, host))
ADD_BODY(cuGraphAddChildGraphNode, CU_GRAPH_NODE_TYPE_GRAPH, n.count, n.p.graph.graph)
ADD_BODY(cuGraphAddEmptyNode, CU_GRAPH_NODE_TYPE_EMPTY, n.count)
ADD_BODY(cuGraphAddEventRecordNode, CU_GRAPH_NODE_TYPE_EVENT_RECORD, n.count,
         n.p.eventRecord.event)
ADD_BODY(cuGraphAddEventWaitNode, CU_GRAPH_NODE_TYPE_WAIT_EVENT, n.count, n.p.eventWait.event)
ADD_BODY(cuGraphAddBatchMemOpNode, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, n.count,
         FIRST(CUDA_BATCH_MEM_OP_NODE_PARAMS, memOp))
ADD_BODY(cuGraphAddMemAllocNode, CU_GRAPH_NODE_TYPE_MEM_ALLOC, n.count,
         FIRST(CUDA_MEM_ALLOC_NODE_PARAMS, alloc))
ADD_BODY(cuGraphAddMemFreeNode, CU_GRAPH_NODE_TYPE_MEM_FREE, n.count, n.p.free.dptr)
ADD_BODY(cuGraphAddNode, ANY, n.count, &n.p)
ADD_BODY(cuGraphAddNode_v2, ANY, n.edges, n.count, &n.p)

/* ---- Changing ---- */

static CUresult begin_set(struct vg_exec *x, struct vg_req *r, CUgraphNodeType type, bool exec,
                          struct vg_node *n)
{
    memset(n, 0, sizeof(*n));
    if (exec)
        n->exec = (CUgraphExec)(uintptr_t)vg_dec_word(&r->dec);
    n->node = (CUgraphNode)(uintptr_t)vg_dec_word(&r->dec);
    if (!decode_description(r, n) || (type != ANY && n->p.type != type))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_own_handle(x, VG_OBJ_CUgraphExec, (uintptr_t)n->exec);
    if (rc == CUDA_SUCCESS)
        rc = vg_own_handle(x, VG_OBJ_CUgraphNode, (uintptr_t)n->node);
    return rc ? rc : vg_node_check(x, n);
}

static CUresult end_set(struct vg_exec *x, struct vg_node *n, CUresult rc)
{
    const struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUgraphNode, (uintptr_t)n->node);

    if (rc != CUDA_SUCCESS)
        vg_callback_drop(n->callback);
    else if (n->callback && n->exec)
        vg_callback_tie_exec(x, n->callback, n->exec);
    else if (n->callback)
        vg_callback_tie(x, n->callback, (CUgraph)(uintptr_t)(o ? o->parent : 0));
    return rc;
}

#define SET_BODY(symbol, type, exec, ...)                                                          \
    CUresult vg_do_##symbol(struct vg_exec *x, struct vg_req *r)                                   \
    {                                                                                              \
        struct vg_node n;                                                                          \
        CUresult rc = begin_set(x, r, type, exec, &n);                                             \
                                                                                                   \
        if (rc != CUDA_SUCCESS || r->breach)                                                       \
            return rc;                                                                             \
        return end_set(x, &n, x->cuda.symbol(__VA_ARGS__));                                        \
    }

SET_BODY(cuGraphKernelNodeSetParams_v2, CU_GRAPH_NODE_TYPE_KERNEL, false, n.node, &n.p.kernel)
SET_BODY(cuGraphMemcpyNodeSetParams, CU_GRAPH_NODE_TYPE_MEMCPY, false, n.node,
         &n.p.memcpy.copyParams)
SET_BODY(cuGraphMemsetNodeSetParams, CU_GRAPH_NODE_TYPE_MEMSET, false, n.node,
         FIRST(CUDA_MEMSET_NODE_PARAMS, memset))
SET_BODY(cuGraphHostNodeSetParams, CU_GRAPH_NODE_TYPE_HOST, false, n.node,
         FIRST(CUDA_HOST_NODE_PARAMS, host))
SET_BODY(cuGraphBatchMemOpNodeSetParams, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, false, n.node,
         FIRST(CUDA_BATCH_MEM_OP_NODE_PARAMS, memOp))
SET_BODY(cuGraphNodeSetParams, ANY, false, n.node, &n.p)

SET_BODY(cuGraphExecKernelNodeSetParams_v2, CU_GRAPH_NODE_TYPE_KERNEL, true, n.exec, n.node,
         &n.p.kernel)
SET_BODY(cuGraphExecMemcpyNodeSetParams, CU_GRAPH_NODE_TYPE_MEMCPY, true, n.exec, n.node,
         &n.p.memcpy.copyParams, n.p.memcpy.copyCtx)
SET_BODY(cuGraphExecMemsetNodeSetParams, CU_GRAPH_NODE_TYPE_MEMSET, true, n.exec, n.node,
         FIRST(CUDA_MEMSET_NODE_PARAMS, memset), n.p.memset.ctx)
SET_BODY(cuGraphExecHostNodeSetParams, CU_GRAPH_NODE_TYPE_HOST, true, n.exec, n.node,
         FIRST(CUDA_HOST_NODE_PARAMS, host))
SET_BODY(cuGraphExecBatchMemOpNodeSetParams, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, true, n.exec, n.node,
         FIRST(CUDA_BATCH_MEM_OP_NODE_PARAMS, memOp))
SET_BODY(cuGraphExecNodeSetParams, ANY, true, n.exec, n.node, &n.p)
