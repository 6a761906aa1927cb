/* SPDX-License-Identifier: MIT */
/* See bounce.h. */
#include "mediator/executor/bounce.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mediator/executor/executor.h"
#include "mediator/executor/graph_copy.h"
#include "vg_bulk.h"

/* ---- Lanes ---- */

/* The mover's two words, on a page and lines of their own, and then the chunks. */
#define WORDS       4096u
#define DONE_WORD   64u
#define LANE_MEMORY (WORDS + VG_BOUNCE_CHUNKS * (size_t)VG_BOUNCE_BYTES)
#define FLAGS       (CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP)

/* The stream beside says that it has come to this move, and waits until it is done. */
static CUresult meet(struct vg_exec *x, struct vg_bounce_lane *l, uint32_t move)
{
    CUstreamBatchMemOpParams op[2];

    memset(op, 0, sizeof(op));
    op[0].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
    op[0].writeValue.address = (uintptr_t)l->moves.reached;
    op[0].writeValue.value = move;
    op[1].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
    op[1].waitValue.address = (uintptr_t)l->moves.done;
    op[1].waitValue.value = move;
    op[1].waitValue.flags = CU_STREAM_WAIT_VALUE_GEQ;
    return x->cuda.cuStreamBatchMemOp_v2(l->beside, 2, op, 0);
}

static CUresult make_events(struct vg_exec *x, struct vg_bounce_lane *l)
{
    CUresult rc = x->cuda.cuEventCreate(&l->here, CU_EVENT_DISABLE_TIMING);

    for (unsigned i = 0; i < VG_BOUNCE_CHUNKS && rc == CUDA_SUCCESS; i++) {
        struct vg_bounce_chunk *c = &l->chunk[i];
        c->at = l->memory + WORDS + (size_t)i * VG_BOUNCE_BYTES;
        rc = x->cuda.cuEventCreate(&c->idle, CU_EVENT_DISABLE_TIMING);
        if (rc == CUDA_SUCCESS)
            rc = x->cuda.cuEventCreate(&c->filled, CU_EVENT_DISABLE_TIMING);
    }
    return rc;
}

/*
 * In the home context, which outlives its green ones. What a failure leaves behind in the driver,
 * but for the registration, ends with it.
 */
static CUresult make_lane(struct vg_exec *x, struct vg_bounce_lane *l)
{
    CUresult rc = x->cuda.cuCtxSetCurrent(x->home);

    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuMemHostRegister_v2(l->memory, LANE_MEMORY, FLAGS);
    if (rc != CUDA_SUCCESS)
        return rc;
    l->moves.reached = (uint32_t *)(void *)l->memory;
    l->moves.done = (uint32_t *)(void *)(l->memory + DONE_WORD);
    rc = x->cuda.cuStreamCreate(&l->beside, CU_STREAM_NON_BLOCKING);
    if (rc == CUDA_SUCCESS)
        rc = make_events(x, l);
    if (rc == CUDA_SUCCESS)
        rc = meet(x, l, 0); /* which is done: whether the driver has such operations */
    if (rc != CUDA_SUCCESS)
        x->cuda.cuMemHostUnregister(l->memory);
    return rc;
}

static void free_lane(struct vg_bounce_lane *l)
{
    vg_mover_drop(&l->moves);
    if (l->memory != MAP_FAILED)
        munmap(l->memory, LANE_MEMORY);
    free(l);
}

/* Memory of our own and not the driver's: the mover may look there after the context has ended. */
static struct vg_bounce_lane *new_lane(struct vg_exec *x)
{
    struct vg_bounce_lane *l = calloc(1, sizeof(*l));
    CUresult rc = CUDA_ERROR_OUT_OF_MEMORY;

    if (!l)
        return NULL;
    l->memory = mmap(NULL, LANE_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (l->memory != MAP_FAILED)
        rc = make_lane(x, l);
    x->cuda.cuCtxSetCurrent(x->ctx);
    if (rc == CUDA_SUCCESS)
        return l;
    vg_log(x, "event=no_bounce result=%d", (int)rc);
    x->bounce.refused = true;
    free_lane(l);
    return NULL;
}

static bool is_idle(struct vg_exec *x, const struct vg_bounce_chunk *c)
{
    return !c->lent && x->cuda.cuEventQuery(c->idle) == CUDA_SUCCESS;
}

static bool lane_is_idle(struct vg_exec *x, const struct vg_bounce_lane *l)
{
    unsigned i = 0;

    while (i < VG_BOUNCE_CHUNKS && is_idle(x, &l->chunk[i]))
        i++;
    return i == VG_BOUNCE_CHUNKS && vg_mover_is_idle(&l->moves);
}

static struct vg_bounce_lane *find_lane(struct vg_exec *x, CUstream stream)
{
    const struct vg_bounce *b = &x->bounce;

