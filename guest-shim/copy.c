/* SPDX-License-Identifier: MIT */
/*
 * Linear copies. Small ones ride in the ring; ordinary memory goes through staging
 * chunks, several in flight; pinned memory is named by its place in the region and
 * never copied by the CPU.
 */
#include "guest-shim/copy.h"

#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/capture.h"
#include "guest-shim/flow.h"
#include "guest-shim/fwd.h"
#include "guest-shim/state.h"
#include "guest-shim/transfer.h"
#include "vg_api.h"
#include "vg_bulk.h"

#define INLINE_MAX   (16u << 10)    /* bytes; beyond this a second copy costs more than a chunk */
#define OUT_PIECES   4u             /* pieces of one copy to ordinary memory in flight */

/* Measured on an H200's host (tests/client/ways.c), as is when to stream. */
#define SHORT_PIECE  (256u << 10)   /* bytes; of copies that are to overlap with themselves */
#define SHORT_COPY   (2u << 20)     /* bytes; up to here */
#define STREAM_IN_MAX (64u << 20)   /* bytes; beyond, memory is slower than plain stores are */

enum vg_end vg_end_of(uintptr_t p, size_t bytes)
{
    struct vg_mem m;

    if (!vg_mem_find_run(p, bytes, &m))
        return VG_END_PLAIN;
    if (bytes > m.base + m.size - p)
        return VG_END_BAD;
    if (vg_mem_is(&m, VG_MEM_ON_GPU))
        return VG_END_GPU;
    return vg_mem_is(&m, VG_MEM_SHARED) ? VG_END_SHARED : VG_END_PLAIN;
}

uint64_t vg_end_off(uintptr_t p)
{
    struct vg_mem m;

    return vg_mem_find(p, &m) ? m.off + (p - m.base) : 0;
}

/* What the link to the GPU needs for so many bytes, near 50 GB/s and with some slack. */
static uint32_t expected_us(size_t bytes)
{
    return (uint32_t)(bytes < 1ull << 40 ? bytes / 40000 + 10 : 0);
}

static CUresult begin_copy(struct vg_tx *tx, uint32_t id, size_t payload, bool wait)
{
    return wait ? vg_begin_reply(tx, id, payload) : vg_begin(tx, id, payload);
}

/* wait: until the bytes have arrived, and all that was before them in the stream is done. */
static CUresult end_copy(struct vg_tx *tx, uint64_t stream, size_t bytes, bool wait)
{
    if (!wait)
        return vg_post(tx);
    tx->expect_us = expected_us(bytes);
    CUresult r = vg_finish(tx, NULL);
    if (r == CUDA_SUCCESS)
        vg_sync_found_idle(stream, tx);
    return r;
}

/* arg[3] is the stream. */
static CUresult ask_copy(uint32_t id, const uint64_t *arg, unsigned count, size_t bytes)
{
    struct vg_tx tx;
    CUresult r = vg_begin_reply(&tx, id, 0);

    if (r != CUDA_SUCCESS)
        return r;
    memcpy(tx.call->arg, arg, count * sizeof(*arg));
    return end_copy(&tx, arg[3], bytes, true);
}

/* ---- to the GPU ------------------------------------------------------------------ */

static CUresult in_inline(CUdeviceptr dst, const void *src, size_t bytes, uint64_t stream, bool wait)
{
    struct vg_tx tx;
    CUresult r = begin_copy(&tx, VG_CALL_COPY_INLINE, bytes, wait);

    if (r != CUDA_SUCCESS)
        return r;
    tx.call->arg[0] = dst;
    tx.call->arg[1] = stream;
    memcpy(tx.payload, src, bytes);
    r = end_copy(&tx, stream, bytes, wait);
    return wait ? r : vg_flow_gave(stream, 1, r);
}

static size_t piece_of(size_t total, size_t left, const struct vg_stage *stage)
{
    size_t most = total <= SHORT_COPY && stage->size > SHORT_PIECE ? SHORT_PIECE : stage->size;

    return left < most ? left : most;
}

static CUresult in_piece(CUdeviceptr dst, size_t bytes, uint64_t stream,
                         const struct vg_stage *stage, bool wait)
{
    struct vg_tx tx;

    vg_stage_lend(stage);
    CUresult r = begin_copy(&tx, VG_CALL_COPY_IN, 0, wait);
    if (r != CUDA_SUCCESS) {
        vg_stage_release(stage);
        return r;
    }
    tx.call->arg[0] = dst;
    tx.call->arg[1] = vg_window_off(stage->bytes);
    tx.call->arg[2] = bytes;
    tx.call->arg[3] = stream;
    tx.call->arg[4] = stage->index + 1;
    r = end_copy(&tx, stream, bytes, wait);
    vg_stage_unhold(stage);
    return r;
}

