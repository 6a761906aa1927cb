/* SPDX-License-Identifier: MIT */
/* Bodies: modules, libraries, their functions and variables. Serve thread. */
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/load.h"
#include "mediator/executor/managed.h"

CUresult vg_do_cuModuleUnload(struct vg_exec *x, struct vg_req *r, struct vg_args_cuModuleUnload *a)
{
    if (!a->hmod)
        return CUDA_ERROR_INVALID_HANDLE;
    return vg_wait_drained(x, r) ? x->cuda.cuModuleUnload(a->hmod) : CUDA_SUCCESS;
}

CUresult vg_do_cuLibraryUnload(struct vg_exec *x, struct vg_req *r,
                               struct vg_args_cuLibraryUnload *a)
{
    if (!a->library)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!vg_wait_drained(x, r))
        return CUDA_SUCCESS;
    vg_managed_forget(x, (uintptr_t)a->library);
    CUresult rc = x->cuda.cuLibraryUnload(a->library);
    if (rc == CUDA_SUCCESS)
        vg_image_drop(x, (uintptr_t)a->library);
    return rc;
}

/* ---- Functions and kernels ---- */

typedef CUresult (*param_info)(const struct vg_exec *x, uint64_t handle, size_t i, size_t *off,
                               size_t *size);

static CUresult function_param(const struct vg_exec *x, uint64_t handle, size_t i, size_t *off,
                               size_t *size)
{
    return x->cuda.cuFuncGetParamInfo((CUfunction)(uintptr_t)handle, i, off, size);
}

static CUresult kernel_param(const struct vg_exec *x, uint64_t handle, size_t i, size_t *off,
                             size_t *size)
{
    return x->cuda.cuKernelGetParamInfo((CUkernel)(uintptr_t)handle, i, off, size);
}

/*
 * Asks parameter after parameter until the driver says there is none. As many as
 * fit stand in the reply; param_count tells how many there are.
 */
static void describe_params(struct vg_exec *x, struct vg_req *r, param_info ask, uint64_t handle,
                            uint32_t *ret_bytes)
{
    struct vg_function_info *info = (struct vg_function_info *)x->out;
    size_t off, size, fits = 0;
    CUresult rc;

    if (r->enc.cap >= sizeof(*info))
        fits = (r->enc.cap - sizeof(*info)) / sizeof(info->param[0]);
    *info = (struct vg_function_info){.param_bytes = 0};
    while ((rc = ask(x, handle, info->param_count, &off, &size)) == CUDA_SUCCESS &&
           off + size <= VG_PARAMS_MAX) {
        if (info->param_count < fits) {
            info->param[info->param_count].offset = (uint16_t)off;
            info->param[info->param_count].size = (uint16_t)size;
        }
        info->param_count++;
        info->param_bytes = (uint32_t)(off + size);
    }
    *ret_bytes = rc == CUDA_ERROR_INVALID_VALUE ? info->param_bytes : VG_PARAMS_UNKNOWN;
    if (fits > info->param_count)
        fits = info->param_count;
    r->enc.len = r->enc.cap < sizeof(*info) ? 0 : sizeof(*info) + fits * sizeof(info->param[0]);
    if (rc != CUDA_ERROR_INVALID_VALUE && info->param_count == 0)
        info->param_count = VG_PARAMS_UNKNOWN; /* an old driver that does not tell */
}

/* The name is the payload: text, a NUL, and nothing but NULs behind it. */
static const char *payload_name(struct vg_req *r)
{
    const char *name = (const char *)r->payload;
    size_t len = r->call.payload_len, n = strnlen(name, len);

    if (n == len || len > VG_NAME_MAX) {
        r->breach = "malformed name";
        return NULL;
    }
    return name;
}

static CUresult get_function(struct vg_exec *x, struct vg_req *r, uint64_t module, const char *name,
                             uint64_t *ret_handle)
{
    CUfunction f = NULL;
    uint32_t bytes = VG_PARAMS_UNKNOWN;

    CUresult rc = module ? vg_own_handle(x, VG_OBJ_CUmodule, module) : CUDA_ERROR_INVALID_HANDLE;
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuModuleGetFunction(&f, (CUmodule)(uintptr_t)module, name);
    if (rc != CUDA_SUCCESS)
        return rc;
    *ret_handle = (uintptr_t)f;
    describe_params(x, r, function_param, *ret_handle, &bytes);
    return vg_own_add(x, VG_OBJ_CUfunction, *ret_handle, module, bytes);
}

/*
 * The driver tells a kernel's parameters only under a context. A guest's thread may ask
 * for its first kernel before it has made one current: then any of the process will do.
 */
