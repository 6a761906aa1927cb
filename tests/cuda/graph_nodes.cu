/* SPDX-License-Identifier: MIT */
/*
 * Graphs built by hand: kernel, copy, fill, host, child, empty and event nodes with
 * their edges; parameters read back and changed, in graphs and in executable ones.
 */
#include "common.cuh"

#include <algorithm>
#include <unistd.h>

#define N 4096

__global__ void scale(int *to, const int *from, int factor, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        to[i] = from[i] * factor;
}

__global__ void add(int *to, int what, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        to[i] += what;
}

static cudaKernelNodeParams launch_of(void *kernel, void **params)
{
    cudaKernelNodeParams p = {};

    p.func = kernel;
    p.gridDim = dim3(N / 128);
    p.blockDim = dim3(128);
    p.kernelParams = params;
    return p;
}

static cudaGraphNode_t scale_node(cudaGraph_t g, std::vector<cudaGraphNode_t> deps, int *to,
                                  const int *from, int factor)
{
    int n = N;
    void *params[] = {&to, &from, &factor, &n};
    cudaKernelNodeParams p = launch_of((void *)scale, params);
    cudaGraphNode_t node;

    RT(cudaGraphAddKernelNode(&node, g, deps.data(), deps.size(), &p));
    return node; /* `params` ends here: it must have been copied */
}

static cudaGraphNode_t copy_node(cudaGraph_t g, std::vector<cudaGraphNode_t> deps, void *to,
                                 const void *from, cudaMemcpyKind kind)
{
    cudaGraphNode_t node;

    RT(cudaGraphAddMemcpyNode1D(&node, g, deps.data(), deps.size(), to, from, N * sizeof(int),
                                kind));
    return node;
}

static int host_runs;

static void note_run(void *data)
{
    host_runs += *(int *)data;
}

struct world {
    int *in, *out; /* pinned */
    int *a, *b;    /* device */
    cudaStream_t stream;
};

static void run(const struct world *w, cudaGraphExec_t exec, int factor, int start, const char *what)
{
    for (int i = 0; i < N; i++)
        w->in[i] = i + start;
    memset(w->out, 0xff, N * sizeof(int));
    RT(cudaGraphLaunch(exec, w->stream));
    RT(cudaStreamSynchronize(w->stream));
    for (int i = 0; i < N; i++)
        EXPECT(w->out[i] == (i + start) * factor, "%s: out[%d] is %d, not %d", what, i, w->out[i],
               (i + start) * factor);
}

/* in -> a -> b = a * factor -> out; a host node and an empty one behind. */
struct pipeline {
    cudaGraph_t graph;
    cudaGraphNode_t in, kernel, out, host, empty;
};

static struct pipeline build(const struct world *w, int factor, int *weight)
{
    struct pipeline p;
    cudaHostNodeParams h = {note_run, weight};

    RT(cudaGraphCreate(&p.graph, 0));
    p.in = copy_node(p.graph, {}, w->a, w->in, cudaMemcpyHostToDevice);
    p.kernel = scale_node(p.graph, {p.in}, w->b, w->a, factor);
    p.out = copy_node(p.graph, {p.kernel}, w->out, w->b, cudaMemcpyDeviceToHost);
    RT(cudaGraphAddHostNode(&p.host, p.graph, &p.out, 1, &h));
    RT(cudaGraphAddEmptyNode(&p.empty, p.graph, &p.host, 1));
    return p;
}

