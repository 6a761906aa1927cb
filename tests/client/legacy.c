/* SPDX-License-Identifier: MIT */
/*
 * The oldest parts of the driver API that still are there: launches whose parameters are
 * set one by one, contexts that are attached to, pinned memory by a 32-bit size. And
 * its newest: the error log, and notifications. And parameters as packed bytes, too few of them.
 */
#include "vg_drv.h"
#include "vg_image.h"

#include <stdio.h>
#include <string.h>

#define WORDS 1000u

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

static void prepare(CUfunction mix, CUdeviceptr data, unsigned key)
{
    VG_CU(cuFuncSetBlockShape(mix, 100, 1, 1));
    VG_CU(cuFuncSetSharedSize(mix, 0));
    VG_CU(cuParamSetSize(mix, 16));
    VG_CU(cuParamSetv(mix, 0, &data, sizeof(data)));
    VG_CU(cuParamSeti(mix, 8, key));
    VG_CU(cuParamSeti(mix, 12, WORDS));
}

/* words[i] = i, then * 3 + key, and the first half so again. */
static void launches(CUfunction mix)
{
    static uint32_t host[WORDS];
    CUdeviceptr data = vg_drv_alloc(sizeof(host));

    for (uint32_t i = 0; i < WORDS; i++)
        host[i] = i;
    VG_CU(cuMemcpyHtoD_v2(data, host, sizeof(host)));
    prepare(mix, data, 5);
    VG_CU(cuLaunchGrid(mix, 10, 1));
    VG_CU(cuParamSeti(mix, 8, 7));
    VG_CU(cuLaunchGridAsync(mix, 5, 1, NULL));     /* the first half */
    VG_CU(cuMemcpyDtoH_v2(host, data, sizeof(host)));
    VG_CU(cuMemFree_v2(data));
    for (uint32_t i = 0; i < WORDS; i++) {
        uint32_t once = i * 3 + 5, want = i < WORDS / 2 ? once * 3 + 7 : once;
        if (host[i] != want)
            vg_drv_fail("word %u is %u, not %u", i, host[i], want);
    }
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuFuncSetBlockShape(mix, 0, 1, 1));
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuParamSetSize(mix, 1u << 20));
}

/* ---- Fewer bytes of parameters than the function takes ---- */

struct given {
    CUdeviceptr at;
    uint32_t word, gap;
};

static void stored(CUdeviceptr at, uint32_t want, const char *how)
{
    uint32_t got = 0;

    VG_CU(cuCtxSynchronize());
    VG_CU(cuMemcpyDtoH_v2(&got, at, 4));
    if (got != want)
        vg_drv_fail("%s stored %u, not %u", how, got, want);
}

/* In a launch, and in a node when it is made, changed, and changed in an executable graph. */
static void fewer_bytes(CUfunction store)
{
    struct given given = {.at = vg_drv_alloc(4), .word = 1};
    size_t size = sizeof(given);
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &given, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                     CU_LAUNCH_PARAM_END};
    CUDA_KERNEL_NODE_PARAMS p = {.func = store, .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1,
                                 .blockDimX = 1, .blockDimY = 1, .blockDimZ = 1, .extra = extra};
    CUgraph graph;
    CUgraphNode node;
    CUgraphExec exec;

    VG_CU(cuLaunchKernel(store, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra));
    stored(given.at, 1, "a launch");
    VG_CU(cuGraphCreate(&graph, 0));
    given.word = 2;
    VG_CU(cuGraphAddKernelNode_v2(&node, graph, NULL, 0, &p));
    VG_CU(cuGraphInstantiateWithFlags(&exec, graph, 0));
    VG_CU(cuGraphLaunch(exec, NULL));
    stored(given.at, 2, "a node");
    given.word = 3;
    VG_CU(cuGraphExecKernelNodeSetParams_v2(exec, node, &p));
    VG_CU(cuGraphLaunch(exec, NULL));
    stored(given.at, 3, "a node changed in an executable graph");
    VG_CU(cuGraphExecDestroy(exec));
    given.word = 4;
    VG_CU(cuGraphKernelNodeSetParams_v2(node, &p));
    VG_CU(cuGraphInstantiateWithFlags(&exec, graph, 0));
    VG_CU(cuGraphLaunch(exec, NULL));
    stored(given.at, 4, "a changed node");
    VG_CU(cuGraphExecDestroy(exec));
    VG_CU(cuGraphDestroy(graph));
    VG_CU(cuMemFree_v2(given.at));
}

static void one_block(CUfunction empty)
{
    VG_CU(cuFuncSetBlockShape(empty, 1, 1, 1));
    VG_CU(cuLaunch(empty));
    VG_CU(cuCtxSynchronize());
}

/* A grid across devices, of one; some drivers have given it up. */
static void across_devices(CUfunction empty)
{
    CUDA_LAUNCH_PARAMS p = {.function = empty, .gridDimX = 2, .gridDimY = 1, .gridDimZ = 1,
                            .blockDimX = 32, .blockDimY = 1, .blockDimZ = 1};

    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuLaunchCooperativeKernelMultiDevice(NULL, 1, 0));
    VG_CU(cuStreamCreate(&p.hStream, 0));
    CUresult r = vg_drv.cuLaunchCooperativeKernelMultiDevice(&p, 1, 0);
    if (r != CUDA_SUCCESS && r != CUDA_ERROR_NOT_SUPPORTED)
        vg_drv_fail("a grid across one device: %d", (int)r);
    VG_CU(cuStreamSynchronize(p.hStream));
    VG_CU(cuStreamDestroy_v2(p.hStream));
}

