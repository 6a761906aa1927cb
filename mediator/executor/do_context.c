/* SPDX-License-Identifier: MIT */
/* Bodies: contexts, synchronization, and what a guest learns at attach. Serve thread. */
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/aside.h"

CUresult vg_do_NOP(struct vg_exec *x, struct vg_req *r)
{
    (void)x;
    (void)r;
    return CUDA_SUCCESS;
}

CUresult vg_do_SET_CONTEXT(struct vg_exec *x, struct vg_req *r)
{
    return vg_context_set(x, (CUcontext)(uintptr_t)r->call.arg[0]);
}

/*
 * A stream is waited for under its own context, whichever is current. One that is captured must
 * not be touched by a mark: the driver's own refusal makes the capture invalid, as it should.
 */
static CUresult sync_stream(struct vg_exec *x, struct vg_req *r, CUstream stream)
{
    const struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUstream, (uintptr_t)stream);
    CUcontext before = x->ctx;
    CUresult rc = vg_own_stream(x, stream);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (vg_own_is_capturing(x, stream))
        return x->cuda.cuStreamQuery(stream);
    if (!o || !o->parent || o->parent == (uintptr_t)x->home)
        return vg_wait_stream(x, r, stream);
    rc = vg_context_set(x, (CUcontext)(uintptr_t)o->parent);
    if (rc == CUDA_SUCCESS)
        rc = vg_wait_stream(x, r, stream);
    vg_context_set(x, before);
    return rc;
}

static CUresult sync_context(struct vg_exec *x, struct vg_req *r, CUcontext ctx)
{
    CUcontext before = x->ctx;
    CUresult rc = ctx ? vg_context_set(x, ctx) : CUDA_SUCCESS;

    if (rc == CUDA_SUCCESS)
        rc = vg_wait_context(x, r);
    vg_context_set(x, before);
    return rc;
}

