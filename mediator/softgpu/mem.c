/* SPDX-License-Identifier: MIT */
/*
 * cuMemAlloc and relatives. Nothing is ordered with streams here (pool.c has those), so a free waits
 * for the context first, as the driver's does.
 */
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "capture.h"
#include "ctx.h"
#include "device.h"
#include "graph.h"
#include "hostmem.h"
#include "vmm.h"

#define VG_PITCH 512u

static bool span_inside(uint64_t addr, size_t size, uint64_t base, size_t span)
{
    return addr - base <= span && size <= span - (addr - base);
}

CUresult vg_mem_classify(uint64_t addr, size_t size, enum vg_mem_kind *ret)
{
    struct vg_hostmem_info host;
    struct vg_block_info block;

    if (vg_arena_contains(addr)) {
        *ret = VG_MEM_DEVICE;
        if (vg_arena_find(addr, &block) == 0)
            return block.owner.kind != VG_BLOCK_ARRAY &&
                           span_inside(addr, size, block.base, block.size)
                       ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
        return vg_vmm_covers(addr, size) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    }
    if (vg_hostmem_find(addr, &host) == 0) {
        *ret = VG_MEM_PINNED;
        return span_inside(addr, size, host.base, host.size) ? CUDA_SUCCESS
                                                             : CUDA_ERROR_INVALID_VALUE;
    }
    *ret = VG_MEM_PAGEABLE;
    return vg_hostmem_is_mapped((const void *)(uintptr_t)addr, size) ? CUDA_SUCCESS
                                                                    : CUDA_ERROR_INVALID_VALUE;
}

CUresult vg_mem_check_device(uint64_t addr, size_t size)
{
    enum vg_mem_kind kind;
    CUresult rc = vg_mem_classify(addr, size, &kind);

    if (rc != CUDA_SUCCESS)
        return rc;
    return kind != VG_MEM_PAGEABLE ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* Memory that streams have yet to give back may make room: wait for it once. */
static CUresult mem_alloc(enum vg_block_kind kind, CUdeviceptr *dptr, size_t size)
{
    struct vg_block_owner owner = { .kind = kind };
    uint64_t base;
    CUresult rc = vg_ctx_enter(&owner.ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS)
        return rc;
    if (dptr == NULL || size == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (vg_arena_alloc((unsigned)owner.ctx->dev->ordinal, size, &owner, &base) != 0) {
        rc = vg_ctx_synchronize(owner.ctx);
        if (rc != CUDA_SUCCESS)
            return rc;
        if (vg_arena_alloc((unsigned)owner.ctx->dev->ordinal, size, &owner, &base) != 0)
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *dptr = base;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemAlloc_v2, (CUdeviceptr *dptr, size_t size))
{
    return mem_alloc(VG_BLOCK_PLAIN, dptr, size);
}

VG_ENTRY(cuMemAllocManaged, (CUdeviceptr *dptr, size_t size, unsigned flags))
{
    if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST)
        return CUDA_ERROR_INVALID_VALUE;
    return mem_alloc(VG_BLOCK_MANAGED, dptr, size);
}

VG_ENTRY(cuMemAllocPitch_v2,
         (CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height, unsigned element))
{
    size_t row = vg_round_up(width, VG_PITCH);
    CUresult rc;

    if (dptr == NULL || pitch == NULL || width == 0 || height == 0 ||
        (element != 4 && element != 8 && element != 16))
        return CUDA_ERROR_INVALID_VALUE;
    if (row < width || row > SIZE_MAX / height)
        return CUDA_ERROR_OUT_OF_MEMORY;
    rc = mem_alloc(VG_BLOCK_PLAIN, dptr, row * height);
    if (rc == CUDA_SUCCESS)
        *pitch = row;
    return rc;
}

static bool block_is_freeable(const struct vg_block_info *b)
{
    return b->owner.kind == VG_BLOCK_PLAIN || b->owner.kind == VG_BLOCK_MANAGED;
}

/* Nobody waits for what goes back to a pool, as with the driver. */
static CUresult free_pooled(struct vg_ctx *ctx, CUdeviceptr dptr)
{
    struct vg_op op = { .type = VG_OP_FREE, .u.mem.ptr = dptr };

    return vg_stream_issue_after_all(ctx, &op);
}

VG_ENTRY(cuMemFree_v2, (CUdeviceptr dptr))
{
    struct vg_block_info block;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS || dptr == 0)
        return rc;
    if (vg_vmm_is_pooled(dptr))
        return free_pooled(ctx, dptr);
    if (vg_arena_find(dptr, &block) != 0 || block.base != dptr)
        return CUDA_ERROR_INVALID_VALUE;
    /* What a graph allocated comes back with its next launch. */
    if (block.owner.kind == VG_BLOCK_GRAPH) {
        rc = vg_ctx_synchronize(ctx);
        vg_graph_mem_freed(dptr);
        return rc;
    }
    if (block.owner.kind == VG_BLOCK_POOL)
        return free_pooled(block.owner.ctx, dptr);
    if (!block_is_freeable(&block))
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_ctx_synchronize(block.owner.ctx);
    if (rc != CUDA_SUCCESS)
        return rc;
    return vg_arena_free(dptr) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuMemGetInfo_v2, (size_t *free_bytes, size_t *total))
{
    struct vg_ctx *ctx;
    size_t used, limit;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_arena_used((unsigned)ctx->dev->ordinal, &used, &limit);
    if (free_bytes != NULL)
        *free_bytes = limit - used;
    if (total != NULL)
        *total = limit;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemGetAddressRange_v2, (CUdeviceptr *base, size_t *size, CUdeviceptr dptr))
{
    struct vg_hostmem_info host;
    struct vg_block_info block;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (vg_arena_find(dptr, &block) != 0 && vg_vmm_find(dptr, &block, NULL) != 0) {
        if (vg_hostmem_find(dptr, &host) != 0)
            return CUDA_ERROR_NOT_FOUND;
        block.base = host.base;
        block.size = host.size;
    }
    if (base != NULL)
        *base = block.base;
    if (size != NULL)
        *size = block.size;
    return CUDA_SUCCESS;
}

/* Managed memory is one memory here: advice and prefetching change nothing but are checked. */
static CUresult managed_check(CUdeviceptr dptr, size_t size)
{
    struct vg_block_info block;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (size == 0 || vg_arena_find(dptr, &block) != 0 || block.owner.kind != VG_BLOCK_MANAGED ||
        !span_inside(dptr, size, block.base, block.size))
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemAdvise_v2,
         (CUdeviceptr dptr, size_t size, CUmem_advise advice, CUmemLocation location))
{
    (void)location;
    if (advice < CU_MEM_ADVISE_SET_READ_MOSTLY || advice > CU_MEM_ADVISE_UNSET_ACCESSED_BY)
        return CUDA_ERROR_INVALID_VALUE;
    return managed_check(dptr, size);
}

VG_ENTRY(cuMemPrefetchAsync_v2,
         (CUdeviceptr dptr, size_t size, CUmemLocation location, unsigned flags, CUstream stream))
{
    (void)location;
    (void)stream;
    return flags == 0 ? managed_check(dptr, size) : CUDA_ERROR_INVALID_VALUE;
}
