/* SPDX-License-Identifier: MIT */
/*
 * Bodies: copies. Host memory is always the region's, or a private copy of the
 * payload; device memory is what the guest owns. Serve thread.
 */
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/capture.h"
#include "mediator/executor/graph_copy.h"
#include "mediator/executor/node.h"
#include "vg_atomic.h"

/* A copy with an answer is answered when it is complete; a captured one never runs here. */
static CUresult answer(struct vg_exec *x, struct vg_req *r, CUresult rc, CUstream stream)
{
    if (rc != CUDA_SUCCESS || !(r->call.flags & VG_F_REPLY) || vg_own_is_capturing(x, stream))
        return rc;
    return vg_wait_stream(x, r, stream);
}

/* ---- Staging ---- */

static void clear_stage(struct vg_exec *x, uint64_t stage)
{
    if (stage)
        vg_store_release(&x->guest.slot->stage_busy[stage - 1], 0);
}

/* The GPU clears the word itself where it can; else an event is watched. */
static void release_stage(struct vg_exec *x, CUstream stream, uint64_t stage)
{
    if (!stage)
        return;
    CUdeviceptr word = (CUdeviceptr)(uintptr_t)&x->guest.slot->stage_busy[stage - 1];
    if (!x->no_write_value) {
        if (x->registrar && x->cuda.cuStreamWriteValue32_v2(stream, word, 0, 0) == CUDA_SUCCESS)
            return;
        x->no_write_value = true;
    }
    if (vg_wait_stage(x, stream, (unsigned)stage - 1) != CUDA_SUCCESS)
        clear_stage(x, stage);
}

static bool stage_ok(struct vg_req *r, uint64_t stage)
{
    if (stage <= VG_STAGES)
        return true;
    r->breach = "staging index out of range";
    return false;
}

/* A capture, of this stream or of one that the legacy stream waits for, must not notice. */
CUresult vg_do_MARK(struct vg_exec *x, struct vg_req *r)
{
    const uint64_t *w = r->call.arg;

    if (!stage_ok(r, w[1]))
        return CUDA_ERROR_INVALID_VALUE;
    if (!x->ctx || x->captures > 0 || vg_own_stream(x, (CUstream)(uintptr_t)w[0]) != CUDA_SUCCESS)
        clear_stage(x, w[1]);
    else
        release_stage(x, (CUstream)(uintptr_t)w[0], w[1]);
    return CUDA_SUCCESS;
}

/* ---- Linear copies ---- */

static CUresult copy_in(struct vg_exec *x, CUdeviceptr dst, const void *src, uint64_t bytes,
                        CUstream stream, bool may_change)
{
    if (may_change && vg_own_is_capturing(x, stream))
        src = vg_capture_copy(x, stream, src, bytes);
    if (!src)
        return CUDA_ERROR_OUT_OF_MEMORY;
    return x->cuda.cuMemcpyHtoDAsync_v2(dst, src, bytes, stream);
}

CUresult vg_do_COPY_IN(struct vg_exec *x, struct vg_req *r)
{
    const uint64_t *w = r->call.arg;
    CUstream stream = (CUstream)(uintptr_t)w[3];
    const void *src = vg_guest_data(&x->guest, w[1], w[2]);

    if (!stage_ok(r, w[4]))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = src ? vg_own_range(x, w[0], w[2]) : CUDA_ERROR_INVALID_VALUE;
    if (rc == CUDA_SUCCESS)
        rc = vg_own_stream(x, stream);
    if (rc == CUDA_SUCCESS)
        rc = vg_graph_copy_in(x, copy_in(x, w[0], src, w[2], stream, w[4] != 0), w[0], src, w[2],
                              stream);
    if (rc != CUDA_SUCCESS || vg_own_is_capturing(x, stream))
        clear_stage(x, w[4]);
    else
        release_stage(x, stream, w[4]);
    VG_STAT_ADD(x, bytes_in, rc == CUDA_SUCCESS ? w[2] : 0);
    vg_hist_add(&x->stats->copy_bytes, w[2], rc == CUDA_SUCCESS);
    return answer(x, r, rc, stream);
}

