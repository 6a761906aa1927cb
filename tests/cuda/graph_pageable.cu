/* SPDX-License-Identifier: MIT */
/*
 * Copies between the GPU and ordinary host memory inside of graphs, captured and built
 * by hand: the graph reads and writes that memory whenever it runs, not when it was made.
 */
#include "common.cuh"

#define N 300000 /* ints: more than one piece of any transport */

__global__ void triple(int *cells, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        cells[i] *= 3;
}

/* Launched nowhere but behind a graph: then its code is not loaded yet. */
__global__ void negate_new(int *to, const int *from, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        to[i] = -from[i];
}

struct world {
    std::vector<int> in, out;
    int *dev;
    cudaStream_t stream;
};

static void replay(struct world *w, cudaGraphExec_t exec, int rounds, const char *what)
{
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < N; i++) {
            w->in[i] = i + 1000 * r;
            w->out[i] = -1;
        }
        RT(cudaGraphLaunch(exec, w->stream));
        RT(cudaStreamSynchronize(w->stream));
        for (int i = 0; i < N; i++)
            EXPECT(w->out[i] == 3 * (i + 1000 * r), "%s, round %d: out[%d] is %d, not %d", what, r,
                   i, w->out[i], 3 * (i + 1000 * r));
    }
}

static void captured(struct world *w)
{
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    size_t count = 0;
    int copies = 0;

    RT(cudaStreamBeginCapture(w->stream, cudaStreamCaptureModeRelaxed));
    RT(cudaMemcpyAsync(w->dev, w->in.data(), N * sizeof(int), cudaMemcpyHostToDevice, w->stream));
    triple<<<(N + 255) / 256, 256, 0, w->stream>>>(w->dev, N);
    RT(cudaMemcpyAsync(w->out.data(), w->dev, N * sizeof(int), cudaMemcpyDeviceToHost, w->stream));
    RT(cudaStreamEndCapture(w->stream, &graph));
    RT(cudaGraphGetNodes(graph, NULL, &count));
    EXPECT(count == 3, "%zu nodes, not 3", count);
    std::vector<cudaGraphNode_t> nodes(count);
    RT(cudaGraphGetNodes(graph, nodes.data(), &count));
    for (size_t i = 0; i < count; i++) {
        cudaGraphNodeType type;
        RT(cudaGraphNodeGetType(nodes[i], &type));
        copies += type == cudaGraphNodeTypeMemcpy;
    }
    EXPECT(copies == 2, "%d of the nodes are copies, not 2", copies);
    RT(cudaGraphInstantiate(&exec, graph, 0));
    RT(cudaGraphDestroy(graph)); /* the executable graph keeps what it needs */
    replay(w, exec, 4, "captured");
    RT(cudaGraphExecDestroy(exec));
}

/*
 * A host function writes what the copy behind it reads: pinned memory, since a driver may read
 * ordinary memory as early as the launch. The copy back goes to ordinary memory.
 */
static int *to_fill;

static void fill(void *data)
{
    for (int i = 0; i < 64; i++)
        to_fill[i] = *(int *)data + i;
}

static void after_a_host_node(struct world *w)
{
    int base = 500, *small, back[64];
    const size_t bytes = sizeof(back);
    cudaGraph_t graph;
    cudaGraphNode_t host, in, out;
    cudaGraphExec_t exec;
    cudaHostNodeParams h = {fill, &base};

    RT(cudaMallocHost(&small, bytes));
    to_fill = small;
    memset(small, 0, bytes);
    RT(cudaGraphCreate(&graph, 0));
    RT(cudaGraphAddHostNode(&host, graph, NULL, 0, &h));
    RT(cudaGraphAddMemcpyNode1D(&in, graph, &host, 1, w->dev, small, bytes,
                                cudaMemcpyHostToDevice));
    RT(cudaGraphAddMemcpyNode1D(&out, graph, &in, 1, back, w->dev, bytes,
                                cudaMemcpyDeviceToHost));
    cudaMemcpy3DParms p = {};
    RT(cudaGraphMemcpyNodeGetParams(in, &p));
    EXPECT(p.srcPtr.ptr == small && p.dstPtr.ptr == w->dev, "copy node reads %p, not %p",
           p.srcPtr.ptr, (void *)small);
    RT(cudaGraphMemcpyNodeGetParams(out, &p));
    EXPECT(p.srcPtr.ptr == w->dev && p.dstPtr.ptr == back, "copy node writes %p, not %p",
           p.dstPtr.ptr, (void *)back);
    RT(cudaGraphInstantiate(&exec, graph, 0));
    for (base = 500; base < 503; base++) {
        memset(back, 0, sizeof(back));
        RT(cudaGraphLaunch(exec, w->stream));
        RT(cudaStreamSynchronize(w->stream));
        for (int i = 0; i < 64; i++)
            EXPECT(back[i] == base + i, "after a host node: %d, not %d", back[i], base + i);
    }
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(graph));
    RT(cudaFreeHost(small));
}

