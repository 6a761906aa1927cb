/* SPDX-License-Identifier: MIT */
/*
 * What frameworks ask the driver all the time, between cuProfilerStart and
 * cuProfilerStop: each question ROUNDS times after it has been asked, one launch, and its
 * result fetched as frameworks do it, by an asynchronous copy to ordinary memory and a wait.
 * Then WAITS waits for what has been launched since such a copy, and two more. Under VGPU_STATS the
 * guest library prints what crossed to the host, which should be the launches, the copies
 * and the waits that had something to wait for, or nothing new since the latest.
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>

#define ROUNDS 100
#define WAITS  10

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

struct things {
    CUdevice dev;
    CUkernel kernel;
    CUfunction function;
    CUstream stream;
    CUdeviceptr memory;
};

static void ask_context(const struct things *t)
{
    CUdevice dev;
    CUcontext ctx;
    unsigned flags;
    int value, least, greatest;
    size_t limit;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    CUmoduleLoadingMode loading;

    VG_CU(cuCtxGetCurrent(&ctx));
    VG_CU(cuCtxGetDevice(&dev));
    VG_CU(cuDevicePrimaryCtxGetState(dev, &flags, &value));
    VG_CU(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, t->dev));
    VG_CU(cuCtxGetLimit(&limit, CU_LIMIT_STACK_SIZE));
    VG_CU(cuCtxGetStreamPriorityRange(&least, &greatest));
    VG_CU(cuThreadExchangeStreamCaptureMode(&mode));
    VG_CU(cuThreadExchangeStreamCaptureMode(&mode));
    VG_CU(cuModuleGetLoadingMode(&loading));
}

static void ask_stream(const struct things *t)
{
    CUstreamCaptureStatus status;
    CUcontext ctx;
    unsigned flags;
    int priority;

    VG_CU(cuStreamIsCapturing(t->stream, &status));
    VG_CU(cuStreamGetCaptureInfo_v2(t->stream, &status, NULL, NULL, NULL, NULL));
    VG_CU(cuStreamGetPriority(t->stream, &priority));
    VG_CU(cuStreamGetFlags(t->stream, &flags));
    VG_CU(cuStreamGetCtx(t->stream, &ctx));
}

static void ask_kernel(const struct things *t)
{
    CUfunction function;
    int value;

    VG_CU(cuKernelGetFunction(&function, t->kernel));
    VG_CU(cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, t->kernel, t->dev));
    VG_CU(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1024, t->kernel,
                               t->dev));
    VG_CU(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, t->function));
    VG_CU(cuFuncSetAttribute(t->function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 2048));
    VG_CU(cuFuncSetCacheConfig(t->function, CU_FUNC_CACHE_PREFER_L1));
    VG_CU(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&value, t->function, 128, 0, 0));
}

static void ask_memory(const struct things *t)
{
    unsigned type;
    CUdeviceptr start;

    VG_CU(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, t->memory + 5));
    VG_CU(cuPointerGetAttribute(&start, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, t->memory + 5));
}

static void launch(const struct things *t)
{
    VG_CU(cuLaunchKernel(t->function, 1, 1, 1, 1, 1, 1, 0, t->stream, NULL, NULL));
}

static void fetch(const struct things *t)
{
    uint32_t word;

    VG_CU(cuMemcpyDtoHAsync_v2(&word, t->memory, sizeof(word), t->stream));
}

static void one_round(const struct things *t)
{
    ask_context(t);
    ask_stream(t);
    ask_kernel(t);
    ask_memory(t);
    launch(t);
    fetch(t);
    VG_CU(cuStreamSynchronize(t->stream));
}

int main(void)
{
    struct things t = {0};
    CUlibrary library;

    vg_drv_start();
    VG_CU(cuLibraryLoadData(&library, vg_client_ptx, NULL, NULL, 0, NULL, NULL, 0));
    VG_CU(cuLibraryGetKernel(&t.kernel, library, "empty"));
    t.function = vg_drv_function(vg_drv_module(vg_client_ptx), "empty");
    VG_CU(cuStreamCreate(&t.stream, CU_STREAM_NON_BLOCKING));
    t.memory = vg_drv_alloc(4096);
    one_round(&t);
    one_round(&t);
    VG_CU(cuCtxSynchronize());
    VG_CU(cuProfilerStart());
    for (int i = 0; i < ROUNDS; i++)
        one_round(&t);
    for (int i = 0; i < WAITS; i++) {
        fetch(&t);
        launch(&t);
        VG_CU(cuStreamSynchronize(t.stream));
    }
    VG_CU(cuStreamSynchronize(t.stream));
    VG_CU(cuStreamSynchronize(t.stream));
    VG_CU(cuProfilerStop());
    puts("asked");
    return 0;
}
