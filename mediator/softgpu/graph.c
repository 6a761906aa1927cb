/* SPDX-License-Identifier: MIT */
/*
 * Graphs as data: nodes, edges, copies, order.
 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "device.h"
#include "graphcond.h"
#include "handle.h"

struct vg_graph *vg_graph_get(CUgraph handle)
{
    return vg_handle_get(handle, VG_HANDLE_GRAPH);
}

struct vg_node *vg_node_get(CUgraphNode handle)
{
    return vg_handle_get(handle, VG_HANDLE_NODE);
}

struct vg_graph *vg_graph_new(void)
{
    struct vg_graph *g = calloc(1, sizeof(*g));

    if (g == NULL || (g->handle = vg_handle_new(VG_HANDLE_GRAPH, g)) == NULL) {
        free(g);
        return NULL;
    }
    return g;
}

static void node_free_locked(struct vg_node *node)
{
    vg_handle_end(node->handle);
    vg_op_fini_locked(&node->op);
    vg_node_set_clear(&node->deps);
    free(node->param_list);
    free(node);
}

void vg_graph_free_locked(struct vg_graph *g)
{
    size_t i;

    if (g == NULL)
        return;
    vg_handle_end(g->handle);
    for (i = 0; i < g->n; i++)
        node_free_locked(g->nodes[i]);
    vg_user_refs_clear_locked(&g->objects);
    vg_conditions_clear_locked(g);
    free(g->nodes);
    free(g);
}

/* ------------------------------------------------------------------------ nodes */

