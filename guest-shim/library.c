/* SPDX-License-Identifier: MIT */
/* Libraries and the cuLibrary* entry points; see library.h. Any thread. */
#include "guest-shim/library.h"

#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/managed.h"
#include "guest-shim/module.h"
#include "guest-shim/upload.h"
#include "vg_api.h"

struct vg_library {
    struct vg_lock loading;
    uint64_t host;                  /* 0: not loaded yet; stored with release */
    const void *code;               /* the application's, which it preserves, or ... */
    struct vg_image image;          /* ... what was chosen, from `copy` */
    uint8_t *copy;
    CUresult error;                 /* of every use: nothing could be chosen, or it cannot run */
    char why[VG_WHY_MAX];           /* the reason, until it has been told */
    struct vg_jit jit;              /* numbers only, once published: the rest is the caller's */
    bool managed;                   /* loaded with its managed variables where we see them */
    struct vg_placed placed;        /* their memory */
    struct vg_func *kernels;
};

static struct vg_handle_map libraries;          /* by CUlibrary, that is by address */

static struct vg_library *library_find(CUlibrary l)
{
    return vg_handle_map_find(&libraries, (uintptr_t)l);
}

/* ---- loading ----------------------------------------------------------------------- */

static CUresult load_now(struct vg_library *l, const struct vg_image *image)
{
    uint64_t host;
    CUresult r = l->managed ? vg_upload_placed(image, &l->jit, &l->placed, &host)
                            : vg_upload(image, VG_IMAGE_LIBRARY, &l->jit, &host);

    if (!r && l->placed.at && !vg_managed_variables(l->placed.at, l->placed.needed))
        r = CUDA_ERROR_OUT_OF_MEMORY;
    if (!r)
        vg_store_release(&l->host, host);
    return r;
}

/* What is wrong with an image is told, and tried, once: launches come back to it every time. */
static CUresult load_late(struct vg_library *l)
{
    struct vg_image image;

    if (!l->error && l->code)
        l->error = vg_module_choose(l->code, SIZE_MAX, &image, l->why);
    if (l->error) {
        vg_module_blame(l->why);
        l->why[0] = '\0';
        return l->error;
    }
    CUresult r = load_now(l, l->code ? &image : &l->image);
    if (vg_upload_unfit(r))
        l->error = r;
    return r;
}

/* PTX beside compressed machine code, which the host cannot change, is code that it can. */
static CUresult load_plain(struct vg_library *l)
{
    struct vg_image image;

    if (!l->code || vg_module_choose_plain(l->code, &image))
        return CUDA_ERROR_NOT_SUPPORTED;
    return load_now(l, &image);
}

CUlibrary vg_library_handle(const struct vg_library *library)
{
    return (CUlibrary)(uintptr_t)library;
}

/*
 * Who asks for a managed variable first, as cudart does, gets them all into memory that both sides
 * see. Where the library was loaded before, they are the host's alone.
 */
static CUresult load_managed(struct vg_library *l, uint64_t *ret_host)
{
    vg_lock(&l->loading);
    if (!l->host) {
        l->managed = true;
        CUresult r = load_late(l);
        if (r == CUDA_ERROR_NOT_SUPPORTED && load_plain(l))
            l->managed = false;
    }
    vg_unlock(&l->loading);
    return vg_library_host(l, ret_host);
}

CUresult vg_library_host(struct vg_library *library, uint64_t *ret_host)
{
    uint64_t host = vg_load_acquire(&library->host);

    if (!host) {
        vg_lock(&library->loading);
        CUresult r = library->host ? CUDA_SUCCESS : load_late(library);
        host = library->host;
        vg_unlock(&library->loading);
        if (r)
            return r;
    }
    *ret_host = host;
    return CUDA_SUCCESS;
}

/*
 * The table of host functions and data (option 0) means nothing to a host that has neither. Values
 * may be missing: the other option takes none, and cuBLASLt gives none.
 */
static CUresult check_options(const CUlibraryOption *options, unsigned count, bool *ret_preserved)
{
    *ret_preserved = false;
    if (count && !options)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count; i++) {
        if ((unsigned)options[i] >= CU_LIBRARY_NUM_OPTIONS)
            return CUDA_ERROR_INVALID_VALUE;
        if (options[i] == CU_LIBRARY_BINARY_IS_PRESERVED)
            *ret_preserved = true;
    }
    return CUDA_SUCCESS;
}

