/* SPDX-License-Identifier: MIT */
/*
 * Nodes made by hand: parameters to ops and back. The typed calls all go through the one struct that
 * can describe any node.
 */
#include "graphnode.h"

#include <stdlib.h>
#include <string.h>

#include "copy.h"
#include "ctx.h"
#include "device.h"
#include "graph.h"
#include "graphcond.h"
#include "launch.h"
#include "memops.h"
#include "module.h"

/* ------------------------------------------------------------- parameters to ops */

static CUresult make_kernel(struct vg_op *op, const CUDA_KERNEL_NODE_PARAMS *p)
{
    struct vg_op_kernel *k = &op->u.kernel;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_from_handle(p->ctx, &ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    *k = (struct vg_op_kernel){ .handle = p->func != NULL ? p->func : (CUfunction)p->kern,
                                .grid = { p->gridDimX, p->gridDimY, p->gridDimZ },
                                .block = { p->blockDimX, p->blockDimY, p->blockDimZ },
                                .shared = p->sharedMemBytes };
    rc = vg_func_resolve(k->handle, ctx, &k->func);
    if (rc == CUDA_SUCCESS)
        rc = vg_launch_check(k);
    if (rc == CUDA_SUCCESS)
        rc = vg_launch_pack(k, p->kernelParams, p->extra);
    if (rc == CUDA_SUCCESS)
        op->type = VG_OP_KERNEL;
    return rc;
}

static CUresult make_copy(struct vg_op *op, const CUDA_MEMCPY3D *p)
{
    bool src_pageable, dst_pageable;
    CUresult rc;

    op->u.copy.d = *p;
    op->u.copy.staged = NULL;
    vg_copy_default_pitch(&op->u.copy.d);
    if (p->WidthInBytes == 0 || p->Height == 0 || p->Depth == 0)
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_copy_check(&op->u.copy.d, &src_pageable, &dst_pageable);
    if (rc == CUDA_SUCCESS)
        op->type = VG_OP_COPY;
    return rc;
}

static CUresult make_memset(struct vg_op *op, const CUDA_MEMSET_NODE_PARAMS_v2 *p)
{
    CUresult rc;

    op->u.memset = (struct vg_op_memset){ .dst = p->dst, .pitch = p->pitch, .value = p->value,
                                          .elem = p->elementSize, .width = p->width,
                                          .height = p->height };
    if (p->width == 0 || p->height == 0)
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_memset_check(&op->u.memset);
    if (rc == CUDA_SUCCESS)
        op->type = VG_OP_MEMSET;
    return rc;
}

static CUresult make_host(struct vg_op *op, const CUDA_HOST_NODE_PARAMS_v2 *p)
{
    if (p->fn == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    op->u.host = (struct vg_op_host){ .fn = p->fn, .data = p->userData };
    op->type = VG_OP_HOST;
    return CUDA_SUCCESS;
}

static CUresult make_event(struct vg_op *op, enum vg_op_type type, CUevent event)
{
    CUresult rc = vg_event_from_handle(event, &op->u.event);

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_engine_lock();
    vg_event_get_locked(op->u.event);
    vg_engine_unlock();
    op->type = type;
    op->external = true;
    return CUDA_SUCCESS;
}

static CUresult make_child(struct vg_op *op, CUgraph child)
{
    struct vg_graph *g = vg_graph_get(child);
    CUresult rc;

    if (g == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    rc = vg_graph_clone_locked(g, &op->u.child);
    if (rc == CUDA_SUCCESS) {
        op->u.child->inner = true;
        op->type = VG_OP_CHILD;
    }
    vg_engine_unlock();
    return rc;
}

static CUresult make_alloc(struct vg_op *op, CUDA_MEM_ALLOC_NODE_PARAMS_v2 *p)
{
    struct vg_device *d = vg_device_get(p->poolProps.location.id);
    CUresult rc;

    if (d == NULL || p->bytesize == 0 || p->poolProps.allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
        p->poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
        p->poolProps.handleTypes != CU_MEM_HANDLE_TYPE_NONE)
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_graph_mem_new(d, p->bytesize, &op->u.mem.graph);
    if (rc != CUDA_SUCCESS)
        return rc;
    p->dptr = op->u.mem.ptr = op->u.mem.graph->ptr;
    op->type = VG_OP_ALLOC;
    return CUDA_SUCCESS;
}

static CUresult make_free(struct vg_op *op, CUdeviceptr ptr)
{
    op->u.mem.ptr = ptr;
    op->u.mem.graph = vg_graph_mem_of(ptr);
    if (op->u.mem.graph == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    op->type = VG_OP_FREE;
    return CUDA_SUCCESS;
}

static CUresult make_op(struct vg_op *op, CUgraphNodeParams *p)
{
    memset(op, 0, sizeof(*op));
    switch (p->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return make_kernel(op, &p->kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return make_copy(op, &p->memcpy.copyParams);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return make_memset(op, &p->memset);
    case CU_GRAPH_NODE_TYPE_HOST:
        return make_host(op, &p->host);
    case CU_GRAPH_NODE_TYPE_GRAPH:
        return make_child(op, p->graph.graph);
    case CU_GRAPH_NODE_TYPE_EMPTY:
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
        return make_event(op, VG_OP_EVENT_WAIT, p->eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        return make_event(op, VG_OP_EVENT_RECORD, p->eventRecord.event);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        return make_alloc(op, &p->alloc);
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        return make_free(op, p->free.dptr);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        return vg_memops_make(op, p->memOp.paramArray, p->memOp.count);
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        return vg_conditional_make(op, &p->conditional);
    default:
        return CUDA_ERROR_NOT_SUPPORTED;
    }
}

/* ---------------------------------------------------------------------- adding */

static CUresult resolve_deps(const struct vg_graph *g, const CUgraphNode *deps, size_t n,
                             struct vg_node ***ret)
{
    struct vg_node **list = n != 0 ? malloc(n * sizeof(*list)) : NULL;
    size_t i;

    if (n != 0 && list == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (i = 0; i < n; i++) {
        list[i] = vg_node_get(deps[i]);
        if (list[i] == NULL || list[i]->graph != g) {
            free(list);
            return CUDA_ERROR_INVALID_VALUE;
        }
    }
    *ret = list;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphAddNode_v2,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, const CUgraphEdgeData *edges,
          size_t n, CUgraphNodeParams *params))
{
    struct vg_graph *g = vg_graph_get(graph);
    struct vg_node **list, *node;
    struct vg_op op;
    CUresult rc;

    (void)edges;                /* ports only allow to start earlier than full completion */
    if (g == NULL || ret == NULL || params == NULL || (n != 0 && deps == NULL) ||
        (params->type == CU_GRAPH_NODE_TYPE_GRAPH && params->graph.graph == graph))
        return CUDA_ERROR_INVALID_VALUE;
    rc = resolve_deps(g, deps, n, &list);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = make_op(&op, params);
    vg_engine_lock();
    if (rc == CUDA_SUCCESS)
        rc = vg_graph_add_locked(g, &op, list, n, &node);
    vg_op_fini_locked(&op);
    vg_engine_unlock();
    free(list);
    if (rc == CUDA_SUCCESS)
        *ret = node->handle;
    return rc;
}

VG_ENTRY(cuGraphAddNode,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n,
          CUgraphNodeParams *params))
{
    return cuGraphAddNode_v2(ret, graph, deps, NULL, n, params);
}

/* Memory and branches belong to a node from its beginning to its end. */
static bool can_change(CUgraphNodeType type)
{
    return type != CU_GRAPH_NODE_TYPE_MEM_ALLOC && type != CU_GRAPH_NODE_TYPE_MEM_FREE &&
           type != CU_GRAPH_NODE_TYPE_CONDITIONAL;
}

VG_ENTRY(cuGraphNodeSetParams, (CUgraphNode handle, CUgraphNodeParams *params))
{
    struct vg_node *node = vg_node_get(handle);
    struct vg_op op;
    CUresult rc;

    if (node == NULL || params == NULL || vg_node_type(node) != params->type ||
        !can_change(params->type))
        return CUDA_ERROR_INVALID_VALUE;
    rc = make_op(&op, params);
    vg_engine_lock();
    if (rc == CUDA_SUCCESS) {
        vg_op_fini_locked(&node->op);
        node->op = op;
    } else {
        vg_op_fini_locked(&op);
    }
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuGraphExecNodeSetParams, (CUgraphExec exec, CUgraphNode node, CUgraphNodeParams *params))
{
    struct vg_op op;
    CUresult rc;

    if (params == NULL || !can_change(params->type))
        return CUDA_ERROR_INVALID_VALUE;
    rc = make_op(&op, params);
    return rc != CUDA_SUCCESS ? rc : vg_exec_replace(exec, node, &op);
}

/* ------------------------------------------------------------------- typed calls */

static void params_init(CUgraphNodeParams *p, CUgraphNodeType type)
{
    memset(p, 0, sizeof(*p));
    p->type = type;
}

/* Each describes a node in the general struct; false when there is nothing to describe. */
static bool kernel_params(CUgraphNodeParams *p, const CUDA_KERNEL_NODE_PARAMS *k)
{
    params_init(p, CU_GRAPH_NODE_TYPE_KERNEL);
    if (k != NULL)
        p->kernel = *k;
    return k != NULL;
}

static bool copy_params(CUgraphNodeParams *p, const CUDA_MEMCPY3D *c)
{
    params_init(p, CU_GRAPH_NODE_TYPE_MEMCPY);
    if (c != NULL)
        p->memcpy.copyParams = *c;
    return c != NULL;
}

static bool memset_params(CUgraphNodeParams *p, const CUDA_MEMSET_NODE_PARAMS *m)
{
    params_init(p, CU_GRAPH_NODE_TYPE_MEMSET);
    if (m != NULL)
        memcpy(&p->memset, m, sizeof(*m));
    return m != NULL;
}

static bool host_params(CUgraphNodeParams *p, const CUDA_HOST_NODE_PARAMS *h)
{
    params_init(p, CU_GRAPH_NODE_TYPE_HOST);
    if (h != NULL)
        memcpy(&p->host, h, sizeof(*h));
    return h != NULL;
}

static bool batch_params(CUgraphNodeParams *p, const CUDA_BATCH_MEM_OP_NODE_PARAMS *b)
{
    params_init(p, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP);
    if (b != NULL)
        memcpy(&p->memOp, b, sizeof(*b));
    return b != NULL;
}

VG_ENTRY(cuGraphAddKernelNode_v2,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n,
          const CUDA_KERNEL_NODE_PARAMS *params))
{
    CUgraphNodeParams p;

    return kernel_params(&p, params) ? cuGraphAddNode_v2(ret, graph, deps, NULL, n, &p)
                               : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphAddHostNode,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n,
          const CUDA_HOST_NODE_PARAMS *params))
{
    CUgraphNodeParams p;

    return host_params(&p, params) ? cuGraphAddNode_v2(ret, graph, deps, NULL, n, &p)
                               : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphAddBatchMemOpNode,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n,
          const CUDA_BATCH_MEM_OP_NODE_PARAMS *params))
{
    CUgraphNodeParams p;

    return batch_params(&p, params) ? cuGraphAddNode_v2(ret, graph, deps, NULL, n, &p)
                               : CUDA_ERROR_INVALID_VALUE;
}

/* The first form of the struct is how the present one begins. */
static const CUDA_KERNEL_NODE_PARAMS *newer(const CUDA_KERNEL_NODE_PARAMS_v1 *old,
                                            CUDA_KERNEL_NODE_PARAMS *p)
{
    memset(p, 0, sizeof(*p));
    if (old != NULL)
        memcpy(p, old, sizeof(*old));
    return old != NULL ? p : NULL;
}

VG_ENTRY(cuGraphAddKernelNode,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n,
          const CUDA_KERNEL_NODE_PARAMS_v1 *params))
{
    CUDA_KERNEL_NODE_PARAMS p;

    return cuGraphAddKernelNode_v2(ret, graph, deps, n, newer(params, &p));
}

VG_ENTRY(cuGraphKernelNodeSetParams, (CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *params))
{
    CUDA_KERNEL_NODE_PARAMS p;

    return cuGraphKernelNodeSetParams_v2(node, newer(params, &p));
}

VG_ENTRY(cuGraphExecKernelNodeSetParams,
         (CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *params))
{
    CUDA_KERNEL_NODE_PARAMS p;

    return cuGraphExecKernelNodeSetParams_v2(exec, node, newer(params, &p));
}

VG_ENTRY(cuGraphAddMemcpyNode,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n,
          const CUDA_MEMCPY3D *params, CUcontext ctx))
{
    CUgraphNodeParams p;

    (void)ctx;
    return copy_params(&p, params) ? cuGraphAddNode_v2(ret, graph, deps, NULL, n, &p)
                                   : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphAddMemsetNode,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n,
          const CUDA_MEMSET_NODE_PARAMS *params, CUcontext ctx))
{
    CUgraphNodeParams p;

    (void)ctx;
    return memset_params(&p, params) ? cuGraphAddNode_v2(ret, graph, deps, NULL, n, &p)
                                     : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphAddEmptyNode, (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n))
{
    CUgraphNodeParams p;

    params_init(&p, CU_GRAPH_NODE_TYPE_EMPTY);
    return cuGraphAddNode_v2(ret, graph, deps, NULL, n, &p);
}

