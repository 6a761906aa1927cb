/* SPDX-License-Identifier: MIT */
/*
 * Misuse of contexts: none, another, popped, destroyed ones; other threads.
 */
#include "groups.h"

#include <stdio.h>
#include <string.h>

static CUcontext primary, a, got;
static CUstream s;
static CUevent e, f;
static CUdeviceptr p, q;
static CUmodule module;
static CUfunction function;
static CUdevice device;
static size_t size;
static unsigned flags;
static int value;
static unsigned long long id;
static float ms;
static char stack[64];
static void *host;

/* The stream and what runs on it, where a driver does not look into memory that it has freed. */
static void on_the_stream(void)
{
    SAY(cuStreamQuery(s));
    SAY(cuStreamSynchronize(s));
    SAY(cuStreamGetFlags(s, &flags));
    SAY(cuEventRecord(e, s));
    ASK("launch on the stream", ask_launch_none(function, s));
}

/* One call of each kind, in the current context whatever it is. */
static void one_of_each(void)
{
    CUmodule m;
    CUmemoryPool pool;

    SAY(cuCtxGetDevice(&device));
    SAY(cuCtxGetFlags(&flags));
    SAY(cuCtxGetId(NULL, &id));
    SAY(cuCtxGetLimit(&size, CU_LIMIT_STACK_SIZE));
    SAY(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 1024));
    SAY(cuCtxGetCacheConfig(&(CUfunc_cache){0}));
    SAY(cuCtxGetStreamPriorityRange(&value, &value));
    SAY(cuCtxGetApiVersion(NULL, &flags));
    SAY(cuMemGetInfo_v2(&size, &size));
    SAY(cuMemAlloc_v2(&q, 64));
    SAY(cuMemAllocAsync(&q, 64, NULL));
    SAY(cuMemHostAlloc(&host, 64, 0));
    SAY(cuMemHostRegister_v2(stack, 64, 0));
    SAY(cuMemcpyHtoD_v2(p, stack, 16));
    SAY(cuMemcpyDtoH_v2(stack, p, 16));
    SAY(cuMemcpyDtoD_v2(p, p + 16, 16));
    SAY(cuMemcpyHtoDAsync_v2(p, stack, 16, NULL));
    SAY(cuMemsetD8_v2(p, 0, 16));
    SAY(cuMemsetD8Async(p, 0, 16, NULL));
    SAY(cuMemGetAddressRange_v2(&q, &size, p));
    SAY(cuPointerGetAttribute(&value, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
    SAY(cuStreamCreate(&(CUstream){NULL}, 0));
    SAY(cuStreamSynchronize(NULL));
    SAY(cuStreamSynchronize(CU_STREAM_PER_THREAD));
    SAY(cuStreamIsCapturing(NULL, &(CUstreamCaptureStatus){0}));
    SAY(cuEventCreate(&(CUevent){NULL}, 0));
    SAY(cuEventRecord(e, NULL));
    SAY(cuEventSynchronize(e));
    SAY(cuModuleLoadData(&m, ask_ptx));
    SAY(cuModuleGetFunction(&function, module, "none"));
    SAY(cuModuleGetLoadingMode(&(CUmoduleLoadingMode){0}));
    ASK("launch", ask_launch_none(function, NULL));
    SAY(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, function));
    SAY(cuGraphCreate(&(CUgraph){NULL}, 0));
    SAY(cuDeviceGetDefaultMemPool(&pool, 0));
    SAY(cuCtxSynchronize());
}

/* What a stream, an event, memory and a module of the current context are used with later. */
static void things(void)
{
    SAY(cuMemAlloc_v2(&p, 4096));
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuEventCreate(&e, 0));
    SAY(cuModuleLoadData(&module, ask_ptx));
    SAY(cuModuleGetFunction(&function, module, "none"));
}

void no_context(void)
{
    ask_start();
    things();
    SAY(cuCtxSetCurrent(NULL));
    one_of_each();
    on_the_stream();
    SAY(cuMemFree_v2(p));
    SAY(cuStreamDestroy_v2(s));
    SAY(cuEventDestroy_v2(e));
    SAY(cuModuleUnload(module));
    SAY(cuCtxPopCurrent_v2(&got));
}

