/* SPDX-License-Identifier: MIT */
/*
 * Life of contexts: primary and created ones, and each thread's stack of them.
 */
#include "ctx.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "array.h"
#include "device.h"
#include "handle.h"
#include "hostmem.h"
#include "module.h"
#include "stream.h"
#include "texture.h"

#define VG_STACK_DEPTH 64

/* The calling thread's contexts, the current one last. */
static __thread CUcontext stack[VG_STACK_DEPTH];
static __thread unsigned depth;

static uint64_t next_ctx_id = 1;
static struct vg_ctx *all_contexts;     /* grows at the head, under the module lock */

static const size_t default_limit[CU_LIMIT_MAX] = {
    [CU_LIMIT_STACK_SIZE] = 1024,
    [CU_LIMIT_PRINTF_FIFO_SIZE] = 1 << 20,
    [CU_LIMIT_MALLOC_HEAP_SIZE] = 8 << 20,
};

/* ------------------------------------------------------------ rise and fall */

static CUresult ctx_rise(struct vg_ctx *ctx)
{
    ctx->error = CUDA_SUCCESS;
    ctx->cancel = 0;
    ctx->heap_used = 0;
    ctx->peers = 0;
    memcpy(ctx->limit, default_limit, sizeof(ctx->limit));
    if (vg_stream_new(ctx, CU_STREAM_DEFAULT, 0) == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    ctx->id = __atomic_fetch_add(&next_ctx_id, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&ctx->alive, true, __ATOMIC_RELEASE);
    return CUDA_SUCCESS;
}

/* Endless kernels are cancelled; everything the context owns goes. */
static void ctx_fall(struct vg_ctx *ctx)
{
    if (!__atomic_exchange_n(&ctx->alive, false, __ATOMIC_ACQ_REL))
        return;
    vg_engine_stop_ctx(ctx);
    vg_stream_end_ctx(ctx);
    vg_event_end_ctx(ctx);
    vg_module_end_ctx(ctx);
    vg_hostmem_end_ctx(ctx);
    vg_texture_end_ctx(ctx);
    vg_array_end_ctx(ctx);
    vg_arena_free_ctx(ctx);
}

static struct vg_ctx *ctx_new(struct vg_device *dev, bool primary)
{
    struct vg_ctx *ctx = calloc(1, sizeof(*ctx));

    if (ctx == NULL)
        return NULL;
    ctx->dev = dev;
    ctx->primary = primary;
    ctx->handle = vg_handle_new(VG_HANDLE_CTX, ctx);
    if (ctx->handle == NULL) {
        free(ctx);
        return NULL;
    }
    vg_module_lock();
    ctx->next = all_contexts;
    __atomic_store_n(&all_contexts, ctx, __ATOMIC_RELEASE);
    vg_module_unlock();
    return ctx;
}

void vg_ctx_for_each(void (*fn)(const struct vg_library *lib, struct vg_ctx *ctx),
                     const struct vg_library *lib)
{
    struct vg_ctx *ctx;

    for (ctx = all_contexts; ctx != NULL; ctx = ctx->next)
        fn(lib, ctx);
}

struct vg_ctx *vg_ctx_new_primary(struct vg_device *dev)
{
    return ctx_new(dev, true);
}

/* ------------------------------------------------------------------ entering */

CUresult vg_ctx_error(const struct vg_ctx *ctx)
{
    return __atomic_load_n(&ctx->error, __ATOMIC_ACQUIRE);
}

void vg_ctx_fail(struct vg_ctx *ctx, CUresult error)
{
    CUresult none = CUDA_SUCCESS;
    int running = 0;

    __atomic_compare_exchange_n(&ctx->error, &none, error, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
    __atomic_compare_exchange_n(&ctx->cancel, &running, 1, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
}

CUresult vg_ctx_from_handle(CUcontext handle, struct vg_ctx **ret)
{
    struct vg_ctx *ctx;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (handle == NULL) {
        if (depth == 0 || stack[depth - 1] == NULL)
            return CUDA_ERROR_INVALID_CONTEXT;
        handle = stack[depth - 1];
        ctx = vg_handle_get(handle, VG_HANDLE_CTX);
        if (ctx == NULL)
            return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    } else {
        ctx = vg_handle_get(handle, VG_HANDLE_CTX);
        if (ctx == NULL)
            return CUDA_ERROR_INVALID_CONTEXT;
    }
    if (!__atomic_load_n(&ctx->alive, __ATOMIC_ACQUIRE))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    *ret = ctx;
    return CUDA_SUCCESS;
}

CUresult vg_ctx_current(struct vg_ctx **ret)
{
    return vg_ctx_from_handle(NULL, ret);
}

CUresult vg_ctx_enter(struct vg_ctx **ret)
{
    CUresult rc = vg_ctx_current(ret);

    return rc != CUDA_SUCCESS ? rc : vg_ctx_error(*ret);
}

CUresult vg_ctx_synchronize(struct vg_ctx *ctx)
{
    struct vg_task *all = NULL;
    CUresult rc;

    vg_engine_lock();
    rc = vg_stream_join_ctx_locked(ctx, &all);
    if (all != NULL)
        vg_task_wait_locked(all);
    vg_task_put_locked(all);
    vg_engine_unlock();
    return rc != CUDA_SUCCESS ? rc : vg_ctx_error(ctx);
}

void vg_ctx_synchronize_all(void)
{
    struct vg_ctx *ctx = __atomic_load_n(&all_contexts, __ATOMIC_ACQUIRE);

    for (; ctx != NULL; ctx = ctx->next)
        if (__atomic_load_n(&ctx->alive, __ATOMIC_ACQUIRE))
            vg_ctx_synchronize(ctx);
}

bool vg_ctx_others_busy(const struct vg_ctx *ctx)
{
    const struct vg_ctx *o = __atomic_load_n(&all_contexts, __ATOMIC_ACQUIRE);
    bool busy = false;

    vg_engine_lock();
    for (; o != NULL && !busy; o = o->next)
        busy = o != ctx && o->pending != 0;
    vg_engine_unlock();
    return busy;
}

/* ----------------------------------------------------------- primary contexts */

VG_ENTRY(cuDevicePrimaryCtxRetain, (CUcontext *ctx, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (ctx == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    vg_module_lock();
    if (!d->primary->alive)
        rc = ctx_rise(d->primary);
    if (rc == CUDA_SUCCESS)
        d->primary->retained++;
    vg_module_unlock();
    if (rc == CUDA_SUCCESS)
        *ctx = d->primary->handle;
    return rc;
}

VG_ENTRY(cuDevicePrimaryCtxRelease_v2, (CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);
    bool last;

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_module_lock();
    last = d->primary->retained == 1;
    if (d->primary->retained == 0)
        rc = CUDA_ERROR_INVALID_CONTEXT;
    else
        d->primary->retained--;
    vg_module_unlock();
    if (last)
        ctx_fall(d->primary);
    return rc;
}

VG_ENTRY(cuDevicePrimaryCtxReset_v2, (CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    d->primary->retained = 0;
    ctx_fall(d->primary);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDevicePrimaryCtxSetFlags_v2, (CUdevice dev, unsigned flags))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags & ~(unsigned)VG_CTX_FLAGS)
        return CUDA_ERROR_INVALID_VALUE;
    d->primary->flags = flags;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDevicePrimaryCtxGetState, (CUdevice dev, unsigned *flags, int *active))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags == NULL || active == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *flags = d->primary->flags;
    *active = d->primary->alive;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDevicePrimaryCtxRelease, (CUdevice dev))
{
    return cuDevicePrimaryCtxRelease_v2(dev);
}

VG_ENTRY(cuDevicePrimaryCtxReset, (CUdevice dev))
{
    return cuDevicePrimaryCtxReset_v2(dev);
}

VG_ENTRY(cuDevicePrimaryCtxSetFlags, (CUdevice dev, unsigned flags))
{
    return cuDevicePrimaryCtxSetFlags_v2(dev, flags);
}

/* ---------------------------------------------------------- created contexts */

VG_ENTRY(cuCtxCreate_v4,
         (CUcontext *ctx, CUctxCreateParams *params, unsigned flags, CUdevice dev))
{
    struct vg_device *d;
    struct vg_ctx *made;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (ctx == NULL || (flags & ~(unsigned)VG_CTX_FLAGS) != 0 || depth == VG_STACK_DEPTH)
        return CUDA_ERROR_INVALID_VALUE;
    if (params != NULL && params->numExecAffinityParams != 0)
        return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    if (params != NULL && params->cigParams != NULL)
        return CUDA_ERROR_NOT_SUPPORTED;
    made = ctx_new(d, false);
    if (made == NULL || ctx_rise(made) != CUDA_SUCCESS)
        return CUDA_ERROR_OUT_OF_MEMORY;
    made->flags = flags;
    stack[depth++] = made->handle;
    *ctx = made->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxCreate_v3,
         (CUcontext *ctx, CUexecAffinityParam *params, int n, unsigned flags, CUdevice dev))
{
    CUctxCreateParams p = { .execAffinityParams = params, .numExecAffinityParams = n };

    return cuCtxCreate_v4(ctx, &p, flags, dev);
}

VG_ENTRY(cuCtxCreate_v2, (CUcontext *ctx, unsigned flags, CUdevice dev))
{
    return cuCtxCreate_v4(ctx, NULL, flags, dev);
}

VG_ENTRY(cuCtxCreate, (CUcontext *ctx, unsigned flags, CUdevice dev))
{
    return cuCtxCreate_v4(ctx, NULL, flags, dev);
}

/* The object itself stays: tasks and blocks of other contexts may still name it. */
VG_ENTRY(cuCtxDestroy_v2, (CUcontext handle))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    ctx = vg_handle_get(handle, VG_HANDLE_CTX);
    if (ctx == NULL || ctx->primary)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (depth != 0 && stack[depth - 1] == handle)
        depth--;
    ctx_fall(ctx);
    vg_handle_end(handle);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxDestroy, (CUcontext handle))
{
    return cuCtxDestroy_v2(handle);
}

/* ------------------------------------------------------------- current context */

/* A context that a thread may make current: live, or primary and not yet active. */
static CUresult ctx_settable(CUcontext handle)
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    return vg_handle_get(handle, VG_HANDLE_CTX) != NULL ? CUDA_SUCCESS
                                                        : CUDA_ERROR_INVALID_CONTEXT;
}

VG_ENTRY(cuCtxPushCurrent_v2, (CUcontext ctx))
{
    CUresult rc = ctx_settable(ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (depth == VG_STACK_DEPTH)
        return CUDA_ERROR_INVALID_VALUE;
    stack[depth++] = ctx;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxPopCurrent_v2, (CUcontext *ctx))
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (depth == 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    depth--;
    if (ctx != NULL)
        *ctx = stack[depth];
    return CUDA_SUCCESS;
}

/* Replaces the top; NULL takes it away. */
VG_ENTRY(cuCtxSetCurrent, (CUcontext ctx))
{
    CUresult rc = ctx != NULL ? ctx_settable(ctx) : vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (ctx == NULL)
        depth -= depth != 0;
    else if (depth == 0)
        stack[depth++] = ctx;
    else
        stack[depth - 1] = ctx;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxGetCurrent, (CUcontext *ctx))
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (ctx == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *ctx = depth != 0 ? stack[depth - 1] : NULL;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxPushCurrent, (CUcontext ctx))
{
    return cuCtxPushCurrent_v2(ctx);
}

VG_ENTRY(cuCtxPopCurrent, (CUcontext *ctx))
{
    return cuCtxPopCurrent_v2(ctx);
}
