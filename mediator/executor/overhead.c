/* SPDX-License-Identifier: MIT */
/* NVML's two answers about one context, see overhead.h. */
#include "mediator/executor/overhead.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "mediator/executor/executor.h"
#include "vg_atomic.h"
#include "vg_nvml.h"

#define PROCESSES_MAX 256u  /* on one GPU */

union call {
    void *address;
    int (*plain)(void);
    int (*by_bus)(const char *, void **);
    int (*memory)(void *, struct vg_nv_memory *);
    int (*processes)(void *, unsigned *, struct vg_nv_process *);
};

static union call find(const struct vg_exec *x, const char *symbol)
{
    return (union call){.address = dlsym(x->overhead.library, symbol)};
}

void vg_overhead_open(struct vg_exec *x)
{
    struct vg_overhead *o = &x->overhead;

    if (!x->opt.nvml)
        return;
    o->library = dlopen(x->opt.nvml, RTLD_NOW | RTLD_LOCAL);
    if (!o->library) {
        vg_log(x, "event=no_nvml why=\"%s\"", dlerror());
        return;
    }
    union call init = find(x, "nvmlInit_v2");
    if (!init.address || init.plain() != VG_NV_SUCCESS)
        o->library = NULL;
}

/* The library stays: unloading one with threads of its own is asking for trouble. */
static void close_nvml(struct vg_exec *x)
{
    union call end = find(x, "nvmlShutdown");

    if (end.address)
        end.plain();
    x->overhead.library = NULL;
}

static uint64_t left_on(const struct vg_exec *x, void *device)
{
    union call ask = find(x, "nvmlDeviceGetMemoryInfo");
    struct vg_nv_memory m = {0};

    return ask.address && ask.memory(device, &m) == VG_NV_SUCCESS ? m.free : 0;
}

/* By this process; 0: NVML does not name it, as in a container that it cannot see into. */
static uint64_t used_here(const struct vg_exec *x, void *device)
{
    union call ask = find(x, "nvmlDeviceGetComputeRunningProcesses_v3");
    struct vg_nv_process list[PROCESSES_MAX];
    unsigned count = PROCESSES_MAX;
    uint32_t self = (uint32_t)getpid();

    if (!ask.address || ask.processes(device, &count, list) != VG_NV_SUCCESS)
        return 0;
    for (unsigned i = 0; i < count && i < PROCESSES_MAX; i++)
        if (list[i].pid == self && list[i].memory != VG_NV_NO_VALUE)
            return list[i].memory;
    return 0;
}

void vg_overhead_before(struct vg_exec *x, CUdevice dev)
{
    struct vg_overhead *o = &x->overhead;
    char bus[32];

    if (!o->library)
        return;
    union call by_bus = find(x, "nvmlDeviceGetHandleByPciBusId_v2");
    if (!by_bus.address || x->cuda.cuDeviceGetPCIBusId(bus, sizeof(bus), dev) != CUDA_SUCCESS ||
        by_bus.by_bus(bus, &o->device) != VG_NV_SUCCESS)
        o->device = NULL;
    else
        o->left = left_on(x, o->device);
}

/* Others come and go between the two looks, so this one is believed only near what was expected. */
static uint64_t by_what_is_left(const struct vg_exec *x)
{
    const struct vg_overhead *o = &x->overhead;
    uint64_t left = left_on(x, o->device), expected = vg_load_relaxed(&x->orders->terms.context_bytes);
    uint64_t taken = o->left > left ? o->left - left : 0;

    return taken >= expected / 2 && taken <= expected * 2 ? taken : 0;
}

/* The first context shows what one costs: nothing else of the process is on the GPU yet. */
void vg_overhead_after(struct vg_exec *x)
{
    struct vg_overhead *o = &x->overhead;

    if (!o->library)
        return;
    if (o->device) {
        o->bytes = used_here(x, o->device);
        if (o->bytes == 0)
            o->bytes = by_what_is_left(x);
        VG_STAT_SET(x, context_bytes, o->bytes);
    }
    close_nvml(x);
}

uint64_t vg_overhead_bytes(const struct vg_exec *x)
{
    return x->overhead.bytes ? x->overhead.bytes : vg_load_relaxed(&x->orders->terms.context_bytes);
}
