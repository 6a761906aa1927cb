/* SPDX-License-Identifier: MIT */
/*
 * Pending waits: a list in order of arrival, each with the events that must have
 * passed. Events come from a pool per context. Serve thread only.
 */
#include "mediator/executor/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/aside.h"
#include "mediator/executor/executor.h"
#include "mediator/executor/wait_private.h"
#include "vg_atomic.h"

#define CONSOLE_PATIENCE_NS 1000000000ull /* who fetches nothing for so long never will */

void vg_waits_init(struct vg_waits *w)
{
    memset(w, 0, sizeof(*w));
    w->last = &w->first;
}

static void wait_free(struct vg_wait *w)
{
    free(w->payload);
    free(w);
}

void vg_waits_fini(struct vg_waits *w)
{
    for (struct vg_wait *i = w->first, *next; i; i = next) {
        next = i->next;
        wait_free(i);
    }
    vg_event_pool_fini(&w->pool);
    vg_waits_init(w);
}

/* ---- Making waits ---- */

struct vg_wait *vg_wait_new(struct vg_exec *x, enum wait_kind kind, unsigned events)
{
    struct vg_wait *w = calloc(1, sizeof(*w) + events * sizeof(w->event[0]));

    if (w) {
        w->ctx = x->ctx;
        w->kind = kind;
        w->cap = events;
    }
    return w;
}

static void wait_push(struct vg_exec *x, struct vg_wait *w)
{
    *x->waits.last = w;
    x->waits.last = &w->next;
    x->waits.count++;
    x->waits.unheard += !w->rings;
}

/* The meter hears of so many of its events: they have passed. */
static void settle(struct vg_exec *x, struct vg_wait *w, unsigned passed)
{
    if (w->settled < passed)
        vg_context_set(x, w->ctx);
    for (; w->settled < passed; w->settled++) {
        const struct wait_event *e = &w->event[w->settled];
        vg_meter_passed(x, e->stream, e->serial);
        vg_own_stream_idle(x, e->stream, e->touched);
    }
}

static void release_events(struct vg_exec *x, struct vg_wait *w)
{
    settle(x, w, w->passed);
    if (w->given)
        vg_prints_passed_on(x, w->given);
    for (unsigned i = 0; i < w->count; i++)
        if (w->event[i].ours)
            vg_event_put(x, w->ctx, false, w->event[i].event);
    w->count = 0;
}

/*
 * The software GPU computes on the processors that polling would take from it, so it
 * rings our doorbell instead. A real one would wake a thread of its driver for that:
 * there the poll is quicker and costs nobody anything. Where the guest carries out copies
 * of graphs, one of them may wait for this very stream: a ring would queue up behind the
 * host function that stands for that copy, and the stream behind the ring.
 */
bool vg_wait_bell(struct vg_exec *x, CUstream stream)
{
    return x->opt.software && !x->callbacks.transfers &&
           x->cuda.cuLaunchHostFunc(stream, vg_doorbell_ring, NULL) == CUDA_SUCCESS;
}

/* Adds "the stream has come here" to the wait. */
static CUresult mark_quietly(struct vg_exec *x, struct vg_wait *w, CUstream stream)
{
    CUevent event;

    if (w->count == w->cap)
        return CUDA_ERROR_UNKNOWN; /* the driver changed its mind about what is captured */
    CUresult rc = vg_event_get(x, false, &event);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = x->cuda.cuEventRecord(event, stream);
    if (rc != CUDA_SUCCESS) {
        vg_event_put(x, x->ctx, false, event);
        return rc;
    }
    w->event[w->count++] = (struct wait_event){.event = event, .stream = stream,
                                               .serial = vg_meter_covered(x, stream),
                                               .touched = vg_own_stream_touched(x, stream),
                                               .ours = true};
    return CUDA_SUCCESS;
}

/* The same, with a bell. */
CUresult vg_wait_mark(struct vg_exec *x, struct vg_wait *w, CUstream stream)
{
    CUresult rc = mark_quietly(x, w, stream);

    if (rc == CUDA_SUCCESS)
        w->rings = vg_wait_bell(x, stream) && (w->rings || w->count == 1);
    return rc;
}

CUresult vg_wait_drop(struct vg_exec *x, struct vg_wait *w, CUresult rc)
{
    release_events(x, w);
    wait_free(w);
    return rc;
}

