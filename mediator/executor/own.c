/* SPDX-License-Identifier: MIT */
/* What the guest may name, and the answer when it names something else. Serve thread. */
#include <errno.h>

#include "mediator/executor/executor.h"

static CUresult refused(struct vg_exec *x, CUresult rc)
{
    VG_STAT_ADD(x, rejected, 1);
    return rc;
}

/* What the driver says of a handle that is none, by what it should be. */
static CUresult not_a_handle(const struct vg_exec *x, enum vg_obj_type type, uint64_t handle)
{
    switch (type) {
    case VG_OBJ_CUevent:
        return vg_obj_find(&x->obj, VG_OBJ_DEAD_EVENT, handle) ? CUDA_ERROR_CONTEXT_IS_DESTROYED
                                                               : CUDA_ERROR_INVALID_HANDLE;
    case VG_OBJ_CUcontext:
    case VG_OBJ_CUarray: /* the driver looks for its context first */
        return CUDA_ERROR_INVALID_CONTEXT;
    case VG_OBJ_CUgraph:
    case VG_OBJ_CUgraphNode:
    case VG_OBJ_CUgraphExec:
    case VG_OBJ_CUgraphConditionalHandle:
    case VG_OBJ_CUuserObject:
    case VG_OBJ_CUmemGenericAllocationHandle:
    case VG_OBJ_CUtexObject:
    case VG_OBJ_CUsurfObject:
        return CUDA_ERROR_INVALID_VALUE;
    default:
        return CUDA_ERROR_INVALID_HANDLE;
    }
}

CUresult vg_own_handle(struct vg_exec *x, enum vg_obj_type type, uint64_t handle)
{
    if (handle == 0 || vg_obj_find(&x->obj, type, handle))
        return CUDA_SUCCESS;
    /* The driver takes a kernel where it takes a function. */
    if (type == VG_OBJ_CUfunction && vg_obj_find(&x->obj, VG_OBJ_CUkernel, handle))
        return CUDA_SUCCESS;
    return refused(x, not_a_handle(x, type, handle));
}

CUresult vg_own_nodes(struct vg_exec *x, const CUgraphNode *node, uint64_t count)
{
    CUresult rc = CUDA_SUCCESS;

    for (uint64_t i = 0; i < count && rc == CUDA_SUCCESS; i++)
        rc = node[i] ? vg_own_handle(x, VG_OBJ_CUgraphNode, (uintptr_t)node[i])
                     : CUDA_ERROR_INVALID_VALUE;
    return rc;
}

static bool is_object(CUstream stream)
{
    return stream && stream != CU_STREAM_LEGACY && stream != CU_STREAM_PER_THREAD;
}

CUresult vg_own_stream(struct vg_exec *x, CUstream stream)
{
    if (is_object(stream)) {
        struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUstream, (uintptr_t)stream);
        if (!o)
            return refused(x, CUDA_ERROR_INVALID_HANDLE);
        o->touched = ++x->touches;
    }
    vg_meter_stream(x, stream);
    return CUDA_SUCCESS;
}

uint64_t vg_own_stream_touched(const struct vg_exec *x, CUstream stream)
{
    const struct vg_obj *o =
        is_object(stream) ? vg_obj_find(&x->obj, VG_OBJ_CUstream, (uintptr_t)stream) : NULL;

    return o ? o->touched : 0;
}

void vg_own_stream_idle(struct vg_exec *x, CUstream stream, uint64_t touched)
{
    struct vg_obj *o =
        is_object(stream) ? vg_obj_find(&x->obj, VG_OBJ_CUstream, (uintptr_t)stream) : NULL;

    if (o && o->touched == touched)
        o->touched = 0;
}

CUresult vg_own_range(struct vg_exec *x, uint64_t addr, uint64_t len)
{
    if (vg_guest_owns(&x->guest, addr, len) || vg_range_covers(&x->ranges, addr, len))
        return CUDA_SUCCESS;
    return refused(x, CUDA_ERROR_INVALID_VALUE);
}

bool vg_own_is_capturing(const struct vg_exec *x, CUstream stream)
{
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

    /* Streams join a capture by waiting for its events, so only the driver knows. */
    if (x->captures == 0)
        return false;
    return x->cuda.cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS &&
           status != CU_STREAM_CAPTURE_STATUS_NONE;
}

struct bar {
    const struct vg_exec *x;
    CUcontext home;
    bool found;
};

static void look_for_bar(struct vg_obj *o, void *arg)
{
    struct bar *b = arg;

    if (!b->found && o->parent == (uintptr_t)b->home && !(o->info & VG_STREAM_NON_BLOCKING))
        b->found = vg_own_is_capturing(b->x, (CUstream)(uintptr_t)o->handle);
}

bool vg_own_legacy_is_barred(struct vg_exec *x, CUcontext home)
{
    struct bar b = {x, home, x->thread_captures > 0};

    if (x->captures > 0)
        vg_obj_each(&x->obj, VG_OBJ_CUstream, look_for_bar, &b);
    return b.found;
}

void vg_own_account(struct vg_exec *x)
{
    uint64_t held = x->ranges.held + x->vmm.held + x->array_bytes;

    VG_STAT_SET(x, memory, held);
    if (held > x->stats->memory_peak)
        VG_STAT_SET(x, memory_peak, held);
    vg_quota_settle(x);
}

