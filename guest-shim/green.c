/* SPDX-License-Identifier: MIT */
/*
 * Green contexts. Resources are the host's: what the application holds of one is its
 * public part and a number by which the host knows the rest. A green context retains
 * its device's primary context, and so does our note of it.
 */
#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/ctx.h"
#include "guest-shim/fwd.h"
#include "guest-shim/handle_map.h"
#include "guest-shim/stream.h"
#include "vg_api.h"

#define GROUPS_MAX 256u     /* of one split, or in one descriptor */

struct green {
    CUgreenCtx handle;
    CUdevice dev;
    struct vg_ctx *ctx;     /* its context form, NULL: not asked for */
};

static struct vg_handle_map green_of;   /* by CUgreenCtx */

static CUresult enter_green(CUgreenCtx hCtx, struct green **ret_green)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    *ret_green = vg_handle_map_find(&green_of, (uintptr_t)hCtx);
    return *ret_green ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

/* ---- resources --------------------------------------------------------------------- */

static CUresult of_device(VG_PARAMS(cuDeviceGetDevResource))
VG_FWD_BODY(cuDeviceGetDevResource)

static CUresult of_context(VG_PARAMS(cuCtxGetDevResource))
VG_FWD_BODY(cuCtxGetDevResource)

static CUresult of_green(VG_PARAMS(cuGreenCtxGetDevResource))
VG_FWD_BODY(cuGreenCtxGetDevResource)

CUresult cuDeviceGetDevResource(CUdevice device, CUdevResource *resource, CUdevResourceType type)
{
    CUresult r = vg_enter();

    if (!r && !resource)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && !vg_device(device))
        r = CUDA_ERROR_INVALID_DEVICE;
    return r ? r : of_device(device, resource, type);
}

CUresult cuCtxGetDevResource(CUcontext hCtx, CUdevResource *resource, CUdevResourceType type)
{
    CUresult r = vg_enter();

    if (!r && !resource)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && !vg_ctx_find(hCtx))
        r = CUDA_ERROR_INVALID_CONTEXT;
    return r ? r : of_context(hCtx, resource, type);
}

CUresult cuGreenCtxGetDevResource(CUgreenCtx hCtx, CUdevResource *resource, CUdevResourceType type)
{
    struct green *g;
    CUresult r = enter_green(hCtx, &g);

    if (!r && !resource)
        r = CUDA_ERROR_INVALID_VALUE;
    return r ? r : of_green(hCtx, resource, type);
}

struct split {
    CUdevResource *result;
    unsigned room;
    const CUdevResource *input;
    CUdevResource *remaining;
    unsigned flags, least;
};

static CUresult split_call(const struct split *s, uint8_t *window, struct vg_reply *ret_reply)
{
    struct vg_tx tx;
    struct vg_enc e;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_cuDevSmResourceSplitByCount, sizeof(*s->input) + 8);

    if (r)
        return r;
    vg_tx_encoder(&tx, &e);
    vg_enc_word(&e, s->room);
    vg_enc_word(&e, s->remaining != NULL);
    vg_enc_word(&e, s->flags);
    vg_enc_word(&e, s->least);
    vg_enc_block(&e, s->input, sizeof(*s->input));
    if (!vg_tx_encoded(&tx, &e)) {
        vg_drop(&tx);
        return CUDA_ERROR_INVALID_VALUE;
    }
    tx.call->flags |= VG_F_BULK;
    tx.call->arg[6] = vg_window_off(window);
    tx.call->arg[7] = VG_EXTENT_SIZE;
    return vg_finish(&tx, ret_reply);
}

static CUresult split(const struct split *s, unsigned *ret_groups)
{
    size_t room;
    uint8_t *window = vg_window_get(VG_EXTENT_SIZE, VG_EXTENT_SIZE, &room);
    struct vg_reply reply;

    if (!window)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = split_call(s, window, &reply);
    unsigned groups = r ? 0 : (unsigned)reply.val[0];
    size_t sent = s->result ? groups : 0, bytes = (sent + !!s->remaining) * sizeof(*s->result);
    if (!r && ((s->result && groups > s->room) || reply.len < bytes))
        r = CUDA_ERROR_UNKNOWN;
    if (!r) {
        memcpy(s->result ? s->result : s->remaining, window, sent * sizeof(*s->result));
        if (s->remaining)
            memcpy(s->remaining, window + sent * sizeof(*s->result), sizeof(*s->remaining));
        *ret_groups = groups;
    }
    vg_window_put(window, room);
    return r;
}

CUresult cuDevSmResourceSplitByCount(CUdevResource *result, unsigned *nbGroups,
                                     const CUdevResource *input, CUdevResource *remaining,
                                     unsigned useFlags, unsigned minCount)
{
    struct split s = {result, 0, input, remaining, useFlags, minCount};
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!nbGroups || !input || (result && *nbGroups == 0))
        return CUDA_ERROR_INVALID_VALUE;
    if (input->type != CU_DEV_RESOURCE_TYPE_SM)
        return CUDA_ERROR_INVALID_RESOURCE_TYPE;
    if (result)
        s.room = *nbGroups < GROUPS_MAX ? *nbGroups : GROUPS_MAX;
    return split(&s, nbGroups);
}