static void check_shape(const struct pipeline *p)
{
    size_t nodes = 0, roots = 0, edges = 0, deps = 1, users = 1;
    cudaGraphNode_t root, dep, user;
    cudaGraphNodeType type;

    RT(cudaGraphGetNodes(p->graph, NULL, &nodes));
    RT(cudaGraphGetRootNodes(p->graph, NULL, &roots));
    RT(cudaGraphGetEdges(p->graph, NULL, NULL, NULL, &edges));
    EXPECT(nodes == 5 && roots == 1 && edges == 4, "%zu nodes, %zu roots, %zu edges", nodes, roots,
           edges);
    RT(cudaGraphGetRootNodes(p->graph, &root, &roots));
    EXPECT(root == p->in, "the copy is not the root");
    RT(cudaGraphNodeGetDependencies(p->out, &dep, NULL, &deps));
    RT(cudaGraphNodeGetDependentNodes(p->out, &user, NULL, &users));
    EXPECT(deps == 1 && dep == p->kernel && users == 1 && user == p->host, "wrong neighbours");
    RT(cudaGraphNodeGetType(p->kernel, &type));
    EXPECT(type == cudaGraphNodeTypeKernel, "type %d of a kernel", (int)type);
    RT(cudaGraphNodeGetType(p->in, &type));
    EXPECT(type == cudaGraphNodeTypeMemcpy, "type %d of a copy", (int)type);
    RT(cudaGraphNodeGetType(p->host, &type));
    EXPECT(type == cudaGraphNodeTypeHost, "type %d of a host node", (int)type);
    RT(cudaGraphNodeGetType(p->empty, &type));
    EXPECT(type == cudaGraphNodeTypeEmpty, "type %d of an empty node", (int)type);
}

static void check_params(const struct world *w, const struct pipeline *p, int factor, int *weight)
{
    cudaKernelNodeParams k = {};
    cudaHostNodeParams h = {};
    cudaMemcpy3DParms c = {};

    RT(cudaGraphKernelNodeGetParams(p->kernel, &k));
    EXPECT(k.func == (void *)scale && k.gridDim.x == N / 128 && k.blockDim.x == 128,
           "kernel node: func %p, %u blocks of %u", k.func, k.gridDim.x, k.blockDim.x);
    EXPECT(*(int **)k.kernelParams[0] == w->b && *(int *)k.kernelParams[2] == factor &&
               *(int *)k.kernelParams[3] == N,
           "kernel node: parameters read back wrong");
    RT(cudaGraphHostNodeGetParams(p->host, &h));
    EXPECT(h.fn == note_run && h.userData == weight, "host node read back wrong");
    RT(cudaGraphMemcpyNodeGetParams(p->in, &c));
    EXPECT(c.srcPtr.ptr == w->in && c.dstPtr.ptr == w->a && c.extent.width == N * sizeof(int),
           "copy node: %p to %p, %zu bytes", c.srcPtr.ptr, c.dstPtr.ptr, c.extent.width);
}

/* Changes of the graph count for what is instantiated later only. */
static void change_graph(const struct world *w, const struct pipeline *p)
{
    int *to = w->b, *from = w->a, factor = -2, n = N;
    void *params[] = {&to, &from, &factor, &n};
    cudaKernelNodeParams k = launch_of((void *)scale, params);
    cudaGraphExec_t before, after;

    RT(cudaGraphInstantiate(&before, p->graph, 0));
    RT(cudaGraphKernelNodeSetParams(p->kernel, &k));
    RT(cudaGraphInstantiate(&after, p->graph, 0));
    run(w, before, 3, 1, "before the change");
    run(w, after, -2, 2, "after the change");
    RT(cudaGraphExecDestroy(before));
    RT(cudaGraphExecDestroy(after));
}