CUresult vg_do_COPY_OUT(struct vg_exec *x, struct vg_req *r)
{
    const uint64_t *w = r->call.arg;
    CUstream stream = (CUstream)(uintptr_t)w[3];
    void *dst = vg_guest_data(&x->guest, w[1], w[2]);

    CUresult rc = dst ? vg_own_range(x, w[0], w[2]) : CUDA_ERROR_INVALID_VALUE;
    if (rc == CUDA_SUCCESS)
        rc = vg_own_stream(x, stream);
    if (rc == CUDA_SUCCESS)
        rc = vg_graph_copy_out(x, x->cuda.cuMemcpyDtoHAsync_v2(dst, w[0], w[2], stream), dst, w[0],
                               w[2], stream);
    VG_STAT_ADD(x, bytes_out, rc == CUDA_SUCCESS ? w[2] : 0);
    vg_hist_add(&x->stats->copy_bytes, w[2], rc == CUDA_SUCCESS);
    return answer(x, r, rc, stream);
}

/* The payload is reused for the next record: the driver has pageable memory staged on return. */
CUresult vg_do_COPY_INLINE(struct vg_exec *x, struct vg_req *r)
{
    const uint64_t *w = r->call.arg;
    CUstream stream = (CUstream)(uintptr_t)w[1];
    uint32_t bytes = r->call.payload_len;

    CUresult rc = vg_own_range(x, w[0], bytes);
    if (rc == CUDA_SUCCESS)
        rc = vg_own_stream(x, stream);
    if (rc == CUDA_SUCCESS)
        rc = copy_in(x, w[0], r->payload, bytes, stream, true);
    vg_hist_add(&x->stats->copy_bytes, bytes, rc == CUDA_SUCCESS);
    return answer(x, r, rc, stream);
}

/* Either side may be pinned memory of the region, where only the unified copy is right. */
static CUresult copy_between(struct vg_exec *x, struct vg_req *r,
                             const struct vg_args_cuMemcpyDtoDAsync_v2 *a)
{
    CUresult rc;

    if (vg_guest_owns(&x->guest, a->dstDevice, 1) || vg_guest_owns(&x->guest, a->srcDevice, 1))
        rc = x->cuda.cuMemcpyAsync(a->dstDevice, a->srcDevice, a->ByteCount, a->hStream);
    else
        rc = x->cuda.cuMemcpyDtoDAsync_v2(a->dstDevice, a->srcDevice, a->ByteCount, a->hStream);
    return answer(x, r, rc, a->hStream);
}

CUresult vg_do_cuMemcpyDtoDAsync_v2(struct vg_exec *x, struct vg_req *r,
                                    struct vg_args_cuMemcpyDtoDAsync_v2 *a)
{
    return copy_between(x, r, a);
}

CUresult vg_do_cuMemcpyDtoD_v2(struct vg_exec *x, struct vg_req *r,
                               struct vg_args_cuMemcpyDtoD_v2 *a)
{
    struct vg_args_cuMemcpyDtoDAsync_v2 b = {
        .dstDevice = a->dstDevice,
        .srcDevice = a->srcDevice,
        .ByteCount = a->ByteCount,
    };

    return copy_between(x, r, &b);
}

/* ---- Pitched copies ---- */

struct side {
    CUmemorytype type;
    const void *host;
    CUdeviceptr device;
    CUarray array;
    uint64_t x, y, z, pitch, height;
};

/* No copy of this size is right, and below it the sums of extent() stay in 128 bits. */
#define EXTENT_MAX (1ull << 48)

