/* SPDX-License-Identifier: MIT */
/* Memory and numbers of things against the VM's limits; see quota.h. */
#include "mediator/executor/quota.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "mediator/executor/executor.h"
#include "vg_api.h"
#include "vg_atomic.h"

#define PAUSE_NS    100000  /* between two questions ... */
#define CONTEND_MAX 200u    /* ... while another process of the VM may get what would be left */
#define AWAIT_MAX   30000u  /* ... while one that is being ended has it: natively its end would have
                               been waited for before this process began */
#define THINGS_TRIES 3u
#define MINUTE   60000000000ull

/* ---- The account ---- */

int vg_quota_init(struct vg_exec *x)
{
    x->own_account = calloc(1, sizeof(*x->own_account));
    x->account = x->own_account;
    if (!x->account)
        return -ENOMEM;
    vg_account_sit(x->account, 0);
    return 0;
}

int vg_quota_open(struct vg_exec *x)
{
    struct vg_account *a;

    if (x->job.account_fd < 0)
        return 0;
    a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED, x->job.account_fd, 0);
    if (a == MAP_FAILED)
        return -errno;
    x->account = a;
    x->seat = x->job.seat;
    vg_quota_settle(x);
    return 0;
}

void vg_quota_fini(struct vg_exec *x)
{
    free(x->own_account);
    x->own_account = x->account = NULL;
}

/* ---- Refusals: each counts, one a minute is said ---- */

static bool once_a_minute(uint64_t *told)
{
    uint64_t now = vg_now() / MINUTE + 1;

    if (*told == now)
        return false;
    *told = now;
    return true;
}

static CUresult refuse_memory(struct vg_exec *x, uint64_t bytes)
{
    VG_STAT_ADD(x, refused_memory, 1);
    if (once_a_minute(&x->quota.told_memory))
        vg_log(x, "event=memory_limit asked=%llu used=%llu limit=%llu", (unsigned long long)bytes,
               (unsigned long long)vg_account_used(x->account),
               (unsigned long long)vg_load_relaxed(&x->orders->terms.memory));
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* ---- What is held ---- */

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t claim_but_contexts(const struct vg_exec *x)
{
    const struct vg_quota *q = &x->quota;

    return x->ranges.charged + max_u64(x->ranges.pooled, q->pools) +
           max_u64(x->ranges.of_graphs, q->graphs) + x->vmm.held + x->array_bytes +
           x->module_bytes + q->context_limits;
}

void vg_quota_settle(struct vg_exec *x)
{
    const struct vg_quota *q = &x->quota;
    uint64_t rest = claim_but_contexts(x);
    uint64_t held = rest + (q->contexts + q->contexts_coming) * vg_overhead_bytes(x);

    vg_store_relaxed(&x->quota.but_contexts, rest);
    vg_account_settle(x->account, x->seat, held);
    VG_STAT_SET(x, memory_claimed, held);
}

static bool is_limited(const struct vg_exec *x)
{
    return vg_load_relaxed(&x->orders->terms.memory) != 0;
}

struct pools {
    struct vg_exec *x;
    uint64_t bytes;
    bool trim;
};

static void add_pool(struct vg_obj *o, void *arg)
{
    struct pools *p = arg;
    CUmemoryPool pool = (CUmemoryPool)(uintptr_t)o->handle;
    uint64_t bytes = 0;

    if (p->trim)
        p->x->cuda.cuMemPoolTrimTo(pool, 0);
    if (p->x->cuda.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes) ==
        CUDA_SUCCESS)
        p->bytes += bytes;
}

/* What a pool or a graph has got from the GPU it may keep, free or not. */
static void look_at_pools(struct vg_exec *x, bool trim)
{
    struct pools p = {.x = x, .trim = trim};
    uint64_t graphs = 0;
    int devices = 0;

    if (!is_limited(x))
        return;
    vg_obj_each(&x->obj, VG_OBJ_CUmemoryPool, add_pool, &p);
    x->quota.pools = p.bytes;
    x->cuda.cuDeviceGetCount(&devices);
    for (int i = 0; i < devices && (x->graph_memory || x->quota.graphs); i++) {
        uint64_t bytes = 0;
        if (trim)
            x->cuda.cuDeviceGraphMemTrim(i);
        if (x->cuda.cuDeviceGetGraphMemAttribute(i, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT,
                                                 &bytes) == CUDA_SUCCESS)
            graphs += bytes;
    }
    x->quota.graphs = graphs;
}