/* The ends of a copy in an executable graph are changed, and the graph's too. */
static void changed(struct world *w)
{
    std::vector<int> other(N, 7);
    cudaGraph_t graph;
    cudaGraphNode_t in, kernel, out;
    cudaGraphExec_t exec, exec2;
    int n = N;
    void *params[] = {&w->dev, &n};
    cudaKernelNodeParams k = {};

    k.func = (void *)triple;
    k.gridDim = dim3((N + 255) / 256);
    k.blockDim = dim3(256);
    k.kernelParams = params;
    RT(cudaGraphCreate(&graph, 0));
    RT(cudaGraphAddMemcpyNode1D(&in, graph, NULL, 0, w->dev, w->in.data(), N * sizeof(int),
                                cudaMemcpyHostToDevice));
    RT(cudaGraphAddKernelNode(&kernel, graph, &in, 1, &k));
    RT(cudaGraphAddMemcpyNode1D(&out, graph, &kernel, 1, w->out.data(), w->dev, N * sizeof(int),
                                cudaMemcpyDeviceToHost));
    RT(cudaGraphInstantiate(&exec, graph, 0));
    replay(w, exec, 2, "by hand");
    RT(cudaGraphExecMemcpyNodeSetParams1D(exec, in, w->dev, other.data(), N * sizeof(int),
                                          cudaMemcpyHostToDevice));
    RT(cudaGraphLaunch(exec, w->stream));
    RT(cudaStreamSynchronize(w->stream));
    EXPECT(w->out[0] == 21 && w->out[N - 1] == 21, "other source: %d", w->out[0]);
    RT(cudaGraphMemcpyNodeSetParams1D(in, w->dev, other.data(), N * sizeof(int),
                                      cudaMemcpyHostToDevice));
    other[5] = 9;
    RT(cudaGraphInstantiate(&exec2, graph, 0));
    RT(cudaGraphLaunch(exec2, w->stream));
    RT(cudaStreamSynchronize(w->stream));
    EXPECT(w->out[5] == 27, "other source in the graph: %d", w->out[5]);
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphExecDestroy(exec2));
    RT(cudaGraphDestroy(graph));
}

static int first_of(struct world *w, cudaGraphExec_t exec)
{
    w->out[0] = -1;
    RT(cudaGraphLaunch(exec, w->stream));
    RT(cudaStreamSynchronize(w->stream));
    return w->out[0];
}

/* Copies are switched off and on, and changed meanwhile; then the graph is updated from another. */
static void switched(struct world *w)
{
    std::vector<int> a(N, 7), b(N, 8), c(N, 9);
    const size_t bytes = N * sizeof(int);
    cudaGraph_t graph, other;
    cudaGraphNode_t in, out, node;
    cudaGraphExec_t exec;
    cudaGraphExecUpdateResultInfo info;
    unsigned enabled = 7;

    RT(cudaGraphCreate(&graph, 0));
    RT(cudaGraphAddMemcpyNode1D(&in, graph, NULL, 0, w->dev, a.data(), bytes,
                                cudaMemcpyHostToDevice));
    RT(cudaGraphAddMemcpyNode1D(&out, graph, &in, 1, w->out.data(), w->dev, bytes,
                                cudaMemcpyDeviceToHost));
    RT(cudaGraphInstantiate(&exec, graph, 0));
    RT(cudaGraphNodeGetEnabled(exec, in, &enabled));
    EXPECT(enabled == 1, "a copy says at first that it is %u", enabled);
    EXPECT(first_of(w, exec) == 7, "switched on: %d", w->out[0]);
    RT(cudaGraphNodeSetEnabled(exec, in, 0));
    RT(cudaGraphNodeGetEnabled(exec, in, &enabled));
    EXPECT(enabled == 0, "a copy that is off says %u", enabled);
    RT(cudaMemset(w->dev, 0, bytes));
    RT(cudaDeviceSynchronize());
    EXPECT(first_of(w, exec) == 0, "switched off: %d", w->out[0]);
    RT(cudaGraphNodeSetEnabled(exec, out, 0));
    EXPECT(first_of(w, exec) == -1, "both switched off: %d", w->out[0]);
    RT(cudaGraphNodeSetEnabled(exec, out, 1));
    RT(cudaGraphNodeSetEnabled(exec, in, 1));
    EXPECT(first_of(w, exec) == 7, "switched on again: %d", w->out[0]);
    RT(cudaGraphNodeSetEnabled(exec, in, 0));
    RT(cudaGraphExecMemcpyNodeSetParams1D(exec, in, w->dev, b.data(), bytes,
                                          cudaMemcpyHostToDevice));
    RT(cudaMemset(w->dev, 0, bytes));
    RT(cudaDeviceSynchronize());
    EXPECT(first_of(w, exec) == 0, "changed and off: %d", w->out[0]);
    RT(cudaGraphNodeSetEnabled(exec, in, 1));
    EXPECT(first_of(w, exec) == 8, "changed while off: %d", w->out[0]);
    RT(cudaGraphCreate(&other, 0));
    RT(cudaGraphAddMemcpyNode1D(&node, other, NULL, 0, w->dev, c.data(), bytes,
                                cudaMemcpyHostToDevice));
    RT(cudaGraphAddMemcpyNode1D(&node, other, &node, 1, w->out.data(), w->dev, bytes,
                                cudaMemcpyDeviceToHost));
    RT(cudaGraphExecUpdate(exec, other, &info));
    RT(cudaGraphDestroy(other)); /* what was taken from it stays */
    EXPECT(first_of(w, exec) == 9, "updated: %d", w->out[0]);
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(graph));
}

