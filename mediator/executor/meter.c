/* SPDX-License-Identifier: MIT */
/* What is given to the GPU and what is told to have ended; see meter.h. Serve thread. */
#include "mediator/executor/meter.h"

#include <string.h>

#include "mediator/executor/executor.h"
#include "mediator/executor/lane.h"

#define MARK_NS       1000000u /* alone: a mark at most so often while calls come ... */
#define MARK_QUIET_NS 20000u   /* ... and when none has come for so long */
#define MARK_SOFT_NS  2000000u /* where the GPU is our processors: marks, and looks, are theirs to do */
#define PACED_NS      250000u  /* within a window, which must not run dry between two */
#define LOOK_PACED_NS 50000u
#define FINE_NS       100000u  /* the same in turns */
#define FINE_QUIET_NS 5000u
#define LOOK_NS       100000u  /* between two looks at marks while calls come ... */
#define LOOK_QUIET_NS 10000u   /* ... and while none come, or in turns */
#define NAP_MIN_NS    50000u
#define NAP_FINE_NS   100000u
#define NAP_MAX_NS    10000000u
#define NAP_SHARE     8u       /* alone, of the time since something last ended */

/* Asking the clock costs as much as all the rest of counting a call. */
static uint64_t clock_now(const struct vg_meter *m)
{
    return m->clock ? m->clock : vg_now();
}

/*
 * A time behind a kernel costs it nothing alone, but beside others: while one was pending, an H200
 * let a neighbour in a slice later than without.
 */
static bool is_exact(const struct vg_meter *m, bool quiet)
{
    return !m->plain && (m->fine || quiet);
}

/* ---- Calls ---- */

void vg_meter_begin(struct vg_exec *x, uint64_t key, uint64_t first_guess)
{
    struct vg_meter *m = &x->meter;

    if (m->off)
        return;
    m->call.on = true;
    m->call.lane = NULL;
    m->call.place = vg_estimate_find(&m->estimates, key, first_guess);
}

/* Whether work in the newer one begins only when what is in the older one has ended. */
static bool covers(const struct vg_lane *newer, const struct vg_lane *older)
{
    return newer->runs && newer != older && newer->home == older->home &&
           ((newer->legacy && older->blocking) || (newer->blocking && older->legacy));
}

static void join_older(struct vg_exec *x, struct vg_lane *l)
{
    struct vg_meter *m = &x->meter;

    for (unsigned i = m->active; i-- > 0;) {
        struct vg_lane *older = m->lane[i];
        if (older->open.calls > 0 && covers(l, older))
            vg_lane_join(x, l, older);
    }
}

static void count(struct vg_exec *x, CUstream stream)
{
    struct vg_meter *m = &x->meter;
    struct vg_lane *l = vg_lane_of(x, stream);

    if (!l)
        return;
    uint32_t ns = vg_estimate_ns(&m->estimates, m->call.place);
    if (l->open.calls == 0)
        vg_lane_open(m, l, clock_now(m));
    vg_batch_add(&l->open, m->call.place, 1, ns);
    l->open.guess += ns;
    l->open.last = ++m->serial;
    m->flight_calls++;
    m->flight_ns += ns;
    m->call.lane = l;
    m->call.ns = ns;
    if (m->active > 1)
        join_older(x, l);
    if (l->legacy)
        m->legacy = l;
}

/*
 * A mark in the legacy stream waits for all that has been given to blocking streams before
 * it, and they for the mark. So it is recorded before anything new is given to one of them,
 * unless that is work which will cover the older.
 */
static void close_legacy(struct vg_exec *x, const struct vg_lane *l, bool is_work)
{
    struct vg_meter *m = &x->meter;
    struct vg_lane *legacy = m->legacy;

    if (!legacy || legacy->open.calls == 0 || legacy == l || (l && !l->blocking && !l->legacy))
        return;
    if (is_work && l && l->home == legacy->home && (l->runs || !l->first))
        return;
    vg_lane_close(x, legacy, is_exact(m, false), vg_now());
}

void vg_meter_stream(struct vg_exec *x, CUstream stream)
{
    struct vg_meter *m = &x->meter;
    bool is_work = m->call.on;

    m->call.on = false;
    if (!x->ctx || (x->captures > 0 && vg_own_is_capturing(x, stream)))
        return;
    if (m->legacy && m->legacy->open.calls > 0)
        close_legacy(x, is_work ? vg_lane_of(x, stream) : vg_lane_find(x, stream), is_work);
    if (is_work)
        count(x, stream);
}

/* The driver has refused it. */
static void take_back(struct vg_exec *x, struct vg_lane *l)
{
    struct vg_meter *m = &x->meter;

    if (l->open.calls == 0 || l->open.last != m->serial)
        return;
    l->open.guess -= m->call.ns;
    if (--l->open.calls == 0)
        vg_lane_unopen(x, l);
}

void vg_meter_end(struct vg_exec *x, bool done)
{
    struct vg_meter *m = &x->meter;

    if (m->call.on && done)
        vg_meter_stream(x, CU_STREAM_LEGACY);
    if (m->call.lane && !done)
        take_back(x, m->call.lane);
    m->call.on = false;
    m->call.lane = NULL;
}

/* ---- Streams that wait for the guest, end, or are captured ---- */

void vg_meter_close_all(struct vg_exec *x)
{
    for (unsigned i = x->meter.active; i-- > 0;)
        vg_lane_close(x, x->meter.lane[i], is_exact(&x->meter, false), vg_now());
}

