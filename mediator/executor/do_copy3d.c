/* SPDX-License-Identifier: MIT */
/*
 * Bodies: pitched copies, and the check of a copy that a graph's node makes. Host memory
 * is always the region's; device memory is what the guest owns. Serve thread.
 */
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/copy.h"
#include "mediator/executor/graph_copy.h"
#include "mediator/executor/node.h"

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

/* What stands for the pitch of an array means nothing. */
static struct side without_pitch(struct side s)
{
    if (s.type == CU_MEMORYTYPE_ARRAY)
        s.pitch = s.height = 0;
    return s;
}

static struct side source(const CUDA_MEMCPY3D *c)
{
    return without_pitch((struct side){c->srcMemoryType, c->srcHost, c->srcDevice, c->srcArray,
                                       c->srcXInBytes, c->srcY, c->srcZ, c->srcPitch,
                                       c->srcHeight});
}

static struct side target(const CUDA_MEMCPY3D *c)
{
    return without_pitch((struct side){c->dstMemoryType, c->dstHost, c->dstDevice, c->dstArray,
                                       c->dstXInBytes, c->dstY, c->dstZ, c->dstPitch,
                                       c->dstHeight});
}

CUresult vg_copy_check(struct vg_exec *x, const CUDA_MEMCPY3D *c)
{
    const struct side src = source(c), dst = target(c);

    if (!c->WidthInBytes || !c->Height || !c->Depth)
        return CUDA_SUCCESS;
    CUresult rc = check_side(x, &src, c);
    return rc ? rc : check_side(x, &dst, c);
}

/* ---- Seams of the region (pin.h) ---- */

/*
 * How many bytes of the first row one copy may name. Whole: the driver takes it as it is. That
 * looks at all from where a side begins to the end of the pitch of its last row.
 */
static uint64_t reach(const struct vg_exec *x, const struct side *s, const CUDA_MEMCPY3D *c,
                      bool *ret_whole)
{
    uint64_t base = s->type == CU_MEMORYTYPE_HOST ? (uintptr_t)s->host : s->device;
    uint64_t height = s->height ? s->height : s->y + c->Height;
    uint64_t pitch = s->pitch ? s->pitch : s->x + c->WidthInBytes, end = 0;

    *ret_whole = true;
    if (s->type == CU_MEMORYTYPE_ARRAY || !extent(s, c, &end))
        return c->WidthInBytes;
    uint64_t first = (s->z * height + s->y) * pitch + s->x, row = s->x + c->WidthInBytes;
    end += pitch > row ? pitch - row : 0;
    *ret_whole = vg_pins_reach(x, base, end) == end;
    return vg_pins_reach(x, base + first, c->WidthInBytes);
}

bool vg_copy_is_whole(const struct vg_exec *x, const CUDA_MEMCPY3D *c)
{
    const struct side src = source(c), dst = target(c);
    bool src_whole, dst_whole;

    if (!c->WidthInBytes || !c->Height || !c->Depth)
        return true;
    reach(x, &src, c, &src_whole);
    reach(x, &dst, c, &dst_whole);
    return src_whole && dst_whole;
}

/* Rows that overlap the driver refuses, and there is no end to the parts of such. */
static bool is_plain(const CUDA_MEMCPY3D *c)
{
    return c->srcPitch >= c->srcXInBytes + c->WidthInBytes &&
           c->dstPitch >= c->dstXInBytes + c->WidthInBytes &&
           c->srcHeight >= c->srcY + c->Height && c->dstHeight >= c->dstY + c->Height;
}

/* What a copy leaves to be deduced says it of the whole, not of its parts. */
static void spell_out(CUDA_MEMCPY3D *c)
{
    if (c->srcMemoryType == CU_MEMORYTYPE_ARRAY)
        c->srcPitch = c->srcHeight = 0;
    if (c->dstMemoryType == CU_MEMORYTYPE_ARRAY)
        c->dstPitch = c->dstHeight = 0;
    c->srcPitch = c->srcPitch ? c->srcPitch : c->srcXInBytes + c->WidthInBytes;
    c->dstPitch = c->dstPitch ? c->dstPitch : c->dstXInBytes + c->WidthInBytes;
    c->srcHeight = c->srcHeight ? c->srcHeight : c->srcY + c->Height;
    c->dstHeight = c->dstHeight ? c->dstHeight : c->dstY + c->Height;
}

/* Where the side begins, so that nothing lies before it: at its own first byte. */
static uint64_t rebase_side(uint64_t *at, size_t *in_row, size_t *row, size_t *slice, size_t pitch,
                            size_t height)
{
    *at += (*slice * height + *row) * pitch + *in_row;
    *in_row = *row = *slice = 0;
    return *at;
}