/* The stream's context serves where the thread has none. */
static void without_context(CUfunction empty)
{
    CUcontext ctx, now = NULL;
    CUstream stream;

    VG_CU(cuCtxGetCurrent(&ctx));
    VG_CU(cuStreamCreate(&stream, 0));
    VG_CU(cuCtxSetCurrent(NULL));
    VG_CU(cuLaunchKernel(empty, 1, 1, 1, 32, 1, 1, 0, stream, NULL, NULL));
    VG_CU(cuCtxGetCurrent(&now));
    if (now)
        vg_drv_fail("a launch made a context current");
    VG_CU_IS(CUDA_ERROR_INVALID_CONTEXT,
             cuLaunchKernel(empty, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL));
    VG_CU(cuCtxSetCurrent(ctx));
    VG_CU(cuStreamSynchronize(stream));
    VG_CU(cuStreamDestroy_v2(stream));
}

static void synchronous_memory(void)
{
    CUdeviceptr p;
    unsigned on = 1, now = 7;

    VG_CU(cuMemAlloc_v2(&p, 4096));
    VG_CU(cuPointerGetAttribute(&now, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
    if (now != 0)
        vg_drv_fail("memory is synchronous unasked: %u", now);
    VG_CU(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
    VG_CU(cuPointerGetAttribute(&now, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p + 100));
    if (now != 1)
        vg_drv_fail("memory was made synchronous and says %u", now);
    VG_CU(cuMemsetD8_v2(p, 5, 4096));
    VG_CU(cuMemcpyDtoD_v2(p, p + 2048, 2048));
    VG_CU(cuMemFree_v2(p));
}

static void attaching(void)
{
    CUcontext before, ctx, same = NULL, now = NULL;

    VG_CU(cuCtxGetCurrent(&before));
    VG_CU(cuCtxCreate_v2(&ctx, 0, 0));
    VG_CU(cuCtxAttach(&same, 0));
    if (same != ctx)
        vg_drv_fail("attached to %p, not %p", (void *)same, (void *)ctx);
    VG_CU(cuCtxDetach(ctx));
    VG_CU(cuCtxGetCurrent(&now));
    if (now != ctx)
        vg_drv_fail("the context went with the first of two users");
    VG_CU(cuCtxDetach(ctx));
    VG_CU(cuCtxGetCurrent(&now));
    if (now == ctx)
        vg_drv_fail("the context did not go with its last user");
    VG_CU(cuCtxSetCurrent(before));     /* which some drivers have forgotten by now */
}

/* The call of 32 bits is for contexts of its time. */
static void pinned(void)
{
    void *p = NULL;

    VG_CU_IS(CUDA_ERROR_INVALID_CONTEXT, cuMemAllocHost(&p, 4096));
}

static void ignore_notice(CUasyncNotificationInfo *info, void *user, CUasyncCallbackHandle handle)
{
    (void)info;
    (void)user;
    (void)handle;
}

static void notifications(void)
{
    CUasyncCallbackHandle handle = NULL;

    VG_CU(cuDeviceRegisterAsyncNotification(0, ignore_notice, NULL, &handle));
    VG_CU(cuDeviceUnregisterAsyncNotification(0, handle));
}

static size_t heard;

static void hear(void *user, CUlogLevel level, char *message, size_t length)
{
    (void)user;
    (void)level;
    if (strlen(message) == length)
        heard += length;
}

/* A module that cannot be loaded is something to say on every driver that keeps a log. */
static void logs(void)
{
    CUlogsCallbackHandle handle = NULL;
    CUlogIterator it = 0;
    CUmodule module;
    char text[8192] = "x";
    size_t size = sizeof(text);

    VG_CU(cuLogsRegisterCallback(hear, NULL, &handle));
    VG_CU(cuLogsCurrent(&it, 0));
    if (vg_drv.cuModuleLoadData(&module, "this is no module") == CUDA_SUCCESS)
        vg_drv_fail("prose was loaded");
    VG_CU(cuLogsDumpToMemory(&it, text, &size, 0));
    if (size != strlen(text))
        vg_drv_fail("%zu bytes of log, said to be %zu", strlen(text), size);
    if ((size == 0) != (heard == 0))
        vg_drv_fail("%zu bytes of log, %zu heard", size, heard);
    size = sizeof(text);
    VG_CU(cuLogsDumpToMemory(&it, text, &size, 0));
    if (size != 0)
        vg_drv_fail("a log is read twice");
    VG_CU(cuLogsUnregisterCallback(handle));
    VG_CU_IS(CUDA_ERROR_INVALID_VALUE, cuLogsCurrent(NULL, 0));
}

int main(void)
{
    vg_drv_start();
    CUmodule module = vg_drv_module(vg_client_ptx);
    launches(vg_drv_function(module, "mix"));
    fewer_bytes(vg_drv_function(module, "store"));
    one_block(vg_drv_function(module, "empty"));
    across_devices(vg_drv_function(module, "empty"));
    without_context(vg_drv_function(module, "empty"));
    synchronous_memory();
    attaching();
    pinned();
    notifications();
    logs();
    puts("old and new");
    return 0;
}