VG_ENTRY(cuGraphAddChildGraphNode,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n, CUgraph child))
{
    CUgraphNodeParams p;

    params_init(&p, CU_GRAPH_NODE_TYPE_GRAPH);
    p.graph.graph = child;
    return cuGraphAddNode_v2(ret, graph, deps, NULL, n, &p);
}

VG_ENTRY(cuGraphAddEventRecordNode,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n, CUevent event))
{
    CUgraphNodeParams p;

    params_init(&p, CU_GRAPH_NODE_TYPE_EVENT_RECORD);
    p.eventRecord.event = event;
    return cuGraphAddNode_v2(ret, graph, deps, NULL, n, &p);
}

VG_ENTRY(cuGraphAddEventWaitNode,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n, CUevent event))
{
    CUgraphNodeParams p;

    params_init(&p, CU_GRAPH_NODE_TYPE_WAIT_EVENT);
    p.eventWait.event = event;
    return cuGraphAddNode_v2(ret, graph, deps, NULL, n, &p);
}

VG_ENTRY(cuGraphAddMemAllocNode,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n,
          CUDA_MEM_ALLOC_NODE_PARAMS_v1 *params))
{
    CUgraphNodeParams p;
    CUresult rc;

    if (params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    params_init(&p, CU_GRAPH_NODE_TYPE_MEM_ALLOC);
    memcpy(&p.alloc, params, sizeof(*params));
    rc = cuGraphAddNode_v2(ret, graph, deps, NULL, n, &p);
    params->dptr = p.alloc.dptr;
    return rc;
}

VG_ENTRY(cuGraphAddMemFreeNode,
         (CUgraphNode *ret, CUgraph graph, const CUgraphNode *deps, size_t n, CUdeviceptr ptr))
{
    CUgraphNodeParams p;

    params_init(&p, CU_GRAPH_NODE_TYPE_MEM_FREE);
    p.free.dptr = ptr;
    return cuGraphAddNode_v2(ret, graph, deps, NULL, n, &p);
}

/* ------------------------------------------------------------- setting parameters */

VG_ENTRY(cuGraphKernelNodeSetParams_v2,
         (CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params))
{
    CUgraphNodeParams p;

    return kernel_params(&p, params) ? cuGraphNodeSetParams(node, &p) : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphMemcpyNodeSetParams, (CUgraphNode node, const CUDA_MEMCPY3D *params))
{
    CUgraphNodeParams p;

    return copy_params(&p, params) ? cuGraphNodeSetParams(node, &p) : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphMemsetNodeSetParams, (CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params))
{
    CUgraphNodeParams p;

    return memset_params(&p, params) ? cuGraphNodeSetParams(node, &p) : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphHostNodeSetParams, (CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params))
{
    CUgraphNodeParams p;

    return host_params(&p, params) ? cuGraphNodeSetParams(node, &p) : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphBatchMemOpNodeSetParams,
         (CUgraphNode node, const CUDA_BATCH_MEM_OP_NODE_PARAMS *params))
{
    CUgraphNodeParams p;

    return batch_params(&p, params) ? cuGraphNodeSetParams(node, &p) : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphExecBatchMemOpNodeSetParams,
         (CUgraphExec exec, CUgraphNode node, const CUDA_BATCH_MEM_OP_NODE_PARAMS *params))
{
    CUgraphNodeParams p;

    return batch_params(&p, params) ? cuGraphExecNodeSetParams(exec, node, &p)
                                    : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphExecKernelNodeSetParams_v2,
         (CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params))
{
    CUgraphNodeParams p;

    return kernel_params(&p, params) ? cuGraphExecNodeSetParams(exec, node, &p)
                                     : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphExecMemcpyNodeSetParams,
         (CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D *params, CUcontext ctx))
{
    CUgraphNodeParams p;

    (void)ctx;
    return copy_params(&p, params) ? cuGraphExecNodeSetParams(exec, node, &p)
                                   : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphExecMemsetNodeSetParams,
         (CUgraphExec exec, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params, CUcontext ctx))
{
    CUgraphNodeParams p;

    (void)ctx;
    return memset_params(&p, params) ? cuGraphExecNodeSetParams(exec, node, &p)
                                     : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphExecHostNodeSetParams,
         (CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params))
{
    CUgraphNodeParams p;

    return host_params(&p, params) ? cuGraphExecNodeSetParams(exec, node, &p)
                                   : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphExecChildGraphNodeSetParams, (CUgraphExec exec, CUgraphNode node, CUgraph child))
{
    CUgraphNodeParams p;

    params_init(&p, CU_GRAPH_NODE_TYPE_GRAPH);
    p.graph.graph = child;
    return cuGraphExecNodeSetParams(exec, node, &p);
}

static CUresult set_event(CUgraphExec exec, CUgraphNode node, CUgraphNodeType type, CUevent event)
{
    CUgraphNodeParams p;

    params_init(&p, type);
    p.eventRecord.event = event;        /* both kinds hold just the event */
    return exec != NULL ? cuGraphExecNodeSetParams(exec, node, &p)
                        : cuGraphNodeSetParams(node, &p);
}

VG_ENTRY(cuGraphEventRecordNodeSetEvent, (CUgraphNode node, CUevent event))
{
    return set_event(NULL, node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, event);
}

VG_ENTRY(cuGraphEventWaitNodeSetEvent, (CUgraphNode node, CUevent event))
{
    return set_event(NULL, node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event);
}

VG_ENTRY(cuGraphExecEventRecordNodeSetEvent, (CUgraphExec exec, CUgraphNode node, CUevent event))
{
    return exec != NULL ? set_event(exec, node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, event)
                        : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphExecEventWaitNodeSetEvent, (CUgraphExec exec, CUgraphNode node, CUevent event))
{
    return exec != NULL ? set_event(exec, node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event)
                        : CUDA_ERROR_INVALID_VALUE;
}
