/* SPDX-License-Identifier: MIT */
/*
 * Conditional nodes; see graphcond.h. A launch makes two tasks of such a node: a branch, which
 * looks at the value when its turn comes and then makes tasks of the graph it chose, and an end,
 * which is held back until no more turns come.
 */
#include "graphcond.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "handle.h"

struct vg_condition {
    void *handle;
    struct vg_condition *next;          /* of the graph it was made for */
    struct vg_graph *graph;             /* NULL: ended */
    int refs;                           /* of the graph and of ops */
    uint32_t value, initial;
    bool has_initial, used;
};

static struct vg_condition *condition_get(CUgraphConditionalHandle handle)
{
    return vg_handle_get((void *)(uintptr_t)handle, VG_HANDLE_CONDITION);
}

static void condition_put_locked(struct vg_condition *c)
{
    if (c == NULL || --c->refs != 0)
        return;
    vg_handle_end(c->handle);
    free(c);
}

int vg_condition_set(uint64_t handle, uint32_t value)
{
    struct vg_condition *c = condition_get(handle);

    if (c == NULL)
        return -EINVAL;
    __atomic_store_n(&c->value, value, __ATOMIC_RELEASE);
    return 0;
}

VG_ENTRY(cuGraphConditionalHandleCreate,
         (CUgraphConditionalHandle *ret, CUgraph graph, CUcontext ctx, unsigned initial,
          unsigned flags))
{
    struct vg_graph *g = vg_graph_get(graph);
    struct vg_condition *c;
    struct vg_ctx *owner;
    CUresult rc = vg_ctx_from_handle(ctx, &owner);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (ret == NULL || g == NULL || (flags & ~(unsigned)CU_GRAPH_COND_ASSIGN_DEFAULT) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    c = calloc(1, sizeof(*c));
    if (c == NULL || (c->handle = vg_handle_new(VG_HANDLE_CONDITION, c)) == NULL) {
        free(c);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    c->refs = 1;
    c->graph = g;
    c->initial = initial;
    c->has_initial = flags != 0;
    vg_engine_lock();
    c->next = g->conditions;
    g->conditions = c;
    vg_engine_unlock();
    *ret = (uintptr_t)c->handle;
    return CUDA_SUCCESS;
}

void vg_conditions_clear_locked(struct vg_graph *g)
{
    while (g->conditions != NULL) {
        struct vg_condition *c = g->conditions;

        g->conditions = c->next;
        c->graph = NULL;
        condition_put_locked(c);
    }
}

/* ---------------------------------------------------------------------- as data */

static bool size_is_right(const CUDA_CONDITIONAL_NODE_PARAMS *p)
{
    switch (p->type) {
    case CU_GRAPH_COND_TYPE_IF:
        return p->size == 1 || p->size == 2;    /* the second is the else branch */
    case CU_GRAPH_COND_TYPE_WHILE:
        return p->size == 1;
    case CU_GRAPH_COND_TYPE_SWITCH:
        return p->size != 0 && p->size <= 4096;
    default:
        return false;
    }
}

/* bodies: copies of these, or empty graphs when NULL. */
static CUresult make_bodies(struct vg_op_conditional *c, struct vg_graph *const *bodies)
{
    CUresult rc = CUDA_SUCCESS;
    unsigned i;

    c->body = calloc(c->size, sizeof(*c->body));
    c->handles = calloc(c->size, sizeof(*c->handles));
    if (c->body == NULL || c->handles == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (i = 0; i < c->size && rc == CUDA_SUCCESS; i++) {
        if (bodies != NULL)
            rc = vg_graph_clone_locked(bodies[i], &c->body[i]);
        else if ((c->body[i] = vg_graph_new()) == NULL)
            rc = CUDA_ERROR_OUT_OF_MEMORY;
        if (rc == CUDA_SUCCESS) {
            c->body[i]->inner = true;
            c->handles[i] = c->body[i]->handle;
        }
    }
    return rc;
}

void vg_conditional_fini_locked(struct vg_op_conditional *c)
{
    unsigned i;

    for (i = 0; c->body != NULL && i < c->size; i++)
        vg_graph_free_locked(c->body[i]);
    free(c->body);
    free(c->handles);
    condition_put_locked(c->condition);
    memset(c, 0, sizeof(*c));
}

CUresult vg_conditional_clone_locked(struct vg_op_conditional *dst,
                                     const struct vg_op_conditional *src)
{
    CUresult rc;

    *dst = *src;
    dst->condition->refs++;
    rc = make_bodies(dst, src->body);
    if (rc != CUDA_SUCCESS)
        vg_conditional_fini_locked(dst);
    return rc;
}

CUresult vg_conditional_make(struct vg_op *op, CUDA_CONDITIONAL_NODE_PARAMS *p)
{
    struct vg_condition *condition = condition_get(p->handle);
    struct vg_op_conditional *c = &op->u.conditional;
    CUresult rc;

    if (condition == NULL || condition->used || !size_is_right(p))
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    *c = (struct vg_op_conditional){ .condition = condition, .type = p->type, .size = p->size };
    condition->refs++;
    condition->used = true;
    rc = make_bodies(c, NULL);
    if (rc != CUDA_SUCCESS) {
        vg_conditional_fini_locked(c);
    } else {
        op->type = VG_OP_CONDITIONAL;
        p->phGraph_out = c->handles;
    }
    vg_engine_unlock();
    return rc;
}

/* ------------------------------------------------------------------ before a launch */

static CUresult check_body_locked(const struct vg_graph *g, bool *ret_works);

static CUresult check_inner_locked(const struct vg_op *op, bool *ret_works)
{
    bool works = false;
    CUresult rc = CUDA_SUCCESS;
    unsigned i;

    if (op->type == VG_OP_CHILD)
        return check_body_locked(op->u.child, ret_works);
    for (i = 0; i < op->u.conditional.size && rc == CUDA_SUCCESS; i++)
        rc = check_body_locked(op->u.conditional.body[i], &works);
    *ret_works |= works;
    /* A loop in which nothing happens would never end, and here not even be broken off. */
    if (rc == CUDA_SUCCESS && op->u.conditional.type == CU_GRAPH_COND_TYPE_WHILE && !works)
        rc = CUDA_ERROR_NOT_SUPPORTED;
    return rc;
}

/* *ret_works: set if there is a kernel, copy or fill. */
static CUresult check_body_locked(const struct vg_graph *g, bool *ret_works)
{
    CUresult rc = CUDA_SUCCESS;
    size_t i;

    for (i = 0; i < g->n && rc == CUDA_SUCCESS; i++) {
        const struct vg_op *op = &g->nodes[i]->op;

        if (op->type == VG_OP_KERNEL || op->type == VG_OP_COPY || op->type == VG_OP_MEMSET)
            *ret_works = true;
        else if (op->type == VG_OP_CHILD || op->type == VG_OP_CONDITIONAL)
            rc = check_inner_locked(op, ret_works);
        else if (op->type != VG_OP_EMPTY)
            rc = CUDA_ERROR_NOT_SUPPORTED;
    }
    return rc;
}

CUresult vg_conditions_check_locked(const struct vg_graph *g)
{
    const struct vg_condition *c;
    CUresult rc = CUDA_SUCCESS;
    bool works = false;
    size_t i;

    for (c = g->conditions; c != NULL; c = c->next)
        if (!c->used)
            return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < g->n && rc == CUDA_SUCCESS; i++)
        if (g->nodes[i]->op.type == VG_OP_CONDITIONAL)
            rc = check_inner_locked(&g->nodes[i]->op, &works);
        else if (g->nodes[i]->op.type == VG_OP_CHILD)
            rc = vg_conditions_check_locked(g->nodes[i]->op.u.child);
    return rc;
}

void vg_conditions_reset_locked(const struct vg_graph *g)
{
    size_t i;
    unsigned j;

    for (i = 0; i < g->n; i++) {
        const struct vg_op *op = &g->nodes[i]->op;

        if (op->type == VG_OP_CHILD)
            vg_conditions_reset_locked(op->u.child);
        if (op->type != VG_OP_CONDITIONAL)
            continue;
        if (op->u.conditional.condition->has_initial)
            op->u.conditional.condition->value = op->u.conditional.condition->initial;
        for (j = 0; j < op->u.conditional.size; j++)
            vg_conditions_reset_locked(op->u.conditional.body[j]);
    }
}

/* ------------------------------------------------------------------------- running */

static CUresult branch_submit_locked(struct vg_node *node, const struct vg_graph_run *r,
                                     struct vg_task *end, struct vg_task **ret)
{
    struct vg_op op = { .type = VG_OP_BRANCH };
    struct vg_task *t;

    op.u.branch = (struct vg_op_branch){ .node = node, .end = end, .stream = r->stream,
                                         .priority = r->priority };
    t = vg_task_new(r->ctx, r->stream, &op);
    *ret = t;
    return t != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vg_conditional_launch_locked(struct vg_node *node, const struct vg_graph_run *r,
                                      struct vg_task *entry)
{
    struct vg_op op = { .type = VG_OP_EMPTY };
    struct vg_task *end = vg_task_new(r->ctx, r->stream, &op), *branch;
    CUresult rc;
    size_t i;

    if (end == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    rc = branch_submit_locked(node, r, end, &branch);
    if (rc != CUDA_SUCCESS) {
        vg_task_put_locked(end);
        return rc;
    }
    node->task = vg_task_get_locked(end);
    if (node->deps.n == 0)
        vg_task_after_locked(branch, entry);
    for (i = 0; i < node->deps.n; i++)
        vg_task_after_locked(branch, node->deps.list[i]->task);
    vg_task_submit_locked(branch, false);
    vg_task_put_locked(branch);
    return CUDA_SUCCESS;
}

/* NULL: none of them. */
static struct vg_graph *choose(const struct vg_op_conditional *c)
{
    uint32_t value = __atomic_load_n(&c->condition->value, __ATOMIC_ACQUIRE);

    if (c->type == CU_GRAPH_COND_TYPE_SWITCH)
        return value < c->size ? c->body[value] : NULL;
    if (value != 0)
        return c->body[0];
    return c->type == CU_GRAPH_COND_TYPE_IF && c->size == 2 ? c->body[1] : NULL;
}

/* The next look at a loop's value comes after its body. */
static CUresult run_again_locked(struct vg_op_branch *b, const struct vg_graph_run *r,
                                 struct vg_graph *body)
{
    struct vg_op op = { .type = VG_OP_EMPTY };
    struct vg_task *entry = vg_task_new(r->ctx, r->stream, &op), *again;
    CUresult rc = entry != NULL ? branch_submit_locked(b->node, r, b->end, &again)
                                : CUDA_ERROR_OUT_OF_MEMORY;

    if (rc == CUDA_SUCCESS) {
        b->end = NULL;
        vg_task_submit_locked(entry, false);
        rc = vg_graph_run_locked(body, r, entry, again);
        vg_task_submit_locked(again, false);
        vg_task_put_locked(again);
    }
    vg_task_put_locked(entry);
    return rc;
}

static CUresult run_once_locked(struct vg_op_branch *b, const struct vg_graph_run *r,
                                struct vg_graph *body)
{
    struct vg_op op = { .type = VG_OP_EMPTY };
    struct vg_task *entry = vg_task_new(r->ctx, r->stream, &op);
    CUresult rc = CUDA_ERROR_OUT_OF_MEMORY;

    if (entry != NULL) {
        vg_task_submit_locked(entry, false);
        rc = vg_graph_run_locked(body, r, entry, b->end);
    }
    vg_task_put_locked(entry);
    return rc;
}

CUresult vg_branch_run_locked(struct vg_op_branch *b, struct vg_ctx *ctx)
{
    const struct vg_graph_run r = { ctx, b->stream, b->priority };
    const struct vg_op_conditional *c = &b->node->op.u.conditional;
    struct vg_graph *body = choose(c);

    if (body == NULL)
        return CUDA_SUCCESS;
    return c->type == CU_GRAPH_COND_TYPE_WHILE ? run_again_locked(b, &r, body)
                                               : run_once_locked(b, &r, body);
}

/* Also where the branch never ran, because its context has failed. */
void vg_branch_fini_locked(struct vg_op_branch *b)
{
    if (b->end == NULL)
        return;
    vg_task_submit_locked(b->end, false);
    vg_task_put_locked(b->end);
    b->end = NULL;
}
