/* SPDX-License-Identifier: MIT */
/*
 * Stream capture. A capture is begun in one stream (its origin); other streams join by waiting for
 * an event recorded in it, and must be joined back before it ends.
 */
#include "capture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "graph.h"

struct vg_capture {
    struct vg_capture *next;            /* of all that are under way */
    uint64_t id;
    struct vg_graph *graph;
    bool own_graph;                     /* made for it, not given by BeginCaptureToGraph */
    CUstreamCaptureMode mode;
    struct vg_stream *origin;
    struct vg_ctx *ctx;
    pthread_t thread;
    bool invalid;
};

static struct vg_capture *captures;
static uint64_t next_capture_id = 1;
static __thread CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

/* ------------------------------------------------------------------ node sets */

int vg_node_set_add(struct vg_node_set *set, struct vg_node *node)
{
    struct vg_node **grown;
    size_t i;

    for (i = 0; i < set->n; i++)
        if (set->list[i] == node)
            return 0;
    if (set->n == set->cap) {
        grown = realloc(set->list, (2 * set->cap + 4) * sizeof(*grown));
        if (grown == NULL)
            return -1;
        set->list = grown;
        set->cap = 2 * set->cap + 4;
    }
    set->list[set->n++] = node;
    return 0;
}

int vg_node_set_add_all(struct vg_node_set *set, const struct vg_node_set *from)
{
    size_t i;

    for (i = 0; i < from->n; i++)
        if (vg_node_set_add(set, from->list[i]) != 0)
            return -1;
    return 0;
}

void vg_node_set_clear(struct vg_node_set *set)
{
    free(set->list);
    memset(set, 0, sizeof(*set));
}

/* ------------------------------------------------------------- while capturing */

static CUresult capture_invalidate(struct vg_capture *c, CUresult why)
{
    c->invalid = true;
    return why;
}

static struct vg_capture *capture_find(uint64_t id)
{
    struct vg_capture *c = captures;

    while (c != NULL && c->id != id)
        c = c->next;
    return c;
}