void vg_quota_look_at_pools(struct vg_exec *x)
{
    look_at_pools(x, false);
    vg_quota_settle(x);
}

/* ---- Asking ---- */

static uint64_t whole_pages(const struct vg_exec *x, uint64_t bytes)
{
    uint64_t rest = x->ranges.page - 1;

    return bytes > UINT64_MAX - rest ? UINT64_MAX : (bytes + rest) & ~rest;
}

/* What a pool has, and nobody uses, it gives first. */
static uint64_t beyond_pools(const struct vg_exec *x, uint64_t bytes)
{
    uint64_t unused = 0;

    if (is_limited(x) && x->quota.pools > x->ranges.pooled)
        unused = x->quota.pools - x->ranges.pooled;
    return bytes > unused ? bytes - unused : 0;
}

static CUresult reserve(struct vg_exec *x, uint64_t bytes, bool pooled)
{
    const struct timespec pause = {0, PAUSE_NS};
    unsigned contended = 0, awaited = 0;
    bool trimmed = false;

    while (contended < CONTEND_MAX && awaited < AWAIT_MAX) {
        uint64_t need = whole_pages(x, pooled ? beyond_pools(x, bytes) : bytes);
        uint64_t limit = vg_load_relaxed(&x->orders->terms.memory);
        switch (vg_account_reserve(x->account, x->seat, need, limit)) {
        case VG_ACCOUNT_GRANTED:
            return CUDA_SUCCESS;
        case VG_ACCOUNT_CONTENDED:
            contended++;
            nanosleep(&pause, NULL);
            continue;
        case VG_ACCOUNT_AWAITED:
            awaited++;
            nanosleep(&pause, NULL);
            continue;
        case VG_ACCOUNT_REFUSED:
            break;
        }
        if (trimmed)
            break;
        /* As the driver does when the GPU is full: pools give back what they do not use. */
        look_at_pools(x, true);
        vg_quota_settle(x);
        trimmed = true;
    }
    vg_quota_settle(x);
    return refuse_memory(x, bytes);
}

CUresult vg_quota_reserve(struct vg_exec *x, uint64_t bytes)
{
    return reserve(x, bytes, false);
}

CUresult vg_quota_reserve_pooled(struct vg_exec *x, uint64_t bytes)
{
    return reserve(x, bytes, true);
}

CUresult vg_quota_reserve_context(struct vg_exec *x)
{
    return vg_quota_reserve(x, vg_overhead_bytes(x));
}

CUresult vg_quota_recheck(struct vg_exec *x)
{
    vg_quota_look_at_pools(x);
    if (!is_limited(x) || vg_account_used(x->account) <= vg_load_relaxed(&x->orders->terms.memory))
        return CUDA_SUCCESS;
    return refuse_memory(x, 0);
}

/*
 * What is claimed meanwhile is somebody's already. Not so with contexts: they are counted before
 * they take anything, and while something is loaded aside none is made and none ends.
 */
uint64_t vg_quota_gpu_left(const struct vg_exec *x)
{
    size_t left = 0, total = 0;

    if (!is_limited(x) || x->cuda.cuMemGetInfo_v2(&left, &total) != CUDA_SUCCESS)
        return 0;
    return left + vg_load_relaxed(&x->quota.but_contexts);
}

uint64_t vg_quota_gpu_taken(const struct vg_exec *x, uint64_t before)
{
    uint64_t after = before ? vg_quota_gpu_left(x) : 0;

    return after && after < before ? before - after : 0;
}

void vg_quota_show(const struct vg_exec *x, uint64_t *total, uint64_t *free)
{
    uint64_t limit = vg_load_relaxed(&x->orders->terms.memory);
    uint64_t used = vg_account_used(x->account);

    if (limit == 0)
        return;
    uint64_t left = used < limit ? limit - used : 0;
    if (*free > left)
        *free = left;
    if (*total > limit)
        *total = limit;
    if (*free > *total)
        *free = *total;
}

/* ---- Numbers of things ---- */

