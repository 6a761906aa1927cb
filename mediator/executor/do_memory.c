/* SPDX-License-Identifier: MIT */
/* Bodies: device memory and pools. Serve thread. */
#include "mediator/executor/args.h"

/* Takes over what the driver gave; if the list of ranges is full the memory goes back. */
static CUresult keep(struct vg_exec *x, CUdeviceptr p, uint64_t size, enum vg_range_kind kind)
{
    CUresult rc = vg_own_add_range(x, p, size, kind, 0);

    if (rc != CUDA_SUCCESS)
        x->cuda.cuMemFree_v2(p);
    return rc;
}

CUresult vg_do_cuMemAlloc_v2(struct vg_exec *x, struct vg_req *r, struct vg_args_cuMemAlloc_v2 *a)
{
    CUresult rc = vg_quota_reserve(x, a->bytesize);

    (void)r;
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuMemAlloc_v2(&a->dptr, a->bytesize);
    if (rc == CUDA_SUCCESS)
        rc = keep(x, a->dptr, a->bytesize, VG_RANGE_ALLOC);
    vg_own_account(x);
    return rc;
}

/* The pitch is the driver's choice; no row is longer than its bytes and this. */
#define PITCH_SLACK 4096u

static uint64_t pitched_bytes(uint64_t width, uint64_t height)
{
    return width > UINT32_MAX || height > UINT32_MAX ? UINT64_MAX : (width + PITCH_SLACK) * height;
}

CUresult vg_do_cuMemAllocPitch_v2(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuMemAllocPitch_v2 *a)
{
    CUresult rc = vg_quota_reserve(x, pitched_bytes(a->WidthInBytes, a->Height));

    (void)r;
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuMemAllocPitch_v2(&a->dptr, &a->pPitch, a->WidthInBytes, a->Height,
                                        a->ElementSizeBytes);
    if (rc == CUDA_SUCCESS)
        rc = keep(x, a->dptr, (uint64_t)a->pPitch * a->Height, VG_RANGE_ALLOC);
    vg_own_account(x);
    return rc;
}

CUresult vg_do_cuMemGetInfo_v2(struct vg_exec *x, struct vg_req *r, struct vg_args_cuMemGetInfo_v2 *a)
{
    uint64_t left, all;
    CUresult rc = x->cuda.cuMemGetInfo_v2(&a->free_bytes, &a->total_bytes);

    (void)r;
    if (rc != CUDA_SUCCESS)
        return rc;
    vg_quota_look_at_pools(x);
    left = a->free_bytes;
    all = a->total_bytes;
    vg_quota_show(x, &all, &left);
    a->free_bytes = left;
    a->total_bytes = all;
    return CUDA_SUCCESS;
}

static bool can_free(const struct vg_exec *x, CUdeviceptr p)
{
    const struct vg_range *n = vg_range_find(&x->ranges, p);

    return n && n->base == p &&
           (n->kind == VG_RANGE_ALLOC || n->kind == VG_RANGE_POOL || n->kind == VG_RANGE_GRAPH);
}

CUresult vg_do_cuMemFree_v2(struct vg_exec *x, struct vg_req *r, struct vg_args_cuMemFree_v2 *a)
{
    if (!a->dptr)
        return CUDA_SUCCESS;
    if (!can_free(x, a->dptr))
        return CUDA_ERROR_INVALID_VALUE;
    enum vg_range_kind kind = vg_range_find(&x->ranges, a->dptr)->kind;
    /* For what goes back to a pool the driver does not wait. */
    if (kind != VG_RANGE_POOL && !vg_wait_drained(x, r))
        return CUDA_SUCCESS;
    CUresult rc = x->cuda.cuMemFree_v2(a->dptr);
    if (rc == CUDA_SUCCESS && kind != VG_RANGE_GRAPH)
        vg_own_remove_range(x, a->dptr);
    return rc;
}

/* ---- Stream-ordered ---- */

/* A node of a graph gives its memory again at each launch: such a range never goes away. */
static CUresult keep_async(struct vg_exec *x, struct vg_req *r, CUdeviceptr p, uint64_t size,
                           CUstream stream)
{
    if (vg_own_is_capturing(x, stream)) {
        x->graph_memory = true;
        r->res.val[1] = VG_ALLOC_BY_GRAPH;
        return vg_own_add_range(x, p, size, VG_RANGE_GRAPH, 0);
    }
    CUresult rc = keep(x, p, size, VG_RANGE_POOL);
    if (rc == CUDA_SUCCESS && (rc = vg_quota_recheck(x)) != CUDA_SUCCESS) {
        /* The pool grew by more than was asked for. */
        x->cuda.cuMemFreeAsync(p, stream);
        vg_own_remove_range(x, p);
    }
    return rc;
}