static bool borrow_context(struct vg_exec *x)
{
    return !x->ctx && x->registrar && vg_context_set(x, x->registrar) == CUDA_SUCCESS;
}

static void describe_kernel(struct vg_exec *x, struct vg_req *r, uint64_t kernel, uint32_t *ret_bytes)
{
    bool borrow = borrow_context(x);

    describe_params(x, r, kernel_param, kernel, ret_bytes);
    if (borrow)
        vg_context_set(x, NULL);
}

static CUresult get_kernel(struct vg_exec *x, struct vg_req *r, uint64_t library, const char *name,
                           uint64_t *ret_handle)
{
    CUkernel k = NULL;
    uint32_t bytes = VG_PARAMS_UNKNOWN;

    CUresult rc = library ? vg_own_handle(x, VG_OBJ_CUlibrary, library) : CUDA_ERROR_INVALID_HANDLE;
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuLibraryGetKernel(&k, (CUlibrary)(uintptr_t)library, name);
    if (rc != CUDA_SUCCESS)
        return rc;
    *ret_handle = (uintptr_t)k;
    describe_kernel(x, r, *ret_handle, &bytes);
    return vg_own_add(x, VG_OBJ_CUkernel, *ret_handle, library, bytes);
}

CUresult vg_do_FUNCTION_GET(struct vg_exec *x, struct vg_req *r)
{
    const char *name = payload_name(r);
    uint64_t handle = 0;
    CUresult rc;

    if (!name || r->call.arg[0] > VG_IMAGE_LIBRARY) {
        r->breach = r->breach ? r->breach : "unknown kind of image";
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (r->call.arg[0] == VG_IMAGE_LIBRARY)
        rc = get_kernel(x, r, r->call.arg[1], name, &handle);
    else
        rc = get_function(x, r, r->call.arg[1], name, &handle);
    if (rc == CUDA_SUCCESS)
        vg_enc_word(&r->enc, handle);
    return rc;
}

static enum vg_obj_type kind_of(struct vg_req *r)
{
    if (r->call.arg[1] > VG_IMAGE_LIBRARY)
        r->breach = "unknown kind of image";
    return r->call.arg[1] == VG_IMAGE_LIBRARY ? VG_OBJ_CUkernel : VG_OBJ_CUfunction;
}

CUresult vg_do_FUNCTION_INFO(struct vg_exec *x, struct vg_req *r)
{
    enum vg_obj_type type = kind_of(r);
    struct vg_obj *o = vg_obj_find(&x->obj, type, r->call.arg[0]);

    if (!o)
        return CUDA_ERROR_INVALID_HANDLE;
    if (type == VG_OBJ_CUkernel)
        describe_kernel(x, r, o->handle, &o->info);
    else
        describe_params(x, r, function_param, o->handle, &o->info);
    return CUDA_SUCCESS;
}

CUresult vg_do_FUNCTION_NAME(struct vg_exec *x, struct vg_req *r)
{
    enum vg_obj_type type = kind_of(r);
    void *handle = (void *)(uintptr_t)r->call.arg[0];
    const char *name = NULL;
    CUresult rc = CUDA_ERROR_INVALID_HANDLE;

    if (!vg_obj_find(&x->obj, type, r->call.arg[0]))
        return rc;
    rc = type == VG_OBJ_CUkernel ? x->cuda.cuKernelGetName(&name, handle)
                                 : x->cuda.cuFuncGetName(&name, handle);
    size_t len = rc == CUDA_SUCCESS && name ? strlen(name) + 1 : 0;
    if (len > r->enc.cap)
        return CUDA_ERROR_INVALID_VALUE;
    if (len)
        memcpy(r->enc.payload, name, len);
    r->enc.len = len;
    return rc;
}

/* One that came from an enumeration may not be loaded yet, and then tells only a part of them. */
static CUresult function_attribute(struct vg_exec *x, int *ret, CUfunction_attribute a, CUfunction f)
{
    CUresult rc = x->cuda.cuFuncGetAttribute(ret, a, f);

    if (rc == CUDA_ERROR_FUNCTION_NOT_LOADED && x->cuda.cuFuncLoad(f) == CUDA_SUCCESS)
        rc = x->cuda.cuFuncGetAttribute(ret, a, f);
    return rc;
}

CUresult vg_do_FUNCTION_ATTRS(struct vg_exec *x, struct vg_req *r)
{
    enum vg_obj_type type = kind_of(r);
    void *handle = (void *)(uintptr_t)r->call.arg[0];
    int32_t value[VG_FUNC_ATTRS] = {0};
    uint64_t known = 0;
    CUresult rc = CUDA_ERROR_INVALID_HANDLE;

    if (!vg_obj_find(&x->obj, type, r->call.arg[0]))
        return rc;
    if (r->enc.cap < sizeof(value))
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < VG_FUNC_ATTRS; i++) {
        if (type == VG_OBJ_CUkernel)
            rc = x->cuda.cuKernelGetAttribute(&value[i], (CUfunction_attribute)i, handle,
                                              (CUdevice)r->call.arg[2]);
        else
            rc = function_attribute(x, &value[i], (CUfunction_attribute)i, handle);
        known |= (uint64_t)(rc == CUDA_SUCCESS) << i;
    }
    if (!known)
        return rc;
    vg_enc_word(&r->enc, known);
    memcpy(r->enc.payload, value, sizeof(value));
    r->enc.len = sizeof(value);
    return CUDA_SUCCESS;
}