void vg_wait_answer_later(struct vg_exec *x, struct vg_wait *w, struct vg_req *r)
{
    w->req = *r;
    r->later = true;
    wait_push(x, w);
}

/*
 * The event goes in at once: asking the stream first costs more than an event that is
 * not needed, and delays the one that is (measured: 1.4 us on an H200 behind a launch).
 */
CUresult vg_wait_stream(struct vg_exec *x, struct vg_req *r, CUstream stream)
{
    struct vg_wait *w = vg_wait_new(x, WAIT_REPLY, 1);

    r->sync = true;
    if (!w)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult rc = mark_quietly(x, w, stream);
    if (rc == CUDA_SUCCESS)
        rc = vg_wait_look(x, w);
    if (rc != CUDA_ERROR_NOT_READY)
        return vg_wait_drop(x, w, rc);
    w->mute = x->opt.software;
    w->stream = stream;
    x->waits.mute += w->mute;
    vg_wait_answer_later(x, w, r);
    return CUDA_SUCCESS;
}

CUresult vg_wait_chunk(struct vg_exec *x, struct vg_req *r, CUstream stream,
                       struct vg_bounce_chunk *chunk)
{
    CUresult rc = vg_wait_stream(x, r, stream);

    if (r->later) /* then it is the last of the list, and its link comes first in it */
        ((struct vg_wait *)(void *)x->waits.last)->chunk = chunk;
    else
        vg_bounce_landed(chunk, rc);
    return rc;
}

/* An event of ours tells what happened to its context, recorded or not. */
void vg_waits_look_for_fault(struct vg_exec *x)
{
    CUevent event;

    if (!x->ctx)
        return;
    CUresult rc = vg_event_get(x, false, &event);
    if (rc == CUDA_SUCCESS) {
        rc = x->cuda.cuEventQuery(event);
        vg_event_put(x, x->ctx, false, event);
    }
    if (vg_cuda_is_sticky(rc))
        vg_latch(x, rc);
}

void vg_waits_give_bells(struct vg_exec *x)
{
    CUcontext before = x->ctx;

    if (x->waits.mute == 0)
        return;
    for (struct vg_wait *w = x->waits.first; w; w = w->next) {
        if (!w->mute)
            continue;
        w->mute = false;
        w->rings = vg_context_set(x, w->ctx) == CUDA_SUCCESS && vg_wait_bell(x, w->stream);
        x->waits.unheard -= w->rings;
    }
    x->waits.mute = 0;
    vg_context_set(x, before);
}

/* The event has passed; and what kernels printed is to come out before the answer. */
static CUresult pass_on_prints(struct vg_exec *x, CUevent event)
{
    return vg_prints_due(x) ? x->cuda.cuEventSynchronize(event) : CUDA_SUCCESS;
}

CUresult vg_wait_event(struct vg_exec *x, struct vg_req *r, CUevent event)
{
    CUresult rc = x->cuda.cuEventQuery(event);

    r->sync = true;
    if (rc == CUDA_SUCCESS)
        return pass_on_prints(x, event);
    if (rc != CUDA_ERROR_NOT_READY)
        return rc;
    struct vg_wait *w = vg_wait_new(x, WAIT_REPLY, 1);
    if (!w)
        return CUDA_ERROR_OUT_OF_MEMORY;
    w->event[w->count++].event = event;
    vg_wait_answer_later(x, w, r);
    return CUDA_SUCCESS;
}

/* The meter hears of the last one when the guest has been answered: see complete. */
CUresult vg_wait_look(struct vg_exec *x, struct vg_wait *w)
{
    for (; w->passed < w->count; w->passed++) {
        const struct wait_event *e = &w->event[w->passed];
        settle(x, w, w->passed);
        if (!e->ours && !vg_obj_find(&x->obj, VG_OBJ_CUevent, (uintptr_t)e->event))
            continue;
        CUresult rc = x->cuda.cuEventQuery(e->event);
        if (rc == CUDA_SUCCESS && vg_prints_due(x)) {
            w->given = vg_prints_given(x);
            rc = x->cuda.cuEventSynchronize(e->event);
        }
        if (rc != CUDA_SUCCESS)
            return rc;
    }
    return CUDA_SUCCESS;
}

