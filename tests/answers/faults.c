/* SPDX-License-Identifier: MIT */
/*
 * Kernels that fail: which call tells it, with which code, and what every other call
 * says from then on.
 */
#include "groups.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static CUcontext primary, other, got;
static CUmodule m;
static CUfunction none, bad;
static CUstream s, t;
static CUevent e, before;
static CUdeviceptr p, parameter;
static CUgraph g;
static CUgraphExec x;
static void *host;
static char buf[64];
static size_t size;
static float ms;
static int value, active;
static unsigned flags;

/* Everything the calls after the fault need, and a kernel that will fail. */
static void begin(const char *kernel)
{
    primary = ask_start();
    m = ask_module();
    p = ask_memory(4096);
    SAY(cuModuleGetFunction(&none, m, "none"));
    SAY(cuModuleGetFunction(&bad, m, kernel));
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
    SAY(cuEventCreate(&e, 0));
    SAY(cuEventCreate(&before, 0));
    SAY(cuEventRecord(before, t));
    SAY(cuMemHostAlloc(&host, 4096, 0));
    SAY(cuStreamBeginCapture_v2(t, CU_STREAM_CAPTURE_MODE_RELAXED));
    ASK("launch", ask_launch_none(none, t));
    SAY(cuStreamEndCapture(t, &g));
    SAY(cuGraphInstantiateWithFlags(&x, g, 0));
    SAY(cuCtxSynchronize());
}

/*
 * The kernel that fails is held back until everything behind it has been queued. It must have been
 * loaded before: a driver may wait for the GPU to do that.
 */
static void fail(void)
{
    struct ask_busy busy;

    SAY(cuFuncLoad(bad));
    ask_say("held back", ask_busy_start(&busy, s));
    ASK("bad launch", ask_launch(bad, s, parameter));
    ASK("event behind it", cu.cuEventRecord(e, s));
    ask_busy_stop(&busy);
}

/* Long enough for any fault to have happened and to be known, on a busy machine too; nobody asks. */
static void let_it_happen(void)
{
    usleep(2000000);
}

