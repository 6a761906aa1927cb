/* SPDX-License-Identifier: MIT */
/*
 * Asks a driver what it says to right and wrong calls about contexts, streams,
 * events, capture, attributes and names, and prints one line per answer, as
 * answers.c does for code.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"

static CUcontext ctx, other, got;
static CUstream stream, second;
static CUevent event, late;
static CUgraph graph;
static unsigned flags;
static int value, active;
static size_t size;
static char text[64];
static void *pointer;

/* ---- before cuInit ----------------------------------------------------------------- */

static void before_init(void)
{
    CUdriverProcAddressQueryResult status = 9;

    puts("-- before cuInit");
    SAY(cuDriverGetVersion(&value));
    SAY(cuDriverGetVersion(NULL));
    SAY(cuDeviceGetCount(&value));
    SAY(cuCtxGetCurrent(&got));
    SAY(cuCtxSynchronize());
    SAY(cuStreamCreate(&stream, 0));
    SAY(cuGetProcAddress_v2("cuInit", &pointer, 12000, 0, &status));
    ask_say("status", status);
    SAY(cuGetProcAddress_v2("cuNoSuchThing", &pointer, 12000, 0, &status));
    ask_say("status", status);
    ask_say("found", pointer != NULL);
    SAY(cuGetProcAddress_v2("cuStreamGetDevice", &pointer, 12000, 0, &status));
    ask_say("status", status);
    SAY(cuGetProcAddress_v2("cuNoSuchThing", &pointer, 12000, 0, NULL));
    SAY(cuGetProcAddress_v2("", &pointer, 12000, 0, &status));
    SAY(cuGetProcAddress_v2("cuInit", &pointer, 99000, 0, &status));
    SAY(cuGetProcAddress_v2("cuInit", &pointer, 12000, 64, &status));
    SAY(cuGetProcAddress_v2("cuInit", &pointer, 0, 0, &status));
    SAY(cuGetProcAddress("cuNoSuchThing", &pointer, 12000, 0));
    SAY(cuGetErrorName((CUresult)424242, (const char **)&pointer));
    ask_say("name", pointer != NULL);
    SAY(cuGetErrorString((CUresult)424242, (const char **)&pointer));
    SAY(cuInit(1));
    SAY(cuInit(0));
    SAY(cuInit(1));
}

/* ---- devices ------------------------------------------------------------------------ */