CUresult vg_do_cuMemAllocAsync(struct vg_exec *x, struct vg_req *r,
                               struct vg_args_cuMemAllocAsync *a)
{
    CUresult rc = vg_quota_reserve_pooled(x, a->bytesize);

    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuMemAllocAsync(&a->dptr, a->bytesize, a->hStream);
    if (rc == CUDA_SUCCESS)
        rc = keep_async(x, r, a->dptr, a->bytesize, a->hStream);
    vg_own_account(x);
    return rc;
}

CUresult vg_do_cuMemAllocFromPoolAsync(struct vg_exec *x, struct vg_req *r,
                                       struct vg_args_cuMemAllocFromPoolAsync *a)
{
    CUresult rc = vg_quota_reserve_pooled(x, a->bytesize);

    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuMemAllocFromPoolAsync(&a->dptr, a->bytesize, a->pool, a->hStream);
    if (rc == CUDA_SUCCESS)
        rc = keep_async(x, r, a->dptr, a->bytesize, a->hStream);
    vg_own_account(x);
    return rc;
}

CUresult vg_do_cuMemFreeAsync(struct vg_exec *x, struct vg_req *r, struct vg_args_cuMemFreeAsync *a)
{
    (void)r;
    if (a->dptr && !can_free(x, a->dptr))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = x->cuda.cuMemFreeAsync(a->dptr, a->hStream);
    const struct vg_range *n = vg_range_find(&x->ranges, a->dptr);
    if (rc == CUDA_SUCCESS && n && n->kind != VG_RANGE_GRAPH && !vg_own_is_capturing(x, a->hStream))
        vg_own_remove_range(x, a->dptr);
    return rc;
}

/* How memory can be shared on Linux; other bits are none. */
#define SHARED_HOW (CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR | CU_MEM_HANDLE_TYPE_FABRIC)

/* A guest's pointers do not reach the driver, and host memory of a pool would not reach the guest. */
CUresult vg_do_cuMemPoolCreate(struct vg_exec *x, struct vg_req *r,
                               struct vg_args_cuMemPoolCreate *a)
{
    (void)r;
    if (!a->poolProps)
        return CUDA_ERROR_INVALID_VALUE;
    CUmemPoolProps props = *a->poolProps;
    props.win32SecurityAttributes = NULL;
    if (props.handleTypes & ~(unsigned)SHARED_HOW)
        return CUDA_ERROR_INVALID_VALUE;
    if (props.handleTypes & CU_MEM_HANDLE_TYPE_FABRIC)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (props.location.type == CU_MEM_LOCATION_TYPE_HOST ||
        props.location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
        props.location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT)
        return CUDA_ERROR_NOT_SUPPORTED;
    return x->cuda.cuMemPoolCreate(&a->pool, &props);
}

/* ---- Pools: attributes are an int or a u64, by number; both travel as a word ---- */

static bool pool_attribute_is_int(uint64_t attr)
{
    return attr >= CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES &&
           attr <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
}

CUresult vg_do_cuMemPoolSetAttribute(struct vg_exec *x, struct vg_req *r)
{
    uint64_t pool = vg_dec_word(&r->dec), attr = vg_dec_word(&r->dec), v = vg_dec_word(&r->dec);

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_own_handle(x, VG_OBJ_CUmemoryPool, pool);
    if (rc != CUDA_SUCCESS || !pool)
        return rc ? rc : CUDA_ERROR_INVALID_VALUE;
    return x->cuda.cuMemPoolSetAttribute((CUmemoryPool)(uintptr_t)pool, (CUmemPool_attribute)attr,
                                         &v);
}

CUresult vg_do_cuMemPoolGetAttribute(struct vg_exec *x, struct vg_req *r)
{
    uint64_t pool = vg_dec_word(&r->dec), attr = vg_dec_word(&r->dec), v = 0;

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = vg_own_handle(x, VG_OBJ_CUmemoryPool, pool);
    if (rc != CUDA_SUCCESS || !pool)
        return rc ? rc : CUDA_ERROR_INVALID_VALUE;
    rc =
        x->cuda.cuMemPoolGetAttribute((CUmemoryPool)(uintptr_t)pool, (CUmemPool_attribute)attr, &v);
    vg_enc_word(&r->enc, pool_attribute_is_int(attr) ? (uint32_t)v : v);
    return rc;
}

CUresult vg_do_cuDeviceGetGraphMemAttribute(struct vg_exec *x, struct vg_req *r)
{
    uint64_t dev = vg_dec_word(&r->dec), attr = vg_dec_word(&r->dec), v = 0;

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc =
        x->cuda.cuDeviceGetGraphMemAttribute((CUdevice)dev, (CUgraphMem_attribute)attr, &v);
    vg_enc_word(&r->enc, v);
    return rc;
}

CUresult vg_do_cuDeviceSetGraphMemAttribute(struct vg_exec *x, struct vg_req *r)
{
    uint64_t dev = vg_dec_word(&r->dec), attr = vg_dec_word(&r->dec), v = vg_dec_word(&r->dec);

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    return x->cuda.cuDeviceSetGraphMemAttribute((CUdevice)dev, (CUgraphMem_attribute)attr, &v);
}