    for (unsigned i = 0; i < b->count; i++)
        if (b->lane[i]->stream == stream)
            return b->lane[i];
    for (unsigned i = 0; i < b->count; i++)
        if (lane_is_idle(x, b->lane[i]))
            return b->lane[i];
    return NULL;
}

/* NULL: there is none for this stream. */
static struct vg_bounce_lane *lane_of(struct vg_exec *x, CUstream stream)
{
    struct vg_bounce *b = &x->bounce;

    if (b->ctx && b->ctx != x->home)
        return NULL;
    struct vg_bounce_lane *l = find_lane(x, stream);
    if (!l && !b->refused && b->count < VG_BOUNCE_LANES && (l = new_lane(x)) != NULL) {
        b->ctx = x->home;
        b->lane[b->count++] = l;
    }
    if (l)
        l->stream = stream;
    return l;
}

void vg_bounce_fini(struct vg_bounce *b)
{
    for (unsigned i = 0; i < b->count; i++)
        free_lane(b->lane[i]);
    memset(b, 0, sizeof(*b));
}

void vg_bounce_end(struct vg_exec *x, CUcontext ctx)
{
    if (!x->bounce.ctx || x->bounce.ctx == ctx)
        vg_bounce_fini(&x->bounce);
}

bool vg_bounce_applies(const struct vg_exec *x, const void *p, uint64_t bytes, CUstream stream)
{
    return x->pins.refused && vg_pins_is_refused(x, (uintptr_t)p, bytes) &&
           !vg_own_is_capturing(x, stream);
}

/* ---- On this thread ---- */

/* One that nothing uses, not even the GPU. */
static struct vg_bounce_chunk *find_idle(struct vg_exec *x, CUstream stream)
{
    struct vg_bounce_lane *l = lane_of(x, stream);

