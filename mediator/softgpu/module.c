/* SPDX-License-Identifier: MIT */
/*
 * Loading: image to decoded program, variables to device memory, entries to handles. And the
 * cuModule* calls.
 */
#include "module.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "capture.h"
#include "ctx.h"
#include "device.h"
#include "handle.h"

#define VG_LOG_SIZE 4096

static pthread_mutex_t module_mutex = PTHREAD_MUTEX_INITIALIZER;

void vg_module_lock(void)
{
    pthread_mutex_lock(&module_mutex);
}

void vg_module_unlock(void)
{
    pthread_mutex_unlock(&module_mutex);
}

/* ------------------------------------------------------------------ JIT options */

void **vg_jit_value(const struct vg_jit *jit, CUjit_option option)
{
    unsigned i;

    for (i = 0; jit != NULL && i < jit->n; i++)
        if (jit->options[i] == option)
            return &jit->values[i];
    return NULL;
}

/* A size option is a number in, and the bytes written out. */
static void jit_log(const struct vg_jit *jit, CUjit_option buffer, CUjit_option size,
                    const char *text)
{
    void **to = vg_jit_value(jit, buffer), **room = vg_jit_value(jit, size);
    size_t n = room != NULL ? (unsigned)(uintptr_t)*room : 0, len = strlen(text);

    if (to == NULL || *to == NULL || n == 0)
        return;
    len = len < n ? len : n - 1;
    memcpy(*to, text, len);
    ((char *)*to)[len] = '\0';
    *room = (void *)(uintptr_t)(len != 0 ? len + 1 : 0);
}

void vg_jit_report(const struct vg_jit *jit, const char *error_log)
{
    jit_log(jit, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, error_log);
    jit_log(jit, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, "");
    if (vg_jit_value(jit, CU_JIT_WALL_TIME) != NULL)
        *vg_jit_value(jit, CU_JIT_WALL_TIME) = NULL;       /* float 0: nothing was compiled */
}

/* ----------------------------------------------------------------------- loading */

static CUresult module_decode(struct vg_module *m, const struct vg_image *image,
                              const struct vg_jit *jit)
{
    struct ptx_source src[VG_IMAGE_UNITS_MAX];
    char log[VG_LOG_SIZE] = "";
    unsigned i;
    int rc;

    memset(src, 0, sizeof(src));
    for (i = 0; i < image->n; i++) {
        src[i].text = image->unit[i].text;
        src[i].len = image->unit[i].len;
    }
    rc = ptx_module_new_linked(&m->ptx, src, image->n, log, sizeof(log));
    vg_jit_report(jit, log);
    return rc == 0 ? CUDA_SUCCESS
           : rc == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_PTX;
}

