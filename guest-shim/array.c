/* SPDX-License-Identifier: MIT */
/*
 * Arrays and mipmapped arrays. The host makes them; the guest keeps their description,
 * to check copies and to answer questions. Any thread.
 */
#include "guest-shim/array.h"

#include <stdlib.h>

#include "guest-shim/call.h"
#include "guest-shim/fwd.h"
#include "guest-shim/handle_map.h"
#include "guest-shim/state.h"
#include "vg_api.h"

struct note {
    CUDA_ARRAY3D_DESCRIPTOR desc;
    uint64_t handle;
    CUcontext ctx;
    uint64_t owner;             /* mipmapped array or array that it is a part of, or 0 */
    bool asked;                 /* desc is the host's answer, else the program's wish */
    struct note *next;          /* of all */
};

static struct vg_handle_map map;
static struct vg_lock list_lock;
static struct note *list;

static unsigned channel_bytes(CUarray_format format)
{
    switch ((int)format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
        return 1;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
        return 2;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
        return 4;
    default:
        return 0;
    }
}

static size_t at_least_one(size_t n)
{
    return n ? n : 1;
}

bool vg_array_shape(CUarray array, struct vg_array_shape *ret_shape)
{
    const struct note *n = vg_handle_map_find(&map, (uintptr_t)array);

    if (!n)
        return false;
    ret_shape->width = n->desc.Width;
    ret_shape->height = at_least_one(n->desc.Height);
    ret_shape->depth = at_least_one(n->desc.Depth);
    ret_shape->element = channel_bytes(n->desc.Format) * n->desc.NumChannels;
    return true;
}

/* ---- the notes --------------------------------------------------------------------- */

/* Without memory for a note the array is of no use: its copies find no such handle. */
static void add_note(CUarray array, const CUDA_ARRAY3D_DESCRIPTOR *desc, uint64_t owner, bool asked)
{
    struct note *n = calloc(1, sizeof(*n));

    if (!n)
        return;
    n->desc = *desc;
    n->handle = (uintptr_t)array;
    n->ctx = vg_ctx_current()->handle;
    n->owner = owner;
    n->asked = asked;
    if (!vg_handle_map_put(&map, n->handle, n)) {
        free(n);
        return;
    }
    vg_lock(&list_lock);
    n->next = list;
    list = n;
    vg_unlock(&list_lock);
}

/* Forgets what `ends` says so of. */
static void forget(bool (*ends)(const struct note *n, uint64_t what), uint64_t what)
{
    struct note *gone = NULL, **p;

    vg_lock(&list_lock);
    for (p = &list; *p;) {
        struct note *n = *p;
        if (!ends(n, what)) {
            p = &n->next;
            continue;
        }
        *p = n->next;
        n->next = gone;
        gone = n;
    }
    vg_unlock(&list_lock);
    while (gone) {
        struct note *n = gone;
        gone = n->next;
        if (vg_handle_map_find(&map, n->handle) == n)
            vg_handle_map_take(&map, n->handle);
        free(n);
    }
}

static bool is_or_belongs_to(const struct note *n, uint64_t handle)
{
    return n->handle == handle || n->owner == handle;
}

static bool lived_in(const struct note *n, uint64_t ctx)
{
    return (uintptr_t)n->ctx == ctx;
}

static void forget_context(struct vg_ctx *ctx)
{
    forget(lived_in, (uintptr_t)ctx->handle);
}

__attribute__((constructor)) static void array_start(void)
{
    vg_ctx_on_end(forget_context);
}

/* ---- arrays ------------------------------------------------------------------------ */

static CUresult create_2d(VG_PARAMS(cuArrayCreate_v2))
VG_FWD_BODY(cuArrayCreate_v2)

static CUresult create_3d(VG_PARAMS(cuArray3DCreate_v2))
VG_FWD_BODY(cuArray3DCreate_v2)

static CUresult destroy(VG_PARAMS(cuArrayDestroy))
VG_FWD_BODY(cuArrayDestroy)

static CUresult ask_descriptor(VG_PARAMS(cuArray3DGetDescriptor_v2))
VG_FWD_BODY(cuArray3DGetDescriptor_v2)

static CUresult ask_plane(VG_PARAMS(cuArrayGetPlane))
VG_FWD_BODY(cuArrayGetPlane)

CUresult cuArrayCreate_v2(CUarray *pHandle, const CUDA_ARRAY_DESCRIPTOR *pAllocateArray)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!pHandle || !pAllocateArray)
        return CUDA_ERROR_INVALID_VALUE;
    const CUDA_ARRAY3D_DESCRIPTOR desc = {
        .Width = pAllocateArray->Width,
        .Height = pAllocateArray->Height,
        .Format = pAllocateArray->Format,
        .NumChannels = pAllocateArray->NumChannels,
    };
    r = create_2d(pHandle, pAllocateArray);
    if (!r)
        add_note(*pHandle, &desc, 0, false);
    return r;
}

