/* SPDX-License-Identifier: MIT */
/*
 * Green contexts. Partitions of multiprocessors, here cores, are kept in the books as the
 * driver keeps them; kernels are not held to them: every one may use all cores. The context
 * form of a green context is a second handle of the primary context.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "device.h"
#include "handle.h"

#define VG_GREEN_FLAGS (CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING | \
                        CU_DEV_SM_RESOURCE_SPLIT_MAX_POTENTIAL_CLUSTER_SIZE)

/* What stands in the private bytes of a CUdevResource. */
struct vg_share {
    uint32_t magic;
    uint32_t dev;
    uint32_t first;             /* core */
    uint32_t split;             /* which split it came from, 0: none */
};

#define VG_SHARE_MAGIC 0x65726873u

struct vg_desc {
    CUdevResource resource;     /* of all that it was made of */
    int dev;
};

struct vg_green {
    CUgreenCtx handle;
    CUcontext context;          /* stands for the primary context */
    CUdevResource resource;
    struct vg_device *dev;
    uint64_t id;
    struct vg_green *next;      /* of all */
};

static uint32_t splits;
static uint64_t greens;
static struct vg_green *all;
static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;

/* ----------------------------------------------------------------------- resources */

static CUdevResource share(int dev, uint32_t first, uint32_t count, uint32_t split)
{
    struct vg_share s = { VG_SHARE_MAGIC, (uint32_t)dev, first, split };
    CUdevResource r;

    memset(&r, 0, sizeof(r));
    r.type = CU_DEV_RESOURCE_TYPE_SM;
    memcpy(r._internal_padding, &s, sizeof(s));
    r.sm.smCount = count;
    r.sm.minSmPartitionSize = 1;
    r.sm.smCoscheduledAlignment = 1;
    return r;
}

static bool share_of(const CUdevResource *r, struct vg_share *ret)
{
    memcpy(ret, r->_internal_padding, sizeof(*ret));
    return ret->magic == VG_SHARE_MAGIC;
}

static CUresult whole(struct vg_device *d, CUdevResource *resource, CUdevResourceType type)
{
    if (resource == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (type != CU_DEV_RESOURCE_TYPE_SM)
        return CUDA_ERROR_INVALID_RESOURCE_TYPE;
    *resource = share(d->ordinal, 0, (uint32_t)d->attr[CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT], 0);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetDevResource, (CUdevice dev, CUdevResource *resource, CUdevResourceType type))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    return rc != CUDA_SUCCESS ? rc : whole(d, resource, type);
}