/* A latched error of an earlier call does not stop the pieces: it is returned at the end. */
static CUresult in_staged(CUdeviceptr dst, const uint8_t *src, size_t bytes, uint64_t stream,
                          bool wait)
{
    const size_t total = bytes;
    CUresult first = CUDA_SUCCESS;

    while (bytes) {
        struct vg_stage stage;
        CUresult r = vg_stage_acquire(&stage);
        if (r != CUDA_SUCCESS)
            return r;
        size_t n = piece_of(total, bytes, &stage);
        if (total <= STREAM_IN_MAX)
            vg_bulk_copy(stage.bytes, src, n);
        else
            memcpy(stage.bytes, src, n);
        r = in_piece(dst, n, stream, &stage, wait && n == bytes);
        if (r != CUDA_SUCCESS && first == CUDA_SUCCESS)
            first = r;
        if (vg_process.lost)
            return vg_process.lost;
        dst += n;
        src += n;
        bytes -= n;
    }
    return first;
}

static CUresult in_shared(CUdeviceptr dst, uintptr_t src, size_t bytes, uint64_t stream, bool wait)
{
    uint64_t off = vg_end_off(src);

    if (wait)
        return ask_copy(VG_CALL_COPY_IN, VG_WORDS(dst, off, bytes, stream, 0), bytes);
    return vg_flow_gave(stream, 1,
                        vg_call_post(VG_CALL_COPY_IN, VG_WORDS(dst, off, bytes, stream, 0)));
}

/* The legacy stream is never captured, and a wait for it breaks no more than the copy does. */
static bool may_settle(uint64_t stream)
{
    return stream == 0 || !vg_capture_possible();
}

bool vg_copy_settle(uint64_t stream, bool wait, CUresult *ret_error)
{
    *ret_error = wait && may_settle(stream) ? vg_sync(VG_SYNC_STREAM, stream) : CUDA_SUCCESS;
    return *ret_error == CUDA_SUCCESS || vg_sticky() == CUDA_SUCCESS;
}

static CUresult in_plain(CUdeviceptr dst, const void *src, size_t bytes, uint64_t stream, bool wait)
{
    CUresult before, r;

    if (!vg_copy_settle(stream, wait, &before))
        return before;
    /* In a graph's copy the executor may need memory that the GPU reaches (its graph_copy.h). */
    if (bytes <= INLINE_MAX && !vg_tls.in_callback)
        r = in_inline(dst, src, bytes, stream, wait);
    else
        r = in_staged(dst, src, bytes, stream, wait);
    return before ? before : r;
}

static CUresult copy_in(CUdeviceptr dst, const void *src, enum vg_end from, size_t bytes,
                        uint64_t stream, bool wait)
{
    if (from == VG_END_SHARED)
        return in_shared(dst, (uintptr_t)src, bytes, stream, wait);
    return in_plain(dst, src, bytes, stream, wait);
}

/* ---- from the GPU ---------------------------------------------------------------- */

struct piece {
    struct vg_tx tx;
    struct vg_stage stage;
    uint8_t *dst;
    size_t bytes;
    bool is_long;           /* a piece of a copy that fits no cache */
};

static CUresult out_send(struct piece *p, CUdeviceptr src, uint64_t stream)
{
    CUresult r = vg_begin_reply(&p->tx, VG_CALL_COPY_OUT, 0);

    if (r != CUDA_SUCCESS)
        return r;
    p->tx.call->arg[0] = src;
    p->tx.call->arg[1] = vg_window_off(p->stage.bytes);
    p->tx.call->arg[2] = p->bytes;
    p->tx.call->arg[3] = stream;
    p->tx.expect_us = expected_us(p->bytes);
    vg_send(&p->tx);
    return CUDA_SUCCESS;
}

static CUresult out_receive(struct piece *p, uint64_t stream)
{
    CUresult r = vg_wait(&p->tx, NULL);

    if (r == CUDA_SUCCESS)
        vg_sync_found_idle(stream, &p->tx);
    if (r == CUDA_SUCCESS && p->is_long)
        vg_bulk_copy(p->dst, p->stage.bytes, p->bytes);
    else if (r == CUDA_SUCCESS)
        memcpy(p->dst, p->stage.bytes, p->bytes);
    vg_stage_release(&p->stage);
    return r;
}