CUresult cuArray3DCreate_v2(CUarray *pHandle, const CUDA_ARRAY3D_DESCRIPTOR *pAllocateArray)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!pHandle || !pAllocateArray)
        return CUDA_ERROR_INVALID_VALUE;
    r = create_3d(pHandle, pAllocateArray);
    if (!r)
        add_note(*pHandle, pAllocateArray, 0, false);
    return r;
}

CUresult cuArrayDestroy(CUarray hArray)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    r = destroy(hArray);
    if (!r)
        forget(is_or_belongs_to, (uintptr_t)hArray);
    return r;
}

/* Runtime libraries ask before each copy. */
CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *pArrayDescriptor, CUarray hArray)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!pArrayDescriptor)
        return CUDA_ERROR_INVALID_VALUE;
    struct note *n = vg_handle_map_find(&map, (uintptr_t)hArray);
    if (!n)
        return hArray ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_INVALID_HANDLE;
    if (!n->asked) {
        CUDA_ARRAY3D_DESCRIPTOR desc;
        r = ask_descriptor(&desc, hArray);
        if (r)
            return r;
        n->desc = desc;
        vg_store_release(&n->asked, true);
    }
    *pArrayDescriptor = n->desc;
    return CUDA_SUCCESS;
}

/* A part of another array: the host knows its description. */
static CUresult note_part(CUarray part, uint64_t owner)
{
    CUDA_ARRAY3D_DESCRIPTOR desc;

    if (vg_handle_map_find(&map, (uintptr_t)part))
        return CUDA_SUCCESS;
    CUresult r = ask_descriptor(&desc, part);
    if (!r)
        add_note(part, &desc, owner, true);
    return r;
}

CUresult cuArrayGetPlane(CUarray *pPlaneArray, CUarray hArray, unsigned planeIdx)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!pPlaneArray)
        return CUDA_ERROR_INVALID_VALUE;
    r = ask_plane(pPlaneArray, hArray, planeIdx);
    return r ? r : note_part(*pPlaneArray, (uintptr_t)hArray);
}

/* ---- mipmapped arrays ------------------------------------------------------------------ */

static CUresult create_mipmap(VG_PARAMS(cuMipmappedArrayCreate))
VG_FWD_BODY(cuMipmappedArrayCreate)

static CUresult ask_level(VG_PARAMS(cuMipmappedArrayGetLevel))
VG_FWD_BODY(cuMipmappedArrayGetLevel)

static CUresult destroy_mipmap(VG_PARAMS(cuMipmappedArrayDestroy))
VG_FWD_BODY(cuMipmappedArrayDestroy)

CUresult cuMipmappedArrayCreate(CUmipmappedArray *pHandle,
                                const CUDA_ARRAY3D_DESCRIPTOR *pMipmappedArrayDesc,
                                unsigned numMipmapLevels)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!pHandle || !pMipmappedArrayDesc)
        return CUDA_ERROR_INVALID_VALUE;
    return create_mipmap(pHandle, pMipmappedArrayDesc, numMipmapLevels);
}

CUresult cuMipmappedArrayGetLevel(CUarray *pLevelArray, CUmipmappedArray hMipmappedArray,
                                  unsigned level)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!pLevelArray)
        return CUDA_ERROR_INVALID_VALUE;
    r = ask_level(pLevelArray, hMipmappedArray, level);
    return r ? r : note_part(*pLevelArray, (uintptr_t)hMipmappedArray);
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray hMipmappedArray)
{
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    r = destroy_mipmap(hMipmappedArray);
    if (!r)
        forget(is_or_belongs_to, (uintptr_t)hMipmappedArray);
    return r;
}

/* ---- runs of bytes of an array ------------------------------------------------------------ */

static CUDA_MEMCPY3D run_of(size_t bytes)
{
    return (CUDA_MEMCPY3D){.WidthInBytes = bytes, .Height = 1, .Depth = 1};
}

static void to_array(CUDA_MEMCPY3D *c, CUarray array, size_t offset)
{
    c->dstMemoryType = CU_MEMORYTYPE_ARRAY;
    c->dstArray = array;
    c->dstXInBytes = offset;
}

static void from_array(CUDA_MEMCPY3D *c, CUarray array, size_t offset)
{
    c->srcMemoryType = CU_MEMORYTYPE_ARRAY;
    c->srcArray = array;
    c->srcXInBytes = offset;
}

static CUDA_MEMCPY3D host_to_array(CUarray dst, size_t offset, const void *src, size_t bytes)
{
    CUDA_MEMCPY3D c = run_of(bytes);

    to_array(&c, dst, offset);
    c.srcMemoryType = CU_MEMORYTYPE_HOST;
    c.srcHost = src;
    return c;
}

