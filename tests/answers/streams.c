/* SPDX-License-Identifier: MIT */
/*
 * Misuse of streams, events, memory operations and host functions.
 */
#include "groups.h"

static CUstream s, t;
static CUevent e, f;
static int value;
static float ms;

void stream_flags(void)
{
    CUstreamAttrValue attribute = {{0}};

    ask_start();
    SAY(cuStreamCreate(&s, 2));
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING | 4));
    SAY(cuStreamCreateWithPriority(NULL, 0, 0));
    SAY(cuStreamCreateWithPriority(&s, 2, 0));
    SAY(cuStreamCreateWithPriority(&s, 0, 1000));
    SAY(cuStreamGetPriority(s, &value));
    ask_say("priority", value);
    SAY(cuStreamGetPriority(s, NULL));
    SAY(cuStreamGetId(s, NULL));
    SAY(cuStreamGetCtx(s, NULL));
    SAY(cuStreamGetCtx_v2(s, NULL, NULL));
    SAY(cuStreamGetAttribute(s, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &attribute));
    ask_say("policy", attribute.syncPolicy);
    SAY(cuStreamGetAttribute(s, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &attribute));
    SAY(cuStreamGetAttribute(s, (CUlaunchAttributeID)99, &attribute));
    attribute.syncPolicy = (CUsynchronizationPolicy)77;
    SAY(cuStreamSetAttribute(s, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &attribute));
    SAY(cuStreamSetAttribute(s, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &attribute));
    SAY(cuStreamSetAttribute(s, (CUlaunchAttributeID)99, &attribute));
    SAY(cuStreamCopyAttributes(s, NULL));
    SAY(cuStreamCopyAttributes(NULL, s));
    SAY(cuStreamCopyAttributes(s, s));
    SAY(cuStreamGetDevice(s, &value));
    SAY(cuStreamGetDevice(s, NULL));
    SAY(cuStreamWaitEvent(s, NULL, 0));
}

void dead_streams(void)
{
    ask_start();
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
    SAY(cuEventCreate(&e, 0));
    SAY(cuStreamDestroy_v2(s));
    SAY(cuStreamQuery((CUstream)ask_nobody()));
    SAY(cuStreamSynchronize((CUstream)ask_nobody()));
    SAY(cuStreamDestroy_v2((CUstream)ask_nobody()));
    SAY(cuEventRecord(e, (CUstream)ask_nobody()));
    SAY(cuStreamWaitEvent((CUstream)ask_nobody(), e, 0));
    SAY(cuStreamQuery(t));
    SAY(cuEventRecord(e, t));
    SAY(cuEventSynchronize(e));
    SAY(cuCtxSynchronize());
}

void events(void)
{
    ask_start();
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuEventCreate(&e, CU_EVENT_INTERPROCESS));
    SAY(cuEventCreate(&e, 8));
    SAY(cuEventCreate(&e, CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING));
    SAY(cuEventCreate(&f, 0));
    SAY(cuEventRecordWithFlags(f, s, 2));
    SAY(cuEventRecordWithFlags(f, s, CU_EVENT_RECORD_EXTERNAL));
    SAY(cuEventRecordWithFlags(NULL, s, 0));
    SAY(cuStreamWaitEvent(s, f, CU_EVENT_WAIT_EXTERNAL));
    SAY(cuStreamWaitEvent(s, f, 2));
    SAY(cuStreamWaitEvent(s, e, 0));
    SAY(cuEventElapsedTime(&ms, f, f));
    SAY(cuEventRecord(f, s));
    SAY(cuStreamSynchronize(s));
    SAY(cuEventElapsedTime(&ms, f, f));
    ask_say("no time", ms == 0);
    SAY(cuEventElapsedTime(&ms, e, f));
    SAY(cuEventElapsedTime(&ms, NULL, f));
    SAY(cuEventElapsedTime_v2(&ms, f, NULL));
    SAY(cuEventDestroy_v2(e));
    SAY(cuEventQuery(f));
    SAY(cuStreamDestroy_v2(s));
    SAY(cuEventQuery(f));
    SAY(cuEventSynchronize(f));
    SAY(cuStreamWaitEvent(NULL, f, 0));
    SAY(cuCtxSynchronize());
}

