/* SPDX-License-Identifier: MIT */
/*
 * Streams: made and destroyed on the host, described from notes kept here. The two
 * special handles never cross: the legacy stream travels as 0, the thread's own
 * default stream is a real stream per thread and context, made at its first use.
 */
#include <stdlib.h>

#include "guest-shim/call.h"
#include "guest-shim/capture.h"
#include "guest-shim/ctx.h"
#include "guest-shim/fwd.h"
#include "guest-shim/known.h"
#include "guest-shim/lock.h"
#include "guest-shim/state.h"
#include "guest-shim/stream.h"
#include "guest-shim/thread.h"
#include "vg_api.h"

#define BUCKETS 64u

struct note {
    CUstream handle;
    struct vg_ctx *ctx;
    unsigned flags;
    int priority;
    struct note *next;
};

static struct vg_lock lock;
static struct note *notes[BUCKETS];

static struct note **bucket_of(CUstream handle)
{
    return &notes[(uintptr_t)handle * 0x9e3779b97f4a7c15u >> 58];
}

static bool remember(CUstream handle, struct vg_ctx *ctx, unsigned flags, int priority)
{
    struct note *n = malloc(sizeof(*n));

    if (!n)
        return false;
    *n = (struct note){.handle = handle, .ctx = ctx, .flags = flags, .priority = priority};
    vg_lock(&lock);
    n->next = *bucket_of(handle);
    *bucket_of(handle) = n;
    vg_unlock(&lock);
    return true;
}

static void forget(CUstream handle)
{
    vg_lock(&lock);
    struct note **p = bucket_of(handle);
    while (*p && (*p)->handle != handle)
        p = &(*p)->next;
    struct note *n = *p;
    if (n)
        *p = n->next;
    vg_unlock(&lock);
    free(n);
}

static void forget_of_ctx(struct vg_ctx *ctx)
{
    vg_lock(&lock);
    for (unsigned b = 0; b < BUCKETS; b++) {
        for (struct note **p = &notes[b]; *p;) {
            struct note *n = *p;
            if (n->ctx != ctx) {
                p = &n->next;
                continue;
            }
            *p = n->next;
            free(n);
        }
    }
    vg_unlock(&lock);
}

static void __attribute__((constructor)) watch_contexts(void)
{
    vg_ctx_on_end(forget_of_ctx);
}

static bool is_special(CUstream handle)
{
    return !handle || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD;
}

struct vg_ctx *vg_stream_context(CUstream handle)
{
    vg_lock(&lock);
    struct note *n = is_special(handle) ? NULL : *bucket_of(handle);
    while (n && n->handle != handle)
        n = n->next;
    struct vg_ctx *ctx = n ? n->ctx : NULL;
    vg_unlock(&lock);
    return ctx;
}

/* A copy of the note, or of what is known of a special handle. */
static CUresult look_up(CUstream handle, struct note *ret_note)
{
    CUresult r = vg_enter_stream(handle);

    if (r)
        return r;
    *ret_note = (struct note){.handle = handle, .ctx = vg_ctx_current()};
    if (is_special(handle))
        return CUDA_SUCCESS;
    vg_lock(&lock);
    struct note *n = *bucket_of(handle);
    while (n && n->handle != handle)
        n = n->next;
    if (n)
        *ret_note = *n;
    vg_unlock(&lock);
    if (n)
        return CUDA_SUCCESS;
    return vg_tls.ctx && !vg_ctx_alive(vg_tls.ctx) ? CUDA_ERROR_CONTEXT_IS_DESTROYED
                                                   : CUDA_ERROR_INVALID_HANDLE;
}

/* ---- creation ---------------------------------------------------------------- */

static CUresult host_create(VG_PARAMS(cuStreamCreateWithPriority))
VG_FWD_BODY(cuStreamCreateWithPriority)

/* Priorities count downwards: greatest is the smaller number. */
static int clamp_priority(const struct vg_ctx *ctx, int priority)
{
    const struct vg_device_info *d = vg_device(ctx->dev);

    if (priority < d->priority_greatest)
        return d->priority_greatest;
    return priority > d->priority_least ? d->priority_least : priority;
}