static CUresult module_add_funcs(struct vg_module *m, uint32_t nfuncs)
{
    const struct ptx_func_info *info;
    struct vg_func *f;
    uint32_t i;

    m->funcs = calloc(nfuncs != 0 ? nfuncs : 1, sizeof(*m->funcs));
    if (m->funcs == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (i = 0; i < nfuncs; i++) {
        info = ptx_module_func(m->ptx, i);
        if (!info->is_entry)
            continue;
        f = &m->funcs[m->nfuncs++];
        f->module = m;
        f->index = i;
        f->info = info;
        f->carveout = CU_SHAREDMEM_CARVEOUT_DEFAULT;
        f->max_dynamic_shared = info->static_shared < VG_BLOCK_SHARED
                                    ? VG_BLOCK_SHARED - info->static_shared : 0;
        if (m->ctx != NULL && (f->handle = vg_handle_new(VG_HANDLE_FUNC, f)) == NULL)
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return CUDA_SUCCESS;
}

/* Where a managed variable lies among those of its module, and behind it. */
static uint64_t managed_place(const struct ptx_global_info *info, uint64_t *behind)
{
    uint64_t at = vg_round_up(*behind, info->align > 16 ? info->align : 16);

    *behind = at + info->size;
    return at;
}

uint64_t vg_module_managed_bytes(const struct vg_module *m)
{
    const struct ptx_global_info *info;
    uint64_t bytes = 0;
    uint32_t i;

    for (i = 0; (info = ptx_module_global(m->ptx, i)) != NULL; i++)
        if (info->is_managed)
            managed_place(info, &bytes);
    return bytes;
}

/* Its memory is the library's user's, and one for all contexts. */
static bool is_placed(const struct vg_module *m, uint32_t i)
{
    return m->library != NULL && m->library->managed_at != 0 &&
           ptx_module_global(m->ptx, i)->is_managed;
}

static int module_place_global(struct vg_module *m, uint32_t i, uint64_t *managed)
{
    struct vg_block_owner owner = { .kind = VG_BLOCK_GLOBAL, .ctx = m->ctx };
    const struct ptx_global_info *info = ptx_module_global(m->ptx, i);

    if (is_placed(m, i)) {
        m->globals[i] = m->library->managed_at + managed_place(info, managed);
        return 0;
    }
    return vg_arena_alloc((unsigned)m->ctx->dev->ordinal, info->size != 0 ? info->size : 1, &owner,
                          &m->globals[i]);
}

static CUresult module_bind_globals(struct vg_module *m, uint32_t nglobals)
{
    uint64_t managed = 0;
    uint32_t i;

    m->globals = calloc(nglobals != 0 ? nglobals : 1, sizeof(*m->globals));
    if (m->globals == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (i = 0; i < nglobals; i++) {
        if (module_place_global(m, i, &managed) != 0)
            return CUDA_ERROR_OUT_OF_MEMORY;
        m->nglobals++;
        if (ptx_module_bind_global(m->ptx, i, m->globals[i]) != 0)
            return CUDA_ERROR_INVALID_PTX;
    }
    return ptx_module_link(m->ptx) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_PTX;
}

static void module_fill_globals(const struct vg_module *m)
{
    uint32_t i;

    for (i = 0; i < m->nglobals; i++) {
        const struct ptx_global_info *info = ptx_module_global(m->ptx, i);
        const void *image = ptx_module_global_image(m->ptx, i);
        void *at = (void *)(uintptr_t)m->globals[i];

        if (is_placed(m, i) && m->library->managed_filled)
            continue;
        if (image != NULL)
            memcpy(at, image, info->size);
        else
            memset(at, 0, info->size);
        if (info->is_const)
            vg_arena_protect(m->globals[i]);
    }
    if (m->library != NULL)
        m->library->managed_filled = true;
}

static CUresult module_build(struct vg_module *m, const struct vg_image *image,
                             const struct vg_jit *jit)
{
    struct ptx_module_info info;
    CUresult rc = module_decode(m, image, jit);

    if (rc != CUDA_SUCCESS)
        return rc;
    ptx_module_get_info(m->ptx, &info);
    rc = module_add_funcs(m, info.nfuncs);
    if (rc == CUDA_SUCCESS && m->ctx != NULL)
        rc = module_bind_globals(m, info.nglobals);
    if (rc == CUDA_SUCCESS && m->ctx != NULL) {
        module_fill_globals(m);
        m->handle = vg_handle_new(VG_HANDLE_MODULE, m);
        rc = m->handle != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    }
    return rc;
}

/* The kernels of m's library forget its functions. */
static void module_forget(const struct vg_module *m)
{
    struct vg_library *lib = m->library;
    uint32_t i;

    for (i = 0; lib != NULL && i < lib->nkernels; i++)
        if (lib->kernels[i].last != NULL && lib->kernels[i].last->module == m)
            __atomic_store_n(&lib->kernels[i].last, NULL, __ATOMIC_RELEASE);
}

void vg_module_free(struct vg_module *m)
{
    uint32_t i;

    if (m == NULL)
        return;
    module_forget(m);
    vg_handle_end(m->handle);
    for (i = 0; i < m->nfuncs; i++)
        vg_handle_end(m->funcs[i].handle);
    for (i = 0; i < m->nglobals; i++)
        if (!is_placed(m, i))
            vg_arena_free(m->globals[i]);
    ptx_module_free(m->ptx);
    free(m->funcs);
    free(m->globals);
    free(m);
}

CUresult vg_module_load(struct vg_ctx *ctx, const struct vg_image *image, const struct vg_jit *jit,
                        struct vg_library *lib, struct vg_module **ret)
{
    struct vg_module *m = calloc(1, sizeof(*m));
    CUresult rc;

    if (m == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    m->ctx = ctx;
    m->library = lib;
    rc = module_build(m, image, jit);
    if (rc != CUDA_SUCCESS) {
        vg_module_free(m);
        return rc;
    }
    if (ctx != NULL) {
        m->next = ctx->modules;
        ctx->modules = m;
    }
    *ret = m;
    return CUDA_SUCCESS;
}

static void module_unlink(struct vg_module *m)
{
    struct vg_module **at = &m->ctx->modules;

    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
}

void vg_module_end_ctx(struct vg_ctx *ctx)
{
    struct vg_module *m;

    vg_module_lock();
    while ((m = ctx->modules) != NULL) {
        ctx->modules = m->next;
        vg_module_free(m);
    }
    vg_module_unlock();
}

/* ---------------------------------------------------------------------- looking up */

struct vg_func *vg_module_func(const struct vg_module *m, const char *name)
{
    int index = ptx_module_find_func(m->ptx, name);
    uint32_t i;

    for (i = 0; index >= 0 && i < m->nfuncs; i++)
        if (m->funcs[i].index == (uint32_t)index)
            return &m->funcs[i];
    return NULL;
}

/* Without relocatable device code compilers emit variables without .visible, and programs still
 * look them up: every variable has a name here, as it has in machine code. */
int vg_module_find_global(const struct vg_module *m, const char *name)
{
    const struct ptx_global_info *g;
    int i;

    for (i = 0; (g = ptx_module_global(m->ptx, (uint32_t)i)) != NULL; i++)
        if (strcmp(g->name, name) == 0)
            return i;
    return -1;
}

CUresult vg_module_global(const struct vg_module *m, const char *name, CUdeviceptr *ret_addr,
                          size_t *ret_size)
{
    int index = vg_module_find_global(m, name);

    if (index < 0)
        return CUDA_ERROR_NOT_FOUND;
    if (ret_addr != NULL)
        *ret_addr = m->globals[index];
    if (ret_size != NULL)
        *ret_size = ptx_module_global(m->ptx, (uint32_t)index)->size;
    return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------- entry points */

static unsigned ctx_cc(const struct vg_ctx *ctx)
{
    return (unsigned)(ctx->dev->cc_major * 10 + ctx->dev->cc_minor);
}

/* Takes image over. */
static CUresult module_from_image(struct vg_ctx *ctx, struct vg_image *image,
                                  const struct vg_jit *jit, CUmodule *ret)
{
    struct vg_module *m;
    CUresult rc;

    vg_module_lock();
    rc = vg_module_load(ctx, image, jit, NULL, &m);
    vg_module_unlock();
    vg_image_fini(image);
    if (rc == CUDA_SUCCESS)
        *ret = m->handle;
    return rc;
}

VG_ENTRY(cuModuleLoadDataEx, (CUmodule *module, const void *data, unsigned n, CUjit_option *options,
                            void **values))
{
    struct vg_jit jit = { n, options, values };
    struct vg_image image;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS)
        return rc;
    if (module == NULL || data == NULL || (n != 0 && (options == NULL || values == NULL)))
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_image_read(&image, data, ctx_cc(ctx));
    if (rc != CUDA_SUCCESS) {
        vg_jit_report(&jit, rc == CUDA_ERROR_NO_BINARY_FOR_GPU
                                ? "image has no PTX that this device can run\n"
                                : "image is neither PTX nor a fat binary\n");
        return rc;
    }
    return module_from_image(ctx, &image, &jit, module);
}

VG_ENTRY(cuModuleLoadData, (CUmodule *module, const void *data))
{
    return cuModuleLoadDataEx(module, data, 0, NULL, NULL);
}

VG_ENTRY(cuModuleLoadFatBinary, (CUmodule *module, const void *data))
{
    return cuModuleLoadDataEx(module, data, 0, NULL, NULL);
}

VG_ENTRY(cuModuleLoad, (CUmodule *module, const char *path))
{
    struct vg_jit none = { 0, NULL, NULL };
    struct vg_image image;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS)
        return rc;
    if (module == NULL || path == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_image_read_file(&image, path, ctx_cc(ctx));
    return rc != CUDA_SUCCESS ? rc : module_from_image(ctx, &image, &none, module);
}

VG_ENTRY(cuModuleUnload, (CUmodule module))
{
    struct vg_module *m;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    m = vg_handle_get(module, VG_HANDLE_MODULE);
    if (m == NULL || m->library != NULL)
        return CUDA_ERROR_INVALID_HANDLE;
    rc = vg_ctx_synchronize(m->ctx);
    vg_module_lock();
    module_unlink(m);
    vg_module_free(m);
    vg_module_unlock();
    return rc;
}

VG_ENTRY(cuModuleGetLoadingMode, (CUmoduleLoadingMode *mode))
{
    if (mode == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *mode = CU_MODULE_LAZY_LOADING;
    return CUDA_SUCCESS;
}

static CUresult module_enter(CUmodule handle, struct vg_module **ret)
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    *ret = vg_handle_get(handle, VG_HANDLE_MODULE);
    return *ret != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

VG_ENTRY(cuModuleGetFunction, (CUfunction *func, CUmodule module, const char *name))
{
    struct vg_module *m;
    struct vg_func *f;
    CUresult rc = module_enter(module, &m);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (func == NULL || name == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    f = vg_module_func(m, name);
    if (f == NULL)
        return CUDA_ERROR_NOT_FOUND;
    *func = f->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuModuleGetFunctionCount, (unsigned *count, CUmodule module))
{
    struct vg_module *m;
    CUresult rc = module_enter(module, &m);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *count = m->nfuncs;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuModuleEnumerateFunctions, (CUfunction *funcs, unsigned n, CUmodule module))
{
    struct vg_module *m;
    CUresult rc = module_enter(module, &m);
    unsigned i;

    if (rc != CUDA_SUCCESS)
        return rc;
    if (funcs == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < n && i < m->nfuncs; i++)
        funcs[i] = m->funcs[i].handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuModuleGetGlobal_v2,
         (CUdeviceptr *dptr, size_t *bytes, CUmodule module, const char *name))
{
    struct vg_module *m;
    CUresult rc = module_enter(module, &m);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (name == NULL || (dptr == NULL && bytes == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    return vg_module_global(m, name, dptr, bytes);
}

/* PTX with texture or surface references does not load here, so no module has any. */
static CUresult no_reference(CUmodule module, const char *name, const void *out)
{
    struct vg_module *m;
    CUresult rc = module_enter(module, &m);

    if (rc != CUDA_SUCCESS)
        return rc;
    return name != NULL && out != NULL ? CUDA_ERROR_NOT_FOUND : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuModuleGetTexRef, (CUtexref *ref, CUmodule module, const char *name))
{
    return no_reference(module, name, ref);
}

VG_ENTRY(cuModuleGetSurfRef, (CUsurfref *ref, CUmodule module, const char *name))
{
    return no_reference(module, name, ref);
}
