/* SPDX-License-Identifier: MIT */
/* Says what device the guest sees, and checks that its memory holds what it is given. */
#include "vg_demo.h"

#include <stdio.h>
#include <string.h>

static int attribute(CUdevice_attribute which)
{
    int value;

    VG_CU(cuDeviceGetAttribute(&value, which, 0));
    return value;
}

static void describe(const char *name, size_t total)
{
    int version;

    VG_CU(cuDriverGetVersion(&version));
    printf("device 0: %s\n", name);
    printf("  CUDA driver version    %d.%d\n", version / 1000, version % 1000 / 10);
    printf("  compute capability     %d.%d\n",
           attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
           attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
    printf("  multiprocessors        %d, warps of %d threads\n",
           attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
           attribute(CU_DEVICE_ATTRIBUTE_WARP_SIZE));
    printf("  memory                 %zu MiB\n", total >> 20);
    printf("  per block              %d threads, %d bytes of shared memory\n",
           attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
           attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK));
}

/* A megabyte goes there and comes back; it is most of what the table counts. */
static bool memory_holds(void)
{
    static unsigned char out[1 << 20], back[1 << 20];
    uint32_t seed = 1;
    CUdeviceptr memory;
    bool same;

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (unsigned char)vg_drv_random(&seed);
    memory = vg_demo_upload(out, sizeof(out));
    VG_CU(cuMemcpyDtoH_v2(back, memory, sizeof(back)));
    same = memcmp(out, back, sizeof(out)) == 0;
    printf("  copy test              %zu KiB to the GPU and back: %s\n", sizeof(out) >> 10,
           same ? "the same" : "DIFFERENT");
    return same;
}

int main(void)
{
    struct vg_demo demo;
    char name[128];
    size_t total, available, whole;
    int count;
    bool ok;

    vg_demo_start(&demo, "vector_add");
    VG_CU(cuDeviceGetCount(&count));
    VG_CU(cuDeviceGetName(name, sizeof(name), 0));
    VG_CU(cuDeviceTotalMem_v2(&total, 0));
    VG_CU(cuMemGetInfo_v2(&available, &whole));
    describe(name, total);
    ok = count >= 1 && attribute(CU_DEVICE_ATTRIBUTE_WARP_SIZE) == 32 && available <= whole &&
         whole <= total && memory_holds();
    return vg_demo_end(&demo, ok, "%s, %zu MiB", name, total >> 20);
}
