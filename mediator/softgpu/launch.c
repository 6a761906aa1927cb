/* SPDX-License-Identifier: MIT */
/*
 * Launches: checks what the driver checks at the call, packs the parameters, hands the op over.
 */
#include "launch.h"

#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "device.h"
#include "module.h"
#include "occupancy.h"
#include "stream.h"

#define VG_LAUNCH_EXTRA_MAX 16          /* pairs in `extra` before we call it garbage */

/* -------------------------------------------------------------------- checking */

static bool dims_are_legal(const struct vg_op_kernel *k)
{
    static const unsigned grid_max[3] = { 0x7fffffff, 65535, 65535 };
    static const unsigned block_max[3] = { 1024, 1024, 64 };
    int i;

    for (i = 0; i < 3; i++)
        if (k->grid[i] == 0 || k->grid[i] > grid_max[i] || k->block[i] == 0 ||
            k->block[i] > block_max[i])
            return false;
    return k->block[0] * k->block[1] * k->block[2] <= VG_BLOCK_THREADS_MAX;
}

/* .reqntid gives the missing dimensions as 1. */
static bool matches_reqntid(const struct vg_op_kernel *k)
{
    const uint32_t *req = k->func->info->reqntid;
    int i;

    for (i = 0; req[0] != 0 && i < 3; i++)
        if (k->block[i] != (req[i] != 0 ? req[i] : 1))
            return false;
    return true;
}

