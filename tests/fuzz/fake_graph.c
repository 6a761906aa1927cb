/* SPDX-License-Identifier: MIT */
/*
 * The fuzzing driver's graphs: nodes whose descriptions are read to their ends, captures in any
 * state, lists of any length; and what host functions and user objects hold.
 */
#include "tests/fuzz/fake_private.h"

#include <string.h>

/* ---- What is called or freed later ---- */

static CUresult fake_host_func(CUstream s, CUhostFn fn, void *data)
{
    (void)s;
    (void)fn;
    fake_keep(data);
    return CUDA_SUCCESS;
}

static CUresult fake_callback(CUstream s, CUstreamCallback fn, void *data, unsigned flags)
{
    (void)s;
    (void)fn;
    (void)flags;
    fake_keep(data);
    return CUDA_SUCCESS;
}

static CUresult fake_user_object(CUuserObject *o, void *p, CUhostFn fn, unsigned count,
                                 unsigned flags)
{
    (void)fn;
    (void)count;
    (void)flags;
    CUresult rc = fake_outcome();

    if (rc == CUDA_SUCCESS) {
        fake_keep(p);
        fake_give_handle(o);
    }
    return rc;
}

static CUresult fake_retain(CUgraph g, CUuserObject o, unsigned count, unsigned flags)
{
    (void)g;
    (void)o;
    (void)count;
    (void)flags;
    return CUDA_SUCCESS;
}

/* ---- Nodes: everything that a description names is read ---- */