CUresult cuDevResourceGenerateDesc(CUdevResourceDesc *phDesc, CUdevResource *resources,
                                   unsigned nbResources)
{
    struct vg_reply reply;
    struct vg_tx tx;
    struct vg_enc e;
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!phDesc || !resources || nbResources == 0 || nbResources > GROUPS_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_begin_quiet(&tx, VG_CALL_cuDevResourceGenerateDesc, nbResources * sizeof(*resources) + 8);
    if (r)
        return r;
    vg_tx_encoder(&tx, &e);
    vg_enc_word(&e, nbResources);
    vg_enc_block(&e, resources, nbResources * sizeof(*resources));
    if (!vg_tx_encoded(&tx, &e)) {
        vg_drop(&tx);
        return CUDA_ERROR_INVALID_VALUE;
    }
    r = vg_finish(&tx, &reply);
    if (!r)
        *phDesc = (CUdevResourceDesc)(uintptr_t)reply.val[0];
    return r;
}

/* ---- contexts ---------------------------------------------------------------------- */

static CUresult host_create(VG_PARAMS(cuGreenCtxCreate))
VG_FWD_BODY(cuGreenCtxCreate)

static CUresult host_destroy(VG_PARAMS(cuGreenCtxDestroy))
VG_FWD_BODY(cuGreenCtxDestroy)

static CUresult host_convert(VG_PARAMS(cuCtxFromGreenCtx))
VG_FWD_BODY(cuCtxFromGreenCtx)

/* The primary context is held already. */
static CUresult create(struct green *g, CUdevResourceDesc desc, unsigned flags)
{
    CUresult r = host_create(&g->handle, desc, g->dev, flags);

    if (r)
        return r;
    if (vg_handle_map_put(&green_of, (uintptr_t)g->handle, g))
        return CUDA_SUCCESS;
    host_destroy(g->handle);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuGreenCtxCreate(CUgreenCtx *phCtx, CUdevResourceDesc desc, CUdevice dev, unsigned flags)
{
    CUcontext primary;
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!phCtx || !desc || flags != CU_GREEN_CTX_DEFAULT_STREAM)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vg_device(dev))
        return CUDA_ERROR_INVALID_DEVICE;
    struct green *g = calloc(1, sizeof(*g));
    if (!g)
        return CUDA_ERROR_OUT_OF_MEMORY;
    g->dev = dev;
    r = cuDevicePrimaryCtxRetain(&primary, dev);
    if (!r && (r = create(g, desc, flags)) != CUDA_SUCCESS)
        cuDevicePrimaryCtxRelease_v2(dev);
    if (r) {
        free(g);
        return r;
    }
    *phCtx = g->handle;
    return CUDA_SUCCESS;
}

CUresult cuCtxFromGreenCtx(CUcontext *pContext, CUgreenCtx hCtx)
{
    struct green *g;
    CUresult r = enter_green(hCtx, &g);

    if (r)
        return r;
    if (!pContext)
        return CUDA_ERROR_INVALID_VALUE;
    if (!g->ctx) {
        CUcontext handle = NULL;
        r = host_convert(&handle, hCtx);
        if (!r)
            r = vg_ctx_note_green(handle, hCtx, g->dev, &g->ctx);
        if (r)
            return r;
    }
    *pContext = g->ctx->handle;
    return CUDA_SUCCESS;
}

CUresult cuGreenCtxDestroy(CUgreenCtx hCtx)
{
    struct green *g;
    CUresult r = enter_green(hCtx, &g);

    if (r)
        return r;
    r = host_destroy(hCtx);
    if (r)
        return r;
    vg_handle_map_take(&green_of, (uintptr_t)hCtx);
    if (g->ctx)
        vg_ctx_end_green(g->ctx);
    r = cuDevicePrimaryCtxRelease_v2(g->dev);
    free(g);
    return r;
}

/* ---- streams ----------------------------------------------------------------------- */

static CUresult host_stream(VG_PARAMS(cuGreenCtxStreamCreate))
VG_FWD_BODY(cuGreenCtxStreamCreate)

/* Described by the context form, which tells of which green context it is. */
CUresult cuGreenCtxStreamCreate(CUstream *phStream, CUgreenCtx greenCtx, unsigned flags,
                                int priority)
{
    struct green *g;
    CUcontext ctx;
    CUresult r = enter_green(greenCtx, &g);

    if (!r && (!phStream || flags != CU_STREAM_NON_BLOCKING))
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        r = cuCtxFromGreenCtx(&ctx, greenCtx);
    if (!r)
        r = host_stream(phStream, greenCtx, flags, priority);
    return r ? r : vg_stream_note(*phStream, g->ctx, flags, priority);
}