static CUresult frontier_becomes(struct vg_stream *s, struct vg_node *node)
{
    s->frontier.n = 0;
    return vg_node_set_add(&s->frontier, node) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult capture_node(struct vg_stream *s, struct vg_op *op)
{
    struct vg_node *node;
    CUresult rc = vg_graph_add_locked(s->capture->graph, op, s->frontier.list, s->frontier.n,
                                      &node);

    return rc != CUDA_SUCCESS ? rc : frontier_becomes(s, node);
}

static CUresult capture_record(struct vg_stream *s, struct vg_event *e)
{
    vg_node_set_clear(&e->nodes);
    e->capture_id = s->capture->id;
    return vg_node_set_add_all(&e->nodes, &s->frontier) == 0 ? CUDA_SUCCESS
                                                             : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult capture_wait(struct vg_stream *s, const struct vg_event *e)
{
    if (e->capture_id == s->capture->id)
        return vg_node_set_add_all(&s->frontier, &e->nodes) == 0 ? CUDA_SUCCESS
                                                                 : CUDA_ERROR_OUT_OF_MEMORY;
    if (e->capture_id != 0 && capture_find(e->capture_id) == NULL)
        return capture_invalidate(s->capture, CUDA_ERROR_INVALID_VALUE);
    if (e->capture_id != 0)
        return capture_invalidate(s->capture, CUDA_ERROR_STREAM_CAPTURE_MERGE);
    if (e->task != NULL)
        return capture_invalidate(s->capture, CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    return CUDA_SUCCESS;
}

static CUresult capture_op(struct vg_stream *s, struct vg_op *op, bool wait)
{
    if (s->capture->invalid)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (wait || op->type == VG_OP_CALLBACK)
        return capture_invalidate(s->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    if (op->type == VG_OP_EVENT_RECORD && !op->external)
        return capture_record(s, op->u.event);
    if (op->type == VG_OP_EVENT_WAIT && !op->external)
        return capture_wait(s, op->u.event);
    return op->type == VG_OP_EMPTY ? CUDA_SUCCESS : capture_node(s, op);
}

/* A stream outside joins the capture that the event belongs to. */
static CUresult capture_join(struct vg_stream *s, const struct vg_event *e)
{
    struct vg_capture *c = capture_find(e->capture_id);

    if (c == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (c->invalid)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (s == s->ctx->legacy)
        return capture_invalidate(c, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    s->capture = c;
    s->frontier.n = 0;
    return vg_node_set_add_all(&s->frontier, &e->nodes) == 0 ? CUDA_SUCCESS
                                                             : CUDA_ERROR_OUT_OF_MEMORY;
}

/* The null stream would have to wait for blocking streams that capture. */
static CUresult check_implicit(const struct vg_stream *legacy)
{
    const struct vg_stream *s;
    CUresult rc = CUDA_SUCCESS;

    for (s = legacy->ctx->streams; captures != NULL && s != NULL; s = s->next)
        if (s->capture != NULL && !(s->flags & CU_STREAM_NON_BLOCKING))
            rc = capture_invalidate(s->capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    return rc;
}

bool vg_capture_intercept_locked(struct vg_stream *s, struct vg_op *op, bool wait,
                                 CUresult *ret_rc)
{
    if (captures == NULL && (op->type != VG_OP_EVENT_WAIT || op->u.event->capture_id == 0))
        return false;
    if (s->capture != NULL) {
        *ret_rc = capture_op(s, op, wait);
        return true;
    }
    if (op->type == VG_OP_EVENT_WAIT && op->u.event->capture_id != 0) {
        *ret_rc = capture_join(s, op->u.event);
        return true;
    }
    *ret_rc = s == s->ctx->legacy ? check_implicit(s) : CUDA_SUCCESS;
    return *ret_rc != CUDA_SUCCESS;
}

CUresult vg_capture_check_sync_locked(struct vg_stream *s)
{
    if (s->capture != NULL)
        return capture_invalidate(s->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    return s == s->ctx->legacy ? check_implicit(s) : CUDA_SUCCESS;
}

CUresult vg_capture_check_event_locked(const struct vg_event *e)
{
    struct vg_capture *c;

    if (e->capture_id == 0)
        return CUDA_SUCCESS;
    c = capture_find(e->capture_id);
    if (c == NULL || c->invalid)
        return CUDA_ERROR_INVALID_VALUE;
    return capture_invalidate(c, CUDA_ERROR_CAPTURED_EVENT);
}

CUresult vg_capture_check_ctx_sync(const struct vg_ctx *ctx)
{
    struct vg_capture *c;
    CUresult rc = CUDA_SUCCESS;

    vg_engine_lock();
    for (c = captures; c != NULL; c = c->next)
        if (c->ctx == ctx)
            rc = capture_invalidate(c, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    vg_engine_unlock();
    return rc;
}

static bool capture_forbids(const struct vg_capture *c)
{
    bool mine = pthread_equal(c->thread, pthread_self());

    if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED || c->mode == CU_STREAM_CAPTURE_MODE_RELAXED)
        return false;
    if (mine)
        return true;
    return thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
           c->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
}

CUresult vg_capture_check_unsafe(void)
{
    struct vg_capture *c;
    CUresult rc = CUDA_SUCCESS;

    if (__atomic_load_n(&captures, __ATOMIC_RELAXED) == NULL)
        return CUDA_SUCCESS;
    vg_engine_lock();
    for (c = captures; c != NULL; c = c->next)
        if (capture_forbids(c))
            rc = capture_invalidate(c, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    vg_engine_unlock();
    return rc;
}

/* ------------------------------------------------------------- begin and end */

/* Streams leave; the graph stays with whom it belongs to. */
static void capture_end(struct vg_capture *c, bool keep_graph)
{
    struct vg_capture **at = &captures;
    struct vg_stream *s;

    while (*at != c)
        at = &(*at)->next;
    __atomic_store_n(at, c->next, __ATOMIC_RELAXED);
    for (s = c->ctx->streams; s != NULL; s = s->next)
        if (s->capture == c) {
            s->capture = NULL;
            vg_node_set_clear(&s->frontier);
        }
    if (!keep_graph && c->own_graph)
        vg_graph_free_locked(c->graph);
    free(c);
}

static bool set_has(const struct vg_node_set *set, const struct vg_node *node)
{
    size_t i;

    for (i = 0; i < set->n && set->list[i] != node; i++)
        ;
    return i < set->n;
}

/* The stream did something, and the origin comes after all of it. */
static bool stream_is_joined(const struct vg_stream *s)
{
    size_t i;

    vg_graph_count_dependents_locked(s->capture->graph);
    for (i = 0; i < s->frontier.n; i++)
        if (s->frontier.list[i]->mark == 0 &&
            !set_has(&s->capture->origin->frontier, s->frontier.list[i]))
            return false;
    return i > 0;
}

/* A stream that was joined again may go before the capture ends; what it recorded stays. */
void vg_capture_leave_locked(struct vg_stream *s)
{
    if (s->capture == NULL)
        return;
    if (s->capture->origin == s || !stream_is_joined(s))
        s->capture->invalid = true;
    if (s->capture->origin == s)
        capture_end(s->capture, false);
    s->capture = NULL;
    vg_node_set_clear(&s->frontier);
}

void vg_capture_end_ctx_locked(struct vg_ctx *ctx)
{
    struct vg_capture *c, *next;

    for (c = captures; c != NULL; c = next) {
        next = c->next;
        if (c->ctx == ctx)
            capture_end(c, false);
    }
}

static CUresult capture_begin_locked(struct vg_stream *s, struct vg_graph *graph,
                                     CUstreamCaptureMode mode)
{
    struct vg_capture *c;

    if (s == s->ctx->legacy)
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (s->capture != NULL)
        return CUDA_ERROR_ILLEGAL_STATE;
    c = calloc(1, sizeof(*c));
    if (c == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    c->own_graph = graph == NULL;
    c->graph = graph != NULL ? graph : vg_graph_new();
    if (c->graph == NULL) {
        free(c);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    c->id = next_capture_id++;
    c->mode = mode;
    c->origin = s;
    c->ctx = s->ctx;
    c->thread = pthread_self();
    c->next = captures;
    __atomic_store_n(&captures, c, __ATOMIC_RELAXED);
    s->capture = c;
    s->frontier.n = 0;
    return CUDA_SUCCESS;
}

/* Every node that nothing comes after must be known to the origin. */
static bool capture_is_joined(const struct vg_capture *c)
{
    const struct vg_graph *g = c->graph;
    size_t i;

    vg_graph_count_dependents_locked(c->graph);
    for (i = 0; i < g->n; i++)
        if (g->nodes[i]->mark == 0 && c->own_graph && !set_has(&c->origin->frontier, g->nodes[i]))
            return false;
    return true;
}

static CUresult capture_finish_locked(struct vg_stream *s, CUgraph *ret)
{
    struct vg_capture *c = s->capture;

    if (c == NULL)
        return CUDA_ERROR_ILLEGAL_STATE;
    if (c->origin != s)
        return capture_invalidate(c, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    if (c->mode != CU_STREAM_CAPTURE_MODE_RELAXED && !pthread_equal(c->thread, pthread_self()))
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    *ret = NULL;
    if (c->invalid)
        return capture_end(c, false), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (!capture_is_joined(c))
        return capture_end(c, false), CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    *ret = c->graph->handle;
    capture_end(c, true);
    return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------- entry points */

static CUresult capture_begin(CUstream stream, struct vg_graph *graph,
                              const CUgraphNode *deps, size_t n, CUstreamCaptureMode mode)
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);
    size_t i;

    if (rc != CUDA_SUCCESS)
        return rc;
    if ((unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED || (n != 0 && deps == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < n; i++)
        if (vg_node_get(deps[i]) == NULL || vg_node_get(deps[i])->graph != graph)
            return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    rc = capture_begin_locked(s, graph, mode);
    for (i = 0; i < n && rc == CUDA_SUCCESS; i++)
        if (vg_node_set_add(&s->frontier, vg_node_get(deps[i])) != 0)
            rc = CUDA_ERROR_OUT_OF_MEMORY;
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuStreamBeginCapture_v2, (CUstream stream, CUstreamCaptureMode mode))
{
    return capture_begin(stream, NULL, NULL, 0, mode);
}

VG_ENTRY(cuStreamBeginCapture, (CUstream stream))
{
    return capture_begin(stream, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

VG_ENTRY(cuStreamBeginCaptureToGraph,
         (CUstream stream, CUgraph graph, const CUgraphNode *deps, const CUgraphEdgeData *edges,
          size_t n, CUstreamCaptureMode mode))
{
    struct vg_graph *g = vg_graph_get(graph);

    (void)edges;
    return g != NULL ? capture_begin(stream, g, deps, n, mode) : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuStreamEndCapture, (CUstream stream, CUgraph *graph))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (graph == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    rc = capture_finish_locked(s, graph);
    vg_engine_unlock();
    return rc;
}

static CUstreamCaptureStatus capture_status(const struct vg_stream *s)
{
    return s->capture == NULL ? CU_STREAM_CAPTURE_STATUS_NONE
           : s->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                 : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

VG_ENTRY(cuStreamIsCapturing, (CUstream stream, CUstreamCaptureStatus *status))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (status == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    rc = s == s->ctx->legacy ? check_implicit(s) : CUDA_SUCCESS;
    *status = capture_status(s);
    vg_engine_unlock();
    return rc;
}

/* The handles of a stream's frontier, for the caller to read until its next call here. */
static const CUgraphNode *frontier_handles(const struct vg_stream *s)
{
    static __thread CUgraphNode *list;
    static __thread size_t cap;
    CUgraphNode *grown;
    size_t i;

    if (s->frontier.n > cap) {
        grown = realloc(list, s->frontier.n * sizeof(*grown));
        if (grown == NULL)
            return NULL;
        list = grown;
        cap = s->frontier.n;
    }
    for (i = 0; i < s->frontier.n; i++)
        list[i] = s->frontier.list[i]->handle;
    return list;
}

VG_ENTRY(cuStreamGetCaptureInfo_v2,
         (CUstream stream, CUstreamCaptureStatus *status, uint64_t *id, CUgraph *graph,
          const CUgraphNode **deps, size_t *n))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (status == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    rc = s == s->ctx->legacy ? check_implicit(s) : CUDA_SUCCESS;
    *status = capture_status(s);
    if (s->capture != NULL) {
        if (id != NULL)
            *id = s->capture->id;
        if (graph != NULL)
            *graph = s->capture->graph->handle;
        if (deps != NULL)
            *deps = frontier_handles(s);
        if (n != NULL)
            *n = s->frontier.n;
    }
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuStreamGetCaptureInfo_v3,
         (CUstream stream, CUstreamCaptureStatus *status, uint64_t *id, CUgraph *graph,
          const CUgraphNode **deps, const CUgraphEdgeData **edges, size_t *n))
{
    if (edges != NULL)
        *edges = NULL;          /* every edge is a plain one */
    return cuStreamGetCaptureInfo_v2(stream, status, id, graph, deps, n);
}

VG_ENTRY(cuStreamGetCaptureInfo, (CUstream stream, CUstreamCaptureStatus *status, uint64_t *id))
{
    return cuStreamGetCaptureInfo_v2(stream, status, id, NULL, NULL, NULL);
}

static CUresult update_frontier_locked(struct vg_stream *s, const CUgraphNode *deps, size_t n,
                                       unsigned flags)
{
    size_t i;

    if (s->capture == NULL)
        return CUDA_ERROR_ILLEGAL_STATE;
    for (i = 0; i < n; i++)
        if (vg_node_get(deps[i]) == NULL || vg_node_get(deps[i])->graph != s->capture->graph)
            return CUDA_ERROR_INVALID_VALUE;
    if (flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES)
        s->frontier.n = 0;
    for (i = 0; i < n; i++)
        if (vg_node_set_add(&s->frontier, vg_node_get(deps[i])) != 0)
            return CUDA_ERROR_OUT_OF_MEMORY;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuStreamUpdateCaptureDependencies,
         (CUstream stream, CUgraphNode *deps, size_t n, unsigned flags))
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES || (n != 0 && deps == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    vg_engine_lock();
    rc = update_frontier_locked(s, deps, n, flags);
    vg_engine_unlock();
    return rc;
}

VG_ENTRY(cuStreamUpdateCaptureDependencies_v2,
         (CUstream stream, CUgraphNode *deps, const CUgraphEdgeData *edges, size_t n,
          unsigned flags))
{
    (void)edges;
    return cuStreamUpdateCaptureDependencies(stream, deps, n, flags);
}

VG_ENTRY(cuThreadExchangeStreamCaptureMode, (CUstreamCaptureMode *mode))
{
    CUstreamCaptureMode old = thread_mode;

    if (mode == NULL || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    thread_mode = *mode;
    *mode = old;
    return CUDA_SUCCESS;
}