static CUDA_MEMCPY3D array_to_host(void *dst, CUarray src, size_t offset, size_t bytes)
{
    CUDA_MEMCPY3D c = run_of(bytes);

    from_array(&c, src, offset);
    c.dstMemoryType = CU_MEMORYTYPE_HOST;
    c.dstHost = dst;
    return c;
}

static CUDA_MEMCPY3D device_to_array(CUarray dst, size_t offset, CUdeviceptr src, size_t bytes)
{
    CUDA_MEMCPY3D c = run_of(bytes);

    to_array(&c, dst, offset);
    c.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    c.srcDevice = src;
    return c;
}

static CUDA_MEMCPY3D array_to_device(CUdeviceptr dst, CUarray src, size_t offset, size_t bytes)
{
    CUDA_MEMCPY3D c = run_of(bytes);

    from_array(&c, src, offset);
    c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    c.dstDevice = dst;
    return c;
}

static CUDA_MEMCPY3D array_to_array(CUarray dst, size_t to, CUarray src, size_t from, size_t bytes)
{
    CUDA_MEMCPY3D c = run_of(bytes);

    to_array(&c, dst, to);
    from_array(&c, src, from);
    return c;
}

static CUresult on_own_stream(const CUDA_MEMCPY3D *c)
{
    CUresult r = cuMemcpy3DAsync_v2(c, CU_STREAM_PER_THREAD);

    return r ? r : cuStreamSynchronize(CU_STREAM_PER_THREAD);
}

CUresult cuMemcpyHtoA_v2(CUarray dstArray, size_t dstOffset, const void *srcHost, size_t ByteCount)
{
    CUDA_MEMCPY3D c = host_to_array(dstArray, dstOffset, srcHost, ByteCount);

    return cuMemcpy3D_v2(&c);
}

CUresult cuMemcpyHtoAAsync_v2(CUarray dstArray, size_t dstOffset, const void *srcHost,
                              size_t ByteCount, CUstream hStream)
{
    CUDA_MEMCPY3D c = host_to_array(dstArray, dstOffset, srcHost, ByteCount);

    return cuMemcpy3DAsync_v2(&c, hStream);
}

CUresult cuMemcpyAtoH_v2(void *dstHost, CUarray srcArray, size_t srcOffset, size_t ByteCount)
{
    CUDA_MEMCPY3D c = array_to_host(dstHost, srcArray, srcOffset, ByteCount);

    return cuMemcpy3D_v2(&c);
}

CUresult cuMemcpyAtoHAsync_v2(void *dstHost, CUarray srcArray, size_t srcOffset, size_t ByteCount,
                              CUstream hStream)
{
    CUDA_MEMCPY3D c = array_to_host(dstHost, srcArray, srcOffset, ByteCount);

    return cuMemcpy3DAsync_v2(&c, hStream);
}

CUresult cuMemcpyDtoA_v2(CUarray dstArray, size_t dstOffset, CUdeviceptr srcDevice,
                         size_t ByteCount)
{
    CUDA_MEMCPY3D c = device_to_array(dstArray, dstOffset, srcDevice, ByteCount);

    return cuMemcpy3D_v2(&c);
}

CUresult cuMemcpyDtoA_v2_ptds(CUarray dstArray, size_t dstOffset, CUdeviceptr srcDevice,
                              size_t ByteCount)
{
    CUDA_MEMCPY3D c = device_to_array(dstArray, dstOffset, srcDevice, ByteCount);

    return on_own_stream(&c);
}

CUresult cuMemcpyAtoD_v2(CUdeviceptr dstDevice, CUarray srcArray, size_t srcOffset,
                         size_t ByteCount)
{
    CUDA_MEMCPY3D c = array_to_device(dstDevice, srcArray, srcOffset, ByteCount);

    return cuMemcpy3D_v2(&c);
}

CUresult cuMemcpyAtoD_v2_ptds(CUdeviceptr dstDevice, CUarray srcArray, size_t srcOffset,
                              size_t ByteCount)
{
    CUDA_MEMCPY3D c = array_to_device(dstDevice, srcArray, srcOffset, ByteCount);

    return on_own_stream(&c);
}

CUresult cuMemcpyAtoA_v2(CUarray dstArray, size_t dstOffset, CUarray srcArray, size_t srcOffset,
                         size_t ByteCount)
{
    CUDA_MEMCPY3D c = array_to_array(dstArray, dstOffset, srcArray, srcOffset, ByteCount);

    return cuMemcpy3D_v2(&c);
}

CUresult cuMemcpyAtoA_v2_ptds(CUarray dstArray, size_t dstOffset, CUarray srcArray,
                              size_t srcOffset, size_t ByteCount)
{
    CUDA_MEMCPY3D c = array_to_array(dstArray, dstOffset, srcArray, srcOffset, ByteCount);

    return on_own_stream(&c);
}