/* The chosen bytes outlive the application's: one piece, which begins with the header. */
static CUresult keep_copy(struct vg_library *l, const struct vg_image *image)
{
    l->copy = malloc(image->size);
    if (!l->copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    vg_image_read(image, 0, l->copy, image->size);
    l->image.size = image->size;
    l->image.pieces = 1;
    l->image.piece[0].bytes = l->copy;
    l->image.piece[0].size = image->size;
    return CUDA_SUCCESS;
}

static void library_free(struct vg_library *l)
{
    free(l->copy);
    free(l);
}

/* As NVIDIA's: what is wrong with an image is said when something in it is first used. */
static struct vg_library *library_new(const struct vg_jit *jit)
{
    struct vg_library *l = calloc(1, sizeof(*l));

    if (l)
        l->jit = *jit;
    return l;
}

/* Loads now if somebody wants the compiler's messages, whose buffers will not last. */
static CUresult publish(struct vg_library *l, CUlibrary *ret_library)
{
    CUresult r = vg_jit_wants_log(&l->jit) ? load_late(l) : CUDA_SUCCESS;

    memset(&l->jit.error, 0, sizeof(l->jit.error));
    memset(&l->jit.info, 0, sizeof(l->jit.info));
    l->jit.ret_wall_ms = NULL;
    if (!r && !vg_handle_map_put(&libraries, (uintptr_t)l, l))
        r = CUDA_ERROR_OUT_OF_MEMORY;
    if (r) {
        library_free(l);
        return r;
    }
    *ret_library = vg_library_handle(l);
    return CUDA_SUCCESS;
}

static CUresult enter_load(struct vg_jit *jit, unsigned jit_count, CUjit_option *jit_options,
                           void **jit_values, unsigned count, CUlibraryOption *options,
                           bool *ret_preserved)
{
    CUresult r = vg_enter();

    if (!r)
        r = vg_jit_init(jit, jit_count, jit_options, jit_values);
    return r ? r : check_options(options, count, ret_preserved);
}

CUresult cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jitOptions,
                           void **jitOptionsValues, unsigned numJitOptions,
                           CUlibraryOption *libraryOptions, void **libraryOptionValues,
                           unsigned numLibraryOptions)
{
    struct vg_image image;
    struct vg_jit jit;
    bool preserved;
    CUresult r = enter_load(&jit, numJitOptions, jitOptions, jitOptionsValues, numLibraryOptions,
                            libraryOptions, &preserved);

    (void)libraryOptionValues;
    if (r)
        return r;
    if (!library || !code)
        return CUDA_ERROR_INVALID_VALUE;
    struct vg_library *l = library_new(&jit);
    if (!l)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (preserved)
        l->code = code;
    else
        l->error = vg_module_choose(code, SIZE_MAX, &image, l->why);
    r = preserved || l->error ? CUDA_SUCCESS : keep_copy(l, &image);
    if (r) {
        library_free(l);
        return r;
    }
    return publish(l, library);
}

