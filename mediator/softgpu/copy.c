/* SPDX-License-Identifier: MIT */
/*
 * All copies. Every one becomes a 3D description, is checked against what its addresses are, and
 * goes to a stream.
 *
 * A copy from pageable memory may be changed by its owner as soon as the call returns, and one to
 * pageable memory must be there by then (as with the driver): small sources are taken along, all
 * else is waited for.
 */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "copy.h"
#include "ctx.h"
#include "graph.h"
#include "mem.h"
#include "stream.h"

#define VG_STAGE_MAX (64u << 10)
#define VG_EXTENT_MAX ((size_t)1 << 46)

/* One end of a copy, taken out of a description. */
struct vg_copy_end {
    CUmemorytype *type;
    uint64_t base;
    size_t x, y, z, pitch, height;
    enum vg_mem_kind kind;
};

static struct vg_copy_end copy_src_end(CUDA_MEMCPY3D *d)
{
    struct vg_copy_end e = { &d->srcMemoryType, 0, d->srcXInBytes, d->srcY, d->srcZ,
                             d->srcPitch, d->srcHeight, VG_MEM_DEVICE };

    e.base = d->srcMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)d->srcHost : d->srcDevice;
    return e;
}

static struct vg_copy_end copy_dst_end(CUDA_MEMCPY3D *d)
{
    struct vg_copy_end e = { &d->dstMemoryType, 0, d->dstXInBytes, d->dstY, d->dstZ,
                             d->dstPitch, d->dstHeight, VG_MEM_DEVICE };

    e.base = d->dstMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)d->dstHost : d->dstDevice;
    return e;
}