    for (unsigned n = 0; l && n < VG_BOUNCE_CHUNKS; n++) {
        struct vg_bounce_chunk *c = &l->chunk[l->next++ % VG_BOUNCE_CHUNKS];
        if (is_idle(x, c))
            return c;
    }
    return NULL;
}

bool vg_bounce_at_once(struct vg_exec *x, CUdeviceptr dst, const void *src, uint64_t bytes,
                       CUstream stream, CUresult *ret)
{
    struct vg_bounce_chunk *c;

    if (bytes > VG_BOUNCE_BYTES || !(c = find_idle(x, stream)))
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

/* The event is for a wait that ends before the copy, as those of a green context do with it. */
bool vg_bounce_answer(struct vg_exec *x, struct vg_req *r, void *dst, CUdeviceptr src,
                      uint64_t bytes, CUstream stream, CUresult *ret)
{
    struct vg_bounce_chunk *c;

    if (bytes > VG_BOUNCE_BYTES || !(c = find_idle(x, stream)))
        return false;
    if (!vg_graph_copy_out(x, c->at, src, bytes, stream, ret))
        *ret = x->cuda.cuMemcpyDtoHAsync_v2(c->at, src, bytes, stream);
    if (*ret == CUDA_SUCCESS)
        *ret = x->cuda.cuEventRecord(c->idle, stream);
    if (*ret != CUDA_SUCCESS)
        return true;
    c->dst = dst;
    c->bytes = bytes;
    c->lent = true;
    *ret = vg_wait_chunk(x, r, stream, c);
    return true;
}

/* ---- Beside ---- */

/* What goes through one chunk: rows of so many bytes, each a step behind the one before. */
struct part {
    bool in;
    uint8_t *host;
    uint64_t bytes, rows, step;
    CUdeviceptr device;       /* the other side ... */
    const CUDA_MEMCPY3D *box; /* ... or, not NULL, that of this copy, from here on: */
    uint64_t x, y, z;
};

static CUresult copy_linear(struct vg_exec *x, const struct part *p, uint8_t *chunk,
                            CUstream stream)
{
    return p->in ? x->cuda.cuMemcpyHtoDAsync_v2(p->device, chunk, p->bytes, stream)
                 : x->cuda.cuMemcpyDtoHAsync_v2(chunk, p->device, p->bytes, stream);
}

/* The GPU's half: between the chunk, where rows are dense, and its own memory. */
static CUresult copy_gpu(struct vg_exec *x, const struct part *p, uint8_t *chunk, CUstream stream)
{
    CUDA_MEMCPY3D c;

    if (!p->box)
        return copy_linear(x, p, chunk, stream);
    c = *p->box;
    c.WidthInBytes = p->bytes;
    c.Height = p->rows;
    c.Depth = 1;
    if (p->in) {
        c.srcHost = chunk;
        c.srcXInBytes = c.srcY = c.srcZ = 0;
        c.srcPitch = p->bytes;
        c.srcHeight = p->rows;
        c.dstXInBytes += p->x, c.dstY += p->y, c.dstZ += p->z;
    } else {
        c.dstHost = chunk;
        c.dstXInBytes = c.dstY = c.dstZ = 0;
        c.dstPitch = p->bytes;
        c.dstHeight = p->rows;
        c.srcXInBytes += p->x, c.srcY += p->y, c.srcZ += p->z;
    }
    return x->cuda.cuMemcpy3DAsync_v2(&c, stream);
}

static CUresult move_beside(struct vg_exec *x, struct vg_bounce_lane *l, const struct part *p,
                            uint8_t *chunk)
{
    const struct vg_move_box box = {
        .dst = p->in ? chunk : p->host, .dst_step = p->in ? p->bytes : p->step,
        .src = p->in ? p->host : chunk, .src_step = p->in ? p->step : p->bytes,
        .bytes = p->bytes, .rows = p->rows,
    };

    if (!vg_mover_give(&l->moves, &box))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult rc = meet(x, l, l->moves.count);
    if (rc != CUDA_SUCCESS)
        vg_mover_take_back(&l->moves);
    return rc;
}

/* Stream b goes on when stream a has come here. */
static CUresult hand_over(struct vg_exec *x, CUevent event, CUstream a, CUstream b)
{
    CUresult rc = x->cuda.cuEventRecord(event, a);

    return rc ? rc : x->cuda.cuStreamWaitEvent(b, event, 0);
}

/* The next in turn that no wait has; NULL: they have all. */
static struct vg_bounce_chunk *take_turn(struct vg_bounce_lane *l)
{
    for (unsigned n = 0; n < VG_BOUNCE_CHUNKS; n++) {
        struct vg_bounce_chunk *c = &l->chunk[l->next++ % VG_BOUNCE_CHUNKS];
        if (!c->lent)
            return c;
    }
    return NULL;
}

static CUresult part_in(struct vg_exec *x, struct vg_bounce_lane *l, const struct part *p)
{
    struct vg_bounce_chunk *c = take_turn(l);
    CUresult rc = x->cuda.cuStreamWaitEvent(l->beside, c->idle, 0);

    if (rc == CUDA_SUCCESS)
        rc = move_beside(x, l, p, c->at);
    if (rc == CUDA_SUCCESS)
        rc = hand_over(x, c->filled, l->beside, l->stream);
    if (rc == CUDA_SUCCESS)
        rc = copy_gpu(x, p, c->at, l->stream);
    return rc ? rc : x->cuda.cuEventRecord(c->idle, l->stream);
}

static CUresult part_out(struct vg_exec *x, struct vg_bounce_lane *l, const struct part *p)
{
    struct vg_bounce_chunk *c = take_turn(l);
    CUresult rc = x->cuda.cuStreamWaitEvent(l->stream, c->idle, 0);

    if (rc == CUDA_SUCCESS)
        rc = copy_gpu(x, p, c->at, l->stream);
    if (rc == CUDA_SUCCESS)
        rc = hand_over(x, c->filled, l->stream, l->beside);
    if (rc == CUDA_SUCCESS)
        rc = move_beside(x, l, p, c->at);
    return rc ? rc : x->cuda.cuEventRecord(c->idle, l->beside);
}

/* The lane, or NULL: not this way. What the stream has still to do may write the source. */
static struct vg_bounce_lane *begin(struct vg_exec *x, CUstream stream, bool in, CUresult *ret)
{
    struct vg_bounce_lane *l = x->alone ? NULL : lane_of(x, stream);

    if (!l || !take_turn(l))
        return NULL;
    *ret = in ? hand_over(x, l->here, stream, l->beside) : CUDA_SUCCESS;
    return l;
}

static CUresult end(struct vg_exec *x, struct vg_bounce_lane *l, bool in, CUresult rc)
{
    return in || rc != CUDA_SUCCESS ? rc : hand_over(x, l->here, l->beside, l->stream);
}

static bool copy_line(struct vg_exec *x, struct part p, uint64_t bytes, CUstream stream,
                      CUresult *ret)
{
    struct vg_bounce_lane *l = begin(x, stream, p.in, ret);

    if (!l)
        return false;
    for (uint64_t left = bytes; left > 0 && *ret == CUDA_SUCCESS; left -= p.bytes) {
        p.bytes = left < VG_BOUNCE_BYTES ? left : VG_BOUNCE_BYTES;
        *ret = p.in ? part_in(x, l, &p) : part_out(x, l, &p);
        p.host += p.bytes;
        p.device += p.bytes;
    }
    *ret = end(x, l, p.in, *ret);
    return true;
}

bool vg_bounce_in(struct vg_exec *x, CUdeviceptr dst, const void *src, uint64_t bytes,
                  CUstream stream, CUresult *ret)
{
    const struct part p = {.in = true, .host = (uint8_t *)(uintptr_t)src, .rows = 1, .device = dst};

    return copy_line(x, p, bytes, stream, ret);
}

bool vg_bounce_out(struct vg_exec *x, void *dst, CUdeviceptr src, uint64_t bytes, CUstream stream,
                   CUresult *ret)
{
    const struct part p = {.in = false, .host = dst, .rows = 1, .device = src};

    return copy_line(x, p, bytes, stream, ret);
}

/* ---- Pitched ---- */

/* The host's side of a copy. */
struct plane {
    uint8_t *first;
    uint64_t pitch, slice;
};

static struct plane host_side(const CUDA_MEMCPY3D *c, bool in)
{
    uint8_t *base = in ? (uint8_t *)(uintptr_t)c->srcHost : c->dstHost;
    uint64_t x = in ? c->srcXInBytes : c->dstXInBytes, y = in ? c->srcY : c->dstY;
    uint64_t z = in ? c->srcZ : c->dstZ, pitch = in ? c->srcPitch : c->dstPitch;
    uint64_t slice = pitch * (in ? c->srcHeight : c->dstHeight);

    return (struct plane){base + z * slice + y * pitch + x, pitch, slice};
}

/* Rows to a part, and bytes of each: all of a row, if a chunk holds that much. */
static struct part first_part(const CUDA_MEMCPY3D *c, bool in)
{
    uint64_t bytes = c->WidthInBytes < VG_BOUNCE_BYTES ? c->WidthInBytes : VG_BOUNCE_BYTES;
    uint64_t rows = VG_BOUNCE_BYTES / bytes;

    return (struct part){.in = in, .bytes = bytes, .rows = rows < c->Height ? rows : c->Height,
                         .box = c};
}

static bool has_few_parts(const CUDA_MEMCPY3D *c, const struct part *p)
{
    uint64_t in_row = (c->WidthInBytes + p->bytes - 1) / p->bytes;
    uint64_t in_slice = (c->Height + p->rows - 1) / p->rows;

    return in_row <= VG_BOUNCE_PARTS && in_slice <= VG_BOUNCE_PARTS / in_row &&
           c->Depth <= VG_BOUNCE_PARTS / in_row / in_slice;
}

static CUresult copy_parts(struct vg_exec *x, struct vg_bounce_lane *l, const struct part *first)
{
    const CUDA_MEMCPY3D *c = first->box;
    const struct plane h = host_side(c, first->in);
    struct part p = *first;
    CUresult rc = CUDA_SUCCESS;

    p.step = h.pitch;
    for (p.z = 0; p.z < c->Depth; p.z++)
        for (p.y = 0; p.y < c->Height; p.y += p.rows)
            for (p.x = 0; p.x < c->WidthInBytes && rc == CUDA_SUCCESS; p.x += p.bytes) {
                uint64_t right = c->WidthInBytes - p.x, below = c->Height - p.y;
                p.bytes = right < first->bytes ? right : first->bytes;
                p.rows = below < first->rows ? below : first->rows;
                p.host = h.first + p.z * h.slice + p.y * h.pitch + p.x;
                rc = p.in ? part_in(x, l, &p) : part_out(x, l, &p);
            }
    return rc;
}

bool vg_bounce_box(struct vg_exec *x, const CUDA_MEMCPY3D *c, CUstream stream, CUresult *ret)
{
    bool in = c->srcMemoryType == CU_MEMORYTYPE_HOST;
    struct vg_bounce_lane *l;

    if (in == (c->dstMemoryType == CU_MEMORYTYPE_HOST))
        return false;
    const struct part first = first_part(c, in);
    if (!has_few_parts(c, &first) || !(l = begin(x, stream, in, ret)))
        return false;
    if (*ret == CUDA_SUCCESS)
        *ret = end(x, l, in, copy_parts(x, l, &first));
    return true;
}
