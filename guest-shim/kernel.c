/* SPDX-License-Identifier: MIT */
/*
 * Kernels: the cuKernel* entry points. A kernel belongs to a library and to no context;
 * in each context a function stands for it. Any thread.
 */
#include "guest-shim/call.h"
#include "guest-shim/library.h"
#include "guest-shim/module.h"
#include "vg_api.h"

static CUresult enter_kernel(CUkernel kernel, struct vg_func **ret_kernel)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    *ret_kernel = vg_kernel_find(kernel);
    return *ret_kernel ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* The function that we know for a kernel in a module. */
static struct vg_func *function_of(struct vg_module *m, const struct vg_func *kernel)
{
    vg_lock(&vg_modules_lock);
    struct vg_func *f = m->funcs;
    while (f && f->of_kernel != kernel)
        f = f->next;
    vg_unlock(&vg_modules_lock);
    return f;
}

CUresult cuKernelGetFunction(CUfunction *pFunc, CUkernel kernel)
{
    struct vg_func *k, *f;
    struct vg_reply reply;
    CUresult r = vg_enter_ctx();

    if (!r)
        r = enter_kernel(kernel, &k);
    if (r)
        return r;
    if (!pFunc)
        return CUDA_ERROR_INVALID_VALUE;
    struct vg_module *m = vg_module_of_library(k->library);
    if (!m)
        return CUDA_ERROR_OUT_OF_MEMORY;
    f = function_of(m, k);
    if (!f) {
        r = vg_call_reply(VG_CALL_cuKernelGetFunction, VG_WORDS(1, k->handle), &reply);
        if (!r)
            r = vg_func_of_kernel(k, m, reply.val[0], &f);
        if (r)
            return r;
    }
    *pFunc = (CUfunction)(uintptr_t)f->handle;
    return CUDA_SUCCESS;
}

CUresult cuKernelGetLibrary(CUlibrary *pLib, CUkernel kernel)
{
    struct vg_func *k;
    CUresult r = enter_kernel(kernel, &k);

    if (r)
        return r;
    if (!pLib)
        return CUDA_ERROR_INVALID_VALUE;
    *pLib = vg_library_handle(k->library);
    return CUDA_SUCCESS;
}

CUresult cuKernelGetName(const char **name, CUkernel hfunc)
{
    struct vg_func *k;
    CUresult r = enter_kernel(hfunc, &k);

    return r ? r : vg_func_name(k, name);
}

CUresult cuKernelGetParamInfo(CUkernel kernel, size_t paramIndex, size_t *paramOffset,
                              size_t *paramSize)
{
    struct vg_func *k;
    CUresult r = vg_enter_ctx();

    if (!r)
        r = enter_kernel(kernel, &k);
    return r ? r : vg_func_param(k, paramIndex, paramOffset, paramSize);
}

CUresult cuKernelGetAttribute(int *pi, CUfunction_attribute attrib, CUkernel kernel, CUdevice dev)
{
    struct vg_func *k;
    CUresult r = enter_kernel(kernel, &k);

    if (r)
        return r;
    if (!pi)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_device(dev) ? vg_func_attribute(k, attrib, dev, pi) : CUDA_ERROR_INVALID_DEVICE;
}
