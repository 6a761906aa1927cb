/* SPDX-License-Identifier: MIT */
/* Bodies: graphs as a whole; their nodes are in do_node*.c. Serve thread. */
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/capture.h"

CUresult vg_do_cuGraphLaunch(struct vg_exec *x, struct vg_req *r, struct vg_args_cuGraphLaunch *a)
{
    (void)r;
    VG_STAT_ADD(x, launches, 1);
    return a->hGraph ? x->cuda.cuGraphLaunch(a->hGraph, a->hStream) : CUDA_ERROR_INVALID_VALUE;
}

/* The nodes in a complaint become the guest's, as those in a list do. */
static uint64_t name_node(struct vg_exec *x, CUgraphNode node, CUgraph graph)
{
    uint64_t handle = (uintptr_t)node;

    if (handle && !vg_obj_find(&x->obj, VG_OBJ_CUgraphNode, handle))
        vg_own_add(x, VG_OBJ_CUgraphNode, handle, (uintptr_t)graph, 0);
    return handle;
}

/* Numbers that go back with a failure too. */
static void complain(struct vg_req *r, const uint64_t *word, unsigned count)
{
    memcpy(r->enc.payload, word, count * sizeof(*word));
    r->enc.len = count * sizeof(*word);
    r->payload_always = true;
}

/* A failure brings the two results of the struct: what is wrong, and where. */
CUresult vg_do_cuGraphInstantiateWithParams(struct vg_exec *x, struct vg_req *r,
                                            struct vg_args_cuGraphInstantiateWithParams *a)
{
    CUDA_GRAPH_INSTANTIATE_PARAMS *p = &a->instantiateParams;

    if (!a->has_instantiateParams)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_own_stream(x, p->hUploadStream);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = x->cuda.cuGraphInstantiateWithParams(&a->phGraphExec, a->hGraph, p);
    if (rc == CUDA_SUCCESS)
        return rc;
    const uint64_t why[] = {p->result_out, name_node(x, p->hErrNode_out, a->hGraph)};
    complain(r, why, 2);
    return rc;
}

/* Words exec, graph; the answer's payload, always: result, its two nodes. */
CUresult vg_do_cuGraphExecUpdate_v2(struct vg_exec *x, struct vg_req *r)
{
    uint64_t exec = vg_dec_word(&r->dec), graph = vg_dec_word(&r->dec);
    CUgraphExecUpdateResultInfo info = {CU_GRAPH_EXEC_UPDATE_ERROR, NULL, NULL};
    CUgraph g = (CUgraph)(uintptr_t)graph;

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_own_handle(x, VG_OBJ_CUgraphExec, exec);
    if (rc == CUDA_SUCCESS)
        rc = vg_own_handle(x, VG_OBJ_CUgraph, graph);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = x->cuda.cuGraphExecUpdate_v2((CUgraphExec)(uintptr_t)exec, g, &info);
    const uint64_t why[] = {info.result, name_node(x, info.errorNode, g),
                            name_node(x, info.errorFromNode, g)};
    complain(r, why, 3);
    return rc;
}

/* An inner graph is its node's. */
CUresult vg_do_cuGraphDestroy(struct vg_exec *x, struct vg_req *r, struct vg_args_cuGraphDestroy *a)
{
    const struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUgraph, (uintptr_t)a->hGraph);

    (void)r;
    return o && (o->info & VG_GRAPH_INNER) ? CUDA_ERROR_INVALID_VALUE
                                           : x->cuda.cuGraphDestroy(a->hGraph);
}

/* A launch under way may still run host nodes whose functions only this executable graph has. */
CUresult vg_do_cuGraphExecDestroy(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuGraphExecDestroy *a)
{
    if (vg_callback_has_exec(x, a->hGraphExec) && !vg_wait_drained(x, r))
        return CUDA_SUCCESS;
    CUresult rc = x->cuda.cuGraphExecDestroy(a->hGraphExec);
    if (rc == CUDA_SUCCESS)
        vg_callback_end_exec(x, a->hGraphExec);
    return rc;
}

