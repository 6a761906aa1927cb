/* SPDX-License-Identifier: MIT */
/* Lanes, batches and marks; see lane.h. Serve thread. */
#include "mediator/executor/lane.h"

#include <stdlib.h>
#include <string.h>

#include "mediator/executor/executor.h"

struct vg_mark {
    struct vg_mark *next;
    struct vg_batch batch;
    CUevent event;
    bool timed;
    bool heard;      /* the doorbell rings when it passes */
    uint64_t looked; /* it had not passed then */
};

/* ---- The union of what runs ---- */

static void begin(struct vg_meter *m, uint64_t at)
{
    if (m->running++ == 0)
        m->since = at > m->ended ? at : m->ended;
}

static void end(struct vg_meter *m, uint64_t at)
{
    if (at > m->ended)
        m->ended = at;
    if (--m->running > 0)
        return;
    if (m->ended > m->since)
        m->busy += m->ended - m->since;
    m->since = 0;
}

/* ---- Lanes: those with something in flight come first ---- */

static void place(struct vg_meter *m, struct vg_lane *l, unsigned index)
{
    struct vg_lane *other = m->lane[index];

    m->lane[l->index] = other;
    other->index = l->index;
    m->lane[index] = l;
    l->index = index;
}

bool vg_lane_is_active(const struct vg_meter *m, const struct vg_lane *l)
{
    return l->index < m->active;
}

static void activate(struct vg_meter *m, struct vg_lane *l)
{
    if (!vg_lane_is_active(m, l))
        place(m, l, m->active++);
}

void vg_lane_forget(struct vg_exec *x, struct vg_lane *l)
{
    struct vg_meter *m = &x->meter;

    place(m, l, --m->lanes);
    if (m->recent == l)
        m->recent = NULL;
    if (m->legacy == l)
        m->legacy = NULL;
    if (l->ref)
        vg_event_put(x, l->ctx, true, l->ref);
    free(l);
}

/* Nothing is left in it. False: it has gone. */
static bool deactivate(struct vg_exec *x, struct vg_lane *l)
{
    struct vg_meter *m = &x->meter;

    place(m, l, --m->active);
    if (!l->ended)
        return true;
    vg_lane_forget(x, l);
    return false;
}

static bool has_room(struct vg_meter *m)
{
    unsigned cap = m->cap ? 2 * m->cap : 16;

    if (m->lanes < m->cap)
        return true;
    void *lane = realloc(m->lane, cap * sizeof(m->lane[0]));
    if (!lane)
        return false;
    m->lane = lane;
    m->cap = cap;
    return true;
}

static bool is_blocking(struct vg_exec *x, CUstream stream)
{
    const struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUstream, (uintptr_t)stream);

    return !o || !(o->info & VG_STREAM_NON_BLOCKING);
}

static struct vg_lane *lane_new(struct vg_exec *x, CUstream stream)
{
    struct vg_meter *m = &x->meter;
    struct vg_lane *l = has_room(m) ? calloc(1, sizeof(*l)) : NULL;

    if (!l)
        return NULL;
    l->ctx = x->ctx;
    l->home = x->home;
    l->stream = stream;
    l->legacy = stream == CU_STREAM_LEGACY;
    l->blocking = !l->legacy && is_blocking(x, stream);
    l->last = &l->first;
    l->index = m->lanes;
    m->lane[m->lanes++] = l;
    return l;
}

bool vg_lane_is(const struct vg_exec *x, const struct vg_lane *l, CUstream stream)
{
    return l->stream == (stream ? stream : CU_STREAM_LEGACY) && l->ctx == x->ctx && !l->ended;
}

struct vg_lane *vg_lane_find(struct vg_exec *x, CUstream stream)
{
    struct vg_meter *m = &x->meter;

    if (m->recent && vg_lane_is(x, m->recent, stream))
        return m->recent;
    for (unsigned i = 0; i < m->lanes; i++)
        if (vg_lane_is(x, m->lane[i], stream))
            return m->recent = m->lane[i];
    return NULL;
}

struct vg_lane *vg_lane_of(struct vg_exec *x, CUstream stream)
{
    struct vg_lane *l = vg_lane_find(x, stream);

    return l ? l : lane_new(x, stream ? stream : CU_STREAM_LEGACY);
}

static const struct vg_batch *oldest(const struct vg_lane *l)
{
    if (l->first)
        return &l->first->batch;
    return l->open.calls > 0 ? &l->open : NULL;
}

/* ---- Batches that have ended ---- */

/* What one call took, if all that were guessed together took longer or less by the same factor. */
static uint64_t scaled(uint32_t guess, uint64_t ns, uint64_t guesses)
{
    return (uint64_t)((double)guess * ((double)ns + 1) / ((double)guesses + 1));
}