/* The same without the parameters, for a guest that knows them or does not care. */
CUresult vg_do_cuModuleGetFunction(struct vg_exec *x, struct vg_req *r,
                                   struct vg_args_cuModuleGetFunction *a)
{
    uint64_t handle = 0;
    CUresult rc = get_function(x, r, (uintptr_t)a->hmod, a->name, &handle);

    r->enc.len = 0;
    a->hfunc = (CUfunction)(uintptr_t)handle;
    return rc;
}

CUresult vg_do_cuLibraryGetKernel(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuLibraryGetKernel *a)
{
    uint64_t handle = 0;
    CUresult rc = get_kernel(x, r, (uintptr_t)a->library, a->name, &handle);

    r->enc.len = 0;
    a->pKernel = (CUkernel)(uintptr_t)handle;
    return rc;
}

static void keep_functions(struct vg_exec *x, enum vg_obj_type type, const void *handles,
                           unsigned n, uint64_t parent)
{
    const uint64_t *h = handles;

    for (unsigned i = 0; i < n; i++)
        if (!vg_obj_find(&x->obj, type, h[i]))
            vg_own_add(x, type, h[i], parent, VG_PARAMS_UNKNOWN);
}

CUresult vg_do_cuModuleEnumerateFunctions(struct vg_exec *x, struct vg_req *r,
                                          struct vg_args_cuModuleEnumerateFunctions *a)
{
    CUresult rc = x->cuda.cuModuleEnumerateFunctions(a->functions, a->numFunctions, a->mod);

    (void)r;
    if (rc == CUDA_SUCCESS && a->functions)
        keep_functions(x, VG_OBJ_CUfunction, a->functions, a->numFunctions, (uintptr_t)a->mod);
    return rc;
}

CUresult vg_do_cuLibraryEnumerateKernels(struct vg_exec *x, struct vg_req *r,
                                         struct vg_args_cuLibraryEnumerateKernels *a)
{
    CUresult rc = x->cuda.cuLibraryEnumerateKernels(a->kernels, a->numKernels, a->lib);

    (void)r;
    if (rc == CUDA_SUCCESS && a->kernels)
        keep_functions(x, VG_OBJ_CUkernel, a->kernels, a->numKernels, (uintptr_t)a->lib);
    return rc;
}

CUresult vg_do_cuModuleGetFunctionCount(struct vg_exec *x, struct vg_req *r,
                                        struct vg_args_cuModuleGetFunctionCount *a)
{
    (void)r;
    return x->cuda.cuModuleGetFunctionCount(&a->count, a->mod);
}

CUresult vg_do_cuLibraryGetKernelCount(struct vg_exec *x, struct vg_req *r,
                                       struct vg_args_cuLibraryGetKernelCount *a)
{
    (void)r;
    return x->cuda.cuLibraryGetKernelCount(&a->count, a->lib);
}

CUresult vg_do_cuLibraryGetModule(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuLibraryGetModule *a)
{
    CUresult rc = x->cuda.cuLibraryGetModule(&a->pMod, a->library);

    (void)r;
    return rc ? rc : vg_own_add(x, VG_OBJ_CUmodule, (uintptr_t)a->pMod, (uintptr_t)a->library, 0);
}

CUresult vg_do_cuKernelGetFunction(struct vg_exec *x, struct vg_req *r,
                                   struct vg_args_cuKernelGetFunction *a)
{
    const struct vg_obj *k = vg_obj_find(&x->obj, VG_OBJ_CUkernel, (uintptr_t)a->kernel);
    CUresult rc = k ? x->cuda.cuKernelGetFunction(&a->pFunc, a->kernel) : CUDA_ERROR_INVALID_HANDLE;

