/* SPDX-License-Identifier: MIT */
/*
 * Functions: attributes, parameters, names. Every call takes a CUfunction or a CUkernel, as the
 * driver does.
 */
#include "ctx.h"
#include "device.h"
#include "handle.h"
#include "module.h"

/* Programs launch by CUkernel mostly: what it stood for last time is right nearly always. */
static CUresult kernel_resolve(struct vg_kernel *k, struct vg_ctx *ctx, struct vg_func **ret)
{
    struct vg_func *f = __atomic_load_n(&k->last, __ATOMIC_ACQUIRE);
    struct vg_module *m;
    CUresult rc = CUDA_SUCCESS;

    if (f == NULL || f->module->ctx != ctx) {
        rc = vg_library_module(k->library, ctx, &m);
        if (rc != CUDA_SUCCESS)
            return rc;
        f = &m->funcs[k->index];
        __atomic_store_n(&k->last, f, __ATOMIC_RELEASE);
    }
    *ret = f;
    return rc;
}

CUresult vg_func_resolve(CUfunction handle, struct vg_ctx *ctx, struct vg_func **ret)
{
    struct vg_func *f = vg_handle_get(handle, VG_HANDLE_FUNC);
    struct vg_kernel *k;

    if (f != NULL) {
        *ret = f;
        return CUDA_SUCCESS;
    }
    k = vg_handle_get(handle, VG_HANDLE_KERNEL);
    return k != NULL ? kernel_resolve(k, ctx, ret) : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult func_enter(CUfunction handle, struct vg_func **ret)
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    return rc != CUDA_SUCCESS ? rc : vg_func_resolve(handle, ctx, ret);
}

static int func_arch(const struct vg_func *f)
{
    struct ptx_module_info info;

    ptx_module_get_info(f->module->ptx, &info);
    return (int)info.target;
}

CUresult vg_func_get_attribute(const struct vg_func *f, CUfunction_attribute attr, int *ret)
{
    const struct ptx_func_info *info = f->info;

    switch (attr) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *ret = (int)info->max_threads;
        break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *ret = (int)info->static_shared;
        break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
        *ret = (int)info->local_bytes;
        break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
        *ret = (int)info->regs;
        break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
        *ret = func_arch(f);
        break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *ret = (int)f->max_dynamic_shared;
        break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        *ret = f->carveout;
        break;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
        *ret = (int)info->cluster[attr - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH];
        break;
    default:
        if ((unsigned)attr >= CU_FUNC_ATTRIBUTE_MAX)
            return CUDA_ERROR_INVALID_VALUE;
        *ret = 0;
    }
    return CUDA_SUCCESS;
}

CUresult vg_func_set_attribute(struct vg_func *f, CUfunction_attribute attr, int value)
{
    if (attr == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
        if (value < 0 || (unsigned)value + f->info->static_shared > VG_BLOCK_SHARED_OPTIN)
            return CUDA_ERROR_INVALID_VALUE;
        f->max_dynamic_shared = (unsigned)value;
        return CUDA_SUCCESS;
    }
    if (attr == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) {
        if (value < -1 || value > 100)
            return CUDA_ERROR_INVALID_VALUE;
        f->carveout = value;
        return CUDA_SUCCESS;
    }
    /* Clusters need hardware that we do not claim to be; the default of each is accepted. */
    if (attr >= CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET && attr < CU_FUNC_ATTRIBUTE_MAX)
        return value == 0 ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
    return CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuFuncGetAttribute, (int *value, CUfunction_attribute attr, CUfunction func))
{
    struct vg_func *f;
    CUresult rc = func_enter(func, &f);

    if (rc != CUDA_SUCCESS)
        return rc;
    return value != NULL ? vg_func_get_attribute(f, attr, value) : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuFuncSetAttribute, (CUfunction func, CUfunction_attribute attr, int value))
{
    struct vg_func *f;
    CUresult rc = func_enter(func, &f);

    return rc != CUDA_SUCCESS ? rc : vg_func_set_attribute(f, attr, value);
}

VG_ENTRY(cuFuncSetCacheConfig, (CUfunction func, CUfunc_cache config))
{
    struct vg_func *f;
    CUresult rc = func_enter(func, &f);

    if (rc != CUDA_SUCCESS)
        return rc;
    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    f->cache_config = config;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuFuncSetSharedMemConfig, (CUfunction func, CUsharedconfig config))
{
    struct vg_func *f;
    CUresult rc = func_enter(func, &f);

    if (rc != CUDA_SUCCESS)
        return rc;
    return (unsigned)config <= CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE
               ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuFuncGetModule, (CUmodule *module, CUfunction func))
{
    struct vg_func *f;
    CUresult rc = func_enter(func, &f);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (module == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *module = f->module->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuFuncGetName, (const char **name, CUfunction func))
{
    struct vg_func *f;
    CUresult rc = func_enter(func, &f);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (name == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *name = f->info->name;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuFuncGetParamInfo, (CUfunction func, size_t index, size_t *offset, size_t *size))
{
    struct vg_func *f;
    CUresult rc = func_enter(func, &f);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (offset == NULL || index >= f->info->nparams)
        return CUDA_ERROR_INVALID_VALUE;
    *offset = f->info->params[index].offset;
    if (size != NULL)
        *size = f->info->params[index].size;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuFuncIsLoaded, (CUfunctionLoadingState *state, CUfunction func))
{
    struct vg_func *f;
    CUresult rc = func_enter(func, &f);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (state == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *state = CU_FUNCTION_LOADING_STATE_LOADED;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuFuncLoad, (CUfunction func))
{
    struct vg_func *f;

    return func_enter(func, &f);
}
