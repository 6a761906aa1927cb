/* SPDX-License-Identifier: MIT */
/*
 * Host memory that kernels reach directly: allocated mapped, allocated
 * portable, and ordinary memory registered afterwards.  No copy is made by
 * the program; pointers inside a structure in mapped memory must work too.
 */
#include "common.cuh"

struct job {
    const int *in;
    int *out;
    int n;
};

__global__ void work(const struct job *job)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < job->n)
        job->out[i] = job->in[i] * 3 + 1;
}

static void run(const struct job *device_job, const int *host_in, const int *host_out, int n,
                const char *what)
{
    work<<<(n + 63) / 64, 64>>>(device_job);
    LAUNCHED();
    RT(cudaDeviceSynchronize());
    for (int i = 0; i < n; i++)
        EXPECT(host_out[i] == host_in[i] * 3 + 1, "%s: [%d] is %d, not %d", what, i, host_out[i],
               host_in[i] * 3 + 1);
}

template <class T> static T *device_view(T *host)
{
    void *device = NULL;

    RT(cudaHostGetDevicePointer(&device, (void *)host, 0));
    EXPECT(device != NULL, "no device pointer for mapped memory");
    return (T *)device;
}

static void mapped_allocation(int n, int round)
{
    int *in, *out;
    struct job *job;
    unsigned flags = 0;

    RT(cudaHostAlloc(&in, n * sizeof(int), cudaHostAllocMapped));
    RT(cudaHostAlloc(&out, n * sizeof(int), cudaHostAllocMapped | cudaHostAllocPortable));
    RT(cudaHostAlloc(&job, sizeof(*job), cudaHostAllocMapped | cudaHostAllocWriteCombined));
    RT(cudaHostGetFlags(&flags, in));
    EXPECT(flags & cudaHostAllocMapped, "flags %#x lack the mapped bit", flags);
    for (int i = 0; i < n; i++) {
        in[i] = i ^ round;
        out[i] = -1;
    }
    job->in = device_view(in);
    job->out = device_view(out);
    job->n = n;
    run(device_view(job), in, out, n, "mapped");

    struct cudaPointerAttributes attr;
    RT(cudaPointerGetAttributes(&attr, out));
    EXPECT(attr.type == cudaMemoryTypeHost && attr.hostPointer == out,
           "pointer attributes: type %d", (int)attr.type);
    RT(cudaFreeHost(in));
    RT(cudaFreeHost(out));
    RT(cudaFreeHost(job));
}

/* Returns whether registering is possible here. */
static bool registered_memory(int n)
{
    size_t size = (n * sizeof(int) + 4095) / 4096 * 4096;
    int *in = (int *)aligned_alloc(4096, size), *out = (int *)aligned_alloc(4096, size);
    cudaError_t got = cudaHostRegister(in, size, cudaHostRegisterMapped);

    if (got == cudaErrorNotSupported) {
        cudaGetLastError();
        free(in);
        free(out);
        return false;
    }
    RT(got);
    RT(cudaHostRegister(out, size, cudaHostRegisterDefault)); /* mapped, too */
    device_array<struct job> job(1);
    struct job text = {device_view(in), device_view(out), n};
    for (int i = 0; i < n; i++)
        in[i] = 7 * i;
    RT(cudaMemcpy(job.ptr, &text, sizeof(text), cudaMemcpyHostToDevice));
    run(job.ptr, in, out, n, "registered");
    RT(cudaHostUnregister(in));
    RT(cudaHostUnregister(out));
    RT_IS(cudaErrorHostMemoryNotRegistered, cudaHostUnregister(out));
    cudaGetLastError();
    free(in);
    free(out);
    return true;
}

int main(void)
{
    int can = 0;

    RT(cudaDeviceGetAttribute(&can, cudaDevAttrCanMapHostMemory, 0));
    if (!can)
        skip("the device cannot map host memory");
    mapped_allocation(1, 0);
    mapped_allocation(1000, 1);
    mapped_allocation(300000, 2);
    bool registered = registered_memory(100000);
    return passed("zero-copy, %s", registered ? "registered memory too"
                                              : "registering honestly not supported");
}
