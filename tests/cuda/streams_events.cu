/* SPDX-License-Identifier: MIT */
/*
 * Streams and events: order within a stream, order between streams through
 * events, the legacy stream's barrier against blocking streams, queries that
 * become true, and event times that grow.
 */
#include "common.cuh"

/* Appends its id to a log: the log's order is the order of execution. */
__global__ void append(int *log, int *fill, int id)
{
    log[atomicAdd(fill, 1)] = id;
}

__global__ void spin_then_store(int *cell, int value, int turns)
{
    unsigned x = value;

    for (int i = 0; i < turns; i++)
        x = x * 1664525u + 1013904223u;
    *cell = x == 0xdeadbeef ? -1 : value;
}

__global__ void scale(int *data, int n, int factor)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        data[i] *= factor;
}

static void order_in_one_stream(void)
{
    const int count = 500;
    device_array<int> log(count), fill(1);
    cudaStream_t stream;

    RT(cudaStreamCreate(&stream));
    RT(cudaMemsetAsync(fill.ptr, 0, sizeof(int), stream));
    for (int i = 0; i < count; i++)
        append<<<1, 1, 0, stream>>>(log.ptr, fill.ptr, i);
    RT(cudaStreamSynchronize(stream));
    std::vector<int> seen = log.read();
    for (int i = 0; i < count; i++)
        EXPECT(seen[i] == i, "launch %d ran as number %d", seen[i], i);
    RT(cudaStreamDestroy(stream));
}

/* A chain over eight streams that only events hold together. */
static void order_between_streams(void)
{
    const int count = 64, width = 8;
    device_array<int> log(count), fill(1);
    cudaStream_t streams[width];
    cudaEvent_t done;

    RT(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
    for (cudaStream_t &s : streams)
        RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    RT(cudaMemset(fill.ptr, 0, sizeof(int)));
    RT(cudaDeviceSynchronize());
    for (int i = 0; i < count; i++) {
        cudaStream_t s = streams[(i * 5) % width];

        if (i > 0)
            RT(cudaStreamWaitEvent(s, done, 0));
        append<<<1, 1, 0, s>>>(log.ptr, fill.ptr, i);
        RT(cudaEventRecord(done, s));
    }
    RT(cudaEventSynchronize(done));
    std::vector<int> seen = log.read();
    for (int i = 0; i < count; i++)
        EXPECT(seen[i] == i, "chain: %d ran as number %d", seen[i], i);
    for (cudaStream_t s : streams)
        RT(cudaStreamDestroy(s));
    RT(cudaEventDestroy(done));
}

/* Work of a blocking stream is finished before later legacy-stream work. */
static void legacy_stream_is_a_barrier(void)
{
    device_array<int> cell(1);
    cudaStream_t stream;
    int seen = 0;

    RT(cudaStreamCreate(&stream));
    for (int value = 1; value < 20; value++) {
        spin_then_store<<<1, 1, 0, stream>>>(cell.ptr, value, 2000);
        RT(cudaMemcpyAsync(&seen, cell.ptr, sizeof(seen), cudaMemcpyDeviceToHost,
                           cudaStreamLegacy));
        RT(cudaStreamSynchronize(cudaStreamLegacy));
        EXPECT(seen == value, "legacy stream saw %d before %d", seen, value);
    }
    RT(cudaStreamDestroy(stream));
}

static void event_times(void)
{
    device_array<int> cell(1);
    cudaEvent_t start, middle, end;
    float first = -1, second = -1, total = -1;

    RT(cudaEventCreate(&start));
    RT(cudaEventCreate(&middle));
    RT(cudaEventCreateWithFlags(&end, cudaEventBlockingSync));
    RT(cudaEventRecord(start));
    spin_then_store<<<1, 1>>>(cell.ptr, 1, 20000);
    RT(cudaEventRecord(middle));
    spin_then_store<<<1, 1>>>(cell.ptr, 2, 20000);
    RT(cudaEventRecord(end));
    RT(cudaEventSynchronize(end));
    RT_IS(cudaSuccess, cudaEventQuery(start));
    RT(cudaEventElapsedTime(&first, start, middle));
    RT(cudaEventElapsedTime(&second, middle, end));
    RT(cudaEventElapsedTime(&total, start, end));
    EXPECT(first > 0 && second > 0 && total < 60000, "times are %g, %g and %g ms", first, second,
           total);
    EXPECT(total >= first && total >= second, "the parts (%g, %g ms) exceed the whole (%g ms)",
           first, second, total);
    RT(cudaEventDestroy(start));
    RT(cudaEventDestroy(middle));
    RT(cudaEventDestroy(end));
}

static void queries_become_true(void)
{
    device_array<int> cell(1);
    cudaStream_t stream;
    cudaEvent_t event;
    double limit = now_s() + 60;

    RT(cudaStreamCreate(&stream));
    RT(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    RT_IS(cudaSuccess, cudaStreamQuery(stream));
    RT_IS(cudaSuccess, cudaEventQuery(event)); /* never recorded counts as complete */
    spin_then_store<<<1, 1, 0, stream>>>(cell.ptr, 5, 100000);
    RT(cudaEventRecord(event, stream));
    for (cudaError_t got; (got = cudaEventQuery(event)) != cudaSuccess;) {
        EXPECT(got == cudaErrorNotReady, "event query returned %s", cudaGetErrorName(got));
        EXPECT(now_s() < limit, "the event is not complete after 60 s");
    }
    RT(cudaStreamSynchronize(stream));
    RT_IS(cudaSuccess, cudaStreamQuery(stream));
    EXPECT(cell.read()[0] == 5, "the kernel's store is missing");
    cudaGetLastError(); /* a query that said not ready leaves no error behind */
    RT(cudaEventDestroy(event));
    RT(cudaStreamDestroy(stream));
}

/* Copy in, compute, copy out on four streams at once over pinned memory. */
static void pipeline(void)
{
    const int parts = 4, n = 20000;
    int *host;
    device_array<int> device((size_t)parts * n);
    cudaStream_t streams[parts];

    RT(cudaMallocHost(&host, parts * n * sizeof(int)));
    for (int round = 1; round <= 5; round++) {
        for (int i = 0; i < parts * n; i++)
            host[i] = i + round;
        for (int p = 0; p < parts; p++) {
            int *h = host + p * n, *d = device.ptr + p * n;

            RT(cudaStreamCreateWithPriority(&streams[p], cudaStreamNonBlocking, 0));
            RT(cudaMemcpyAsync(d, h, n * sizeof(int), cudaMemcpyHostToDevice, streams[p]));
            scale<<<(n + 127) / 128, 128, 0, streams[p]>>>(d, n, 3 + p);
            RT(cudaMemcpyAsync(h, d, n * sizeof(int), cudaMemcpyDeviceToHost, streams[p]));
        }
        RT(cudaDeviceSynchronize());
        for (int i = 0; i < parts * n; i++)
            EXPECT(host[i] == (i + round) * (3 + i / n), "round %d: [%d] is %d", round, i, host[i]);
        for (cudaStream_t s : streams)
            RT(cudaStreamDestroy(s));
    }
    RT(cudaFreeHost(host));
}

int main(void)
{
    order_in_one_stream();
    order_between_streams();
    legacy_stream_is_a_barrier();
    event_times();
    queries_become_true();
    pipeline();
    return passed("order, barriers, times, queries, pipeline");
}
