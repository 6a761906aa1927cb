/* SPDX-License-Identifier: MIT */
/* Texture objects and references: what the table's rows do not say. Any thread. */
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/fwd.h"
#include "guest-shim/state.h"
#include "vg_api.h"

static CUresult create_texture(VG_PARAMS(cuTexObjectCreate))
VG_FWD_BODY(cuTexObjectCreate)

static CUresult create_surface(VG_PARAMS(cuSurfObjectCreate))
VG_FWD_BODY(cuSurfObjectCreate)

CUresult cuTexObjectCreate(CUtexObject *pTexObject, const CUDA_RESOURCE_DESC *pResDesc,
                           const CUDA_TEXTURE_DESC *pTexDesc,
                           const CUDA_RESOURCE_VIEW_DESC *pResViewDesc)
{
    CUresult r = vg_enter_ctx();

    if (!r && (!pTexObject || !pResDesc || !pTexDesc))
        r = CUDA_ERROR_INVALID_VALUE;
    return r ? r : create_texture(pTexObject, pResDesc, pTexDesc, pResViewDesc);
}

CUresult cuSurfObjectCreate(CUsurfObject *pSurfObject, const CUDA_RESOURCE_DESC *pResDesc)
{
    CUresult r = vg_enter_ctx();

    if (!r && (!pSurfObject || !pResDesc))
        r = CUDA_ERROR_INVALID_VALUE;
    return r ? r : create_surface(pSurfObject, pResDesc);
}

/* The driver ends what there is, and does not mind objects that are none. */
static CUresult destroy_texture(VG_PARAMS(cuTexObjectDestroy))
VG_FWD_BODY(cuTexObjectDestroy)

static CUresult destroy_surface(VG_PARAMS(cuSurfObjectDestroy))
VG_FWD_BODY(cuSurfObjectDestroy)

CUresult cuTexObjectDestroy(CUtexObject texObject)
{
    CUresult r = destroy_texture(texObject);

    return r == CUDA_ERROR_INVALID_VALUE ? CUDA_SUCCESS : r;
}

CUresult cuSurfObjectDestroy(CUsurfObject surfObject)
{
    CUresult r = destroy_surface(surfObject);

    return r == CUDA_ERROR_INVALID_VALUE ? CUDA_SUCCESS : r;
}

static CUresult set_address_2d(VG_PARAMS(cuTexRefSetAddress2D_v3))
VG_FWD_BODY(cuTexRefSetAddress2D_v3)

CUresult cuTexRefSetAddress2D_v3(CUtexref hTexRef, const CUDA_ARRAY_DESCRIPTOR *desc,
                                 CUdeviceptr dptr, size_t Pitch)
{
    CUresult r = vg_enter_ctx();

    if (!r && (!hTexRef || !desc))
        r = CUDA_ERROR_INVALID_VALUE;
    return r ? r : set_address_2d(hTexRef, desc, dptr, Pitch);
}

/* Four floats, two to a word. */
CUresult cuTexRefSetBorderColor(CUtexref hTexRef, float *pBorderColor)
{
    struct vg_reply reply;
    uint64_t w[2];
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!hTexRef || !pBorderColor)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(w, pBorderColor, sizeof(w));
    return vg_call_reply(VG_CALL_cuTexRefSetBorderColor,
                         VG_WORDS((uintptr_t)hTexRef, w[0], w[1]), &reply);
}

CUresult cuTexRefGetBorderColor(float *pBorderColor, CUtexref hTexRef)
{
    struct vg_reply reply;
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!hTexRef || !pBorderColor)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_call_reply(VG_CALL_cuTexRefGetBorderColor, VG_WORDS((uintptr_t)hTexRef), &reply);
    if (!r)
        memcpy(pBorderColor, reply.val, 4 * sizeof(float));
    return r;
}