/* Rows of a picture, captured. */
static void pitched(struct world *w)
{
    enum { W = 100, H = 40, PITCH = 512 };
    unsigned char src[H][W + 28], dst[H][W];
    cudaGraph_t graph;
    cudaGraphExec_t exec;

    RT(cudaStreamBeginCapture(w->stream, cudaStreamCaptureModeRelaxed));
    RT(cudaMemcpy2DAsync(w->dev, PITCH, src, sizeof(src[0]), W, H, cudaMemcpyHostToDevice,
                         w->stream));
    RT(cudaMemcpy2DAsync(dst, W, w->dev, PITCH, W, H, cudaMemcpyDeviceToHost, w->stream));
    RT(cudaStreamEndCapture(w->stream, &graph));
    RT(cudaGraphInstantiate(&exec, graph, 0));
    for (int r = 0; r < 3; r++) {
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                src[y][x] = (unsigned char)(x * y + r);
        memset(dst, 0xee, sizeof(dst));
        RT(cudaGraphLaunch(exec, w->stream));
        RT(cudaStreamSynchronize(w->stream));
        for (int y = 0; y < H; y++)
            EXPECT(memcmp(dst[y], src[y], W) == 0, "pitched: row %d differs in round %d", y, r);
    }
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(graph));
}

/*
 * Memory that the graph itself allocates and frees, filled from and read into ordinary memory:
 * nobody outside of the graph may name it, so the copies have to be part of the graph.
 */
static void in_memory_of_its_own(struct world *w)
{
    enum { W = 100, H = 40, PITCH = 512 };
    unsigned char src[H][W + 28], dst[H][W];
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    int *own, *rows, small = 0, back = 0;

    RT(cudaStreamBeginCapture(w->stream, cudaStreamCaptureModeRelaxed));
    RT(cudaMallocAsync(&own, N * sizeof(int), w->stream));
    RT(cudaMallocAsync(&rows, PITCH * H, w->stream));
    RT(cudaMemcpyAsync(own, w->in.data(), N * sizeof(int), cudaMemcpyHostToDevice, w->stream));
    triple<<<(N + 255) / 256, 256, 0, w->stream>>>(own, N);
    RT(cudaMemcpyAsync(w->out.data(), own, N * sizeof(int), cudaMemcpyDeviceToHost, w->stream));
    RT(cudaMemcpyAsync(own, &small, sizeof(small), cudaMemcpyHostToDevice, w->stream));
    RT(cudaMemcpyAsync(&back, own, sizeof(back), cudaMemcpyDeviceToHost, w->stream));
    RT(cudaFreeAsync(own, w->stream));
    RT(cudaMemcpy2DAsync(rows, PITCH, src, sizeof(src[0]), W, H, cudaMemcpyHostToDevice,
                         w->stream));
    RT(cudaMemcpy2DAsync(dst, W, rows, PITCH, W, H, cudaMemcpyDeviceToHost, w->stream));
    RT(cudaFreeAsync(rows, w->stream));
    RT(cudaStreamEndCapture(w->stream, &graph));
    RT(cudaGraphInstantiate(&exec, graph, 0));
    RT(cudaGraphDestroy(graph));
    for (int r = 0; r < 3; r++) {
        small = 77 + r;
        for (int y = 0; y < H; y++)
            memset(src[y], y * 3 + r, sizeof(src[y]));
        replay(w, exec, 1, "in the graph's own memory");
        EXPECT(back == 77 + r, "a small copy: %d, not %d", back, 77 + r);
        for (int y = 0; y < H; y++)
            EXPECT(memcmp(dst[y], src[y], W) == 0, "own rows: row %d differs in round %d", y, r);
    }
    /* The call itself says so, not a later one. */
    RT_IS(cudaErrorInvalidValue, cudaMemcpyAsync(&back, own, sizeof(back), cudaMemcpyDeviceToHost,
                                                 w->stream));
    RT_IS(cudaErrorInvalidValue, cudaMemcpyAsync(w->dev, own, sizeof(back),
                                                 cudaMemcpyDeviceToDevice, w->stream));
    cudaGetLastError();
    RT(cudaStreamSynchronize(w->stream));
    RT(cudaGraphExecDestroy(exec));
}

