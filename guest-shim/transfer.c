/* SPDX-License-Identifier: MIT */
/* See transfer.h. */
#include "guest-shim/transfer.h"

#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/callback.h"
#include "guest-shim/capture.h"
#include "guest-shim/copy.h"
#include "guest-shim/lock.h"
#include "guest-shim/node.h"
#include "guest-shim/state.h"
#include "vg_api.h"
#include "vg_atomic.h"

struct transfer {
    CUDA_MEMCPY3D copy;             /* as the application gave it */
    struct vg_ctx *ctx;
    CUstream stream;                /* non-blocking: it must not wait for the one that runs us */
};

static uint32_t made;               /* transfers ever: 0 spares the question what a node is */

/* ---- ends ----------------------------------------------------------------------- */

/* Bytes from the base to behind the last one touched, 0 if that is no real size. */
static size_t reach(const CUDA_MEMCPY3D *c, size_t x, size_t y, size_t z, size_t pitch, size_t rows)
{
    size_t limit = (size_t)1 << 46;

    pitch = pitch ? pitch : x + c->WidthInBytes;
    rows = rows ? rows : y + c->Height;
    if (x > limit || y > limit || z > limit || pitch > limit || rows > limit ||
        c->WidthInBytes > limit || c->Height > limit || c->Depth > limit)
        return 0;
    unsigned __int128 last = (unsigned __int128)(z + c->Depth - 1) * rows + y + c->Height - 1;
    last = last * pitch + x + c->WidthInBytes;
    return last < limit ? (size_t)last : 0;
}

static bool is_empty(const CUDA_MEMCPY3D *c)
{
    return !c->WidthInBytes || !c->Height || !c->Depth;
}

struct end {
    CUmemorytype *type;
    uintptr_t base;
    size_t bytes;
};