static bool is_sane(const struct side *s, const CUDA_MEMCPY3D *c)
{
    return s->x <= EXTENT_MAX && s->y <= EXTENT_MAX && s->z <= EXTENT_MAX &&
           s->pitch <= EXTENT_MAX && s->height <= EXTENT_MAX && c->WidthInBytes <= EXTENT_MAX &&
           c->Height <= EXTENT_MAX && c->Depth <= EXTENT_MAX;
}

/* Bytes from the side's base to behind the last byte touched; false if that is no real size. */
static bool extent(const struct side *s, const CUDA_MEMCPY3D *c, uint64_t *ret_bytes)
{
    uint64_t height = s->height ? s->height : s->y + c->Height;
    uint64_t pitch = s->pitch ? s->pitch : s->x + c->WidthInBytes;

    if (!is_sane(s, c))
        return false;
    unsigned __int128 rows =
        (unsigned __int128)(s->z + c->Depth - 1) * height + s->y + c->Height - 1;
    if (rows > EXTENT_MAX)
        return false;
    unsigned __int128 bytes = rows * pitch + s->x + c->WidthInBytes;
    if (bytes > EXTENT_MAX)
        return false;
    *ret_bytes = (uint64_t)bytes;
    return true;
}

static CUresult check_side(struct vg_exec *x, const struct side *s, const CUDA_MEMCPY3D *c)
{
    uint64_t bytes;

    if (!extent(s, c, &bytes))
        return CUDA_ERROR_INVALID_VALUE;
    switch (s->type) {
    case CU_MEMORYTYPE_HOST:
        return vg_guest_owns(&x->guest, (uintptr_t)s->host, bytes) ? CUDA_SUCCESS
                                                                   : CUDA_ERROR_INVALID_VALUE;
    case CU_MEMORYTYPE_DEVICE:
    case CU_MEMORYTYPE_UNIFIED:
        return vg_own_range(x, s->device, bytes);
    case CU_MEMORYTYPE_ARRAY: /* the driver checks the box against it */
        return s->array && vg_own_handle(x, VG_OBJ_CUarray, (uintptr_t)s->array) == CUDA_SUCCESS
                   ? CUDA_SUCCESS
                   : CUDA_ERROR_INVALID_VALUE;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult vg_copy_check(struct vg_exec *x, const CUDA_MEMCPY3D *c)
{
    const struct side src = {c->srcMemoryType, c->srcHost, c->srcDevice, c->srcArray, c->srcXInBytes,
                             c->srcY,          c->srcZ,    c->srcPitch,  c->srcHeight};
    const struct side dst = {c->dstMemoryType, c->dstHost, c->dstDevice, c->dstArray, c->dstXInBytes,
                             c->dstY,          c->dstZ,    c->dstPitch,  c->dstHeight};

    if (!c->WidthInBytes || !c->Height || !c->Depth)
        return CUDA_SUCCESS;
    CUresult rc = check_side(x, &src, c);
    return rc ? rc : check_side(x, &dst, c);
}

CUresult vg_do_COPY_3D(struct vg_exec *x, struct vg_req *r)
{
    CUstream stream = (CUstream)(uintptr_t)r->call.arg[0];
    uint64_t stage = r->call.arg[1];
    CUDA_MEMCPY3D c;

    if (!stage_ok(r, stage) || r->call.payload_len != sizeof(c)) {
        r->breach = r->breach ? r->breach : "malformed copy";
        return CUDA_ERROR_INVALID_VALUE;
    }
    memcpy(&c, r->payload, sizeof(c));
    c.reserved0 = c.reserved1 = NULL;
    CUresult rc = vg_copy_check(x, &c);
    if (rc == CUDA_SUCCESS)
        rc = vg_own_stream(x, stream);
    if (rc == CUDA_SUCCESS)
        rc = vg_graph_copy(x, x->cuda.cuMemcpy3DAsync_v2(&c, stream), &c, stream);
    if (rc != CUDA_SUCCESS || vg_own_is_capturing(x, stream))
        clear_stage(x, stage);
    else
        release_stage(x, stream, stage);
    return answer(x, r, rc, stream);
}
