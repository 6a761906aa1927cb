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

/* Copies and memsets know the memory as the device's and as the host's. */
static void copies(int *p, int n)
{
    std::vector<int> up(n), down(n);
    device_array<int> on_device(n);

    for (int i = 0; i < n; i++)
        up[i] = i * 5;
    RT(cudaMemcpy(p, up.data(), n * sizeof(int), cudaMemcpyDefault));
    EXPECT(memcmp(p, up.data(), n * sizeof(int)) == 0, "a copy into managed memory");
    RT(cudaMemcpy(on_device.ptr, p, n * sizeof(int), cudaMemcpyDefault));
    RT(cudaMemset(p, 0, n * sizeof(int)));
    RT(cudaDeviceSynchronize());
    EXPECT(p[n / 2] == 0, "a memset of managed memory");
    RT(cudaMemcpy(p, on_device.ptr, n * sizeof(int), cudaMemcpyDeviceToDevice));
    RT(cudaDeviceSynchronize());
    RT(cudaMemcpy(down.data(), p, n * sizeof(int), cudaMemcpyDeviceToHost));
    EXPECT(down == up && p[n - 1] == (n - 1) * 5, "a copy out of managed memory");
}

static void attributes(int *p)
{
    cudaPointerAttributes a;

    RT(cudaPointerGetAttributes(&a, p + 7));
    EXPECT(a.type == cudaMemoryTypeManaged, "its type is %d", (int)a.type);
    EXPECT(a.devicePointer == p + 7 && a.hostPointer == p + 7, "its addresses differ");
}

/* Advice and prefetching, and what is told of them afterwards. */
static void advice(int *p, size_t bytes)
{
    cudaMemLocation here = {}, host = {};
    int concurrent = 0, value = -7, by[2] = {-7, -7};

    here.type = cudaMemLocationTypeDevice;
    host.type = cudaMemLocationTypeHost;
    RT(cudaDeviceGetAttribute(&concurrent, cudaDevAttrConcurrentManagedAccess, 0));
    if (!concurrent)
        return;
    RT(cudaMemAdvise(p, bytes, cudaMemAdviseSetReadMostly, here));
    RT(cudaMemRangeGetAttribute(&value, sizeof(value), cudaMemRangeAttributeReadMostly, p, bytes));
    EXPECT(value == 1, "read mostly is %d", value);
    RT(cudaMemAdvise(p, bytes, cudaMemAdviseUnsetReadMostly, here));
    RT(cudaMemRangeGetAttribute(&value, sizeof(value), cudaMemRangeAttributePreferredLocation, p,
                                bytes));
    EXPECT(value == cudaInvalidDeviceId, "preferred without advice: %d", value);
    RT(cudaMemAdvise(p, bytes, cudaMemAdviseSetPreferredLocation, host));
    RT(cudaMemRangeGetAttribute(&value, sizeof(value), cudaMemRangeAttributePreferredLocation, p,
                                bytes));
    EXPECT(value == cudaCpuDeviceId, "preferred is %d", value);
    RT(cudaMemAdvise(p, bytes, cudaMemAdviseSetAccessedBy, here));
    RT(cudaMemRangeGetAttribute(by, sizeof(by), cudaMemRangeAttributeAccessedBy, p, bytes));
    EXPECT(by[0] == 0 && by[1] == cudaInvalidDeviceId, "accessed by %d, %d", by[0], by[1]);
    RT(cudaMemPrefetchAsync(p, bytes, here, 0, 0));
    RT(cudaMemRangeGetAttribute(&value, sizeof(value), cudaMemRangeAttributeLastPrefetchLocation,
                                p, bytes));
    EXPECT(value == 0, "prefetched to %d", value);
    RT(cudaMemPrefetchAsync(p, bytes, host, 0, 0));
    RT(cudaDeviceSynchronize());
    RT_IS(cudaErrorInvalidValue, cudaMemPrefetchAsync(p, bytes * 1000, here, 0, 0));
    cudaGetLastError();
}

static void come_and_go(void)
{
    const size_t bytes = 8u << 20;

    for (int i = 0; i < 200; i++) {
        char *p;
        RT(cudaMallocManaged(&p, bytes));
        p[0] = p[bytes - 1] = 1;
        RT(cudaFree(p));
    }
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
    copies(p, n);
    attributes(p);
    advice(p, n * sizeof(int));
    RT(cudaFree(p));
    RT_IS(cudaErrorInvalidValue, cudaFree(p));
    cudaGetLastError();
    come_and_go();
    return passed("shared between CPU and GPU, copied, advised");
}