static void devices(void)
{
    static const CUuuid nobody = {{1, 2, 3}};
    CUdevice dev;
    CUmemoryPool pool;
    char bus[32] = "";

    puts("-- devices");
    SAY(cuDeviceGet(&dev, 0));
    SAY(cuDeviceGet(&dev, 64));
    SAY(cuDeviceGet(&dev, -1));
    SAY(cuDeviceGet(NULL, 0));
    SAY(cuDeviceGetName(text, 5, 0));
    ask_say("length", (long long)strlen(text));
    SAY(cuDeviceGetName(NULL, 5, 0));
    SAY(cuDeviceGetName(text, 5, 64));
    SAY(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
    SAY(cuDeviceGetAttribute(&value, (CUdevice_attribute)0, 0));
    SAY(cuDeviceGetAttribute(&value, (CUdevice_attribute)9999, 0));
    SAY(cuDeviceGetAttribute(NULL, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
    SAY(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 64));
    SAY(cuDeviceTotalMem_v2(NULL, 0));
    SAY(cuDeviceGetUuid_v2(NULL, 0));
    SAY(cuDeviceGetPCIBusId(bus, 4, 0));
    SAY(cuDeviceGetPCIBusId(bus, sizeof(bus), 0));
    ask_say("length", (long long)strlen(bus));
    SAY(cuDeviceGetByPCIBusId(&dev, bus));
    SAY(cuDeviceGetByPCIBusId(&dev, "ffff:ff:1f.0"));
    SAY(cuDeviceGetByPCIBusId(&dev, "nonsense"));
    SAY(cuDeviceCanAccessPeer(&value, 0, 0));
    ask_say("peer", value);
    SAY(cuDeviceCanAccessPeer(&value, 0, 64));
    SAY(cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 0, 0));
    SAY(cuDeviceGetDefaultMemPool(&pool, 0));
    SAY(cuDeviceGetDefaultMemPool(&pool, 64));
    SAY(cuGetExportTable((const void **)&pointer, &nobody));
    SAY(cuGetExportTable(NULL, &nobody));
}

/* ---- contexts ------------------------------------------------------------------------ */

static void state(void)
{
    SAY(cuDevicePrimaryCtxGetState(0, &flags, &active));
    ask_say("flags", flags);
    ask_say("active", active);
}

static void primary_context(void)
{
    CUdevice dev;

    puts("-- primary context");
    state();
    SAY(cuDevicePrimaryCtxRelease_v2(0));
    SAY(cuDevicePrimaryCtxReset_v2(0));
    SAY(cuDevicePrimaryCtxRetain(&ctx, 64));
    SAY(cuDevicePrimaryCtxRetain(NULL, 0));
    SAY(cuDevicePrimaryCtxSetFlags_v2(0, 0x1000));
    SAY(cuDevicePrimaryCtxSetFlags_v2(0, CU_CTX_SCHED_YIELD));
    state();
    SAY(cuDevicePrimaryCtxRetain(&ctx, 0));
    state();
    SAY(cuDevicePrimaryCtxSetFlags_v2(0, CU_CTX_SCHED_BLOCKING_SYNC));
    state();
    SAY(cuCtxGetCurrent(&got));
    ask_say("current", got != NULL);
    SAY(cuCtxGetDevice(&dev));
    SAY(cuCtxSetCurrent(ctx));
    SAY(cuCtxGetDevice(&dev));
    SAY(cuCtxGetDevice(NULL));
    SAY(cuCtxGetFlags(&flags));
    ask_say("flags", flags);
    SAY(cuDevicePrimaryCtxRelease_v2(0));
    state();
    SAY(cuCtxGetCurrent(&got));
    ask_say("still current", got == ctx);
    SAY(cuCtxGetDevice(&dev));
    SAY(cuCtxSynchronize());
    SAY(cuStreamCreate(&stream, 0));
    SAY(cuCtxSetCurrent(ctx));
    SAY(cuDevicePrimaryCtxRetain(&other, 0));
    ask_say("the same", other == ctx);
    SAY(cuCtxSynchronize());
    SAY(cuDevicePrimaryCtxReset_v2(0));
    state();
    SAY(cuCtxSynchronize());
    SAY(cuDevicePrimaryCtxRetain(&ctx, 0));
    state();
    SAY(cuCtxSynchronize());
    SAY(cuDevicePrimaryCtxRelease_v2(0));
    state();
    SAY(cuDevicePrimaryCtxRelease_v2(0));
    SAY(cuDevicePrimaryCtxSetFlags_v2(0, 0));
    SAY(cuDevicePrimaryCtxRetain(&ctx, 0));
    SAY(cuCtxSetCurrent(ctx));
}

static void limits(void)
{
    size_t before;

    puts("-- limits and flags");
    SAY(cuCtxGetLimit(&before, CU_LIMIT_STACK_SIZE));
    SAY(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 2048));
    SAY(cuCtxGetLimit(&size, CU_LIMIT_STACK_SIZE));
    ask_say("stack", (long long)size);
    SAY(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, before));
    SAY(cuCtxGetLimit(&size, (CUlimit)77));
    SAY(cuCtxGetLimit(NULL, CU_LIMIT_STACK_SIZE));
    SAY(cuCtxSetLimit((CUlimit)77, 1));
    SAY(cuCtxSetFlags(0x1000));
    SAY(cuCtxGetApiVersion(ctx, &flags));
    ask_say("version", flags);
    SAY(cuCtxGetApiVersion(NULL, &flags));
    SAY(cuCtxGetStreamPriorityRange(NULL, NULL));
    SAY(cuCtxEnablePeerAccess(ctx, 0));
    SAY(cuCtxEnablePeerAccess(NULL, 0));
    SAY(cuCtxDisablePeerAccess(ctx));
    SAY(cuProfilerStart());
    SAY(cuProfilerStop());
}

