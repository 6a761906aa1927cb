/* SPDX-License-Identifier: MIT */
/*
 * Misuse of stream capture: what each mode forbids, joins, forks, threads, ends.
 */
#include "groups.h"

#include <stdio.h>

static CUstream s, t;
static CUevent e, f, before;
static CUgraph g;
static CUgraphExec x;
static CUdeviceptr p, q;
static CUfunction none;
static size_t size;
static float ms;
static char buf[4096];
static void *host;
static CUcontext got;

static void begin(void)
{
    ask_start();
    p = ask_memory(4096);
    none = ask_kernel("none");
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
    SAY(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
    SAY(cuEventCreate(&f, 0));
    SAY(cuEventCreate(&before, 0));
    SAY(cuEventRecord(before, t));
    SAY(cuCtxSynchronize());
}

static void status(CUstream stream)
{
    CUstreamCaptureStatus now = (CUstreamCaptureStatus)9;
    CUresult r = cu.cuStreamIsCapturing(stream, &now);

    ask_say("  capturing", r ? (long long)r : (long long)now);
}

static void end(void)
{
    g = NULL;
    SAY(cuStreamEndCapture(s, &g));
    ask_say("  graph", g != NULL);
    if (g)
        SAY(cuGraphDestroy(g));
    status(s);
}

/*
 * FORBIDDEN(call): one call while s is captured, what it does to the capture, and a capture anew.
 * The capture is empty but for one launch.
 */
static CUstreamCaptureMode mode;

static void again(void)
{
    CUresult r;

    g = NULL;
    r = cu.cuStreamEndCapture(s, &g);
    if (r)
        ask_say("  end", r);
    if (g)
        cu.cuGraphDestroy(g);
    cu.cuCtxSynchronize();
    r = cu.cuStreamBeginCapture_v2(s, mode);
    if (r)
        ask_say("  begin", r);
    ask_launch_none(none, s);
}
#define FORBIDDEN(call) do { SAY(call); again(); } while (0)

/* Calls that touch no captured stream: what the mode says about them. */
static void unsafe_calls(void)
{
    CUmodule m;
    CUmemoryPool pool;

    FORBIDDEN(cuMemAlloc_v2(&q, 4096));
    FORBIDDEN(cuMemFree_v2(p));
    p = p ? p : q;
    FORBIDDEN(cuMemHostAlloc(&host, 4096, 0));
    FORBIDDEN(cuMemFreeHost(host));
    FORBIDDEN(cuMemHostRegister_v2(buf, 4096, 0));
    FORBIDDEN(cuMemHostUnregister(buf));
    FORBIDDEN(cuMemcpyHtoD_v2(q, buf, 16));
    FORBIDDEN(cuMemcpyDtoH_v2(buf, q, 16));
    FORBIDDEN(cuMemcpyDtoD_v2(q, q + 64, 16));
    FORBIDDEN(cuMemsetD8_v2(q, 0, 16));
    FORBIDDEN(cuMemsetD8Async(q, 0, 16, NULL));
    FORBIDDEN(cuMemsetD8Async(q, 0, 16, t));
    FORBIDDEN(cuMemcpyHtoDAsync_v2(q, buf, 16, t));
    FORBIDDEN(cuMemGetInfo_v2(&size, &size));
    FORBIDDEN(cuEventQuery(before));
    FORBIDDEN(cuEventSynchronize(before));
    FORBIDDEN(cuEventCreate(&f, 0));
    FORBIDDEN(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
    FORBIDDEN(cuStreamQuery(t));
    FORBIDDEN(cuStreamSynchronize(t));
    FORBIDDEN(cuStreamDestroy_v2(t));
    FORBIDDEN(cuStreamCreate(&t, 0));
    FORBIDDEN(cuStreamQuery(NULL));
    FORBIDDEN(cuStreamSynchronize(NULL));
    FORBIDDEN(cuCtxSynchronize());
    FORBIDDEN(cuModuleLoadData(&m, ask_ptx));
    FORBIDDEN(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 2048));
    FORBIDDEN(cuMemAllocAsync(&q, 64, t));
    FORBIDDEN(cuMemFreeAsync(q, t));
    FORBIDDEN(cuDeviceGetDefaultMemPool(&pool, 0));
    FORBIDDEN(cuMemPoolTrimTo(pool, 0));
    FORBIDDEN(cuGraphCreate(&g, 0));
    FORBIDDEN(cuPointerGetAttribute(&size, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, q));
    FORBIDDEN(cuStreamGetFlags(NULL, &(unsigned){0}));
}

static void in_mode(CUstreamCaptureMode which)
{
    begin();
    SAY(cuMemAlloc_v2(&q, 4096));
    mode = which;
    again();
    unsafe_calls();
    end();
}

void capture_global(void)
{
    in_mode(CU_STREAM_CAPTURE_MODE_GLOBAL);
}

void capture_thread_local(void)
{
    in_mode(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
}

void capture_relaxed(void)
{
    in_mode(CU_STREAM_CAPTURE_MODE_RELAXED);
}

/* Calls about the captured stream itself, legal in no mode. */
void capture_itself(void)
{
    begin();
    mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    again();
    FORBIDDEN(cuStreamQuery(s));
    FORBIDDEN(cuStreamSynchronize(s));
    FORBIDDEN(cuMemcpyHtoDAsync_v2(p, buf, 16, s));
    FORBIDDEN(cuMemcpyHtoDAsync_v2(p, buf, 5000, s));
    FORBIDDEN(cuMemcpyDtoHAsync_v2(buf, p, 16, s));
    FORBIDDEN(cuMemcpyHtoDAsync_v2(p, NULL, 16, s));
    FORBIDDEN(cuMemsetD8Async(p, 0, 5000, s));
    FORBIDDEN(cuMemsetD32Async(p + 2, 0, 4, s));
    FORBIDDEN(cuMemcpyDtoDAsync_v2(p, 0x1234, 4, s));
    FORBIDDEN(cuMemsetD8Async(p, 0, 0, s));
    FORBIDDEN(cuLaunchKernel(none, 1, 1, 1, 2048, 1, 1, 0, s, NULL, NULL));
    FORBIDDEN(cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, s, NULL, NULL));
    FORBIDDEN(cuLaunchHostFunc(s, NULL, NULL));
    FORBIDDEN(cuEventRecord(NULL, s));
    FORBIDDEN(cuStreamWaitEvent(s, NULL, 0));
    FORBIDDEN(cuStreamWaitEvent(s, e, 0));
    FORBIDDEN(cuStreamWaitEvent(s, before, 0));
    FORBIDDEN(cuStreamWaitEvent(s, before, CU_EVENT_WAIT_EXTERNAL));
    FORBIDDEN(cuEventRecordWithFlags(e, s, CU_EVENT_RECORD_EXTERNAL));
    FORBIDDEN(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    FORBIDDEN(cuStreamGetFlags(s, &(unsigned){0}));
    FORBIDDEN(cuStreamGetCtx(s, &got));
    FORBIDDEN(cuStreamWriteValue32_v2(s, p, 1, 0));
    FORBIDDEN(cuMemAllocAsync(&q, 4096, s));
    FORBIDDEN(cuMemFreeAsync(p, s));
    FORBIDDEN(cuMemFreeAsync(0x1234, s));
    FORBIDDEN(cuStreamUpdateCaptureDependencies(s, NULL, 0, 0));
    FORBIDDEN(cuStreamUpdateCaptureDependencies(s, NULL, 1, 0));
    FORBIDDEN(cuStreamUpdateCaptureDependencies(s, NULL, 0, 9));
    FORBIDDEN(cuStreamUpdateCaptureDependencies(s, NULL, 0, CU_STREAM_SET_CAPTURE_DEPENDENCIES));
    FORBIDDEN(cuStreamUpdateCaptureDependencies(t, NULL, 0, 0));
    FORBIDDEN(cuStreamEndCapture(t, &g));
    FORBIDDEN(cuStreamEndCapture(s, NULL));
    SAY(cuStreamSynchronize(t));
    SAY(cuCtxSynchronize());
}

static void ends(void)
{
    SAY(cuStreamEndCapture(s, &g));
}

static void works(void)
{
    SAY(cuCtxSetCurrent(got));
    ASK("launch", ask_launch_none(none, s));
    SAY(cuMemAlloc_v2(&q, 4096));
    SAY(cuStreamSynchronize(t));
    SAY(cuEventSynchronize(before));
    status(s);
}

static void exchanges(void)
{
    CUstreamCaptureMode own = CU_STREAM_CAPTURE_MODE_RELAXED;

    SAY(cuCtxSetCurrent(got));
    SAY(cuThreadExchangeStreamCaptureMode(&own));
    ask_say("was", own);
    SAY(cuMemAlloc_v2(&q, 4096));
}

static void threads_in_mode(CUstreamCaptureMode which)
{
    printf("capture mode %d\n", which);
    SAY(cuStreamBeginCapture_v2(s, which));
    ask_in_thread(works);
    ask_in_thread(ends);
    status(s);
    end();
}

void capture_threads(void)
{
    begin();
    SAY(cuCtxGetCurrent(&got));
    for (int i = 0; i < 3; i++)
        threads_in_mode((CUstreamCaptureMode)i);
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ask_in_thread(exchanges);
    end();
    mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
    SAY(cuThreadExchangeStreamCaptureMode(&mode));
    ask_say("was", mode);
    SAY(cuMemAlloc_v2(&q, 4096));
    status(s);
    SAY(cuThreadExchangeStreamCaptureMode(&mode));
    ask_say("was", mode);
    end();
}

/* Forks, joins, and captures that meet. */
void capture_joins(void)
{
    CUstream u = NULL;
    CUgraph h = NULL;

    begin();
    SAY(cuStreamCreate(&u, CU_STREAM_NON_BLOCKING));
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuEventRecord(e, s));
    SAY(cuStreamWaitEvent(t, e, 0));
    status(t);
    SAY(cuStreamQuery(t));
    end();
    status(t);
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuEventRecord(e, s));
    SAY(cuStreamWaitEvent(t, e, 0));
    ASK("launch on t", ask_launch_none(none, t));
    end();
    status(t);
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuEventRecord(e, s));
    SAY(cuStreamWaitEvent(t, e, 0));
    ASK("launch on t", ask_launch_none(none, t));
    SAY(cuEventRecord(e, t));
    SAY(cuStreamEndCapture(t, &g));
    SAY(cuStreamWaitEvent(s, e, 0));
    end();
    status(t);
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuStreamBeginCapture_v2(u, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuEventRecord(e, s));
    SAY(cuStreamWaitEvent(u, e, 0));
    status(s);
    status(u);
    SAY(cuStreamEndCapture(u, &h));
    ask_say("graph", h != NULL);
    end();
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuEventRecord(e, s));
    SAY(cuStreamWaitEvent(t, e, 0));
    SAY(cuStreamDestroy_v2(t));
    end();
    SAY(cuStreamSynchronize(u));
    SAY(cuCtxSynchronize());
}

