/* SPDX-License-Identifier: MIT */
/*
 * The occupancy calculator: threads, blocks, registers and shared memory, whichever runs out first.
 */
#include "occupancy.h"

#include "ctx.h"
#include "device.h"

#define VG_REG_UNIT 256u                /* registers are given to warps in units of this many */
#define VG_SHARED_UNIT 128u

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static size_t block_shared(const struct vg_func *f, size_t dynamic)
{
    return vg_round_up(f->info->static_shared + dynamic, VG_SHARED_UNIT) +
           VG_BLOCK_SHARED_RESERVED;
}

unsigned vg_occupancy_blocks(const struct vg_func *f, unsigned threads, size_t shared)
{
    unsigned warps = (threads + VG_WARP - 1) / VG_WARP, n;
    unsigned warp_regs = (unsigned)vg_round_up(f->info->regs * VG_WARP, VG_REG_UNIT);

    if (threads == 0 || threads > f->info->max_threads ||
        f->info->static_shared + shared > VG_BLOCK_SHARED_OPTIN)
        return 0;
    n = least(VG_SM_BLOCKS, VG_SM_THREADS / (warps * VG_WARP));
    n = least(n, VG_SM_REGS / (warp_regs * warps));
    return least(n, (unsigned)(VG_SM_SHARED / block_shared(f, shared)));
}

static CUresult occupancy_enter(CUfunction func, struct vg_func **ret, struct vg_ctx **ret_ctx)
{
    CUresult rc = vg_ctx_enter(ret_ctx);

    return rc != CUDA_SUCCESS ? rc : vg_func_resolve(func, *ret_ctx, ret);
}

VG_ENTRY(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags,
         (int *blocks, CUfunction func, int threads, size_t shared, unsigned flags))
{
    struct vg_func *f;
    struct vg_ctx *ctx;
    CUresult rc = occupancy_enter(func, &f, &ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (blocks == NULL || threads <= 0 || flags > CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)
        return CUDA_ERROR_INVALID_VALUE;
    *blocks = (int)vg_occupancy_blocks(f, (unsigned)threads, shared);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuOccupancyMaxActiveBlocksPerMultiprocessor,
         (int *blocks, CUfunction func, int threads, size_t shared))
{
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, func, threads, shared, 0);
}

/* The largest block size, in whole warps, that gives the most resident threads. */
VG_ENTRY(cuOccupancyMaxPotentialBlockSizeWithFlags,
         (int *grid, int *block, CUfunction func, CUoccupancyB2DSize shared_of, size_t shared,
          int limit, unsigned flags))
{
    unsigned threads, best = 0, best_threads = 0, n;
    struct vg_func *f;
    struct vg_ctx *ctx;
    CUresult rc = occupancy_enter(func, &f, &ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (!grid || !block || limit < 0 || flags > CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)
        return CUDA_ERROR_INVALID_VALUE;
    threads = least(f->info->max_threads, limit != 0 ? (unsigned)limit : VG_BLOCK_THREADS_MAX);
    for (threads = threads < VG_WARP ? threads : threads / VG_WARP * VG_WARP;
         threads >= 1 && threads <= VG_BLOCK_THREADS_MAX;
         threads = threads > VG_WARP ? threads - VG_WARP : 0) {
        n = vg_occupancy_blocks(f, threads, shared_of ? shared_of((int)threads) : shared);
        if (n * threads > best) {
            best = n * threads;
            best_threads = threads;
        }
    }
    if (best == 0)
        return CUDA_ERROR_INVALID_VALUE;
    *block = (int)best_threads;
    *grid = (int)(best / best_threads * ctx->dev->cores);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuOccupancyMaxPotentialBlockSize,
         (int *grid, int *block, CUfunction func, CUoccupancyB2DSize shared_of, size_t shared,
          int limit))
{
    return cuOccupancyMaxPotentialBlockSizeWithFlags(grid, block, func, shared_of, shared, limit,
                                                     0);
}

VG_ENTRY(cuOccupancyAvailableDynamicSMemPerBlock,
         (size_t *bytes, CUfunction func, int blocks, int threads))
{
    struct vg_func *f;
    struct vg_ctx *ctx;
    size_t each, fixed;
    CUresult rc = occupancy_enter(func, &f, &ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (bytes == NULL || blocks <= 0 || threads <= 0 ||
        (unsigned)blocks > vg_occupancy_blocks(f, (unsigned)threads, 0))
        return CUDA_ERROR_INVALID_VALUE;
    each = VG_SM_SHARED / (unsigned)blocks / VG_SHARED_UNIT * VG_SHARED_UNIT;
    fixed = VG_BLOCK_SHARED_RESERVED + vg_round_up(f->info->static_shared, VG_SHARED_UNIT);
    each = each > fixed ? each - fixed : 0;
    *bytes = each < VG_BLOCK_SHARED_OPTIN ? each : VG_BLOCK_SHARED_OPTIN;
    return CUDA_SUCCESS;
}

/* Blocks stand alone here: a cluster of more than one cannot be formed. */
VG_ENTRY(cuOccupancyMaxPotentialClusterSize,
         (int *size, CUfunction func, const CUlaunchConfig *config))
{
    struct vg_func *f;
    struct vg_ctx *ctx;
    CUresult rc = occupancy_enter(func, &f, &ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (size == NULL || config == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *size = 1;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuOccupancyMaxActiveClusters, (int *n, CUfunction func, const CUlaunchConfig *config))
{
    struct vg_func *f;
    struct vg_ctx *ctx;
    CUresult rc = occupancy_enter(func, &f, &ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (n == NULL || config == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *n = (int)(vg_occupancy_blocks(f, config->blockDimX * config->blockDimY * config->blockDimZ,
                                   config->sharedMemBytes) * ctx->dev->cores);
    return CUDA_SUCCESS;
}