VG_ENTRY(cuGreenCtxGetDevResource,
         (CUgreenCtx handle, CUdevResource *resource, CUdevResourceType type))
{
    struct vg_green *g = vg_handle_get(handle, VG_HANDLE_GREEN);

    if (g == NULL)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (resource == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (type != CU_DEV_RESOURCE_TYPE_SM)
        return CUDA_ERROR_INVALID_RESOURCE_TYPE;
    *resource = g->resource;
    return CUDA_SUCCESS;
}

/* Of a context that is the form of a green one. */
static bool green_share(CUcontext context, CUdevResource *ret)
{
    struct vg_green *g;

    pthread_mutex_lock(&all_mutex);
    for (g = all; g != NULL && g->context != context;)
        g = g->next;
    if (g != NULL)
        *ret = g->resource;
    pthread_mutex_unlock(&all_mutex);
    return g != NULL;
}

VG_ENTRY(cuCtxGetDevResource, (CUcontext handle, CUdevResource *resource, CUdevResourceType type))
{
    CUdevResource green;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_from_handle(handle, &ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    rc = whole(ctx->dev, resource, type);
    if (rc == CUDA_SUCCESS && green_share(handle, &green))
        *resource = green;
    return rc;
}

/* As many groups of `least` as fit, at most *groups of them. */
VG_ENTRY(cuDevSmResourceSplitByCount,
         (CUdevResource *result, unsigned *groups, const CUdevResource *input,
          CUdevResource *remaining, unsigned flags, unsigned least))
{
    struct vg_share s;
    unsigned n, i;
    uint32_t split;

    if (groups == NULL || input == NULL || (flags & ~(unsigned)VG_GREEN_FLAGS) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (input->type != CU_DEV_RESOURCE_TYPE_SM)
        return CUDA_ERROR_INVALID_RESOURCE_TYPE;
    if (!share_of(input, &s) || least > input->sm.smCount || (result != NULL && *groups == 0))
        return CUDA_ERROR_INVALID_VALUE;
    if (s.split != 0)
        return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
    least = least != 0 ? least : 1;
    n = input->sm.smCount / least;
    n = result != NULL && *groups < n ? *groups : n;
    split = __atomic_add_fetch(&splits, 1, __ATOMIC_RELAXED);
    for (i = 0; result != NULL && i < n; i++)
        result[i] = share((int)s.dev, s.first + i * least, least, split);
    if (remaining != NULL) {
        *remaining = share((int)s.dev, s.first + n * least, input->sm.smCount - n * least, split);
        if (remaining->sm.smCount == 0)
            memset(remaining, 0, sizeof(*remaining));
    }
    *groups = n;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDevResourceGenerateDesc,
         (CUdevResourceDesc *desc, CUdevResource *resources, unsigned n))
{
    struct vg_share first, s;
    struct vg_desc *d;
    unsigned i, cores = 0;

    if (desc == NULL || resources == NULL || n == 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < n; i++) {
        if (resources[i].type != CU_DEV_RESOURCE_TYPE_SM)
            return CUDA_ERROR_INVALID_RESOURCE_TYPE;
        if (!share_of(&resources[i], &s))
            return CUDA_ERROR_INVALID_VALUE;
        first = i == 0 ? s : first;
        if (s.dev != first.dev || s.split != first.split)
            return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
        cores += resources[i].sm.smCount;
    }
    d = calloc(1, sizeof(*d));
    if (d == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    d->dev = (int)first.dev;
    d->resource = share(d->dev, first.first, cores, 0);
    *desc = vg_handle_new(VG_HANDLE_DESC, d);
    if (*desc != NULL)
        return CUDA_SUCCESS;
    free(d);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* ------------------------------------------------------------------------ contexts */

static void green_free(struct vg_green *g)
{
    struct vg_green **at;

    pthread_mutex_lock(&all_mutex);
    for (at = &all; *at != NULL && *at != g;)
        at = &(*at)->next;
    if (*at != NULL)
        *at = g->next;
    pthread_mutex_unlock(&all_mutex);
    vg_handle_end(g->handle);
    vg_handle_end(g->context);
    free(g);
}

static CUresult green_new(struct vg_device *d, const struct vg_desc *desc, CUgreenCtx *ret)
{
    struct vg_green *g = calloc(1, sizeof(*g));

    if (g == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    g->dev = d;
    g->resource = desc->resource;
    g->id = __atomic_add_fetch(&greens, 1, __ATOMIC_RELAXED);
    g->handle = vg_handle_new(VG_HANDLE_GREEN, g);
    g->context = vg_handle_new(VG_HANDLE_CTX, d->primary);
    if (g->handle == NULL || g->context == NULL) {
        green_free(g);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    pthread_mutex_lock(&all_mutex);
    g->next = all;
    all = g;
    pthread_mutex_unlock(&all_mutex);
    *ret = g->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGreenCtxCreate,
         (CUgreenCtx *green, CUdevResourceDesc handle, CUdevice dev, unsigned flags))
{
    struct vg_desc *desc = vg_handle_get(handle, VG_HANDLE_DESC);
    struct vg_device *d;
    CUcontext primary;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (green == NULL || desc == NULL || flags != CU_GREEN_CTX_DEFAULT_STREAM || desc->dev != dev)
        return CUDA_ERROR_INVALID_VALUE;
    rc = cuDevicePrimaryCtxRetain(&primary, dev);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = green_new(d, desc, green);
    if (rc != CUDA_SUCCESS)
        cuDevicePrimaryCtxRelease_v2(dev);
    return rc;
}

VG_ENTRY(cuGreenCtxDestroy, (CUgreenCtx handle))
{
    struct vg_green *g = vg_handle_get(handle, VG_HANDLE_GREEN);
    int dev;

    if (g == NULL)
        return CUDA_ERROR_INVALID_CONTEXT;
    dev = g->dev->ordinal;
    green_free(g);
    return cuDevicePrimaryCtxRelease_v2(dev);
}

VG_ENTRY(cuCtxFromGreenCtx, (CUcontext *ctx, CUgreenCtx handle))
{
    struct vg_green *g = vg_handle_get(handle, VG_HANDLE_GREEN);

    if (g == NULL)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (ctx == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *ctx = g->context;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGreenCtxGetId, (CUgreenCtx handle, unsigned long long *id))
{
    struct vg_green *g = vg_handle_get(handle, VG_HANDLE_GREEN);

    if (g == NULL)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (id == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *id = g->id;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuGreenCtxRecordEvent, (CUgreenCtx handle, CUevent event))
{
    struct vg_green *g = vg_handle_get(handle, VG_HANDLE_GREEN);

    return g != NULL ? cuCtxRecordEvent(g->context, event) : CUDA_ERROR_INVALID_CONTEXT;
}

VG_ENTRY(cuGreenCtxWaitEvent, (CUgreenCtx handle, CUevent event))
{
    struct vg_green *g = vg_handle_get(handle, VG_HANDLE_GREEN);

    return g != NULL ? cuCtxWaitEvent(g->context, event) : CUDA_ERROR_INVALID_CONTEXT;
}

VG_ENTRY(cuGreenCtxStreamCreate,
         (CUstream *stream, CUgreenCtx handle, unsigned flags, int priority))
{
    struct vg_green *g = vg_handle_get(handle, VG_HANDLE_GREEN);
    CUresult rc;

    if (g == NULL)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (stream == NULL || flags != CU_STREAM_NON_BLOCKING)
        return CUDA_ERROR_INVALID_VALUE;
    rc = cuCtxPushCurrent_v2(g->context);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = cuStreamCreateWithPriority(stream, flags, priority);
    cuCtxPopCurrent_v2(NULL);
    return rc;
}
