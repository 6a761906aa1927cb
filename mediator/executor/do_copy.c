/* SPDX-License-Identifier: MIT */
/*
 * Bodies: linear copies. Host memory is always the region's, or a private copy of the
 * payload; device memory is what the guest owns. Serve thread.
 */
#include "mediator/executor/args.h"
#include "mediator/executor/capture.h"
#include "mediator/executor/copy.h"
#include "mediator/executor/graph_copy.h"
#include "vg_atomic.h"

/* A copy with an answer is answered when it is complete; a captured one never runs here. */
CUresult vg_copy_answer(struct vg_exec *x, struct vg_req *r, CUresult rc, CUstream stream)
{
    if (r->later || rc != CUDA_SUCCESS || !(r->call.flags & VG_F_REPLY) || vg_own_is_capturing(x, stream))
        return rc;
    rc = vg_wait_stream(x, r, stream);
    /* No room for an event, say: after the answer the guest uses that memory for something else. */
    if (rc != CUDA_SUCCESS)
        x->cuda.cuStreamSynchronize(stream);
    return rc;
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

void vg_copy_stage_end(struct vg_exec *x, CUstream stream, uint64_t stage, CUresult rc)
{
    if (rc != CUDA_SUCCESS || vg_own_is_capturing(x, stream))
        clear_stage(x, stage);
    else
        release_stage(x, stream, stage);
}

bool vg_copy_stage_ok(struct vg_req *r, uint64_t stage)
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

    if (!vg_copy_stage_ok(r, w[1]))
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
    const uint8_t *from = src;
    CUresult rc = CUDA_SUCCESS;

    if (vg_graph_copy_in(x, dst, src, bytes, stream, &rc))
        return rc;
    if (may_change && vg_own_is_capturing(x, stream))
        from = vg_capture_copy(x, stream, src, bytes);
    if (!from)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (vg_bounce_applies(x, from, bytes, stream) && vg_bounce_in(x, dst, from, bytes, stream, &rc))
        return rc;
    for (uint64_t at = 0, n; at < bytes && rc == CUDA_SUCCESS; at += n) {
        n = vg_pins_reach(x, (uintptr_t)from + at, bytes - at);
        rc = x->cuda.cuMemcpyHtoDAsync_v2(dst + at, from + at, n, stream);
    }
    return rc;
}

static CUresult copy_out(struct vg_exec *x, struct vg_req *r, void *dst, CUdeviceptr src,
                         uint64_t bytes, CUstream stream)
{
    uint8_t *to = dst;
    CUresult rc = CUDA_SUCCESS;

    if (vg_graph_copy_out(x, to, src, bytes, stream, &rc))
        return rc;
    if (vg_bounce_applies(x, to, bytes, stream)) {
        if (r->call.flags & VG_F_REPLY && vg_bounce_answer(x, r, to, src, bytes, stream, &rc))
            return rc;
        if (vg_bounce_out(x, to, src, bytes, stream, &rc))
            return rc;
    }
    for (uint64_t at = 0, n; at < bytes && rc == CUDA_SUCCESS; at += n) {
        n = vg_pins_reach(x, (uintptr_t)to + at, bytes - at);
        rc = x->cuda.cuMemcpyDtoHAsync_v2(to + at, src + at, n, stream);
    }
    return rc;
}

CUresult vg_do_COPY_IN(struct vg_exec *x, struct vg_req *r)
{
    const uint64_t *w = r->call.arg;
    CUstream stream = (CUstream)(uintptr_t)w[3];
    const void *src = vg_guest_data(&x->guest, w[1], w[2]);
    bool at_once = false;

    if (!vg_copy_stage_ok(r, w[4]))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = src ? vg_own_range(x, w[0], w[2]) : CUDA_ERROR_INVALID_VALUE;
    if (rc == CUDA_SUCCESS)
        rc = vg_own_stream(x, stream);
    if (rc == CUDA_SUCCESS && w[4] && vg_bounce_applies(x, src, w[2], stream) &&
        vg_bounce_at_once(x, w[0], src, w[2], stream, &rc))
        at_once = true;
    else if (rc == CUDA_SUCCESS)
        rc = copy_in(x, w[0], src, w[2], stream, w[4] != 0);
    if (at_once)
        clear_stage(x, w[4]);
    else
        vg_copy_stage_end(x, stream, w[4], rc);
    VG_STAT_ADD(x, bytes_in, rc == CUDA_SUCCESS ? w[2] : 0);
    vg_hist_add(&x->stats->copy_bytes, w[2], rc == CUDA_SUCCESS);
    return vg_copy_answer(x, r, rc, stream);
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
        rc = copy_out(x, r, dst, w[0], w[2], stream);
    VG_STAT_ADD(x, bytes_out, rc == CUDA_SUCCESS ? w[2] : 0);
    vg_hist_add(&x->stats->copy_bytes, w[2], rc == CUDA_SUCCESS);
    return vg_copy_answer(x, r, rc, stream);
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
    return vg_copy_answer(x, r, rc, stream);
}

/* Either side may be pinned memory of the region, where only the unified copy is right. */
static CUresult copy_any(struct vg_exec *x, const struct vg_args_cuMemcpyDtoDAsync_v2 *a)
{
    CUresult rc = CUDA_SUCCESS;

    for (uint64_t at = 0, n; at < a->ByteCount && rc == CUDA_SUCCESS; at += n) {
        n = vg_pins_reach(x, a->dstDevice + at, a->ByteCount - at);
        n = vg_pins_reach(x, a->srcDevice + at, n);
        rc = x->cuda.cuMemcpyAsync(a->dstDevice + at, a->srcDevice + at, n, a->hStream);
    }
    return rc;
}

static CUresult copy_between(struct vg_exec *x, struct vg_req *r,
                             const struct vg_args_cuMemcpyDtoDAsync_v2 *a)
{
    CUresult rc;

    if (vg_guest_owns(&x->guest, a->dstDevice, 1) || vg_guest_owns(&x->guest, a->srcDevice, 1))
        rc = copy_any(x, a);
    else
        rc = x->cuda.cuMemcpyDtoDAsync_v2(a->dstDevice, a->srcDevice, a->ByteCount, a->hStream);
    return vg_copy_answer(x, r, rc, a->hStream);
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
