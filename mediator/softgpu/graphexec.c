/* SPDX-License-Identifier: MIT */
/*
 * Executable graphs: instantiation, launch, update. A launch becomes one task per node between an
 * entry and an end task in the stream.
 */
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "ctx.h"
#include "device.h"
#include "graph.h"
#include "graphcond.h"
#include "graphnode.h"
#include "handle.h"
#include "module.h"

#define VG_INSTANTIATE_FLAGS                                                         \
    (CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH | CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD | \
     CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY)

static struct vg_graph_exec *exec_get(CUgraphExec handle)
{
    return vg_handle_get(handle, VG_HANDLE_GRAPH_EXEC);
}

/* ---------------------------------------------------------------- instantiation */

static CUresult order_all_locked(struct vg_graph *g)
{
    CUresult rc = vg_graph_order_locked(g);
    size_t i;
    unsigned j;

    for (i = 0; i < g->n && rc == CUDA_SUCCESS; i++) {
        struct vg_op *op = &g->nodes[i]->op;

        if (op->type == VG_OP_CHILD)
            rc = order_all_locked(op->u.child);
        for (j = 0; op->type == VG_OP_CONDITIONAL && j < op->u.conditional.size; j++)
            if (rc == CUDA_SUCCESS)
                rc = order_all_locked(op->u.conditional.body[j]);
    }
    return rc;
}

static CUresult exec_make_locked(const struct vg_graph *g, uint64_t flags,
                                 struct vg_graph_exec **ret)
{
    struct vg_graph_exec *e = calloc(1, sizeof(*e));
    CUresult rc = e != NULL ? vg_graph_clone_locked(g, &e->graph) : CUDA_ERROR_OUT_OF_MEMORY;