CUresult vg_do_SYNC(struct vg_exec *x, struct vg_req *r)
{
    uint64_t handle = r->call.arg[1];
    CUresult rc;

    switch (r->call.arg[0]) {
    case VG_SYNC_CONTEXT:
        return sync_context(x, r, (CUcontext)(uintptr_t)handle);
    case VG_SYNC_STREAM:
        return sync_stream(x, r, (CUstream)(uintptr_t)handle);
    case VG_SYNC_EVENT:
        rc = handle ? vg_own_handle(x, VG_OBJ_CUevent, handle) : CUDA_ERROR_INVALID_HANDLE;
        return rc ? rc : vg_wait_event(x, r, (CUevent)(uintptr_t)handle);
    default:
        r->breach = "unknown kind of synchronization";
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult vg_do_cuCtxSynchronize(struct vg_exec *x, struct vg_req *r,
                                struct vg_args_cuCtxSynchronize *a)
{
    (void)a;
    return vg_wait_context(x, r);
}

CUresult vg_do_cuCtxSynchronize_v2(struct vg_exec *x, struct vg_req *r,
                                   struct vg_args_cuCtxSynchronize_v2 *a)
{
    return sync_context(x, r, a->ctx);
}

/* ---- Primary contexts: counted per process by the driver, as natively ---- */

static CUresult retain_primary(struct vg_exec *x, CUcontext *ret_ctx, CUdevice dev)
{
    vg_overhead_before(x, dev);
    CUresult rc = x->cuda.cuDevicePrimaryCtxRetain(ret_ctx, dev);
    vg_overhead_after(x);
    return rc;
}

/* The guest holds it from now on. */
static CUresult own_primary(struct vg_exec *x, CUcontext ctx, CUdevice dev)
{
    if (vg_obj_find(&x->obj, VG_OBJ_CUcontext, (uintptr_t)ctx))
        return CUDA_SUCCESS;
    x->fresh = ctx;
    return vg_own_add(x, VG_OBJ_CUcontext, (uintptr_t)ctx, 0, VG_CTX_PRIMARY | (uint32_t)dev);
}

struct primary {
    uint32_t info;
    uint64_t handle;
};

static void find_primary(struct vg_obj *o, void *arg)
{
    struct primary *p = arg;

    if (o->info == p->info)
        p->handle = o->handle;
}

CUcontext vg_context_primary(struct vg_exec *x, CUdevice dev)
{
    struct primary p = {.info = VG_CTX_PRIMARY | (uint32_t)dev};

    vg_obj_each(&x->obj, VG_OBJ_CUcontext, find_primary, &p);
    return (CUcontext)(uintptr_t)p.handle;
}

/* ---- Making contexts, which takes the driver long: beside the serve thread (aside.h) ---- */

struct making {
    struct vg_aside aside;
    CUdevice dev;
    bool primary;
    unsigned flags;     /* of one that is not */
    bool wanted;        /* the guest wants the handle */
    CUcontext ctx;
    CUresult rc;
};

/* The driver makes a new one current, and the guest's threads have stacks of their own. */
static void make_work(struct vg_exec *x, struct vg_aside *a)
{
    struct making *m = (struct making *)a;

    if (m->primary) {
        m->rc = x->cuda.cuDevicePrimaryCtxRetain(&m->ctx, m->dev);
        return;
    }
    m->rc = x->cuda.cuCtxCreate_v2(&m->ctx, m->flags, m->dev);
    if (m->rc == CUDA_SUCCESS)
        x->cuda.cuCtxPopCurrent_v2(NULL);
}

/* One that the guest cannot use would cost GPU memory that nobody counts. */
static CUresult own_made(struct vg_exec *x, const struct making *m)
{
    CUresult rc = CUDA_SUCCESS;

    if (m->primary) {
        rc = own_primary(x, m->ctx, m->dev);
        if (rc != CUDA_SUCCESS)
            x->cuda.cuDevicePrimaryCtxRelease_v2(m->dev);
        return rc;
    }
    rc = vg_own_add(x, VG_OBJ_CUcontext, (uintptr_t)m->ctx, 0, (uint32_t)m->dev);
    if (rc != CUDA_SUCCESS)
        x->cuda.cuCtxDestroy_v2(m->ctx);
    return rc;
}

/* Of several that make the same one the first reserves; if it fails, that is for the others. */
static void come(struct vg_exec *x, const struct making *m)
{
    if (m->primary) {
        x->retaining[m->dev].calls--;
        if (!x->retaining[m->dev].reserved || (m->rc && x->retaining[m->dev].calls > 0))
            return;
        x->retaining[m->dev].reserved = false;
    }
    x->quota.contexts_coming--;
}

static CUresult make_finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct making *m = (struct making *)a;

    come(x, m);
    CUresult rc = m->rc ? m->rc : own_made(x, m);
    vg_quota_settle(x);
    x->cuda.cuCtxSetCurrent(x->ctx); /* it may have run on this very thread */
    if (rc == CUDA_SUCCESS && m->wanted)
        vg_enc_word(&r->enc, (uintptr_t)m->ctx);
    r->answered = true;
    free(m);
    return rc;
}

/* One whose cost is measured is made here: nothing may come between. */
static CUresult make_measured(struct vg_exec *x, struct vg_req *r, struct making *m)
{
    vg_overhead_before(x, m->dev);
    make_work(x, &m->aside);
    vg_overhead_after(x);
    return make_finish(x, r, &m->aside);
}

/* What it costs is reserved here, unless that was done for somebody who makes the same one. */
static CUresult make(struct vg_exec *x, struct vg_req *r, const struct making *how)
{
    struct making *m = malloc(sizeof(*m));
    bool counted = !how->primary || !x->retaining[how->dev].reserved;

    if (!m)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *m = *how;
    m->aside.work = make_work;
    m->aside.finish = make_finish;
    CUresult rc = counted ? vg_quota_reserve_context(x) : CUDA_SUCCESS;
    if (rc != CUDA_SUCCESS) {
        free(m);
        return rc;
    }
    x->quota.contexts_coming += counted;
    vg_quota_settle(x); /* who asks next sees it as held */
    if (m->primary) {
        x->retaining[m->dev].calls++;
        x->retaining[m->dev].reserved = true;
    }
    return x->overhead.library ? make_measured(x, r, m) : vg_aside_run(x, r, &m->aside);
}

/* The driver has it already. */
static CUresult retain_at_once(struct vg_exec *x, CUcontext *ret_ctx, CUdevice dev)
{
    CUresult rc = CUDA_SUCCESS;

    if (vg_context_primary(x, dev))
        return x->cuda.cuDevicePrimaryCtxRetain(ret_ctx, dev);
    rc = vg_quota_reserve_context(x);
    if (rc == CUDA_SUCCESS) {
        *ret_ctx = x->warm;
        rc = own_primary(x, *ret_ctx, dev);
    }
    if (rc == CUDA_SUCCESS)
        x->warm = NULL; /* our reference has become the guest's */
    vg_quota_settle(x);
    return rc;
}

CUresult vg_do_cuDevicePrimaryCtxRetain(struct vg_exec *x, struct vg_req *r,
                                        struct vg_args_cuDevicePrimaryCtxRetain *a)
{
    const struct making m = {.dev = a->dev, .primary = true, .wanted = a->has_pctx};

    if (a->dev < 0 || a->dev >= (int)VG_DEVICES_MAX)
        return CUDA_ERROR_INVALID_DEVICE;
    if (vg_context_primary(x, a->dev) || (x->warm && a->dev == 0))
        return retain_at_once(x, &a->pctx, a->dev);
    return make(x, r, &m);
}

CUresult vg_do_cuCtxCreate_v2(struct vg_exec *x, struct vg_req *r, struct vg_args_cuCtxCreate_v2 *a)
{
    const struct making m = {.dev = a->dev, .flags = a->flags, .wanted = a->has_pctx};

    return make(x, r, &m);
}

/*
 * ---- Ending contexts: on the serve thread. With one may go the region's registration, which
 * another context takes over at once, and handles that the driver gives out again ----
 */

/* After a release: if the driver has ended the context, so do we. */
static void check_primary(struct vg_exec *x, CUdevice dev)
{
    unsigned flags;
    int active = 0;

    if (x->cuda.cuDevicePrimaryCtxGetState(dev, &flags, &active) == CUDA_SUCCESS && active)
        return;
    vg_context_gone(x, vg_context_primary(x, dev));
}

CUresult vg_do_cuDevicePrimaryCtxRelease_v2(struct vg_exec *x, struct vg_req *r,
                                            struct vg_args_cuDevicePrimaryCtxRelease_v2 *a)
{
    if (!vg_context_primary(x, a->dev))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!vg_wait_context_end(x, r))
        return CUDA_SUCCESS;
    CUresult rc = x->cuda.cuDevicePrimaryCtxRelease_v2(a->dev);
    check_primary(x, a->dev);
    return rc;
}

