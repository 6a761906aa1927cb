/* SPDX-License-Identifier: MIT */
/*
 * What each kind of op does when its turn comes. Addresses were checked when the call was made; the
 * arena stays mapped for good and host memory is released only after the context is idle.
 */
#include "op.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "vmm.h"
#include "array.h"
#include "graph.h"
#include "graphcond.h"
#include "kernel.h"
#include "module.h"
#include "stream.h"

#define VG_SMALL_BYTES (256u << 10)
#define VG_SMALL_STEPS 4096u            /* instructions of all threads: a few microseconds */

/* ------------------------------------------------------------ copy and erase */

static CUresult clone_bytes(void **p, size_t n)
{
    void *copy;

    if (*p == NULL || n == 0)
        return CUDA_SUCCESS;
    copy = malloc(n);
    if (copy == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(copy, *p, n);
    *p = copy;
    return CUDA_SUCCESS;
}

static void graph_mem_get(struct vg_graph_mem *mem)
{
    if (mem != NULL)
        mem->refs++;
}

static void graph_mem_put(struct vg_graph_mem *mem)
{
    if (mem == NULL || --mem->refs != 0)
        return;
    vg_arena_free(mem->ptr);
    free(mem);
}

static CUresult clone_memops(struct vg_op_memops *m)
{
    if (m->hold != NULL)
        vg_event_get_locked(m->hold);
    return clone_bytes((void **)&m->list, m->count * sizeof(*m->list));
}

static void memops_fini(struct vg_op_memops *m)
{
    if (m->hold != NULL)
        vg_event_put_locked(m->hold);
    free(m->list);
}

CUresult vg_op_clone_locked(struct vg_op *dst, const struct vg_op *src)
{
    CUresult rc = CUDA_SUCCESS;

    *dst = *src;
    if (src->type == VG_OP_KERNEL)
        rc = clone_bytes(&dst->u.kernel.params, src->u.kernel.param_size);
    else if (src->type == VG_OP_MEMOPS)
        rc = clone_memops(&dst->u.memops);
    else if (src->type == VG_OP_EVENT_RECORD || src->type == VG_OP_EVENT_WAIT)
        vg_event_get_locked(dst->u.event);
    else if (src->type == VG_OP_ALLOC || src->type == VG_OP_FREE)
        graph_mem_get(dst->u.mem.graph);
    else if (src->type == VG_OP_CHILD)
        rc = vg_graph_clone_locked(src->u.child, &dst->u.child);
    else if (src->type == VG_OP_CONDITIONAL)
        rc = vg_conditional_clone_locked(&dst->u.conditional, &src->u.conditional);
    if (rc != CUDA_SUCCESS)
        dst->type = VG_OP_EMPTY;
    return rc;
}

void vg_op_fini_locked(struct vg_op *op)
{
    if (op->type == VG_OP_KERNEL)
        free(op->u.kernel.params);
    else if (op->type == VG_OP_COPY)
        free(op->u.copy.staged);
    else if (op->type == VG_OP_MEMOPS)
        memops_fini(&op->u.memops);
    else if (op->type == VG_OP_EVENT_RECORD || op->type == VG_OP_EVENT_WAIT)
        vg_event_put_locked(op->u.event);
    else if (op->type == VG_OP_ALLOC || op->type == VG_OP_FREE)
        graph_mem_put(op->u.mem.graph);
    else if (op->type == VG_OP_CHILD)
        vg_graph_free_locked(op->u.child);
    else if (op->type == VG_OP_CONDITIONAL)
        vg_conditional_fini_locked(&op->u.conditional);
    else if (op->type == VG_OP_BRANCH)
        vg_branch_fini_locked(&op->u.branch);
    op->type = VG_OP_EMPTY;
}

/* ------------------------------------------------------------------ properties */

enum vg_lane vg_op_lane(const struct vg_op *op)
{
    static const enum vg_lane lane[VG_OP_TYPE_COUNT] = {
        [VG_OP_EMPTY] = VG_LANE_INSTANT,        [VG_OP_KERNEL] = VG_LANE_WORKER,
        [VG_OP_COPY] = VG_LANE_WORKER,          [VG_OP_MEMSET] = VG_LANE_WORKER,
        [VG_OP_HOST] = VG_LANE_HOST,            [VG_OP_CALLBACK] = VG_LANE_HOST,
        [VG_OP_EVENT_RECORD] = VG_LANE_INSTANT, [VG_OP_EVENT_WAIT] = VG_LANE_INSTANT,
        [VG_OP_MEMOPS] = VG_LANE_POLL,          [VG_OP_ALLOC] = VG_LANE_INSTANT,
        [VG_OP_FREE] = VG_LANE_WORKER,          [VG_OP_CHILD] = VG_LANE_INSTANT,
        [VG_OP_BRANCH] = VG_LANE_INSTANT,       [VG_OP_RESET] = VG_LANE_INSTANT,
    };

    return lane[op->type];
}

static size_t copy_bytes(const CUDA_MEMCPY3D *d)
{
    return d->WidthInBytes * d->Height * d->Depth;
}

/* A bound of what the grid does, from the kernel's code. */
static bool kernel_is_small(const struct vg_op_kernel *k)
{
    uint32_t steps = k->func->info->steps;
    uint64_t blocks = (uint64_t)k->grid[0] * k->grid[1] * k->grid[2];
    uint64_t threads = (uint64_t)k->block[0] * k->block[1] * k->block[2];

    return steps != 0 && blocks == 1 && threads * steps <= VG_SMALL_STEPS;
}

bool vg_op_is_small(const struct vg_op *op)
{
    if (op->type == VG_OP_KERNEL)
        return kernel_is_small(&op->u.kernel);
    if (op->type == VG_OP_COPY)
        return copy_bytes(&op->u.copy.d) <= VG_SMALL_BYTES;
    if (op->type == VG_OP_MEMSET)
        return op->u.memset.width * op->u.memset.elem * op->u.memset.height <= VG_SMALL_BYTES;
    return op->type == VG_OP_FREE;
}

/* --------------------------------------------------------------------- running */

static char *copy_src(const CUDA_MEMCPY3D *d)
{
    uintptr_t base = d->srcMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)d->srcHost
                                                           : (uintptr_t)d->srcDevice;

    return (char *)(base + (d->srcZ * d->srcHeight + d->srcY) * d->srcPitch + d->srcXInBytes);
}