void capture_legacy(void)
{
    CUstream blocking = NULL;

    begin();
    SAY(cuStreamCreate(&blocking, 0));
    SAY(cuStreamBeginCapture_v2(CU_STREAM_LEGACY, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuStreamBeginCapture_v2(CU_STREAM_PER_THREAD, CU_STREAM_CAPTURE_MODE_RELAXED));
    status(CU_STREAM_PER_THREAD);
    status(NULL);
    ASK("launch", ask_launch_none(none, NULL));
    SAY(cuStreamEndCapture(CU_STREAM_PER_THREAD, &g));
    ask_say("graph", g != NULL);
    SAY(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
    status(NULL);
    SAY(cuStreamGetCaptureInfo_v2(NULL, &(CUstreamCaptureStatus){0}, NULL, NULL, NULL, NULL));
    ASK("launch", ask_launch_none(none, NULL));
    status(blocking);
    SAY(cuStreamEndCapture(blocking, &g));
    SAY(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuStreamSynchronize(NULL));
    status(blocking);
    SAY(cuStreamEndCapture(blocking, &g));
    SAY(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuMemcpyHtoD_v2(p, buf, 16));
    status(blocking);
    SAY(cuStreamEndCapture(blocking, &g));
    SAY(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuEventRecord(e, NULL));
    status(blocking);
    SAY(cuStreamEndCapture(blocking, &g));
    SAY(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuCtxSynchronize());
    SAY(cuStreamQuery(NULL));
    status(blocking);
    SAY(cuStreamEndCapture(blocking, &g));
    SAY(cuCtxSynchronize());
}

/* Events recorded in a capture. */
void capture_events(void)
{
    begin();
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuEventRecord(e, s));
    SAY(cuEventQuery(e));
    SAY(cuEventSynchronize(e));
    SAY(cuEventElapsedTime(&ms, e, before));
    status(s);
    end();
    SAY(cuEventQuery(e));
    SAY(cuEventSynchronize(e));
    SAY(cuStreamWaitEvent(t, e, 0));
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuStreamWaitEvent(s, e, 0));
    end();
    SAY(cuEventRecord(e, t));
    SAY(cuEventSynchronize(e));
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuEventRecord(f, s));
    SAY(cuEventDestroy_v2(f));
    end();
    SAY(cuStreamSynchronize(t));
}