    (void)r;
    return rc ? rc : vg_own_add(x, VG_OBJ_CUfunction, (uintptr_t)a->pFunc, k->parent, k->info);
}

/* ---- Variables: memory that ends with its module and its context ---- */

/* Managed variables are in the region, which the guest may use anyway. */
static bool find_managed(const struct vg_exec *x, uint64_t library, const char *name,
                         CUdeviceptr *ret_at, size_t *ret_bytes)
{
    const struct vg_managed *m = library ? vg_managed_find(x, library, name) : NULL;

    if (!m)
        return false;
    *ret_at = m->at;
    *ret_bytes = m->bytes;
    return true;
}

static CUresult keep_global(struct vg_exec *x, CUdeviceptr p, size_t bytes, const void *owner)
{
    if (bytes == 0 || vg_guest_owns(&x->guest, p, bytes) || vg_range_covers(&x->ranges, p, bytes))
        return CUDA_SUCCESS;
    return vg_own_add_range(x, p, bytes, VG_RANGE_GLOBAL, (uintptr_t)owner);
}

CUresult vg_do_cuModuleGetGlobal_v2(struct vg_exec *x, struct vg_req *r,
                                    struct vg_args_cuModuleGetGlobal_v2 *a)
{
    const struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUmodule, (uintptr_t)a->hmod);

    if (o && find_managed(x, o->parent, a->name, &a->dptr, &a->bytes))
        return CUDA_SUCCESS;
    CUresult rc = x->cuda.cuModuleGetGlobal_v2(&a->dptr, &a->bytes, a->hmod, a->name);

    (void)r;
    return rc ? rc : keep_global(x, a->dptr, a->bytes, a->hmod);
}

CUresult vg_do_cuLibraryGetGlobal(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuLibraryGetGlobal *a)
{
    if (find_managed(x, (uintptr_t)a->library, a->name, &a->dptr, &a->bytes))
        return CUDA_SUCCESS;
    CUresult rc = x->cuda.cuLibraryGetGlobal(&a->dptr, &a->bytes, a->library, a->name);

    (void)r;
    return rc ? rc : keep_global(x, a->dptr, a->bytes, a->library);
}

/* The driver's own are of no use to the guest, but it is told that they are there. */
CUresult vg_do_cuLibraryGetManaged(struct vg_exec *x, struct vg_req *r,
                                   struct vg_args_cuLibraryGetManaged *a)
{
    if (find_managed(x, (uintptr_t)a->library, a->name, &a->dptr, &a->bytes))
        return CUDA_SUCCESS;
    bool borrow = borrow_context(x);
    CUresult rc = x->cuda.cuLibraryGetManaged(&a->dptr, &a->bytes, a->library, a->name);

    (void)r;
    if (borrow)
        vg_context_set(x, NULL);
    return rc;
}

/* ---- Attributes that the table could forward, were their order of arguments not so varied ---- */

CUresult vg_do_cuKernelGetAttribute(struct vg_exec *x, struct vg_req *r,
                                    struct vg_args_cuKernelGetAttribute *a)
{
    (void)r;
    return x->cuda.cuKernelGetAttribute(&a->pi, a->attrib, a->kernel, a->dev);
}

CUresult vg_do_cuKernelSetAttribute(struct vg_exec *x, struct vg_req *r,
                                    struct vg_args_cuKernelSetAttribute *a)
{
    (void)r;
    return x->cuda.cuKernelSetAttribute(a->attrib, a->val, a->kernel, a->dev);
}

CUresult vg_do_cuKernelGetParamInfo(struct vg_exec *x, struct vg_req *r,
                                    struct vg_args_cuKernelGetParamInfo *a)
{
    (void)r;
    return x->cuda.cuKernelGetParamInfo(a->kernel, a->paramIndex, &a->paramOffset, &a->paramSize);
}

CUresult vg_do_cuFuncGetAttribute(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuFuncGetAttribute *a)
{
    (void)r;
    return x->cuda.cuFuncGetAttribute(&a->pi, a->attrib, a->hfunc);
}

CUresult vg_do_cuFuncSetAttribute(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuFuncSetAttribute *a)
{
    (void)r;
    return x->cuda.cuFuncSetAttribute(a->hfunc, a->attrib, a->value);
}

CUresult vg_do_cuFuncGetParamInfo(struct vg_exec *x, struct vg_req *r,
                                  struct vg_args_cuFuncGetParamInfo *a)
{
    (void)r;
    return x->cuda.cuFuncGetParamInfo(a->func, a->paramIndex, &a->paramOffset, &a->paramSize);
}