    if (rc == CUDA_SUCCESS)
        rc = order_all_locked(e->graph);
    if (rc == CUDA_SUCCESS) {
        e->flags = flags;
        e->handle = vg_handle_new(VG_HANDLE_GRAPH_EXEC, e);
        if (e->handle == NULL)
            rc = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (rc == CUDA_SUCCESS) {
        *ret = e;
    } else if (e != NULL) {
        vg_graph_free_locked(e->graph);
        free(e);
    }
    return rc;
}

VG_ENTRY(cuGraphInstantiateWithFlags, (CUgraphExec *exec, CUgraph graph, unsigned long long flags))
{
    struct vg_graph *g;
    struct vg_graph_exec *e = NULL;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    g = vg_graph_get(graph);
    if (exec == NULL || g == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (flags & ~(uint64_t)VG_INSTANTIATE_FLAGS)
        return flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH ? CUDA_ERROR_NOT_SUPPORTED
                                                                : CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    rc = vg_conditions_check_locked(g);
    if (rc == CUDA_SUCCESS)
        rc = exec_make_locked(g, flags, &e);
    vg_engine_unlock();
    if (rc == CUDA_SUCCESS)
        *exec = e->handle;
    return rc;
}

VG_ENTRY(cuGraphInstantiateWithParams,
         (CUgraphExec *exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *params))
{
    CUresult rc;

    if (params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    rc = cuGraphInstantiateWithFlags(exec, graph, params->flags);
    params->hErrNode_out = NULL;
    params->result_out = rc == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS
                         : rc == CUDA_ERROR_INVALID_VALUE
                             ? CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE
                             : CUDA_GRAPH_INSTANTIATE_ERROR;
    return rc;
}

VG_ENTRY(cuGraphInstantiate_v2,
         (CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node, char *log, size_t log_size))
{
    if (error_node != NULL)
        *error_node = NULL;
    if (log != NULL && log_size != 0)
        log[0] = '\0';
    return cuGraphInstantiateWithFlags(exec, graph, 0);
}

VG_ENTRY(cuGraphInstantiate,
         (CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node, char *log, size_t log_size))
{
    return cuGraphInstantiate_v2(exec, graph, error_node, log, log_size);
}

VG_ENTRY(cuGraphExecGetFlags, (CUgraphExec exec, uint64_t *flags))
{
    struct vg_graph_exec *e = exec_get(exec);

    if (e == NULL || flags == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *flags = e->flags;
    return CUDA_SUCCESS;
}

/*
 * What the graph holds (memory, references to user objects, branches not taken yet) is kept until
 * its last launch is done: a task behind that owns it. Nobody waits here, since a host node may
 * need the thread that called us.
 */
static void graph_free_after_locked(struct vg_graph *g, struct vg_task *last)
{
    struct vg_op op = { .type = VG_OP_CHILD, .u.child = g };
    struct vg_task *t = vg_task_is_done(last) ? NULL : vg_task_new(last->ctx, last->stream, &op);

    if (t == NULL) {
        if (last != NULL)
            vg_task_wait_locked(last);
        vg_graph_free_locked(g);
        return;
    }
    vg_task_after_locked(t, last);
    vg_task_submit_locked(t, false);
    vg_task_put_locked(t);
}

VG_ENTRY(cuGraphExecDestroy, (CUgraphExec exec))
{
    struct vg_graph_exec *e = exec_get(exec);

    if (e == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    vg_handle_end(exec);
    vg_engine_lock();
    graph_free_after_locked(e->graph, e->last);
    vg_task_put_locked(e->last);
    vg_engine_unlock();
    free(e);
    return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------------ launch */

/* Functions are resolved outside the engine's lock: a library may have to be loaded first. */
static CUresult resolve_all(struct vg_graph *g, struct vg_ctx *ctx)
{
    CUresult rc = CUDA_SUCCESS;
    size_t i;
    unsigned j;

    for (i = 0; i < g->n && rc == CUDA_SUCCESS; i++) {
        struct vg_op *op = &g->nodes[i]->op;

        if (op->type == VG_OP_KERNEL) {
            rc = vg_func_resolve(op->u.kernel.handle, ctx, &op->u.kernel.func);
            if (rc == CUDA_SUCCESS && op->u.kernel.func->module->ctx != ctx)
                rc = CUDA_ERROR_NOT_SUPPORTED;  /* graphs over several contexts */
        } else if (op->type == VG_OP_CHILD) {
            rc = resolve_all(op->u.child, ctx);
        } else if (op->type == VG_OP_CONDITIONAL) {
            for (j = 0; j < op->u.conditional.size && rc == CUDA_SUCCESS; j++)
                rc = resolve_all(op->u.conditional.body[j], ctx);
        }
    }
    return rc;
}

static void task_after_deps_locked(struct vg_task *t, const struct vg_node *node,
                                   struct vg_task *entry)
{
    size_t i;

    if (node->deps.n == 0)
        vg_task_after_locked(t, entry);
    for (i = 0; i < node->deps.n; i++)
        vg_task_after_locked(t, node->deps.list[i]->task);
}

/* A child graph's own end task stands for the node. */
static CUresult launch_child_locked(struct vg_node *node, const struct vg_graph_run *r,
                                    struct vg_task *entry)
{
    struct vg_op op = { .type = VG_OP_EMPTY };
    struct vg_task *head = vg_task_new(r->ctx, r->stream, &op);
    struct vg_task *end = vg_task_new(r->ctx, r->stream, &op);
    CUresult rc = CUDA_ERROR_OUT_OF_MEMORY;

    if (head != NULL && end != NULL) {
        task_after_deps_locked(head, node, entry);
        vg_task_submit_locked(head, false);
        vg_task_after_locked(end, head);
        rc = node->disabled ? CUDA_SUCCESS
                            : vg_graph_run_locked(node->op.u.child, r, head, end);
        vg_task_submit_locked(end, false);
        node->task = vg_task_get_locked(end);
    }
    vg_task_put_locked(head);
    vg_task_put_locked(end);
    return rc;
}

static CUresult launch_node_locked(struct vg_node *node, const struct vg_graph_run *r,
                                   struct vg_task *entry)
{
    struct vg_op op = { .type = VG_OP_EMPTY };
    CUresult rc = node->disabled ? CUDA_SUCCESS : vg_op_clone_locked(&op, &node->op);
    struct vg_task *t;

    if (rc != CUDA_SUCCESS)
        return rc;
    t = vg_task_new(r->ctx, r->stream, &op);
    if (t == NULL) {
        vg_op_fini_locked(&op);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    t->priority = r->priority;
    task_after_deps_locked(t, node, entry);
    if (t->op.type == VG_OP_EVENT_WAIT)
        vg_task_after_locked(t, t->op.u.event->task);
    if (t->op.type == VG_OP_EVENT_RECORD)
        vg_event_set_task_locked(t->op.u.event, t);
    vg_task_submit_locked(t, false);
    node->task = t;
    return CUDA_SUCCESS;
}

static CUresult launch_any_locked(struct vg_node *node, const struct vg_graph_run *r,
                                  struct vg_task *entry)
{
    if (node->op.type == VG_OP_CHILD)
        return launch_child_locked(node, r, entry);
    if (node->op.type == VG_OP_CONDITIONAL)
        return vg_conditional_launch_locked(node, r, entry);
    return launch_node_locked(node, r, entry);
}

CUresult vg_graph_run_locked(struct vg_graph *g, const struct vg_graph_run *r,
                             struct vg_task *entry, struct vg_task *end)
{
    CUresult rc = CUDA_SUCCESS;
    size_t i;

    for (i = 0; i < g->n && rc == CUDA_SUCCESS; i++)
        rc = launch_any_locked(g->nodes[i], r, entry);
    for (i = 0; i < g->n; i++) {
        vg_task_after_locked(end, g->nodes[i]->task);
        vg_task_put_locked(g->nodes[i]->task);
        g->nodes[i]->task = NULL;
    }
    return rc;
}

/* A graph does not overlap with itself: the entry comes after the end of the launch before. */
static CUresult exec_launch_locked(struct vg_graph_exec *e, struct vg_stream *s)
{
    const struct vg_graph_run r = { s->ctx, s, s->priority };
    struct vg_op op = { .type = VG_OP_EMPTY }, reset = { .type = VG_OP_RESET };
    struct vg_task *entry, *end;
    CUresult rc = CUDA_ERROR_OUT_OF_MEMORY;

    reset.u.child = e->graph;
    entry = vg_task_new(s->ctx, s, &reset);
    end = vg_task_new(s->ctx, s, &op);

    if (entry != NULL && end != NULL) {
        vg_task_after_locked(entry, e->last);
        vg_stream_append_locked(s, entry);
        vg_task_submit_locked(entry, false);
        rc = vg_graph_run_locked(e->graph, &r, entry, end);
        vg_stream_append_locked(s, end);
        vg_task_submit_locked(end, false);
        vg_task_put_locked(e->last);
        e->last = vg_task_get_locked(end);
    }
    vg_task_put_locked(entry);
    vg_task_put_locked(end);
    return rc;
}

/* In a capture, a launch is recorded as a child graph. */
static CUresult exec_capture(struct vg_graph_exec *e, struct vg_stream *s)
{
    struct vg_op op = { .type = VG_OP_CHILD };
    CUresult rc;

    vg_engine_lock();
    rc = vg_graph_clone_locked(e->graph, &op.u.child);
    vg_engine_unlock();
    return rc != CUDA_SUCCESS ? rc : vg_stream_issue(s, &op, false);
}

VG_ENTRY(cuGraphLaunch, (CUgraphExec exec, CUstream stream))
{
    struct vg_graph_exec *e = NULL;
    struct vg_op op = { .type = VG_OP_EMPTY };
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    e = exec_get(exec);
    if (e == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (s->capture != NULL)
        return exec_capture(e, s);
    rc = resolve_all(e->graph, s->ctx);
    if (rc != CUDA_SUCCESS)
        return rc;
    vg_engine_lock();
    if (!vg_capture_intercept_locked(s, &op, false, &rc))
        rc = exec_launch_locked(e, s);
    if (rc == CUDA_SUCCESS)
        vg_graph_mem_launched_locked(e->graph);
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuGraphUpload, (CUgraphExec exec, CUstream stream))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    return exec_get(exec) != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ------------------------------------------------------------------------ update */

static size_t dep_position(const struct vg_node *node, size_t j)
{
    return node->deps.list[j]->mark;
}

static CUgraphExecUpdateResult update_compare(const struct vg_graph *old,
                                              const struct vg_graph *new_graph,
                                              const struct vg_node **ret_bad)
{
    size_t i, j;

    for (i = 0; i < old->n && i < new_graph->n; i++)
        old->nodes[i]->mark = new_graph->nodes[i]->mark = (unsigned)i;
    if (old->n != new_graph->n)
        return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    for (i = 0; i < old->n; i++) {
        const struct vg_node *a = old->nodes[i], *b = new_graph->nodes[i];

        *ret_bad = b;
        if (a->op.type != b->op.type)
            return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
        if (a->deps.n != b->deps.n)
            return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
        for (j = 0; j < a->deps.n; j++)
            if (dep_position(a, j) != dep_position(b, j))
                return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    }
    *ret_bad = NULL;
    return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

static void swap_ops(struct vg_graph *a, struct vg_graph *b)
{
    struct vg_op op;
    size_t i;

    for (i = 0; i < a->n; i++) {
        op = a->nodes[i]->op;
        a->nodes[i]->op = b->nodes[i]->op;
        b->nodes[i]->op = op;
    }
}

/* What the old operations referred to goes with them, once a launch under way is done. */
static void swap_contents(struct vg_graph_exec *e, struct vg_graph *fresh)
{
    struct vg_user_refs refs = e->graph->objects;

    swap_ops(e->graph, fresh);
    e->graph->objects = fresh->objects;
    fresh->objects = refs;
}

static CUresult exec_update_locked(struct vg_graph_exec *e, const struct vg_graph *g,
                                   CUgraphExecUpdateResultInfo *info)
{
    const struct vg_node *bad = NULL;
    struct vg_graph *fresh;
    CUresult rc = vg_graph_clone_locked(g, &fresh);

    if (rc != CUDA_SUCCESS)
        return rc;
    info->result = order_all_locked(fresh) == CUDA_SUCCESS
                       ? update_compare(e->graph, fresh, &bad)
                       : CU_GRAPH_EXEC_UPDATE_ERROR;
    if (info->result == CU_GRAPH_EXEC_UPDATE_SUCCESS)
        swap_contents(e, fresh);
    else
        rc = CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    info->errorNode = bad != NULL ? bad->origin : NULL;
    graph_free_after_locked(fresh, e->last);
    return rc;
}

VG_ENTRY(cuGraphExecUpdate_v2,
         (CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *info))
{
    struct vg_graph_exec *e = exec_get(exec);
    struct vg_graph *g = vg_graph_get(graph);
    CUgraphExecUpdateResultInfo nobody_asks;
    CUresult rc;

    if (e == NULL || g == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (info == NULL)
        info = &nobody_asks;
    memset(info, 0, sizeof(*info));
    vg_engine_lock();
    rc = exec_update_locked(e, g, info);
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuGraphExecUpdate,
         (CUgraphExec exec, CUgraph graph, CUgraphNode *error_node,
          CUgraphExecUpdateResult *result))
{
    CUgraphExecUpdateResultInfo info = { .result = CU_GRAPH_EXEC_UPDATE_ERROR };
    CUresult rc = cuGraphExecUpdate_v2(exec, graph, &info);

    if (error_node != NULL)
        *error_node = info.errorNode;
    if (result != NULL)
        *result = info.result;
    return rc;
}

/* --------------------------------------------------------------- nodes of executables */

static struct vg_node *find_copy(const struct vg_graph *g, CUgraphNode origin);

static struct vg_node *find_in_branches(const struct vg_op_conditional *c, CUgraphNode origin)
{
    struct vg_node *found = NULL;
    unsigned i;

    for (i = 0; i < c->size && found == NULL; i++)
        found = find_copy(c->body[i], origin);
    return found;
}

static struct vg_node *find_copy(const struct vg_graph *g, CUgraphNode origin)
{
    struct vg_node *found = NULL;
    size_t i;

    for (i = 0; i < g->n && found == NULL; i++) {
        if (g->nodes[i]->origin == origin)
            found = g->nodes[i];
        else if (g->nodes[i]->op.type == VG_OP_CHILD)
            found = find_copy(g->nodes[i]->op.u.child, origin);
        else if (g->nodes[i]->op.type == VG_OP_CONDITIONAL)
            found = find_in_branches(&g->nodes[i]->op.u.conditional, origin);
    }
    return found;
}

CUresult vg_exec_replace(CUgraphExec exec, CUgraphNode origin, struct vg_op *op)
{
    struct vg_graph_exec *e = exec_get(exec);
    struct vg_node *node = e != NULL ? find_copy(e->graph, origin) : NULL;
    CUresult rc = CUDA_ERROR_INVALID_VALUE;

    vg_engine_lock();
    if (node != NULL && node->op.type == op->type && op->type == VG_OP_CHILD &&
        order_all_locked(op->u.child) != CUDA_SUCCESS)
        node = NULL;
    if (node != NULL && node->op.type == op->type) {
        vg_op_fini_locked(&node->op);
        node->op = *op;
        op->type = VG_OP_EMPTY;
        rc = CUDA_SUCCESS;
    }
    vg_op_fini_locked(op);
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuGraphNodeSetEnabled, (CUgraphExec exec, CUgraphNode node, unsigned enabled))
{
    struct vg_graph_exec *e = exec_get(exec);
    struct vg_node *copy = e != NULL ? find_copy(e->graph, node) : NULL;

    if (copy == NULL || (copy->op.type != VG_OP_KERNEL && copy->op.type != VG_OP_COPY &&
                         copy->op.type != VG_OP_MEMSET))
        return CUDA_ERROR_INVALID_VALUE;
    copy->disabled = enabled == 0;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGraphNodeGetEnabled, (CUgraphExec exec, CUgraphNode node, unsigned *enabled))
{
    struct vg_graph_exec *e = exec_get(exec);
    struct vg_node *copy = e != NULL ? find_copy(e->graph, node) : NULL;

    if (copy == NULL || enabled == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *enabled = !copy->disabled;
    return CUDA_SUCCESS;
}
