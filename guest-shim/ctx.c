/* SPDX-License-Identifier: MIT */
/*
 * Contexts: our notes about them, the primary context of each device, creation and
 * destruction. What is current in a thread is ctx_stack.c's business. One lock for
 * all notes; it is held across the few calls to the host that make or end a context,
 * so that two threads never make one primary context twice.
 */
#include "guest-shim/ctx.h"

#include <stdlib.h>

#include "guest-shim/call.h"
#include "guest-shim/capture.h"
#include "guest-shim/call_private.h"
#include "guest-shim/cls.h"
#include "guest-shim/fwd.h"
#include "guest-shim/lock.h"
#include "vg_api.h"
#include "vg_atomic.h"

#define HOOKS_MAX 16u
#define FLAGS_SETTABLE (CU_CTX_SCHED_MASK | CU_CTX_LMEM_RESIZE_TO_MAX | CU_CTX_MAP_HOST | \
                        CU_CTX_COREDUMP_ENABLE | CU_CTX_USER_COREDUMP_ENABLE | CU_CTX_SYNC_MEMOPS)

struct primary {
    struct vg_ctx *ctx;     /* NULL until its handle was asked for */
    unsigned refs;          /* retains by the application */
    unsigned flags;
    bool held;              /* the host holds it for us */
};

static struct vg_lock lock;
static struct vg_ctx *all;
static struct primary primaries[VG_DEVICES_MAX];
static void (*hooks[HOOKS_MAX])(struct vg_ctx *);
static unsigned hook_count;

void vg_ctx_on_end(void (*fn)(struct vg_ctx *ctx))
{
    if (hook_count < HOOKS_MAX)
        hooks[hook_count++] = fn;
    else
        abort();    /* more constructors than slots: a fault of this library's build */
}

/* The list only grows, at its head, so reading it needs no lock. */
static struct vg_ctx *find_any(CUcontext handle)
{
    struct vg_ctx *c = vg_load_acquire(&all);

    while (c && c->handle != handle)
        c = c->next;
    return c;
}

struct vg_ctx *vg_ctx_settable(CUcontext handle)
{
    struct vg_ctx *c = handle ? find_any(handle) : NULL;

    return c && (c->primary || vg_ctx_alive(c)) ? c : NULL;
}

struct vg_ctx *vg_ctx_find(CUcontext handle)
{
    struct vg_ctx *c = vg_tls.ctx;

    if (!handle)
        return NULL;
    if (VG_UNLIKELY(!c || c->handle != handle))
        c = find_any(handle);
    return c && vg_ctx_alive(c) ? c : NULL;
}

/* A handle that the host has used before means the same note, alive again. */
static struct vg_ctx *note(CUcontext handle, CUdevice dev, unsigned flags, bool primary)
{
    struct vg_ctx *c = find_any(handle);
    bool fresh = !c;

    if (fresh && !(c = calloc(1, sizeof(*c))))
        return NULL;
    c->handle = handle;
    c->dev = dev;
    c->flags = flags;
    c->primary = primary;
    c->green = NULL;
    c->users = 1;
    c->limit_known = 0;
    vg_store_release(&c->dead, primary);    /* a primary one lives while somebody retains it */
    if (fresh) {
        c->next = all;
        vg_store_release(&all, c);
    }
    return c;
}

static void end_one(struct vg_ctx *c)
{
    vg_store_release(&c->dead, true);
    c->epoch++;
    for (unsigned i = 0; i < hook_count; i++)
        hooks[i](c);
}

/* After the host has ended it: with a primary one goes what was made under its green ones. */
static void end(struct vg_ctx *c)
{
    vg_call_forget_context();
    end_one(c);
    for (struct vg_ctx *g = c->primary ? vg_load_acquire(&all) : NULL; g; g = g->next)
        if (g->green && g->dev == c->dev)
            end_one(g);
}

/* ---- green contexts ----------------------------------------------------------- */

CUresult vg_ctx_note_green(CUcontext handle, CUgreenCtx green, CUdevice dev,
                           struct vg_ctx **ret_ctx)
{
    vg_lock(&lock);
    struct vg_ctx *c = note(handle, dev, primaries[dev].flags, false);
    if (c)
        c->green = green;
    vg_unlock(&lock);
    if (!c)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *ret_ctx = c;
    return CUDA_SUCCESS;
}

void vg_ctx_end_green(struct vg_ctx *ctx)
{
    vg_cls_end(ctx);
    vg_lock(&lock);
    vg_store_release(&ctx->dead, true);
    ctx->epoch++;
    vg_call_forget_context();
    vg_unlock(&lock);
    if (vg_tls.ctx == ctx)
        cuCtxPopCurrent_v2(NULL);
}

/* ---- primary contexts -------------------------------------------------------- */

