/* SPDX-License-Identifier: MIT */
/* See bounce.h. */
#include "mediator/executor/bounce.h"

#include <stdlib.h>
#include <string.h>

#include "mediator/executor/executor.h"
#include "mediator/executor/graph_copy.h"
#include "vg_bulk.h"

/* ---- What it is made of ---- */

static CUresult make_chunks(struct vg_exec *x, uint8_t *memory)
{
    struct vg_bounce *b = &x->bounce;
    CUresult rc = CUDA_SUCCESS;

    for (unsigned i = 0; i < VG_BOUNCE_CHUNKS && rc == CUDA_SUCCESS; i++) {
        struct vg_bounce_chunk *c = &b->chunk[i];
        *c = (struct vg_bounce_chunk){.at = memory + (size_t)i * VG_BOUNCE_BYTES};
        rc = x->cuda.cuEventCreate(&c->idle, CU_EVENT_DISABLE_TIMING);
        if (rc == CUDA_SUCCESS)
            rc = x->cuda.cuEventCreate(&c->filled, CU_EVENT_DISABLE_TIMING);
    }
    return rc;
}

/* What a failure leaves behind ends with the context. */
static CUresult make(struct vg_exec *x)
{
    struct vg_bounce *b = &x->bounce;
    void *memory;
    CUresult rc = x->cuda.cuMemHostAlloc(&memory, VG_BOUNCE_CHUNKS * VG_BOUNCE_BYTES,
                                         CU_MEMHOSTALLOC_PORTABLE);

    if (rc == CUDA_SUCCESS)
        rc = make_chunks(x, memory);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuStreamCreate(&b->beside, CU_STREAM_NON_BLOCKING);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuEventCreate(&b->here, CU_EVENT_DISABLE_TIMING);
    return rc;
}

static bool is_ready(struct vg_exec *x)
{
    struct vg_bounce *b = &x->bounce;

    if (!b->ctx && !b->refused) {
        CUresult rc = make(x);
        b->refused = rc != CUDA_SUCCESS;
        b->ctx = b->refused ? NULL : x->home;
        if (b->refused)
            vg_log(x, "event=no_bounce result=%d", (int)rc);
    }
    return b->ctx && b->ctx == x->home;
}

void vg_bounce_end(struct vg_exec *x, CUcontext ctx)
{
    if (x->bounce.ctx == ctx || x->bounce.refused)
        memset(&x->bounce, 0, sizeof(x->bounce));
}

bool vg_bounce_applies(const struct vg_exec *x, const void *p, uint64_t bytes, CUstream stream)
{
    return x->pins.refused && vg_pins_is_refused(x, (uintptr_t)p, bytes) &&
           !vg_own_is_capturing(x, stream);
}

/* ---- On this thread ---- */

/* One that nothing uses, not even the GPU. */
static struct vg_bounce_chunk *find_idle(struct vg_exec *x)
{
    struct vg_bounce *b = &x->bounce;

    for (unsigned n = 0; n < VG_BOUNCE_CHUNKS; n++) {
        struct vg_bounce_chunk *c = &b->chunk[b->next++ % VG_BOUNCE_CHUNKS];
        if (!c->lent && x->cuda.cuEventQuery(c->idle) == CUDA_SUCCESS)
            return c;
    }
    return NULL;
}

bool vg_bounce_at_once(struct vg_exec *x, CUdeviceptr dst, const void *src, uint64_t bytes,
                       CUstream stream, CUresult *ret)
{
    struct vg_bounce_chunk *c;

    if (bytes > VG_BOUNCE_BYTES || !is_ready(x) || !(c = find_idle(x)))
        return false;
    vg_bulk_copy(c->at, src, bytes);
    if (!vg_graph_copy_in(x, dst, c->at, bytes, stream, ret))
        *ret = x->cuda.cuMemcpyHtoDAsync_v2(dst, c->at, bytes, stream);
    if (*ret == CUDA_SUCCESS)
        *ret = x->cuda.cuEventRecord(c->idle, stream);
    return true;
}

void vg_bounce_landed(struct vg_bounce_chunk *c, CUresult rc)
{
    if (rc == CUDA_SUCCESS)
        vg_bulk_copy(c->dst, c->at, c->bytes);
    c->lent = false;
}

bool vg_bounce_answer(struct vg_exec *x, struct vg_req *r, void *dst, CUdeviceptr src,
                      uint64_t bytes, CUstream stream, CUresult *ret)
{
    struct vg_bounce_chunk *c;

    if (bytes > VG_BOUNCE_BYTES || !is_ready(x) || !(c = find_idle(x)))
        return false;
    if (!vg_graph_copy_out(x, c->at, src, bytes, stream, ret))
        *ret = x->cuda.cuMemcpyDtoHAsync_v2(c->at, src, bytes, stream);
    if (*ret != CUDA_SUCCESS)
        return true;
    c->dst = dst;
    c->bytes = bytes;
    c->lent = true;
    *ret = vg_wait_chunk(x, r, stream, c);
    return true;
}

