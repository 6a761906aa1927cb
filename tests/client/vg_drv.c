/* SPDX-License-Identifier: MIT */
/*
 * Opens libcuda.so.1 and helps the test clients and the demo to use it.
 * Runs in the client's process; must work on NVIDIA's library as on ours.
 */
#include "vg_drv.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct vg_drv vg_drv;

void vg_drv_fail(const char *format, ...)
{
    va_list args;

    fflush(stdout);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* What an older driver, or the software GPU by itself, lacks fails when it is called. */
static CUresult missing(void)
{
    return CUDA_ERROR_NOT_FOUND;
}

static void *symbol_of(void *library, const char *name)
{
    void *address = dlsym(library, name);

    return address ? address : (void *)(uintptr_t)missing;
}

void vg_drv_open(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);

    if (!library)
        vg_drv_fail("%s", dlerror());
#define VG_DRV_RESOLVE(name) vg_drv.name = (__typeof__(name) *)symbol_of(library, #name);
    VG_DRV_FUNCTIONS(VG_DRV_RESOLVE)
#undef VG_DRV_RESOLVE
}

CUcontext vg_drv_start(void)
{
    CUcontext ctx;
    CUdevice dev;

    vg_drv_open();
    VG_CU(cuInit(0));
    VG_CU(cuDeviceGet(&dev, 0));
    VG_CU(cuDevicePrimaryCtxRetain(&ctx, dev));
    VG_CU(cuCtxSetCurrent(ctx));
    return ctx;
}

const char *vg_drv_error(CUresult result)
{
    const char *name = NULL;

    if (vg_drv.cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
        return "an unknown result";
    return name;
}

void vg_drv_check(CUresult got, CUresult want, const char *call, const char *file, int line)
{
    if (got != want)
        vg_drv_fail("%s:%d: %s returned %d (%s), not %d", file, line, call, (int)got,
                    vg_drv_error(got), (int)want);
}

CUmodule vg_drv_module(const char *image)
{
    CUmodule module;

    VG_CU(cuModuleLoadData(&module, image));
    return module;
}

CUfunction vg_drv_function(CUmodule module, const char *name)
{
    CUfunction function;

    VG_CU(cuModuleGetFunction(&function, module, name));
    return function;
}

CUdeviceptr vg_drv_alloc(size_t bytes)
{
    CUdeviceptr address;

    VG_CU(cuMemAlloc_v2(&address, bytes));
    return address;
}

double vg_drv_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

int vg_drv_rounds(void)
{
    const char *s = getenv("VG_ROUNDS");
    int n = s ? atoi(s) : 1;

    return n > 0 ? n : 1;
}

void vg_drv_turn(void)
{
    char line[64];

    if (!getenv("VG_ROUNDS"))
        return;
    puts("turn");
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        exit(1);
}

uint32_t vg_drv_random(uint32_t *state)
{
    uint32_t x = *state;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}