void popped_context(void)
{
    primary = ask_start();
    things();
    SAY(cuCtxPopCurrent_v2(&got));
    ask_say("it was", got == primary);
    SAY(cuCtxPopCurrent_v2(&got));
    SAY(cuCtxPopCurrent_v2(NULL));
    SAY(cuCtxSynchronize());
    SAY(cuStreamSynchronize(s));
    SAY(cuCtxPushCurrent_v2(primary));
    SAY(cuCtxPushCurrent_v2(primary));
    SAY(cuCtxPopCurrent_v2(NULL));
    SAY(cuCtxGetCurrent(&got));
    ask_say("still", got == primary);
    SAY(cuCtxSetCurrent(NULL));
    SAY(cuCtxGetCurrent(&got));
    ask_say("none", got == NULL);
    SAY(cuCtxPopCurrent_v2(&got));
    SAY(cuCtxGetApiVersion((CUcontext)ask_nobody(), &flags));
    SAY(cuCtxGetCurrent(NULL));
    SAY(cuCtxGetDevice_v2(&device, primary));
    SAY(cuCtxSynchronize_v2(primary));
}

/* Things of one context, used while another is current. */
void two_contexts(void)
{
    CUstream other;

    primary = ask_start();
    things();
    SAY(cuCtxCreate_v2(&a, 0, 0));
    one_of_each();
    on_the_stream();
    SAY(cuStreamCreate(&other, 0));
    SAY(cuEventCreate(&f, 0));
    SAY(cuEventRecord(e, other));
    SAY(cuEventRecord(f, s));
    SAY(cuEventRecord(f, other));
    SAY(cuStreamWaitEvent(s, f, 0));
    SAY(cuStreamWaitEvent(other, e, 0));
    SAY(cuEventElapsedTime(&ms, e, f));
    ASK("launch", ask_launch_none(function, other));
    SAY(cuMemcpyHtoDAsync_v2(p, stack, 16, other));
    SAY(cuMemsetD8Async(p, 0, 16, other));
    SAY(cuStreamDestroy_v2(s));
    SAY(cuEventDestroy_v2(e));
    SAY(cuModuleUnload(module));
    SAY(cuMemFree_v2(p));
    SAY(cuMemFree_v2(p));
    SAY(cuCtxSetCurrent(primary));
    SAY(cuStreamSynchronize(other));
    SAY(cuCtxSynchronize());
}

void dead_context(void)
{
    ask_start();
    SAY(cuCtxCreate_v2(&a, 0, 0));
    things();
    SAY(cuCtxDestroy_v2(a));
    SAY(cuCtxGetCurrent(&got));
    ask_say("the primary", got != NULL && got != a);
    SAY(cuEventQuery(e));
    SAY(cuEventRecord(e, NULL));
    SAY(cuEventSynchronize(e));
    SAY(cuMemFree_v2(p));
    SAY(cuMemcpyHtoD_v2(p, stack, 16));
    SAY(cuModuleUnload(module));
    ASK("launch", ask_launch_none(function, NULL));
    SAY(cuEventDestroy_v2(e));
}

static void destroys(void)
{
    SAY(cuCtxDestroy_v2(a));
}

static void uses(void)
{
    SAY(cuCtxGetCurrent(&got));
    ask_say("none", got == NULL);
    SAY(cuMemAlloc_v2(&q, 64));
    SAY(cuStreamSynchronize(s));
    SAY(cuStreamQuery(s));
    SAY(cuEventRecord(e, s));
    SAY(cuEventQuery(e));
    SAY(cuMemcpyHtoD_v2(p, stack, 16));
    SAY(cuMemFree_v2(p));
    ASK("launch", ask_launch_none(function, s));
    SAY(cuCtxSetCurrent(a));
    SAY(cuStreamSynchronize(s));
    SAY(cuMemAlloc_v2(&q, 64));
}

void other_thread(void)
{
    ask_start();
    SAY(cuCtxCreate_v2(&a, 0, 0));
    things();
    ask_in_thread(uses);
    SAY(cuMemFree_v2(q));
    SAY(cuMemAlloc_v2(&p, 64));
    ask_in_thread(destroys);
    SAY(cuCtxGetCurrent(&got));
    ask_say("still current", got == a);
    one_of_each();
    SAY(cuCtxDestroy_v2(a));
    SAY(cuCtxPopCurrent_v2(&got));
    SAY(cuCtxSynchronize());
}

