/* SPDX-License-Identifier: MIT */
/* Ties memory to a graph by a user object: the driver counts, we only free. */
#include "mediator/executor/capture.h"

#include <stdlib.h>
#include <string.h>

#include "mediator/executor/callback.h"
#include "mediator/executor/executor.h"
#include "vg_atomic.h"

CUgraph vg_capture_graph(struct vg_exec *x, CUstream stream)
{
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    CUgraph graph = NULL;
    uint64_t id;

    x->cuda.cuStreamGetCaptureInfo_v2(stream, &status, &id, &graph, NULL, NULL);
    return status == CU_STREAM_CAPTURE_STATUS_ACTIVE ? graph : NULL;
}

struct vg_captured {
    struct vg_captured *next; /* in x->untied */
    uint64_t *total;   /* bytes in all copies */
    size_t len;
    uint8_t bytes[];
};

/* Called by the driver, on a thread of its own, when the last graph is gone. */
static void copy_free(void *arg)
{
    struct vg_captured *c = arg;

    vg_fetch_add(c->total, -(uint64_t)c->len);
    free(c);
}

/* Whether the graph ends it. An object that the graph refused is never released. */
static bool tie(struct vg_exec *x, CUgraph graph, void *p, CUhostFn end)
{
    CUuserObject object;

    return graph &&
           !x->cuda.cuUserObjectCreate(&object, p, end, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC) &&
           !x->cuda.cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE);
}

void vg_callback_tie(struct vg_exec *x, struct vg_callback *cb, CUgraph graph)
{
    tie(x, graph, cb, vg_callback_gone);
}

void vg_callback_tie_exec(struct vg_exec *x, struct vg_callback *cb, CUgraphExec exec)
{
    cb->exec = exec;
    cb->next = x->of_execs;
    x->of_execs = cb;
}

bool vg_callback_has_exec(const struct vg_exec *x, CUgraphExec exec)
{
    const struct vg_callback *cb = x->of_execs;

    while (cb && cb->exec != exec)
        cb = cb->next;
    return cb != NULL;
}

void vg_callback_end_exec(struct vg_exec *x, CUgraphExec exec)
{
    struct vg_callback **at = &x->of_execs, *cb;

    while ((cb = *at) != NULL) {
        if (cb->exec != exec) {
            at = &cb->next;
            continue;
        }
        *at = cb->next;
        vg_callback_gone(cb);
    }
}

void *vg_capture_copy(struct vg_exec *x, CUstream stream, const void *bytes, size_t len)
{
    uint64_t total = vg_load_relaxed(&x->captured_bytes);

    if (len > VG_CAPTURED_MAX || total > VG_CAPTURED_MAX - len)
        return NULL;
    struct vg_captured *c = malloc(sizeof(*c) + len + 1);
    if (!c)
        return NULL;
    *c = (struct vg_captured){.total = &x->captured_bytes, .len = len};
    memcpy(c->bytes, bytes, len);
    vg_fetch_add(&x->captured_bytes, len);
    if (!tie(x, vg_capture_graph(x, stream), c, copy_free)) {
        c->next = x->untied;
        x->untied = c;
    }
    return c->bytes;
}

void vg_capture_fini(struct vg_exec *x)
{
    while (x->untied) {
        struct vg_captured *c = x->untied;
        x->untied = c->next;
        free(c);
    }
    while (x->of_execs) {
        struct vg_callback *cb = x->of_execs;
        x->of_execs = cb->next;
        free(cb);
    }
}
