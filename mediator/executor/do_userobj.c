/* SPDX-License-Identifier: MIT */
/*
 * Bodies: user objects. The driver counts references and tells when the last is gone;
 * the guest runs the destructor. Releasing more than the guest itself holds would leave
 * graphs with a dead object, so what it holds is counted. Serve thread.
 */
#include <stdlib.h>

#include "mediator/executor/args.h"
#include "mediator/executor/callback.h"

/* Of an object's info: references that the guest holds itself, and whether graphs ever did. */
#define HELD      0x7fffffffu
#define IN_GRAPHS 0x80000000u

/* Words cookie, references, flags. */
CUresult vg_do_cuUserObjectCreate(struct vg_exec *x, struct vg_req *r)
{
    uint64_t cookie = vg_dec_word(&r->dec);
    unsigned count = (unsigned)vg_dec_word(&r->dec), flags = (unsigned)vg_dec_word(&r->dec);
    CUuserObject object;

    if (!vg_req_decoded(r) || count > INT32_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    struct vg_callback *cb = vg_callback_new(&x->callbacks, cookie, false);
    if (!cb)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult rc = x->cuda.cuUserObjectCreate(&object, cb, vg_callback_gone, count, flags);
    if (rc != CUDA_SUCCESS) {
        vg_callback_drop(cb);
        return rc;
    }
    rc = vg_own_add(x, VG_OBJ_CUuserObject, (uintptr_t)object, 0, count);
    vg_enc_word(&r->enc, (uintptr_t)object);
    return rc;
}

/* The object, if the guest holds at least `count` references to it. */
static struct vg_obj *held(struct vg_exec *x, CUuserObject object, uint64_t count)
{
    struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUuserObject, (uintptr_t)object);

    return o && count > 0 && count <= INT32_MAX && (o->info & HELD) >= count ? o : NULL;
}

/*
 * Notes that the guest holds `less` fewer. With the last the handle ends, unless a graph
 * had it: that may be asked to let go of it.
 */
static void give_up(struct vg_exec *x, struct vg_obj *o, uint32_t less)
{
    o->info -= less; /* the flag is not in reach: `less` are held */
    if (o->info == 0)
        vg_own_remove(x, VG_OBJ_CUuserObject, o->handle);
}

CUresult vg_do_cuUserObjectRetain(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuUserObjectRetain *a)
{
    struct vg_obj *o = held(x, a->object, 1);

    (void)r;
    if (!o || a->count > INT32_MAX - (o->info & HELD))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = x->cuda.cuUserObjectRetain(a->object, a->count);
    if (rc == CUDA_SUCCESS)
        o->info += a->count;
    return rc;
}

CUresult vg_do_cuUserObjectRelease(struct vg_exec *x, struct vg_req *r,
                                   struct vg_args_cuUserObjectRelease *a)
{
    struct vg_obj *o = held(x, a->object, a->count);

    (void)r;
    if (!o)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = x->cuda.cuUserObjectRelease(a->object, a->count);
    if (rc == CUDA_SUCCESS)
        give_up(x, o, a->count);
    return rc;
}

/* Moved references become the graph's. */
CUresult vg_do_cuGraphRetainUserObject(struct vg_exec *x, struct vg_req *r,
                                       struct vg_args_cuGraphRetainUserObject *a)
{
    bool moves = (a->flags & CU_GRAPH_USER_OBJECT_MOVE) != 0;
    struct vg_obj *o = held(x, a->object, moves ? a->count : 1);

    (void)r;
    if (!o || !a->graph || a->count == 0 || a->count > INT32_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = x->cuda.cuGraphRetainUserObject(a->graph, a->object, a->count, a->flags);
    if (rc != CUDA_SUCCESS)
        return rc;
    o->info |= IN_GRAPHS;
    if (moves)
        give_up(x, o, a->count);
    return CUDA_SUCCESS;
}
