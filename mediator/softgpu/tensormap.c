/* SPDX-License-Identifier: MIT */
/*
 * Tensor maps. No kernel here can load through one (CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED
 * is 0), so none is made: the answer of the driver on GPUs before compute capability 9.0.
 */
#include "ctx.h"

static CUresult not_here(const void *map)
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    return map != NULL ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuTensorMapEncodeTiled(VG_PARAMS(cuTensorMapEncodeTiled))
{
    VG_UNUSED(cuTensorMapEncodeTiled)
    return not_here(tensorMap);
}

CUresult cuTensorMapEncodeIm2col(VG_PARAMS(cuTensorMapEncodeIm2col))
{
    VG_UNUSED(cuTensorMapEncodeIm2col)
    return not_here(tensorMap);
}

CUresult cuTensorMapEncodeIm2colWide(VG_PARAMS(cuTensorMapEncodeIm2colWide))
{
    VG_UNUSED(cuTensorMapEncodeIm2colWide)
    return not_here(tensorMap);
}

CUresult cuTensorMapReplaceAddress(VG_PARAMS(cuTensorMapReplaceAddress))
{
    VG_UNUSED(cuTensorMapReplaceAddress)
    return not_here(tensorMap);
}