/*
 * The lists: words handle, capacity. A capacity of 0 asks for the number only;
 * else the reply holds the arrays one behind the other, each of that capacity.
 */
struct list {
    uint64_t handle;
    size_t capacity, count;
    CUgraphNode *node, *to;
    CUgraphEdgeData *edge;
    CUgraph graph; /* what the nodes belong to */
};

static CUresult begin_list(struct vg_exec *x, struct vg_req *r, enum vg_obj_type type, bool pairs,
                           bool edges, struct list *l)
{
    memset(l, 0, sizeof(*l));
    l->handle = vg_dec_word(&r->dec);
    l->capacity = l->count = vg_dec_word(&r->dec);
    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    const struct vg_obj *o = vg_obj_find(&x->obj, type, l->handle);
    if (!o)
        return CUDA_ERROR_INVALID_VALUE;
    l->graph = (CUgraph)(uintptr_t)(type == VG_OBJ_CUgraph ? l->handle : o->parent);
    size_t unit = sizeof(CUgraphNode) * (pairs ? 2 : 1) + (edges ? sizeof(CUgraphEdgeData) : 0);
    if (l->capacity > r->enc.cap / unit)
        return CUDA_ERROR_INVALID_VALUE;
    if (l->capacity == 0)
        return CUDA_SUCCESS;
    memset(x->out, 0, l->capacity * unit);
    l->node = (CUgraphNode *)x->out;
    l->to = pairs ? l->node + l->capacity : NULL;
    if (edges)
        l->edge = (CUgraphEdgeData *)(l->node + l->capacity * (pairs ? 2 : 1));
    r->enc.len = l->capacity * unit;
    return CUDA_SUCCESS;
}

/* rc: what the driver said. */
static CUresult end_list(struct vg_exec *x, struct vg_req *r, CUresult rc, struct list *l)
{
    size_t written = l->count < l->capacity ? l->count : l->capacity;

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_enc_word(&r->enc, l->count);
    for (size_t i = 0; i < written * (l->to ? 2 : 1); i++) {
        const CUgraphNode *n = i < written ? &l->node[i] : &l->to[i - written];
        if (!vg_obj_find(&x->obj, VG_OBJ_CUgraphNode, (uintptr_t)*n))
            vg_own_add(x, VG_OBJ_CUgraphNode, (uintptr_t)*n, (uintptr_t)l->graph, 0);
    }
    return CUDA_SUCCESS;
}

#define GRAPH(l) ((CUgraph)(uintptr_t)(l).handle)
#define NODE(l)  ((CUgraphNode)(uintptr_t)(l).handle)

#define LIST_BODY(name, type, pairs, edges, ...)                                                   \
    CUresult vg_do_##name(struct vg_exec *x, struct vg_req *r)                                     \
    {                                                                                              \
        struct list l;                                                                             \
        CUresult rc = begin_list(x, r, VG_OBJ_##type, pairs, edges, &l);                           \
                                                                                                   \
        return rc ? rc : end_list(x, r, x->cuda.name(__VA_ARGS__), &l);                            \
    }

LIST_BODY(cuGraphGetNodes, CUgraph, false, false, GRAPH(l), l.node, &l.count)
LIST_BODY(cuGraphGetRootNodes, CUgraph, false, false, GRAPH(l), l.node, &l.count)
LIST_BODY(cuGraphGetEdges, CUgraph, true, false, GRAPH(l), l.node, l.to, &l.count)
LIST_BODY(cuGraphGetEdges_v2, CUgraph, true, true, GRAPH(l), l.node, l.to, l.edge, &l.count)
LIST_BODY(cuGraphNodeGetDependencies, CUgraphNode, false, false, NODE(l), l.node, &l.count)
LIST_BODY(cuGraphNodeGetDependencies_v2, CUgraphNode, false, true, NODE(l), l.node, l.edge,
          &l.count)
LIST_BODY(cuGraphNodeGetDependentNodes, CUgraphNode, false, false, NODE(l), l.node, &l.count)
LIST_BODY(cuGraphNodeGetDependentNodes_v2, CUgraphNode, false, true, NODE(l), l.node, l.edge,
          &l.count)
