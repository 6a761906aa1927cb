/* SPDX-License-Identifier: MIT */
/*
 * A program compiled in parts: device functions, variables and constants of one part
 * are used in another, by kernels of both and by the host. Only PTX is in it, so the
 * driver compiles and links the parts when it loads them.
 */
#include "common.cuh"
#include "parts.cuh"

static const uint32_t host_factors[4] = {3, 5, 7, 11};

static uint32_t host_mix(uint32_t x, uint32_t salt, const uint32_t *factor)
{
    return (x ^ salt) * factor[x & 3];
}

__global__ void twice(uint32_t *data, uint32_t n)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        data[i] = mix(data[i], 0xaa);
}

static void compare(const std::vector<uint32_t> &got, const uint32_t *factor)
{
    for (uint32_t i = 0; i < got.size(); i++) {
        uint32_t want = host_mix(host_mix(i, 0x55, host_factors), 0xaa, factor);
        if (got[i] != want)
            fail("element %u is %u, not %u", i, got[i], want);
    }
}

static void run(uint32_t *data, uint32_t n, const uint32_t *factor)
{
    std::vector<uint32_t> got(n);

    fill<<<(n + 127) / 128, 128>>>(data, n);
    LAUNCHED();
    if (factor != host_factors)
        RT(cudaMemcpyToSymbol(factors, factor, 4 * sizeof(*factor)));
    twice<<<(n + 127) / 128, 128>>>(data, n);
    LAUNCHED();
    RT(cudaMemcpy(got.data(), data, n * sizeof(*data), cudaMemcpyDeviceToHost));
    compare(got, factor);
}

int main()
{
    static const uint32_t others[4] = {13, 17, 19, 23};
    const uint32_t n = 5000;
    uint32_t *data, count = 0;

    RT(cudaMalloc(&data, n * sizeof(*data)));
    run(data, n, host_factors);
    run(data, n, others);
    RT(cudaMemcpyFromSymbol(&count, calls, sizeof(count)));
    if (count != 4 * n)
        fail("mix was called %u times, not %u", count, 4 * n);
    RT(cudaFree(data));
    return passed("functions, variables and kernels across two parts");
}
