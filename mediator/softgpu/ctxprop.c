/* SPDX-License-Identifier: MIT */
/*
 * What a context can be asked and told, once it exists.
 */
#include "capture.h"
#include "ctx.h"
#include "device.h"

VG_ENTRY(cuCtxGetDevice_v2, (CUdevice *dev, CUcontext handle))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_from_handle(handle, &ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (dev == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *dev = ctx->dev->ordinal;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxGetDevice, (CUdevice *dev))
{
    return cuCtxGetDevice_v2(dev, NULL);
}

VG_ENTRY(cuCtxGetFlags, (unsigned *flags))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_current(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *flags = ctx->flags;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxSetFlags, (unsigned flags))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_current(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags & ~(unsigned)VG_CTX_FLAGS)
        return CUDA_ERROR_INVALID_VALUE;
    ctx->flags = flags;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxGetId, (CUcontext handle, unsigned long long *id))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_from_handle(handle, &ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (id == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *id = ctx->id;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxGetApiVersion, (CUcontext handle, unsigned *version))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_from_handle(handle, &ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (version == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *version = 3020;            /* of every context since CUDA 3.2 */
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxSynchronize_v2, (CUcontext handle))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_from_handle(handle, &ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_ctx_error(ctx);
    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_ctx_sync(ctx);
    return rc != CUDA_SUCCESS ? rc : vg_ctx_synchronize(ctx);
}

VG_ENTRY(cuCtxSynchronize, (void))
{
    return cuCtxSynchronize_v2(NULL);
}

static bool limit_is_known(CUlimit limit)
{
    return limit == CU_LIMIT_STACK_SIZE || limit == CU_LIMIT_PRINTF_FIFO_SIZE ||
           limit == CU_LIMIT_MALLOC_HEAP_SIZE || limit == CU_LIMIT_MAX_L2_FETCH_GRANULARITY ||
           limit == CU_LIMIT_PERSISTING_L2_CACHE_SIZE;
}

VG_ENTRY(cuCtxSetLimit, (CUlimit limit, size_t value))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if ((unsigned)limit >= CU_LIMIT_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (!limit_is_known(limit))
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    if (limit == CU_LIMIT_STACK_SIZE && value > (512u << 10))
        return CUDA_ERROR_INVALID_VALUE;
    ctx->limit[limit] = value;
    return CUDA_SUCCESS;
}

/* Whether the context is shared with graphics: never. cuBLAS asks before it sizes a launch. */
static bool limit_is_of_graphics(CUlimit limit)
{
    return limit == CU_LIMIT_CIG_ENABLED || limit == CU_LIMIT_CIG_SHMEM_FALLBACK_ENABLED;
}

VG_ENTRY(cuCtxGetLimit, (size_t *value, CUlimit limit))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (value == NULL || (unsigned)limit >= CU_LIMIT_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (!limit_is_known(limit) && !limit_is_of_graphics(limit))
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    *value = ctx->limit[limit];
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxGetCacheConfig, (CUfunc_cache *config))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (config == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *config = ctx->cache_config;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxSetCacheConfig, (CUfunc_cache config))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    ctx->cache_config = config;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxGetSharedMemConfig, (CUsharedconfig *config))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (config == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxSetSharedMemConfig, (CUsharedconfig config))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    return (unsigned)config <= CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE
               ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuCtxGetStreamPriorityRange, (int *least, int *greatest))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (least != NULL)
        *least = 0;
    if (greatest != NULL)
        *greatest = VG_PRIORITY_GREATEST;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuCtxResetPersistingL2Cache, (void))
{
    struct vg_ctx *ctx;

    return vg_ctx_enter(&ctx);
}

/* Devices share one memory: access between them needs no switch, but the calls keep their rules. */
static uint32_t peer_bit(const struct vg_ctx *peer)
{
    return 1u << peer->dev->ordinal;
}

VG_ENTRY(cuCtxEnablePeerAccess, (CUcontext peer, unsigned flags))
{
    struct vg_ctx *ctx, *other;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    rc = peer != NULL ? vg_ctx_from_handle(peer, &other) : CUDA_ERROR_INVALID_CONTEXT;
    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (other->dev == ctx->dev)
        return CUDA_ERROR_INVALID_DEVICE;
    return __atomic_fetch_or(&ctx->peers, peer_bit(other), __ATOMIC_RELAXED) & peer_bit(other)
               ? CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED : CUDA_SUCCESS;
}

VG_ENTRY(cuCtxDisablePeerAccess, (CUcontext peer))
{
    struct vg_ctx *ctx, *other;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    rc = peer != NULL ? vg_ctx_from_handle(peer, &other) : CUDA_ERROR_INVALID_CONTEXT;
    if (rc != CUDA_SUCCESS)
        return rc;
    return __atomic_fetch_and(&ctx->peers, ~peer_bit(other), __ATOMIC_RELAXED) & peer_bit(other)
               ? CUDA_SUCCESS : CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
}