static void add_kib(struct vg_obj *o, void *arg)
{
    *(uint64_t *)arg += (uint64_t)o->info << 10;
}

static void add_full_context(struct vg_obj *o, void *arg)
{
    *(uint64_t *)arg += !(o->info & VG_CTX_GREEN);
}

static void count_contexts(struct vg_exec *x)
{
    x->quota.contexts = 0;
    vg_obj_each(&x->obj, VG_OBJ_CUcontext, add_full_context, &x->quota.contexts);
    if (x->quota.contexts == 0)
        x->quota.context_limits = 0;
}

static void count_modules(struct vg_exec *x)
{
    x->module_bytes = 0;
    vg_obj_each(&x->obj, VG_OBJ_CUmodule, add_kib, &x->module_bytes);
    vg_obj_each(&x->obj, VG_OBJ_CUlibrary, add_kib, &x->module_bytes);
}

/* Arrays end with their context too, so what is left is added up anew. */
static void count_arrays(struct vg_exec *x)
{
    x->array_bytes = 0;
    vg_obj_each(&x->obj, VG_OBJ_CUarray, add_kib, &x->array_bytes);
    vg_obj_each(&x->obj, VG_OBJ_CUmipmappedArray, add_kib, &x->array_bytes);
}

CUresult vg_own_add(struct vg_exec *x, enum vg_obj_type type, uint64_t handle, uint64_t parent,
                    uint32_t info)
{
    struct vg_obj o = {.handle = handle, .parent = parent, .type = type, .info = info};

    if (handle == 0)
        return CUDA_SUCCESS;
    if (vg_obj_add(&x->obj, &o) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (type == VG_OBJ_CUarray || type == VG_OBJ_CUmipmappedArray) {
        x->array_bytes += (uint64_t)info << 10;
        vg_own_account(x);
    }
    if (type == VG_OBJ_CUmodule || type == VG_OBJ_CUlibrary)
        x->module_bytes += (uint64_t)info << 10;
    if (type == VG_OBJ_CUcontext)
        count_contexts(x);
    return CUDA_SUCCESS;
}

CUresult vg_own_add_range(struct vg_exec *x, uint64_t base, uint64_t size, enum vg_range_kind kind,
                          uint64_t owner)
{
    struct vg_range n = {
        .base = base, .size = size, .kind = kind, .context = (uintptr_t)x->home, .owner = owner};
    int rc = vg_range_add(&x->ranges, &n);

    /* The driver has just given this memory out, so what we thought was here has ended. */
    if (rc == -EEXIST && kind == VG_RANGE_GRAPH) {
        /* Nodes of one graph may share addresses in turn: the rest of the other stays. */
        rc = vg_range_carve(&x->ranges, base, size);
        rc = rc ? rc : vg_range_add(&x->ranges, &n);
    } else if (rc == -EEXIST) {
        vg_range_remove_overlap(&x->ranges, base, size);
        rc = vg_range_add(&x->ranges, &n);
    }
    vg_own_account(x);
    return rc == 0 ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

void vg_own_remove_range(struct vg_exec *x, uint64_t base)
{
    vg_range_remove(&x->ranges, base);
    vg_shares_sweep(x);
    vg_own_account(x);
}

static void found_one(struct vg_obj *o, void *arg)
{
    (void)o;
    *(bool *)arg = true;
}

/* Memory of graphs' nodes ends with the last graph at the latest. */
static void drop_graph_memory(struct vg_exec *x)
{
    bool any = false;

    if (!x->graph_memory)
        return;
    vg_obj_each(&x->obj, VG_OBJ_CUgraph, found_one, &any);
    vg_obj_each(&x->obj, VG_OBJ_CUgraphExec, found_one, &any);
    if (any)
        return;
    vg_range_remove_kind(&x->ranges, VG_RANGE_GRAPH);
    vg_quota_look_at_pools(x); /* the driver may keep it for graphs to come */
    x->graph_memory = false;
}

void vg_own_remove(struct vg_exec *x, enum vg_obj_type type, uint64_t handle)
{
    vg_obj_remove(&x->obj, type, handle);
    if (type == VG_OBJ_CUmodule || type == VG_OBJ_CUlibrary || type == VG_OBJ_CUcontext)
        vg_range_remove_owner(&x->ranges, handle);
    if (type == VG_OBJ_CUgraph || type == VG_OBJ_CUgraphExec)
        drop_graph_memory(x);
    if (x->array_bytes && (type == VG_OBJ_CUarray || type == VG_OBJ_CUmipmappedArray ||
                           type == VG_OBJ_CUcontext))
        count_arrays(x);
    if (x->module_bytes &&
        (type == VG_OBJ_CUmodule || type == VG_OBJ_CUlibrary || type == VG_OBJ_CUcontext))
        count_modules(x);
    if (type == VG_OBJ_CUcontext)
        count_contexts(x);
    vg_shares_sweep(x);
    vg_own_account(x);
    vg_quota_count(x);
}

static void count_capture(struct vg_obj *o, void *arg)
{
    if (o->info & VG_STREAM_CAPTURING)
        ++*(unsigned *)arg;
}

void vg_own_count_captures(struct vg_exec *x)
{
    x->captures = x->thread_captures;
    vg_obj_each(&x->obj, VG_OBJ_CUstream, count_capture, &x->captures);
}
