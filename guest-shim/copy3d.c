/* SPDX-License-Identifier: MIT */
/*
 * Copies of boxes: 2D and 3D, pitched. Ends that the executor reaches go as one
 * record; ordinary memory is packed row by row into staging chunks and travels in
 * slabs. Arrays are boxes by handle instead of address.
 */
#include <string.h>

#include "guest-shim/array.h"
#include "guest-shim/call.h"
#include "guest-shim/copy.h"
#include "guest-shim/state.h"
#include "guest-shim/transfer.h"
#include "vg_api.h"

/* One end: rows of `pitch` bytes, slices of `rows` rows, the box beginning at (x, y, z). */
struct end {
    uintptr_t base;
    CUarray array;              /* instead of base, pitch and rows */
    size_t x, y, z, pitch, rows;
    enum vg_end kind;
    bool on_device;                 /* the caller says so */
};

struct box {
    struct end dst, src;
    size_t width, height, depth;    /* bytes, rows, slices */
    uint64_t stream;
    bool wait;
};

static uintptr_t row_at(const struct end *e, size_t y, size_t z)
{
    return e->base + ((e->z + z) * e->rows + e->y + y) * e->pitch + e->x;
}

/* ---- checking -------------------------------------------------------------------- */

static CUresult set_end(struct end *e, CUmemorytype type, const void *host, CUdeviceptr device,
                        CUarray array)
{
    switch (type) {
    case CU_MEMORYTYPE_HOST:
        e->base = (uintptr_t)host;
        return CUDA_SUCCESS;
    case CU_MEMORYTYPE_DEVICE:
    case CU_MEMORYTYPE_UNIFIED:
        e->base = device;
        e->on_device = type == CU_MEMORYTYPE_DEVICE;
        return CUDA_SUCCESS;
    case CU_MEMORYTYPE_ARRAY:
        e->array = array;
        return array ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

static size_t longest_pitch(void)
{
    return (size_t)vg_device(vg_ctx_current()->dev)->attr[CU_DEVICE_ATTRIBUTE_MAX_PITCH];
}

static bool fits(size_t at, size_t n, size_t size)
{
    return n <= size && at <= size - n;
}

static CUresult check_array(struct end *e, const struct box *b)
{
    struct vg_array_shape s;

    e->kind = VG_END_ARRAY;
    if (!vg_array_shape(e->array, &s))
        return CUDA_ERROR_INVALID_VALUE;
    /* Parts of a texel are bytes like others. */
    if (s.element == 0)
        return CUDA_SUCCESS;
    if (!fits(e->x, b->width, s.width * s.element) || !fits(e->y, b->height, s.height) ||
        !fits(e->z, b->depth, s.depth))
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

static CUresult check_end(struct end *e, const struct box *b)
{
    if (e->array)
        return check_array(e, b);
    if (e->pitch > longest_pitch())
        return CUDA_ERROR_INVALID_VALUE;
    if (e->pitch == 0)
        e->pitch = e->x + b->width;
    if (e->rows == 0)
        e->rows = e->y + b->height;
    if (!e->base || e->pitch < e->x + b->width || (b->depth > 1 && e->rows < e->y + b->height))
        return CUDA_ERROR_INVALID_VALUE;
    uintptr_t first = row_at(e, 0, 0);
    uintptr_t last = row_at(e, b->height - 1, b->depth - 1) + b->width;
    e->kind = last < first ? VG_END_BAD : vg_end_of(first, last - first);
    if (e->kind == VG_END_BAD || (e->on_device && !vg_mem_on_gpu(first, last - first)))
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* ---- one record ------------------------------------------------------------------ */

static CUmemorytype type_of(const struct end *e)
{
    if (e->kind == VG_END_ARRAY)
        return CU_MEMORYTYPE_ARRAY;
    return e->kind == VG_END_GPU ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
}

static void fill_src(CUDA_MEMCPY3D *c, const struct end *e)
{
    c->srcXInBytes = e->x;
    c->srcY = e->y;
    c->srcZ = e->z;
    c->srcPitch = e->pitch;
    c->srcHeight = e->rows;
    c->srcMemoryType = type_of(e);
    c->srcArray = e->array;
    if (e->array)
        return;
    if (e->kind == VG_END_GPU)
        c->srcDevice = e->base;
    else
        c->srcHost = vg_process.base + vg_end_off(e->base);
}

static void fill_dst(CUDA_MEMCPY3D *c, const struct end *e)
{
    c->dstXInBytes = e->x;
    c->dstY = e->y;
    c->dstZ = e->z;
    c->dstPitch = e->pitch;
    c->dstHeight = e->rows;
    c->dstMemoryType = type_of(e);
    c->dstArray = e->array;
    if (e->array)
        return;
    if (e->kind == VG_END_GPU)
        c->dstDevice = e->base;
    else
        c->dstHost = vg_process.base + vg_end_off(e->base);
}

/* lent: the chunk that is the source, until the host clears its word. NULL: none is. */
static CUresult send(const CUDA_MEMCPY3D *c, uint64_t stream, const struct vg_stage *lent,
                     bool wait)
{
    struct vg_tx tx;
    CUresult r = wait ? vg_begin_reply(&tx, VG_CALL_COPY_3D, sizeof(*c))
                      : vg_begin(&tx, VG_CALL_COPY_3D, sizeof(*c));

    if (r != CUDA_SUCCESS)
        return r;
    if (lent)
        vg_stage_lend(lent);
    tx.call->arg[0] = stream;
    tx.call->arg[1] = lent ? lent->index + 1 : 0;
    memcpy(tx.payload, c, sizeof(*c));
    return wait ? vg_finish(&tx, NULL) : vg_post(&tx);
}

static bool on_gpu(const struct end *e)
{
    return e->kind == VG_END_GPU || e->kind == VG_END_ARRAY;
}

static CUresult copy_direct(const struct box *b)
{
    CUDA_MEMCPY3D c = {.WidthInBytes = b->width, .Height = b->height, .Depth = b->depth};

    fill_src(&c, &b->src);
    fill_dst(&c, &b->dst);
    return send(&c, b->stream, NULL, b->wait && !(on_gpu(&b->src) && on_gpu(&b->dst)));
}

/* ---- slabs ----------------------------------------------------------------------- */

/* What goes in one chunk: rows of a slice, or a piece of one row. From the box's corner. */
struct slab {
    size_t x, y, z;
    size_t width, rows;
};

static CUDA_MEMCPY3D copy_of(const struct slab *s)
{
    return (CUDA_MEMCPY3D){.WidthInBytes = s->width, .Height = s->rows, .Depth = 1};
}

static bool is_last(const struct box *b, const struct slab *s)
{
    return s->x + s->width == b->width && s->y + s->rows == b->height && s->z + 1 == b->depth;
}

/* The bytes are there when a synchronous copy returns: so its last slab is waited for. */
static CUresult slab_in(const struct box *b, struct vg_stage *stage, const struct slab *s)
{
    CUDA_MEMCPY3D c = copy_of(s);

    for (size_t i = 0; i < s->rows; i++)
        memcpy(stage->bytes + i * s->width, (void *)(row_at(&b->src, s->y + i, s->z) + s->x),
               s->width);
    c.srcMemoryType = CU_MEMORYTYPE_HOST;
    c.srcHost = stage->bytes;
    c.srcPitch = s->width;
    c.srcHeight = s->rows;
    fill_dst(&c, &b->dst);
    c.dstXInBytes += s->x;
    c.dstY += s->y;
    c.dstZ += s->z;
    CUresult r = send(&c, b->stream, stage, b->wait && is_last(b, s));
    if (vg_process.lost)
        vg_stage_release(stage);
    else
        vg_stage_unhold(stage);
    return r;
}

static CUresult slab_out(const struct box *b, struct vg_stage *stage, const struct slab *s)
{
    CUDA_MEMCPY3D c = copy_of(s);

    fill_src(&c, &b->src);
    c.srcXInBytes += s->x;
    c.srcY += s->y;
    c.srcZ += s->z;
    c.dstMemoryType = CU_MEMORYTYPE_HOST;
    c.dstHost = stage->bytes;
    c.dstPitch = s->width;
    c.dstHeight = s->rows;
    CUresult r = send(&c, b->stream, NULL, true);
    for (size_t i = 0; r == CUDA_SUCCESS && i < s->rows; i++)
        memcpy((void *)(row_at(&b->dst, s->y + i, s->z) + s->x), stage->bytes + i * s->width,
               s->width);
    vg_stage_release(stage);
    return r;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* As much as fits; a chunk's size is a multiple of every element's, so none is cut in two. */
static void size_slab(struct slab *s, const struct box *b, size_t chunk)
{
    bool whole = s->x == 0 && b->width <= chunk;

    s->width = whole ? b->width : smaller(b->width - s->x, chunk);
    s->rows = whole ? smaller(chunk / b->width, b->height - s->y) : 1;
}

static void step_slab(struct slab *s, const struct box *b)
{
    s->x += s->width;
    if (s->x < b->width)
        return;
    s->x = 0;
    s->y += s->rows;
}

static CUresult copy_slice(const struct box *b, size_t z, bool in)
{
    CUresult first = CUDA_SUCCESS;

    for (struct slab s = {.z = z}; s.y < b->height; step_slab(&s, b)) {
        struct vg_stage stage;
        CUresult r = vg_stage_acquire(&stage);
        if (r != CUDA_SUCCESS)
            return r;
        size_slab(&s, b, stage.size);
        r = in ? slab_in(b, &stage, &s) : slab_out(b, &stage, &s);
        if (first == CUDA_SUCCESS)
            first = r;
        if (vg_process.lost)
            break;
    }
    return first;
}

static CUresult copy_slabs(const struct box *b, bool in)
{
    CUresult first = CUDA_SUCCESS;

    for (size_t z = 0; z < b->depth && !vg_process.lost; z++) {
        CUresult r = copy_slice(b, z, in);
        if (first == CUDA_SUCCESS)
            first = r;
    }
    return first;
}

static CUresult copy_in(const struct box *b)
{
    CUresult before;

    if (!vg_copy_settle(b->stream, b->wait, &before))
        return before;
    CUresult r = copy_slabs(b, true);
    return before ? before : r;
}

/* ---- dispatch -------------------------------------------------------------------- */

static CUresult copy_on_host(const struct box *b)
{
    CUresult r = vg_sync(VG_SYNC_STREAM, b->stream);

    for (size_t z = 0; r == CUDA_SUCCESS && z < b->depth; z++) {
        for (size_t y = 0; y < b->height; y++)
            memmove((void *)row_at(&b->dst, y, z), (void *)row_at(&b->src, y, z), b->width);
    }
    return r;
}

static bool dense(const struct end *e, const struct box *b)
{
    return !e->array && (b->height == 1 || e->pitch == b->width) &&
           (b->depth == 1 || e->rows == b->height);
}

/* A copy from or to ordinary memory that is to become a node of a graph. */
static bool capture_box(const struct box *b, CUresult *ret_result)
{
    CUDA_MEMCPY3D c = {.WidthInBytes = b->width, .Height = b->height, .Depth = b->depth};

    fill_src(&c, &b->src);
    fill_dst(&c, &b->dst);
    if (b->src.kind != VG_END_GPU)
        c.srcHost = (const void *)b->src.base;
    if (b->dst.kind != VG_END_GPU)
        c.dstHost = (void *)b->dst.base;
    return vg_transfer_capture(&c, b->stream, ret_result);
}

static CUresult copy_box(struct box *b)
{
    if (b->width == 0 || b->height == 0 || b->depth == 0)
        return CUDA_SUCCESS;
    CUresult r = check_end(&b->dst, b);
    if (r == CUDA_SUCCESS)
        r = check_end(&b->src, b);
    if (r != CUDA_SUCCESS)
        return r;
    bool plain = b->src.kind == VG_END_PLAIN || b->dst.kind == VG_END_PLAIN;
    if (plain && !b->wait && capture_box(b, &r))
        return r;
    if (!on_gpu(&b->dst) && !on_gpu(&b->src))
        return copy_on_host(b);
    if (dense(&b->dst, b) && dense(&b->src, b))
        return vg_copy(row_at(&b->dst, 0, 0), row_at(&b->src, 0, 0),
                       b->width * b->height * b->depth, b->stream, b->wait);
    if (b->src.kind == VG_END_PLAIN)
        return copy_in(b);
    if (b->dst.kind == VG_END_PLAIN)
        return copy_slabs(b, false);
    return copy_direct(b);
}

static CUresult run(struct box *b, CUstream stream, bool wait)
{
    CUresult r = vg_stream(stream, &b->stream);

    if (r != CUDA_SUCCESS)
        return r;
    b->wait = wait;
    r = copy_box(b);
    if (wait)
        vg_console_drain();
    return r;
}

/* ---- entry points ---------------------------------------------------------------- */

#define ENDS_OF_2D(c)                                                                    \
    .dst = {.x = (c)->dstXInBytes, .y = (c)->dstY, .pitch = (c)->dstPitch},              \
    .src = {.x = (c)->srcXInBytes, .y = (c)->srcY, .pitch = (c)->srcPitch},              \
    .width = (c)->WidthInBytes, .height = (c)->Height

static CUresult copy_2d(const CUDA_MEMCPY2D *c, CUstream stream, bool wait)
{
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    if (!c)
        return CUDA_ERROR_INVALID_VALUE;
    struct box b = {ENDS_OF_2D(c), .depth = 1};
    r = set_end(&b.dst, c->dstMemoryType, c->dstHost, c->dstDevice, c->dstArray);
    if (r == CUDA_SUCCESS)
        r = set_end(&b.src, c->srcMemoryType, c->srcHost, c->srcDevice, c->srcArray);
    return r == CUDA_SUCCESS ? run(&b, stream, wait) : r;
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *pCopy)
{
    return copy_2d(pCopy, NULL, true);
}

CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *pCopy)
{
    return copy_2d(pCopy, NULL, true);
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
    return copy_2d(pCopy, hStream, false);
}

static CUresult copy_3d(const CUDA_MEMCPY3D *c, CUstream stream, bool wait)
{
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    if (!c)
        return CUDA_ERROR_INVALID_VALUE;
    struct box b = {ENDS_OF_2D(c), .depth = c->Depth};
    b.dst.z = c->dstZ;
    b.dst.rows = c->dstHeight;
    b.src.z = c->srcZ;
    b.src.rows = c->srcHeight;
    r = set_end(&b.dst, c->dstMemoryType, c->dstHost, c->dstDevice, c->dstArray);
    if (r == CUDA_SUCCESS)
        r = set_end(&b.src, c->srcMemoryType, c->srcHost, c->srcDevice, c->srcArray);
    return r == CUDA_SUCCESS ? run(&b, stream, wait) : r;
}

CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D *pCopy)
{
    return copy_3d(pCopy, NULL, true);
}

CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
    return copy_3d(pCopy, hStream, false);
}

/* The two structs differ only in what stands where the contexts are. */
static CUresult copy_3d_peer(const CUDA_MEMCPY3D_PEER *p, CUstream stream, bool wait)
{
    CUDA_MEMCPY3D c;

    if (!p)
        return CUDA_ERROR_INVALID_VALUE;
    if ((p->srcContext && !vg_ctx_find(p->srcContext)) ||
        (p->dstContext && !vg_ctx_find(p->dstContext)))
        return CUDA_ERROR_INVALID_CONTEXT;
    memcpy(&c, p, sizeof(c));
    c.reserved0 = c.reserved1 = NULL;
    return copy_3d(&c, stream, wait);
}

CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *pCopy)
{
    return copy_3d_peer(pCopy, NULL, true);
}

CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream)
{
    return copy_3d_peer(pCopy, hStream, false);
}
