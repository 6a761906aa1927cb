/* SPDX-License-Identifier: MIT */
/*
 * The current context of the serve thread, and when the region is registered with one.
 * Serve thread.
 */
#include "mediator/executor/executor.h"
#include "vg_atomic.h"

void vg_context_register_early(struct vg_exec *x)
{
    CUcontext ctx = x->fresh;

    x->fresh = NULL;
    if (!ctx || x->registrar || x->cuda.cuCtxSetCurrent(ctx) != CUDA_SUCCESS)
        return;
    vg_pins_begin(x, ctx);
    x->cuda.cuCtxSetCurrent(x->ctx);
}

/* A green context shares all but its multiprocessors with the primary one of its device. */
static CUcontext home_of(struct vg_exec *x, CUcontext ctx)
{
    const struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUcontext, (uintptr_t)ctx);

    if (!o || !(o->info & VG_CTX_GREEN))
        return ctx;
    return vg_context_primary(x, (CUdevice)(o->info & ~VG_CTX_GREEN));
}

CUresult vg_context_set(struct vg_exec *x, CUcontext ctx)
{
    if (ctx == x->ctx)
        return CUDA_SUCCESS;
    CUresult rc = vg_own_handle(x, VG_OBJ_CUcontext, (uintptr_t)ctx);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuCtxSetCurrent(ctx);
    if (rc != CUDA_SUCCESS) {
        x->cuda.cuCtxSetCurrent(NULL);
        x->ctx = x->home = NULL;
        return rc;
    }
    x->ctx = ctx;
    x->home = home_of(x, ctx);
    if (ctx)
        vg_pins_begin(x, x->home);
    return CUDA_SUCCESS;
}

struct greens {
    struct vg_exec *x;
    CUcontext primary;
};

static void drop_waits_of_green(struct vg_obj *o, void *arg)
{
    const struct greens *g = arg;
    CUcontext ctx = (CUcontext)(uintptr_t)o->handle;

    if (o->info & VG_CTX_GREEN && home_of(g->x, ctx) == g->primary)
        vg_waits_drop_context(g->x, ctx);
}

/* With a primary context go its green ones. */
void vg_context_gone(struct vg_exec *x, CUcontext ctx)
{
    struct greens greens = {x, ctx};

    vg_obj_each(&x->obj, VG_OBJ_CUcontext, drop_waits_of_green, &greens);
    vg_alias_drop(x, ctx);
    if (x->fresh == ctx)
        x->fresh = NULL;
    vg_own_remove(x, VG_OBJ_CUcontext, (uintptr_t)ctx);
    vg_own_count_captures(x);
    vg_waits_drop_context(x, ctx);
    vg_meter_drop_context(x, ctx);
    vg_pins_end(x, ctx);
    vg_bounce_end(x, ctx);
    if (x->graph_copy_in == ctx)
        x->graph_copy_in = NULL;
    if (x->ctx == ctx || x->home == ctx) {
        x->cuda.cuCtxSetCurrent(NULL);
        x->ctx = x->home = NULL;
    }
    if (x->ctx)
        vg_pins_begin(x, x->home);
    /* What was wrong was wrong with a context; one that still is says so again. */
    vg_store_release(&x->guest.slot->sticky_error, 0);
}
