/* SPDX-License-Identifier: MIT */
/* Bodies: kernel launches, host functions, occupancy of clusters. Serve thread. */
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/capture.h"
#include "mediator/executor/graph_copy.h"
#include "mediator/executor/node.h"

/* ---- Launch attributes: known ones only, and no pointer the guest does not own ---- */

static CUresult check_event(struct vg_exec *x, CUevent event)
{
    return event ? vg_own_handle(x, VG_OBJ_CUevent, (uintptr_t)event) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult vg_attribute_check(struct vg_exec *x, const CUlaunchAttribute *a)
{
    switch (a->id) {
    case CU_LAUNCH_ATTRIBUTE_IGNORE:
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW: /* a hint for the cache: never dereferenced */
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
    case CU_LAUNCH_ATTRIBUTE_PRIORITY:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
    case CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING:
        return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
        return check_event(x, a->value.programmaticEvent.event);
    case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
        return check_event(x, a->value.launchCompletionEvent.event);
    default:    /* of those that CUDA has, one kind is not for launches from here */
        return a->id < CU_LAUNCH_ATTRIBUTE_MAX ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
    }
}

/* ---- Launch ---- */

struct launch {
    CUfunction func;
    CUlaunchConfig config;
    uint32_t param_bytes, attr_count, flags;
    CUlaunchAttribute attr[VG_LAUNCH_ATTRS_MAX + 1]; /* one more: cooperative */
};

static uint32_t low(uint64_t w)
{
    return (uint32_t)w;
}

static uint32_t high(uint64_t w)
{
    return (uint32_t)(w >> 32);
}

static bool decode_launch(struct vg_req *r, struct launch *l)
{
    const uint64_t *w = r->call.arg;

    memset(&l->config, 0, sizeof(l->config)); /* not the attributes: most launches have none */
    l->func = (CUfunction)(uintptr_t)w[VG_LAUNCH_FUNC];
    l->config.gridDimX = low(w[VG_LAUNCH_GRID_XY]);
    l->config.gridDimY = high(w[VG_LAUNCH_GRID_XY]);
    l->config.gridDimZ = low(w[VG_LAUNCH_GRIDZ_BX]);
    l->config.blockDimX = high(w[VG_LAUNCH_GRIDZ_BX]);
    l->config.blockDimY = low(w[VG_LAUNCH_BLOCK_YZ]);
    l->config.blockDimZ = high(w[VG_LAUNCH_BLOCK_YZ]);
    l->config.sharedMemBytes = low(w[VG_LAUNCH_SMEM_FLAGS]);
    l->flags = high(w[VG_LAUNCH_SMEM_FLAGS]);
    l->config.hStream = (CUstream)(uintptr_t)w[VG_LAUNCH_STREAM];
    l->param_bytes = low(w[VG_LAUNCH_SIZES]);
    l->attr_count = high(w[VG_LAUNCH_SIZES]);
    if (l->param_bytes > VG_PARAMS_MAX || l->attr_count > VG_LAUNCH_ATTRS_MAX ||
        (l->flags & ~(VG_LAUNCH_F_COOPERATIVE | VG_LAUNCH_F_EX)))
        return false;
    uint32_t attrs_at = (l->param_bytes + 7u) & ~7u;
    uint32_t attrs_len = l->attr_count * (uint32_t)sizeof(CUlaunchAttribute);
    if (r->call.payload_len != attrs_at + attrs_len &&
        (l->attr_count > 0 || r->call.payload_len != l->param_bytes))
        return false;
    memcpy(l->attr, r->payload + attrs_at, attrs_len);
    return true;
}

static CUresult check_launch(struct vg_exec *x, const struct launch *l)
{
    const struct vg_obj *f = vg_obj_find(&x->obj, VG_OBJ_CUfunction, (uintptr_t)l->func);
    CUresult rc;

    if (!f)
        f = vg_obj_find(&x->obj, VG_OBJ_CUkernel, (uintptr_t)l->func);
    if (!f)
        return CUDA_ERROR_INVALID_HANDLE;
    /* Fewer bytes and the driver would take the rest from behind our payload. */
    if (f->info != VG_PARAMS_UNKNOWN && l->param_bytes < f->info)
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_own_stream(x, l->config.hStream);
    for (unsigned i = 0; i < l->attr_count && rc == CUDA_SUCCESS; i++)
        rc = vg_attribute_check(x, &l->attr[i]);
    return rc;
}

static CUresult launch_extended(struct vg_exec *x, struct launch *l, void **extra)
{
    if (l->flags & VG_LAUNCH_F_COOPERATIVE) {
        CUlaunchAttribute *a = &l->attr[l->attr_count++];

        memset(a, 0, sizeof(*a));
        a->id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
        a->value.cooperative = 1;
    }
    l->config.attrs = l->attr;
    l->config.numAttrs = l->attr_count;
    return x->cuda.cuLaunchKernelEx(&l->config, l->func, NULL, extra);
}

CUresult vg_do_LAUNCH(struct vg_exec *x, struct vg_req *r)
{
    struct launch l;

    if (!decode_launch(r, &l)) {
        r->breach = "malformed launch";
        return CUDA_ERROR_INVALID_VALUE;
    }
    CUresult rc = check_launch(x, &l);
    if (rc != CUDA_SUCCESS)
        return rc;
    VG_STAT_ADD(x, launches, 1);
    size_t bytes = l.param_bytes;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, (void *)(uintptr_t)r->payload,
                     CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
    void **with = bytes ? extra : NULL;
    const CUlaunchConfig *c = &l.config;
    if (l.attr_count > 0 || l.flags)
        return launch_extended(x, &l, with);
    return x->cuda.cuLaunchKernel(l.func, c->gridDimX, c->gridDimY, c->gridDimZ, c->blockDimX,
                                  c->blockDimY, c->blockDimZ, c->sharedMemBytes, c->hStream, NULL,
                                  with);
}

/* ---- Host functions ---- */

static CUresult host_func(struct vg_exec *x, CUstream stream, struct vg_callback *cb, uint64_t kind)
{
    CUgraph graph = cb->once ? NULL : vg_capture_graph(x, stream);
    CUresult rc;

    if (kind == VG_CALLBACK_TRANSFER)
        vg_graph_copy_node(x, cb);
    if (kind == VG_CALLBACK_STREAM)
        rc = x->cuda.cuStreamAddCallback(stream, vg_callback_stream, cb, 0);
    else
        rc = x->cuda.cuLaunchHostFunc(stream, vg_callback_host_func, cb);
    if (rc == CUDA_SUCCESS && graph)
        vg_callback_tie(x, cb, graph);
    return rc;
}

CUresult vg_do_HOST_FUNC(struct vg_exec *x, struct vg_req *r)
{
    CUstream stream = (CUstream)(uintptr_t)r->call.arg[0];
    uint64_t kind = r->call.arg[2];
    CUresult rc = vg_own_stream(x, stream);

    if (kind > VG_CALLBACK_STREAM && kind != VG_CALLBACK_TRANSFER) {
        r->breach = "unknown kind of callback";
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (rc != CUDA_SUCCESS)
        return rc;
    bool once = !vg_own_is_capturing(x, stream);
    struct vg_callback *cb = vg_callback_new(&x->callbacks, r->call.arg[1], once);
    if (!cb)
        return CUDA_ERROR_OUT_OF_MEMORY;
    vg_meter_stall_begin(x, stream);
    rc = host_func(x, stream, cb, kind);
    if (rc == CUDA_SUCCESS)
        vg_meter_stall_end(x, stream);
    else
        vg_callback_drop(cb);
    return rc;
}

/* ---- Occupancy of clusters: word function, block config, block attributes ---- */

struct cluster_query {
    CUfunction func;
    CUlaunchConfig config;
    CUlaunchAttribute attr[VG_LAUNCH_ATTRS_MAX];
};

static CUresult decode_cluster_query(struct vg_exec *x, struct vg_req *r, struct cluster_query *q)
{
    size_t bytes;

    q->func = (CUfunction)(uintptr_t)vg_dec_word(&r->dec);
    const void *config = vg_dec_struct(&r->dec, sizeof(q->config));
    const void *attrs = vg_dec_block(&r->dec, &bytes);
    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    if (!config || !q->func || bytes > sizeof(q->attr) || bytes % sizeof(q->attr[0]))
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(&q->config, config, sizeof(q->config));
    if (attrs)
        memcpy(q->attr, attrs, bytes);
    q->config.attrs = q->attr;
    q->config.numAttrs = (unsigned)(bytes / sizeof(q->attr[0]));
    CUresult rc = vg_own_handle(x, VG_OBJ_CUfunction, (uintptr_t)q->func);
    if (rc == CUDA_SUCCESS)
        rc = vg_own_stream(x, q->config.hStream);
    for (unsigned i = 0; i < q->config.numAttrs && rc == CUDA_SUCCESS; i++)
        rc = vg_attribute_check(x, &q->attr[i]);
    return rc;
}

CUresult vg_do_cuOccupancyMaxPotentialClusterSize(struct vg_exec *x, struct vg_req *r)
{
    struct cluster_query q;
    int size = 0;
    CUresult rc = decode_cluster_query(x, r, &q);

    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuOccupancyMaxPotentialClusterSize(&size, q.func, &q.config);
    vg_enc_word(&r->enc, (uint32_t)size);
    return rc;
}

CUresult vg_do_cuOccupancyMaxActiveClusters(struct vg_exec *x, struct vg_req *r)
{
    struct cluster_query q;
    int count = 0;
    CUresult rc = decode_cluster_query(x, r, &q);

    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuOccupancyMaxActiveClusters(&count, q.func, &q.config);
    vg_enc_word(&r->enc, (uint32_t)count);
    return rc;
}