/* False: no memory for that; the wait has gone. */
bool vg_wait_redo_later(struct vg_exec *x, struct vg_wait *w, struct vg_req *r)
{
    w->payload = malloc(r->call.payload_len + 1u);
    if (!w->payload) {
        vg_wait_drop(x, w, CUDA_SUCCESS);
        return false;
    }
    memcpy(w->payload, r->payload, r->call.payload_len);
    vg_wait_answer_later(x, w, r);
    return true;
}

bool vg_waits_have_aside_on(const struct vg_exec *x, uint64_t object)
{
    const struct vg_wait *w = x->waits.first;

    while (w && (w->kind != WAIT_ASIDE || w->aside->object != object))
        w = w->next;
    return w != NULL;
}

CUresult vg_wait_stage(struct vg_exec *x, CUstream stream, unsigned stage)
{
    struct vg_wait *w = vg_wait_new(x, WAIT_STAGE, 1);

    if (!w)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult rc = vg_wait_mark(x, w, stream);
    if (rc != CUDA_SUCCESS)
        return vg_wait_drop(x, w, rc);
    w->stage = stage;
    wait_push(x, w);
    return CUDA_SUCCESS;
}

bool vg_wait_console(struct vg_exec *x, struct vg_req *r, CUresult result)
{
    uint64_t target = vg_console_drain(&x->console);

    if (vg_console_give(&x->console) >= target)
        return false;
    struct vg_wait *w = vg_wait_new(x, WAIT_CONSOLE, 0);
    if (!w)
        return false;
    w->console.target = target;
    w->console.since = vg_now();
    w->console.result = result;
    vg_wait_answer_later(x, w, r);
    return true;
}

/* NOT_READY while the guest fetches. */
static CUresult console_look(struct vg_exec *x, struct vg_wait *w)
{
    uint64_t head = vg_console_give(&x->console), now = vg_now();

    if (head != w->console.head) {
        w->console.head = head;
        w->console.since = now;
    }
    if (head < w->console.target && now - w->console.since < CONSOLE_PATIENCE_NS)
        return CUDA_ERROR_NOT_READY;
    return CUDA_SUCCESS;
}

bool vg_wait_aside(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct vg_wait *w = vg_wait_new(x, WAIT_ASIDE, 0);

    if (!w)
        return false;
    if (!vg_aside_queue(x, a)) {
        wait_free(w);
        return false;
    }
    vg_quota_making(x, &r->call);
    w->aside = a;
    w->rings = true;
    vg_wait_answer_later(x, w, r);
    return true;
}

/* ---- Completing waits ---- */

/* The request is a copy, and other replies were built in its buffer meanwhile. */
static void finish_aside(struct vg_exec *x, struct vg_wait *w)
{
    struct vg_req *r = &w->req;
    CUresult rc;

    vg_aside_over(x, w->aside);
    vg_quota_made(x, &r->call);
    vg_enc_init_result(&r->enc, &r->res, x->out, vg_reply_capacity(&r->call));
    r->later = false;
    rc = w->aside->finish(x, r, w->aside);
    vg_quota_count(x);
    vg_reply(x, r, rc);
}

static void redo(struct vg_exec *x, struct vg_wait *w)
{
    vg_waits_give_bells(x);
    w->req.payload = w->payload;
    w->req.drained = true;
    w->req.later = false;
    vg_context_set(x, w->ctx);
    if (!vg_dispatch(x, &w->req)) /* it may have waited before it was decoded */
        x->breach = w->req.breach;
}

/* Who waits for an answer gets it first. */
static void complete(struct vg_exec *x, struct vg_wait *w, CUresult rc)
{
    if (w->kind != WAIT_REPLY)
        release_events(x, w);
    switch (w->kind) {
    case WAIT_REPLY:
        if (w->chunk)
            vg_bounce_landed(w->chunk, rc);
        vg_reply(x, &w->req, rc);
        release_events(x, w);
        break;
    case WAIT_REDO:
        redo(x, w);
        break;
    case WAIT_ASIDE:
        finish_aside(x, w);
        break;
    case WAIT_CONSOLE:
        w->req.sync = false;
        vg_reply(x, &w->req, w->console.result);
        break;
    case WAIT_STAGE:
        if (rc != CUDA_SUCCESS)
            vg_latch(x, rc);
        vg_store_release(&x->guest.slot->stage_busy[w->stage], 0);
        break;
    }
    wait_free(w);
}

