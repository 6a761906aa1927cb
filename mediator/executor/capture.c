/* SPDX-License-Identifier: MIT */
/* Ties memory to a graph by a user object: the driver counts, we only free. */
#include "mediator/executor/capture.h"

#include <stdlib.h>
#include <string.h>

#include "mediator/executor/executor.h"

/* The graph being captured, or NULL. */
static CUgraph graph_of(struct vg_exec *x, CUstream stream)
{
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    CUgraph graph = NULL;
    uint64_t id;

    x->cuda.cuStreamGetCaptureInfo_v2(stream, &status, &id, &graph, NULL, NULL);
    return status == CU_STREAM_CAPTURE_STATUS_ACTIVE ? graph : NULL;
}

/* A driver without user objects: then the copy stays until the process ends. */
static void tie(struct vg_exec *x, CUgraph graph, void *p)
{
    CUuserObject object;

    if (!graph ||
        x->cuda.cuUserObjectCreate(&object, p, free, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC))
        return;
    if (x->cuda.cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE))
        x->cuda.cuUserObjectRetain(object, 1);
}

void *vg_capture_copy(struct vg_exec *x, CUstream stream, const void *bytes, size_t len)
{
    void *p = malloc(len + 1);

    if (!p)
        return NULL;
    memcpy(p, bytes, len);
    tie(x, graph_of(x, stream), p);
    return p;
}
