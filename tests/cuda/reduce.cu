/* SPDX-License-Identifier: MIT */
/* A sum by warp shuffles, shared memory and one atomic per block; and an inclusive scan. */
#include "common.cuh"

__device__ int warp_sum(int v)
{
    for (int d = 16; d > 0; d >>= 1)
        v += __shfl_down_sync(0xffffffffu, v, d);
    return v;
}

__global__ void sum(const int *in, int n, unsigned long long *total)
{
    __shared__ int parts[32];
    int v = 0;

    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        v += in[i];
    v = warp_sum(v);
    if (threadIdx.x % 32 == 0)
        parts[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x < 32) {
        v = threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : 0;
        v = warp_sum(v);
        if (threadIdx.x == 0)
            atomicAdd(total, (unsigned long long)(long long)v);
    }
}

__global__ void scan_block(int *data)
{
    extern __shared__ int buffer[];
    int t = threadIdx.x;

    buffer[t] = data[blockIdx.x * blockDim.x + t];
    __syncthreads();
    for (int d = 1; d < blockDim.x; d <<= 1) {
        int add = t >= d ? buffer[t - d] : 0;

        __syncthreads();
        buffer[t] += add;
        __syncthreads();
    }
    data[blockIdx.x * blockDim.x + t] = buffer[t];
}

static void check_sum(int n, int blocks, int threads)
{
    uint32_t seed = 77;
    std::vector<int> in(n);
    long long want = 0;

    for (int &v : in) {
        v = (int)(next_random(&seed) % 2001) - 1000;
        want += v;
    }
    device_array<int> device(in);
    device_array<unsigned long long> total(1);
    RT(cudaMemset(total.ptr, 0, sizeof(unsigned long long)));
    sum<<<blocks, threads>>>(device.ptr, n, total.ptr);
    LAUNCHED();
    long long got = (long long)total.read()[0];
    EXPECT(got == want, "sum of %d numbers is %lld, not %lld", n, got, want);
}

static void check_scan(int blocks, int threads)
{
    std::vector<int> in(blocks * threads);

    for (size_t i = 0; i < in.size(); i++)
        in[i] = (int)(i * 31 % 17) - 5;
    device_array<int> device(in);
    scan_block<<<blocks, threads, threads * sizeof(int)>>>(device.ptr);
    LAUNCHED();
    std::vector<int> got = device.read();
    for (int b = 0; b < blocks; b++)
        for (int t = 0, want = 0; t < threads; t++) {
            want += in[b * threads + t];
            EXPECT(got[b * threads + t] == want, "scan %d/%d: [%d] is %d, not %d", b, threads, t,
                   got[b * threads + t], want);
        }
}

int main(void)
{
    check_sum(1, 1, 32);
    check_sum(1000, 3, 96);
    check_sum(200000, 16, 256);
    check_sum(99999, 4, 1024);
    check_scan(1, 1);
    check_scan(5, 64);
    check_scan(3, 1024);
    return passed("4 sums and 3 scans, exact");
}
