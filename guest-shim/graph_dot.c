/* SPDX-License-Identifier: MIT */
/* The picture of a graph: the host's driver draws, the file is written here. Any thread. */
#include <stdio.h>

#include "guest-shim/call.h"
#include "guest-shim/state.h"
#include "vg_api.h"

#define WINDOW (256u << 10)     /* bytes of text at once */

struct text {
    CUgraph graph;
    unsigned flags;
    uint8_t *window;
    size_t room;
};

static CUresult fetch(const struct text *t, uint64_t position, struct vg_reply *ret_reply)
{
    struct vg_tx tx;
    CUresult r = vg_begin_quiet(&tx, VG_CALL_cuGraphDebugDotPrint, 0);

    if (r)
        return r;
    tx.call->flags |= VG_F_BULK;
    tx.call->arg[0] = (uintptr_t)t->graph;
    tx.call->arg[1] = t->flags;
    tx.call->arg[2] = position;
    tx.call->arg[6] = vg_window_off(t->window);
    tx.call->arg[7] = t->room;
    return vg_finish(&tx, ret_reply);
}

/* The first piece is fetched before the file is opened: a wrong graph leaves none behind. */
static CUresult write_file(const struct text *t, const char *path)
{
    struct vg_reply reply;
    uint64_t done = 0;
    CUresult r = fetch(t, 0, &reply);

    if (r)
        return r;
    FILE *file = fopen(path, "w");
    if (!file)
        return CUDA_ERROR_OPERATING_SYSTEM;
    while (!r && reply.len > 0) {
        if (fwrite(t->window, 1, reply.len, file) != reply.len)
            r = CUDA_ERROR_OPERATING_SYSTEM;
        done += reply.len;
        if (r || done >= reply.val[0])
            break;
        r = fetch(t, done, &reply);
    }
    if (fclose(file) != 0 && !r)
        r = CUDA_ERROR_OPERATING_SYSTEM;
    return r;
}

CUresult cuGraphDebugDotPrint(CUgraph hGraph, const char *path, unsigned flags)
{
    struct text t = {.graph = hGraph, .flags = flags};
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!hGraph || !path)
        return CUDA_ERROR_INVALID_VALUE;
    t.window = vg_window_get(WINDOW, 1, &t.room);
    if (!t.window)
        return CUDA_ERROR_OUT_OF_MEMORY;
    r = write_file(&t, path);
    vg_window_put(t.window, t.room);
    return r;
}
