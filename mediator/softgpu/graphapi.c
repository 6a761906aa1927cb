/* SPDX-License-Identifier: MIT */
/*
 * Graphs as a program sees them: making, copying, walking, reading parameters back.
 */
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "device.h"
#include "graph.h"
#include "handle.h"
#include "module.h"

/* ---------------------------------------------------------------- whole graphs */

VG_ENTRY(cuGraphCreate, (CUgraph *graph, unsigned flags))
{
    struct vg_graph *g;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (graph == NULL || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    g = vg_graph_new();
    if (g == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *graph = g->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphDestroy, (CUgraph graph))
{
    struct vg_graph *g = vg_graph_get(graph);

    if (g == NULL || g->inner)
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    vg_graph_free_locked(g);
    vg_engine_unlock();
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphClone, (CUgraph *clone, CUgraph original))
{
    struct vg_graph *g = vg_graph_get(original), *copy;
    CUresult rc;

    if (clone == NULL || g == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    rc = vg_graph_clone_locked(g, &copy);
    vg_engine_unlock();
    if (rc == CUDA_SUCCESS)
        *clone = copy->handle;
    return rc;
}

VG_ENTRY(cuGraphNodeFindInClone, (CUgraphNode *node, CUgraphNode original, CUgraph clone))
{
    struct vg_graph *g = vg_graph_get(clone);
    size_t i;

    if (node == NULL || g == NULL || vg_node_get(original) == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < g->n; i++)
        if (g->nodes[i]->origin == original) {
            *node = g->nodes[i]->handle;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGraphDestroyNode, (CUgraphNode handle))
{
    struct vg_node *node = vg_node_get(handle);

    if (node == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    vg_graph_remove_locked(node);
    vg_engine_unlock();
    return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------------- walking */

/* The convention of all lists: no array asks for the count; a larger array is cleared behind. */
struct vg_out_list {
    CUgraphNode *list;
    size_t room, n;
};

static void out_add(struct vg_out_list *out, CUgraphNode node)
{
    if (out->list != NULL && out->n < out->room)
        out->list[out->n] = node;
    out->n++;
}

static void out_finish(struct vg_out_list *out, size_t *count)
{
    size_t i;

    for (i = out->n; out->list != NULL && i < out->room; i++)
        out->list[i] = NULL;
    *count = out->list != NULL && out->n > out->room ? out->room : out->n;
}

static CUresult list_nodes(CUgraph graph, CUgraphNode *nodes, size_t *count, bool roots_only)
{
    struct vg_graph *g = vg_graph_get(graph);
    struct vg_out_list out = { nodes, 0, 0 };
    size_t i;

    if (g == NULL || count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    out.room = *count;
    vg_engine_lock();
    for (i = 0; i < g->n; i++)
        if (!roots_only || g->nodes[i]->deps.n == 0)
            out_add(&out, g->nodes[i]->handle);
    vg_engine_unlock();
    out_finish(&out, count);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphGetNodes, (CUgraph graph, CUgraphNode *nodes, size_t *count))
{
    return list_nodes(graph, nodes, count, false);
}

VG_ENTRY(cuGraphGetRootNodes, (CUgraph graph, CUgraphNode *nodes, size_t *count))
{
    return list_nodes(graph, nodes, count, true);
}

static void clear_edges(CUgraphEdgeData *edges, size_t n)
{
    if (edges != NULL)
        memset(edges, 0, n * sizeof(*edges));
}

VG_ENTRY(cuGraphGetEdges_v2,
         (CUgraph graph, CUgraphNode *from, CUgraphNode *to, CUgraphEdgeData *edges, size_t *count))
{
    struct vg_graph *g = vg_graph_get(graph);
    struct vg_out_list a = { from, 0, 0 }, b = { to, 0, 0 };
    size_t i, j;

    if (g == NULL || count == NULL || (from == NULL) != (to == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    a.room = b.room = *count;
    vg_engine_lock();
    for (i = 0; i < g->n; i++)
        for (j = 0; j < g->nodes[i]->deps.n; j++) {
            out_add(&a, g->nodes[i]->deps.list[j]->handle);
            out_add(&b, g->nodes[i]->handle);
        }
    vg_engine_unlock();
    out_finish(&a, count);
    *count = b.room;
    out_finish(&b, count);
    if (from != NULL)
        clear_edges(edges, *count);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphGetEdges, (CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *count))
{
    return cuGraphGetEdges_v2(graph, from, to, NULL, count);
}

VG_ENTRY(cuGraphNodeGetDependencies_v2,
         (CUgraphNode handle, CUgraphNode *deps, CUgraphEdgeData *edges, size_t *count))
{
    struct vg_node *node = vg_node_get(handle);
    struct vg_out_list out = { deps, 0, 0 };
    size_t i;

    if (node == NULL || count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    out.room = *count;
    vg_engine_lock();
    for (i = 0; i < node->deps.n; i++)
        out_add(&out, node->deps.list[i]->handle);
    vg_engine_unlock();
    out_finish(&out, count);
    if (deps != NULL)
        clear_edges(edges, *count);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphNodeGetDependencies, (CUgraphNode node, CUgraphNode *deps, size_t *count))
{
    return cuGraphNodeGetDependencies_v2(node, deps, NULL, count);
}

VG_ENTRY(cuGraphNodeGetDependentNodes_v2,
         (CUgraphNode handle, CUgraphNode *nodes, CUgraphEdgeData *edges, size_t *count))
{
    struct vg_node *node = vg_node_get(handle);
    struct vg_out_list out = { nodes, 0, 0 };
    size_t i, j;

    if (node == NULL || count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    out.room = *count;
    vg_engine_lock();
    for (i = 0; i < node->graph->n; i++)
        for (j = 0; j < node->graph->nodes[i]->deps.n; j++)
            if (node->graph->nodes[i]->deps.list[j] == node)
                out_add(&out, node->graph->nodes[i]->handle);
    vg_engine_unlock();
    out_finish(&out, count);
    if (nodes != NULL)
        clear_edges(edges, *count);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphNodeGetDependentNodes, (CUgraphNode node, CUgraphNode *nodes, size_t *count))
{
    return cuGraphNodeGetDependentNodes_v2(node, nodes, NULL, count);
}

VG_ENTRY(cuGraphNodeGetType, (CUgraphNode handle, CUgraphNodeType *type))
{
    struct vg_node *node = vg_node_get(handle);

    if (node == NULL || type == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *type = vg_node_type(node);
    return CUDA_SUCCESS;
}

/* --------------------------------------------------------------------------- edges */

static bool has_edge(const struct vg_node *from, const struct vg_node *to)
{
    size_t i;

    for (i = 0; i < to->deps.n; i++)
        if (to->deps.list[i] == from)
            return true;
    return false;
}

static void drop_edge(const struct vg_node *from, struct vg_node *to)
{
    size_t i, kept = 0;

    for (i = 0; i < to->deps.n; i++)
        if (to->deps.list[i] != from)
            to->deps.list[kept++] = to->deps.list[i];
    to->deps.n = kept;
}

/* All or nothing: the list is checked before anything changes. */
static CUresult change_edges(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
                             size_t n, bool add)
{
    struct vg_graph *g = vg_graph_get(graph);
    CUresult rc = CUDA_SUCCESS;
    struct vg_node *a, *b;
    size_t i;

    if (g == NULL || (n != 0 && (from == NULL || to == NULL)))
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    for (i = 0; i < n && rc == CUDA_SUCCESS; i++) {
        a = vg_node_get(from[i]);
        b = vg_node_get(to[i]);
        if (a == NULL || b == NULL || a == b || a->graph != g || b->graph != g ||
            has_edge(a, b) == add)
            rc = CUDA_ERROR_INVALID_VALUE;
    }
    for (i = 0; i < n && rc == CUDA_SUCCESS; i++) {
        if (!add)
            drop_edge(vg_node_get(from[i]), vg_node_get(to[i]));
        else if (vg_node_set_add(&vg_node_get(to[i])->deps, vg_node_get(from[i])) != 0)
            rc = CUDA_ERROR_OUT_OF_MEMORY;
    }
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuGraphAddDependencies_v2,
         (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
          const CUgraphEdgeData *edges, size_t n))
{
    (void)edges;
    return change_edges(graph, from, to, n, true);
}

VG_ENTRY(cuGraphRemoveDependencies_v2,
         (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
          const CUgraphEdgeData *edges, size_t n))
{
    (void)edges;
    return change_edges(graph, from, to, n, false);
}

VG_ENTRY(cuGraphAddDependencies,
         (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t n))
{
    return change_edges(graph, from, to, n, true);
}

VG_ENTRY(cuGraphRemoveDependencies,
         (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t n))
{
    return change_edges(graph, from, to, n, false);
}

/* --------------------------------------------------------------- reading parameters */

static struct vg_node *node_of_type(CUgraphNode handle, enum vg_op_type type)
{
    struct vg_node *node = vg_node_get(handle);

    return node != NULL && node->op.type == type ? node : NULL;
}

/* The list points into the node's own copy of the parameters. */
static void **kernel_param_list(struct vg_node *node)
{
    const struct vg_op_kernel *k = &node->op.u.kernel;
    const struct ptx_func_info *info = k->func->info;
    uint32_t i;

    free(node->param_list);
    node->param_list = calloc(info->nparams + 1, sizeof(void *));
    for (i = 0; node->param_list != NULL && i < info->nparams; i++)
        node->param_list[i] = (char *)k->params + info->params[i].offset;
    return node->param_list;
}

VG_ENTRY(cuGraphKernelNodeGetParams_v2, (CUgraphNode handle, CUDA_KERNEL_NODE_PARAMS *params))
{
    struct vg_node *node = node_of_type(handle, VG_OP_KERNEL);
    struct vg_op_kernel *k;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (node == NULL || params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    k = &node->op.u.kernel;
    rc = vg_func_resolve(k->handle, ctx, &k->func);     /* its module may be gone */
    if (rc != CUDA_SUCCESS)
        return rc;
    memset(params, 0, sizeof(*params));
    if (k->func->module->library != NULL)
        params->kern = k->func->module->library->kernels[k->func->index].handle;
    params->func = k->func->handle;
    params->gridDimX = k->grid[0];
    params->gridDimY = k->grid[1];
    params->gridDimZ = k->grid[2];
    params->blockDimX = k->block[0];
    params->blockDimY = k->block[1];
    params->blockDimZ = k->block[2];
    params->sharedMemBytes = k->shared;
    params->ctx = k->func->module->ctx->handle;
    params->kernelParams = kernel_param_list(node);
    return params->kernelParams != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* The first form of the struct is how the present one begins. */
VG_ENTRY(cuGraphKernelNodeGetParams, (CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v1 *params))
{
    CUDA_KERNEL_NODE_PARAMS p;
    CUresult rc = cuGraphKernelNodeGetParams_v2(node, params != NULL ? &p : NULL);

    if (rc == CUDA_SUCCESS)
        memcpy(params, &p, sizeof(*params));
    return rc;
}

VG_ENTRY(cuGraphBatchMemOpNodeGetParams,
         (CUgraphNode handle, CUDA_BATCH_MEM_OP_NODE_PARAMS *params))
{
    struct vg_node *node = node_of_type(handle, VG_OP_MEMOPS);

    if (node == NULL || params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    memset(params, 0, sizeof(*params));
    params->count = node->op.u.memops.count;
    params->paramArray = node->op.u.memops.list;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphMemcpyNodeGetParams, (CUgraphNode handle, CUDA_MEMCPY3D *params))
{
    struct vg_node *node = node_of_type(handle, VG_OP_COPY);

    if (node == NULL || params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *params = node->op.u.copy.d;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphMemsetNodeGetParams, (CUgraphNode handle, CUDA_MEMSET_NODE_PARAMS *params))
{
    struct vg_node *node = node_of_type(handle, VG_OP_MEMSET);
    const struct vg_op_memset *m;

    if (node == NULL || params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    m = &node->op.u.memset;
    params->dst = m->dst;
    params->pitch = m->pitch;
    params->value = m->value;
    params->elementSize = m->elem;
    params->width = m->width;
    params->height = m->height;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphHostNodeGetParams, (CUgraphNode handle, CUDA_HOST_NODE_PARAMS *params))
{
    struct vg_node *node = node_of_type(handle, VG_OP_HOST);

    if (node == NULL || params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    params->fn = node->op.u.host.fn;
    params->userData = node->op.u.host.data;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphChildGraphNodeGetGraph, (CUgraphNode handle, CUgraph *graph))
{
    struct vg_node *node = node_of_type(handle, VG_OP_CHILD);

    if (node == NULL || graph == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *graph = node->op.u.child->handle;
    return CUDA_SUCCESS;
}

static CUresult get_event(struct vg_node *node, CUevent *event)
{
    if (node == NULL || event == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *event = node->op.u.event->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphEventRecordNodeGetEvent, (CUgraphNode handle, CUevent *event))
{
    return get_event(node_of_type(handle, VG_OP_EVENT_RECORD), event);
}

VG_ENTRY(cuGraphEventWaitNodeGetEvent, (CUgraphNode handle, CUevent *event))
{
    return get_event(node_of_type(handle, VG_OP_EVENT_WAIT), event);
}

VG_ENTRY(cuGraphMemAllocNodeGetParams, (CUgraphNode handle, CUDA_MEM_ALLOC_NODE_PARAMS_v1 *params))
{
    struct vg_node *node = node_of_type(handle, VG_OP_ALLOC);

    if (node == NULL || params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    memset(params, 0, sizeof(*params));
    params->poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    params->poolProps.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    params->bytesize = node->op.u.mem.graph->size;
    params->dptr = node->op.u.mem.ptr;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphMemFreeNodeGetParams, (CUgraphNode handle, CUdeviceptr *ptr))
{
    struct vg_node *node = node_of_type(handle, VG_OP_FREE);

    if (node == NULL || ptr == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *ptr = node->op.u.mem.ptr;
    return CUDA_SUCCESS;
}

/* Graph memory is taken when a node is made and returned with it: there is no cache to trim. */
VG_ENTRY(cuDeviceGraphMemTrim, (CUdevice dev))
{
    struct vg_device *d;

    return vg_device_enter(dev, &d);
}

VG_ENTRY(cuDeviceGetGraphMemAttribute, (CUdevice dev, CUgraphMem_attribute attr, void *value))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);
    bool high = attr == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH ||
                attr == CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH;

    if (rc != CUDA_SUCCESS)
        return rc;
    if (value == NULL || (unsigned)attr > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)
        return CUDA_ERROR_INVALID_VALUE;
    *(uint64_t *)value = high ? d->graph_high : d->graph_used;
    return CUDA_SUCCESS;
}

/* Only the high-water marks can be set, and only back to 0. */
VG_ENTRY(cuDeviceSetGraphMemAttribute, (CUdevice dev, CUgraphMem_attribute attr, void *value))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (value == NULL || *(uint64_t *)value != 0 ||
        (attr != CU_GRAPH_MEM_ATTR_USED_MEM_HIGH && attr != CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH))
        return CUDA_ERROR_INVALID_VALUE;
    d->graph_high = d->graph_used;
    return CUDA_SUCCESS;
}

/* Of a node's attributes, those that launches honour are all defaults here. */
VG_ENTRY(cuGraphKernelNodeGetAttribute,
         (CUgraphNode handle, CUkernelNodeAttrID attr, CUkernelNodeAttrValue *value))
{
    struct vg_node *node = node_of_type(handle, VG_OP_KERNEL);

    if (node == NULL || value == NULL || (unsigned)attr >= CU_LAUNCH_ATTRIBUTE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    memset(value, 0, sizeof(*value));
    if (attr == CU_LAUNCH_ATTRIBUTE_COOPERATIVE)
        value->cooperative = node->op.u.kernel.cooperative;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphKernelNodeSetAttribute,
         (CUgraphNode handle, CUkernelNodeAttrID attr, const CUkernelNodeAttrValue *value))
{
    struct vg_node *node = node_of_type(handle, VG_OP_KERNEL);

    if (node == NULL || value == NULL || (unsigned)attr >= CU_LAUNCH_ATTRIBUTE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (attr == CU_LAUNCH_ATTRIBUTE_COOPERATIVE)
        node->op.u.kernel.cooperative = value->cooperative != 0;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphKernelNodeCopyAttributes, (CUgraphNode dst, CUgraphNode src))
{
    struct vg_node *d = node_of_type(dst, VG_OP_KERNEL), *s = node_of_type(src, VG_OP_KERNEL);

    if (d == NULL || s == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    d->op.u.kernel.cooperative = s->op.u.kernel.cooperative;
    return CUDA_SUCCESS;
}