static void change_exec(const struct world *w, const struct pipeline *p)
{
    int *to = w->b, *from = w->a, factor = 11, n = N, heavy = 100;
    void *params[] = {&to, &from, &factor, &n};
    cudaKernelNodeParams k = launch_of((void *)scale, params);
    cudaHostNodeParams h = {note_run, &heavy};
    cudaGraphExec_t exec;

    RT(cudaGraphInstantiate(&exec, p->graph, 0));
    RT(cudaGraphExecKernelNodeSetParams(exec, p->kernel, &k));
    RT(cudaGraphExecHostNodeSetParams(exec, p->host, &h));
    host_runs = 0;
    run(w, exec, 11, 3, "kernel changed");
    EXPECT(host_runs == 100, "the host node counted %d, not 100", host_runs);

    /* in and out swap their ends with other pinned memory */
    int *other;
    RT(cudaMallocHost(&other, N * sizeof(int)));
    for (int i = 0; i < N; i++)
        other[i] = 7;
    RT(cudaGraphExecMemcpyNodeSetParams1D(exec, p->in, w->a, other, N * sizeof(int),
                                          cudaMemcpyHostToDevice));
    RT(cudaGraphLaunch(exec, w->stream));
    RT(cudaStreamSynchronize(w->stream));
    EXPECT(w->out[N - 1] == 77, "copy changed: %d, not 77", w->out[N - 1]);
    RT(cudaFreeHost(other));

    unsigned on = 1;
    RT(cudaGraphNodeSetEnabled(exec, p->kernel, 0));
    RT(cudaGraphNodeGetEnabled(exec, p->kernel, &on));
    EXPECT(on == 0, "the kernel is still enabled");
    RT(cudaGraphExecDestroy(exec));
}

/* A graph inside of another, a fill beside it, joined by edges added later. */
static void nest(const struct world *w)
{
    cudaGraph_t inner, outer, seen;
    cudaGraphNode_t child, in, out, fill, late;
    cudaGraphExec_t exec;
    cudaMemsetParams m = {};
    int weight = 1;

    RT(cudaGraphCreate(&inner, 0));
    cudaGraphNode_t first = scale_node(inner, {}, w->b, w->a, 5);
    scale_node(inner, {first}, w->b, w->b, 2);
    RT(cudaGraphCreate(&outer, 0));
    in = copy_node(outer, {}, w->a, w->in, cudaMemcpyHostToDevice);
    RT(cudaGraphAddChildGraphNode(&child, outer, &in, 1, inner));
    RT(cudaGraphDestroy(inner)); /* the node has a copy */
    RT(cudaGraphChildGraphNodeGetGraph(child, &seen));
    size_t count = 0;
    RT(cudaGraphGetNodes(seen, NULL, &count));
    EXPECT(count == 2, "%zu nodes in the child", count);
    out = copy_node(outer, {}, w->out, w->b, cudaMemcpyDeviceToHost);
    RT(cudaGraphAddDependencies(outer, &child, &out, NULL, 1));

    m.dst = w->a;
    m.value = 0;
    m.elementSize = 4;
    m.width = N;
    m.height = 1;
    RT(cudaGraphAddMemsetNode(&fill, outer, &child, 1, &m));
    cudaMemsetParams back = {};
    RT(cudaGraphMemsetNodeGetParams(fill, &back));
    EXPECT(back.dst == w->a && back.width == N && back.elementSize == 4, "fill read back wrong");
    cudaHostNodeParams h = {note_run, &weight};
    RT(cudaGraphAddHostNode(&late, outer, &fill, 1, &h));
    RT(cudaGraphRemoveDependencies(outer, &fill, &late, NULL, 1));
    RT(cudaGraphDestroyNode(late));

    RT(cudaGraphInstantiate(&exec, outer, 0));
    host_runs = 0;
    run(w, exec, 10, 4, "child graph");
    EXPECT(host_runs == 0, "a destroyed node ran");
    std::vector<int> a(N);
    RT(cudaMemcpy(a.data(), w->a, N * sizeof(int), cudaMemcpyDeviceToHost));
    EXPECT(std::count(a.begin(), a.end(), 0) == N, "the fill did not run");
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(outer));
}

