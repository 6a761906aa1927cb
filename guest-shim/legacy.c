/* SPDX-License-Identifier: MIT */
/*
 * Launches in the style of CUDA 2 and 3: a function carries the shape of its blocks and a
 * buffer of parameters, which a launch takes as they are. Any thread; that two of them do
 * not prepare one function at a time is the application's duty, as natively.
 */
#include <stdlib.h>
#include <string.h>

#include "guest-shim/function.h"
#include "vg_api.h"

#define PARAMS_MAX 4096u    /* bytes of parameters of that age */

struct vg_legacy {
    unsigned block[3];
    unsigned shared;
    unsigned size;          /* of the parameters */
    uint8_t params[PARAMS_MAX];
};

/* What a function carries; nothing has been set at first. */
static CUresult enter_legacy(CUfunction hfunc, struct vg_legacy **ret_legacy)
{
    struct vg_func *f;
    CUresult r = vg_func_enter(hfunc, &f);

    if (r)
        return r;
    if (!f->legacy)
        f->legacy = calloc(1, sizeof(*f->legacy));
    *ret_legacy = f->legacy;
    return f->legacy ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuFuncSetBlockShape(CUfunction hfunc, int x, int y, int z)
{
    struct vg_legacy *l;
    CUresult r = enter_legacy(hfunc, &l);

    if (r)
        return r;
    if (x <= 0 || y <= 0 || z <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    l->block[0] = (unsigned)x;
    l->block[1] = (unsigned)y;
    l->block[2] = (unsigned)z;
    return CUDA_SUCCESS;
}

CUresult cuFuncSetSharedSize(CUfunction hfunc, unsigned bytes)
{
    struct vg_legacy *l;
    CUresult r = enter_legacy(hfunc, &l);

    if (!r)
        l->shared = bytes;
    return r;
}

CUresult cuParamSetSize(CUfunction hfunc, unsigned numbytes)
{
    struct vg_legacy *l;
    CUresult r = enter_legacy(hfunc, &l);

    if (!r && numbytes > PARAMS_MAX)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        l->size = numbytes;
    return r;
}

CUresult cuParamSetv(CUfunction hfunc, int offset, void *ptr, unsigned numbytes)
{
    struct vg_legacy *l;
    CUresult r = enter_legacy(hfunc, &l);

    if (r)
        return r;
    if (!ptr || offset < 0 || (unsigned)offset > PARAMS_MAX ||
        numbytes > PARAMS_MAX - (unsigned)offset)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(l->params + offset, ptr, numbytes);
    return CUDA_SUCCESS;
}

CUresult cuParamSeti(CUfunction hfunc, int offset, unsigned value)
{
    return cuParamSetv(hfunc, offset, &value, sizeof(value));
}

CUresult cuParamSetf(CUfunction hfunc, int offset, float value)
{
    return cuParamSetv(hfunc, offset, &value, sizeof(value));
}

CUresult cuLaunchGridAsync(CUfunction f, int grid_width, int grid_height, CUstream hStream)
{
    struct vg_legacy *l;
    CUresult r = enter_legacy(f, &l);

    if (r)
        return r;
    if (grid_width <= 0 || grid_height <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    size_t size = l->size;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, l->params, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                     CU_LAUNCH_PARAM_END};
    return cuLaunchKernel(f, (unsigned)grid_width, (unsigned)grid_height, 1, l->block[0],
                          l->block[1], l->block[2], l->shared, hStream, NULL, extra);
}

CUresult cuLaunchGrid(CUfunction f, int grid_width, int grid_height)
{
    return cuLaunchGridAsync(f, grid_width, grid_height, NULL);
}

CUresult cuLaunch(CUfunction f)
{
    return cuLaunchGridAsync(f, 1, 1, NULL);
}