static void *in_thread(void *arg)
{
    (void)arg;
    SAY(cuCtxGetCurrent(&got));
    ask_say("current", got != NULL);
    SAY(cuStreamQuery(NULL));
    SAY(cuCtxSetCurrent(other));
    SAY(cuCtxSynchronize());
    SAY(cuCtxPopCurrent_v2(&got));
    return NULL;
}

static void made_contexts(void)
{
    pthread_t thread;

    puts("-- contexts");
    SAY(cuCtxCreate_v2(&other, 0x1000, 0));
    SAY(cuCtxCreate_v2(NULL, 0, 0));
    SAY(cuCtxCreate_v2(&other, 0, 64));
    SAY(cuCtxCreate_v2(&other, CU_CTX_SCHED_SPIN, 0));
    SAY(cuCtxGetCurrent(&got));
    ask_say("current", got == other);
    SAY(cuCtxGetFlags(&flags));
    ask_say("flags", flags & CU_CTX_SCHED_MASK);
    SAY(cuCtxPopCurrent_v2(&got));
    ask_say("popped", got == other);
    SAY(cuCtxPopCurrent_v2(NULL));
    SAY(cuCtxPopCurrent_v2(&got));
    SAY(cuCtxSetCurrent(NULL));
    SAY(cuCtxPushCurrent_v2(NULL));
    SAY(cuCtxPushCurrent_v2(other));
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
    SAY(cuCtxDestroy_v2(other));
    SAY(cuCtxGetCurrent(&got));
    ask_say("current", got != NULL);
    SAY(cuCtxDestroy_v2(NULL));
    SAY(cuCtxDestroy_v2(ctx));
    SAY(cuCtxSynchronize());
    SAY(cuCtxSetCurrent(ctx));
}

/* ---- streams and events --------------------------------------------------------------- */

