/* SPDX-License-Identifier: MIT */
/*
 * What graphs own: memory that nodes allocate and free, and user objects, whose
 * destructors run when the last graph made of one is gone.
 */
#include "common.cuh"

#include <algorithm>
#include <atomic>

#define N 10000

__global__ void fill(int *cells, int value, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        cells[i] = value + i;
}

/* ---- memory ---- */

static cudaGraphNode_t alloc_node(cudaGraph_t g, size_t bytes, int **ret)
{
    cudaMemAllocNodeParams p = {};
    cudaGraphNode_t node;

    p.poolProps.allocType = cudaMemAllocationTypePinned;
    p.poolProps.location.type = cudaMemLocationTypeDevice;
    p.poolProps.location.id = 0;
    p.bytesize = bytes;
    RT(cudaGraphAddMemAllocNode(&node, g, NULL, 0, &p));
    EXPECT(p.dptr != NULL, "the node allocated nothing");
    *ret = (int *)p.dptr;
    cudaMemAllocNodeParams back = {};
    RT(cudaGraphMemAllocNodeGetParams(node, &back));
    EXPECT(back.dptr == p.dptr && back.bytesize >= bytes, "read back %p, %zu bytes", back.dptr,
           back.bytesize);
    return node;
}

/* Allocated, filled, copied out and freed, in one graph. */
static void within_one(cudaStream_t stream, int *out)
{
    cudaGraph_t g;
    cudaGraphNode_t kernel, copy, freeing;
    cudaGraphExec_t exec;
    int *mem, value = 40, n = N;

    RT(cudaGraphCreate(&g, 0));
    cudaGraphNode_t alloc = alloc_node(g, N * sizeof(int), &mem);
    void *params[] = {&mem, &value, &n};
    cudaKernelNodeParams k = {};
    k.func = (void *)fill;
    k.gridDim = dim3((N + 127) / 128);
    k.blockDim = dim3(128);
    k.kernelParams = params;
    RT(cudaGraphAddKernelNode(&kernel, g, &alloc, 1, &k));
    RT(cudaGraphAddMemcpyNode1D(&copy, g, &kernel, 1, out, mem, N * sizeof(int),
                                cudaMemcpyDeviceToHost));
    RT(cudaGraphAddMemFreeNode(&freeing, g, &copy, 1, mem));
    void *freed = NULL;
    RT(cudaGraphMemFreeNodeGetParams(freeing, &freed));
    EXPECT(freed == mem, "the free node frees %p, not %p", freed, (void *)mem);
    RT(cudaGraphInstantiate(&exec, g, 0));
    for (int r = 0; r < 3; r++) {
        memset(out, 0, N * sizeof(int));
        RT(cudaGraphLaunch(exec, stream));
        RT(cudaStreamSynchronize(stream));
        EXPECT(out[0] == 40 && out[N - 1] == 40 + N - 1, "memory of a node: %d, %d", out[0],
               out[N - 1]);
    }
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(g));
}

/* Allocated by a graph, used between launches, freed by the program; then again. */
static void across(cudaStream_t stream)
{
    cudaGraph_t g;
    cudaGraphExec_t exec;
    int *mem, value = 7, n = N;
    std::vector<int> host(N);
    cudaGraphNode_t kernel;

    RT(cudaGraphCreate(&g, 0));
    cudaGraphNode_t alloc = alloc_node(g, N * sizeof(int), &mem);
    void *params[] = {&mem, &value, &n};
    cudaKernelNodeParams k = {};
    k.func = (void *)fill;
    k.gridDim = dim3((N + 127) / 128);
    k.blockDim = dim3(128);
    k.kernelParams = params;
    RT(cudaGraphAddKernelNode(&kernel, g, &alloc, 1, &k));
    RT(cudaGraphInstantiate(&exec, g, 0));
    for (int r = 0; r < 3; r++) {
        RT(cudaGraphLaunch(exec, stream));
        RT(cudaMemcpyAsync(host.data(), mem, N * sizeof(int), cudaMemcpyDeviceToHost, stream));
        RT(cudaStreamSynchronize(stream));
        EXPECT(host[0] == 7 && host[N - 1] == 7 + N - 1, "between launches: %d", host[N - 1]);
        fill<<<(N + 127) / 128, 128, 0, stream>>>(mem, 100 + r, N);
        LAUNCHED();
        RT(cudaMemcpyAsync(host.data(), mem, N * sizeof(int), cudaMemcpyDeviceToHost, stream));
        RT(cudaFreeAsync(mem, stream));
        RT(cudaStreamSynchronize(stream));
        EXPECT(host[1] == 101 + r, "written between launches: %d", host[1]);
    }
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(g));
    RT(cudaDeviceGraphMemTrim(0));
    uint64_t used = 1;
    RT(cudaDeviceGetGraphMemAttribute(0, cudaGraphMemAttrUsedMemCurrent, &used));
    EXPECT(used == 0, "%llu bytes of graphs are still in use", (unsigned long long)used);
}