static void account(struct vg_meter *m, const struct vg_lane *l, const struct vg_batch *b,
                    uint64_t at)
{
    uint64_t ns = at > l->start ? at - l->start : 0;

    m->progress++;
    m->done += b->calls;
    for (unsigned i = 0; i < b->kinds; i++)
        vg_estimate_learn(&m->estimates, b->kind[i].place, scaled(b->kind[i].guess, ns, b->guess),
                          b->kinds);
}

/* The oldest batch has gone; what is behind it could begin then, if it was there. */
static bool advance(struct vg_exec *x, struct vg_lane *l, uint64_t at)
{
    struct vg_meter *m = &x->meter;
    const struct vg_batch *next = oldest(l);

    m->moved = at;
    if (l->runs && (!next || next->stall || next->since > at)) {
        l->runs = false;
        end(m, at);
    }
    if (!next)
        return deactivate(x, l);
    l->start = next->since > at ? next->since : at;
    if (!next->stall && !l->runs) {
        l->runs = true;
        begin(m, l->start);
    }
    return true;
}

static bool pass_open(struct vg_exec *x, struct vg_lane *l, uint64_t at)
{
    account(&x->meter, l, &l->open, at);
    memset(&l->open, 0, sizeof(l->open));
    return advance(x, l, at);
}

static void keep_event(struct vg_exec *x, struct vg_lane *l, const struct vg_mark *k, uint64_t at)
{
    if (!k->timed) {
        vg_event_put(x, l->ctx, false, k->event);
        return;
    }
    if (l->ref)
        vg_event_put(x, l->ctx, true, l->ref);
    l->ref = k->event;
    l->ref_at = at;
}

static bool pass_mark(struct vg_exec *x, struct vg_lane *l, uint64_t at)
{
    struct vg_mark *k = l->first;

    l->first = k->next;
    if (!l->first)
        l->last = &l->first;
    if (!k->batch.stall)
        account(&x->meter, l, &k->batch, at);
    keep_event(x, l, k, at);
    free(k);
    return advance(x, l, at);
}

bool vg_lane_pass(struct vg_exec *x, struct vg_lane *l, uint64_t serial, uint64_t at)
{
    while (l->first && l->first->batch.last <= serial)
        if (!pass_mark(x, l, at))
            return false;
    if (!l->first && l->open.calls > 0 && l->open.last <= serial)
        return pass_open(x, l, at);
    return true;
}

/* By the GPU's clock where there is a mark before it to count from, by ours else. */
static uint64_t when_passed(struct vg_exec *x, const struct vg_lane *l, const struct vg_mark *k,
                            uint64_t now)
{
    uint64_t at = now, least = k->looked > l->start ? k->looked : l->start;
    float ms;

    if (k->timed && l->ref && x->cuda.cuEventElapsedTime(&ms, l->ref, k->event) == CUDA_SUCCESS)
        at = l->ref_at + (uint64_t)((double)ms * 1e6);
    if (at < least)
        at = least;
    return at < now ? at : now;
}

bool vg_lane_look(struct vg_exec *x, struct vg_lane *l, uint64_t now)
{
    while (l->first) {
        if (x->cuda.cuEventQuery(l->first->event) == CUDA_ERROR_NOT_READY) {
            l->first->looked = now;
            return true;
        }
        if (!pass_mark(x, l, when_passed(x, l, l->first, now)))
            return false;
    }
    return true;
}

/* ---- Open batches ---- */

void vg_batch_add(struct vg_batch *b, unsigned kind, unsigned calls, uint32_t guess)
{
    unsigned i = b->kinds;

    b->calls += calls;
    while (i > 0 && b->kind[i - 1].place != kind)
        i--;
    if (i > 0) {
        b->kind[i - 1].calls += calls;
    } else if (b->kinds < VG_METER_KINDS) {
        b->kind[b->kinds].place = kind;
        b->kind[b->kinds].guess = guess;
        b->kind[b->kinds++].calls = calls;
    }
}

void vg_lane_open(struct vg_meter *m, struct vg_lane *l, uint64_t now)
{
    l->open.since = now;
    activate(m, l);
    if (l->runs || l->first)
        return;
    l->runs = true;
    l->start = now;
    begin(m, now);
}

void vg_lane_unopen(struct vg_exec *x, struct vg_lane *l)
{
    uint64_t since = l->open.since;

    memset(&l->open, 0, sizeof(l->open));
    if (!l->first)
        advance(x, l, since);
}

