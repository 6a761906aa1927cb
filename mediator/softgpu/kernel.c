/* SPDX-License-Identifier: MIT */
/*
 * Gives the interpreter what a grid needs (memory map, parameters, heap, output) and turns what it
 * reports into the driver's statuses.
 */
#include "kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "graphcond.h"
#include "ctx.h"
#include "device.h"
#include "hostmem.h"
#include "module.h"
#include "ptx/ptx.h"
#include "texture.h"

#define VG_STACK_LEAST (64u << 10)

static struct ptx_pool *pool;
static uint64_t next_grid = 1;

int vg_kernel_init(unsigned cores)
{
    return ptx_pool_new(&pool, cores);
}

/* ------------------------------------------------------------- kernel services */

static void kernel_print(void *used, const char *text, size_t len)
{
    *(bool *)used = true;
    fwrite(text, 1, len, stdout);
}

static uint64_t heap_alloc(void *ctx_ptr, uint64_t size)
{
    struct vg_ctx *ctx = ctx_ptr;
    struct vg_block_owner owner = { .kind = VG_BLOCK_HEAP, .ctx = ctx };
    uint64_t addr;

    if (size == 0 || size > ctx->limit[CU_LIMIT_MALLOC_HEAP_SIZE])
        return 0;
    if (__atomic_add_fetch(&ctx->heap_used, size, __ATOMIC_RELAXED) >
            ctx->limit[CU_LIMIT_MALLOC_HEAP_SIZE] ||
        vg_arena_alloc((unsigned)ctx->dev->ordinal, size, &owner, &addr) != 0) {
        __atomic_sub_fetch(&ctx->heap_used, size, __ATOMIC_RELAXED);
        return 0;
    }
    return addr;
}

static int heap_release(void *ctx_ptr, uint64_t addr)
{
    struct vg_ctx *ctx = ctx_ptr;
    struct vg_block_info info;

    if (vg_arena_find(addr, &info) != 0 || info.base != addr ||
        info.owner.kind != VG_BLOCK_HEAP || info.owner.ctx != ctx || vg_arena_free(addr) != 0)
        return -EINVAL;
    __atomic_sub_fetch(&ctx->heap_used, info.size, __ATOMIC_RELAXED);
    return 0;
}

/* ------------------------------------------------------------------------ faults */

/* Each is the end of its context: what has no status of its own is a failed launch. */
static CUresult fault_status(enum ptx_fault fault)
{
    static const CUresult status[PTX_FAULT_COUNT] = {
        [PTX_OK] = CUDA_SUCCESS,
        [PTX_FAULT_ADDRESS] = CUDA_ERROR_ILLEGAL_ADDRESS,
        [PTX_FAULT_MISALIGNED] = CUDA_ERROR_MISALIGNED_ADDRESS,
        [PTX_FAULT_ASSERT] = CUDA_ERROR_ASSERT,
        [PTX_FAULT_TRAP] = CUDA_ERROR_LAUNCH_FAILED,
        [PTX_FAULT_PC] = CUDA_ERROR_INVALID_PC,
        [PTX_FAULT_STACK] = CUDA_ERROR_ILLEGAL_ADDRESS,     /* as past the end of local memory */
        [PTX_FAULT_DEADLOCK] = CUDA_ERROR_LAUNCH_TIMEOUT,   /* a GPU would hang */
        [PTX_FAULT_CANCELLED] = CUDA_ERROR_CONTEXT_IS_DESTROYED,
        [PTX_FAULT_RESOURCES] = CUDA_ERROR_LAUNCH_FAILED,
    };

    return (unsigned)fault < PTX_FAULT_COUNT ? status[fault] : CUDA_ERROR_UNKNOWN;
}

/* A failed assert was printed by the kernel itself; VGPU_SOFT_VERBOSE names the place of others. */
static void fault_print(const struct ptx_result *r)
{
    if (r->fault != PTX_FAULT_ASSERT && r->fault != PTX_FAULT_CANCELLED &&
        getenv("VGPU_SOFT_VERBOSE") != NULL)
        fprintf(stderr,
                "vgpu-softcuda: %s: %s in %s, line %u, block [%u,%u,%u], thread [%u,%u,%u]\n",
                ptx_fault_name(r->fault), r->message, r->func_name != NULL ? r->func_name : "?",
                r->line, r->block[0], r->block[1], r->block[2], r->thread[0], r->thread[1],
                r->thread[2]);
}

/* ---------------------------------------------------------------------- the launch */

CUresult vg_kernel_run(const struct vg_op_kernel *k, struct vg_ctx *ctx)
{
    struct vg_hostmem_view *view = vg_hostmem_view_get();
    struct ptx_space space = { .arena_base = vg_arena_base(), .arena_size = vg_arena_size(),
                               .page_shift = VG_ARENA_SHIFT, .page_map = vg_arena_page_map() };
    bool printed = false;
    struct ptx_launch l = {
        .module = k->func->module->ptx, .func = k->func->index, .dynamic_shared = k->shared,
        .params = k->params, .param_size = (uint32_t)k->param_size, .space = &space,
        .cooperative = k->cooperative, .sm_count = ctx->dev->cores, .cancel = &ctx->cancel,
        .print = kernel_print, .print_ctx = &printed,
        .heap = { .ctx = ctx, .alloc = heap_alloc, .release = heap_release },
        .set_condition = vg_condition_set,
        .textures = { .ctx = ctx, .find = vg_texture_find },
    };
    struct ptx_result r;
    int rc;

    if (view == NULL)
        return CUDA_ERROR_LAUNCH_FAILED;
    space.ranges = view->range;
    space.nranges = view->n;
    memcpy(l.grid, k->grid, sizeof(l.grid));
    memcpy(l.block, k->block, sizeof(l.block));
    l.stack_limit = ctx->limit[CU_LIMIT_STACK_SIZE] > VG_STACK_LEAST
                        ? (uint32_t)ctx->limit[CU_LIMIT_STACK_SIZE] : VG_STACK_LEAST;
    l.grid_id = __atomic_fetch_add(&next_grid, 1, __ATOMIC_RELAXED);
    rc = ptx_launch(pool, &l, &r);
    vg_hostmem_view_put(view);
    if (rc != 0)
        return CUDA_ERROR_LAUNCH_FAILED;
    if (printed)
        fflush(stdout);
    if (r.fault != PTX_OK)
        fault_print(&r);
    return fault_status(r.fault);
}
