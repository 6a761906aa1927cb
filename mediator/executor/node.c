/* SPDX-License-Identifier: MIT */
/* What a node may name, by type of node; see node.h. Serve thread. */
#include "mediator/executor/node.h"

#include <string.h>

#include "mediator/executor/callback.h"
#include "mediator/executor/graph_copy.h"

static CUresult check_context(struct vg_exec *x, CUcontext ctx)
{
    return vg_own_handle(x, VG_OBJ_CUcontext, (uintptr_t)ctx);
}

/* ---- Kernels ---- */

static const struct vg_obj *find_function(const struct vg_exec *x, const CUDA_KERNEL_NODE_PARAMS *k)
{
    uint64_t handle = k->func ? (uintptr_t)k->func : (uintptr_t)k->kern;
    const struct vg_obj *f = vg_obj_find(&x->obj, VG_OBJ_CUfunction, handle);

    return f ? f : vg_obj_find(&x->obj, VG_OBJ_CUkernel, handle);
}

static CUresult check_kernel(struct vg_exec *x, struct vg_node *n)
{
    CUDA_KERNEL_NODE_PARAMS *k = &n->p.kernel;
    CUresult rc = vg_own_handle(x, VG_OBJ_CUfunction, (uintptr_t)k->func);

    if (rc == CUDA_SUCCESS)
        rc = vg_own_handle(x, VG_OBJ_CUkernel, (uintptr_t)k->kern);
    if (rc == CUDA_SUCCESS)
        rc = check_context(x, k->ctx);
    if (rc != CUDA_SUCCESS)
        return rc;
    k->kernelParams = k->extra = NULL;
    const struct vg_obj *f = find_function(x, k);
    if (!f)
        return CUDA_SUCCESS; /* none named: the driver says what that is */
    /* Fewer bytes and the driver would take the rest from behind our payload. */
    if (f->info != VG_PARAMS_UNKNOWN && n->extra_bytes < f->info)
        return CUDA_ERROR_INVALID_VALUE;
    if (n->extra_bytes == 0)
        return CUDA_SUCCESS;
    n->launch[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
    n->launch[1] = (void *)(uintptr_t)n->extra;
    n->launch[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
    n->launch[3] = &n->extra_bytes;
    n->launch[4] = CU_LAUNCH_PARAM_END;
    k->extra = n->launch;
    return CUDA_SUCCESS;
}

/* ---- Copies, fills, memory operations ---- */

static CUresult check_memcpy(struct vg_exec *x, struct vg_node *n)
{
    CUDA_MEMCPY3D *c = &n->p.memcpy.copyParams;
    CUresult rc = check_context(x, n->p.memcpy.copyCtx);

    c->reserved0 = c->reserved1 = NULL;
    if (rc == CUDA_SUCCESS)
        rc = vg_copy_check(x, c);
    /* A node cannot be two; only memory that no part of the region could hold has seams. */
    return rc == CUDA_SUCCESS && !vg_copy_is_whole(x, c) ? CUDA_ERROR_NOT_SUPPORTED : rc;
}

CUresult vg_memset_check(struct vg_exec *x, CUdeviceptr dst, uint64_t pitch, unsigned element,
                         uint64_t width, uint64_t height)
{
    if (width == 0 || height == 0)
        return CUDA_SUCCESS;
    if (element == 0 || width > UINT64_MAX / element)
        return CUDA_ERROR_INVALID_VALUE;
    unsigned __int128 bytes = (unsigned __int128)(height - 1) * (height > 1 ? pitch : 0);
    if (bytes + width * element > UINT64_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_own_range(x, dst, (uint64_t)bytes + width * element);
}

static CUresult check_memset(struct vg_exec *x, struct vg_node *n)
{
    const CUDA_MEMSET_NODE_PARAMS_v2 *m = &n->p.memset;
    CUresult rc = check_context(x, m->ctx);

    return rc ? rc : vg_memset_check(x, m->dst, m->pitch, m->elementSize, m->width, m->height);
}

static CUresult check_memops(struct vg_exec *x, struct vg_node *n)
{
    CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *b = &n->p.memOp;
    const CUstreamBatchMemOpParams *op = n->extra;
    CUresult rc = check_context(x, b->ctx);

    if (!op || b->count > VG_BATCH_MAX || n->extra_bytes != b->count * sizeof(*op))
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < b->count && rc == CUDA_SUCCESS; i++)
        rc = vg_memop_check(x, &op[i]);
    b->paramArray = (CUstreamBatchMemOpParams *)(uintptr_t)op;
    return rc;
}

/* ---- Memory ---- */

static CUresult check_alloc(struct vg_node *n)
{
    CUDA_MEM_ALLOC_NODE_PARAMS_v2 *a = &n->p.alloc;

    if (a->accessDescCount > VG_ACCESS_MAX ||
        n->extra_bytes != a->accessDescCount * sizeof(CUmemAccessDesc))
        return CUDA_ERROR_INVALID_VALUE;
    a->poolProps.win32SecurityAttributes = NULL;
    a->accessDescs = n->extra;
    a->dptr = 0;
    return CUDA_SUCCESS;
}

/* Only what a node has allocated, by its first address. */
static CUresult check_free(const struct vg_exec *x, const struct vg_node *n)
{
    const struct vg_range *m = vg_range_find(&x->ranges, n->p.free.dptr);

    return m && m->base == n->p.free.dptr && m->kind == VG_RANGE_GRAPH ? CUDA_SUCCESS
                                                                       : CUDA_ERROR_INVALID_VALUE;
}

/* ---- What refers to something else ---- */

static CUresult check_host(struct vg_exec *x, struct vg_node *n)
{
    CUDA_HOST_NODE_PARAMS_v2 *h = &n->p.host;

    n->callback = vg_callback_new(&x->callbacks, (uintptr_t)h->userData, false);
    if (!n->callback)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (n->transfer)
        vg_graph_copy_node(x, n->callback);
    h->fn = vg_callback_host_func;
    h->userData = n->callback;
    return CUDA_SUCCESS;
}

static CUresult check_event(struct vg_exec *x, CUevent event)
{
    return vg_own_handle(x, VG_OBJ_CUevent, (uintptr_t)event);
}

/* The graphs of its branches come from the driver. */
static CUresult check_conditional(struct vg_exec *x, struct vg_node *n)
{
    CUDA_CONDITIONAL_NODE_PARAMS *c = &n->p.conditional;
    CUresult rc = check_context(x, c->ctx);

    c->phGraph_out = NULL;
    if (rc == CUDA_SUCCESS && c->size > VG_BODIES_MAX)
        rc = CUDA_ERROR_NOT_SUPPORTED;
    return rc ? rc : vg_own_handle(x, VG_OBJ_CUgraphConditionalHandle, c->handle);
}

CUresult vg_node_check(struct vg_exec *x, struct vg_node *n)
{
    switch (n->p.type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return check_kernel(x, n);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return check_memcpy(x, n);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return check_memset(x, n);
    case CU_GRAPH_NODE_TYPE_HOST:
        return check_host(x, n);
    case CU_GRAPH_NODE_TYPE_GRAPH:
        if (n->graph && n->p.graph.graph == n->graph)
            return CUDA_ERROR_INVALID_VALUE; /* the driver crashes */
        return vg_own_handle(x, VG_OBJ_CUgraph, (uintptr_t)n->p.graph.graph);
    case CU_GRAPH_NODE_TYPE_EMPTY:
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
        return check_event(x, n->p.eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        return check_event(x, n->p.eventRecord.event);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        return check_alloc(n);
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        return check_free(x, n);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        return check_memops(x, n);
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        return check_conditional(x, n);
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL:
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT:
        return CUDA_ERROR_NOT_SUPPORTED; /* there are no external semaphores */
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* ---- Where a node belongs ---- */

uint64_t vg_node_root(const struct vg_exec *x, CUgraphNode node)
{
    const struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUgraphNode, (uintptr_t)node);
    uint64_t graph = 0;

    while (o) {
        graph = o->parent;
        o = vg_obj_find(&x->obj, VG_OBJ_CUgraph, graph);
        if (o)
            o = vg_obj_find(&x->obj, VG_OBJ_CUgraphNode, o->parent);
    }
    return graph;
}

struct vg_callback *vg_node_callback(struct vg_exec *x, CUgraphNode node)
{
    CUDA_HOST_NODE_PARAMS h = {NULL, NULL};
    CUgraphNodeType type;

    if (x->cuda.cuGraphNodeGetType(node, &type) != CUDA_SUCCESS ||
        type != CU_GRAPH_NODE_TYPE_HOST ||
        x->cuda.cuGraphHostNodeGetParams(node, &h) != CUDA_SUCCESS)
        return NULL;
    return h.fn == vg_callback_host_func ? h.userData : NULL;
}
