/* SPDX-License-Identifier: MIT */
/*
 * Many host threads at once, each with its own stream (or, built with
 * per-thread default streams, its own default stream), its own memory and its
 * own errors.
 *
 *   threads [COUNT [ROUNDS]]      default 64 threads, 6 rounds
 */
#include "common.cuh"

#include <atomic>
#include <thread>

__global__ void mix(unsigned *data, int n, unsigned key)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        data[i] = (data[i] ^ key) * 2654435761u + i;
}

static std::atomic<int> wrong_results;

static void one_round(cudaStream_t stream, unsigned *device, std::vector<unsigned> &host,
                      unsigned key)
{
    int n = host.size();
    size_t bytes = n * sizeof(unsigned);
    std::vector<unsigned> want(host);

    RT(cudaMemcpyAsync(device, host.data(), bytes, cudaMemcpyHostToDevice, stream));
    for (int pass = 0; pass < 3; pass++)
        mix<<<(n + 127) / 128, 128, 0, stream>>>(device, n, key + pass);
    LAUNCHED();
    RT(cudaMemcpyAsync(host.data(), device, bytes, cudaMemcpyDeviceToHost, stream));
    RT(cudaStreamSynchronize(stream));
    for (int pass = 0; pass < 3; pass++)
        for (int i = 0; i < n; i++)
            want[i] = (want[i] ^ (key + pass)) * 2654435761u + i;
    if (host != want)
        wrong_results++;
}

/* A failing call in one thread must not show in another. */
static void own_errors(int id)
{
    if (id % 4 == 0) {
        RT_IS(cudaErrorInvalidDevice, cudaSetDevice(99));
        RT_IS(cudaErrorInvalidDevice, cudaGetLastError());
    } else {
        RT_IS(cudaSuccess, cudaPeekAtLastError());
    }
}

static void worker(int id, int rounds)
{
    int n = 500 + id * 37;
    std::vector<unsigned> host(n);
    unsigned *device;
    cudaStream_t stream = cudaStreamPerThread;

    if (id % 2)
        RT(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    RT(cudaMalloc(&device, n * sizeof(unsigned)));
    for (int i = 0; i < n; i++)
        host[i] = i * id;
    for (int r = 0; r < rounds; r++)
        one_round(stream, device, host, id * 1000 + r);
    own_errors(id);
    RT(cudaFree(device));
    if (id % 2)
        RT(cudaStreamDestroy(stream));
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 64, rounds = argc > 2 ? atoi(argv[2]) : 6;
    std::vector<std::thread> threads;

    for (int i = 0; i < count; i++)
        threads.emplace_back(worker, i, rounds);
    for (std::thread &t : threads)
        t.join();
    EXPECT(wrong_results == 0, "%d of %d rounds are wrong", (int)wrong_results, count * rounds);
    RT(cudaDeviceSynchronize());
    return passed("%d threads, %d rounds each", count, rounds);
}
