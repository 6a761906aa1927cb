/* SPDX-License-Identifier: MIT */
/* Bodies: graphs, as far as they come from capture. Serve thread. */
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"

CUresult vg_do_cuGraphLaunch(struct vg_exec *x, struct vg_req *r, struct vg_args_cuGraphLaunch *a)
{
    (void)r;
    VG_STAT_ADD(x, launches, 1);
    return a->hGraph ? x->cuda.cuGraphLaunch(a->hGraph, a->hStream) : CUDA_ERROR_INVALID_VALUE;
}

CUresult vg_do_cuGraphInstantiateWithParams(struct vg_exec *x, struct vg_req *r,
                                            struct vg_args_cuGraphInstantiateWithParams *a)
{
    CUDA_GRAPH_INSTANTIATE_PARAMS *p = &a->instantiateParams;

    (void)r;
    if (!a->has_instantiateParams)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_own_stream(x, p->hUploadStream);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuGraphInstantiateWithParams(&a->phGraphExec, a->hGraph, p);
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
        return CUDA_ERROR_INVALID_HANDLE;
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
