/* SPDX-License-Identifier: MIT */
/* Managed memory either works, or is refused honestly and harms nothing. */
#include "common.cuh"

__global__ void add_one(int *p, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        p[i] += 1;
}

static void still_usable(void)
{
    std::vector<int> zeros(100);
    device_array<int> p(zeros);

    add_one<<<1, 100>>>(p.ptr, 100);
    LAUNCHED();
    EXPECT(p.read()[99] == 1, "the device does not work after the refusal");
}

int main(void)
{
    const int n = 10000;
    int *p = NULL;
    cudaError_t got = cudaMallocManaged(&p, n * sizeof(int));

    if (got == cudaErrorNotSupported) {
        cudaGetLastError();
        still_usable();
        return passed("refused with cudaErrorNotSupported, the device works on");
    }
    RT(got);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < n; i++)
            p[i] = i * round;
        add_one<<<(n + 127) / 128, 128>>>(p, n);
        LAUNCHED();
        RT(cudaDeviceSynchronize());
        for (int i = 0; i < n; i++)
            EXPECT(p[i] == i * round + 1, "round %d: [%d] is %d", round, i, p[i]);
    }
    RT(cudaFree(p));
    return passed("3 rounds shared between CPU and GPU");
}