void released_primary(void)
{
    primary = ask_start();
    things();
    SAY(cuDevicePrimaryCtxRelease_v2(0));
    SAY(cuDevicePrimaryCtxRelease_v2(0));
    SAY(cuCtxGetCurrent(&got));
    ask_say("still current", got == primary);
    one_of_each();
    on_the_stream();
    SAY(cuDevicePrimaryCtxRetain(&got, 0));
    ask_say("the same", got == primary);
    SAY(cuCtxSynchronize());
    SAY(cuMemFree_v2(p));
    SAY(cuDevicePrimaryCtxReset_v2(0));
    SAY(cuMemAlloc_v2(&p, 64));
    SAY(cuCtxSetCurrent(got));
    SAY(cuMemAlloc_v2(&p, 64));
    SAY(cuCtxSynchronize());
    SAY(cuCtxDestroy_v2(got));
    SAY(cuDevicePrimaryCtxReset_v2(64));
    SAY(cuDevicePrimaryCtxGetState(0, NULL, &value));
    SAY(cuDevicePrimaryCtxGetState(0, &flags, NULL));
    SAY(cuDevicePrimaryCtxGetState(64, &flags, &value));
}

#define LIMIT(which, bytes)                                                                      \
    do {                                                                                        \
        SAY(cuCtxSetLimit(CU_LIMIT_##which, bytes));                                             \
        ASK("  of " #which, cu.cuCtxGetLimit(&size, CU_LIMIT_##which));                             \
    } while (0)

void context_settings(void)
{
    CUctxCreateParams params;
    CUexecAffinityParam affinity = {.type = (CUexecAffinityType)9};

    memset(&params, 0, sizeof(params));
    ask_start();
    LIMIT(STACK_SIZE, 0);
    LIMIT(STACK_SIZE, (size_t)1 << 40);
    LIMIT(PRINTF_FIFO_SIZE, 0);
    LIMIT(PRINTF_FIFO_SIZE, 1 << 20);
    LIMIT(MALLOC_HEAP_SIZE, 0);
    LIMIT(MALLOC_HEAP_SIZE, (size_t)1 << 50);
    LIMIT(DEV_RUNTIME_SYNC_DEPTH, 2);
    LIMIT(DEV_RUNTIME_PENDING_LAUNCH_COUNT, 2048);
    LIMIT(MAX_L2_FETCH_GRANULARITY, 64);
    LIMIT(MAX_L2_FETCH_GRANULARITY, 500);
    LIMIT(PERSISTING_L2_CACHE_SIZE, 0);
    SAY(cuCtxSetCacheConfig((CUfunc_cache)9));
    SAY(cuCtxSetCacheConfig(CU_FUNC_CACHE_PREFER_L1));
    SAY(cuCtxGetCacheConfig(NULL));
    SAY(cuCtxSetSharedMemConfig((CUsharedconfig)9));
    SAY(cuCtxGetSharedMemConfig(NULL));
    SAY(cuCtxSetFlags(0x1000));
    SAY(cuCtxSetFlags(CU_CTX_SCHED_BLOCKING_SYNC));
    SAY(cuCtxGetFlags(NULL));
    SAY(cuCtxGetId(NULL, NULL));
    SAY(cuCtxGetApiVersion(NULL, NULL));
    SAY(cuCtxResetPersistingL2Cache());
    SAY(cuCtxCreate_v2(&a, CU_CTX_SCHED_SPIN | CU_CTX_SCHED_YIELD, 0));
    SAY(cuCtxCreate_v2(&a, CU_CTX_SCHED_MASK, 0));
    SAY(cuCtxCreate_v4(&a, &params, 0x1000, 0));
    SAY(cuCtxCreate_v4(&a, NULL, 0, 64));
    SAY(cuCtxCreate_v4(NULL, NULL, 0, 0));
    SAY(cuCtxCreate_v3(&a, &affinity, 1, 0, 0));
    SAY(cuCtxCreate_v3(&a, NULL, 1, 0, 0));
    SAY(cuCtxCreate_v3(&a, NULL, -1, 0, 0));
    SAY(cuCtxAttach(&got, 1));
    SAY(cuCtxAttach(NULL, 0));
    SAY(cuCtxDetach(NULL));
    SAY(cuCtxRecordEvent(NULL, NULL));
    SAY(cuCtxWaitEvent(NULL, NULL));
    SAY(cuCtxEnablePeerAccess(NULL, 1));
    SAY(cuCtxDisablePeerAccess(NULL));
    SAY(cuDeviceGetP2PAttribute(&value, (CUdevice_P2PAttribute)99, 0, 0));
    SAY(cuDeviceGetP2PAttribute(NULL, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 0, 0));
    SAY(cuDeviceCanAccessPeer(NULL, 0, 0));
    SAY(cuCtxSynchronize());
}
