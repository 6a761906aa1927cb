/* SPDX-License-Identifier: MIT */
/*
 * Host functions in a stream: they run after the work before them and before
 * the work after them, and see the results of the one and feed the other.
 */
#include "common.cuh"

#include <unistd.h>

struct step {
    int *pinned; /* written by a copy before the call, read by one after it */
    int seen;
    int calls;
};

__global__ void increment(int *cell)
{
    *cell += 1;
}

static void double_it(void *arg)
{
    struct step *step = (struct step *)arg;

    step->seen = *step->pinned;
    *step->pinned = step->seen * 2;
    step->calls++;
}

static void on_status(cudaStream_t stream, cudaError_t status, void *arg)
{
    struct step *step = (struct step *)arg;

    (void)stream;
    step->seen = status == cudaSuccess ? *step->pinned : -1;
    step->calls++;
}

/* cell = 2 * (cell + 1), five times, each doubling done by the host. */
static void ping_pong(cudaStream_t stream, int *cell, struct step *step)
{
    int want = 0;

    RT(cudaMemsetAsync(cell, 0, sizeof(int), stream));
    for (int i = 0; i < 5; i++) {
        increment<<<1, 1, 0, stream>>>(cell);
        RT(cudaMemcpyAsync(step->pinned, cell, sizeof(int), cudaMemcpyDeviceToHost, stream));
        cudaError_t got = cudaLaunchHostFunc(stream, double_it, step);
        if (got == cudaErrorNotSupported)
            skip("host functions are not supported");
        RT(got);
        RT(cudaMemcpyAsync(cell, step->pinned, sizeof(int), cudaMemcpyHostToDevice, stream));
        want = 2 * (want + 1);
    }
    RT(cudaStreamSynchronize(stream));
    EXPECT(step->calls == 5, "%d calls instead of 5", step->calls);
    EXPECT(step->seen * 2 == want, "the last call saw %d, not %d", step->seen, want / 2);
}

static void slowly(void *arg)
{
    usleep(20000);
    *(volatile int *)arg = 1;
}

/* Freeing waits for the work before it: whoever frees must not keep the host function waiting. */
static void free_meanwhile(cudaStream_t stream)
{
    volatile int ran = 0;
    void *memory;

    for (int i = 0; i < 3; i++) {
        ran = 0;
        RT(cudaMalloc(&memory, 1 << 20));
        RT(cudaMemsetAsync(memory, i, 1 << 20, stream));
        RT(cudaLaunchHostFunc(stream, slowly, (void *)&ran));
        RT(cudaMemsetAsync(memory, i, 1 << 20, stream));
        RT(cudaFree(memory));
        RT(cudaDeviceSynchronize());
        EXPECT(ran == 1, "the host function has not run");
    }
}

int main(void)
{
    struct step step = {NULL, 0, 0};
    device_array<int> cell(1);
    cudaStream_t stream;

    RT(cudaStreamCreate(&stream));
    RT(cudaMallocHost(&step.pinned, sizeof(int)));
    ping_pong(stream, cell.ptr, &step);
    EXPECT(cell.read()[0] == 62, "the device holds %d, not 62", cell.read()[0]);

    step.calls = 0;
    increment<<<1, 1, 0, stream>>>(cell.ptr);
    RT(cudaMemcpyAsync(step.pinned, cell.ptr, sizeof(int), cudaMemcpyDeviceToHost, stream));
    RT(cudaStreamAddCallback(stream, on_status, &step, 0));
    RT(cudaStreamSynchronize(stream));
    EXPECT(step.calls == 1 && step.seen == 63, "callback: %d calls, saw %d", step.calls,
           step.seen);
    free_meanwhile(stream);
    RT(cudaFreeHost(step.pinned));
    RT(cudaStreamDestroy(stream));
    return passed("5 host functions and a callback, in order");
}
