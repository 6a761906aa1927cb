/* SPDX-License-Identifier: MIT */
/* The part with the device functions, the variables and a kernel that others launch. */
#include "parts.cuh"

__device__ uint32_t calls;
__constant__ uint32_t factors[4] = {3, 5, 7, 11};

__device__ __noinline__ uint32_t mix(uint32_t x, uint32_t salt)
{
    atomicAdd(&calls, 1u);
    return (x ^ salt) * factors[x & 3];
}

__global__ void fill(uint32_t *out, uint32_t n)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        out[i] = mix(i, 0x55);
}