/* Takes *at out of the list. */
static struct vg_wait *unlink_wait(struct vg_waits *l, struct vg_wait **at)
{
    struct vg_wait *w = *at;

    *at = w->next;
    if (l->last == &w->next)
        l->last = at;
    l->count--;
    l->unheard -= !w->rings;
    l->mute -= w->mute;
    return w;
}

static CUresult look(struct vg_exec *x, struct vg_wait *w)
{
    switch (w->kind) {
    case WAIT_ASIDE:
        return vg_aside_is_done(w->aside) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
    case WAIT_CONSOLE:
        return console_look(x, w);
    default:
        if ((w->after_asides && x->asides.count > 0) ||
            (w->kind == WAIT_REDO && vg_aside_bars(x, &w->req.call)))
            return CUDA_ERROR_NOT_READY;
        vg_context_set(x, w->ctx);
        return vg_wait_look(x, w);
    }
}

/* One that was redone just before it has begun what bars this one. */
static bool must_wait_again(const struct vg_exec *x, const struct vg_wait *w)
{
    return w->kind == WAIT_REDO && vg_aside_bars(x, &w->req.call);
}

/* The end of that is told by itself. */
static void push_back(struct vg_exec *x, struct vg_wait *w)
{
    w->next = NULL;
    w->mute = false;
    wait_push(x, w);
}

unsigned vg_waits_poll(struct vg_exec *x)
{
    CUcontext before = x->ctx;
    struct vg_wait **at = &x->waits.first, **over_last = &x->waits.over;
    bool beside = false;
    unsigned n = 0;

    while (*at) {
        /*
         * What is aside ends in its order, and so it is finished: one that was looked at too early
         * has ended by now if one behind it has, which may have got the handle that it gave back.
         */
        bool aside = (*at)->kind == WAIT_ASIDE;
        CUresult rc = aside && beside ? CUDA_ERROR_NOT_READY : look(x, *at);
        if (rc == CUDA_ERROR_NOT_READY) {
            beside |= aside;
            at = &(*at)->next;
            continue;
        }
        struct vg_wait *w = unlink_wait(&x->waits, at);
        w->req.res.result = (uint16_t)rc;
        w->next = NULL;
        *over_last = w;
        over_last = &w->next;
    }
    /* A redone call may change the list, so the completed ones left it first; or end a context. */
    for (struct vg_wait *w; (w = x->waits.over) != NULL; n++) {
        x->waits.over = w->next;
        if (must_wait_again(x, w))
            push_back(x, w);
        else
            complete(x, w, (CUresult)w->req.res.result);
    }
    if (x->ctx != before && (!before || vg_obj_find(&x->obj, VG_OBJ_CUcontext, (uintptr_t)before)))
        vg_context_set(x, before);
    return n;
}

/* The events died with the context, and chunks end with it. */
static void end_without_context(struct vg_exec *x, struct vg_wait *w)
{
    w->count = 0;
    if (w->chunk)
        vg_bounce_landed(w->chunk, CUDA_ERROR_CONTEXT_IS_DESTROYED);
    w->req.sync = false;
    if (w->kind == WAIT_STAGE)
        vg_store_release(&x->guest.slot->stage_busy[w->stage], 0);
    else
        vg_reply(x, &w->req, CUDA_ERROR_CONTEXT_IS_DESTROYED);
    wait_free(w);
}

/* What is done aside goes on, and ends without a context. */
static bool ends_with(const struct vg_wait *w, CUcontext ctx)
{
    return w->ctx == ctx && w->kind != WAIT_ASIDE;
}

void vg_waits_drop_context(struct vg_exec *x, CUcontext ctx)
{
    struct vg_event_pool *p = &x->waits.pool;

    for (size_t i = p->count; i-- > 0;)
        if (p->at[i].ctx == ctx)
            p->at[i] = p->at[--p->count];
    for (struct vg_wait **at = &x->waits.first; *at;) {
        if (ends_with(*at, ctx))
            end_without_context(x, unlink_wait(&x->waits, at));
        else
            at = &(*at)->next;
    }
    for (struct vg_wait **at = &x->waits.over, *w; (w = *at) != NULL;) {
        if (!ends_with(w, ctx)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        end_without_context(x, w);
    }
}