/* Events recorded and awaited by nodes. */
static void events(const struct world *w)
{
    cudaGraph_t g;
    cudaGraphNode_t kernel, record;
    cudaGraphExec_t exec;
    cudaEvent_t event, other, seen;
    int *cell = w->a, what = 1, n = N;
    void *params[] = {&cell, &what, &n};
    cudaKernelNodeParams k = launch_of((void *)add, params);

    RT(cudaEventCreate(&event));
    RT(cudaEventCreate(&other));
    RT(cudaGraphCreate(&g, 0));
    RT(cudaGraphAddKernelNode(&kernel, g, NULL, 0, &k));
    RT(cudaGraphAddEventRecordNode(&record, g, &kernel, 1, event));
    RT(cudaGraphEventRecordNodeGetEvent(record, &seen));
    EXPECT(seen == event, "the record node names another event");
    RT(cudaGraphInstantiate(&exec, g, 0));
    RT(cudaGraphLaunch(exec, w->stream));
    RT(cudaEventSynchronize(event));
    RT(cudaGraphExecEventRecordNodeSetEvent(exec, record, other));
    RT(cudaGraphLaunch(exec, w->stream));
    RT(cudaEventSynchronize(other));
    RT(cudaStreamSynchronize(w->stream));
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(g));
    RT(cudaEventDestroy(event));
    RT(cudaEventDestroy(other));
}

/* Whole-graph update: same shape, other numbers; and a shape that does not fit. */
static void update(const struct world *w, const struct pipeline *p, int *weight)
{
    struct pipeline other = build(w, 9, weight), bad = build(w, 9, weight);
    cudaGraphExecUpdateResultInfo info;
    cudaGraphExec_t exec;
    cudaGraphNode_t extra;

    RT(cudaGraphInstantiate(&exec, p->graph, 0));
    RT(cudaGraphExecUpdate(exec, other.graph, &info));
    EXPECT(info.result == cudaGraphExecUpdateSuccess, "update: %d", (int)info.result);
    run(w, exec, 9, 5, "updated");
    RT(cudaGraphAddEmptyNode(&extra, bad.graph, NULL, 0));
    RT_IS(cudaErrorGraphExecUpdateFailure, cudaGraphExecUpdate(exec, bad.graph, &info));
    EXPECT(info.result == cudaGraphExecUpdateErrorTopologyChanged, "bad update: %d",
           (int)info.result);
    run(w, exec, 9, 6, "after a refused update");
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(other.graph));
    RT(cudaGraphDestroy(bad.graph));
}

/* More dependencies than one message carries. */
static void wide(const struct world *w)
{
    std::vector<cudaGraphNode_t> nodes;
    cudaGraph_t g;
    cudaGraphNode_t last;
    cudaGraphExec_t exec;
    size_t count = 0;

    RT(cudaGraphCreate(&g, 0));
    for (int i = 0; i < 700; i++) {
        cudaGraphNode_t node;
        RT(cudaGraphAddEmptyNode(&node, g, NULL, 0));
        nodes.push_back(node);
    }
    RT(cudaGraphAddEmptyNode(&last, g, nodes.data(), nodes.size()));
    RT(cudaGraphNodeGetDependencies(last, NULL, NULL, &count));
    EXPECT(count == 700, "%zu dependencies, not 700", count);
    RT(cudaGraphInstantiate(&exec, g, 0));
    RT(cudaGraphLaunch(exec, w->stream));
    RT(cudaStreamSynchronize(w->stream));
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(g));
}

/* The picture: a file of this machine, wherever the GPU is. */
static void picture(const struct pipeline *p)
{
    char path[] = "/tmp/graph_nodes-XXXXXX", line[4096];
    int fd = mkstemp(path), arrows = 0;
    bool digraph = false;

    EXPECT(fd >= 0, "no temporary file");
    RT(cudaGraphDebugDotPrint(p->graph, path, cudaGraphDebugDotFlagsVerbose));
    FILE *file = fdopen(fd, "r");
    while (fgets(line, sizeof(line), file)) {
        digraph |= strstr(line, "digraph") != NULL;
        arrows += strstr(line, "->") != NULL;
    }
    fclose(file);
    unlink(path);
    EXPECT(digraph && arrows >= 4, "the picture has %d edges instead of 4", arrows);
}

