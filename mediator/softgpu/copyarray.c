/* SPDX-License-Identifier: MIT */
/*
 * Array ends of copies: their check, what they are in memory, and the calls that copy a run of
 * bytes of a one-dimensional array.
 */
#include <string.h>

#include "array.h"
#include "copy.h"
#include "ctx.h"

/* ------------------------------------------------------------------------- ends */

static bool fits(size_t at, size_t n, size_t size)
{
    return n <= size && at <= size - n;
}

static CUresult check_end(CUmemorytype type, CUarray handle, size_t x, size_t y, size_t z,
                          const CUDA_MEMCPY3D *d)
{
    const struct vg_array *a;

    if (type != CU_MEMORYTYPE_ARRAY)
        return CUDA_SUCCESS;
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    a = vg_array_get(handle);
    if (a == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (!fits(x, d->WidthInBytes, a->width * a->elem) || !fits(y, d->Height, a->height) ||
        !fits(z, d->Depth, a->depth))
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

CUresult vg_array_check_copy(const CUDA_MEMCPY3D *d)
{
    CUresult rc = check_end(d->srcMemoryType, d->srcArray, d->srcXInBytes, d->srcY, d->srcZ, d);

    if (rc == CUDA_SUCCESS)
        rc = check_end(d->dstMemoryType, d->dstArray, d->dstXInBytes, d->dstY, d->dstZ, d);
    return rc;
}

bool vg_array_resolve(CUDA_MEMCPY3D *d)
{
    const struct vg_array *a;

    if (d->srcMemoryType == CU_MEMORYTYPE_ARRAY) {
        a = vg_array_get(d->srcArray);
        if (a == NULL)
            return false;
        d->srcMemoryType = CU_MEMORYTYPE_DEVICE;
        d->srcDevice = a->base;
        d->srcPitch = a->width * a->elem;
        d->srcHeight = a->height;
    }
    if (d->dstMemoryType == CU_MEMORYTYPE_ARRAY) {
        a = vg_array_get(d->dstArray);
        if (a == NULL)
            return false;
        d->dstMemoryType = CU_MEMORYTYPE_DEVICE;
        d->dstDevice = a->base;
        d->dstPitch = a->width * a->elem;
        d->dstHeight = a->height;
    }
    return true;
}

/* ------------------------------------------------------------------ runs of bytes */

/* One end of a run of bytes: an array and an offset, or an address. */
struct run_end {
    CUmemorytype type;
    CUarray array;
    uint64_t address;
    size_t offset;
};

static struct run_end in_array(CUarray array, size_t offset)
{
    return (struct run_end){ .type = CU_MEMORYTYPE_ARRAY, .array = array, .offset = offset };
}

static struct run_end on_device(CUdeviceptr p)
{
    return (struct run_end){ .type = CU_MEMORYTYPE_DEVICE, .address = p };
}

static struct run_end on_host(const void *p)
{
    return (struct run_end){ .type = CU_MEMORYTYPE_HOST, .address = (uintptr_t)p };
}

static CUresult copy_run(struct run_end dst, struct run_end src, size_t n, CUstream stream,
                         bool wait)
{
    CUDA_MEMCPY3D d;

    memset(&d, 0, sizeof(d));
    d.srcMemoryType = src.type;
    d.srcArray = src.array;
    d.srcHost = (const void *)(uintptr_t)src.address;
    d.srcDevice = src.address;
    d.srcXInBytes = src.offset;
    d.dstMemoryType = dst.type;
    d.dstArray = dst.array;
    d.dstHost = (void *)(uintptr_t)dst.address;
    d.dstDevice = dst.address;
    d.dstXInBytes = dst.offset;
    d.WidthInBytes = n;
    d.Height = d.Depth = 1;
    vg_copy_default_pitch(&d);
    return vg_copy_issue(&d, stream, wait);
}

VG_ENTRY(cuMemcpyHtoA_v2, (CUarray dst, size_t offset, const void *src, size_t n))
{
    return copy_run(in_array(dst, offset), on_host(src), n, NULL, true);
}

VG_ENTRY(cuMemcpyHtoAAsync_v2,
         (CUarray dst, size_t offset, const void *src, size_t n, CUstream stream))
{
    return copy_run(in_array(dst, offset), on_host(src), n, stream, false);
}

VG_ENTRY(cuMemcpyAtoH_v2, (void *dst, CUarray src, size_t offset, size_t n))
{
    return copy_run(on_host(dst), in_array(src, offset), n, NULL, true);
}

VG_ENTRY(cuMemcpyAtoHAsync_v2, (void *dst, CUarray src, size_t offset, size_t n, CUstream stream))
{
    return copy_run(on_host(dst), in_array(src, offset), n, stream, false);
}

VG_ENTRY(cuMemcpyDtoA_v2, (CUarray dst, size_t offset, CUdeviceptr src, size_t n))
{
    return copy_run(in_array(dst, offset), on_device(src), n, NULL, true);
}

VG_ENTRY(cuMemcpyAtoD_v2, (CUdeviceptr dst, CUarray src, size_t offset, size_t n))
{
    return copy_run(on_device(dst), in_array(src, offset), n, NULL, true);
}

VG_ENTRY(cuMemcpyAtoA_v2,
         (CUarray dst, size_t dst_offset, CUarray src, size_t src_offset, size_t n))
{
    return copy_run(in_array(dst, dst_offset), in_array(src, src_offset), n, NULL, true);
}