static CUresult hold(struct primary *p, CUdevice dev)
{
    struct vg_reply reply;
    struct vg_tx tx;

    if (p->held)
        return CUDA_SUCCESS;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_cuDevicePrimaryCtxRetain, 0);
    if (r)
        return r;
    tx.call->arg[0] = 1;
    tx.call->arg[1] = (uint64_t)dev;
    r = vg_finish(&tx, &reply);
    if (r)
        return r;
    p->ctx = note((CUcontext)(uintptr_t)reply.val[0], dev, p->flags, true);
    if (!p->ctx)
        return CUDA_ERROR_OUT_OF_MEMORY;
    p->held = true;
    return CUDA_SUCCESS;
}

CUresult vg_ctx_primary_handle(CUdevice dev, CUcontext *ret_ctx)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!vg_device(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    vg_lock(&lock);
    r = hold(&primaries[dev], dev);
    if (!r)
        *ret_ctx = primaries[dev].ctx->handle;
    vg_unlock(&lock);
    return r;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!pctx)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vg_device(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    vg_lock(&lock);
    struct primary *p = &primaries[dev];
    r = hold(p, dev);
    if (!r) {
        if (p->refs++ == 0 || !vg_ctx_alive(p->ctx)) {
            p->ctx->flags = p->flags;
            vg_store_release(&p->ctx->dead, false);
        }
        *pctx = p->ctx->handle;
    }
    vg_unlock(&lock);
    return r;
}

/*
 * Ends the context on the host and here. The library's destructors run first, while
 * the context still works, and without the lock: they may use it.
 */
static CUresult end_primary(struct primary *p, uint32_t call, CUdevice dev)
{
    struct vg_ctx *c = p->ctx;

    p->refs = 0;
    vg_unlock(&lock);
    if (c)
        vg_cls_end(c);
    vg_lock(&lock);
    if (!p->held || p->refs)
        return CUDA_SUCCESS;    /* never used, or retained again meanwhile */
    CUresult r = vg_call_reply(call, VG_WORDS((uint64_t)dev), NULL);
    p->held = false;
    p->flags = 0;
    end(c);
    return vg_sticky() ? CUDA_SUCCESS : r;  /* a broken context can be ended, not replaced */
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!vg_device(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    vg_lock(&lock);
    struct primary *p = &primaries[dev];
    if (p->refs == 0)
        r = CUDA_ERROR_INVALID_CONTEXT;
    else if (p->refs == 1)
        r = end_primary(p, VG_CALL_cuDevicePrimaryCtxRelease_v2, dev);
    else
        p->refs--;
    vg_unlock(&lock);
    return r;
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!vg_device(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    vg_lock(&lock);
    unsigned refs = primaries[dev].refs;    /* who has retained it releases it all the same */
    r = end_primary(&primaries[dev], VG_CALL_cuDevicePrimaryCtxReset_v2, dev);
    primaries[dev].refs += refs;
    vg_unlock(&lock);
    return r;
}

/* How a thread waits is the guest's affair and decided here: the flags do not cross. */
CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned flags)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!vg_device(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    if (flags & ~(unsigned)FLAGS_SETTABLE)
        return CUDA_ERROR_INVALID_VALUE;
    vg_lock(&lock);
    primaries[dev].flags = flags;
    if (primaries[dev].ctx)
        primaries[dev].ctx->flags = flags;
    vg_unlock(&lock);
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned *flags, int *active)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!flags || !active)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vg_device(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    *flags = vg_load_relaxed(&primaries[dev].flags);
    *active = vg_load_relaxed(&primaries[dev].refs) > 0 && vg_ctx_alive(primaries[dev].ctx);
    return CUDA_SUCCESS;
}

/* ---- other contexts ---------------------------------------------------------- */

static CUresult host_create(VG_PARAMS(cuCtxCreate_v2))
VG_FWD_BODY(cuCtxCreate_v2)

CUresult cuCtxCreate_v2(CUcontext *pctx, unsigned flags, CUdevice dev)
{
    CUcontext handle = NULL;
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!pctx)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vg_device(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    unsigned how = flags & CU_CTX_SCHED_MASK;
    if (flags & ~(unsigned)FLAGS_SETTABLE || how & (how - 1))
        return CUDA_ERROR_INVALID_VALUE;
    vg_lock(&lock);
    r = host_create(&handle, flags, dev);
    struct vg_ctx *c = r ? NULL : note(handle, dev, flags, false);
    vg_unlock(&lock);
    if (!c)
        return r ? r : CUDA_ERROR_OUT_OF_MEMORY;
    vg_call_forget_context();   /* creating made it current over there */
    *pctx = handle;
    return cuCtxPushCurrent_v2(handle);
}

