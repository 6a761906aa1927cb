/* SPDX-License-Identifier: MIT */
/*
 * Bodies: green contexts. A device resource is a struct of the driver's with private
 * bytes in it, so the originals stay here: the guest gets the public part and a number,
 * and what it hands back stands for the original of that number. Serve thread.
 */
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"

#define RESOURCES_MAX 1024u /* distinct ones that one process may learn of */
#define GROUPS_MAX    256u  /* of one split, or in one descriptor */

/* ---- Resources ---- */

/* The number stands where the driver keeps private bytes. */
static void set_number(CUdevResource *res, uint64_t n)
{
    memcpy(res->_internal_padding + 4, &n, sizeof(n));
}

static uint64_t number_of(const CUdevResource *res)
{
    uint64_t n;

    memcpy(&n, res->_internal_padding + 4, sizeof(n));
    return n;
}

/* The place of a resource in the list, where the same one is kept once. 0: no room. */
static uint64_t keep(struct vg_exec *x, const CUdevResource *res)
{
    struct vg_resources *s = &x->resources;

    for (unsigned i = 0; i < s->count; i++)
        if (memcmp(&s->at[i], res, sizeof(*res)) == 0)
            return i + 1;
    if (s->count == RESOURCES_MAX)
        return 0;
    if (!s->at && !(s->at = calloc(RESOURCES_MAX, sizeof(*s->at))))
        return 0;
    s->at[s->count] = *res;
    return ++s->count;
}

/* What the guest gets to see of *res. */
static CUresult give(struct vg_exec *x, const CUdevResource *res, CUdevResource *ret)
{
    uint64_t n = keep(x, res);

    memset(ret, 0, sizeof(*ret));
    if (n == 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    ret->type = res->type;
    ret->sm = res->sm;
    set_number(ret, n);
    return CUDA_SUCCESS;
}

static CUresult take(const struct vg_exec *x, const CUdevResource *given, CUdevResource *ret)
{
    uint64_t n = number_of(given);

    if (n == 0 || n > x->resources.count)
        return CUDA_ERROR_INVALID_VALUE;
    *ret = x->resources.at[n - 1];
    return CUDA_SUCCESS;
}

CUresult vg_do_cuDeviceGetDevResource(struct vg_exec *x, struct vg_req *r,
                                      struct vg_args_cuDeviceGetDevResource *a)
{
    CUdevResource res;
    CUresult rc = x->cuda.cuDeviceGetDevResource(a->device, &res, a->type);

    (void)r;
    return rc ? rc : give(x, &res, &a->resource);
}

CUresult vg_do_cuCtxGetDevResource(struct vg_exec *x, struct vg_req *r,
                                   struct vg_args_cuCtxGetDevResource *a)
{
    CUdevResource res;
    CUresult rc = x->cuda.cuCtxGetDevResource(a->hCtx, &res, a->type);

    (void)r;
    return rc ? rc : give(x, &res, &a->resource);
}

CUresult vg_do_cuGreenCtxGetDevResource(struct vg_exec *x, struct vg_req *r,
                                        struct vg_args_cuGreenCtxGetDevResource *a)
{
    CUdevResource res;
    CUresult rc = x->cuda.cuGreenCtxGetDevResource(a->hCtx, &res, a->type);

    (void)r;
    return rc ? rc : give(x, &res, &a->resource);
}

/* The groups, then what remains, into the reply. */
static CUresult send_groups(struct vg_exec *x, struct vg_req *r, const CUdevResource *group,
                            unsigned count, const CUdevResource *remaining)
{
    CUdevResource *out = (CUdevResource *)r->enc.payload;
    CUresult rc = CUDA_SUCCESS;

    if ((count + 1) * sizeof(*out) > r->enc.cap)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count && rc == CUDA_SUCCESS; i++)
        rc = give(x, &group[i], &out[i]);
    if (remaining && rc == CUDA_SUCCESS)
        rc = remaining->type == CU_DEV_RESOURCE_TYPE_SM ? give(x, remaining, &out[count])
                                                        : (out[count] = *remaining, CUDA_SUCCESS);
    r->enc.len = (count + !!remaining) * sizeof(*out);
    return rc;
}

/* Words: room for groups (0: only how many there would be), whether what remains is wanted, flags,
 * least count, block of the input. */
CUresult vg_do_cuDevSmResourceSplitByCount(struct vg_exec *x, struct vg_req *r)
{
    uint64_t room = vg_dec_word(&r->dec), want = vg_dec_word(&r->dec);
    uint64_t flags = vg_dec_word(&r->dec), least = vg_dec_word(&r->dec);
    const CUdevResource *given = vg_dec_struct(&r->dec, sizeof(*given));
    CUdevResource input, remaining, *group;
    unsigned count = (unsigned)room;

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = given && room <= GROUPS_MAX ? take(x, given, &input) : CUDA_ERROR_INVALID_VALUE;
    if (rc != CUDA_SUCCESS)
        return rc;
    group = calloc(GROUPS_MAX, sizeof(*group));
    if (!group)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memset(&remaining, 0, sizeof(remaining));
    rc = x->cuda.cuDevSmResourceSplitByCount(room ? group : NULL, &count, &input,
                                             want ? &remaining : NULL, (unsigned)flags,
                                             (unsigned)least);
    if (rc == CUDA_SUCCESS && room && count > room)
        rc = CUDA_ERROR_UNKNOWN;
    if (rc == CUDA_SUCCESS) {
        vg_enc_word(&r->enc, count);
        rc = send_groups(x, r, group, room ? count : 0, want ? &remaining : NULL);
    }
    free(group);
    return rc;
}