/* Allocated in a captured graph, freed in another: the memory lives between them. */
static void captured(cudaStream_t stream)
{
    cudaGraph_t begin, finish;
    cudaGraphExec_t first, last;
    std::vector<int> host(N);
    int *mem;

    RT(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    RT(cudaMallocAsync(&mem, N * sizeof(int), stream));
    fill<<<(N + 127) / 128, 128, 0, stream>>>(mem, 3, N);
    RT(cudaStreamEndCapture(stream, &begin));
    RT(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    RT(cudaFreeAsync(mem, stream));
    RT(cudaStreamEndCapture(stream, &finish));
    RT(cudaGraphInstantiate(&first, begin, 0));
    RT(cudaGraphInstantiate(&last, finish, 0));
    for (int r = 0; r < 3; r++) {
        RT(cudaGraphLaunch(first, stream));
        RT(cudaStreamSynchronize(stream));
        std::fill(host.begin(), host.end(), 0);
        RT(cudaMemcpy(host.data(), mem, N * sizeof(int), cudaMemcpyDeviceToHost));
        EXPECT(host[N - 1] == 3 + N - 1, "between two graphs: %d", host[N - 1]);
        RT(cudaGraphLaunch(last, stream));
        RT(cudaStreamSynchronize(stream));
    }
    RT(cudaGraphExecDestroy(first));
    RT(cudaGraphExecDestroy(last));
    RT(cudaGraphDestroy(finish));
    RT(cudaGraphDestroy(begin));
}

/* ---- user objects ---- */

static std::atomic<int> ended[4];

static void end_of(void *data)
{
    ended[(size_t)data]++;
}

static void wait_for(int i, int want)
{
    for (int ms = 0; ms < 5000 && ended[i] != want; ms++) {
        const struct timespec nap = {0, 1000000};
        nanosleep(&nap, NULL);
    }
    EXPECT(ended[i] == want, "object %d ended %d times, not %d", i, (int)ended[i], want);
}

static cudaUserObject_t object(int i, unsigned refs)
{
    cudaUserObject_t o;

    RT(cudaUserObjectCreate(&o, (void *)(size_t)i, end_of, refs, cudaUserObjectNoDestructorSync));
    return o;
}

static void objects(cudaStream_t stream)
{
    cudaGraph_t g, clone;
    cudaGraphExec_t exec;
    cudaGraphNode_t node;

    cudaUserObject_t alone = object(0, 2);
    RT(cudaUserObjectRetain(alone, 1));
    RT(cudaUserObjectRelease(alone, 2));
    EXPECT(ended[0] == 0, "ended with a reference left");
    RT(cudaUserObjectRelease(alone, 1));
    wait_for(0, 1);

    RT(cudaGraphCreate(&g, 0));
    RT(cudaGraphAddEmptyNode(&node, g, NULL, 0));
    cudaUserObject_t moved = object(1, 1), shared = object(2, 1), dropped = object(3, 1);
    RT(cudaGraphRetainUserObject(g, moved, 1, cudaGraphUserObjectMove));
    RT(cudaGraphRetainUserObject(g, shared, 2, 0));
    RT(cudaUserObjectRelease(shared, 1));
    RT(cudaGraphRetainUserObject(g, dropped, 1, cudaGraphUserObjectMove));
    RT(cudaGraphReleaseUserObject(g, dropped, 1));
    wait_for(3, 1);
    RT(cudaGraphClone(&clone, g));
    RT(cudaGraphInstantiate(&exec, g, 0));
    RT(cudaGraphDestroy(g));
    RT(cudaGraphDestroy(clone));
    EXPECT(ended[1] == 0 && ended[2] == 0, "ended while an executable graph has them");
    RT(cudaGraphLaunch(exec, stream));
    RT(cudaStreamSynchronize(stream));
    EXPECT(ended[1] == 0 && ended[2] == 0, "ended by a launch");
    RT(cudaGraphExecDestroy(exec));
    wait_for(1, 1);
    wait_for(2, 1);
}

int main(void)
{
    cudaStream_t stream;
    int pools = 0, *out;

    RT(cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, 0));
    if (!pools)
        skip("the device has no memory pools");
    RT(cudaMallocHost(&out, N * sizeof(int)));
    RT(cudaStreamCreate(&stream));
    within_one(stream, out);
    across(stream);
    captured(stream);
    objects(stream);
    RT(cudaStreamDestroy(stream));
    RT(cudaFreeHost(out));
    return passed("memory of nodes, and four user objects");
}
