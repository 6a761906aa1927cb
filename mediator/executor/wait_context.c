/* SPDX-License-Identifier: MIT */
/*
 * Waits for all that a context has to do: which streams stand for it, and calls that may only
 * run when it is idle. Serve thread.
 */
#include "mediator/executor/wait.h"

#include "mediator/executor/wait_private.h"
#include "mediator/executor/work.h"

/*
 * The streams of the current context. Captured ones execute nothing and must not be
 * touched. The legacy stream stands for all blocking ones, unless one of those is
 * being captured: then touching the legacy stream would break the capture.
 *
 * Streams that were given nothing since they were seen idle are left out: PyTorch has 32 at
 * once, and marks in all of them made the GPU turn from stream to stream for 0.5 ms while it
 * computed in one (H200).
 */
struct census {
    struct vg_exec *x;
    unsigned to_mark; /* streams that need a mark of their own */
    bool no_legacy;
};

static bool is_here(const struct vg_exec *x, const struct vg_obj *o)
{
    return o->parent == (uintptr_t)x->home;
}

static bool is_captured(const struct vg_exec *x, const struct vg_obj *o)
{
    return vg_own_is_capturing(x, (CUstream)(uintptr_t)o->handle);
}

static bool must_mark(const struct census *c, const struct vg_obj *o)
{
    if (o->touched == 0 || !is_here(c->x, o) || is_captured(c->x, o))
        return false;
    return (o->info & VG_STREAM_NON_BLOCKING) || c->no_legacy;
}

static void count_stream(struct vg_obj *o, void *arg)
{
    struct census *c = arg;

    if (must_mark(c, o))
        c->to_mark++;
}

static void take_census(struct vg_exec *x, struct census *c)
{
    *c = (struct census){.x = x, .no_legacy = vg_own_legacy_is_barred(x, x->home)};
    vg_obj_each(&x->obj, VG_OBJ_CUstream, count_stream, c);
}

struct stream_mark {
    const struct census *census;
    struct vg_wait *w;
    CUresult rc;
};

static void mark_one(struct vg_obj *o, void *arg)
{
    struct stream_mark *m = arg;

    if (m->rc == CUDA_SUCCESS && must_mark(m->census, o))
        m->rc = vg_wait_mark(m->census->x, m->w, (CUstream)(uintptr_t)o->handle);
}

/* Marks all work of the current context. */
static CUresult mark_context(struct vg_exec *x, enum wait_kind kind, struct vg_wait **ret_wait)
{
    struct census c;

    take_census(x, &c);
    struct vg_wait *w = vg_wait_new(x, kind, c.to_mark + 1);
    if (!w)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct stream_mark m = {.census = &c, .w = w};
    if (!c.no_legacy)
        m.rc = vg_wait_mark(x, w, CU_STREAM_LEGACY);
    vg_obj_each(&x->obj, VG_OBJ_CUstream, mark_one, &m);
    if (m.rc != CUDA_SUCCESS)
        return vg_wait_drop(x, w, m.rc);
    *ret_wait = w;
    return CUDA_SUCCESS;
}

struct stream_ask {
    const struct census *census;
    CUresult rc;
};

static void ask_one(struct vg_obj *o, void *arg)
{
    struct stream_ask *q = arg;

    if (q->rc != CUDA_SUCCESS || !must_mark(q->census, o))
        return;
    q->rc = q->census->x->cuda.cuStreamQuery((CUstream)(uintptr_t)o->handle);
    if (q->rc == CUDA_SUCCESS)
        o->touched = 0;
}

/*
 * True if nothing is queued in the current context: the usual case, and a cheap question,
 * but for nothing where a real GPU was given work that is not known to have ended.
 */
static bool context_idle(struct vg_exec *x)
{
    const struct census c = {.x = x};
    struct stream_ask q = {.census = &c};

    if (!x->ctx || x->captures > 0 || (!x->opt.software && x->meter.active > 0))
        return false;
    q.rc = x->cuda.cuStreamQuery(CU_STREAM_LEGACY);
    vg_obj_each(&x->obj, VG_OBJ_CUstream, ask_one, &q);
    if (q.rc == CUDA_SUCCESS)
        vg_meter_idle(x);
    return q.rc == CUDA_SUCCESS;
}

CUresult vg_wait_context(struct vg_exec *x, struct vg_req *r)
{
    struct vg_wait *w;

    r->sync = true;
    if (context_idle(x))
        return x->cuda.cuCtxSynchronize();
    CUresult rc = mark_context(x, WAIT_REPLY, &w);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = vg_wait_look(x, w);
    if (rc != CUDA_ERROR_NOT_READY)
        return vg_wait_drop(x, w, rc);
    vg_wait_answer_later(x, w, r);
    return CUDA_SUCCESS;
}

bool vg_wait_drained(struct vg_exec *x, struct vg_req *r)
{
    struct vg_wait *w;

    /* A graph that waits for us may have been launched since; for other work the driver may wait. */
    if (r->drained && (!x->callbacks.transfers || r->graphs == x->graphs))
        return true;
    r->graphs = x->graphs;
    r->captures = x->captures > 0;
    /* Where the context's state cannot even be asked, the call itself will say why. */
    if (!x->ctx || context_idle(x) || mark_context(x, WAIT_REDO, &w) != CUDA_SUCCESS)
        return true;
    if (vg_wait_look(x, w) != CUDA_ERROR_NOT_READY) {
        vg_wait_drop(x, w, CUDA_SUCCESS);
        return true;
    }
    return !vg_wait_redo_later(x, w, r);
}

static bool graphs_are_over(const struct vg_exec *x)
{
    return x->graphs == 0 || (x->graphs_over == x->graphs && x->graphs_over_in == x->ctx);
}

bool vg_wait_to_load(struct vg_exec *x, struct vg_req *r)
{
    if (!x->callbacks.transfers || graphs_are_over(x) || !vg_work_loads(&r->call))
        return true;
    if (!vg_wait_drained(x, r))
        return false;
    if (!r->captures) {
        x->graphs_over = x->graphs;
        x->graphs_over_in = x->ctx;
    }
    return true;
}

bool vg_wait_context_end(struct vg_exec *x, struct vg_req *r)
{
    if (!vg_wait_drained(x, r))
        return false;
    struct vg_wait *w = x->asides.count > 0 ? vg_wait_new(x, WAIT_REDO, 0) : NULL;
    if (!w)
        return true;
    w->after_asides = true;
    w->rings = true; /* what is done aside does */
    return !vg_wait_redo_later(x, w, r);
}
