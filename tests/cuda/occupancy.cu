/* SPDX-License-Identifier: MIT */
/* Function attributes and occupancy: the answers must fit together. */
#include "common.cuh"

__global__ void plain(int *p)
{
    p[threadIdx.x] = threadIdx.x;
}

__global__ void __launch_bounds__(128, 2) bounded(int *p)
{
    __shared__ int s[256];

    s[threadIdx.x] = threadIdx.x;
    __syncthreads();
    p[threadIdx.x] = s[blockDim.x - 1 - threadIdx.x];
}

__global__ void dynamic(int *p)
{
    extern __shared__ int s[];

    s[threadIdx.x] = p[threadIdx.x];
    __syncthreads();
    p[threadIdx.x] = s[0];
}

static void attributes(const struct cudaDeviceProp *prop)
{
    struct cudaFuncAttributes a;

    RT(cudaFuncGetAttributes(&a, plain));
    EXPECT(a.maxThreadsPerBlock > 0 && a.maxThreadsPerBlock <= prop->maxThreadsPerBlock,
           "plain: %d threads per block", a.maxThreadsPerBlock);
    EXPECT(a.numRegs > 0 && a.numRegs <= 255, "plain: %d registers", a.numRegs);
    EXPECT(a.sharedSizeBytes == 0, "plain: %zu bytes of shared memory", a.sharedSizeBytes);
    EXPECT(a.ptxVersion >= 75 && a.binaryVersion >= 75, "versions %d and %d", a.ptxVersion,
           a.binaryVersion);
    RT(cudaFuncGetAttributes(&a, bounded));
    EXPECT(a.maxThreadsPerBlock == 128, "bounded: %d threads per block", a.maxThreadsPerBlock);
    EXPECT(a.sharedSizeBytes == 1024, "bounded: %zu bytes of shared memory", a.sharedSizeBytes);
}

static void occupancy(const struct cudaDeviceProp *prop)
{
    int small = 0, large = 0, starved = -1, grid = 0, block = 0;

    RT(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&small, plain, 32, 0));
    RT(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&large, plain, 1024, 0));
    EXPECT(small >= large && large >= 1, "%d blocks of 32 threads, %d of 1024", small, large);
    EXPECT(large * 1024 <= prop->maxThreadsPerMultiProcessor, "%d blocks of 1024 on one of %d",
           large, prop->maxThreadsPerMultiProcessor);
    RT(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&starved, dynamic, 32,
                                                     prop->sharedMemPerBlock));
    EXPECT(starved >= 1 && starved <= small, "%d blocks with all of the shared memory", starved);
    RT(cudaOccupancyMaxPotentialBlockSize(&grid, &block, plain, 0, 0));
    EXPECT(grid >= prop->multiProcessorCount && block >= 32 && block <= 1024 && block % 32 == 0,
           "suggested %d blocks of %d", grid, block);
}

static void limits(const struct cudaDeviceProp *prop)
{
    device_array<int> p(1024);

    bounded<<<1, 256>>>(p.ptr); /* beyond its launch bound */
    cudaError_t got = cudaGetLastError();
    EXPECT(got == cudaErrorInvalidValue || got == cudaErrorLaunchOutOfResources,
           "256 threads of a kernel bound to 128: %s", cudaGetErrorName(got));
    if (prop->sharedMemPerBlockOptin > prop->sharedMemPerBlock) {
        int size = prop->sharedMemPerBlockOptin;

        RT(cudaFuncSetAttribute(dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, size));
        dynamic<<<1, 32, size>>>(p.ptr);
        LAUNCHED();
        RT(cudaDeviceSynchronize());
    }
}

int main(void)
{
    struct cudaDeviceProp prop;

    RT(cudaGetDeviceProperties(&prop, 0));
    attributes(&prop);
    occupancy(&prop);
    limits(&prop);
    return passed("attributes, occupancy and limits fit together");
}
