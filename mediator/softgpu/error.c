/* SPDX-License-Identifier: MIT */
/*
 * Names and descriptions of statuses. Any thread, before cuInit too.
 */
#include "api.h"
#include "protocol/vg_error.h"

VG_ENTRY(cuGetErrorName, (CUresult code, const char **name))
{
    if (name == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *name = vg_error_name(code);
    return *name != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuGetErrorString, (CUresult code, const char **text))
{
    if (text == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *text = vg_error_text(code);
    return *text != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
