/* SPDX-License-Identifier: MIT */
/*
 * The current context of each thread, and questions about it: all answered here.
 * The ring is told lazily (SET_CONTEXT in call.c), so switching costs nothing until
 * a call that crosses.
 */
#include <stdlib.h>

#include "guest-shim/call.h"
#include "guest-shim/ctx.h"
#include "guest-shim/thread.h"
#include "vg_api.h"
#include "vg_atomic.h"

CUresult vg_no_ctx(void)
{
    if (vg_phase() != VG_PHASE_RUNNING)
        return vg_not_running();
    if (vg_tls.in_callback)
        return CUDA_ERROR_NOT_PERMITTED;
    return vg_tls.ctx ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult settable(CUcontext handle, struct vg_ctx **ret_ctx)
{
    struct vg_ctx *c = vg_ctx_settable(handle);

    if (!c)
        return CUDA_ERROR_INVALID_CONTEXT;
    *ret_ctx = c;
    return CUDA_SUCCESS;
}

static bool push(struct vg_thread *t, struct vg_ctx *ctx)
{
    if (t->depth == t->room) {
        unsigned room = t->room ? t->room * 2 : 8;
        struct vg_ctx **p = realloc(t->below, room * sizeof(*p));
        if (!p)
            return false;
        t->below = p;
        t->room = room;
    }
    t->below[t->depth++] = ctx;
    return true;
}

CUresult cuCtxPushCurrent_v2(CUcontext ctx)
{
    struct vg_ctx *c;
    CUresult r = vg_enter();

    if (!r)
        r = ctx ? settable(ctx, &c) : CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    if (vg_tls.ctx) {
        struct vg_thread *t = vg_thread();
        if (!t || !push(t, vg_tls.ctx))
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    vg_tls.ctx = c;
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *pctx)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!vg_tls.ctx)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (pctx)
        *pctx = vg_tls.ctx->handle;
    struct vg_thread *t = vg_tls.more;
    vg_tls.ctx = t && t->depth ? t->below[--t->depth] : NULL;
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext ctx)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!ctx) {
        if (vg_tls.ctx)
            cuCtxPopCurrent_v2(NULL);
        return CUDA_SUCCESS;
    }
    return settable(ctx, &vg_tls.ctx);
}

CUresult cuCtxGetCurrent(CUcontext *pctx)
{
    CUresult r = vg_enter();

    if (!r && !pctx)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *pctx = vg_tls.ctx ? vg_tls.ctx->handle : NULL;
    return r;
}

/* A destroyed context still says what it was. */
static CUresult enter_with_any(void)
{
    return vg_tls.ctx ? vg_enter() : vg_no_ctx();
}

CUresult cuCtxGetDevice(CUdevice *device)
{
    CUresult r = enter_with_any();

    if (!r && !device)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *device = vg_ctx_current()->dev;
    return r;
}

CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext ctx)
{
    CUresult r = vg_enter();

    if (!ctx)
        return cuCtxGetDevice(device);
    if (!r && !device)
        r = CUDA_ERROR_INVALID_VALUE;
    struct vg_ctx *c = r ? NULL : vg_ctx_find(ctx);
    if (!r && !c)
        r = CUDA_ERROR_INVALID_CONTEXT;
    if (!r)
        *device = c->dev;
    return r;
}

CUresult cuCtxGetFlags(unsigned *flags)
{
    CUresult r = enter_with_any();

    if (!r && !flags)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *flags = vg_ctx_current()->flags | CU_CTX_MAP_HOST;    /* always so with one address space */
    return r;
}

/* The version of the driver API that a context was made for: one and the same since CUDA 3.2. */
CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned *version)
{
    CUresult r = ctx ? vg_enter() : vg_enter_ctx();

    if (!r && !version)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && ctx && !vg_ctx_find(ctx))
        r = CUDA_ERROR_INVALID_CONTEXT;
    if (!r)
        *version = 3020;
    return r;
}

CUresult cuCtxGetStreamPriorityRange(int *leastPriority, int *greatestPriority)
{
    CUresult r = vg_enter_ctx();

    if (!r)
        r = vg_sticky();
    if (r)
        return r;
    const struct vg_device_info *d = vg_device(vg_ctx_current()->dev);
    if (leastPriority)
        *leastPriority = d->priority_least;
    if (greatestPriority)
        *greatestPriority = d->priority_greatest;
    return CUDA_SUCCESS;
}