/* Words: number of resources, block of them. */
CUresult vg_do_cuDevResourceGenerateDesc(struct vg_exec *x, struct vg_req *r)
{
    uint64_t count = vg_dec_word(&r->dec);
    size_t bytes;
    const uint8_t *given = vg_dec_block(&r->dec, &bytes);
    CUdevResource one, *all;
    CUdevResourceDesc desc = NULL;
    CUresult rc = CUDA_SUCCESS;

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    if (!given || count == 0 || count > GROUPS_MAX || bytes != count * sizeof(one))
        return CUDA_ERROR_INVALID_VALUE;
    all = calloc(count, sizeof(*all));
    if (!all)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint64_t i = 0; i < count && rc == CUDA_SUCCESS; i++) {
        memcpy(&one, given + i * sizeof(one), sizeof(one));
        rc = take(x, &one, &all[i]);
    }
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuDevResourceGenerateDesc(&desc, all, (unsigned)count);
    free(all);
    if (rc == CUDA_SUCCESS)
        rc = vg_own_add(x, VG_OBJ_CUdevResourceDesc, (uintptr_t)desc, 0, 0);
    if (rc == CUDA_SUCCESS)
        vg_enc_word(&r->enc, (uintptr_t)desc);
    return rc;
}

/* ---- Contexts: each hangs on the primary one of its device, which the guest holds ---- */

CUresult vg_do_cuGreenCtxCreate(struct vg_exec *x, struct vg_req *r,
                                struct vg_args_cuGreenCtxCreate *a)
{
    CUcontext primary = vg_context_primary(x, a->dev);

    (void)r;
    if (!primary)
        return CUDA_ERROR_INVALID_CONTEXT;
    CUresult rc = x->cuda.cuGreenCtxCreate(&a->phCtx, a->desc, a->dev, a->flags);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = vg_own_add(x, VG_OBJ_CUgreenCtx, (uintptr_t)a->phCtx, (uintptr_t)primary,
                    (uint32_t)a->dev);
    if (rc != CUDA_SUCCESS)
        x->cuda.cuGreenCtxDestroy(a->phCtx);
    return rc;
}

CUresult vg_do_cuCtxFromGreenCtx(struct vg_exec *x, struct vg_req *r,
                                 struct vg_args_cuCtxFromGreenCtx *a)
{
    const struct vg_obj *green = vg_obj_find(&x->obj, VG_OBJ_CUgreenCtx, (uintptr_t)a->hCtx);

    (void)r;
    if (!green)
        return CUDA_ERROR_INVALID_CONTEXT;
    uint32_t info = VG_CTX_GREEN | green->info;
    CUresult rc = x->cuda.cuCtxFromGreenCtx(&a->pContext, a->hCtx);
    return rc ? rc : vg_own_add(x, VG_OBJ_CUcontext, (uintptr_t)a->pContext, (uintptr_t)a->hCtx,
                                info);
}

struct search {
    uint64_t green, ctx;
};

static void find_ctx(struct vg_obj *o, void *arg)
{
    struct search *s = arg;

    if (o->parent == s->green)
        s->ctx = o->handle;
}

/* What was made under it stays, but for itself: that belongs to the primary context. */
CUresult vg_do_cuGreenCtxDestroy(struct vg_exec *x, struct vg_req *r,
                                 struct vg_args_cuGreenCtxDestroy *a)
{
    struct search s = {.green = (uintptr_t)a->hCtx};
    CUcontext before = x->ctx;

    if (!vg_obj_find(&x->obj, VG_OBJ_CUgreenCtx, s.green))
        return CUDA_ERROR_INVALID_CONTEXT;
    vg_obj_each(&x->obj, VG_OBJ_CUcontext, find_ctx, &s);
    if (s.ctx) {
        vg_context_set(x, (CUcontext)(uintptr_t)s.ctx);
        if (!vg_wait_context_end(x, r)) {
            vg_context_set(x, before);
            return CUDA_SUCCESS;
        }
    }
    CUresult rc = x->cuda.cuGreenCtxDestroy(a->hCtx);
    if (rc == CUDA_SUCCESS && s.ctx)
        vg_context_gone(x, (CUcontext)(uintptr_t)s.ctx);
    if ((uintptr_t)before != s.ctx)
        vg_context_set(x, before);
    return rc;
}

CUresult vg_do_cuGreenCtxStreamCreate(struct vg_exec *x, struct vg_req *r,
                                      struct vg_args_cuGreenCtxStreamCreate *a)
{
    const struct vg_obj *green = vg_obj_find(&x->obj, VG_OBJ_CUgreenCtx, (uintptr_t)a->greenCtx);

    (void)r;
    if (!green)
        return CUDA_ERROR_INVALID_CONTEXT;
    uint64_t primary = green->parent;
    CUresult rc = x->cuda.cuGreenCtxStreamCreate(&a->phStream, a->greenCtx, a->flags, a->priority);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = vg_own_add(x, VG_OBJ_CUstream, (uintptr_t)a->phStream, primary, VG_STREAM_NON_BLOCKING);
    if (rc != CUDA_SUCCESS)
        x->cuda.cuStreamDestroy_v2(a->phStream);
    return rc;
}
