/* SPDX-License-Identifier: MIT */
/*
 * Bodies: arrays and mipmapped arrays. What the driver hands out belongs to the context,
 * a level or a plane to its array; their memory counts as the guest's. Serve thread.
 */
#include "mediator/executor/args.h"

/* ---- Memory ---- */

static uint64_t channel_bits(CUarray_format format)
{
    switch ((int)format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
        return 8;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
        return 32;
    default:
        return 16; /* packed formats have so much or less */
    }
}

/* In KiB, for the accounts: the driver does not tell, and rounds up a little. */
static uint32_t memory_of(const CUDA_ARRAY3D_DESCRIPTOR *d, bool mipmapped)
{
    unsigned __int128 bits = (unsigned __int128)(d->Width ? d->Width : 1) *
                             (d->Height ? d->Height : 1) * (d->Depth ? d->Depth : 1);

    if (d->Flags & CUDA_ARRAY3D_SPARSE)
        return 0; /* has memory of its own mapped in */
    bits *= channel_bits(d->Format) * d->NumChannels;
    if (mipmapped)
        bits = bits * 4 / 3;
    unsigned __int128 kib = bits / 8 / 1024 + 1;
    return kib < UINT32_MAX ? (uint32_t)kib : UINT32_MAX;
}

static CUresult reserve_array(struct vg_exec *x, const CUDA_ARRAY3D_DESCRIPTOR *d, bool mipmapped)
{
    return vg_quota_reserve(x, (uint64_t)memory_of(d, mipmapped) << 10);
}

/* Takes over what the driver gave; without room for it, it goes back. */
static CUresult keep_array(struct vg_exec *x, CUarray array, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
    CUresult rc = vg_own_add(x, VG_OBJ_CUarray, (uintptr_t)array, (uintptr_t)x->ctx,
                             memory_of(d, false));

    if (rc != CUDA_SUCCESS)
        x->cuda.cuArrayDestroy(array);
    return rc;
}

/* ---- Arrays ---- */

CUresult vg_do_cuArrayCreate_v2(struct vg_exec *x, struct vg_req *r,
                                struct vg_args_cuArrayCreate_v2 *a)
{
    (void)r;
    if (!a->has_pHandle || !a->pAllocateArray)
        return CUDA_ERROR_INVALID_VALUE;
    const CUDA_ARRAY3D_DESCRIPTOR d = {
        .Width = a->pAllocateArray->Width,
        .Height = a->pAllocateArray->Height,
        .Format = a->pAllocateArray->Format,
        .NumChannels = a->pAllocateArray->NumChannels,
    };
    CUresult rc = reserve_array(x, &d, false);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuArrayCreate_v2(&a->pHandle, a->pAllocateArray);
    if (rc == CUDA_SUCCESS)
        rc = keep_array(x, a->pHandle, &d);
    vg_own_account(x);
    return rc;
}

CUresult vg_do_cuArray3DCreate_v2(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuArray3DCreate_v2 *a)
{
    (void)r;
    if (!a->has_pHandle || !a->pAllocateArray)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = reserve_array(x, a->pAllocateArray, false);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuArray3DCreate_v2(&a->pHandle, a->pAllocateArray);
    if (rc == CUDA_SUCCESS)
        rc = keep_array(x, a->pHandle, a->pAllocateArray);
    vg_own_account(x);
    return rc;
}

CUresult vg_do_cuArrayDestroy(struct vg_exec *x, struct vg_req *r, struct vg_args_cuArrayDestroy *a)
{
    if (!a->hArray)
        return CUDA_ERROR_INVALID_HANDLE;
    return vg_wait_drained(x, r) ? x->cuda.cuArrayDestroy(a->hArray) : CUDA_SUCCESS;
}

CUresult vg_do_cuArray3DGetDescriptor_v2(struct vg_exec *x, struct vg_req *r,
                                         struct vg_args_cuArray3DGetDescriptor_v2 *a)
{
    (void)r;
    if (!a->has_pArrayDescriptor || !a->hArray)
        return a->hArray ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_HANDLE;
    return x->cuda.cuArray3DGetDescriptor_v2(&a->pArrayDescriptor, a->hArray);
}

CUresult vg_do_cuArrayGetPlane(struct vg_exec *x, struct vg_req *r,
                               struct vg_args_cuArrayGetPlane *a)
{
    (void)r;
    if (!a->has_pPlaneArray || !a->hArray)
        return a->hArray ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_HANDLE;
    CUresult rc = x->cuda.cuArrayGetPlane(&a->pPlaneArray, a->hArray, a->planeIdx);
    return rc ? rc : vg_own_add(x, VG_OBJ_CUarray, (uintptr_t)a->pPlaneArray, (uintptr_t)a->hArray,
                                0);
}

/* ---- Mipmapped arrays ---- */

CUresult vg_do_cuMipmappedArrayCreate(struct vg_exec *x, struct vg_req *r,
                                      struct vg_args_cuMipmappedArrayCreate *a)
{
    (void)r;
    if (!a->has_pHandle || !a->pMipmappedArrayDesc)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = reserve_array(x, a->pMipmappedArrayDesc, true);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuMipmappedArrayCreate(&a->pHandle, a->pMipmappedArrayDesc,
                                            a->numMipmapLevels);
    vg_own_account(x);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = vg_own_add(x, VG_OBJ_CUmipmappedArray, (uintptr_t)a->pHandle, (uintptr_t)x->ctx,
                    memory_of(a->pMipmappedArrayDesc, true));
    if (rc != CUDA_SUCCESS)
        x->cuda.cuMipmappedArrayDestroy(a->pHandle);
    return rc;
}

CUresult vg_do_cuMipmappedArrayGetLevel(struct vg_exec *x, struct vg_req *r,
                                        struct vg_args_cuMipmappedArrayGetLevel *a)
{
    (void)r;
    if (!a->has_pLevelArray || !a->hMipmappedArray)
        return a->hMipmappedArray ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_HANDLE;
    CUresult rc = x->cuda.cuMipmappedArrayGetLevel(&a->pLevelArray, a->hMipmappedArray, a->level);
    return rc ? rc : vg_own_add(x, VG_OBJ_CUarray, (uintptr_t)a->pLevelArray,
                                (uintptr_t)a->hMipmappedArray, 0);
}

CUresult vg_do_cuMipmappedArrayDestroy(struct vg_exec *x, struct vg_req *r,
                                       struct vg_args_cuMipmappedArrayDestroy *a)
{
    if (!a->hMipmappedArray)
        return CUDA_ERROR_INVALID_HANDLE;
    return vg_wait_drained(x, r) ? x->cuda.cuMipmappedArrayDestroy(a->hMipmappedArray)
                                 : CUDA_SUCCESS;
}
