/* SPDX-License-Identifier: MIT */
/*
 * Libraries: an image kept as text, decoded once to know its kernels, and made a module of each
 * context on first use there.
 */
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "ctx.h"
#include "device.h"
#include "handle.h"
#include "module.h"

#include "mediator/vg_soft_managed.h"

/* --------------------------------------------------------------- modules of contexts */

static struct vg_module *module_of_ctx_locked(const struct vg_library *lib,
                                              const struct vg_ctx *ctx)
{
    struct vg_module *m = ctx->modules;

    while (m != NULL && m->library != lib)
        m = m->next;
    return m;
}

static void apply_kernel_attributes(const struct vg_library *lib, const struct vg_module *m)
{
    uint32_t i;

    for (i = 0; i < lib->nkernels; i++)
        if (lib->kernels[i].max_dynamic_shared >= 0)
            m->funcs[i].max_dynamic_shared = (unsigned)lib->kernels[i].max_dynamic_shared;
}

CUresult vg_library_module(struct vg_library *lib, struct vg_ctx *ctx, struct vg_module **ret)
{
    struct vg_module *m;
    CUresult rc = CUDA_SUCCESS;

    vg_module_lock();
    m = module_of_ctx_locked(lib, ctx);
    if (m == NULL) {
        rc = vg_module_load(ctx, &lib->image, NULL, lib, &m);
        if (rc == CUDA_SUCCESS)
            apply_kernel_attributes(lib, m);
    }
    vg_module_unlock();
    if (rc == CUDA_SUCCESS)
        *ret = m;
    return rc;
}

/* ------------------------------------------------------------------------- life */

static void library_free(struct vg_library *lib)
{
    uint32_t i;

    vg_handle_end(lib->handle);
    for (i = 0; i < lib->nkernels; i++)
        vg_handle_end(lib->kernels[i].handle);
    free(lib->kernels);
    vg_module_free(lib->proto);
    vg_image_fini(&lib->image);
    free(lib);
}

/* Takes the place that a load's options give for managed variables. */
static CUresult library_place_managed(struct vg_library *lib, const struct vg_jit *jit)
{
    void **value = vg_jit_value(jit, (CUjit_option)VG_SOFT_JIT_MANAGED);
    struct vg_soft_managed *place = value != NULL ? *value : NULL;

    if (place == NULL)
        return CUDA_SUCCESS;
    place->needed = vg_module_managed_bytes(lib->proto);
    if (place->needed > place->room)
        return CUDA_ERROR_OUT_OF_MEMORY;
    lib->managed_at = place->at;
    return CUDA_SUCCESS;
}

