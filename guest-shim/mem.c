/* SPDX-License-Identifier: MIT */
/* Device memory: allocation and release. Addresses are the executor's own. */
#include "guest-shim/mem.h"

#include "guest-shim/call.h"
#include "guest-shim/capture.h"
#include "guest-shim/managed.h"
#include "guest-shim/state.h"
#include "vg_api.h"

#define SPACE (1ull << 48)      /* bytes: no row is longer */

/* A range that collides with a mapping of the application is held back while another is asked for. */
#define COLLISIONS_MAX 8

struct request {
    uint32_t id;
    uint64_t arg[6];
    unsigned args;
    size_t size;        /* bytes of the range; 0: from reply word 1, times height */
    size_t height;
    struct vg_mem mem;
};

static void give_back(CUdeviceptr *held, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        vg_call_reply(VG_CALL_cuMemFree_v2, VG_WORDS(held[i]), NULL);
}

static CUresult ask(const struct request *q, struct vg_mem *mem, struct vg_reply *reply)
{
    CUresult r = vg_call_reply(q->id, q->arg, q->args, reply);

    if (r != CUDA_SUCCESS)
        return r;
    *mem = q->mem;
    if (mem->kind == VG_MEM_POOLED && reply->val[1] == VG_ALLOC_BY_GRAPH)
        mem->kind = VG_MEM_GRAPH;
    mem->base = reply->val[0];
    mem->size = q->height ? reply->val[1] * q->height : q->size;
    return CUDA_SUCCESS;
}

static CUresult allocate(const struct request *q, struct vg_reply *reply)
{
    CUdeviceptr held[COLLISIONS_MAX];
    unsigned collisions = 0;
    CUresult r;

    while (collisions < COLLISIONS_MAX) {
        struct vg_mem mem;
        r = ask(q, &mem, reply);
        if (r != CUDA_SUCCESS)
            break;
        if (vg_mem_reserve(mem.base, mem.size) && vg_mem_add(mem))
            break;
        held[collisions++] = mem.base;
        r = CUDA_ERROR_OUT_OF_MEMORY;
    }
    give_back(held, collisions);
    return r;
}

static struct request new_request(uint32_t id, enum vg_mem_kind kind)
{
    struct vg_ctx *ctx = vg_ctx_current();

    return (struct request){
        .id = id,
        .mem = {.kind = kind, .ctx = ctx->handle, .dev = ctx->dev},
    };
}

CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
    struct vg_reply reply;
    CUresult r = vg_enter_ctx();

    if (dptr)
        *dptr = 0;
    if (r == CUDA_SUCCESS)
        r = vg_capture_allows();
    if (r != CUDA_SUCCESS)
        return r;
    if (!dptr || bytesize == 0)
        return CUDA_ERROR_INVALID_VALUE;
    struct request q = new_request(VG_CALL_cuMemAlloc_v2, VG_MEM_DEVICE);
    q.arg[0] = 1;
    q.arg[1] = q.size = bytesize;
    q.args = 2;
    r = allocate(&q, &reply);
    if (r == CUDA_SUCCESS)
        *dptr = reply.val[0];
    return r;
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes, size_t Height,
                            unsigned ElementSizeBytes)
{
    struct vg_reply reply;
    CUresult r = vg_enter_ctx();

    if (r == CUDA_SUCCESS)
        r = vg_capture_allows();
    if (r != CUDA_SUCCESS)
        return r;
    if (!dptr || !pPitch || WidthInBytes == 0 || WidthInBytes > SPACE || Height == 0)
        return CUDA_ERROR_INVALID_VALUE;
    struct request q = new_request(VG_CALL_cuMemAllocPitch_v2, VG_MEM_DEVICE);
    q.arg[0] = q.arg[1] = 1;
    q.arg[2] = WidthInBytes;
    q.arg[3] = q.height = Height;
    q.arg[4] = ElementSizeBytes;
    q.args = 5;
    r = allocate(&q, &reply);
    if (r == CUDA_SUCCESS) {
        *dptr = reply.val[0];
        *pPitch = reply.val[1];
    }
    return r;
}

/* Memory of a graph may come back with the graph's next launch. */
static bool forget(CUdeviceptr dptr)
{
    struct vg_mem mem;

    return vg_mem_take(dptr, 1u << VG_MEM_DEVICE | 1u << VG_MEM_POOLED, &mem) ||
           (vg_mem_find(dptr, &mem) && mem.base == dptr && mem.kind == VG_MEM_GRAPH);
}

CUresult cuMemFree_v2(CUdeviceptr dptr)
{
    CUresult r = vg_enter();

    if (r == CUDA_SUCCESS)
        r = vg_sticky();
    if (r == CUDA_SUCCESS)
        r = vg_capture_allows();
    if (r != CUDA_SUCCESS || dptr == 0)
        return r;
    if (vg_managed_free(dptr, &r))
        return r;
    if (!forget(dptr))
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_call_reply(VG_CALL_cuMemFree_v2, VG_WORDS(dptr), NULL);
    vg_console_drain();
    return r;
}

