/* SPDX-License-Identifier: MIT */
/*
 * Bodies: texture and surface objects, texture and surface references. What a description
 * names must be the guest's; sizes, formats and modes the driver checks. Serve thread.
 */
#include <string.h>

#include "mediator/executor/args.h"

/* ---- Resources ---- */

/*
 * A texture of linear memory may be said to be larger than what was allocated, as natively: the
 * process is the wall, and a kernel can read its memory without a texture.
 */
static CUresult check_resource(struct vg_exec *x, const CUDA_RESOURCE_DESC *d)
{
    switch ((int)d->resType) {
    case CU_RESOURCE_TYPE_ARRAY:
        return d->res.array.hArray
                   ? vg_own_handle(x, VG_OBJ_CUarray, (uintptr_t)d->res.array.hArray)
                   : CUDA_ERROR_INVALID_VALUE;
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
        return d->res.mipmap.hMipmappedArray
                   ? vg_own_handle(x, VG_OBJ_CUmipmappedArray,
                                   (uintptr_t)d->res.mipmap.hMipmappedArray)
                   : CUDA_ERROR_INVALID_HANDLE;
    case CU_RESOURCE_TYPE_LINEAR:
        return vg_own_range(x, d->res.linear.devPtr, d->res.linear.sizeInBytes != 0);
    case CU_RESOURCE_TYPE_PITCH2D:
        return vg_own_range(x, d->res.pitch2D.devPtr, 1);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* ---- Objects: they belong to the context ---- */

CUresult vg_do_cuTexObjectCreate(struct vg_exec *x, struct vg_req *r,
                                 struct vg_args_cuTexObjectCreate *a)
{
    (void)r;
    if (!a->has_pTexObject || !a->pResDesc || !a->pTexDesc)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = check_resource(x, a->pResDesc);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuTexObjectCreate(&a->pTexObject, a->pResDesc, a->pTexDesc, a->pResViewDesc);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = vg_own_add(x, VG_OBJ_CUtexObject, a->pTexObject, (uintptr_t)x->ctx, 0);
    if (rc != CUDA_SUCCESS)
        x->cuda.cuTexObjectDestroy(a->pTexObject);
    return rc;
}

CUresult vg_do_cuSurfObjectCreate(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuSurfObjectCreate *a)
{
    (void)r;
    if (!a->has_pSurfObject || !a->pResDesc)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = check_resource(x, a->pResDesc);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuSurfObjectCreate(&a->pSurfObject, a->pResDesc);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = vg_own_add(x, VG_OBJ_CUsurfObject, a->pSurfObject, (uintptr_t)x->ctx, 0);
    if (rc != CUDA_SUCCESS)
        x->cuda.cuSurfObjectDestroy(a->pSurfObject);
    return rc;
}

/* ---- References: a module's own die with it ---- */

CUresult vg_do_cuModuleGetTexRef(struct vg_exec *x, struct vg_req *r,
                                 struct vg_args_cuModuleGetTexRef *a)
{
    (void)r;
    if (!a->hmod || !a->name || !a->has_pTexRef)
        return a->hmod ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_HANDLE;
    CUresult rc = x->cuda.cuModuleGetTexRef(&a->pTexRef, a->hmod, a->name);
    return rc ? rc : vg_own_add(x, VG_OBJ_CUtexref, (uintptr_t)a->pTexRef, (uintptr_t)a->hmod, 0);
}

CUresult vg_do_cuModuleGetSurfRef(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuModuleGetSurfRef *a)
{
    (void)r;
    if (!a->hmod || !a->name || !a->has_pSurfRef)
        return a->hmod ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_HANDLE;
    CUresult rc = x->cuda.cuModuleGetSurfRef(&a->pSurfRef, a->hmod, a->name);
    return rc ? rc : vg_own_add(x, VG_OBJ_CUsurfref, (uintptr_t)a->pSurfRef, (uintptr_t)a->hmod, 0);
}

CUresult vg_do_cuTexRefSetAddress2D_v3(struct vg_exec *x, struct vg_req *r,
                                       struct vg_args_cuTexRefSetAddress2D_v3 *a)
{
    CUDA_RESOURCE_DESC d;

    (void)r;
    if (!a->hTexRef || !a->desc)
        return CUDA_ERROR_INVALID_VALUE;
    memset(&d, 0, sizeof(d));
    d.resType = CU_RESOURCE_TYPE_PITCH2D;
    d.res.pitch2D.devPtr = a->dptr;
    d.res.pitch2D.width = a->desc->Width;
    d.res.pitch2D.height = a->desc->Height;
    d.res.pitch2D.pitchInBytes = a->Pitch;
    CUresult rc = check_resource(x, &d);
    return rc ? rc : x->cuda.cuTexRefSetAddress2D_v3(a->hTexRef, a->desc, a->dptr, a->Pitch);
}

/* A border color is four floats, two to a word. */
CUresult vg_do_cuTexRefSetBorderColor(struct vg_exec *x, struct vg_req *r)
{
    uint64_t ref = vg_dec_word(&r->dec), w[2];
    float color[4];

    w[0] = vg_dec_word(&r->dec);
    w[1] = vg_dec_word(&r->dec);
    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = ref ? vg_own_handle(x, VG_OBJ_CUtexref, ref) : CUDA_ERROR_INVALID_VALUE;
    if (rc != CUDA_SUCCESS)
        return rc;
    memcpy(color, w, sizeof(color));
    return x->cuda.cuTexRefSetBorderColor((CUtexref)(uintptr_t)ref, color);
}

CUresult vg_do_cuTexRefGetBorderColor(struct vg_exec *x, struct vg_req *r)
{
    uint64_t ref = vg_dec_word(&r->dec), w[2];
    float color[4] = {0};

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = ref ? vg_own_handle(x, VG_OBJ_CUtexref, ref) : CUDA_ERROR_INVALID_VALUE;
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuTexRefGetBorderColor(color, (CUtexref)(uintptr_t)ref);
    memcpy(w, color, sizeof(w));
    vg_enc_word(&r->enc, w[0]);
    vg_enc_word(&r->enc, w[1]);
    return rc;
}