void vg_meter_stall_begin(struct vg_exec *x, CUstream stream)
{
    struct vg_lane *l = x->ctx ? vg_lane_find(x, stream) : NULL;

    if (l)
        vg_lane_close(x, l, is_exact(&x->meter, false), vg_now());
}

void vg_meter_stall_end(struct vg_exec *x, CUstream stream)
{
    struct vg_lane *l = x->ctx && !vg_own_is_capturing(x, stream) ? vg_lane_of(x, stream) : NULL;

    if (l)
        vg_lane_stall(x, l, vg_now());
}

void vg_meter_stream_ends(struct vg_exec *x, CUstream stream)
{
    struct vg_meter *m = &x->meter;
    struct vg_lane *l = x->ctx ? vg_lane_find(x, stream) : NULL;

    if (!l || l->legacy || stream == CU_STREAM_PER_THREAD)
        return;
    vg_lane_close(x, l, is_exact(m, false), vg_now());
    l->ended = true;
    if (!vg_lane_is_active(m, l))
        vg_lane_forget(x, l);
}

/* ---- What waits tell ---- */

uint64_t vg_meter_covered(struct vg_exec *x, CUstream stream)
{
    struct vg_meter *m = &x->meter;

    if (m->active == 0)
        return 0;
    struct vg_lane *l = vg_lane_find(x, stream);
    if (l)
        l->covered = m->serial;
    return m->serial;
}

static bool ends_with(const struct vg_exec *x, const struct vg_lane *l, CUstream stream)
{
    bool legacy = !stream || stream == CU_STREAM_LEGACY;

    return vg_lane_is(x, l, stream) || (legacy && l->home == x->home && (l->legacy || l->blocking));
}

void vg_meter_passed(struct vg_exec *x, CUstream stream, uint64_t serial)
{
    struct vg_meter *m = &x->meter;
    uint64_t now = m->active > 0 ? clock_now(m) : 0;

    for (unsigned i = m->active; serial && i-- > 0;)
        if (ends_with(x, m->lane[i], stream))
            vg_lane_pass(x, m->lane[i], serial, now);
}

void vg_meter_idle(struct vg_exec *x)
{
    struct vg_meter *m = &x->meter;
    uint64_t now = m->active > 0 ? vg_now() : 0;

    for (unsigned i = m->active; i-- > 0;)
        if (m->lane[i]->home == x->home)
            vg_lane_pass(x, m->lane[i], m->serial, now);
}

void vg_meter_drop_context(struct vg_exec *x, CUcontext ctx)
{
    struct vg_meter *m = &x->meter;
    uint64_t now = vg_now();

    for (unsigned i = m->lanes; i-- > 0;) {
        struct vg_lane *l = m->lane[i];
        if (l->ctx != ctx && l->home != ctx)
            continue;
        l->ended = true;
        if (vg_lane_is_active(m, l))
            vg_lane_pass(x, l, m->serial, now);
        else
            vg_lane_forget(x, l);
    }
}

/* ---- Between records ---- */

static bool is_due(const struct vg_exec *x, const struct vg_lane *l, uint64_t now, bool quiet)
{
    const struct vg_meter *m = &x->meter;
    uint64_t age = now > l->open.since ? now - l->open.since : 0;

    if (l->open.calls == 0 || l->open.last <= l->covered)
        return false;
    if (quiet)
        return age >= (m->fine ? FINE_QUIET_NS : x->opt.software ? MARK_SOFT_NS : MARK_QUIET_NS);
    return age >= (m->fine ? FINE_NS : m->paced ? PACED_NS : MARK_NS);
}

static void look(struct vg_exec *x, uint64_t now, bool quiet)
{
    struct vg_meter *m = &x->meter;

    for (unsigned i = m->active; i-- > 0;) {
        struct vg_lane *l = m->lane[i];
        if (vg_lane_look(x, l, now) && is_due(x, l, now, quiet))
            vg_lane_close(x, l, is_exact(m, quiet), now);
    }
    vg_lanes_take_stock(m, now);
    m->next_look = now + (quiet || m->fine ? LOOK_QUIET_NS : m->paced ? LOOK_PACED_NS : LOOK_NS);
}

void vg_meter_look(struct vg_exec *x, uint64_t now, bool quiet)
{
    struct vg_meter *m = &x->meter;

    if (m->active == 0)
        m->flight_calls = m->flight_ns = 0;
    else if (now >= m->next_look)
        look(x, now, quiet);
}

uint64_t vg_meter_nap(const struct vg_exec *x, uint64_t now)
{
    const struct vg_meter *m = &x->meter;

    if (m->active == 0)
        return UINT64_MAX;
    if (vg_lanes_have_open(m))
        return x->opt.software && !m->fine ? MARK_SOFT_NS : NAP_MIN_NS;
    if (vg_lanes_are_heard(m))
        return UINT64_MAX;
    if (m->fine || m->paced)
        return NAP_FINE_NS;
    uint64_t ns = (now > m->moved ? now - m->moved : 0) / NAP_SHARE;
    return ns < NAP_MIN_NS ? NAP_MIN_NS : ns < NAP_MAX_NS ? ns : NAP_MAX_NS;
}

void vg_meter_fini(struct vg_meter *m)
{
    vg_lanes_fini(m);
    memset(m, 0, sizeof(*m));
}