CUresult vg_graph_memory_add(CUdeviceptr base, size_t bytes, CUdevice dev)
{
    struct vg_ctx *ctx = vg_ctx_current();
    const struct vg_mem m = {.base = base, .size = bytes, .kind = VG_MEM_GRAPH,
                             .ctx = ctx ? ctx->handle : NULL, .dev = dev};

    return vg_mem_reserve(base, bytes) && vg_mem_add(m) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* ---- stream-ordered ------------------------------------------------------------ */

/* In a captured stream it becomes a node; in another one it is as unsafe as any allocation. */
static CUresult may_order(uint64_t stream)
{
    return vg_capture_possible() && !vg_capture_has(stream) ? vg_capture_check_unsafe()
                                                            : CUDA_SUCCESS;
}

static CUresult allocate_ordered(CUdeviceptr *dptr, size_t bytes, struct request *q, CUstream stream)
{
    struct vg_reply reply;

    if (!dptr)
        return CUDA_ERROR_INVALID_VALUE;
    *dptr = 0;
    CUresult r = vg_stream(stream, &q->arg[q->args]);
    if (r == CUDA_SUCCESS)
        r = may_order(q->arg[q->args++]);
    if (r != CUDA_SUCCESS || bytes == 0)
        return r;
    q->size = bytes;
    r = allocate(q, &reply);
    if (r == CUDA_SUCCESS)
        *dptr = reply.val[0];
    return r;
}

CUresult cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream hStream)
{
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    struct request q = new_request(VG_CALL_cuMemAllocAsync, VG_MEM_POOLED);
    q.arg[0] = 1;
    q.arg[1] = bytesize;
    q.args = 2;
    return allocate_ordered(dptr, bytesize, &q, hStream);
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool,
                                 CUstream hStream)
{
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    struct request q = new_request(VG_CALL_cuMemAllocFromPoolAsync, VG_MEM_POOLED);
    q.mem.pool = pool;
    q.arg[0] = 1;
    q.arg[1] = bytesize;
    q.arg[2] = (uintptr_t)pool;
    q.args = 3;
    return allocate_ordered(dptr, bytesize, &q, hStream);
}

/* A node of a graph frees what a node has allocated, and nothing else. */
static CUresult free_by_graph(CUdeviceptr dptr, uint64_t stream)
{
    struct vg_mem mem;

    if (!vg_mem_find(dptr, &mem) || mem.base != dptr || mem.kind != VG_MEM_GRAPH)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_call_reply(VG_CALL_cuMemFreeAsync, VG_WORDS(dptr, stream), NULL);
}

CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream)
{
    uint64_t stream;
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    r = vg_stream(hStream, &stream);
    if (r == CUDA_SUCCESS)
        r = may_order(stream);
    if (r != CUDA_SUCCESS || dptr == 0)
        return r;
    if (vg_capture_possible() && vg_capture_has(stream))
        return free_by_graph(dptr, stream);
    if (!forget(dptr))
        return CUDA_ERROR_INVALID_VALUE;
    return vg_call_post(VG_CALL_cuMemFreeAsync, VG_WORDS(dptr, stream));
}

/* ---- pool attributes: three ints, then 64-bit numbers --------------------------- */

static bool pool_attribute_is_int(CUmemPool_attribute attr)
{
    return attr <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    uint64_t v = pool_attribute_is_int(attr) ? *(const uint32_t *)value : *(const uint64_t *)value;
    return vg_call_reply(VG_CALL_cuMemPoolSetAttribute, VG_WORDS((uintptr_t)pool, attr, v), NULL);
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    struct vg_reply reply;
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_call_reply(VG_CALL_cuMemPoolGetAttribute, VG_WORDS((uintptr_t)pool, attr), &reply);
    if (r != CUDA_SUCCESS)
        return r;
    if (pool_attribute_is_int(attr))
        *(uint32_t *)value = (uint32_t)reply.val[0];
    else
        *(uint64_t *)value = reply.val[0];
    return CUDA_SUCCESS;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *pbase, size_t *psize, CUdeviceptr dptr)
{
    struct vg_mem mem;
    CUresult r = vg_enter_ctx();

    if (r == CUDA_SUCCESS)
        r = vg_sticky();
    if (r != CUDA_SUCCESS)
        return r;
    if (!vg_mem_find(dptr, &mem) || !vg_mem_is(&mem, VG_MEM_ON_GPU | VG_MEM_SHARED))
        return CUDA_ERROR_NOT_FOUND;
    if (pbase)
        *pbase = mem.base;
    if (psize)
        *psize = mem.size;
    return CUDA_SUCCESS;
}