/* Freed by nobody in the graph: from the launch to the free it is memory like any other. */
static void in_memory_left_by_a_graph(struct world *w)
{
    const size_t bytes = N * sizeof(int);
    std::vector<int> later(N);
    cudaGraph_t graph;
    cudaGraphNode_t alloc, in, out;
    cudaGraphExec_t exec;
    cudaMemAllocNodeParams p = {};

    p.bytesize = bytes;
    p.poolProps.allocType = cudaMemAllocationTypePinned;
    p.poolProps.location.type = cudaMemLocationTypeDevice;
    RT(cudaGraphCreate(&graph, 0));
    RT(cudaGraphAddMemAllocNode(&alloc, graph, NULL, 0, &p));
    RT(cudaGraphAddMemcpyNode1D(&in, graph, &alloc, 1, p.dptr, w->in.data(), bytes,
                                cudaMemcpyHostToDevice));
    RT(cudaGraphAddMemcpyNode1D(&out, graph, &in, 1, w->out.data(), p.dptr, bytes,
                                cudaMemcpyDeviceToHost));
    RT(cudaGraphInstantiate(&exec, graph, 0));
    for (int r = 0; r < 3; r++) {
        for (int i = 0; i < N; i++)
            w->in[i] = i + r;
        RT(cudaGraphLaunch(exec, w->stream));
        RT(cudaMemcpyAsync(later.data(), p.dptr, bytes, cudaMemcpyDeviceToHost, w->stream));
        RT(cudaStreamSynchronize(w->stream));
        for (int i = 0; i < N; i++)
            EXPECT(w->out[i] == i + r && later[i] == i + r, "left by a graph: %d and %d, not %d",
                   w->out[i], later[i], i + r);
        RT(cudaFreeAsync(p.dptr, w->stream));
    }
    RT(cudaStreamSynchronize(w->stream));
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(graph));
}

/* The driver may wait for the graph to load the kernel, and the graph waits for its copies. */
static void before_a_new_kernel(struct world *w)
{
    const size_t bytes = N * sizeof(int);
    cudaGraph_t graph;
    cudaGraphNode_t in;
    cudaGraphExec_t exec;
    int *to, last;

    RT(cudaMalloc(&to, bytes));
    RT(cudaGraphCreate(&graph, 0));
    RT(cudaGraphAddMemcpyNode1D(&in, graph, NULL, 0, w->dev, w->in.data(), bytes,
                                cudaMemcpyHostToDevice));
    RT(cudaGraphInstantiate(&exec, graph, 0));
    w->in[N - 1] = 4321;
    RT(cudaGraphLaunch(exec, w->stream));
    negate_new<<<(N + 255) / 256, 256, 0, w->stream>>>(to, w->dev, N);
    RT(cudaGetLastError());
    RT(cudaStreamSynchronize(w->stream));
    RT(cudaMemcpy(&last, to + N - 1, sizeof(last), cudaMemcpyDeviceToHost));
    EXPECT(last == -4321, "behind a graph: %d, not -4321", last);
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(graph));
    RT(cudaFree(to));
}

int main(void)
{
    struct world w = {std::vector<int>(N), std::vector<int>(N), NULL, NULL};

    RT(cudaMalloc(&w.dev, N * sizeof(int)));
    RT(cudaStreamCreateWithFlags(&w.stream, cudaStreamNonBlocking));
    captured(&w);
    after_a_host_node(&w);
    changed(&w);
    switched(&w);
    pitched(&w);
    in_memory_of_its_own(&w);
    in_memory_left_by_a_graph(&w);
    before_a_new_kernel(&w);
    RT(cudaStreamDestroy(w.stream));
    RT(cudaFree(w.dev));
    return passed("ordinary memory read and written at each launch");
}