static void read_kernel(const CUDA_KERNEL_NODE_PARAMS *k)
{
    const void *bytes = NULL;

    for (void **e = k->extra; e && e[0] != CU_LAUNCH_PARAM_END; e += 2) {
        if (e[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            bytes = e[1];
        else
            fake_read(bytes, *(size_t *)e[1]);
    }
}

static void read_node(CUgraphNodeParams *p)
{
    static CUgraph branches[256];

    switch (p->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        read_kernel(&p->kernel);
        break;
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        fake_read(p->memOp.paramArray, p->memOp.count * sizeof(*p->memOp.paramArray));
        break;
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        fake_read(p->alloc.accessDescs,
                   p->alloc.accessDescCount * sizeof(*p->alloc.accessDescs));
        p->alloc.dptr = fake_address(0x10000);
        break;
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        for (unsigned i = 0; i < 256; i++)
            fake_give_handle(&branches[i]);
        p->conditional.phGraph_out = branches;
        break;
    default:
        break;
    }
}

static CUresult fake_add_node(CUgraphNode *node, CUgraph g, const CUgraphNode *deps,
                              const CUgraphEdgeData *edges, size_t n, CUgraphNodeParams *p)
{
    CUresult rc = fake_outcome();

    (void)g;
    fake_read(deps, n * sizeof(*deps));
    fake_read(edges, edges ? n * sizeof(*edges) : 0);
    if (rc != CUDA_SUCCESS)
        return rc;
    read_node(p);
    if (p->type == CU_GRAPH_NODE_TYPE_HOST)
        fake_keep(p->host.userData);
    fake_give_handle(node);
    return CUDA_SUCCESS;
}

static CUresult fake_add_kernel(CUgraphNode *node, CUgraph g, const CUgraphNode *deps, size_t n,
                                const CUDA_KERNEL_NODE_PARAMS *k)
{
    CUgraphNodeParams p = {.type = CU_GRAPH_NODE_TYPE_KERNEL, .kernel = *k};

    return fake_add_node(node, g, deps, NULL, n, &p);
}

static CUresult fake_add_empty(CUgraphNode *node, CUgraph g, const CUgraphNode *deps, size_t n)
{
    CUgraphNodeParams p = {.type = CU_GRAPH_NODE_TYPE_EMPTY};

    return fake_add_node(node, g, deps, NULL, n, &p);
}

static CUresult fake_set_exec_node(CUgraphExec e, CUgraphNode node, CUgraphNodeParams *p)
{
    (void)e;
    (void)node;
    read_node(p);
    CUresult rc = fake_outcome();
    if (rc == CUDA_SUCCESS && p->type == CU_GRAPH_NODE_TYPE_HOST)
        fake_keep(p->host.userData);
    return rc;
}

static CUresult fake_get_kernel(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS *k)
{
    static uint64_t bytes[4];
    static size_t size = sizeof(bytes);
    static void *list[] = {&bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[3]};
    static void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, bytes, CU_LAUNCH_PARAM_BUFFER_SIZE,
                            &size, CU_LAUNCH_PARAM_END};
    bool packed = fake_draw() % 2;

    (void)node;
    memset(k, 0, sizeof(*k));
    fake_give_handle(&k->func);
    k->kernelParams = packed ? NULL : list;
    k->extra = packed ? extra : NULL;
    return fake_outcome();
}

static CUresult fake_get_memops(CUgraphNode node, CUDA_BATCH_MEM_OP_NODE_PARAMS *b)
{
    static CUstreamBatchMemOpParams op[8];

    (void)node;
    memset(b, 0, sizeof(*b));
    b->count = fake_draw() % 9;
    b->paramArray = op;
    return fake_outcome();
}

static CUresult fake_get_alloc(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *a)
{
    static CUmemAccessDesc desc[3];

    (void)node;
    memset(a, 0, sizeof(*a));
    a->accessDescCount = fake_draw() % 4;
    a->accessDescs = fake_draw() % 2 ? desc : NULL;
    return fake_outcome();
}

/* ---- Captures and lists ---- */

static CUresult fake_capturing(CUstream s, CUstreamCaptureStatus *status)
{
    (void)s;
    *status = (CUstreamCaptureStatus)(fake_draw() % 3);
    return CUDA_SUCCESS;
}

static CUresult fake_capture_info(CUstream s, CUstreamCaptureStatus *status, uint64_t *id,
                                  CUgraph *graph, const CUgraphNode **node, size_t *count)
{
    static CUgraphNode nodes[100];

    fake_capturing(s, status);
    *id = fake_draw();
    fake_give_handle(graph);
    for (unsigned i = 0; i < 100; i++)
        fake_give_handle(&nodes[i]);
    if (node)
        *node = nodes;
    if (count)
        *count = fake_draw() % 101;
    return fake_outcome();
}

static CUresult fake_update_dependencies(CUstream s, CUgraphNode *node, size_t count,
                                         unsigned flags)
{
    (void)s;
    (void)flags;
    fake_read(node, count * sizeof(*node));
    return fake_outcome();
}

static CUresult fake_end_capture(CUstream s, CUgraph *graph)
{
    (void)s;
    fake_give_handle(graph);
    return fake_outcome();
}

static CUresult fake_list(void *a, void *b, CUgraphEdgeData *edge, size_t *count)
{
    size_t have = fake_draw() % 300, n = a && *count < have ? *count : have;

    if (a)
        fake_write(a, *count * sizeof(CUgraphNode));
    if (b)
        fake_write(b, *count * sizeof(CUgraphNode));
    if (edge)
        fake_write(edge, *count * sizeof(*edge));
    *count = n;
    return fake_outcome();
}

static CUresult fake_nodes(CUgraph g, CUgraphNode *n, size_t *count)
{
    (void)g;
    return fake_list(n, NULL, NULL, count);
}

static CUresult fake_edges(CUgraph g, CUgraphNode *from, CUgraphNode *to, size_t *count)
{
    (void)g;
    return fake_list(from, to, NULL, count);
}

static CUresult fake_edges_v2(CUgraph g, CUgraphNode *from, CUgraphNode *to, CUgraphEdgeData *e,
                              size_t *count)
{
    (void)g;
    return fake_list(from, to, e, count);
}

static CUresult fake_near(CUgraphNode node, CUgraphNode *n, size_t *count)
{
    (void)node;
    return fake_list(n, NULL, NULL, count);
}

static CUresult fake_near_v2(CUgraphNode node, CUgraphNode *n, CUgraphEdgeData *e, size_t *count)
{
    (void)node;
    return fake_list(n, NULL, e, count);
}

void fake_graph_fill(struct vg_cuda *c)
{
    c->cuLaunchHostFunc = fake_host_func;
    c->cuStreamAddCallback = fake_callback;
    c->cuUserObjectCreate = fake_user_object;
    c->cuGraphRetainUserObject = fake_retain;
    c->cuGraphAddNode_v2 = fake_add_node;
    c->cuGraphAddKernelNode_v2 = fake_add_kernel;
    c->cuGraphAddEmptyNode = fake_add_empty;
    c->cuGraphExecNodeSetParams = fake_set_exec_node;
    c->cuGraphKernelNodeGetParams_v2 = fake_get_kernel;
    c->cuGraphBatchMemOpNodeGetParams = fake_get_memops;
    c->cuGraphMemAllocNodeGetParams = fake_get_alloc;
    c->cuStreamIsCapturing = fake_capturing;
    c->cuStreamGetCaptureInfo_v2 = fake_capture_info;
    c->cuStreamUpdateCaptureDependencies = fake_update_dependencies;
    c->cuStreamEndCapture = fake_end_capture;
    c->cuGraphGetNodes = fake_nodes;
    c->cuGraphGetRootNodes = fake_nodes;
    c->cuGraphGetEdges = fake_edges;
    c->cuGraphGetEdges_v2 = fake_edges_v2;
    c->cuGraphNodeGetDependencies = fake_near;
    c->cuGraphNodeGetDependencies_v2 = fake_near_v2;
    c->cuGraphNodeGetDependentNodes = fake_near;
    c->cuGraphNodeGetDependentNodes_v2 = fake_near_v2;
}
