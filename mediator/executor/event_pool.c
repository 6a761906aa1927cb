/* SPDX-License-Identifier: MIT */
/* See event_pool.h. */
#include "mediator/executor/event_pool.h"

#include <stdlib.h>
#include <string.h>

#include "mediator/executor/executor.h"

CUresult vg_event_get(struct vg_exec *x, bool timed, CUevent *ret_event)
{
    struct vg_event_pool *p = &x->waits.pool;

    for (size_t i = p->count; i-- > 0;) {
        if (p->at[i].ctx != x->ctx || p->at[i].timed != timed)
            continue;
        *ret_event = p->at[i].event;
        p->at[i] = p->at[--p->count];
        return CUDA_SUCCESS;
    }
    return x->cuda.cuEventCreate(ret_event, timed ? CU_EVENT_DEFAULT : CU_EVENT_DISABLE_TIMING);
}

void vg_event_put(struct vg_exec *x, CUcontext ctx, bool timed, CUevent event)
{
    struct vg_event_pool *p = &x->waits.pool;

    if (!vg_obj_find(&x->obj, VG_OBJ_CUcontext, (uintptr_t)ctx))
        return; /* it died with its context */
    if (p->count == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 32;
        void *at = realloc(p->at, cap * sizeof(p->at[0]));
        if (!at) {
            x->cuda.cuEventDestroy_v2(event);
            return;
        }
        p->at = at;
        p->cap = cap;
    }
    p->at[p->count].ctx = ctx;
    p->at[p->count].timed = timed;
    p->at[p->count++].event = event;
}

void vg_event_pool_fini(struct vg_event_pool *p)
{
    free(p->at);
    memset(p, 0, sizeof(*p));
}