CUresult cuStreamCreateWithPriority(CUstream *phStream, unsigned flags, int priority)
{
    CUresult r = vg_enter_ctx();

    if (!r && (!phStream || flags & ~(unsigned)CU_STREAM_NON_BLOCKING))
        r = CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    priority = clamp_priority(vg_ctx_current(), priority);
    r = host_create(phStream, flags, priority);
    if (r)
        return r;
    vg_known_add(VG_KNOWN_HOME, (uintptr_t)*phStream);
    if (remember(*phStream, vg_ctx_current(), flags, priority))
        return CUDA_SUCCESS;
    cuStreamDestroy_v2(*phStream);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vg_stream_note(CUstream stream, struct vg_ctx *ctx, unsigned flags, int priority)
{
    if (remember(stream, ctx, flags, clamp_priority(ctx, priority)))
        return CUDA_SUCCESS;
    cuStreamDestroy_v2(stream);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuStreamCreate(CUstream *phStream, unsigned Flags)
{
    return cuStreamCreateWithPriority(phStream, Flags, 0);
}

CUresult cuStreamDestroy_v2(CUstream hStream)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (is_special(hStream))
        return CUDA_ERROR_INVALID_HANDLE;
    vg_known_drop(VG_KNOWN_STREAM, (uintptr_t)hStream);
    vg_known_drop(VG_KNOWN_HOME, (uintptr_t)hStream);
    r = vg_call_reply(VG_CALL_cuStreamDestroy_v2, VG_WORDS((uintptr_t)hStream), NULL);
    if (!r) {
        forget(hStream);
        vg_capture_forget((uintptr_t)hStream);
    }
    return r;
}

/* ---- the thread's own stream ------------------------------------------------- */

static CUresult make_own(struct vg_thread *t, uint64_t *ret_stream)
{
    struct vg_ctx *ctx = vg_ctx_current();
    struct vg_own_stream *s = malloc(sizeof(*s));

    if (!s)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = host_create(&s->stream, CU_STREAM_DEFAULT, 0);
    if (r) {
        free(s);
        return r;
    }
    vg_known_add(VG_KNOWN_HOME, (uintptr_t)s->stream);
    s->ctx = ctx;
    s->epoch = ctx->epoch;
    s->next = t->streams;
    t->streams = s;
    *ret_stream = (uintptr_t)s->stream;
    return CUDA_SUCCESS;
}

CUresult vg_stream_special(CUstream stream, uint64_t *ret_stream)
{
    if (stream == CU_STREAM_LEGACY) {
        *ret_stream = 0;
        return CUDA_SUCCESS;
    }
    CUresult r = vg_enter_ctx();
    if (r)
        return r;
    struct vg_thread *t = vg_thread();
    if (!t)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct vg_ctx *ctx = vg_ctx_current();
    for (struct vg_own_stream *s = t->streams; s; s = s->next) {
        if (s->ctx == ctx && s->epoch == ctx->epoch) {
            *ret_stream = (uintptr_t)s->stream;
            return CUDA_SUCCESS;
        }
    }
    return make_own(t, ret_stream);
}

static bool belongs_here(CUstream stream)
{
    struct note n;

    return look_up(stream, &n) == CUDA_SUCCESS && n.ctx == vg_ctx_current();
}

/* Whether a stream is captured is the one question that leaves its capture alone. */
CUresult vg_stream_accepted(CUstream stream)
{
    if (VG_LIKELY(vg_known(VG_KNOWN_STREAM, (uintptr_t)stream)))
        return CUDA_SUCCESS;
    CUresult r = vg_call_reply(VG_CALL_cuStreamIsCapturing, VG_WORDS((uintptr_t)stream, 1),
                               &(struct vg_reply){.len = 0});
    if (r)
        return r;
    vg_known_add(VG_KNOWN_STREAM, (uintptr_t)stream);
    if (belongs_here(stream))
        vg_known_add(VG_KNOWN_HOME, (uintptr_t)stream);
    return CUDA_SUCCESS;
}

/* ---- questions --------------------------------------------------------------- */

CUresult cuStreamGetPriority(CUstream hStream, int *priority)
{
    struct note n;
    CUresult r = look_up(hStream, &n);

    if (!r && !priority)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *priority = n.priority;
    return r;
}

CUresult cuStreamGetFlags(CUstream hStream, unsigned *flags)
{
    struct note n;
    CUresult r = look_up(hStream, &n);

    if (!r && !flags)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && !is_special(hStream) && vg_capture_has((uintptr_t)hStream))
        r = vg_capture_break((uintptr_t)hStream);
    if (!r)
        *flags = n.flags;
    return r;
}

CUresult cuStreamGetDevice(CUstream hStream, CUdevice *device)
{
    struct note n;
    CUresult r = look_up(hStream, &n);

    if (!r && !device)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *device = n.ctx->dev;
    return r;
}

CUresult cuStreamGetCtx(CUstream hStream, CUcontext *pctx)
{
    struct note n;
    CUresult r = look_up(hStream, &n);

    if (!r && !pctx)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *pctx = n.ctx->handle;
    return r;
}

/* A stream of a green context counts as the primary one's. */
CUresult cuStreamGetCtx_v2(CUstream hStream, CUcontext *pCtx, CUgreenCtx *pGreenCtx)
{
    struct note n;
    CUresult r = look_up(hStream, &n);

    if (!r && n.ctx->green && hStream == CU_STREAM_PER_THREAD)
        r = CUDA_ERROR_INVALID_HANDLE;
    if (!r && !pCtx)
        r = CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    *pCtx = n.ctx->handle;
    if (pGreenCtx)
        *pGreenCtx = n.ctx->green;
    return n.ctx->green ? vg_ctx_primary_handle(n.ctx->dev, pCtx) : CUDA_SUCCESS;
}

CUresult cuStreamGetGreenCtx(CUstream hStream, CUgreenCtx *phCtx)
{
    struct note n;
    CUresult r = look_up(hStream, &n);

    if (!r && !phCtx)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *phCtx = n.ctx->green;
    return r;
}

/* ---- waiting ----------------------------------------------------------------- */

CUresult cuStreamQuery(CUstream hStream)
{
    uint64_t stream;
    CUresult r = vg_enter_stream(hStream);

    if (!r)
        r = vg_stream(hStream, &stream);
    if (!r)
        r = vg_capture_allows();
    if (!r)
        r = vg_call_reply(VG_CALL_cuStreamQuery, VG_WORDS(stream), NULL);
    if (!r)
        vg_console_drain();
    return r;
}

CUresult cuStreamSynchronize(CUstream hStream)
{
    uint64_t stream;
    CUresult r = vg_enter_stream(hStream);

    if (!r)
        r = vg_stream(hStream, &stream);
    if (!r)
        r = vg_capture_allows();
    return r ? r : vg_sync(VG_SYNC_STREAM, stream);
}
