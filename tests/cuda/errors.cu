/* SPDX-License-Identifier: MIT */
/*
 * Misuse gives the codes that a real driver gives (seen on driver 580), leaves
 * the context usable where a real one would, and stays for ever where a real
 * one would (a wild store, in a process of its own).
 */
#include "common.cuh"

#include <sys/wait.h>
#include <unistd.h>

__global__ void store(int *p)
{
    p[threadIdx.x] = 1234;
}

__global__ void misaligned(char *p)
{
    *(volatile int *)(p + 1) = 5;
}

__global__ void trapped(void)
{
    asm volatile("trap;");
}

static void launch_is(cudaError_t want, dim3 grid, dim3 block, size_t shared, const char *what)
{
    static int *p;

    if (!p)
        RT(cudaMalloc(&p, 4096 * sizeof(int)));
    store<<<grid, block, shared>>>(p);
    cudaError_t got = cudaGetLastError();
    EXPECT(got == want, "%s gives %d (%s), not %d", what, (int)got, cudaGetErrorName(got),
           (int)want);
    EXPECT(cudaGetLastError() == cudaSuccess, "%s: the error is still there", what);
}

static void bad_launches(void)
{
    launch_is(cudaErrorInvalidValue, dim3(1), dim3(2048), 0, "a block of 2048 threads");
    launch_is(cudaErrorInvalidValue, dim3(1), dim3(64, 64), 0, "a block of 64x64 threads");
    launch_is(cudaErrorInvalidValue, dim3(0), dim3(32), 0, "an empty grid");
    launch_is(cudaErrorInvalidValue, dim3(1), dim3(0), 0, "an empty block");
    launch_is(cudaErrorInvalidValue, dim3(1), dim3(32), 1 << 20, "1 MiB of shared memory");
    launch_is(cudaErrorInvalidValue, dim3(1, 70000), dim3(1), 0, "gridDim.y of 70000");
    launch_is(cudaSuccess, dim3(1), dim3(32), 0, "a good launch");
}

static void bad_memory(void)
{
    char byte = 0;
    void *p = NULL, *wild = (void *)0x123456789000ull;

    RT_IS(cudaErrorMemoryAllocation, cudaMalloc(&p, (size_t)1 << 50));
    RT_IS(cudaErrorInvalidValue, cudaMemcpy(wild, &byte, 1, cudaMemcpyHostToDevice));
    RT_IS(cudaErrorInvalidValue, cudaMemcpy(&byte, wild, 1, cudaMemcpyDeviceToHost));
    RT_IS(cudaErrorInvalidValue, cudaFree(wild));
    RT(cudaFree(NULL));
    RT(cudaMalloc(&p, 100));
    RT_IS(cudaErrorInvalidValue, cudaMemcpy(p, &byte, (size_t)1 << 40, cudaMemcpyHostToDevice));
    RT(cudaFree(p));
    RT_IS(cudaErrorInvalidValue, cudaFree(p));
    cudaGetLastError();
}

static void bad_handles(void)
{
    cudaEvent_t a, b;
    float ms;
    int attribute;

    RT_IS(cudaErrorInvalidDevice, cudaSetDevice(9));
    RT_IS(cudaErrorInvalidDevice, cudaDeviceGetAttribute(&attribute, cudaDevAttrWarpSize, 9));
    RT_IS(cudaErrorInvalidResourceHandle, cudaEventQuery(NULL));
    RT(cudaEventCreate(&a));
    RT(cudaEventCreate(&b));
    RT_IS(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&ms, a, b));
    RT(cudaEventDestroy(a));
    RT(cudaEventDestroy(b));
    cudaGetLastError();
}

/* The child: one fault, then every call must say so, in the same words. */
static int sticky_child(const char *which)
{
    int *p;
    cudaError_t want = cudaErrorIllegalAddress;

    RT(cudaMalloc(&p, 256));
    if (strcmp(which, "wild") == 0) {
        store<<<1, 32>>>((int *)0x100);
    } else if (strcmp(which, "misaligned") == 0) {
        misaligned<<<1, 1>>>((char *)p);
        want = cudaErrorMisalignedAddress;
    } else {
        trapped<<<1, 1>>>();
        want = cudaErrorLaunchFailure;
    }
    LAUNCHED();
    RT_IS(want, cudaDeviceSynchronize());
    RT_IS(want, cudaMemset(p, 0, 256));
    RT_IS(want, cudaStreamSynchronize(0));
    RT_IS(want, cudaGetLastError());
    RT_IS(want, cudaMalloc(&p, 256));
    return 0;
}

static void sticky(const char *which)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/proc/self/exe", "errors", "sticky", which, (char *)NULL);
        _exit(127);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
           "the child with a %s access ended with status %#x", which, status);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "sticky") == 0)
        return sticky_child(argv[2]);
    sticky("wild");
    sticky("misaligned");
    sticky("trap");
    bad_launches();
    bad_memory();
    bad_handles();
    RT(cudaDeviceSynchronize());
    return passed("18 misuses, 3 sticky faults in processes of their own");
}