CUresult vg_do_cuDevicePrimaryCtxReset_v2(struct vg_exec *x, struct vg_req *r,
                                          struct vg_args_cuDevicePrimaryCtxReset_v2 *a)
{
    CUcontext ctx = vg_context_primary(x, a->dev);

    if (!ctx)
        return CUDA_SUCCESS; /* as natively: nothing to reset */
    if (!vg_wait_context_end(x, r))
        return CUDA_SUCCESS;
    CUresult rc = x->cuda.cuDevicePrimaryCtxReset_v2(a->dev);
    if (rc == CUDA_SUCCESS)
        vg_context_gone(x, ctx);
    return rc;
}

/* ---- Limits of a context: some are memory of the GPU ---- */

/* Bytes that a limit of so much takes: of the stack, for every thread that the GPU can hold. */
static uint64_t bytes_of_limit(struct vg_exec *x, CUlimit limit, uint64_t value)
{
    CUdevice dev = 0;
    int sms = 1, threads = 1;

    if (limit == CU_LIMIT_MALLOC_HEAP_SIZE || limit == CU_LIMIT_PRINTF_FIFO_SIZE)
        return value;
    if (limit != CU_LIMIT_STACK_SIZE || value > UINT32_MAX)
        return 0;
    x->cuda.cuCtxGetDevice(&dev);
    x->cuda.cuDeviceGetAttribute(&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, dev);
    x->cuda.cuDeviceGetAttribute(&threads, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, dev);
    return value * (uint64_t)sms * (uint64_t)threads;
}

/* The driver gets the memory at the next launch, so what is granted is counted at once. */
CUresult vg_do_cuCtxSetLimit(struct vg_exec *x, struct vg_req *r, struct vg_args_cuCtxSetLimit *a)
{
    size_t old = 0;
    uint64_t was, is = bytes_of_limit(x, a->limit, a->value);

    (void)r;
    x->cuda.cuCtxGetLimit(&old, a->limit);
    was = bytes_of_limit(x, a->limit, old);
    CUresult rc = is > was ? vg_quota_reserve(x, is - was) : CUDA_SUCCESS;
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuCtxSetLimit(a->limit, a->value);
    if (rc == CUDA_SUCCESS && (is > was || x->quota.context_limits >= was - is))
        x->quota.context_limits += is - was;
    vg_quota_settle(x);
    return rc;
}

CUresult vg_do_cuCtxDestroy_v2(struct vg_exec *x, struct vg_req *r,
                               struct vg_args_cuCtxDestroy_v2 *a)
{
    CUcontext before = x->ctx;

    if (!a->ctx)
        return CUDA_ERROR_INVALID_CONTEXT;
    vg_context_set(x, a->ctx);
    if (!vg_wait_context_end(x, r)) {
        vg_context_set(x, before);
        return CUDA_SUCCESS;
    }
    CUresult rc = x->cuda.cuCtxDestroy_v2(a->ctx);
    if (rc == CUDA_SUCCESS)
        vg_context_gone(x, a->ctx);
    if (before != a->ctx)
        vg_context_set(x, before);
    return rc;
}

/* ---- The snapshot ---- */

