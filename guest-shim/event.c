/* SPDX-License-Identifier: MIT */
/* Events: what must be said at the call although the call itself is only posted. */
#include "guest-shim/call.h"
#include "guest-shim/capture.h"
#include "guest-shim/fwd.h"
#include "guest-shim/state.h"
#include "vg_api.h"

static CUresult post_record(VG_PARAMS(cuEventRecordWithFlags))
VG_POST_BODY(cuEventRecordWithFlags)

CUresult cuEventRecordWithFlags(CUevent hEvent, CUstream hStream, unsigned flags)
{
    CUresult r = vg_enter();

    if (!r && flags & ~(unsigned)CU_EVENT_RECORD_EXTERNAL)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && flags & CU_EVENT_RECORD_EXTERNAL && !vg_capture_possible())
        r = CUDA_ERROR_ILLEGAL_STATE;
    return r ? r : post_record(hEvent, hStream, flags);
}

static CUresult post_wait(VG_PARAMS(cuStreamWaitEvent))
VG_POST_BODY(cuStreamWaitEvent)

CUresult cuStreamWaitEvent(CUstream hStream, CUevent hEvent, unsigned Flags)
{
    CUresult r = vg_enter();

    if (!r && Flags & ~(unsigned)CU_EVENT_WAIT_EXTERNAL)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && Flags & CU_EVENT_WAIT_EXTERNAL && !vg_capture_possible())
        r = CUDA_ERROR_ILLEGAL_STATE;
    return r ? r : post_wait(hStream, hEvent, Flags);
}

CUresult cuEventSynchronize(CUevent hEvent)
{
    CUresult r = vg_enter();

    if (!r && !hEvent)
        r = CUDA_ERROR_INVALID_HANDLE;
    if (!r)
        r = vg_capture_allows();
    return r ? r : vg_sync(VG_SYNC_EVENT, (uintptr_t)hEvent);
}

static CUresult post_ctx_record(VG_PARAMS(cuCtxRecordEvent))
VG_POST_BODY(cuCtxRecordEvent)

CUresult cuCtxRecordEvent(CUcontext hCtx, CUevent hEvent)
{
    CUresult r = vg_enter();

    if (!r && !hCtx)
        r = CUDA_ERROR_INVALID_CONTEXT;
    return r ? r : post_ctx_record(hCtx, hEvent);
}

static CUresult post_ctx_wait(VG_PARAMS(cuCtxWaitEvent))
VG_POST_BODY(cuCtxWaitEvent)

CUresult cuCtxWaitEvent(CUcontext hCtx, CUevent hEvent)
{
    CUresult r = vg_enter();

    if (!r && !hCtx)
        r = CUDA_ERROR_INVALID_CONTEXT;
    return r ? r : post_ctx_wait(hCtx, hEvent);
}