/* Two streams with many ends each: more nodes to wait for than one answer holds. */
static void many_ends(const struct world *w)
{
    const cudaGraphNode_t *deps = NULL;
    cudaStreamCaptureStatus status;
    const cudaGraphEdgeData *edges = NULL;
    std::vector<cudaGraphNode_t> nodes;
    unsigned long long id = 0;
    size_t count = 0;
    cudaGraph_t g, captured;

    RT(cudaStreamBeginCapture(w->stream, cudaStreamCaptureModeRelaxed));
    RT(cudaStreamGetCaptureInfo(w->stream, &status, &id, &g, &deps, &edges, &count));
    EXPECT(status == cudaStreamCaptureStatusActive && count == 0, "a capture begins with %zu nodes",
           count);
    for (int i = 0; i < 300; i++) {
        cudaGraphNode_t node;
        RT(cudaGraphAddEmptyNode(&node, g, NULL, 0));
        nodes.push_back(node);
    }
    RT(cudaStreamUpdateCaptureDependencies(w->stream, nodes.data(), NULL, nodes.size(),
                                           cudaStreamSetCaptureDependencies));
    RT(cudaStreamGetCaptureInfo(w->stream, &status, &id, &g, &deps, &edges, &count));
    EXPECT(count == 300, "%zu nodes to wait for, not 300", count);
    for (auto node : nodes)
        EXPECT(std::find(deps, deps + count, node) != deps + count, "a node is missing");
    RT(cudaStreamEndCapture(w->stream, &captured));
    EXPECT(captured == g, "the capture gave another graph");
    RT(cudaGraphDestroy(g));
}

static void refusals(const struct world *w, const struct pipeline *p)
{
    cudaGraph_t g;
    cudaGraphNode_t node;
    cudaGraphExec_t exec;
    cudaKernelNodeParams k = {};

    RT(cudaGraphCreate(&g, 0));
    RT_IS(cudaErrorInvalidValue, cudaGraphAddEmptyNode(&node, g, &p->in, 1)); /* of another graph */
    RT_IS(cudaErrorInvalidValue, cudaGraphAddEmptyNode(&node, g, NULL, 1));
    RT_IS(cudaErrorInvalidValue, cudaGraphKernelNodeGetParams(p->in, &k));
    RT(cudaGraphAddEmptyNode(&node, g, NULL, 0));
    cudaGraphNode_t second;
    RT(cudaGraphAddEmptyNode(&second, g, &node, 1));
    RT_IS(cudaErrorInvalidValue, cudaGraphAddDependencies(g, &node, &second, NULL, 1));
    RT(cudaGraphAddDependencies(g, &second, &node, NULL, 1)); /* a cycle is found later */
    RT_IS(cudaErrorInvalidValue, cudaGraphInstantiate(&exec, g, 0));
    RT(cudaGraphDestroy(g));
    (void)w;
}

int main(void)
{
    struct world w;
    int weight = 1;

    RT(cudaMallocHost(&w.in, N * sizeof(int)));
    RT(cudaMallocHost(&w.out, N * sizeof(int)));
    RT(cudaMalloc(&w.a, N * sizeof(int)));
    RT(cudaMalloc(&w.b, N * sizeof(int)));
    RT(cudaStreamCreate(&w.stream));
    struct pipeline p = build(&w, 3, &weight);
    check_shape(&p);
    check_params(&w, &p, 3, &weight);
    change_graph(&w, &p);
    change_exec(&w, &p);
    nest(&w);
    events(&w);
    update(&w, &p, &weight);
    wide(&w);
    picture(&p);
    many_ends(&w);
    refusals(&w, &p);
    RT(cudaGraphDestroy(p.graph));
    RT(cudaStreamDestroy(w.stream));
    return passed("nodes of eight types, read back, changed, nested, updated");
}
