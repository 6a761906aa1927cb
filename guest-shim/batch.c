/* SPDX-License-Identifier: MIT */
/*
 * Batches of copies: each copy goes the way of a single one. All is checked that can be
 * before the first is made; a later failure leaves those before it under way, as a
 * batch has no order. No batch runs in the legacy stream.
 */
#include <stdint.h>

#include "guest-shim/state.h"
#include "vg_api.h"

#define NO_INDEX SIZE_MAX   /* what failed is none of the copies */

struct batch {
    CUstream stream;
    size_t fail;            /* the copy that failed */
    bool wait;              /* pinned sources must not be read after the call */
};

static CUresult enter(struct batch *b, CUstream stream)
{
    *b = (struct batch){.stream = stream, .fail = NO_INDEX};
    if (!stream || stream == CU_STREAM_LEGACY)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_enter_stream(stream);
}

static bool order_ok(CUmemcpySrcAccessOrder order, unsigned flags)
{
    return order >= CU_MEMCPY_SRC_ACCESS_ORDER_STREAM && order <= CU_MEMCPY_SRC_ACCESS_ORDER_ANY &&
           flags <= CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE;
}

/* Ordinary memory is read before the call returns in any case. */
static void note_source(struct batch *b, CUmemcpySrcAccessOrder order, CUdeviceptr src)
{
    if (order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL &&
        vg_window_has((const void *)(uintptr_t)src, 1))
        b->wait = true;
}

static CUresult finish(const struct batch *b, CUresult r)
{
    return r || !b->wait ? r : cuStreamSynchronize(b->stream);
}

/* ---- pointers -------------------------------------------------------------------- */

struct linear {
    CUdeviceptr *dsts, *srcs;
    size_t *sizes, count;
    CUmemcpyAttributes *attrs;
    size_t *first, attr_count;  /* the copy that each set of attributes begins with */
};

static bool attributes_ok(const struct linear *l)
{
    if (!l->attrs || !l->first || l->attr_count == 0 || l->attr_count > l->count || l->first[0])
        return false;
    for (size_t k = 0; k < l->attr_count; k++) {
        if (!order_ok(l->attrs[k].srcAccessOrder, l->attrs[k].flags) || l->first[k] >= l->count ||
            (k > 0 && l->first[k] <= l->first[k - 1]))
            return false;
    }
    return true;
}

static CUresult copy_linear(struct batch *b, const struct linear *l)
{
    CUresult r = CUDA_SUCCESS;
    size_t k = 0;

    if (!l->dsts || !l->srcs || !l->sizes || l->count == 0 || !attributes_ok(l))
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < l->count && !r; i++) {
        if (k + 1 < l->attr_count && l->first[k + 1] == i)
            k++;
        note_source(b, l->attrs[k].srcAccessOrder, l->srcs[i]);
        r = cuMemcpyAsync(l->dsts[i], l->srcs[i], l->sizes[i], b->stream);
        if (r)
            b->fail = i;
    }
    return finish(b, r);
}

CUresult cuMemcpyBatchAsync_v2(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
                               CUmemcpyAttributes *attrs, size_t *attrsIdxs, size_t numAttrs,
                               CUstream hStream)
{
    const struct linear l = {dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs};
    struct batch b;
    CUresult r = enter(&b, hStream);

    return r ? r : copy_linear(&b, &l);
}

CUresult cuMemcpyBatchAsync(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
                            CUmemcpyAttributes *attrs, size_t *attrsIdxs, size_t numAttrs,
                            size_t *failIdx, CUstream hStream)
{
    const struct linear l = {dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs};
    struct batch b;
    CUresult r = enter(&b, hStream);

    if (!r)
        r = copy_linear(&b, &l);
    if (r && failIdx)
        *failIdx = b.fail;
    return r;
}

/* ---- boxes ----------------------------------------------------------------------- */