void vg_lane_join(struct vg_exec *x, struct vg_lane *to, struct vg_lane *from)
{
    struct vg_batch *b = &from->open, *all = &to->open;
    uint32_t calls = all->calls + b->calls;

    all->guess += b->guess;
    if (b->since < all->since)
        all->since = b->since;
    if (!to->first && from->start < to->start)
        to->start = from->start;
    for (unsigned i = 0; i < b->kinds; i++)
        vg_batch_add(all, b->kind[i].place, b->kind[i].calls, b->kind[i].guess);
    all->calls = calls;
    memset(b, 0, sizeof(*b));
    if (from->first)
        return;
    if (from->runs)
        x->meter.running--; /* `to` runs on */
    from->runs = false;
    deactivate(x, from);
}

/* ---- Marks ---- */

static CUresult record(struct vg_exec *x, struct vg_lane *l, struct vg_mark *k)
{
    CUcontext before = x->ctx;
    CUresult rc = vg_context_set(x, l->ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_event_get(x, k->timed, &k->event);
    if (rc == CUDA_SUCCESS) {
        rc = x->cuda.cuEventRecord(k->event, l->stream);
        if (rc != CUDA_SUCCESS)
            vg_event_put(x, l->ctx, k->timed, k->event);
    }
    if (rc == CUDA_SUCCESS && k->heard)
        k->heard = vg_wait_bell(x, l->stream);
    if (x->ctx != before)
        vg_context_set(x, before);
    return rc;
}

static bool may_mark(struct vg_exec *x, const struct vg_lane *l)
{
    return l->legacy ? !vg_own_legacy_is_barred(x, l->home) : !vg_own_is_capturing(x, l->stream);
}

/* On a real GPU nothing rings: a thread of the driver's would have to be woken for that. */
static struct vg_mark *mark_new(struct vg_exec *x, struct vg_lane *l, bool exact, uint64_t now)
{
    struct vg_mark *k = calloc(1, sizeof(*k));

    if (!k)
        return NULL;
    k->timed = exact;
    k->heard = exact && x->opt.software;
    k->looked = now;
    if (record(x, l, k) == CUDA_SUCCESS)
        return k;
    free(k);
    return NULL;
}

static void append(struct vg_lane *l, struct vg_mark *k)
{
    *l->last = k;
    l->last = &k->next;
}

void vg_lane_close(struct vg_exec *x, struct vg_lane *l, bool exact, uint64_t now)
{
    if (l->open.calls == 0 || !may_mark(x, l))
        return;
    struct vg_mark *k = mark_new(x, l, exact, now);
    if (!k) {
        vg_lane_unopen(x, l);
        return;
    }
    k->batch = l->open;
    memset(&l->open, 0, sizeof(l->open));
    append(l, k);
}

void vg_lane_stall(struct vg_exec *x, struct vg_lane *l, uint64_t now)
{
    struct vg_mark *k = l->open.calls == 0 && may_mark(x, l) ? mark_new(x, l, true, now) : NULL;

    if (!k)
        return;
    k->batch = (struct vg_batch){.since = now, .last = ++x->meter.serial, .stall = true};
    activate(&x->meter, l);
    append(l, k);
}

/* ---- All of them ---- */

static void count_flight(struct vg_meter *m, const struct vg_lane *l, uint64_t now)
{
    uint64_t ns = l->open.guess, had = now > l->start ? now - l->start : 0;
    const uint64_t head = oldest(l)->guess;

    m->flight_calls += l->open.calls;
    for (const struct vg_mark *k = l->first; k; k = k->next) {
        m->flight_calls += k->batch.calls;
        ns += k->batch.guess;
    }
    m->flight_ns += ns - (had < head ? had : head);
}

void vg_lanes_take_stock(struct vg_meter *m, uint64_t now)
{
    m->flight_calls = m->flight_ns = 0;
    for (unsigned i = 0; i < m->active; i++)
        if (m->lane[i]->runs)
            count_flight(m, m->lane[i], now);
}

bool vg_lanes_are_heard(const struct vg_meter *m)
{
    for (unsigned i = 0; i < m->active; i++)
        if (m->lane[i]->first && !m->lane[i]->first->heard)
            return false;
    return true;
}

bool vg_lanes_have_open(const struct vg_meter *m)
{
    for (unsigned i = 0; i < m->active; i++)
        if (m->lane[i]->open.calls > 0 && m->lane[i]->open.last > m->lane[i]->covered)
            return true;
    return false;
}

void vg_lanes_fini(struct vg_meter *m)
{
    for (unsigned i = 0; i < m->lanes; i++) {
        for (struct vg_mark *k = m->lane[i]->first, *next; k; k = next) {
            next = k->next;
            free(k);
        }
        free(m->lane[i]);
    }
    free(m->lane);
}