static char *copy_dst(const CUDA_MEMCPY3D *d)
{
    uintptr_t base = d->dstMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)d->dstHost
                                                           : (uintptr_t)d->dstDevice;

    return (char *)(base + (d->dstZ * d->dstHeight + d->dstY) * d->dstPitch + d->dstXInBytes);
}

static void run_copy(const struct vg_op_copy *c)
{
    CUDA_MEMCPY3D resolved = c->d;
    const CUDA_MEMCPY3D *d = &resolved;
    const char *src;
    char *dst;
    size_t y, z;

    if (!vg_array_resolve(&resolved))
        return;
    src = c->staged != NULL ? c->staged : copy_src(d);
    dst = copy_dst(d);
    if (d->Height == 1 && d->Depth == 1) {
        memmove(dst, src, d->WidthInBytes);
        return;
    }
    for (z = 0; z < d->Depth; z++)
        for (y = 0; y < d->Height; y++)
            memmove(dst + (z * d->dstHeight + y) * d->dstPitch,
                    src + (z * d->srcHeight + y) * d->srcPitch, d->WidthInBytes);
}

static void memset_row(void *dst, const struct vg_op_memset *m)
{
    size_t i;

    if (m->elem == 1)
        memset(dst, (int)m->value, m->width);
    else if (m->elem == 2)
        for (i = 0; i < m->width; i++)
            ((uint16_t *)dst)[i] = (uint16_t)m->value;
    else
        for (i = 0; i < m->width; i++)
            ((uint32_t *)dst)[i] = m->value;
}

static void run_memset(const struct vg_op_memset *m)
{
    size_t y;

    for (y = 0; y < m->height; y++)
        memset_row((void *)(uintptr_t)(m->dst + y * m->pitch), m);
}

static void run_host(const struct vg_op_host *h, CUresult failed)
{
    if (h->callback != NULL)
        h->callback(h->stream, failed, h->data);
    else
        h->fn(h->data);
}

CUresult vg_op_run(struct vg_op *op, struct vg_ctx *ctx, CUresult failed)
{
    switch (op->type) {
    case VG_OP_KERNEL:
        return vg_kernel_run(&op->u.kernel, ctx);
    case VG_OP_COPY:
        run_copy(&op->u.copy);
        break;
    case VG_OP_MEMSET:
        run_memset(&op->u.memset);
        break;
    case VG_OP_HOST:
    case VG_OP_CALLBACK:
        run_host(&op->u.host, failed);
        break;
    case VG_OP_FREE:
        if (op->u.mem.graph == NULL && vg_arena_free(op->u.mem.ptr) != 0)
            vg_vmm_detach(op->u.mem.ptr, true);
        break;
    case VG_OP_BRANCH:
        return vg_branch_run_locked(&op->u.branch, ctx);
    case VG_OP_RESET:
        vg_conditions_reset_locked(op->u.child);
        break;
    default:
        break;
    }
    return CUDA_SUCCESS;
}

/* -------------------------------------------------------------- memory operations */

static bool wait_value_met(const CUstreamBatchMemOpParams *p)
{
    bool wide = p->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64;
    const void *at = (const void *)(uintptr_t)p->waitValue.address;
    uint64_t have = wide ? __atomic_load_n((const uint64_t *)at, __ATOMIC_ACQUIRE)
                         : __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
    uint64_t want = wide ? p->waitValue.value64 : p->waitValue.value;

    switch (p->waitValue.flags & 3) {
    case CU_STREAM_WAIT_VALUE_GEQ:      /* cyclic, as the hardware compares */
        return wide ? (int64_t)(have - want) >= 0 : (int32_t)((uint32_t)have - (uint32_t)want) >= 0;
    case CU_STREAM_WAIT_VALUE_EQ:
        return have == want;
    case CU_STREAM_WAIT_VALUE_AND:
        return (have & want) != 0;
    default:
        return ~(have | want) << (wide ? 0 : 32) != 0;
    }
}

bool vg_op_poll(struct vg_op *op)
{
    struct vg_op_memops *m = &op->u.memops;

    for (; m->done < m->count; m->done++) {
        const CUstreamBatchMemOpParams *p = &m->list[m->done];
        void *at = (void *)(uintptr_t)p->writeValue.address;

        if (p->operation == CU_STREAM_MEM_OP_WRITE_VALUE_32)
            __atomic_store_n((uint32_t *)at, p->writeValue.value, __ATOMIC_RELEASE);
        else if (p->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64)
            __atomic_store_n((uint64_t *)at, p->writeValue.value64, __ATOMIC_RELEASE);
        else if ((p->operation == CU_STREAM_MEM_OP_WAIT_VALUE_32 ||
                  p->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64) && !wait_value_met(p))
            return false;
    }
    return true;
}