/* *ret_host: the region's address of host memory there, 0 where nothing is to be renamed. */
static CUresult place_end(const struct end *e, uintptr_t *ret_host, bool *ret_transfer)
{
    *ret_host = 0;
    if (*e->type == CU_MEMORYTYPE_ARRAY)
        return CUDA_SUCCESS;
    if (!e->base || !e->bytes)
        return CUDA_ERROR_INVALID_VALUE;
    switch (vg_end_of(e->base, e->bytes)) {
    case VG_END_GPU:
        if (*e->type == CU_MEMORYTYPE_HOST)
            *e->type = CU_MEMORYTYPE_UNIFIED;
        return CUDA_SUCCESS;
    case VG_END_SHARED:
        *e->type = CU_MEMORYTYPE_HOST;
        *ret_host = (uintptr_t)vg_process.base + vg_end_off(e->base);
        return CUDA_SUCCESS;
    case VG_END_PLAIN:
        if (*e->type == CU_MEMORYTYPE_DEVICE)
            return CUDA_ERROR_INVALID_VALUE;
        *ret_transfer = true;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

static uintptr_t src_base(const CUDA_MEMCPY3D *c)
{
    return c->srcMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->srcHost : c->srcDevice;
}

static uintptr_t dst_base(const CUDA_MEMCPY3D *c)
{
    return c->dstMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->dstHost : c->dstDevice;
}

CUresult vg_transfer_place(CUDA_MEMCPY3D *c, bool *ret_moved, bool *ret_transfer)
{
    const struct end src = {&c->srcMemoryType, src_base(c),
                            reach(c, c->srcXInBytes, c->srcY, c->srcZ, c->srcPitch, c->srcHeight)};
    const struct end dst = {&c->dstMemoryType, dst_base(c),
                            reach(c, c->dstXInBytes, c->dstY, c->dstZ, c->dstPitch, c->dstHeight)};
    uintptr_t from, to;

    if (is_empty(c))
        return CUDA_SUCCESS;
    CUresult r = place_end(&src, &from, ret_transfer);
    if (!r)
        r = place_end(&dst, &to, ret_transfer);
    if (r)
        return r;
    *ret_moved = (from && from != src.base) || (to && to != dst.base);
    c->srcDevice = src.base;
    c->dstDevice = dst.base;
    if (from)
        c->srcHost = (const void *)from;
    if (to)
        c->dstHost = (void *)to;
    return CUDA_SUCCESS;
}

/* ---- running -------------------------------------------------------------------- */

/* The callback thread has no context of its own. */
static void run(void *data)
{
    const struct transfer *t = data;
    struct vg_ctx *was = vg_tls.ctx;

    vg_tls.ctx = t->ctx;
    if (cuMemcpy3DAsync_v2(&t->copy, t->stream) == CUDA_SUCCESS)
        cuStreamSynchronize(t->stream);
    vg_tls.ctx = was;
}

/* ---- making --------------------------------------------------------------------- */

/* One stream per context, for all transfers of it: the callback thread runs one at a time. */
struct lane {
    struct lane *next;
    struct vg_ctx *ctx;
    uint64_t epoch;
    CUstream stream;
};
static struct vg_lock lanes_lock;
static struct lane *lanes;

static CUresult lane_of(struct vg_ctx *ctx, CUstream *ret_stream)
{
    struct lane *l;
    CUresult r = CUDA_SUCCESS;

    vg_lock(&lanes_lock);
    for (l = lanes; l && (l->ctx != ctx || l->epoch != ctx->epoch);)
        l = l->next;
    vg_unlock(&lanes_lock);
    if (l) {
        *ret_stream = l->stream;
        return r;
    }
    l = calloc(1, sizeof(*l));
    r = l ? cuStreamCreate(&l->stream, CU_STREAM_NON_BLOCKING) : CUDA_ERROR_OUT_OF_MEMORY;
    if (r) {
        free(l);
        return r;
    }
    l->ctx = ctx;
    l->epoch = ctx->epoch;
    *ret_stream = l->stream;
    vg_lock(&lanes_lock);
    l->next = lanes;
    lanes = l;
    vg_unlock(&lanes_lock);
    return CUDA_SUCCESS;
}

static struct vg_ctx *context_of(CUcontext given)
{
    return given ? vg_ctx_find(given) : vg_enter_ctx() == CUDA_SUCCESS ? vg_ctx_current() : NULL;
}

static CUresult new_transfer(const CUDA_MEMCPY3D *c, CUcontext given, uint64_t *ret_cookie)
{
    struct vg_ctx *ctx = context_of(given);
    struct transfer *t;
    CUstream stream;

    if (!ctx)
        return CUDA_ERROR_INVALID_CONTEXT;
    struct vg_ctx *was = vg_tls.ctx;
    vg_tls.ctx = ctx;
    CUresult r = lane_of(ctx, &stream);
    vg_tls.ctx = was;
    if (r)
        return r;
    t = malloc(sizeof(*t));
    if (!t)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *t = (struct transfer){*c, ctx, stream};
    *ret_cookie = vg_callback_new_owning(run, t, free);
    if (!*ret_cookie) {
        free(t);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    vg_store_relaxed(&made, 1);
    return CUDA_SUCCESS;
}

CUresult vg_transfer_describe(CUgraphNodeParams *p, const CUDA_MEMCPY_NODE_PARAMS *copy,
                              uint64_t *ret_cookie)
{
    CUresult r = new_transfer(&copy->copyParams, copy->copyCtx, ret_cookie);

    if (r)
        return r;
    memset(p, 0, sizeof(*p));
    p->type = CU_GRAPH_NODE_TYPE_HOST;
    p->host.userData = (void *)(uintptr_t)*ret_cookie;
    return CUDA_SUCCESS;
}

void vg_transfer_drop(uint64_t cookie)
{
    CUhostFn fn;
    void *data;

    vg_callback_of(cookie, &fn, &data);
    free(data);
    vg_callback_drop(cookie);
}

bool vg_transfer_any(void)
{
    return vg_load_relaxed(&made) != 0;
}

bool vg_transfer_is(CUgraphNode node)
{
    struct vg_node_facts facts;

    if (!vg_transfer_any() ||
        vg_node_ask(VG_CALL_cuGraphMemcpyNodeGetParams, node, &facts) != CUDA_SUCCESS)
        return false;
    bool transfer = facts.transfer;
    vg_node_facts_fini(&facts);
    return transfer;
}

const CUDA_MEMCPY3D *vg_transfer_copy(uint64_t cookie)
{
    CUhostFn fn;
    void *data;

    vg_callback_of(cookie, &fn, &data);
    return &((const struct transfer *)data)->copy;
}

void vg_transfer_params(uint64_t cookie, CUDA_MEMCPY_NODE_PARAMS *ret_params)
{
    CUhostFn fn;
    void *data;

    vg_callback_of(cookie, &fn, &data);
    memset(ret_params, 0, sizeof(*ret_params));
    ret_params->copyCtx = ((const struct transfer *)data)->ctx->handle;
    ret_params->copyParams = ((const struct transfer *)data)->copy;
}

/* ---- captured copies --------------------------------------------------------------- */

static CUmemorytype type_of(uintptr_t p, size_t bytes)
{
    return vg_end_of(p, bytes) == VG_END_GPU ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
}

static bool is_capturing(uint64_t stream)
{
    struct vg_reply reply;

    return vg_capture_possible() &&
           !vg_call_reply(VG_CALL_cuStreamIsCapturing, VG_WORDS(stream, 1), &reply) &&
           reply.val[0] == CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

bool vg_transfer_capture(const CUDA_MEMCPY3D *c, uint64_t stream, CUresult *ret_result)
{
    struct vg_reply reply;
    uint64_t cookie;

    if (!is_capturing(stream))
        return false;
    *ret_result = new_transfer(c, NULL, &cookie);
    if (*ret_result)
        return true;
    /* The reply makes it quiet: an error of before is not this call's, whose cookie the host has. */
    *ret_result = vg_call_reply(VG_CALL_HOST_FUNC, VG_WORDS(stream, cookie, VG_CALLBACK_TRANSFER),
                                &reply);
    if (*ret_result)
        vg_transfer_drop(cookie);
    return true;
}

bool vg_transfer_capture_linear(uintptr_t dst, uintptr_t src, size_t bytes, uint64_t stream,
                                CUresult *ret_result)
{
    if (!vg_capture_possible())
        return false;
    const CUDA_MEMCPY3D c = {
        .srcMemoryType = type_of(src, bytes), .srcDevice = src, .srcHost = (const void *)src,
        .dstMemoryType = type_of(dst, bytes), .dstDevice = dst, .dstHost = (void *)dst,
        .srcPitch = bytes, .dstPitch = bytes, .srcHeight = 1, .dstHeight = 1,
        .WidthInBytes = bytes, .Height = 1, .Depth = 1,
    };
    return vg_transfer_capture(&c, stream, ret_result);
}