static CUresult graph_reserve(struct vg_graph *g)
{
    struct vg_node **grown;

    if (g->n < g->cap)
        return CUDA_SUCCESS;
    grown = realloc(g->nodes, (2 * g->cap + 16) * sizeof(*grown));
    if (grown == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    g->nodes = grown;
    g->cap = 2 * g->cap + 16;
    return CUDA_SUCCESS;
}

CUresult vg_graph_add_locked(struct vg_graph *g, struct vg_op *op, struct vg_node *const *deps,
                             size_t n, struct vg_node **ret)
{
    struct vg_node *node;
    size_t i;

    if (graph_reserve(g) != CUDA_SUCCESS || (node = calloc(1, sizeof(*node))) == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    node->graph = g;
    node->handle = vg_handle_new(VG_HANDLE_NODE, node);
    for (i = 0; i < n && node->handle != NULL; i++)
        if (vg_node_set_add(&node->deps, deps[i]) != 0)
            break;
    if (node->handle == NULL || i < n) {
        node_free_locked(node);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    node->op = *op;
    op->type = VG_OP_EMPTY;
    g->nodes[g->n++] = node;
    *ret = node;
    return CUDA_SUCCESS;
}

static void set_remove(struct vg_node_set *set, const struct vg_node *node)
{
    size_t i, kept = 0;

    for (i = 0; i < set->n; i++)
        if (set->list[i] != node)
            set->list[kept++] = set->list[i];
    set->n = kept;
}

void vg_graph_remove_locked(struct vg_node *node)
{
    struct vg_graph *g = node->graph;
    size_t i, kept = 0;

    for (i = 0; i < g->n; i++) {
        set_remove(&g->nodes[i]->deps, node);
        if (g->nodes[i] != node)
            g->nodes[kept++] = g->nodes[i];
    }
    g->n = kept;
    node_free_locked(node);
}

void vg_graph_count_dependents_locked(struct vg_graph *g)
{
    size_t i, j;

    for (i = 0; i < g->n; i++)
        g->nodes[i]->mark = 0;
    for (i = 0; i < g->n; i++)
        for (j = 0; j < g->nodes[i]->deps.n; j++)
            g->nodes[i]->deps.list[j]->mark++;
}

CUgraphNodeType vg_node_type(const struct vg_node *node)
{
    static const CUgraphNodeType type[VG_OP_TYPE_COUNT] = {
        [VG_OP_EMPTY] = CU_GRAPH_NODE_TYPE_EMPTY,
        [VG_OP_KERNEL] = CU_GRAPH_NODE_TYPE_KERNEL,
        [VG_OP_COPY] = CU_GRAPH_NODE_TYPE_MEMCPY,
        [VG_OP_MEMSET] = CU_GRAPH_NODE_TYPE_MEMSET,
        [VG_OP_HOST] = CU_GRAPH_NODE_TYPE_HOST,
        [VG_OP_CALLBACK] = CU_GRAPH_NODE_TYPE_HOST,
        [VG_OP_EVENT_RECORD] = CU_GRAPH_NODE_TYPE_EVENT_RECORD,
        [VG_OP_EVENT_WAIT] = CU_GRAPH_NODE_TYPE_WAIT_EVENT,
        [VG_OP_MEMOPS] = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP,
        [VG_OP_ALLOC] = CU_GRAPH_NODE_TYPE_MEM_ALLOC,
        [VG_OP_FREE] = CU_GRAPH_NODE_TYPE_MEM_FREE,
        [VG_OP_CHILD] = CU_GRAPH_NODE_TYPE_GRAPH,
        [VG_OP_CONDITIONAL] = CU_GRAPH_NODE_TYPE_CONDITIONAL,
    };

    return type[node->op.type];
}

/* ------------------------------------------------------------------------ copies */

/* Positions are the same in both graphs. */
static CUresult copy_edges(struct vg_graph *to, const struct vg_graph *from)
{
    size_t i, j;

    for (i = 0; i < from->n; i++)
        from->nodes[i]->mark = (unsigned)i;
    for (i = 0; i < from->n; i++)
        for (j = 0; j < from->nodes[i]->deps.n; j++)
            if (vg_node_set_add(&to->nodes[i]->deps,
                                to->nodes[from->nodes[i]->deps.list[j]->mark]) != 0)
                return CUDA_ERROR_OUT_OF_MEMORY;
    return CUDA_SUCCESS;
}

CUresult vg_graph_clone_locked(const struct vg_graph *g, struct vg_graph **ret)
{
    struct vg_graph *copy = vg_graph_new();
    CUresult rc = copy != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    struct vg_node *node;
    struct vg_op op;
    size_t i;

    for (i = 0; i < g->n && rc == CUDA_SUCCESS; i++) {
        rc = vg_op_clone_locked(&op, &g->nodes[i]->op);
        if (rc == CUDA_SUCCESS)
            rc = vg_graph_add_locked(copy, &op, NULL, 0, &node);
        if (rc == CUDA_SUCCESS)
            node->origin = g->nodes[i]->handle;
        vg_op_fini_locked(&op);
    }
    if (rc == CUDA_SUCCESS)
        rc = copy_edges(copy, g);
    if (rc == CUDA_SUCCESS && vg_user_refs_copy_locked(&copy->objects, &g->objects) != 0)
        rc = CUDA_ERROR_OUT_OF_MEMORY;
    if (rc == CUDA_SUCCESS)
        *ret = copy;
    else
        vg_graph_free_locked(copy);
    return rc;
}

/* ------------------------------------------------------------------------- order */

/* Kahn's algorithm; nodes keep their relative order where edges allow. */
CUresult vg_graph_order_locked(struct vg_graph *g)
{
    struct vg_node **out = malloc((g->n + 1) * sizeof(*out));
    size_t done = 0, before, i, j;

    if (out == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (i = 0; i < g->n; i++)
        g->nodes[i]->mark = 1;
    do {
        before = done;
        for (i = 0; i < g->n; i++) {
            struct vg_node *node = g->nodes[i];

            for (j = 0; j < node->deps.n && node->deps.list[j]->mark == 0; j++)
                ;
            if (node->mark != 0 && j == node->deps.n) {
                node->mark = 0;
                out[done++] = node;
            }
        }
    } while (done > before && done < g->n);
    if (done == g->n && done > 0)
        memcpy(g->nodes, out, g->n * sizeof(*out));
    free(out);
    return done == g->n ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ------------------------------------------------------------------ graph memory */

CUresult vg_graph_mem_new(struct vg_device *dev, size_t size, struct vg_graph_mem **ret)
{
    struct vg_graph_mem *mem = calloc(1, sizeof(*mem));
    struct vg_block_owner owner = { .kind = VG_BLOCK_GRAPH, .graph = mem,
                                    .counter = &dev->graph_used };
    uint64_t base;

    if (mem == NULL || vg_arena_alloc((unsigned)dev->ordinal, size, &owner, &base) != 0) {
        free(mem);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (dev->graph_used > dev->graph_high)
        dev->graph_high = dev->graph_used;
    mem->refs = 1;
    mem->ptr = base;
    mem->size = size;
    *ret = mem;
    return CUDA_SUCCESS;
}

struct vg_graph_mem *vg_graph_mem_of(CUdeviceptr ptr)
{
    struct vg_block_info block;

    if (vg_arena_find(ptr, &block) != 0 || block.owner.kind != VG_BLOCK_GRAPH)
        return NULL;
    vg_engine_lock();
    block.owner.graph->refs++;
    vg_engine_unlock();
    return block.owner.graph;
}

static void note_launch_locked(struct vg_graph *g, enum vg_op_type type, bool outside)
{
    for (size_t i = 0; i < g->n; i++) {
        struct vg_op *op = &g->nodes[i]->op;
        if (op->type == VG_OP_CHILD)
            note_launch_locked(op->u.child, type, outside);
        else if (op->type == type && op->u.mem.graph != NULL)
            op->u.mem.graph->outside = outside;
    }
}

void vg_graph_mem_launched_locked(struct vg_graph *g)
{
    note_launch_locked(g, VG_OP_ALLOC, true);
    note_launch_locked(g, VG_OP_FREE, false);
}

void vg_graph_mem_freed(CUdeviceptr ptr)
{
    struct vg_block_info block;

    vg_engine_lock();
    if (vg_arena_find(ptr, &block) == 0 && block.owner.kind == VG_BLOCK_GRAPH)
        block.owner.graph->outside = false;
    vg_engine_unlock();
}

bool vg_graph_mem_is_outside(CUdeviceptr ptr)
{
    struct vg_block_info block;
    bool outside = true;

    vg_engine_lock();
    if (vg_arena_find(ptr, &block) == 0 && block.owner.kind == VG_BLOCK_GRAPH)
        outside = block.owner.graph->outside;
    vg_engine_unlock();
    return outside;
}