void capture_ends(void)
{
    CUgraph first = NULL;
    uint64_t number;
    const CUgraphNode *nodes;
    CUstreamCaptureStatus now;

    begin();
    SAY(cuStreamEndCapture(s, &g));
    SAY(cuStreamBeginCapture_v2(s, (CUstreamCaptureMode)3));
    SAY(cuStreamBeginCaptureToGraph(s, NULL, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuGraphCreate(&first, 0));
    SAY(cuStreamBeginCaptureToGraph(s, first, NULL, NULL, 1, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuStreamBeginCaptureToGraph(s, first, NULL, NULL, 0, (CUstreamCaptureMode)9));
    SAY(cuStreamBeginCaptureToGraph(s, first, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuStreamGetCaptureInfo_v2(s, NULL, NULL, NULL, NULL, NULL));
    SAY(cuStreamGetCaptureInfo_v2(s, &now, NULL, NULL, NULL, NULL));
    SAY(cuStreamGetCaptureInfo_v2(s, &now, &number, &g, &nodes, &size));
    ask_say("the same", g == first);
    SAY(cuGraphDestroy(first));
    SAY(cuStreamEndCapture(s, &g));
    ask_say("the same", g == first);
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuStreamGetCaptureInfo_v2(s, &now, &number, &g, &nodes, &size));
    SAY(cuGraphDestroy(g));
    SAY(cuGraphInstantiateWithFlags(&x, g, 0));
    status(s);
    end();
    SAY(cuStreamEndCapture(s, &g));
    SAY(cuCtxSynchronize());
}

/* Good captures, and their graphs launched at the wrong time. */
void captured_work(void)
{
    begin();
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    ASK("launch", ask_launch_none(none, s));
    SAY(cuMemsetD8Async(p, 7, 16, s));
    SAY(cuMemcpyDtoDAsync_v2(p + 64, p, 16, s));
    SAY(cuStreamEndCapture(s, &g));
    SAY(cuGraphInstantiateWithFlags(&x, g, 0));
    SAY(cuGraphInstantiateWithFlags(&x, g, 0x80));
    SAY(cuGraphInstantiateWithFlags(NULL, g, 0));
    SAY(cuGraphDestroy(g));
    SAY(cuGraphDestroy(g));
    SAY(cuGraphLaunch(x, s));
    SAY(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
    SAY(cuGraphLaunch(x, s));
    status(s);
    end();
    SAY(cuGraphUpload(x, s));
    SAY(cuGraphUpload(NULL, s));
    SAY(cuGraphLaunch(x, (CUstream)ask_nobody()));
    SAY(cuMemFree_v2(p));
    SAY(cuGraphExecDestroy(x));
    SAY(cuGraphExecDestroy(x));
    SAY(cuGraphExecDestroy(NULL));
    SAY(cuGraphLaunch(x, s));
    SAY(cuStreamSynchronize(s));
    SAY(cuCtxSynchronize());
}