/* What is not ready, and what destroying it does. */
void busy_streams(void)
{
    struct ask_busy busy;
    CUevent late;

    ask_start();
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
    SAY(cuEventCreate(&e, 0));
    SAY(cuEventCreate(&f, 0));
    SAY(cuEventCreate(&late, 0));
    SAY(cuEventRecord(f, s));
    ask_say("busy", ask_busy_start(&busy, s));
    SAY(cuEventRecord(e, s));
    SAY(cuStreamQuery(s));
    SAY(cuEventQuery(e));
    SAY(cuEventElapsedTime(&ms, f, e));
    SAY(cuStreamQuery(NULL));
    SAY(cuStreamQuery(t));
    SAY(cuStreamWaitEvent(t, e, 0));
    SAY(cuStreamQuery(t));
    SAY(cuEventRecord(late, t));
    SAY(cuEventQuery(late));
    SAY(cuEventDestroy_v2(late));
    SAY(cuStreamDestroy_v2(t));
    SAY(cuStreamDestroy_v2(s));
    SAY(cuEventQuery(e));
    SAY(cuMemFreeHost(NULL));
    ask_busy_stop(&busy);
    SAY(cuEventSynchronize(e));
    SAY(cuEventQuery(e));
    SAY(cuEventElapsedTime(&ms, f, e));
    SAY(cuCtxSynchronize());
}

void memory_operations(void)
{
    CUstreamBatchMemOpParams op[2] = {{.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32}};
    CUdeviceptr p;

    ask_start();
    p = ask_memory(4096);
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuStreamWriteValue32_v2(s, p, 1, 0));
    SAY(cuStreamWriteValue32_v2(s, p + 2, 1, 0));
    SAY(cuStreamWriteValue32_v2(s, 0, 1, 0));
    SAY(cuStreamWriteValue32_v2(s, 0x1234, 1, 0));
    SAY(cuStreamWriteValue32_v2(s, p + 4096, 1, 0));
    SAY(cuStreamWriteValue32_v2(s, p, 1, 0x80));
    SAY(cuStreamWriteValue32_v2((CUstream)ask_nobody(), p, 1, 0));
    SAY(cuStreamWriteValue64_v2(s, p + 8, 1, 0));
    SAY(cuStreamWriteValue64_v2(s, p + 4, 1, 0));
    SAY(cuStreamWriteValue64_v2(s, p + 4092, 1, 0));
    SAY(cuStreamWaitValue32_v2(s, p, 1, CU_STREAM_WAIT_VALUE_EQ));
    SAY(cuStreamWaitValue32_v2(s, p + 1, 1, CU_STREAM_WAIT_VALUE_EQ));
    SAY(cuStreamWaitValue32_v2(s, 0, 1, CU_STREAM_WAIT_VALUE_EQ));
    SAY(cuStreamWaitValue32_v2(s, p, 1, 0x80));
    SAY(cuStreamWaitValue32_v2(s, p, 1, CU_STREAM_WAIT_VALUE_EQ | CU_STREAM_WAIT_VALUE_FLUSH));
    SAY(cuStreamWaitValue64_v2(s, p + 4, 1, CU_STREAM_WAIT_VALUE_GEQ));
    SAY(cuStreamBatchMemOp_v2(s, 0, op, 0));
    SAY(cuStreamBatchMemOp_v2(s, 1, op, 0));
    op[0].writeValue.address = p;
    op[0].writeValue.value = 3;
    SAY(cuStreamBatchMemOp_v2(s, 1, op, 0));
    SAY(cuStreamBatchMemOp_v2(s, 1, op, 1));
    SAY(cuStreamBatchMemOp_v2(s, 257, op, 0));
    op[1].operation = (CUstreamBatchMemOpType)77;
    SAY(cuStreamBatchMemOp_v2(s, 2, op, 0));
    SAY(cuStreamSynchronize(s));
}

static void does_nothing(void *data)
{
    (void)data;
}

static CUresult from_inside;

static void calls_cuda(void *data)
{
    (void)data;
    from_inside = cu.cuCtxSynchronize();
}

static void allocates(void *data)
{
    CUdeviceptr p;

    (void)data;
    from_inside = cu.cuMemAlloc_v2(&p, 4096);
}

static CUresult told = (CUresult)-1;

static void callback(CUstream stream, CUresult status, void *data)
{
    (void)stream;
    (void)data;
    told = status;
}

void host_functions(void)
{
    ask_start();
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuLaunchHostFunc(s, NULL, NULL));
    SAY(cuLaunchHostFunc((CUstream)ask_nobody(), does_nothing, NULL));
    SAY(cuLaunchHostFunc(s, does_nothing, NULL));
    SAY(cuStreamAddCallback(s, NULL, NULL, 0));
    SAY(cuStreamAddCallback(s, callback, NULL, 1));
    SAY(cuStreamAddCallback(s, callback, NULL, 0));
    SAY(cuStreamSynchronize(s));
    ask_say("told", told);
    SAY(cuLaunchHostFunc(s, calls_cuda, NULL));
    SAY(cuStreamSynchronize(s));
    ask_say("synchronizing inside", from_inside);
    SAY(cuLaunchHostFunc(s, allocates, NULL));
    SAY(cuStreamSynchronize(s));
    ask_say("allocating inside", from_inside);
    SAY(cuCtxSynchronize());
}
