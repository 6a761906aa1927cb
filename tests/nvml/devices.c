/* SPDX-License-Identifier: MIT */
/*
 * What a process sees of GPUs, by CUDA and by NVML, a line each:
 *
 *   cuda INDEX PCI-ADDRESS
 *   nvml INDEX PCI-ADDRESS TOTAL-MIB USED-MIB
 *   process INDEX PID MIB            a process on it, by NVML
 *   busy INDEX PID PERCENT           and a sample of its work
 *
 *   nvml-devices [FILE DEVICE MIB]   with MIB of memory of DEVICE, for as long as FILE exists
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vg_drv.h"
#include "vg_nvml.h"

#define PROCESSES_MAX 64u
#define MIB           20

static int (*nv(const char *symbol))()
{
    static void *library;
    int (*function)();

    if (!library)
        library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    void *p = library ? dlsym(library, symbol) : NULL;
    if (!p)
        vg_drv_fail("%s", symbol);
    memcpy(&function, &p, sizeof(p));
    return function;
}

static void show_cuda(void)
{
    int count = 0;

    VG_CU(cuDeviceGetCount(&count));
    for (int i = 0; i < count; i++) {
        char bus[32];

        VG_CU(cuDeviceGetPCIBusId(bus, sizeof(bus), i));
        printf("cuda %d %s\n", i, bus);
    }
}

static void show_processes(unsigned i, void *dev)
{
    struct vg_nv_process p[PROCESSES_MAX];
    struct vg_nv_sample s[PROCESSES_MAX];
    unsigned count = PROCESSES_MAX;

    if (nv("nvmlDeviceGetComputeRunningProcesses_v3")(dev, &count, p) != VG_NV_SUCCESS)
        vg_drv_fail("nvmlDeviceGetComputeRunningProcesses_v3");
    for (unsigned k = 0; k < count; k++)
        printf("process %u %u %llu\n", i, p[k].pid, (unsigned long long)p[k].memory >> MIB);
    count = PROCESSES_MAX;
    /* With nothing to say NVML answers NOT_FOUND. */
    if (nv("nvmlDeviceGetProcessUtilization")(dev, s, &count, 0ull) != VG_NV_SUCCESS)
        return;
    for (unsigned k = 0; k < count; k++)
        printf("busy %u %u %u\n", i, s[k].pid, s[k].sm);
}

static void show_nvml(void)
{
    unsigned count = 0;

    if (nv("nvmlInit_v2")() != VG_NV_SUCCESS || nv("nvmlDeviceGetCount_v2")(&count) != VG_NV_SUCCESS)
        vg_drv_fail("nvmlInit_v2");
    for (unsigned i = 0; i < count; i++) {
        struct vg_nv_pci pci = {.domain = 0};
        struct vg_nv_memory m = {0};
        void *dev;

        if (nv("nvmlDeviceGetHandleByIndex_v2")(i, &dev) != VG_NV_SUCCESS ||
            nv("nvmlDeviceGetMemoryInfo")(dev, &m) != VG_NV_SUCCESS)
            vg_drv_fail("nvmlDeviceGetHandleByIndex_v2");
        nv("nvmlDeviceGetPciInfo_v3")(dev, &pci);
        printf("nvml %u %04X:%02X:%02X.0 %llu %llu\n", i, pci.domain, pci.bus, pci.device,
               (unsigned long long)m.total >> MIB, (unsigned long long)m.used >> MIB);
        show_processes(i, dev);
    }
}

static void hold(int device, size_t mib)
{
    CUcontext ctx;
    CUdeviceptr p;

    VG_CU(cuDevicePrimaryCtxRetain(&ctx, device));
    VG_CU(cuCtxSetCurrent(ctx));
    if (mib)
        VG_CU(cuMemAlloc_v2(&p, mib << MIB));
}

int main(int argc, char **argv)
{
    vg_drv_open();
    VG_CU(cuInit(0));
    if (argc > 3)
        hold(atoi(argv[2]), strtoul(argv[3], NULL, 10));
    show_cuda();
    show_nvml();
    fflush(stdout);
    while (argc > 3 && access(argv[1], F_OK) == 0)
        usleep(20000);
    return 0;
}
