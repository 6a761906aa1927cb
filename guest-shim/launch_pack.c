/* SPDX-License-Identifier: MIT */
/* Packing of kernel parameters; see launch_pack.h. */
#include "guest-shim/launch_pack.h"

#include <string.h>

#include "vg_limits.h"

CUresult vg_launch_extra(void *const *extra, const void **ret_bytes, size_t *ret_size)
{
    const void *bytes = NULL;
    const size_t *size = NULL;

    for (; extra[0] != CU_LAUNCH_PARAM_END; extra += 2) {
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            bytes = extra[1];
        else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE)
            size = extra[1];
        else
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (!bytes != !size || (size && *size > VG_PARAMS_MAX))
        return CUDA_ERROR_INVALID_VALUE;
    *ret_bytes = bytes;
    *ret_size = size ? *size : 0;
    return CUDA_SUCCESS;
}

/* Nearly all parameters are words or pointers. */
static inline void copy_param(uint8_t *to, const void *from, size_t size)
{
    if (size == 8)
        memcpy(to, from, 8);
    else if (size == 4)
        memcpy(to, from, 4);
    else
        memcpy(to, from, size);
}

void vg_launch_pack(const struct vg_param *param, unsigned count, void *const *values, uint8_t *to,
                    size_t bytes)
{
    memset(to, 0, bytes);           /* gaps must not carry what an earlier record held */
    for (unsigned i = 0; i < count; i++)
        copy_param(to + param[i].offset, values[i], param[i].size);
}
