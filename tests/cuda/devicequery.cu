/* SPDX-License-Identifier: MIT */
/* Device properties: present, plausible, and the same by every way of asking. */
#include "common.cuh"

static void plausible(const struct cudaDeviceProp *p)
{
    EXPECT(p->name[0] && strlen(p->name) < sizeof(p->name), "the device has no name");
    EXPECT(p->warpSize == 32, "warp size %d", p->warpSize);
    EXPECT(p->maxThreadsPerBlock == 1024, "%d threads per block", p->maxThreadsPerBlock);
    EXPECT(p->maxThreadsDim[2] == 64 && p->maxGridSize[1] == 65535, "dimensions %d, %d",
           p->maxThreadsDim[2], p->maxGridSize[1]);
    EXPECT(p->multiProcessorCount > 0, "no multiprocessors");
    EXPECT(p->totalGlobalMem >= (64u << 20), "%zu bytes of memory", p->totalGlobalMem);
    EXPECT(p->sharedMemPerBlock >= 48 * 1024, "%zu bytes of shared memory", p->sharedMemPerBlock);
    EXPECT(p->major * 10 + p->minor >= 75, "compute capability %d.%d", p->major, p->minor);
    EXPECT(p->unifiedAddressing, "no unified addressing");
}

static void agrees(const struct cudaDeviceProp *p)
{
    static const cudaDeviceAttr asked[] = {
        cudaDevAttrWarpSize, cudaDevAttrMultiProcessorCount, cudaDevAttrMaxThreadsPerBlock,
        cudaDevAttrComputeCapabilityMajor, cudaDevAttrComputeCapabilityMinor,
        cudaDevAttrMaxSharedMemoryPerBlock, cudaDevAttrPciBusId};
    const int have[] = {p->warpSize, p->multiProcessorCount, p->maxThreadsPerBlock,
                        p->major,    p->minor,               (int)p->sharedMemPerBlock,
                        p->pciBusID};
    char bus[32];
    int value = -1, device = -1;
    size_t available = 0, total = 0;

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        RT(cudaDeviceGetAttribute(&value, asked[i], 0));
        EXPECT(value == have[i], "attribute %d: %d by one way, %d by the other", (int)asked[i],
               value, have[i]);
    }
    RT(cudaDeviceGetPCIBusId(bus, sizeof(bus), 0));
    RT(cudaDeviceGetByPCIBusId(&device, bus));
    EXPECT(device == 0, "bus %s belongs to device %d", bus, device);
    RT(cudaMemGetInfo(&available, &total));
    EXPECT(available > 0 && available <= total && total <= p->totalGlobalMem,
           "%zu bytes free of %zu, the device says %zu", available, total, p->totalGlobalMem);
}

int main(void)
{
    int count = 0, driver = 0, runtime = 0;
    struct cudaDeviceProp prop;

    RT(cudaDriverGetVersion(&driver));
    RT(cudaRuntimeGetVersion(&runtime));
    EXPECT(driver / 1000 >= runtime / 1000, "driver %d is older than runtime %d", driver, runtime);
    RT(cudaGetDeviceCount(&count));
    EXPECT(count >= 1, "no device");
    RT(cudaGetDeviceProperties(&prop, 0));
    plausible(&prop);
    agrees(&prop);
    return passed("%s, compute capability %d.%d, %zu MiB, %d multiprocessors, driver %d.%d",
                  prop.name, prop.major, prop.minor, prop.totalGlobalMem >> 20,
                  prop.multiProcessorCount, driver / 1000, driver % 1000 / 10);
}
