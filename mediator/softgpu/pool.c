/* SPDX-License-Identifier: MIT */
/*
 * cuMemAllocAsync, cuMemFreeAsync and the calls about pools.
 */
#include "pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "capture.h"
#include "ctx.h"
#include "device.h"
#include "graph.h"
#include "handle.h"
#include "stream.h"
#include "vmm.h"

struct vg_pool *vg_pool_new(struct vg_device *dev)
{
    struct vg_pool *p = calloc(1, sizeof(*p));

    if (p == NULL || (p->handle = vg_handle_new(VG_HANDLE_POOL, p)) == NULL) {
        free(p);
        return NULL;
    }
    p->dev = dev;
    p->file = -1;
    p->reuse[0] = p->reuse[1] = p->reuse[2] = 1;
    return p;
}

static CUresult pool_enter(CUmemoryPool handle, struct vg_pool **ret)
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    *ret = vg_handle_get(handle, VG_HANDLE_POOL);
    return *ret != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ------------------------------------------------------------------ allocation */

static uint64_t pool_used(const struct vg_pool *p)
{
    return __atomic_load_n(&p->used, __ATOMIC_RELAXED);
}

static void pool_note_high(struct vg_pool *p)
{
    uint64_t used = pool_used(p), high = __atomic_load_n(&p->used_high, __ATOMIC_RELAXED);

    while (used > high && !__atomic_compare_exchange_n(&p->used_high, &high, used, true,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static CUresult pool_take(struct vg_pool *p, struct vg_ctx *ctx, size_t size, CUdeviceptr *ret)
{
    struct vg_block_owner owner = { .kind = VG_BLOCK_POOL, .ctx = ctx, .pool = p,
                                    .counter = &p->used };
    uint64_t base;
    int rc;

    if (p->max_size != 0 && size > p->max_size)
        return CUDA_ERROR_OUT_OF_MEMORY;
    rc = vg_arena_alloc((unsigned)p->dev->ordinal, size, &owner, &base);
    if (rc != 0) {              /* frees that streams have not reached yet may make room */
        vg_ctx_synchronize(ctx);
        rc = vg_arena_alloc((unsigned)p->dev->ordinal, size, &owner, &base);
    }
    if (rc != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    pool_note_high(p);
    *ret = base;
    return CUDA_SUCCESS;
}

/* In a capture the address is fixed now and belongs to the graph. */
static CUresult pool_capture_alloc(struct vg_pool *p, struct vg_stream *s, size_t size,
                                   CUdeviceptr *ret)
{
    struct vg_op op = { .type = VG_OP_ALLOC };
    CUresult rc = vg_graph_mem_new(p->dev, size, &op.u.mem.graph);

    if (rc != CUDA_SUCCESS)
        return rc;
    *ret = op.u.mem.ptr = op.u.mem.graph->ptr;
    return vg_stream_issue(s, &op, false);
}

static CUresult alloc_async(CUdeviceptr *dptr, size_t size, struct vg_pool *p, CUstream stream)
{
    struct vg_op op = { .type = VG_OP_EMPTY };
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (dptr == NULL || size == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (p == NULL)
        p = s->ctx->dev->current_pool;
    if (p->file >= 0)
        return CUDA_ERROR_INVALID_VALUE;        /* its memory is made by the exporter alone */
    if (s->capture != NULL)
        return pool_capture_alloc(p, s, size, dptr);
    rc = pool_take(p, s->ctx, size, dptr);
    return rc != CUDA_SUCCESS ? rc : vg_stream_issue(s, &op, false);
}

VG_ENTRY(cuMemAllocAsync, (CUdeviceptr *dptr, size_t size, CUstream stream))
{
    return alloc_async(dptr, size, NULL, stream);
}

VG_ENTRY(cuMemAllocFromPoolAsync,
         (CUdeviceptr *dptr, size_t size, CUmemoryPool pool, CUstream stream))
{
    struct vg_pool *p;
    CUresult rc = pool_enter(pool, &p);

    return rc != CUDA_SUCCESS ? rc : alloc_async(dptr, size, p, stream);
}

VG_ENTRY(cuMemFreeAsync, (CUdeviceptr dptr, CUstream stream))
{
    struct vg_op op = { .type = VG_OP_FREE };
    struct vg_block_info block;
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS || dptr == 0)
        return rc;
    op.u.mem.ptr = dptr;
    if (s->capture == NULL && vg_vmm_is_pooled(dptr))
        return vg_stream_issue(s, &op, false);
    if (vg_arena_find(dptr, &block) != 0 || block.base != dptr ||
        (block.owner.kind != VG_BLOCK_POOL && block.owner.kind != VG_BLOCK_PLAIN &&
         block.owner.kind != VG_BLOCK_GRAPH))
        return CUDA_ERROR_INVALID_VALUE;
    /* A node frees what a node has allocated. */
    if (s->capture != NULL && block.owner.kind != VG_BLOCK_GRAPH)
        return CUDA_ERROR_INVALID_VALUE;
    if (block.owner.kind == VG_BLOCK_GRAPH)
        op.u.mem.graph = vg_graph_mem_of(dptr);
    if (s->capture == NULL)
        vg_graph_mem_freed(dptr);
    return vg_stream_issue(s, &op, false);
}

/* ------------------------------------------------------------------- attributes */

static bool is_reuse(CUmemPool_attribute attr)
{
    return attr >= CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES &&
           attr <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
}

VG_ENTRY(cuMemPoolGetAttribute, (CUmemoryPool pool, CUmemPool_attribute attr, void *value))
{
    struct vg_pool *p;
    CUresult rc = pool_enter(pool, &p);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (value == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (is_reuse(attr))
        *(int *)value = p->reuse[attr - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES];
    else if (attr == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
        *(uint64_t *)value = p->threshold;
    else if (attr == CU_MEMPOOL_ATTR_USED_MEM_CURRENT ||
             attr == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)
        *(uint64_t *)value = pool_used(p);
    else if (attr == CU_MEMPOOL_ATTR_USED_MEM_HIGH || attr == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH)
        *(uint64_t *)value = __atomic_load_n(&p->used_high, __ATOMIC_RELAXED);
    else
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* High-water marks can be reset to 0 only. */
VG_ENTRY(cuMemPoolSetAttribute, (CUmemoryPool pool, CUmemPool_attribute attr, void *value))
{
    struct vg_pool *p;
    CUresult rc = pool_enter(pool, &p);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (value == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (is_reuse(attr)) {
        p->reuse[attr - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES] = *(int *)value != 0;
    } else if (attr == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) {
        p->threshold = *(uint64_t *)value;
    } else if (attr == CU_MEMPOOL_ATTR_USED_MEM_HIGH ||
               attr == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH) {
        if (*(uint64_t *)value != 0)
            return CUDA_ERROR_INVALID_VALUE;
        __atomic_store_n(&p->used_high, pool_used(p), __ATOMIC_RELAXED);
    } else {
        return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemPoolTrimTo, (CUmemoryPool pool, size_t keep))
{
    struct vg_pool *p;

    (void)keep;                 /* nothing is held back that could be trimmed */
    return pool_enter(pool, &p);
}

static bool location_is_device(const CUmemLocation *at)
{
    return at->type == CU_MEM_LOCATION_TYPE_DEVICE && vg_device_get(at->id) != NULL;
}

/* Every device reaches every pool; the owner's access cannot be taken away. */
VG_ENTRY(cuMemPoolSetAccess, (CUmemoryPool pool, const CUmemAccessDesc *map, size_t n))
{
    struct vg_pool *p;
    CUresult rc = pool_enter(pool, &p);
    size_t i;

    if (rc != CUDA_SUCCESS)
        return rc;
    if (n != 0 && map == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < n; i++) {
        if (!location_is_device(&map[i].location))
            return CUDA_ERROR_INVALID_VALUE;
        if (map[i].location.id == p->dev->ordinal &&
            map[i].flags == CU_MEM_ACCESS_FLAGS_PROT_NONE)
            return CUDA_ERROR_INVALID_DEVICE;
    }
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemPoolGetAccess, (CUmemAccess_flags *flags, CUmemoryPool pool, CUmemLocation *location))
{
    struct vg_pool *p;
    CUresult rc = pool_enter(pool, &p);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags == NULL || location == NULL || !location_is_device(location))
        return CUDA_ERROR_INVALID_VALUE;
    *flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------ life of pools */

VG_ENTRY(cuMemPoolCreate, (CUmemoryPool *pool, const CUmemPoolProps *props))
{
    struct vg_pool *p;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (pool == NULL || props == NULL || props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    if (props->location.type == CU_MEM_LOCATION_TYPE_INVALID)
        return CUDA_ERROR_INVALID_VALUE;
    if ((props->handleTypes & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) != 0 ||
        props->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (!location_is_device(&props->location))
        return CUDA_ERROR_INVALID_VALUE;
    p = vg_pool_new(vg_device_get(props->location.id));
    if (p == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    p->max_size = props->maxSize;
    p->shareable = props->handleTypes != CU_MEM_HANDLE_TYPE_NONE;
    *pool = p->handle;
    return CUDA_SUCCESS;
}

/* Blocks of a destroyed pool stay valid until they are freed, and the object with them. */
static void pool_bury(struct vg_pool *p)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct vg_pool *dead;
    struct vg_pool **at;

    pthread_mutex_lock(&lock);
    p->next = dead;
    dead = p;
    for (at = &dead; (p = *at) != NULL;) {
        if (pool_used(p) != 0) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        if (p->file >= 0)
            close(p->file);
        free(p);
    }
    pthread_mutex_unlock(&lock);
}

VG_ENTRY(cuMemPoolDestroy, (CUmemoryPool pool))
{
    struct vg_pool *p;
    CUresult rc = pool_enter(pool, &p);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (p == p->dev->default_pool)
        return CUDA_ERROR_INVALID_VALUE;
    if (p == p->dev->current_pool)
        p->dev->current_pool = p->dev->default_pool;
    vg_handle_end(p->handle);
    pool_bury(p);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetDefaultMemPool, (CUmemoryPool *pool, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (pool == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *pool = d->default_pool->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetMemPool, (CUmemoryPool *pool, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (pool == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *pool = d->current_pool->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceSetMemPool, (CUdevice dev, CUmemoryPool pool))
{
    struct vg_device *d;
    struct vg_pool *p;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc == CUDA_SUCCESS)
        rc = pool_enter(pool, &p);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (p->dev != d)
        return CUDA_ERROR_INVALID_VALUE;
    d->current_pool = p;
    return CUDA_SUCCESS;
}

/* The forms by location: pinned memory of devices is all that pools are made of here. */
static CUresult location_check(const CUmemLocation *at, CUmemAllocationType type)
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (at == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (type != CU_MEM_ALLOCATION_TYPE_PINNED || at->type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemGetDefaultMemPool,
         (CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type))
{
    CUresult rc = location_check(location, type);

    return rc != CUDA_SUCCESS ? rc : cuDeviceGetDefaultMemPool(pool, location->id);
}

VG_ENTRY(cuMemGetMemPool, (CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type))
{
    CUresult rc = location_check(location, type);

    return rc != CUDA_SUCCESS ? rc : cuDeviceGetMemPool(pool, location->id);
}

VG_ENTRY(cuMemSetMemPool, (CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool))
{
    CUresult rc = location_check(location, type);

    return rc != CUDA_SUCCESS ? rc : cuDeviceSetMemPool(location->id, pool);
}