/* Which calls make one more of what. */
static const struct maker {
    uint16_t call;
    uint8_t kind;       /* enum vg_quota_kind */
} makers[] = {
    {VG_CALL_cuCtxCreate_v2, VG_QUOTA_CONTEXTS},
    {VG_CALL_cuGreenCtxCreate, VG_QUOTA_CONTEXTS},
    {VG_CALL_cuStreamCreate, VG_QUOTA_STREAMS},
    {VG_CALL_cuStreamCreateWithPriority, VG_QUOTA_STREAMS},
    {VG_CALL_cuGreenCtxStreamCreate, VG_QUOTA_STREAMS},
    {VG_CALL_cuEventCreate, VG_QUOTA_EVENTS},
    {VG_CALL_cuIpcOpenEventHandle, VG_QUOTA_EVENTS},
    {VG_CALL_IMAGE_LOAD, VG_QUOTA_MODULES},
    {VG_CALL_cuLinkCreate_v2, VG_QUOTA_MODULES},
    {VG_CALL_cuGraphCreate, VG_QUOTA_GRAPHS},
    {VG_CALL_cuGraphClone, VG_QUOTA_GRAPHS},
    {VG_CALL_cuStreamBeginCapture_v2, VG_QUOTA_GRAPHS},
    {VG_CALL_cuGraphInstantiateWithFlags, VG_QUOTA_GRAPHS},
    {VG_CALL_cuGraphInstantiateWithParams, VG_QUOTA_GRAPHS},
};

/* And of what types there may be so many, together. */
static const uint8_t types[VG_QUOTA_KINDS][3] = {
    [VG_QUOTA_CONTEXTS] = {VG_OBJ_CUcontext},
    [VG_QUOTA_STREAMS] = {VG_OBJ_CUstream},
    [VG_QUOTA_EVENTS] = {VG_OBJ_CUevent},
    [VG_QUOTA_MODULES] = {VG_OBJ_CUmodule, VG_OBJ_CUlibrary, VG_OBJ_CUlinkState},
    [VG_QUOTA_GRAPHS] = {VG_OBJ_CUgraph, VG_OBJ_CUgraphExec},
};

static uint64_t count_of(const struct vg_exec *x, unsigned kind)
{
    uint64_t n = x->quota.coming[kind];

    for (unsigned i = 0; i < 3; i++)
        if (types[kind][i] != VG_OBJ_NONE)
            n += x->obj.count[types[kind][i]];
    return n;
}

void vg_quota_count(struct vg_exec *x)
{
    for (unsigned i = 0; i < VG_QUOTA_KINDS; i++)
        vg_account_has(x->account, x->seat, (enum vg_quota_kind)i, count_of(x, i));
    x->quota.counting = false;
}

/* Another process of the VM may be asking for the last one, and not get it. */
static CUresult check_kind(struct vg_exec *x, enum vg_quota_kind kind)
{
    const struct timespec pause = {0, PAUSE_NS};

    x->quota.counting = true;
    for (unsigned i = 0; i < THINGS_TRIES; i++) {
        if (i > 0)
            nanosleep(&pause, NULL);
        if (vg_account_admit(x->account, x->seat, kind, count_of(x, kind),
                             vg_load_relaxed(&x->orders->terms.most[kind])))
            return CUDA_SUCCESS;
    }
    VG_STAT_ADD(x, refused_objects, 1);
    if (once_a_minute(&x->quota.told_objects))
        vg_log(x, "event=object_limit kind=%s most=%llu", vg_quota_kind_name(kind),
               (unsigned long long)vg_load_relaxed(&x->orders->terms.most[kind]));
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static const struct maker *find_maker(const struct vg_call *call)
{
    for (unsigned i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
        if (makers[i].call == call->call)
            return &makers[i];
    return NULL;
}

CUresult vg_quota_check_object(struct vg_exec *x, const struct vg_call *call)
{
    /* Launches and copies are too many for a search. */
    if (call->call < VG_CALL_INTERNAL_END && call->call != VG_CALL_IMAGE_LOAD)
        return CUDA_SUCCESS;
    const struct maker *m = find_maker(call);
    return m ? check_kind(x, (enum vg_quota_kind)m->kind) : CUDA_SUCCESS;
}

void vg_quota_making(struct vg_exec *x, const struct vg_call *call)
{
    const struct maker *m = find_maker(call);

    if (m)
        x->quota.coming[m->kind]++;
}

void vg_quota_made(struct vg_exec *x, const struct vg_call *call)
{
    const struct maker *m = find_maker(call);

    if (m)
        x->quota.coming[m->kind]--;
}