static void one_of_each(void)
{
    CUmodule another;
    CUfunction f;

    SAY(cuCtxSynchronize());
    SAY(cuStreamSynchronize(s));
    SAY(cuStreamSynchronize(t));
    SAY(cuStreamQuery(s));
    SAY(cuStreamQuery(t));
    SAY(cuStreamQuery(NULL));
    SAY(cuEventQuery(e));
    SAY(cuEventQuery(before));
    SAY(cuEventSynchronize(before));
    SAY(cuEventElapsedTime(&ms, before, e));
    SAY(cuEventRecord(before, t));
    SAY(cuEventCreate(&(CUevent){NULL}, 0));
    SAY(cuStreamCreate(&(CUstream){NULL}, 0));
    SAY(cuStreamWaitEvent(t, before, 0));
    SAY(cuMemAlloc_v2(&(CUdeviceptr){0}, 64));
    SAY(cuMemAllocAsync(&(CUdeviceptr){0}, 64, t));
    SAY(cuMemHostAlloc(&(void *){NULL}, 64, 0));
    SAY(cuMemHostRegister_v2(buf, 64, 0));
    SAY(cuMemGetInfo_v2(&size, &size));
    SAY(cuMemcpyHtoD_v2(p, buf, 16));
    SAY(cuMemcpyDtoH_v2(buf, p, 16));
    SAY(cuMemcpyHtoDAsync_v2(p, buf, 16, t));
    SAY(cuMemcpyDtoHAsync_v2(host, p, 16, t));
    SAY(cuMemsetD8_v2(p, 0, 16));
    SAY(cuMemsetD8Async(p, 0, 16, t));
    ASK("launch", ask_launch_none(none, t));
    ASK("launch on the legacy stream", ask_launch_none(none, NULL));
    ASK("launch of nothing", ask_launch_none(NULL, t));
    SAY(cuGraphLaunch(x, t));
    SAY(cuGraphInstantiateWithFlags(&x, g, 0));
    SAY(cuModuleLoadData(&another, ask_ptx));
    SAY(cuModuleGetFunction(&f, m, "none"));
    SAY(cuModuleGetFunction(&f, m, "poke"));
    SAY(cuModuleGetGlobal_v2(&parameter, &size, m, "counter"));
    SAY(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, none));
    SAY(cuFuncSetCacheConfig(none, CU_FUNC_CACHE_PREFER_L1));
    SAY(cuStreamBeginCapture_v2(t, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuStreamEndCapture(t, &g));
    SAY(cuStreamIsCapturing(t, &(CUstreamCaptureStatus){0}));
    SAY(cuPointerGetAttribute(buf, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
    SAY(cuMemGetAddressRange_v2(&parameter, &size, p));
    SAY(cuCtxGetCurrent(&got));
    SAY(cuCtxGetDevice(&value));
    SAY(cuCtxGetLimit(&size, CU_LIMIT_STACK_SIZE));
    SAY(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 2048));
    SAY(cuCtxGetApiVersion(primary, &flags));
    SAY(cuCtxGetStreamPriorityRange(&value, &value));
    SAY(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
    SAY(cuDevicePrimaryCtxGetState(0, &flags, &active));
    ask_say("active", active);
    SAY(cuMemFreeHost(host));
    SAY(cuMemFree_v2(p));
    SAY(cuEventDestroy_v2(e));
    SAY(cuStreamDestroy_v2(s));
    SAY(cuGraphDestroy(g));
    SAY(cuModuleUnload(m));
    SAY(cuCtxSynchronize());
}

/* Is there a way out? */
static void way_out(void)
{
    SAY(cuCtxCreate_v2(&other, 0, 0));
    SAY(cuCtxSynchronize());
    SAY(cuMemAlloc_v2(&p, 64));
    SAY(cuCtxSetCurrent(primary));
    SAY(cuCtxSynchronize());
    SAY(cuDevicePrimaryCtxReset_v2(0));
    SAY(cuDevicePrimaryCtxGetState(0, &flags, &active));
    ask_say("active", active);
    SAY(cuCtxSynchronize());
    SAY(cuDevicePrimaryCtxRetain(&primary, 0));
    SAY(cuCtxSetCurrent(primary));
    SAY(cuCtxSynchronize());
    SAY(cuMemAlloc_v2(&p, 64));
    SAY(cuDevicePrimaryCtxRelease_v2(0));
    SAY(cuDevicePrimaryCtxRelease_v2(0));
    SAY(cuInit(0));
    SAY(cuDevicePrimaryCtxRetain(&primary, 0));
    SAY(cuCtxSetCurrent(primary));
    SAY(cuMemAlloc_v2(&p, 64));
}

static void whole_course(const char *kernel, CUdeviceptr with)
{
    begin(kernel);
    parameter = with == 1 ? p + 1 : with;
    fail();
    SAY(cuStreamSynchronize(s));
    one_of_each();
    way_out();
}

void fault_illegal(void)
{
    whole_course("poke", 0x100);
}

void fault_null(void)
{
    whole_course("poke", 0);
}

void fault_misaligned(void)
{
    whole_course("poke", 1);
}

void fault_trap(void)
{
    whole_course("do_trap", 0x100);
}

/* Not held back: a kernel that may print needs room that a driver may wait for, too. */
void fault_assert(void)
{
    begin("do_assert");
    ASK("bad launch", ask_launch_none(bad, s));
    SAY(cuStreamSynchronize(s));
    one_of_each();
    way_out();
}

/* Which call is the first to tell: each kind gets a process of its own. */
#define FIRST(name, call)                                                                          \
    void first_##name(void)                                                                        \
    {                                                                                              \
        begin("poke");                                                                             \
        parameter = 0x100;                                                                         \
        fail();                                                                                    \
        let_it_happen();                                                                           \
        ASK("first " #call, cu.call);                                                              \
        ASK("again " #call, cu.call);                                                              \
        SAY(cuStreamSynchronize(t));                                                               \
        ASK("later " #call, cu.call);                                                              \
    }

FIRST(memory, cuMemAlloc_v2(&p, 64))
FIRST(free, cuMemFree_v2(p))
FIRST(pinned, cuMemHostAlloc(&host, 64, 0))
FIRST(launch, cuLaunchKernel(none, 1, 1, 1, 1, 1, 1, 0, t, NULL, NULL))
FIRST(record, cuEventRecord(before, t))
FIRST(event, cuEventQuery(before))
FIRST(stream, cuStreamQuery(t))
FIRST(create, cuStreamCreate(&t, 0))
FIRST(copy, cuMemcpyHtoDAsync_v2(p, buf, 16, t))
FIRST(fill, cuMemsetD8Async(p, 0, 16, t))
FIRST(info, cuMemGetInfo_v2(&size, &size))
FIRST(wait, cuStreamWaitEvent(t, before, 0))
FIRST(graph, cuGraphLaunch(x, t))
FIRST(current, cuCtxSetCurrent(primary))
FIRST(attribute, cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, none))
FIRST(limit, cuCtxGetLimit(&size, CU_LIMIT_STACK_SIZE))

static void tells(void)
{
    SAY(cuCtxSetCurrent(other));
    SAY(cuCtxSynchronize());
    SAY(cuMemAlloc_v2(&parameter, 64));
}

/* A fault in one of two contexts, seen from the other, by this thread and another one. */
void fault_of_two_contexts(void)
{
    CUstream mine;

    begin("poke");
    parameter = 0x100;
    SAY(cuCtxCreate_v2(&other, 0, 0));
    SAY(cuStreamCreate(&mine, 0));
    SAY(cuCtxSetCurrent(primary));
    fail();
    SAY(cuStreamSynchronize(s));
    SAY(cuCtxSetCurrent(other));
    SAY(cuStreamSynchronize(mine));
    SAY(cuCtxSynchronize());
    SAY(cuMemAlloc_v2(&parameter, 64));
    ask_in_thread(tells);
    SAY(cuCtxSetCurrent(primary));
    SAY(cuCtxSynchronize());
    SAY(cuCtxDestroy_v2(other));
}

/* A fault in a context of one's own, which is then destroyed. */
void fault_of_own_context(void)
{
    CUstream mine;
    CUmodule module;

    begin("poke");
    SAY(cuCtxCreate_v2(&other, 0, 0));
    SAY(cuStreamCreate(&mine, 0));
    SAY(cuModuleLoadData(&module, ask_ptx));
    SAY(cuModuleGetFunction(&bad, module, "poke"));
    ASK("bad launch", ask_launch(bad, mine, 0x100));
    SAY(cuStreamSynchronize(mine));
    SAY(cuCtxSynchronize());
    SAY(cuCtxDestroy_v2(other));
    SAY(cuCtxSetCurrent(primary));
    SAY(cuCtxSynchronize());
    SAY(cuMemAlloc_v2(&parameter, 64));
    SAY(cuCtxCreate_v2(&other, 0, 0));
    SAY(cuCtxSynchronize());
}

/* Out of memory is no fault: everything goes on. */
void out_of_memory(void)
{
    begin("poke");
    SAY(cuMemAlloc_v2(&parameter, (size_t)1 << 46));
    SAY(cuMemAllocAsync(&parameter, (size_t)1 << 46, t));
    SAY(cuMemHostAlloc(&host, (size_t)1 << 50, 0));
    SAY(cuMemAllocPitch_v2(&parameter, &size, 1 << 30, 1 << 20, 4));
    SAY(cuStreamSynchronize(t));
    ASK("launch", ask_launch_none(none, t));
    SAY(cuCtxSynchronize());
    SAY(cuMemAlloc_v2(&parameter, 64));
}