/* A queue of pieces: as many under way as there are chunks to be had without waiting. */
static CUresult out_staged(uint8_t *dst, CUdeviceptr src, size_t bytes, uint64_t stream)
{
    const size_t total = bytes;
    struct piece piece[OUT_PIECES];
    unsigned sent = 0, received = 0;
    CUresult first = CUDA_SUCCESS;

    while (bytes || received < sent) {
        struct piece *p = &piece[sent % OUT_PIECES];
        bool more = bytes && first == CUDA_SUCCESS && sent - received < OUT_PIECES;
        if (more && sent == received)
            first = vg_stage_acquire(&p->stage);
        else if (more)
            more = vg_stage_try(&p->stage);
        if (more && first == CUDA_SUCCESS) {
            p->dst = dst;
            p->bytes = piece_of(total, bytes, &p->stage);
            p->is_long = total > SHORT_COPY;
            first = out_send(p, src, stream);
            if (first != CUDA_SUCCESS) {
                vg_stage_release(&p->stage);
                continue;
            }
            dst += p->bytes;
            src += p->bytes;
            bytes -= p->bytes;
            sent++;
            continue;
        }
        if (received == sent)
            break;
        CUresult r = out_receive(&piece[received++ % OUT_PIECES], stream);
        if (first == CUDA_SUCCESS)
            first = r;
    }
    return first;
}

/* A few bytes, of a number that is read back: they take no chunk, which takes two locks. */
static CUresult out_small(void *dst, CUdeviceptr src, size_t bytes, uint64_t stream, uint8_t *places)
{
    struct vg_tx tx;
    CUresult r = vg_begin_reply(&tx, VG_CALL_COPY_OUT, 0);

    if (r != CUDA_SUCCESS)
        return r;
    tx.from = places + (size_t)tx.cell * VG_REPLY_MAX;
    tx.to = dst;
    tx.bytes = bytes;
    tx.call->arg[0] = src;
    tx.call->arg[1] = vg_window_off(tx.from);
    tx.call->arg[2] = bytes;
    tx.call->arg[3] = stream;
    tx.expect_us = expected_us(bytes);
    r = vg_finish(&tx, NULL);
    if (r == CUDA_SUCCESS)
        vg_sync_found_idle(stream, &tx);
    return r;
}

static CUresult out_shared(uintptr_t dst, CUdeviceptr src, size_t bytes, uint64_t stream, bool wait)
{
    uint64_t off = vg_end_off(dst);

    if (wait)
        return ask_copy(VG_CALL_COPY_OUT, VG_WORDS(src, off, bytes, stream), bytes);
    return vg_flow_gave(stream, 1,
                        vg_call_post(VG_CALL_COPY_OUT, VG_WORDS(src, off, bytes, stream)));
}

static CUresult copy_out(void *dst, enum vg_end to, CUdeviceptr src, size_t bytes, uint64_t stream,
                         bool wait)
{
    uint8_t *places = to != VG_END_SHARED && bytes <= VG_REPLY_MAX ? vg_stage_places() : NULL;
    CUresult r;

    if (to == VG_END_SHARED)
        r = out_shared((uintptr_t)dst, src, bytes, stream, wait);
    else if (places)
        r = out_small(dst, src, bytes, stream, places);
    else
        r = out_staged(dst, src, bytes, stream);
    if (wait)
        vg_console_drain();
    return r;
}

/* ---- any to any ------------------------------------------------------------------ */

static CUresult copy_on_gpu(uintptr_t dst, uintptr_t src, size_t bytes, uint64_t stream, bool wait)
{
    CUresult r = vg_flow_gave(stream, 1, vg_call_post(VG_CALL_cuMemcpyDtoDAsync_v2,
                                                      VG_WORDS(dst, src, bytes, stream)));

    if (r != CUDA_SUCCESS || !wait)
        return r;
    return vg_sync(VG_SYNC_STREAM, stream);
}

/* Host to host, in stream order: after everything the stream still has to do. */
static CUresult copy_on_host(uintptr_t dst, uintptr_t src, size_t bytes, uint64_t stream)
{
    CUresult r = vg_sync(VG_SYNC_STREAM, stream);

    if (r == CUDA_SUCCESS)
        memmove((void *)dst, (const void *)src, bytes);
    return r;
}

static CUresult copy_ends(uintptr_t dst, enum vg_end to, uintptr_t src, enum vg_end from,
                          size_t bytes, uint64_t stream, bool wait)
{
    if (to == VG_END_BAD || from == VG_END_BAD)
        return CUDA_ERROR_INVALID_VALUE;
    if (to == VG_END_GPU && from == VG_END_GPU)
        return copy_on_gpu(dst, src, bytes, stream, wait && (vg_mem_syncs(dst) || vg_mem_syncs(src)));
    bool plain = to == VG_END_PLAIN || from == VG_END_PLAIN;
    CUresult r;
    if (plain && !wait && vg_transfer_capture_linear(dst, src, bytes, stream, &r))
        return r;
    if (to == VG_END_GPU)
        return copy_in(dst, (const void *)src, from, bytes, stream, wait);
    if (from == VG_END_GPU)
        return copy_out((void *)dst, to, src, bytes, stream, wait);
    if (to == VG_END_SHARED && from == VG_END_SHARED)
        return copy_on_gpu(dst, src, bytes, stream, wait);
    return copy_on_host(dst, src, bytes, stream);
}

