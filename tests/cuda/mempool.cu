/* SPDX-License-Identifier: MIT */
/* Stream-ordered allocation: cudaMallocAsync, pools, reuse, thresholds, trimming. */
#include "common.cuh"

__global__ void fill(int *p, int n, int value)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        p[i] = value + i;
}

/* Allocate, use, free and allocate again, all without waiting. */
static void churn(cudaStream_t stream, cudaMemPool_t pool, int rounds)
{
    const int n = 20000;
    int *pinned;

    RT(cudaMallocHost(&pinned, rounds * sizeof(int)));
    for (int r = 0; r < rounds; r++) {
        int *p = NULL, *q = NULL;

        if (pool) {
            RT(cudaMallocFromPoolAsync(&p, n * sizeof(int), pool, stream));
            RT(cudaMallocFromPoolAsync(&q, n * sizeof(int), pool, stream));
        } else {
            RT(cudaMallocAsync(&p, n * sizeof(int), stream));
            RT(cudaMallocAsync(&q, n * sizeof(int), stream));
        }
        EXPECT(p && q && p != q, "two live allocations at one address");
        fill<<<(n + 127) / 128, 128, 0, stream>>>(p, n, r * 10);
        RT(cudaMemsetAsync(q, 0xff, n * sizeof(int), stream));
        RT(cudaMemcpyAsync(&pinned[r], p + n - 1, sizeof(int), cudaMemcpyDeviceToHost, stream));
        RT(cudaFreeAsync(p, stream));
        RT(cudaFreeAsync(q, stream));
    }
    RT(cudaStreamSynchronize(stream));
    for (int r = 0; r < rounds; r++)
        EXPECT(pinned[r] == r * 10 + n - 1, "round %d reads %d", r, pinned[r]);
    RT(cudaFreeHost(pinned));
}

static void attributes(cudaMemPool_t pool)
{
    uint64_t threshold = 1 << 20, got = 0, used = 1;

    RT(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
    RT(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &got));
    EXPECT(got == threshold, "release threshold reads %llu", (unsigned long long)got);
    RT(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
    EXPECT(used == 0, "%llu bytes are in use after all was freed", (unsigned long long)used);
    RT(cudaMemPoolTrimTo(pool, 0));
}

int main(void)
{
    int supported = 0;
    cudaStream_t stream;
    cudaMemPool_t pool, own;
    cudaMemPoolProps props = {};

    RT(cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, 0));
    if (!supported)
        skip("the device has no memory pools");
    RT(cudaStreamCreate(&stream));
    churn(stream, NULL, 20);
    RT(cudaDeviceGetDefaultMemPool(&pool, 0));
    attributes(pool);

    props.allocType = cudaMemAllocationTypePinned;
    props.location.type = cudaMemLocationTypeDevice;
    props.location.id = 0;
    RT(cudaMemPoolCreate(&own, &props));
    churn(stream, own, 5);
    attributes(own);
    RT(cudaMemPoolDestroy(own));
    RT(cudaStreamDestroy(stream));
    return passed("20 rounds in the default pool, 5 in an own pool");
}
