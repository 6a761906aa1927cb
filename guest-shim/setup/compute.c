/* SPDX-License-Identifier: MIT */
/* A small CUDA program without a toolkit: the kernel is PTX, see probe.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe.h"
#include "protocol/vg_cuda.h"

#define KEY     "cuda-kernel"
#define COUNT   4096u
#define THREADS 128u

/* v[i] = v[i] * 5 + i */
static const char image[] =
    ".version 6.4\n.target sm_75\n.address_size 64\n"
    ".visible .entry probe(.param .u64 v)\n{\n"
    "    .reg .u32 %i, %b, %n, %x;\n    .reg .u64 %p;\n"
    "    ld.param.u64 %p, [v];\n    cvta.to.global.u64 %p, %p;\n"
    "    mov.u32 %b, %ctaid.x;\n    mov.u32 %n, %ntid.x;\n    mov.u32 %i, %tid.x;\n"
    "    mad.lo.u32 %i, %b, %n, %i;\n    mad.wide.u32 %p, %i, 4, %p;\n"
    "    ld.global.u32 %x, [%p];\n    mad.lo.u32 %x, %x, 5, %i;\n    st.global.u32 [%p], %x;\n"
    "    ret;\n}\n";

struct driver {
    CUresult (*device)(CUdevice *device, int ordinal);
    CUresult (*retain)(CUcontext *context, CUdevice device);
    CUresult (*release)(CUdevice device);
    CUresult (*set_current)(CUcontext context);
    CUresult (*synchronize)(void);
    CUresult (*load)(CUmodule *module, const void *image);
    CUresult (*unload)(CUmodule module);
    CUresult (*function)(CUfunction *function, CUmodule module, const char *name);
    CUresult (*allocate)(CUdeviceptr *address, size_t size);
    CUresult (*release_memory)(CUdeviceptr address);
    CUresult (*to_device)(CUdeviceptr to, const void *from, size_t size);
    CUresult (*from_device)(void *to, CUdeviceptr from, size_t size);
    CUresult (*launch)(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                       unsigned by, unsigned bz, unsigned shared, CUstream stream, void **params,
                       void **extra);
};

static const char *const names[] = {
    "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2", "cuCtxSetCurrent",
    "cuCtxSynchronize", "cuModuleLoadData", "cuModuleUnload", "cuModuleGetFunction",
    "cuMemAlloc_v2", "cuMemFree_v2", "cuMemcpyHtoD_v2", "cuMemcpyDtoH_v2", "cuLaunchKernel",
};

/* What the program holds while it runs. */
struct work {
    struct driver cuda;
    CUdevice device;
    CUmodule module;
    CUfunction function;
    CUdeviceptr data;
};

static int find_all(struct driver *d, void *library)
{
    void *found[sizeof(names) / sizeof(names[0])];

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        found[i] = vg_probe_find(library, KEY, names[i]);
        if (!found[i])
            return -1;
    }
    memcpy(d, found, sizeof(*d));
    return 0;
}

/* 0, or -1 when it has been said which call failed, and how. */
static int step(CUresult rc, const char *name)
{
    if (rc != CUDA_SUCCESS)
        vg_probe_complain(KEY, name, (int)rc);
    return rc == CUDA_SUCCESS ? 0 : -1;
}

static int begin(struct work *w, void *library)
{
    CUcontext context;

    if (find_all(&w->cuda, library) < 0 || step(w->cuda.device(&w->device, 0), "cuDeviceGet") < 0 ||
        step(w->cuda.retain(&context, w->device), "cuDevicePrimaryCtxRetain") < 0)
        return -1;
    if (step(w->cuda.set_current(context), "cuCtxSetCurrent") == 0 &&
        step(w->cuda.load(&w->module, image), "cuModuleLoadData") == 0 &&
        step(w->cuda.function(&w->function, w->module, "probe"), "cuModuleGetFunction") == 0 &&
        step(w->cuda.allocate(&w->data, COUNT * sizeof(uint32_t)), "cuMemAlloc") == 0)
        return 0;
    return -1;
}

static void end(struct work *w)
{
    if (w->data)
        w->cuda.release_memory(w->data);
    if (w->module)
        w->cuda.unload(w->module);
    w->cuda.release(w->device);
}

static int launch(struct work *w)
{
    void *params[] = { &w->data };
    CUresult rc = w->cuda.launch(w->function, COUNT / THREADS, 1, 1, THREADS, 1, 1, 0, NULL, params,
                                 NULL);

    return step(rc, "cuLaunchKernel") < 0 ? -1 : step(w->cuda.synchronize(), "cuCtxSynchronize");
}

static int compute(struct work *w)
{
    uint32_t v[COUNT];

    for (uint32_t i = 0; i < COUNT; i++)
        v[i] = i * 2654435761u;
    if (step(w->cuda.to_device(w->data, v, sizeof(v)), "cuMemcpyHtoD") < 0 || launch(w) < 0 ||
        step(w->cuda.from_device(v, w->data, sizeof(v)), "cuMemcpyDtoH") < 0)
        return -1;
    for (uint32_t i = 0; i < COUNT; i++) {
        if (v[i] != i * 2654435761u * 5 + i) {
            vg_probe_complain(KEY, "its result is wrong", 0);
            return -1;
        }
    }
    return 0;
}

void vg_probe_kernel(void *library)
{
    struct work w = { .data = 0 };

    if (begin(&w, library) == 0 && compute(&w) == 0)
        puts(KEY " right");
    if (w.cuda.release)
        end(&w);
}

void vg_probe_load(void *library, unsigned count)
{
    struct work w = { .data = 0 };
    unsigned done = 0;

    if (begin(&w, library) == 0) {
        while (done < count && launch(&w) == 0)
            done++;
        printf("cuda-launches %u\n", done);
    }
    if (w.cuda.release)
        end(&w);
}
