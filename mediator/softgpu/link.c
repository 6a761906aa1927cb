/* SPDX-License-Identifier: MIT */
/*
 * The linker calls. Units are collected as PTX; the result is a container of all of them, which the
 * loader links. Linking once at the end finds errors when the driver would.
 */
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "device.h"
#include "handle.h"
#include "module.h"

struct vg_link {
    CUlinkState handle;
    struct vg_image image;
    unsigned cc;
    unsigned njit;
    CUjit_option *options;      /* ours */
    void **values;              /* the caller's: sizes are written back there */
    void *out;
};

static void link_free(struct vg_link *l)
{
    vg_handle_end(l->handle);
    vg_image_fini(&l->image);
    free(l->options);
    free(l->out);
    free(l);
}

VG_ENTRY(cuLinkCreate_v2, (unsigned n, CUjit_option *options, void **values, CUlinkState *state))
{
    struct vg_ctx *ctx;
    struct vg_link *l;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (state == NULL || (n != 0 && (options == NULL || values == NULL)))
        return CUDA_ERROR_INVALID_VALUE;
    l = calloc(1, sizeof(*l));
    if (l == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    l->handle = vg_handle_new(VG_HANDLE_LINK, l);
    l->options = malloc((n + 1) * sizeof(*options));
    if (l->handle == NULL || l->options == NULL) {
        link_free(l);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (n != 0)
        memcpy(l->options, options, n * sizeof(*options));
    l->njit = n;
    l->values = values;
    l->cc = (unsigned)(ctx->dev->cc_major * 10 + ctx->dev->cc_minor);
    *state = l->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuLinkCreate, (unsigned n, CUjit_option *options, void **values, CUlinkState *state))
{
    return cuLinkCreate_v2(n, options, values, state);
}

static CUresult link_enter(CUlinkState state, struct vg_link **ret)
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    *ret = vg_handle_get(state, VG_HANDLE_LINK);
    return *ret != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* Moves the units of `more` to the end of l's. */
static CUresult link_take(struct vg_link *l, struct vg_image *more)
{
    CUresult rc = CUDA_SUCCESS;

    if (l->image.n + more->n > VG_IMAGE_UNITS_MAX) {
        rc = CUDA_ERROR_INVALID_VALUE;
    } else {
        memcpy(&l->image.unit[l->image.n], more->unit, more->n * sizeof(more->unit[0]));
        l->image.n += more->n;
        more->n = 0;
    }
    vg_image_fini(more);
    return rc;
}

static bool is_linkable(CUjitInputType type)
{
    return type == CU_JIT_INPUT_PTX || type == CU_JIT_INPUT_FATBINARY;
}

VG_ENTRY(cuLinkAddData_v2,
         (CUlinkState state, CUjitInputType type, void *data, size_t size, const char *name,
          unsigned n, CUjit_option *options, void **values))
{
    struct vg_image image;
    struct vg_link *l;
    CUresult rc = link_enter(state, &l);

    (void)name;
    (void)options;
    (void)values;
    if (rc != CUDA_SUCCESS)
        return rc;
    if (data == NULL || size == 0 || (unsigned)type >= CU_JIT_NUM_INPUT_TYPES || n > 1024)
        return CUDA_ERROR_INVALID_VALUE;
    if (!is_linkable(type))
        return CUDA_ERROR_NO_BINARY_FOR_GPU;    /* machine code of some GPU */
    rc = vg_image_read_sized(&image, data, size, l->cc);
    return rc != CUDA_SUCCESS ? rc : link_take(l, &image);
}

VG_ENTRY(cuLinkAddData,
         (CUlinkState state, CUjitInputType type, void *data, size_t size, const char *name,
          unsigned n, CUjit_option *options, void **values))
{
    return cuLinkAddData_v2(state, type, data, size, name, n, options, values);
}

VG_ENTRY(cuLinkAddFile_v2,
         (CUlinkState state, CUjitInputType type, const char *path, unsigned n,
          CUjit_option *options, void **values))
{
    struct vg_image image;
    struct vg_link *l;
    CUresult rc = link_enter(state, &l);

    (void)options;
    (void)values;
    if (rc != CUDA_SUCCESS)
        return rc;
    if (path == NULL || (unsigned)type >= CU_JIT_NUM_INPUT_TYPES || n > 1024)
        return CUDA_ERROR_INVALID_VALUE;
    if (!is_linkable(type))
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    rc = vg_image_read_file(&image, path, l->cc);
    return rc != CUDA_SUCCESS ? rc : link_take(l, &image);
}

VG_ENTRY(cuLinkAddFile,
         (CUlinkState state, CUjitInputType type, const char *path, unsigned n,
          CUjit_option *options, void **values))
{
    return cuLinkAddFile_v2(state, type, path, n, options, values);
}

/* The image belongs to the link state, as in the driver. */
VG_ENTRY(cuLinkComplete, (CUlinkState state, void **cubin, size_t *size))
{
    struct vg_module *proto;
    struct vg_link *l;
    struct vg_jit jit;
    size_t bytes;
    CUresult rc = link_enter(state, &l);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (cubin == NULL || l->image.n == 0 || l->out != NULL)
        return CUDA_ERROR_INVALID_VALUE;
    jit = (struct vg_jit){ l->njit, l->options, l->values };
    rc = vg_module_load(NULL, &l->image, &jit, NULL, &proto);
    if (rc != CUDA_SUCCESS)
        return rc;
    vg_module_free(proto);
    rc = vg_image_write(&l->image, l->cc, &l->out, &bytes);
    if (rc != CUDA_SUCCESS)
        return rc;
    *cubin = l->out;
    if (size != NULL)
        *size = bytes;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuLinkDestroy, (CUlinkState state))
{
    struct vg_link *l;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    l = vg_handle_get(state, VG_HANDLE_LINK);
    if (l == NULL)
        return CUDA_ERROR_INVALID_HANDLE;
    link_free(l);
    return CUDA_SUCCESS;
}