static CUresult describe_device(struct vg_exec *x, CUdevice dev, struct vg_device_info *d)
{
    size_t total = 0;
    CUuuid uuid;
    CUmemoryPool pool = NULL;

    CUresult rc = x->cuda.cuDeviceGetName(d->name, sizeof(d->name), dev);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuDeviceTotalMem_v2(&total, dev);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuDeviceGetUuid_v2(&uuid, dev);
    if (rc != CUDA_SUCCESS)
        return rc;
    memcpy(d->uuid, uuid.bytes, sizeof(d->uuid));
    d->total_memory = total;
    x->cuda.cuDeviceGetPCIBusId(d->pci_bus_id, sizeof(d->pci_bus_id), dev);
    if (x->cuda.cuDeviceGetDefaultMemPool(&pool, dev) == CUDA_SUCCESS &&
        vg_own_add(x, VG_OBJ_CUmemoryPool, (uintptr_t)pool, 0, 0) == CUDA_SUCCESS)
        d->default_pool = (uintptr_t)pool;
    for (unsigned i = 1; i < VG_ATTRS_MAX; i++) {
        int v = 0;
        d->attr_known[i] =
            x->cuda.cuDeviceGetAttribute(&v, (CUdevice_attribute)i, dev) == CUDA_SUCCESS;
        d->attr[i] = v;
    }
    return CUDA_SUCCESS;
}

/*
 * Stream priorities can be asked only in a context. The primary one is made for
 * that and kept: it becomes the guest's with its first retain, which is then quick.
 */
static void ask_priorities(struct vg_exec *x, int32_t *ret_least, int32_t *ret_greatest)
{
    int least = 0, greatest = 0;

    CUcontext ctx = vg_context_primary(x, 0);

    if (!ctx && !x->warm && retain_primary(x, &x->warm, 0) != CUDA_SUCCESS)
        x->warm = NULL;
    x->cuda.cuCtxSetCurrent(ctx ? ctx : x->warm);
    x->cuda.cuCtxGetStreamPriorityRange(&least, &greatest);
    x->cuda.cuCtxSetCurrent(x->ctx);
    *ret_least = least;
    *ret_greatest = greatest;
}

/* Into a buffer of `cap` bytes; *ret_size of them are used. */
static CUresult make_snapshot(struct vg_exec *x, struct vg_snapshot *s, size_t cap,
                              size_t *ret_size)
{
    int version = 0, count = 0;
    int32_t least, greatest;

    CUresult rc = x->cuda.cuDriverGetVersion(&version);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuDeviceGetCount(&count);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (count > (int)VG_DEVICES_MAX)
        count = VG_DEVICES_MAX;
    size_t size = sizeof(*s) + (size_t)count * sizeof(s->device[0]);
    if (size > cap)
        return CUDA_ERROR_INVALID_VALUE;
    memset(s, 0, size);
    *s = (struct vg_snapshot){.size = (uint32_t)size,
                              .driver_version = (uint32_t)version,
                              .device_count = (uint32_t)count,
                              .software = x->opt.software};
    ask_priorities(x, &least, &greatest);
    for (int i = 0; i < count && rc == CUDA_SUCCESS; i++) {
        rc = describe_device(x, i, &s->device[i]);
        s->device[i].priority_least = least;
        s->device[i].priority_greatest = greatest;
    }
    *ret_size = size;
    return rc;
}

/* It may be older than the VM's limit, and than the VM. */
static void show_limit(struct vg_exec *x, struct vg_snapshot *s)
{
    for (uint32_t i = 0; i < s->device_count; i++) {
        uint64_t none = 0;
        vg_quota_show(x, &s->device[i].total_memory, &none);
    }
}

static CUresult copy_snapshot(struct vg_exec *x, struct vg_req *r)
{
    const struct vg_snapshot *s = x->snapshot;

    if (!s)
        return make_snapshot(x, (struct vg_snapshot *)x->out, r->enc.cap, &r->enc.len);
    if (s->size > r->enc.cap)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(x->out, s, s->size);
    r->enc.len = s->size;
    return CUDA_SUCCESS;
}

CUresult vg_do_SNAPSHOT(struct vg_exec *x, struct vg_req *r)
{
    CUresult rc = copy_snapshot(x, r);

    if (rc == CUDA_SUCCESS)
        show_limit(x, (struct vg_snapshot *)x->out);
    return rc;
}

void vg_context_warm_up(struct vg_exec *x)
{
    size_t size;

    if (make_snapshot(x, (struct vg_snapshot *)x->out, VG_OUT_MAX, &size) != CUDA_SUCCESS)
        return;
    x->snapshot = malloc(size);
    if (x->snapshot)
        memcpy(x->snapshot, x->out, size);
}
