/* SPDX-License-Identifier: MIT */
/*
 * All fills: elements of 1, 2 or 4 bytes, linear or in rows.
 */
#include "copy.h"
#include "ctx.h"
#include "mem.h"
#include "stream.h"

#define VG_FILL_MAX ((size_t)1 << 46)

CUresult vg_memset_check(const struct vg_op_memset *m)
{
    size_t row = m->width * m->elem;

    if ((m->elem != 1 && m->elem != 2 && m->elem != 4) || m->dst % m->elem != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (m->width > VG_FILL_MAX / 4 || m->height > VG_FILL_MAX || m->pitch > VG_FILL_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (m->width == 0 || m->height == 0)
        return CUDA_SUCCESS;
    if (m->height > 1 && (m->pitch < row || m->pitch % m->elem != 0 ||
                          m->height > VG_FILL_MAX / m->pitch))
        return CUDA_ERROR_INVALID_VALUE;
    return vg_mem_check_device(m->dst, (m->height - 1) * m->pitch + row);
}

static CUresult memset_issue(CUdeviceptr dst, size_t pitch, unsigned value, unsigned elem,
                             size_t width, size_t height, CUstream stream, bool wait)
{
    struct vg_op op = { .type = VG_OP_MEMSET };
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    op.u.memset = (struct vg_op_memset){ .dst = dst, .pitch = pitch, .value = value,
                                         .elem = elem, .width = width, .height = height };
    rc = vg_memset_check(&op.u.memset);
    if (rc != CUDA_SUCCESS || width == 0 || height == 0)
        return rc;
    return vg_stream_issue(s, &op, wait);
}

VG_ENTRY(cuMemsetD8_v2, (CUdeviceptr dst, unsigned char value, size_t n))
{
    return memset_issue(dst, 0, value, 1, n, 1, NULL, true);
}

VG_ENTRY(cuMemsetD16_v2, (CUdeviceptr dst, unsigned short value, size_t n))
{
    return memset_issue(dst, 0, value, 2, n, 1, NULL, true);
}

VG_ENTRY(cuMemsetD32_v2, (CUdeviceptr dst, unsigned value, size_t n))
{
    return memset_issue(dst, 0, value, 4, n, 1, NULL, true);
}

VG_ENTRY(cuMemsetD2D8_v2,
         (CUdeviceptr dst, size_t pitch, unsigned char value, size_t width, size_t height))
{
    return memset_issue(dst, pitch, value, 1, width, height, NULL, true);
}

VG_ENTRY(cuMemsetD2D16_v2,
         (CUdeviceptr dst, size_t pitch, unsigned short value, size_t width, size_t height))
{
    return memset_issue(dst, pitch, value, 2, width, height, NULL, true);
}

VG_ENTRY(cuMemsetD2D32_v2,
         (CUdeviceptr dst, size_t pitch, unsigned value, size_t width, size_t height))
{
    return memset_issue(dst, pitch, value, 4, width, height, NULL, true);
}

VG_ENTRY(cuMemsetD8Async, (CUdeviceptr dst, unsigned char value, size_t n, CUstream stream))
{
    return memset_issue(dst, 0, value, 1, n, 1, stream, false);
}

VG_ENTRY(cuMemsetD16Async, (CUdeviceptr dst, unsigned short value, size_t n, CUstream stream))
{
    return memset_issue(dst, 0, value, 2, n, 1, stream, false);
}

VG_ENTRY(cuMemsetD32Async, (CUdeviceptr dst, unsigned value, size_t n, CUstream stream))
{
    return memset_issue(dst, 0, value, 4, n, 1, stream, false);
}

VG_ENTRY(cuMemsetD2D8Async, (CUdeviceptr dst, size_t pitch, unsigned char value, size_t width,
                           size_t height, CUstream stream))
{
    return memset_issue(dst, pitch, value, 1, width, height, stream, false);
}

VG_ENTRY(cuMemsetD2D16Async, (CUdeviceptr dst, size_t pitch, unsigned short value, size_t width,
                            size_t height, CUstream stream))
{
    return memset_issue(dst, pitch, value, 2, width, height, stream, false);
}

VG_ENTRY(cuMemsetD2D32Async, (CUdeviceptr dst, size_t pitch, unsigned value, size_t width,
                            size_t height, CUstream stream))
{
    return memset_issue(dst, pitch, value, 4, width, height, stream, false);
}