static CUresult library_build(struct vg_library *lib, const struct vg_jit *jit)
{
    CUresult rc = vg_module_load(NULL, &lib->image, jit, NULL, &lib->proto);
    uint32_t i;

    if (rc == CUDA_SUCCESS)
        rc = library_place_managed(lib, jit);
    if (rc != CUDA_SUCCESS)
        return rc;
    lib->kernels = calloc(lib->proto->nfuncs + 1, sizeof(*lib->kernels));
    if (lib->kernels == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (i = 0; i < lib->proto->nfuncs; i++) {
        struct vg_kernel *k = &lib->kernels[lib->nkernels++];

        k->index = i;
        k->library = lib;
        k->name = lib->proto->funcs[i].info->name;
        k->max_dynamic_shared = -1;
        k->handle = vg_handle_new(VG_HANDLE_KERNEL, k);
        if (k->handle == NULL)
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    lib->handle = vg_handle_new(VG_HANDLE_LIBRARY, lib);
    return lib->handle != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* Takes image over. */
static CUresult library_from_image(struct vg_image *image, const struct vg_jit *jit,
                                   CUlibrary *ret)
{
    struct vg_library *lib = calloc(1, sizeof(*lib));
    CUresult rc;

    if (lib == NULL) {
        vg_image_fini(image);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    lib->image = *image;
    rc = library_build(lib, jit);
    if (rc == CUDA_SUCCESS)
        *ret = lib->handle;
    else
        library_free(lib);
    return rc;
}

static unsigned lowest_cc(void)
{
    struct vg_device *d = vg_device_get(0);

    return (unsigned)(d->cc_major * 10 + d->cc_minor);
}

/* A library is bound to no context; the thread need not have one. */
VG_ENTRY(cuLibraryLoadData,
         (CUlibrary *library, const void *code, CUjit_option *jit_options, void **jit_values,
          unsigned njit, CUlibraryOption *options, void **option_values, unsigned noptions))
{
    struct vg_jit jit = { njit, jit_options, jit_values };
    struct vg_image image;
    CUresult rc = vg_init_check();

    (void)option_values;        /* the text is copied, so a preserved binary is no different */
    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS)
        return rc;
    if (library == NULL || code == NULL || (njit != 0 && (!jit_options || !jit_values)) ||
        (noptions != 0 && options == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_image_read(&image, code, lowest_cc());
    return rc != CUDA_SUCCESS ? rc : library_from_image(&image, &jit, library);
}

VG_ENTRY(cuLibraryLoadFromFile,
         (CUlibrary *library, const char *path, CUjit_option *jit_options, void **jit_values,
          unsigned njit, CUlibraryOption *options, void **option_values, unsigned noptions))
{
    struct vg_jit jit = { njit, jit_options, jit_values };
    struct vg_image image;
    CUresult rc = vg_init_check();

    (void)option_values;
    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS)
        return rc;
    if (library == NULL || path == NULL || (njit != 0 && (!jit_options || !jit_values)) ||
        (noptions != 0 && options == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_image_read_file(&image, path, lowest_cc());
    return rc != CUDA_SUCCESS ? rc : library_from_image(&image, &jit, library);
}

static CUresult library_enter(CUlibrary handle, struct vg_library **ret)
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    *ret = vg_handle_get(handle, VG_HANDLE_LIBRARY);
    return *ret != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* Ends the library's module in one context, after its work. */
static void library_leave_ctx(const struct vg_library *lib, struct vg_ctx *ctx)
{
    struct vg_module **at, *m;

    if (!ctx->alive || module_of_ctx_locked(lib, ctx) == NULL)
        return;
    vg_ctx_synchronize(ctx);
    for (at = &ctx->modules; (m = *at) != NULL;) {
        if (m->library != lib) {
            at = &m->next;
            continue;
        }
        *at = m->next;
        vg_module_free(m);
    }
}

VG_ENTRY(cuLibraryUnload, (CUlibrary library))
{
    struct vg_library *lib;
    CUresult rc = library_enter(library, &lib);

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_module_lock();
    vg_ctx_for_each(library_leave_ctx, lib);
    library_free(lib);
    vg_module_unlock();
    return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------------- queries */

VG_ENTRY(cuLibraryGetKernel, (CUkernel *kernel, CUlibrary library, const char *name))
{
    struct vg_library *lib;
    CUresult rc = library_enter(library, &lib);
    uint32_t i;

    if (rc != CUDA_SUCCESS)
        return rc;
    if (kernel == NULL || name == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < lib->nkernels; i++)
        if (strcmp(lib->kernels[i].name, name) == 0) {
            *kernel = lib->kernels[i].handle;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}

VG_ENTRY(cuLibraryGetKernelCount, (unsigned *count, CUlibrary library))
{
    struct vg_library *lib;
    CUresult rc = library_enter(library, &lib);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *count = lib->nkernels;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuLibraryEnumerateKernels, (CUkernel *kernels, unsigned n, CUlibrary library))
{
    struct vg_library *lib;
    CUresult rc = library_enter(library, &lib);
    unsigned i;

    if (rc != CUDA_SUCCESS)
        return rc;
    if (kernels == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < n && i < lib->nkernels; i++)
        kernels[i] = lib->kernels[i].handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuLibraryGetModule, (CUmodule *module, CUlibrary library))
{
    struct vg_library *lib;
    struct vg_module *m;
    struct vg_ctx *ctx;
    CUresult rc = library_enter(library, &lib);

    if (rc == CUDA_SUCCESS)
        rc = vg_ctx_enter(&ctx);
    if (rc == CUDA_SUCCESS)
        rc = module != NULL ? vg_library_module(lib, ctx, &m) : CUDA_ERROR_INVALID_VALUE;
    if (rc == CUDA_SUCCESS)
        *module = m->handle;
    return rc;
}

VG_ENTRY(cuLibraryGetGlobal,
         (CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name))
{
    struct vg_library *lib;
    struct vg_module *m;
    struct vg_ctx *ctx;
    CUresult rc = library_enter(library, &lib);

    if (rc == CUDA_SUCCESS)
        rc = vg_ctx_enter(&ctx);
    if (rc == CUDA_SUCCESS)
        rc = name != NULL ? vg_library_module(lib, ctx, &m) : CUDA_ERROR_INVALID_VALUE;
    return rc != CUDA_SUCCESS ? rc : vg_module_global(m, name, dptr, bytes);
}

VG_ENTRY(cuLibraryGetManaged,
         (CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name))
{
    struct vg_library *lib;
    CUresult rc = library_enter(library, &lib);
    int index;

    if (rc != CUDA_SUCCESS)
        return rc;
    if (name == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    index = vg_module_find_global(lib->proto, name);
    if (index < 0 || !ptx_module_global(lib->proto->ptx, (uint32_t)index)->is_managed)
        return CUDA_ERROR_NOT_FOUND;
    return cuLibraryGetGlobal(dptr, bytes, library, name);
}

/* ------------------------------------------------------------------------- kernels */

static CUresult kernel_enter(CUkernel handle, struct vg_kernel **ret)
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    *ret = vg_handle_get(handle, VG_HANDLE_KERNEL);
    return *ret != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* The function a kernel is described by, without a context. */
static struct vg_func *kernel_proto(const struct vg_kernel *k)
{
    return &k->library->proto->funcs[k->index];
}

VG_ENTRY(cuKernelGetFunction, (CUfunction *func, CUkernel kernel))
{
    struct vg_kernel *k;
    struct vg_func *f;
    struct vg_ctx *ctx;
    CUresult rc = kernel_enter(kernel, &k);

    if (rc == CUDA_SUCCESS)
        rc = vg_ctx_enter(&ctx);
    if (rc == CUDA_SUCCESS)
        rc = func != NULL ? vg_func_resolve((CUfunction)k->handle, ctx, &f)
                          : CUDA_ERROR_INVALID_VALUE;
    if (rc == CUDA_SUCCESS)
        *func = f->handle;
    return rc;
}

VG_ENTRY(cuKernelGetLibrary, (CUlibrary *library, CUkernel kernel))
{
    struct vg_kernel *k;
    CUresult rc = kernel_enter(kernel, &k);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (library == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *library = k->library->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuKernelGetName, (const char **name, CUkernel kernel))
{
    struct vg_kernel *k;
    CUresult rc = kernel_enter(kernel, &k);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (name == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *name = k->name;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuKernelGetParamInfo, (CUkernel kernel, size_t index, size_t *offset, size_t *size))
{
    struct vg_kernel *k;
    CUresult rc = kernel_enter(kernel, &k);
    const struct ptx_func_info *info;

    if (rc != CUDA_SUCCESS)
        return rc;
    info = kernel_proto(k)->info;
    if (offset == NULL || index >= info->nparams)
        return CUDA_ERROR_INVALID_VALUE;
    *offset = info->params[index].offset;
    if (size != NULL)
        *size = info->params[index].size;
    return CUDA_SUCCESS;
}

/* The function to read from: that of the device's primary context where it exists. */
static struct vg_func *kernel_on_device(const struct vg_kernel *k, const struct vg_device *d)
{
    struct vg_module *m;

    vg_module_lock();
    m = d->primary->alive ? module_of_ctx_locked(k->library, d->primary) : NULL;
    vg_module_unlock();
    return m != NULL ? &m->funcs[k->index] : kernel_proto(k);
}

VG_ENTRY(cuKernelGetAttribute,
         (int *value, CUfunction_attribute attr, CUkernel kernel, CUdevice dev))
{
    struct vg_device *d;
    struct vg_kernel *k;
    CUresult rc = kernel_enter(kernel, &k);

    if (rc == CUDA_SUCCESS)
        rc = vg_device_enter(dev, &d);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (value == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (attr == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES && k->max_dynamic_shared >= 0) {
        *value = k->max_dynamic_shared;
        return CUDA_SUCCESS;
    }
    return vg_func_get_attribute(kernel_on_device(k, d), attr, value);
}

VG_ENTRY(cuKernelSetAttribute,
         (CUfunction_attribute attr, int value, CUkernel kernel, CUdevice dev))
{
    struct vg_device *d;
    struct vg_kernel *k;
    CUresult rc = kernel_enter(kernel, &k);

    if (rc == CUDA_SUCCESS)
        rc = vg_device_enter(dev, &d);
    if (rc == CUDA_SUCCESS)
        rc = vg_func_set_attribute(kernel_proto(k), attr, value);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (attr == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        k->max_dynamic_shared = value;
    return vg_func_set_attribute(kernel_on_device(k, d), attr, value);
}

VG_ENTRY(cuKernelSetCacheConfig, (CUkernel kernel, CUfunc_cache config, CUdevice dev))
{
    struct vg_device *d;
    struct vg_kernel *k;
    CUresult rc = kernel_enter(kernel, &k);

    if (rc == CUDA_SUCCESS)
        rc = vg_device_enter(dev, &d);
    if (rc != CUDA_SUCCESS)
        return rc;
    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    kernel_on_device(k, d)->cache_config = config;
    return CUDA_SUCCESS;
}
