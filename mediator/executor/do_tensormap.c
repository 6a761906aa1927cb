/* SPDX-License-Identifier: MIT */
/*
 * Bodies: tensor maps. The driver packs its arguments into 128 bytes and keeps nothing.
 * The address in there is not checked for ownership: it means something to kernels only,
 * and those can make up any address. Serve thread.
 */
#include "mediator/executor/args.h"

#define RANK_MAX 5u

/* The decoder has compared each array's length with the rank already, where there is an array. */
static bool is_rank(uint32_t rank, uint32_t least)
{
    return rank >= least && rank <= RANK_MAX;
}

CUresult vg_do_cuTensorMapEncodeTiled(struct vg_exec *x, struct vg_req *r,
                                      struct vg_args_cuTensorMapEncodeTiled *a)
{
    (void)r;
    if (!a->has_tensorMap || !is_rank(a->tensorRank, 1) || !a->globalDim ||
        (!a->globalStrides && a->tensorRank > 1) || !a->boxDim || !a->elementStrides)
        return CUDA_ERROR_INVALID_VALUE;
    return x->cuda.cuTensorMapEncodeTiled(&a->tensorMap, a->tensorDataType, a->tensorRank,
                                          a->globalAddress, a->globalDim, a->globalStrides,
                                          a->boxDim, a->elementStrides, a->interleave, a->swizzle,
                                          a->l2Promotion, a->oobFill);
}

CUresult vg_do_cuTensorMapEncodeIm2col(struct vg_exec *x, struct vg_req *r,
                                       struct vg_args_cuTensorMapEncodeIm2col *a)
{
    (void)r;
    if (!a->has_tensorMap || !is_rank(a->tensorRank, 3) || !a->globalDim || !a->globalStrides ||
        !a->pixelBoxLowerCorner || !a->pixelBoxUpperCorner || !a->elementStrides)
        return CUDA_ERROR_INVALID_VALUE;
    return x->cuda.cuTensorMapEncodeIm2col(
        &a->tensorMap, a->tensorDataType, a->tensorRank, a->globalAddress, a->globalDim,
        a->globalStrides, a->pixelBoxLowerCorner, a->pixelBoxUpperCorner, a->channelsPerPixel,
        a->pixelsPerColumn, a->elementStrides, a->interleave, a->swizzle, a->l2Promotion,
        a->oobFill);
}

CUresult vg_do_cuTensorMapEncodeIm2colWide(struct vg_exec *x, struct vg_req *r,
                                           struct vg_args_cuTensorMapEncodeIm2colWide *a)
{
    (void)r;
    if (!a->has_tensorMap || !is_rank(a->tensorRank, 3) || !a->globalDim || !a->globalStrides ||
        !a->elementStrides)
        return CUDA_ERROR_INVALID_VALUE;
    return x->cuda.cuTensorMapEncodeIm2colWide(
        &a->tensorMap, a->tensorDataType, a->tensorRank, a->globalAddress, a->globalDim,
        a->globalStrides, a->pixelBoxLowerCornerWidth, a->pixelBoxUpperCornerWidth,
        a->channelsPerPixel, a->pixelsPerColumn, a->elementStrides, a->interleave, a->mode,
        a->swizzle, a->l2Promotion, a->oobFill);
}

CUresult vg_do_cuTensorMapReplaceAddress(struct vg_exec *x, struct vg_req *r,
                                         struct vg_args_cuTensorMapReplaceAddress *a)
{
    (void)r;
    if (!a->has_tensorMap)
        return CUDA_ERROR_INVALID_VALUE;
    return x->cuda.cuTensorMapReplaceAddress(&a->tensorMap, a->globalAddress);
}