/* A part is told by its own first byte, and a row without the gap behind it. */
static void rebase(CUDA_MEMCPY3D *c)
{
    uint64_t src = c->srcMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->srcHost : c->srcDevice;
    uint64_t dst = c->dstMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->dstHost : c->dstDevice;

    if (c->srcMemoryType != CU_MEMORYTYPE_ARRAY)
        c->srcDevice = rebase_side(&src, &c->srcXInBytes, &c->srcY, &c->srcZ, c->srcPitch,
                                   c->srcHeight);
    if (c->dstMemoryType != CU_MEMORYTYPE_ARRAY)
        c->dstDevice = rebase_side(&dst, &c->dstXInBytes, &c->dstY, &c->dstZ, c->dstPitch,
                                   c->dstHeight);
    c->srcHost = (const void *)(uintptr_t)src;
    c->dstHost = (void *)(uintptr_t)dst;
    if (c->Depth == 1)
        c->srcHeight = c->dstHeight = c->Height;
    if (c->Height > 1 || c->Depth > 1)
        return;
    c->srcPitch = c->dstPitch = c->WidthInBytes;
}

/* The driver takes the part, which is rebased: see there. */
static bool is_one(const struct vg_exec *x, const CUDA_MEMCPY3D *c)
{
    uint64_t src = c->Depth * c->srcHeight * c->srcPitch, dst = c->Depth * c->dstHeight * c->dstPitch;

    return (c->srcMemoryType == CU_MEMORYTYPE_ARRAY || vg_pins_reach(x, c->srcDevice, src) == src) &&
           (c->dstMemoryType == CU_MEMORYTYPE_ARRAY || vg_pins_reach(x, c->dstDevice, dst) == dst);
}

/* Makes *a the first part of it and *b the rest: of slices, of rows, of the bytes of one row. */
static void halve(const struct vg_exec *x, CUDA_MEMCPY3D *a, CUDA_MEMCPY3D *b)
{
    const struct side src = source(a), dst = target(a);
    size_t *part = a->Depth > 1 ? &a->Depth : a->Height > 1 ? &a->Height : &a->WidthInBytes;
    size_t n = *part / 2, at_src, at_dst;
    bool whole;

    *b = *a;
    if (part == &a->WidthInBytes) {
        at_src = reach(x, &src, a, &whole);
        at_dst = reach(x, &dst, a, &whole);
        n = at_src < at_dst ? at_src : at_dst;
        b->WidthInBytes -= n, b->srcXInBytes += n, b->dstXInBytes += n;
    } else if (part == &a->Height) {
        b->Height -= n, b->srcY += n, b->dstY += n;
    } else {
        b->Depth -= n, b->srcZ += n, b->dstZ += n;
    }
    *part = n;
}

static CUresult copy_part(struct vg_exec *x, CUDA_MEMCPY3D *c, CUstream stream)
{
    CUDA_MEMCPY3D rest;

    rebase(c);
    if (is_one(x, c))
        return x->cuda.cuMemcpy3DAsync_v2(c, stream);
    halve(x, c, &rest);
    CUresult rc = copy_part(x, c, stream);
    return rc == CUDA_SUCCESS ? copy_part(x, &rest, stream) : rc;
}

/* Memory that the driver would not register (bounce.h). */
static bool is_hidden(const struct vg_exec *x, const CUDA_MEMCPY3D *c, CUstream stream)
{
    const struct side side[2] = {source(c), target(c)};
    bool hidden = false;
    uint64_t bytes;

    for (unsigned i = 0; i < 2; i++)
        hidden |= side[i].type == CU_MEMORYTYPE_HOST && extent(&side[i], c, &bytes) &&
                  vg_bounce_applies(x, side[i].host, bytes, stream);
    return hidden;
}

static CUresult copy_box(struct vg_exec *x, const CUDA_MEMCPY3D *c, CUstream stream)
{
    CUDA_MEMCPY3D whole = *c;
    CUresult rc;

    if (vg_graph_copy(x, c, stream, &rc))
        return rc;
    spell_out(&whole);
    if (x->pins.refused && c->WidthInBytes && c->Height && c->Depth && is_plain(&whole) &&
        is_hidden(x, c, stream) && vg_bounce_box(x, &whole, stream, &rc))
        return rc;
    if (vg_copy_is_whole(x, c))
        return x->cuda.cuMemcpy3DAsync_v2(c, stream);
    return is_plain(&whole) ? copy_part(x, &whole, stream) : CUDA_ERROR_INVALID_VALUE;
}

CUresult vg_do_COPY_3D(struct vg_exec *x, struct vg_req *r)
{
    CUstream stream = (CUstream)(uintptr_t)r->call.arg[0];
    uint64_t stage = r->call.arg[1];
    CUDA_MEMCPY3D c;

    if (!vg_copy_stage_ok(r, stage) || r->call.payload_len != sizeof(c)) {
        r->breach = r->breach ? r->breach : "malformed copy";
        return CUDA_ERROR_INVALID_VALUE;
    }
    memcpy(&c, r->payload, sizeof(c));
    c.reserved0 = c.reserved1 = NULL;
    CUresult rc = vg_copy_check(x, &c);
    if (rc == CUDA_SUCCESS)
        rc = vg_own_stream(x, stream);
    if (rc == CUDA_SUCCESS)
        rc = copy_box(x, &c, stream);
    vg_copy_stage_end(x, stream, stage, rc);
    return vg_copy_answer(x, r, rc, stream);
}
