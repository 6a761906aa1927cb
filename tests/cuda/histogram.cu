/* SPDX-License-Identifier: MIT */
/* A byte histogram: shared-memory atomics per block, then global atomics. */
#include "common.cuh"

__global__ void histogram(const unsigned char *data, int n, unsigned *bins)
{
    __shared__ unsigned local[256];

    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        local[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&local[data[i]], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        if (local[i])
            atomicAdd(&bins[i], local[i]);
}

int main(void)
{
    const int n = 300001;
    uint32_t seed = 3;
    std::vector<unsigned char> data(n);
    unsigned want[256] = {0};

    for (unsigned char &v : data) {
        unsigned r = next_random(&seed);

        v = (r >> 8 & 0xff) & (r >> 16 & 0xff); /* not uniform, many collisions */
        want[v]++;
    }
    device_array<unsigned char> ddata(data);
    device_array<unsigned> bins(256);
    RT(cudaMemset(bins.ptr, 0, 256 * sizeof(unsigned)));
    histogram<<<12, 192>>>(ddata.ptr, n, bins.ptr);
    LAUNCHED();
    std::vector<unsigned> got = bins.read();
    for (int i = 0; i < 256; i++)
        EXPECT(got[i] == want[i], "bin %d holds %u, not %u", i, got[i], want[i]);
    return passed("%d bytes in 256 bins, exact", n);
}