/* Whether memory of graphs may be named now is the driver's to say, and the call's to return. */
static CUresult judged(CUresult r, uintptr_t dst, uintptr_t src)
{
    if (r || vg_tls.in_callback || (!vg_mem_is_graphs(dst) && !vg_mem_is_graphs(src)))
        return r;
    return vg_verdict();
}

CUresult vg_copy(uintptr_t dst, uintptr_t src, size_t bytes, uint64_t stream, bool wait)
{
    return judged(copy_ends(dst, vg_end_of(dst, bytes), src, vg_end_of(src, bytes), bytes, stream,
                            wait), dst, src);
}

/* ---- entry points ---------------------------------------------------------------- */

static CUresult copy_entry(uintptr_t dst, uintptr_t src, size_t bytes, CUstream hStream, bool wait)
{
    uint64_t stream;
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    r = vg_stream(hStream, &stream);
    if (r != CUDA_SUCCESS || bytes == 0)
        return r;
    if (!dst || !src)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_copy(dst, src, bytes, stream, wait);
}

CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
    return copy_entry(dst, src, ByteCount, NULL, true);
}

CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream)
{
    return copy_entry(dst, src, ByteCount, hStream, false);
}

/* The typed copies insist on their device end, as the driver does; before they look at the stream. */
static CUresult enter_typed(CUdeviceptr device, size_t bytes, CUstream hStream,
                            enum vg_end *ret_end, uint64_t *ret_stream)
{
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    *ret_end = bytes ? vg_end_of(device, bytes) : VG_END_GPU;
    if (*ret_end != VG_END_GPU && *ret_end != VG_END_SHARED)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_stream(hStream, ret_stream);
}

static CUresult copy_to_device(CUdeviceptr dst, const void *src, size_t bytes, CUstream hStream,
                               bool wait)
{
    enum vg_end to;
    uint64_t stream;
    CUresult r = enter_typed(dst, bytes, hStream, &to, &stream);

    if (r != CUDA_SUCCESS || bytes == 0)
        return r;
    if (!src)
        return CUDA_ERROR_INVALID_VALUE;
    return judged(copy_ends(dst, to, (uintptr_t)src, vg_end_of((uintptr_t)src, bytes), bytes, stream,
                            wait), dst, (uintptr_t)src);
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount)
{
    return copy_to_device(dstDevice, srcHost, ByteCount, NULL, true);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount,
                              CUstream hStream)
{
    return copy_to_device(dstDevice, srcHost, ByteCount, hStream, false);
}

static CUresult copy_to_host(void *dst, CUdeviceptr src, size_t bytes, CUstream hStream, bool wait)
{
    enum vg_end from;
    uint64_t stream;
    CUresult r = enter_typed(src, bytes, hStream, &from, &stream);

    if (r != CUDA_SUCCESS || bytes == 0)
        return r;
    if (!dst)
        return CUDA_ERROR_INVALID_VALUE;
    return judged(copy_ends((uintptr_t)dst, vg_end_of((uintptr_t)dst, bytes), src, from, bytes, stream,
                            wait), (uintptr_t)dst, src);
}

CUresult cuMemcpyDtoH_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount)
{
    return copy_to_host(dstHost, srcDevice, ByteCount, NULL, true);
}

CUresult cuMemcpyDtoHAsync_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount,
                              CUstream hStream)
{
    return copy_to_host(dstHost, srcDevice, ByteCount, hStream, false);
}

static CUresult post_on_device(VG_PARAMS(cuMemcpyDtoD_v2))
VG_POST_BODY(cuMemcpyDtoD_v2)

CUresult cuMemcpyDtoD_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount)
{
    return judged(post_on_device(dstDevice, srcDevice, ByteCount), dstDevice, srcDevice);
}

static CUresult post_on_device_async(VG_PARAMS(cuMemcpyDtoDAsync_v2))
VG_POST_BODY(cuMemcpyDtoDAsync_v2)

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount,
                              CUstream hStream)
{
    return judged(post_on_device_async(dstDevice, srcDevice, ByteCount, hStream), dstDevice,
                  srcDevice);
}

/* Between contexts of one process the addresses say it all. */
CUresult cuMemcpyPeer(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                      CUcontext srcContext, size_t ByteCount)
{
    return cuMemcpyPeerAsync(dstDevice, dstContext, srcDevice, srcContext, ByteCount, NULL);
}

CUresult cuMemcpyPeerAsync(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                           CUcontext srcContext, size_t ByteCount, CUstream hStream)
{
    if ((dstContext && !vg_ctx_find(dstContext)) || (srcContext && !vg_ctx_find(srcContext)))
        return CUDA_ERROR_INVALID_CONTEXT;
    return copy_to_device(dstDevice, (const void *)srcDevice, ByteCount, hStream, false);
}
