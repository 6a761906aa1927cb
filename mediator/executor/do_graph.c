/* SPDX-License-Identifier: MIT */
/*
 * Bodies: graphs as a whole; their nodes are in do_node*.c. Serve thread, and the one beside it
 * (aside.h).
 */
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/aside.h"
#include "mediator/executor/capture.h"

CUresult vg_do_cuGraphLaunch(struct vg_exec *x, struct vg_req *r, struct vg_args_cuGraphLaunch *a)
{
    (void)r;
    VG_STAT_ADD(x, launches, 1);
    x->graphs++;
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

/* ---- What takes the driver long with a large graph: beside the serve thread (aside.h) ---- */

/*
 * Fewer nodes are done with sooner than handed over. An update is quicker, and made again and
 * again by who computes in a loop. No other thread of the guest may be adding nodes to a graph
 * meanwhile, by a capture.
 */
#define LARGE_NODES  256u
#define LARGE_UPDATE 2048u

struct building {
    struct vg_aside aside;
    CUgraph graph;
    CUgraphExec exec;
    CUDA_GRAPH_INSTANTIATE_PARAMS params;
    unsigned long long flags;
    CUstream stream;    /* that it is uploaded on, if it is */
    bool wanted;        /* the guest wants the handle */
    CUgraphExecUpdateResultInfo info;
    uint32_t nodes, large;  /* how many there are, and that would be called large */
    CUresult rc;
};

static uint32_t count_nodes(const struct vg_exec *x, CUgraph graph)
{
    size_t n = 0;

    if (x->cuda.cuGraphGetNodes(graph, NULL, &n) != CUDA_SUCCESS)
        return 0;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static CUresult build(struct vg_exec *x, struct vg_req *r, const struct building *how,
                      void (*work)(struct vg_exec *x, struct vg_aside *a),
                      CUresult (*finish)(struct vg_exec *x, struct vg_req *r, struct vg_aside *a))
{
    struct building *b = malloc(sizeof(*b));

    if (!b)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *b = *how;
    b->aside = (struct vg_aside){.work = work, .finish = finish, .uses = VG_ASIDE_GRAPHS,
                                 .object = (uintptr_t)how->exec};
    if (b->nodes >= b->large && x->captures == 0)
        return vg_aside_run(x, r, &b->aside);
    work(x, &b->aside);
    return finish(x, r, &b->aside);
}

/* Ends in a reply by hand. */
static CUresult built(struct vg_req *r, struct building *b, CUresult rc)
{
    r->answered = true;
    free(b);
    return rc;
}

static CUresult own_exec(struct vg_exec *x, const struct building *b)
{
    CUresult rc = vg_own_add(x, VG_OBJ_CUgraphExec, (uintptr_t)b->exec, 0, b->nodes);

    if (rc != CUDA_SUCCESS)
        x->cuda.cuGraphExecDestroy(b->exec);
    return rc;
}

static void plain_work(struct vg_exec *x, struct vg_aside *a)
{
    struct building *b = (struct building *)a;

    b->rc = x->cuda.cuGraphInstantiateWithFlags(&b->exec, b->graph, b->flags);
}

static CUresult plain_finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct building *b = (struct building *)a;
    CUresult rc = b->rc ? b->rc : own_exec(x, b);

    if (rc == CUDA_SUCCESS)
        vg_enc_word(&r->enc, (uintptr_t)b->exec);
    return built(r, b, rc);
}

CUresult vg_do_cuGraphInstantiateWithFlags(struct vg_exec *x, struct vg_req *r,
                                           struct vg_args_cuGraphInstantiateWithFlags *a)
{
    const struct building b = {.graph = a->hGraph, .flags = a->flags, .large = LARGE_NODES,
                               .nodes = count_nodes(x, a->hGraph)};

    if (!a->has_phGraphExec)
        return CUDA_ERROR_INVALID_VALUE;
    return build(x, r, &b, plain_work, plain_finish);
}

static void params_work(struct vg_exec *x, struct vg_aside *a)
{
    struct building *b = (struct building *)a;

    b->rc = x->cuda.cuGraphInstantiateWithParams(b->wanted ? &b->exec : NULL, b->graph, &b->params);
}

/* Work may have come to the stream after it was last seen to be idle. */
static void touch(struct vg_exec *x, CUstream stream)
{
    (void)vg_own_stream(x, stream);
}

/* A failure brings the two results of the struct: what is wrong, and where. */
static CUresult params_finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct building *b = (struct building *)a;
    CUresult rc = b->rc;

    touch(x, b->params.hUploadStream);
    if (rc != CUDA_SUCCESS) {
        const uint64_t why[] = {b->params.result_out,
                                name_node(x, b->params.hErrNode_out, b->graph)};
        complain(r, why, 2);
        return built(r, b, rc);
    }
    rc = own_exec(x, b);
    if (rc == CUDA_SUCCESS && b->wanted)
        vg_enc_word(&r->enc, (uintptr_t)b->exec);
    if (rc == CUDA_SUCCESS)
        vg_enc_block(&r->enc, &b->params, sizeof(b->params));
    return built(r, b, rc);
}