CUresult vg_launch_check(const struct vg_op_kernel *k)
{
    const struct vg_func *f = k->func;
    unsigned threads = k->block[0] * k->block[1] * k->block[2];

    if (!dims_are_legal(k) || threads > f->info->max_threads || !matches_reqntid(k))
        return CUDA_ERROR_INVALID_VALUE;
    if (k->shared > f->max_dynamic_shared)
        return CUDA_ERROR_INVALID_VALUE;
    if (f->info->regs * threads > VG_SM_REGS)
        return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    if (k->cooperative &&
        (uint64_t)k->grid[0] * k->grid[1] * k->grid[2] >
            (uint64_t)vg_occupancy_blocks(f, threads, k->shared) * f->module->ctx->dev->cores)
        return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
    return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------- parameters */

/* Finds the packed buffer that `extra` names. */
static CUresult extra_find(void **extra, const void **ret_buffer, size_t *ret_size)
{
    unsigned i;

    for (i = 0; i < VG_LAUNCH_EXTRA_MAX && extra[2 * i] != CU_LAUNCH_PARAM_END; i++) {
        if (extra[2 * i] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            *ret_buffer = extra[2 * i + 1];
        else if (extra[2 * i] == CU_LAUNCH_PARAM_BUFFER_SIZE && extra[2 * i + 1] != NULL)
            *ret_size = *(size_t *)extra[2 * i + 1];
        else
            return CUDA_ERROR_INVALID_VALUE;
    }
    return i < VG_LAUNCH_EXTRA_MAX ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult pack_extra(struct vg_op_kernel *k, void **extra)
{
    const void *buffer = NULL;
    size_t size = 0;
    CUresult rc = extra_find(extra, &buffer, &size);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (buffer == NULL && (size != 0 || k->param_size != 0))
        return CUDA_ERROR_INVALID_VALUE;
    /* Fewer bytes than the kernel takes are allowed, as on a GPU. */
    if (k->param_size != 0)
        memcpy(k->params, buffer, size < k->param_size ? size : k->param_size);
    return CUDA_SUCCESS;
}

static CUresult pack_list(struct vg_op_kernel *k, void **params)
{
    const struct ptx_func_info *info = k->func->info;
    uint32_t i;

    for (i = 0; i < info->nparams; i++) {
        if (params[i] == NULL)
            return CUDA_ERROR_INVALID_VALUE;
        memcpy((char *)k->params + info->params[i].offset, params[i], info->params[i].size);
    }
    return CUDA_SUCCESS;
}

CUresult vg_launch_pack(struct vg_op_kernel *k, void **params, void **extra)
{
    CUresult rc;

    k->params = NULL;
    k->param_size = k->func->info->param_bytes;
    if ((params != NULL && extra != NULL) || (k->param_size != 0 && !params && !extra))
        return CUDA_ERROR_INVALID_VALUE;
    if (k->param_size == 0)
        return CUDA_SUCCESS;
    k->params = calloc(1, k->param_size);
    if (k->params == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    rc = params != NULL ? pack_list(k, params) : pack_extra(k, extra);
    if (rc != CUDA_SUCCESS) {
        free(k->params);
        k->params = NULL;
    }
    return rc;
}

/* -------------------------------------------------------------------- attributes */

/* What has no effect here is accepted; what would change results and is not there is refused. */
static CUresult attribute_apply(struct vg_op_kernel *k, const CUlaunchAttribute *a)
{
    switch (a->id) {
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
        k->cooperative = a->value.cooperative != 0;
        return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
        return a->value.clusterDim.x <= 1 && a->value.clusterDim.y <= 1 &&
               a->value.clusterDim.z <= 1 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CLUSTER_SIZE;
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
    case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
    case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
        return CUDA_ERROR_NOT_SUPPORTED;
    default:
        return (unsigned)a->id < CU_LAUNCH_ATTRIBUTE_MAX ? CUDA_SUCCESS
                                                        : CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult attributes_apply(struct vg_op_kernel *k, const CUlaunchConfig *config)
{
    CUresult rc = CUDA_SUCCESS;
    unsigned i;

    if (config->numAttrs != 0 && config->attrs == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < config->numAttrs && rc == CUDA_SUCCESS; i++)
        rc = attribute_apply(k, &config->attrs[i]);
    return rc;
}

/* ------------------------------------------------------------------- entry points */

static CUresult launch(struct vg_op *op, CUstream stream, void **params, void **extra)
{
    struct vg_op_kernel *k = &op->u.kernel;
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    if (rc == CUDA_SUCCESS)
        rc = vg_func_resolve(k->handle, s->ctx, &k->func);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (k->func->module->ctx != s->ctx)
        return CUDA_ERROR_INVALID_HANDLE;
    rc = vg_launch_check(k);
    if (rc == CUDA_SUCCESS)
        rc = vg_launch_pack(k, params, extra);
    return rc != CUDA_SUCCESS ? rc : vg_stream_issue(s, op, false);
}

VG_ENTRY(cuLaunchKernel,
         (CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
          unsigned bz, unsigned shared, CUstream stream, void **params, void **extra))
{
    struct vg_op op = { .type = VG_OP_KERNEL };

    op.u.kernel = (struct vg_op_kernel){ .handle = f, .grid = { gx, gy, gz },
                                         .block = { bx, by, bz }, .shared = shared };
    return launch(&op, stream, params, extra);
}

VG_ENTRY(cuLaunchCooperativeKernel,
         (CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
          unsigned bz, unsigned shared, CUstream stream, void **params))
{
    struct vg_op op = { .type = VG_OP_KERNEL };

    op.u.kernel = (struct vg_op_kernel){ .handle = f, .grid = { gx, gy, gz },
                                         .block = { bx, by, bz }, .shared = shared,
                                         .cooperative = true };
    return launch(&op, stream, params, NULL);
}

VG_ENTRY(cuLaunchKernelEx,
         (const CUlaunchConfig *c, CUfunction f, void **params, void **extra))
{
    struct vg_op op = { .type = VG_OP_KERNEL };
    CUresult rc;

    if (c == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    op.u.kernel = (struct vg_op_kernel){ .handle = f,
                                         .grid = { c->gridDimX, c->gridDimY, c->gridDimZ },
                                         .block = { c->blockDimX, c->blockDimY, c->blockDimZ },
                                         .shared = c->sharedMemBytes };
    rc = attributes_apply(&op.u.kernel, c);
    return rc != CUDA_SUCCESS ? rc : launch(&op, c->hStream, params, extra);
}

static CUresult launch_host(CUstream stream, struct vg_op *op)
{
    struct vg_stream *s;
    CUresult rc = vg_stream_enter(stream, &s);

    return rc != CUDA_SUCCESS ? rc : vg_stream_issue(s, op, false);
}

VG_ENTRY(cuLaunchHostFunc, (CUstream stream, CUhostFn fn, void *data))
{
    struct vg_op op = { .type = VG_OP_HOST };

    if (fn == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    op.u.host = (struct vg_op_host){ .fn = fn, .data = data };
    return launch_host(stream, &op);
}

VG_ENTRY(cuStreamAddCallback,
         (CUstream stream, CUstreamCallback callback, void *data, unsigned flags))
{
    struct vg_op op = { .type = VG_OP_CALLBACK };

    if (callback == NULL || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    op.u.host = (struct vg_op_host){ .callback = callback, .data = data, .stream = stream };
    return launch_host(stream, &op);
}