CUresult cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *paramsArray, int numParams,
                        unsigned flags, CUdevice dev)
{
    if (numParams > 0 && !paramsArray)
        return CUDA_ERROR_INVALID_VALUE;
    if (numParams > 0)
        return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    return cuCtxCreate_v2(pctx, flags, dev);
}

CUresult cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *ctxCreateParams, unsigned flags,
                        CUdevice dev)
{
    if (ctxCreateParams && ctxCreateParams->cigParams)
        return vg_unsupported("cuCtxCreate_v4 with CiG parameters");
    if (ctxCreateParams)
        return cuCtxCreate_v3(pctx, ctxCreateParams->execAffinityParams,
                              ctxCreateParams->numExecAffinityParams, flags, dev);
    return cuCtxCreate_v2(pctx, flags, dev);
}

CUresult cuCtxDestroy_v2(CUcontext ctx)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    struct vg_ctx *c = vg_ctx_find(ctx), *was = ctx && !c ? find_any(ctx) : NULL;
    if (was && !was->primary)
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (!c || c->primary || c->green)
        return ctx ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_INVALID_VALUE;
    vg_cls_end(c);
    vg_lock(&lock);
    if (!vg_ctx_alive(c)) {
        r = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    } else {
        r = vg_call_reply(VG_CALL_cuCtxDestroy_v2, VG_WORDS((uintptr_t)ctx), NULL);
        if (vg_sticky())
            r = CUDA_SUCCESS;
        if (!r)
            end(c);
    }
    vg_unlock(&lock);
    if (!r && vg_tls.ctx == c)
        cuCtxPopCurrent_v2(NULL);
    return r;
}

/* The oldest way to share a context: it goes with the last of its users. */
CUresult cuCtxAttach(CUcontext *pctx, unsigned flags)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!pctx || flags)
        return CUDA_ERROR_INVALID_VALUE;
    vg_fetch_add(&vg_ctx_current()->users, 1);
    *pctx = vg_ctx_current()->handle;
    return CUDA_SUCCESS;
}

CUresult cuCtxDetach(CUcontext ctx)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    struct vg_ctx *c = vg_ctx_current();
    if (c->handle != ctx || c->primary || c->green)
        return CUDA_ERROR_INVALID_CONTEXT;
    return vg_fetch_add(&c->users, (uint32_t)-1) == 1 ? cuCtxDestroy_v2(ctx) : CUDA_SUCCESS;
}

CUresult cuCtxSetFlags(unsigned flags)
{
    CUresult r = vg_enter_ctx();

    if (!r && flags & ~(unsigned)FLAGS_SETTABLE)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        vg_ctx_current()->flags = flags;
    return r;
}

CUresult cuCtxSynchronize(void)
{
    CUresult r = vg_enter_ctx();

    if (!r && vg_capture_possible())
        r = vg_capture_check_sync();
    return r ? r : vg_sync(VG_SYNC_CONTEXT, (uintptr_t)vg_ctx_current()->handle);
}

CUresult cuCtxSynchronize_v2(CUcontext ctx)
{
    CUresult r = vg_enter();

    if (!ctx)
        return cuCtxSynchronize();
    if (!r && !vg_ctx_find(ctx))
        r = CUDA_ERROR_INVALID_CONTEXT;
    return r ? r : vg_sync(VG_SYNC_CONTEXT, (uintptr_t)ctx);
}

/* ---- limits: asked for at every launch by some libraries, so remembered --------- */

static CUresult host_get_limit(VG_PARAMS(cuCtxGetLimit))
VG_FWD_BODY(cuCtxGetLimit)

static CUresult host_set_limit(VG_PARAMS(cuCtxSetLimit))
VG_FWD_BODY(cuCtxSetLimit)

CUresult cuCtxGetLimit(size_t *pvalue, CUlimit limit)
{
    CUresult r = vg_enter_ctx();

    if (!r && !pvalue)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && (unsigned)limit >= CU_LIMIT_MAX)
        r = CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    struct vg_ctx *ctx = vg_ctx_current();
    if (vg_load_acquire(&ctx->limit_known) & 1u << limit) {
        *pvalue = ctx->limit[limit];
        return CUDA_SUCCESS;
    }
    r = host_get_limit(pvalue, limit);
    if (r)
        return r;
    vg_lock(&lock);
    ctx->limit[limit] = *pvalue;
    vg_store_release(&ctx->limit_known, ctx->limit_known | 1u << limit);
    vg_unlock(&lock);
    return CUDA_SUCCESS;
}

/* Setting one limit may round it, and change others. */
CUresult cuCtxSetLimit(CUlimit limit, size_t value)
{
    CUresult r = vg_enter_ctx();

    if (!r)
        r = vg_capture_allows();
    if (r)
        return r;
    r = host_set_limit(limit, value);
    vg_lock(&lock);
    vg_store_release(&vg_ctx_current()->limit_known, 0u);
    vg_unlock(&lock);
    return r;
}