static size_t format_bytes(CUarray_format format)
{
    switch (format) {
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

/* Bytes of an element of an array. */
static CUresult array_element(CUarray array, size_t *ret_bytes)
{
    CUDA_ARRAY3D_DESCRIPTOR d;
    CUresult r = cuArray3DGetDescriptor_v2(&d, array);

    if (r)
        return r;
    *ret_bytes = format_bytes(d.Format) * d.NumChannels;
    return *ret_bytes ? CUDA_SUCCESS : vg_unsupported("cuMemcpy3DBatchAsync of this array format");
}

/* Pointers have elements of the size of the array's on the other side, of a byte where there is none. */
static CUresult element_of(const CUDA_MEMCPY3D_BATCH_OP *op, size_t *ret_bytes)
{
    size_t src = 0, dst = 0;
    CUresult r = CUDA_SUCCESS;

    if (op->src.type == CU_MEMCPY_OPERAND_TYPE_ARRAY)
        r = array_element(op->src.op.array.array, &src);
    if (!r && op->dst.type == CU_MEMCPY_OPERAND_TYPE_ARRAY)
        r = array_element(op->dst.op.array.array, &dst);
    if (!r && src && dst && src != dst)
        r = CUDA_ERROR_INVALID_VALUE;
    *ret_bytes = src ? src : dst ? dst : 1;
    return r;
}

/* One side of a copy, in the terms of CUDA_MEMCPY3D. */
struct side {
    CUmemorytype type;
    CUdeviceptr ptr;
    CUarray array;
    size_t x, y, z, pitch, height;
};

static CUresult read_side(const CUmemcpy3DOperand *o, const CUextent3D *extent, size_t element,
                          struct side *s)
{
    *s = (struct side){.type = CU_MEMORYTYPE_UNIFIED};
    if (o->type == CU_MEMCPY_OPERAND_TYPE_ARRAY) {
        s->type = CU_MEMORYTYPE_ARRAY;
        s->array = o->op.array.array;
        s->x = o->op.array.offset.x * element;
        s->y = o->op.array.offset.y;
        s->z = o->op.array.offset.z;
        return CUDA_SUCCESS;
    }
    size_t row = o->op.ptr.rowLength ? o->op.ptr.rowLength : extent->width;
    s->ptr = o->op.ptr.ptr;
    s->height = o->op.ptr.layerHeight ? o->op.ptr.layerHeight : extent->height;
    if (o->type != CU_MEMCPY_OPERAND_TYPE_POINTER || row < extent->width ||
        s->height < extent->height || row > SIZE_MAX / element)
        return CUDA_ERROR_INVALID_VALUE;
    s->pitch = row * element;
    return CUDA_SUCCESS;
}

static CUresult copy_box(struct batch *b, const CUDA_MEMCPY3D_BATCH_OP *op)
{
    struct side src, dst;
    size_t element;
    CUresult r = element_of(op, &element);

    if (!r)
        r = read_side(&op->src, &op->extent, element, &src);
    if (!r)
        r = read_side(&op->dst, &op->extent, element, &dst);
    if (r)
        return r;
    CUDA_MEMCPY3D copy = {
        .srcMemoryType = src.type, .srcDevice = src.ptr, .srcArray = src.array,
        .srcXInBytes = src.x, .srcY = src.y, .srcZ = src.z,
        .srcPitch = src.pitch, .srcHeight = src.height,
        .dstMemoryType = dst.type, .dstDevice = dst.ptr, .dstArray = dst.array,
        .dstXInBytes = dst.x, .dstY = dst.y, .dstZ = dst.z,
        .dstPitch = dst.pitch, .dstHeight = dst.height,
        .WidthInBytes = op->extent.width * element, .Height = op->extent.height,
        .Depth = op->extent.depth,
    };
    if (op->src.type == CU_MEMCPY_OPERAND_TYPE_POINTER)
        note_source(b, op->srcAccessOrder, src.ptr);
    return cuMemcpy3DAsync_v2(&copy, b->stream);
}

static bool box_ok(const CUDA_MEMCPY3D_BATCH_OP *op)
{
    return order_ok(op->srcAccessOrder, op->flags) && op->extent.width && op->extent.height &&
           op->extent.depth && op->extent.width < SIZE_MAX / 64;
}

static CUresult copy_boxes(struct batch *b, size_t count, const CUDA_MEMCPY3D_BATCH_OP *op)
{
    CUresult r = CUDA_SUCCESS;

    for (size_t i = 0; i < count; i++) {
        if (!box_ok(&op[i])) {
            b->fail = i;
            return CUDA_ERROR_INVALID_VALUE;
        }
    }
    for (size_t i = 0; i < count && !r; i++) {
        r = copy_box(b, &op[i]);
        if (r)
            b->fail = i;
    }
    return finish(b, r);
}

CUresult cuMemcpy3DBatchAsync_v2(size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList,
                                 unsigned long long flags, CUstream hStream)
{
    struct batch b;
    CUresult r = enter(&b, hStream);

    if (r)
        return r;
    if (numOps == 0 || !opList || flags)
        return CUDA_ERROR_INVALID_VALUE;
    return copy_boxes(&b, numOps, opList);
}

CUresult cuMemcpy3DBatchAsync(size_t numOps, CUDA_MEMCPY3D_BATCH_OP *opList, size_t *failIdx,
                              unsigned long long flags, CUstream hStream)
{
    struct batch b;
    CUresult r = enter(&b, hStream);

    if (!r)
        r = numOps == 0 || !opList || flags ? CUDA_ERROR_INVALID_VALUE
                                            : copy_boxes(&b, numOps, opList);
    if (r && failIdx)
        *failIdx = b.fail;
    return r;
}