CUresult cuLibraryLoadFromFile(CUlibrary *library, const char *fileName, CUjit_option *jitOptions,
                               void **jitOptionsValues, unsigned numJitOptions,
                               CUlibraryOption *libraryOptions, void **libraryOptionValues,
                               unsigned numLibraryOptions)
{
    struct vg_jit jit;
    bool preserved;
    char *bytes;
    size_t size;
    CUresult r = enter_load(&jit, numJitOptions, jitOptions, jitOptionsValues, numLibraryOptions,
                            libraryOptions, &preserved);

    (void)libraryOptionValues;
    if (r)
        return r;
    if (!library || !fileName)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_module_read_file(fileName, &bytes, &size);
    if (r)
        return r;
    struct vg_library *l = library_new(&jit);
    if (!l) {
        free(bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    l->copy = (uint8_t *)bytes;
    l->error = vg_module_choose(bytes, size, &l->image, l->why);
    return publish(l, library);
}

/* As with modules: forget first, since the host will give the handles to others. */
CUresult cuLibraryUnload(CUlibrary library)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    struct vg_library *l = library_find(library);
    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    vg_handle_map_take(&libraries, (uintptr_t)l);
    vg_modules_drop(l);
    vg_lock(&vg_modules_lock);
    vg_func_forget_all(&l->kernels);
    vg_unlock(&vg_modules_lock);
    if (l->host)
        r = vg_call_reply(VG_CALL_cuLibraryUnload, VG_WORDS(l->host), NULL);
    if (l->placed.at)
        vg_managed_end_variables(l->placed.at, l->placed.room);
    library_free(l);
    return r;
}

/* ---- what is in it ------------------------------------------------------------------ */

static CUresult enter_library(CUlibrary library, struct vg_library **ret_library, uint64_t *ret_host)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    *ret_library = library_find(library);
    return *ret_library ? vg_library_host(*ret_library, ret_host) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuLibraryGetKernel(CUkernel *pKernel, CUlibrary library, const char *name)
{
    struct vg_library *l;
    struct vg_func *f;
    uint64_t host;
    CUresult r = enter_library(library, &l, &host);

    if (r)
        return r;
    if (!pKernel || !name || !*name)
        return CUDA_ERROR_INVALID_VALUE;
    const struct vg_func_owner owner = {.library = l, .host = host, .list = &l->kernels};
    r = vg_func_get(&owner, name, &f);
    if (!r)
        *pKernel = (CUkernel)(uintptr_t)f->handle;
    return r;
}

CUresult cuLibraryGetKernelCount(unsigned *count, CUlibrary lib)
{
    struct vg_library *l;
    struct vg_reply reply;
    uint64_t host;
    CUresult r = enter_library(lib, &l, &host);

    if (r)
        return r;
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_call_reply(VG_CALL_cuLibraryGetKernelCount, VG_WORDS(1, host), &reply);
    if (!r)
        *count = (unsigned)reply.val[0];
    return r;
}

CUresult cuLibraryEnumerateKernels(CUkernel *kernels, unsigned numKernels, CUlibrary lib)
{
    struct vg_library *l;
    uint64_t host;
    CUresult r = enter_library(lib, &l, &host);

    if (r)
        return r;
    if (numKernels == 0)
        return CUDA_SUCCESS;
    if (!kernels || numKernels > VG_FUNCTIONS_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    memset(kernels, 0, numKernels * sizeof(*kernels));
    const struct vg_func_owner owner = {.library = l, .host = host, .list = &l->kernels};
    return vg_func_enumerate(&owner, VG_CALL_cuLibraryEnumerateKernels, numKernels,
                             (uint64_t *)kernels);
}

CUresult cuLibraryGetModule(CUmodule *pMod, CUlibrary library)
{
    uint64_t handle;
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    struct vg_library *l = library_find(library);
    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!pMod)
        return CUDA_ERROR_INVALID_VALUE;
    struct vg_module *m = vg_module_of_library(l);
    r = m ? vg_module_handle(m, &handle) : CUDA_ERROR_OUT_OF_MEMORY;
    if (!r)
        *pMod = (CUmodule)(uintptr_t)handle;
    return r;
}

CUresult cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name)
{
    struct vg_library *l;
    uint64_t host;
    CUresult r = vg_enter_ctx();

    if (!r)
        r = enter_library(library, &l, &host);
    if (r)
        return r;
    if (!name || (!dptr && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    struct vg_module *m = vg_module_of_library(l);
    if (!m)
        return CUDA_ERROR_OUT_OF_MEMORY;
    return vg_module_global(m, VG_CALL_cuLibraryGetGlobal, host, name, dptr, bytes);
}

CUresult cuLibraryGetManaged(CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name)
{
    struct vg_library *l;
    struct vg_reply reply;
    uint64_t host;
    CUresult r = vg_enter();

    if (r)
        return r;
    l = library_find(library);
    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!name || (!dptr && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    r = load_managed(l, &host);
    if (!r)
        r = vg_module_ask_global(VG_CALL_cuLibraryGetManaged, host, name, &reply);
    if (r)
        return r;
    if (!l->managed)
        return vg_unsupported("cuLibraryGetManaged");
    if (dptr)
        *dptr = reply.val[0];
    if (bytes)
        *bytes = reply.val[1];
    return CUDA_SUCCESS;
}