CUresult vg_do_cuGraphInstantiateWithParams(struct vg_exec *x, struct vg_req *r,
                                            struct vg_args_cuGraphInstantiateWithParams *a)
{
    const struct building b = {.graph = a->hGraph, .params = a->instantiateParams,
                               .large = LARGE_NODES, .wanted = a->has_phGraphExec,
                               .nodes = count_nodes(x, a->hGraph)};

    if (!a->has_instantiateParams)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_own_stream(x, b.params.hUploadStream);
    return rc ? rc : build(x, r, &b, params_work, params_finish);
}

static void upload_work(struct vg_exec *x, struct vg_aside *a)
{
    struct building *b = (struct building *)a;

    b->rc = x->cuda.cuGraphUpload(b->exec, b->stream);
}

static CUresult upload_finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct building *b = (struct building *)a;

    touch(x, b->stream);
    return built(r, b, b->rc);
}

CUresult vg_do_cuGraphUpload(struct vg_exec *x, struct vg_req *r, struct vg_args_cuGraphUpload *a)
{
    const struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUgraphExec, (uintptr_t)a->hGraph);
    const struct building b = {.exec = a->hGraph, .stream = a->hStream, .large = LARGE_NODES,
                               .nodes = o ? o->info : 0};

    return build(x, r, &b, upload_work, upload_finish);
}

static void update_work(struct vg_exec *x, struct vg_aside *a)
{
    struct building *b = (struct building *)a;

    b->rc = x->cuda.cuGraphExecUpdate_v2(b->exec, b->graph, &b->info);
}

static CUresult update_finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct building *b = (struct building *)a;
    const uint64_t why[] = {b->info.result, name_node(x, b->info.errorNode, b->graph),
                            name_node(x, b->info.errorFromNode, b->graph)};

    complain(r, why, 3);
    return built(r, b, b->rc);
}

/* Words exec, graph; the answer's payload, always: result, its two nodes. */
CUresult vg_do_cuGraphExecUpdate_v2(struct vg_exec *x, struct vg_req *r)
{
    uint64_t exec = vg_dec_word(&r->dec), graph = vg_dec_word(&r->dec);
    struct building b = {.exec = (CUgraphExec)(uintptr_t)exec, .graph = (CUgraph)(uintptr_t)graph,
                         .info = {CU_GRAPH_EXEC_UPDATE_ERROR, NULL, NULL}, .large = LARGE_UPDATE};

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_own_handle(x, VG_OBJ_CUgraphExec, exec);
    if (rc == CUDA_SUCCESS)
        rc = vg_own_handle(x, VG_OBJ_CUgraph, graph);
    if (rc != CUDA_SUCCESS)
        return rc;
    b.nodes = count_nodes(x, b.graph);
    return build(x, r, &b, update_work, update_finish);
}

/* ---- Graphs as a whole ---- */

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