/* ---- Beside ---- */

struct move {
    void *dst;
    const void *src;
    uint64_t bytes;
};

/* The driver's thread. */
static void CUDA_CB carry_out(void *arg)
{
    struct move *m = arg;

    vg_bulk_copy(m->dst, m->src, m->bytes);
    free(m);
}

static CUresult move_beside(struct vg_exec *x, void *dst, const void *src, uint64_t bytes)
{
    struct move *m = malloc(sizeof(*m));

    if (!m)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *m = (struct move){dst, src, bytes};
    CUresult rc = x->cuda.cuLaunchHostFunc(x->bounce.beside, carry_out, m);
    if (rc != CUDA_SUCCESS)
        free(m);
    return rc;
}

/* Stream b goes on when stream a has come here. */
static CUresult hand_over(struct vg_exec *x, CUevent event, CUstream a, CUstream b)
{
    CUresult rc = x->cuda.cuEventRecord(event, a);

    return rc ? rc : x->cuda.cuStreamWaitEvent(b, event, 0);
}

/* The next in turn that no wait has; NULL: they have all. */
static struct vg_bounce_chunk *take_turn(struct vg_exec *x)
{
    struct vg_bounce *b = &x->bounce;

    for (unsigned n = 0; n < VG_BOUNCE_CHUNKS; n++) {
        struct vg_bounce_chunk *c = &b->chunk[b->next++ % VG_BOUNCE_CHUNKS];
        if (!c->lent)
            return c;
    }
    return NULL;
}

/*
 * The first chunk, or NULL: not this way. While the guest runs a host function the driver may
 * have no thread for ours, and that function may wait for this copy.
 */
static struct vg_bounce_chunk *begin_beside(struct vg_exec *x)
{
    return is_ready(x) && !vg_callback_is_running(&x->callbacks) ? take_turn(x) : NULL;
}

static CUresult piece_in(struct vg_exec *x, struct vg_bounce_chunk *c, CUdeviceptr dst,
                         const void *src, uint64_t bytes, CUstream stream)
{
    CUresult rc = x->cuda.cuStreamWaitEvent(x->bounce.beside, c->idle, 0);

    if (rc == CUDA_SUCCESS)
        rc = move_beside(x, c->at, src, bytes);
    if (rc == CUDA_SUCCESS)
        rc = hand_over(x, c->filled, x->bounce.beside, stream);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuMemcpyHtoDAsync_v2(dst, c->at, bytes, stream);
    return rc ? rc : x->cuda.cuEventRecord(c->idle, stream);
}

static CUresult piece_out(struct vg_exec *x, struct vg_bounce_chunk *c, void *dst, CUdeviceptr src,
                          uint64_t bytes, CUstream stream)
{
    CUresult rc = x->cuda.cuStreamWaitEvent(stream, c->idle, 0);

    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuMemcpyDtoHAsync_v2(c->at, src, bytes, stream);
    if (rc == CUDA_SUCCESS)
        rc = hand_over(x, c->filled, stream, x->bounce.beside);
    if (rc == CUDA_SUCCESS)
        rc = move_beside(x, dst, c->at, bytes);
    return rc ? rc : x->cuda.cuEventRecord(c->idle, x->bounce.beside);
}

bool vg_bounce_in(struct vg_exec *x, CUdeviceptr dst, const void *src, uint64_t bytes,
                  CUstream stream, CUresult *ret)
{
    struct vg_bounce_chunk *c = begin_beside(x);

    if (!c)
        return false;
    /* What the stream has still to do may write the source. */
    *ret = hand_over(x, x->bounce.here, stream, x->bounce.beside);
    for (uint64_t at = 0, n; at < bytes && *ret == CUDA_SUCCESS; at += n, c = take_turn(x)) {
        n = bytes - at < VG_BOUNCE_BYTES ? bytes - at : VG_BOUNCE_BYTES;
        *ret = piece_in(x, c, dst + at, (const uint8_t *)src + at, n, stream);
    }
    return true;
}

bool vg_bounce_out(struct vg_exec *x, void *dst, CUdeviceptr src, uint64_t bytes, CUstream stream,
                   CUresult *ret)
{
    struct vg_bounce_chunk *c = begin_beside(x);

    if (!c)
        return false;
    *ret = CUDA_SUCCESS;
    for (uint64_t at = 0, n; at < bytes && *ret == CUDA_SUCCESS; at += n, c = take_turn(x)) {
        n = bytes - at < VG_BOUNCE_BYTES ? bytes - at : VG_BOUNCE_BYTES;
        *ret = piece_out(x, c, (uint8_t *)dst + at, src + at, n, stream);
    }
    if (*ret == CUDA_SUCCESS)
        *ret = hand_over(x, x->bounce.here, x->bounce.beside, stream);
    return true;
}
