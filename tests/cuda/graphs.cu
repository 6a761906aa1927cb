/* SPDX-License-Identifier: MIT */
/*
 * Graphs by capture: kernels, copies and memsets over two streams joined by
 * events, instantiated once and replayed many times, then updated with other
 * parameters, cloned, and counted.
 */
#include "common.cuh"

__global__ void saxpy(float *y, const float *x, float a, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        y[i] = __fadd_rn(__fmul_rn(a, x[i]), y[i]);
}

__global__ void count_up(int *cell)
{
    atomicAdd(cell, 1);
}

struct world {
    int n;
    float *x, *y, *z;    /* device */
    float *in, *out;     /* pinned */
    int *turns;          /* device: how often the side branch ran */
    cudaStream_t main, side;
    cudaEvent_t fork, join;
};

static void create(struct world *w, int n)
{
    w->n = n;
    RT(cudaMalloc(&w->x, n * sizeof(float)));
    RT(cudaMalloc(&w->y, n * sizeof(float)));
    RT(cudaMalloc(&w->z, n * sizeof(float)));
    RT(cudaMallocHost(&w->in, n * sizeof(float)));
    RT(cudaMallocHost(&w->out, n * sizeof(float)));
    RT(cudaMalloc(&w->turns, sizeof(int)));
    RT(cudaMemset(w->turns, 0, sizeof(int)));
    RT(cudaStreamCreateWithFlags(&w->main, cudaStreamNonBlocking));
    RT(cudaStreamCreateWithFlags(&w->side, cudaStreamNonBlocking));
    RT(cudaEventCreateWithFlags(&w->fork, cudaEventDisableTiming));
    RT(cudaEventCreateWithFlags(&w->join, cudaEventDisableTiming));
    RT(cudaDeviceSynchronize());
}

static void destroy(struct world *w)
{
    RT(cudaFree(w->x));
    RT(cudaFree(w->y));
    RT(cudaFree(w->z));
    RT(cudaFree(w->turns));
    RT(cudaFreeHost(w->in));
    RT(cudaFreeHost(w->out));
    RT(cudaStreamDestroy(w->main));
    RT(cudaStreamDestroy(w->side));
    RT(cudaEventDestroy(w->fork));
    RT(cudaEventDestroy(w->join));
}

/* out = a * in + 0, with a side branch that counts and clears z. */
static cudaGraph_t capture(struct world *w, float a)
{
    size_t bytes = w->n * sizeof(float);
    int blocks = (w->n + 127) / 128;
    cudaStreamCaptureStatus status;
    cudaGraph_t graph = NULL;

    RT(cudaStreamBeginCapture(w->main, cudaStreamCaptureModeThreadLocal));
    RT(cudaEventRecord(w->fork, w->main));
    RT(cudaStreamWaitEvent(w->side, w->fork, 0));
    count_up<<<1, 32, 0, w->side>>>(w->turns);
    RT(cudaMemsetAsync(w->z, 0, bytes, w->side));
    RT(cudaEventRecord(w->join, w->side));
    RT(cudaMemcpyAsync(w->x, w->in, bytes, cudaMemcpyHostToDevice, w->main));
    RT(cudaMemsetAsync(w->y, 0, bytes, w->main));
    saxpy<<<blocks, 128, 0, w->main>>>(w->y, w->x, a, w->n);
    RT(cudaStreamWaitEvent(w->main, w->join, 0));
    saxpy<<<blocks, 128, 0, w->main>>>(w->z, w->y, 1.0f, w->n);
    RT(cudaMemcpyAsync(w->out, w->z, bytes, cudaMemcpyDeviceToHost, w->main));
    RT(cudaStreamIsCapturing(w->main, &status));
    EXPECT(status == cudaStreamCaptureStatusActive, "capture status is %d", (int)status);
    RT(cudaStreamEndCapture(w->main, &graph));
    EXPECT(graph != NULL, "the capture gave no graph");
    return graph;
}

static void nothing_ran_yet(const struct world *w)
{
    int turns = -1;

    RT(cudaMemcpy(&turns, w->turns, sizeof(turns), cudaMemcpyDeviceToHost));
    EXPECT(turns == 0, "the capture itself ran %d kernels", turns);
}

static void replay(struct world *w, cudaGraphExec_t exec, float a, int times)
{
    for (int t = 0; t < times; t++) {
        for (int i = 0; i < w->n; i++)
            w->in[i] = (float)(i + t);
        RT(cudaGraphLaunch(exec, w->main));
        RT(cudaStreamSynchronize(w->main));
        for (int i = 0; i < w->n; i++)
            EXPECT(w->out[i] == a * (float)(i + t), "replay %d: out[%d] is %g, not %g", t, i,
                   w->out[i], a * (float)(i + t));
    }
}

static void check_shape(cudaGraph_t graph)
{
    size_t count = 0;
    cudaGraph_t clone;

    RT(cudaGraphGetNodes(graph, NULL, &count));
    EXPECT(count == 7, "the graph has %zu nodes, not 7", count);
    RT(cudaGraphClone(&clone, graph));
    RT(cudaGraphGetNodes(clone, NULL, &count));
    EXPECT(count == 7, "the clone has %zu nodes, not 7", count);
    RT(cudaGraphDestroy(clone));
}

int main(void)
{
    struct world w;
    cudaGraphExec_t exec;
    const int replays = 40;
    int turns = 0;

    create(&w, 3000);
    cudaGraph_t graph = capture(&w, 2.5f);
    nothing_ran_yet(&w);
    check_shape(graph);
    RT(cudaGraphInstantiate(&exec, graph, 0));
    RT(cudaGraphUpload(exec, w.main));
    replay(&w, exec, 2.5f, replays);

    cudaGraph_t other = capture(&w, -4.0f);
    cudaGraphExecUpdateResultInfo info;
    RT(cudaGraphExecUpdate(exec, other, &info));
    EXPECT(info.result == cudaGraphExecUpdateSuccess, "update result %d", (int)info.result);
    replay(&w, exec, -4.0f, replays);

    for (int i = 0; i < 100; i++) /* back to back, no wait between */
        RT(cudaGraphLaunch(exec, w.main));
    RT(cudaStreamSynchronize(w.main));
    RT(cudaMemcpy(&turns, w.turns, sizeof(turns), cudaMemcpyDeviceToHost));
    EXPECT(turns == 32 * (2 * replays + 100), "the side branch counted %d", turns);
    RT(cudaGraphExecDestroy(exec));
    RT(cudaGraphDestroy(graph));
    RT(cudaGraphDestroy(other));
    destroy(&w);
    return passed("captured over two streams, %d replays, updated once", 2 * replays + 100);
}