/* Bytes from the end's base to the first and past the last byte touched. */
static CUresult end_extent(const struct vg_copy_end *e, const CUDA_MEMCPY3D *d, uint64_t *ret_lo,
                           uint64_t *ret_hi)
{
    unsigned __int128 rows = (unsigned __int128)(e->z + d->Depth - 1) * e->height + e->y +
                             d->Height - 1;
    unsigned __int128 hi = rows * e->pitch + e->x + d->WidthInBytes;

    if ((d->Height > 1 || d->Depth > 1) && e->pitch < e->x + d->WidthInBytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (d->Depth > 1 && e->height < e->y + d->Height)
        return CUDA_ERROR_INVALID_VALUE;
    if (hi > VG_EXTENT_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    *ret_lo = (e->z * e->height + e->y) * e->pitch + e->x;
    *ret_hi = (uint64_t)hi;
    return CUDA_SUCCESS;
}

/* Finds out what the end is; UNIFIED becomes what the address says. */
static CUresult end_check(struct vg_copy_end *e, const CUDA_MEMCPY3D *d)
{
    uint64_t lo, hi;
    CUresult rc;

    if (*e->type == CU_MEMORYTYPE_ARRAY)
        return CUDA_SUCCESS;        /* vg_array_check_copy looks at both */
    if (*e->type != CU_MEMORYTYPE_HOST && *e->type != CU_MEMORYTYPE_DEVICE &&
        *e->type != CU_MEMORYTYPE_UNIFIED)
        return CUDA_ERROR_INVALID_VALUE;
    rc = end_extent(e, d, &lo, &hi);
    if (rc == CUDA_SUCCESS)
        rc = vg_mem_classify(e->base + lo, hi - lo, &e->kind);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (*e->type == CU_MEMORYTYPE_DEVICE && e->kind == VG_MEM_PAGEABLE)
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

static bool coordinates_are_sane(const CUDA_MEMCPY3D *d)
{
    return ((d->srcXInBytes | d->srcY | d->srcZ | d->srcPitch | d->srcHeight | d->dstXInBytes |
             d->dstY | d->dstZ | d->dstPitch | d->dstHeight | d->WidthInBytes | d->Height |
             d->Depth) & ~(VG_EXTENT_MAX - 1)) == 0 && d->srcLOD == 0 && d->dstLOD == 0;
}

CUresult vg_copy_check(CUDA_MEMCPY3D *d, bool *ret_src_pageable, bool *ret_dst_pageable)
{
    struct vg_copy_end src = copy_src_end(d), dst = copy_dst_end(d);
    CUresult rc;

    if (!coordinates_are_sane(d))
        return CUDA_ERROR_INVALID_VALUE;
    if (d->WidthInBytes == 0 || d->Height == 0 || d->Depth == 0)
        return CUDA_SUCCESS;
    rc = vg_array_check_copy(d);
    if (rc == CUDA_SUCCESS)
        rc = end_check(&src, d);
    if (rc == CUDA_SUCCESS)
        rc = end_check(&dst, d);
    if (rc != CUDA_SUCCESS)
        return rc;
    *ret_src_pageable = src.kind == VG_MEM_PAGEABLE;
    *ret_dst_pageable = dst.kind == VG_MEM_PAGEABLE;
    return CUDA_SUCCESS;
}

/* Takes a small linear source along; true when there is no need to wait. */
static bool copy_stage(struct vg_op_copy *c)
{
    const CUDA_MEMCPY3D *d = &c->d;
    uint64_t base = d->srcMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)d->srcHost : d->srcDevice;

    if (d->Height != 1 || d->Depth != 1 || d->WidthInBytes > VG_STAGE_MAX)
        return false;
    c->staged = malloc(d->WidthInBytes);
    if (c->staged == NULL)
        return false;
    memcpy(c->staged, (const char *)(uintptr_t)base + d->srcXInBytes, d->WidthInBytes);
    return true;
}

/* Memory that a graph allocates and frees itself is nobody else's to copy, also while it runs. */
static bool names_inside_of_graph(const CUDA_MEMCPY3D *d)
{
    return (d->srcMemoryType != CU_MEMORYTYPE_ARRAY && d->srcMemoryType != CU_MEMORYTYPE_HOST &&
            !vg_graph_mem_is_outside(d->srcDevice)) ||
           (d->dstMemoryType != CU_MEMORYTYPE_ARRAY && d->dstMemoryType != CU_MEMORYTYPE_HOST &&
            !vg_graph_mem_is_outside(d->dstDevice));
}

CUresult vg_copy_issue(const CUDA_MEMCPY3D *d, CUstream stream, bool wait)
{
    struct vg_op op = { .type = VG_OP_COPY };
    bool src_pageable = false, dst_pageable = false;
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    op.u.copy.d = *d;
    op.u.copy.staged = NULL;
    rc = vg_copy_check(&op.u.copy.d, &src_pageable, &dst_pageable);
    if (rc != CUDA_SUCCESS || d->WidthInBytes == 0 || d->Height == 0 || d->Depth == 0)
        return rc;
    if (s->capture == NULL && names_inside_of_graph(d))
        return CUDA_ERROR_INVALID_VALUE;
    if (!wait && s->capture == NULL)
        wait = dst_pageable || (src_pageable && (vg_stream_is_idle(s) || !copy_stage(&op.u.copy)));
    return vg_stream_issue(s, &op, wait);
}

/* ------------------------------------------------------------------------- linear */

static CUresult copy_linear(CUmemorytype to, uint64_t dst, CUmemorytype from, uint64_t src,
                            size_t n, CUstream stream, bool wait)
{
    CUDA_MEMCPY3D d;

    memset(&d, 0, sizeof(d));
    d.srcMemoryType = from;
    d.srcHost = (const void *)(uintptr_t)src;
    d.srcDevice = src;
    d.dstMemoryType = to;
    d.dstHost = (void *)(uintptr_t)dst;
    d.dstDevice = dst;
    d.srcPitch = d.dstPitch = d.WidthInBytes = n;
    d.srcHeight = d.dstHeight = d.Height = d.Depth = 1;
    return vg_copy_issue(&d, stream, wait);
}

VG_ENTRY(cuMemcpy, (CUdeviceptr dst, CUdeviceptr src, size_t n))
{
    return copy_linear(CU_MEMORYTYPE_UNIFIED, dst, CU_MEMORYTYPE_UNIFIED, src, n, NULL, true);
}

VG_ENTRY(cuMemcpyAsync, (CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream))
{
    return copy_linear(CU_MEMORYTYPE_UNIFIED, dst, CU_MEMORYTYPE_UNIFIED, src, n, stream, false);
}

VG_ENTRY(cuMemcpyHtoD_v2, (CUdeviceptr dst, const void *src, size_t n))
{
    return copy_linear(CU_MEMORYTYPE_DEVICE, dst, CU_MEMORYTYPE_HOST, (uintptr_t)src, n, NULL,
                       true);
}

VG_ENTRY(cuMemcpyHtoDAsync_v2, (CUdeviceptr dst, const void *src, size_t n, CUstream stream))
{
    return copy_linear(CU_MEMORYTYPE_DEVICE, dst, CU_MEMORYTYPE_HOST, (uintptr_t)src, n, stream,
                       false);
}

VG_ENTRY(cuMemcpyDtoH_v2, (void *dst, CUdeviceptr src, size_t n))
{
    return copy_linear(CU_MEMORYTYPE_HOST, (uintptr_t)dst, CU_MEMORYTYPE_DEVICE, src, n, NULL,
                       true);
}

VG_ENTRY(cuMemcpyDtoHAsync_v2, (void *dst, CUdeviceptr src, size_t n, CUstream stream))
{
    return copy_linear(CU_MEMORYTYPE_HOST, (uintptr_t)dst, CU_MEMORYTYPE_DEVICE, src, n, stream,
                       false);
}

VG_ENTRY(cuMemcpyDtoD_v2, (CUdeviceptr dst, CUdeviceptr src, size_t n))
{
    return copy_linear(CU_MEMORYTYPE_DEVICE, dst, CU_MEMORYTYPE_DEVICE, src, n, NULL, true);
}

VG_ENTRY(cuMemcpyDtoDAsync_v2, (CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream))
{
    return copy_linear(CU_MEMORYTYPE_DEVICE, dst, CU_MEMORYTYPE_DEVICE, src, n, stream, false);
}

/* Devices share one memory: the contexts only have to be live. */
static CUresult peers_check(CUcontext a, CUcontext b)
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_from_handle(a, &ctx);

    return rc != CUDA_SUCCESS ? rc : vg_ctx_from_handle(b, &ctx);
}

VG_ENTRY(cuMemcpyPeer,
         (CUdeviceptr dst, CUcontext dst_ctx, CUdeviceptr src, CUcontext src_ctx, size_t n))
{
    CUresult rc = peers_check(dst_ctx, src_ctx);

    return rc != CUDA_SUCCESS ? rc : cuMemcpyDtoD_v2(dst, src, n);
}

VG_ENTRY(cuMemcpyPeerAsync,
         (CUdeviceptr dst, CUcontext dst_ctx, CUdeviceptr src, CUcontext src_ctx, size_t n,
          CUstream stream))
{
    CUresult rc = peers_check(dst_ctx, src_ctx);

    return rc != CUDA_SUCCESS ? rc : cuMemcpyDtoDAsync_v2(dst, src, n, stream);
}

/* ---------------------------------------------------------------------- 2D and 3D */

static void copy_from_2d(CUDA_MEMCPY3D *d, const CUDA_MEMCPY2D *p)
{
    memset(d, 0, sizeof(*d));
    d->srcArray = p->srcArray;
    d->dstArray = p->dstArray;
    d->srcXInBytes = p->srcXInBytes;
    d->srcY = p->srcY;
    d->srcMemoryType = p->srcMemoryType;
    d->srcHost = p->srcHost;
    d->srcDevice = p->srcDevice;
    d->srcPitch = p->srcPitch != 0 ? p->srcPitch : p->srcXInBytes + p->WidthInBytes;
    d->srcHeight = p->srcY + p->Height;
    d->dstXInBytes = p->dstXInBytes;
    d->dstY = p->dstY;
    d->dstMemoryType = p->dstMemoryType;
    d->dstHost = p->dstHost;
    d->dstDevice = p->dstDevice;
    d->dstPitch = p->dstPitch != 0 ? p->dstPitch : p->dstXInBytes + p->WidthInBytes;
    d->dstHeight = p->dstY + p->Height;
    d->WidthInBytes = p->WidthInBytes;
    d->Height = p->Height;
    d->Depth = 1;
}

static CUresult copy_2d(const CUDA_MEMCPY2D *p, CUstream stream, bool wait)
{
    CUDA_MEMCPY3D d;

    if (p == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    copy_from_2d(&d, p);
    return vg_copy_issue(&d, stream, wait);
}

void vg_copy_default_pitch(CUDA_MEMCPY3D *d)
{
    if (d->srcPitch == 0)
        d->srcPitch = d->srcXInBytes + d->WidthInBytes;
    if (d->dstPitch == 0)
        d->dstPitch = d->dstXInBytes + d->WidthInBytes;
    if (d->srcHeight == 0)
        d->srcHeight = d->srcY + d->Height;
    if (d->dstHeight == 0)
        d->dstHeight = d->dstY + d->Height;
}

static CUresult copy_3d(const CUDA_MEMCPY3D *p, CUstream stream, bool wait)
{
    CUDA_MEMCPY3D d;

    if (p == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    d = *p;
    vg_copy_default_pitch(&d);
    return vg_copy_issue(&d, stream, wait);
}

VG_ENTRY(cuMemcpy2D_v2, (const CUDA_MEMCPY2D *p))
{
    return copy_2d(p, NULL, true);
}

VG_ENTRY(cuMemcpy2DUnaligned_v2, (const CUDA_MEMCPY2D *p))
{
    return copy_2d(p, NULL, true);
}

VG_ENTRY(cuMemcpy2DAsync_v2, (const CUDA_MEMCPY2D *p, CUstream stream))
{
    return copy_2d(p, stream, false);
}

VG_ENTRY(cuMemcpy3D_v2, (const CUDA_MEMCPY3D *p))
{
    return copy_3d(p, NULL, true);
}

VG_ENTRY(cuMemcpy3DAsync_v2, (const CUDA_MEMCPY3D *p, CUstream stream))
{
    return copy_3d(p, stream, false);
}

/* The two descriptions differ only in what lies in the reserved fields. */
static CUresult copy_3d_peer(const CUDA_MEMCPY3D_PEER *p, CUstream stream, bool wait)
{
    CUDA_MEMCPY3D d;
    CUresult rc;

    if (p == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    rc = peers_check(p->dstContext, p->srcContext);
    if (rc != CUDA_SUCCESS)
        return rc;
    memcpy(&d, p, sizeof(d));
    d.reserved0 = d.reserved1 = NULL;
    return copy_3d(&d, stream, wait);
}

VG_ENTRY(cuMemcpy3DPeer, (const CUDA_MEMCPY3D_PEER *p))
{
    return copy_3d_peer(p, NULL, true);
}

VG_ENTRY(cuMemcpy3DPeerAsync, (const CUDA_MEMCPY3D_PEER *p, CUstream stream))
{
    return copy_3d_peer(p, stream, false);
}