static void streams(void)
{
    int least = 0, greatest = 0;
    unsigned long long id;

    puts("-- streams");
    SAY(cuCtxGetStreamPriorityRange(&least, &greatest));
    SAY(cuStreamCreate(&stream, 0x70));
    SAY(cuStreamCreate(NULL, 0));
    SAY(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    SAY(cuStreamCreateWithPriority(&second, 0, -1000));
    SAY(cuStreamGetPriority(second, &value));
    ask_say("is the greatest", value == greatest);
    SAY(cuStreamGetFlags(stream, &flags));
    ask_say("flags", flags);
    SAY(cuStreamGetFlags(NULL, &flags));
    ask_say("flags", flags);
    SAY(cuStreamGetFlags(CU_STREAM_LEGACY, &flags));
    ask_say("flags", flags);
    SAY(cuStreamGetFlags(CU_STREAM_PER_THREAD, &flags));
    ask_say("flags", flags);
    SAY(cuStreamGetFlags(stream, NULL));
    SAY(cuStreamGetPriority(NULL, &value));
    SAY(cuStreamGetCtx(stream, &got));
    ask_say("its context", got == ctx);
    SAY(cuStreamGetCtx(NULL, &got));
    ask_say("its context", got == ctx);
    SAY(cuStreamGetId(NULL, &id));
    SAY(cuStreamGetId(CU_STREAM_PER_THREAD, &id));
    SAY(cuStreamQuery(NULL));
    SAY(cuStreamQuery(CU_STREAM_LEGACY));
    SAY(cuStreamQuery(CU_STREAM_PER_THREAD));
    SAY(cuStreamQuery(stream));
    SAY(cuStreamSynchronize(CU_STREAM_PER_THREAD));
    SAY(cuStreamDestroy_v2(second));
    SAY(cuStreamDestroy_v2(NULL));
    SAY(cuStreamDestroy_v2(CU_STREAM_LEGACY));
    SAY(cuStreamDestroy_v2(CU_STREAM_PER_THREAD));
    SAY(cuLaunchHostFunc(stream, NULL, NULL));
    SAY(cuStreamAddCallback(stream, NULL, NULL, 0));
}

static void events(void)
{
    float ms;

    puts("-- events");
    SAY(cuEventCreate(&event, 0x100));
    SAY(cuEventCreate(NULL, 0));
    SAY(cuEventCreate(&event, 0));
    SAY(cuEventCreate(&late, 0));
    SAY(cuEventQuery(event));
    SAY(cuEventSynchronize(event));
    SAY(cuEventElapsedTime(&ms, event, late));
    SAY(cuEventRecord(event, stream));
    SAY(cuEventElapsedTime(&ms, event, late));
    SAY(cuEventRecord(late, stream));
    SAY(cuEventSynchronize(late));
    SAY(cuEventElapsedTime(&ms, event, late));
    ask_say("not negative", ms >= 0);
    SAY(cuEventElapsedTime(NULL, event, late));
    SAY(cuEventQuery(late));
    SAY(cuStreamWaitEvent(NULL, event, 0));
    SAY(cuStreamWaitEvent(stream, NULL, 0));
    SAY(cuStreamWaitEvent(stream, event, 0x40));
    SAY(cuEventRecord(NULL, stream));
    SAY(cuEventQuery(NULL));
    SAY(cuEventSynchronize(NULL));
    SAY(cuEventDestroy_v2(late));
    SAY(cuEventDestroy_v2(NULL));
    SAY(cuEventCreate(&late, CU_EVENT_DISABLE_TIMING));
    SAY(cuEventRecord(late, stream));
    SAY(cuEventElapsedTime(&ms, event, late));
    SAY(cuCtxSynchronize());
}

/* ---- capture -------------------------------------------------------------------------- */

static void capture_state(CUstream s)
{
    CUstreamCaptureStatus status = 9;
    const CUgraphNode *nodes;
    uint64_t id = 0;
    CUgraph g = NULL;

    size = 77;
    SAY(cuStreamIsCapturing(s, &status));
    ask_say("status", status);
    status = 9;
    SAY(cuStreamGetCaptureInfo_v2(s, &status, &id, &g, &nodes, &size));
    ask_say("status", status);
    ask_say("id", id != 0);
    ask_say("graph", g != NULL);
    ask_say("nodes", (long long)size);
}

static void capture(void)
{
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    CUstreamCaptureMode wrong = (CUstreamCaptureMode)9;
    CUdeviceptr p = 0;

    puts("-- capture");
    SAY(cuMemAlloc_v2(&p, 4096));
    capture_state(stream);
    SAY(cuStreamIsCapturing(stream, NULL));
    SAY(cuStreamEndCapture(stream, &graph));
    SAY(cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL));
    SAY(cuStreamBeginCapture_v2(stream, wrong));
    SAY(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    capture_state(stream);
    SAY(cuMemsetD8Async(p, 1, 4096, stream));
    capture_state(stream);
    SAY(cuEventRecord(event, stream));
    SAY(cuEventQuery(event));
    SAY(cuStreamEndCapture(stream, &graph));
    ask_say("graph", graph != NULL);
    SAY(cuGraphDestroy(graph));
    SAY(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuStreamSynchronize(stream));
    capture_state(stream);
    SAY(cuStreamEndCapture(stream, &graph));
    SAY(cuStreamEndCapture(stream, NULL));
    capture_state(stream);
    SAY(cuThreadExchangeStreamCaptureMode(&mode));
    ask_say("was", mode);
    SAY(cuThreadExchangeStreamCaptureMode(&mode));
    ask_say("was", mode);
    SAY(cuThreadExchangeStreamCaptureMode(&wrong));
    SAY(cuMemFree_v2(p));
    SAY(cuStreamDestroy_v2(stream));
    SAY(cuEventDestroy_v2(event));
    SAY(cuCtxSynchronize());
}

static void states(void)
{
    before_init();
    devices();
    primary_context();
    limits();
    made_contexts();
    streams();
    events();
    capture();
}

int main(void)
{
    static const struct ask_group all = ASK_GROUP(states);

    return ask_main(&all, 1);
}
