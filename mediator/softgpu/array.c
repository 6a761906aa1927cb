/* SPDX-License-Identifier: MIT */
/*
 * Arrays and mipmapped arrays: making, asking, ending. Copies see them as device memory (copy.c);
 * kernels through texture and surface objects (texture.c).
 */
#include "array.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "capture.h"
#include "ctx.h"
#include "device.h"
#include "handle.h"

#define VG_ARRAY_FLAGS (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP | \
                        CUDA_ARRAY3D_TEXTURE_GATHER)
#define VG_LAYERS_MAX 2048u

/* The lists of the contexts. */
static pthread_mutex_t array_lock = PTHREAD_MUTEX_INITIALIZER;

struct vg_array *vg_array_get(CUarray handle)
{
    return vg_handle_get(handle, VG_HANDLE_ARRAY);
}

struct vg_mipmap *vg_mipmap_get(CUmipmappedArray handle)
{
    return vg_handle_get(handle, VG_HANDLE_MIPMAP);
}

/* --------------------------------------------------------------------- formats */

static const struct {
    CUarray_format format;
    enum ptx_texel texel;
    unsigned channels;          /* that the format itself says; 0: the descriptor does */
} array_formats[] = {
    { CU_AD_FORMAT_UNSIGNED_INT8, PTX_TEXEL_U8, 0 },
    { CU_AD_FORMAT_UNSIGNED_INT16, PTX_TEXEL_U16, 0 },
    { CU_AD_FORMAT_UNSIGNED_INT32, PTX_TEXEL_U32, 0 },
    { CU_AD_FORMAT_SIGNED_INT8, PTX_TEXEL_S8, 0 },
    { CU_AD_FORMAT_SIGNED_INT16, PTX_TEXEL_S16, 0 },
    { CU_AD_FORMAT_SIGNED_INT32, PTX_TEXEL_S32, 0 },
    { CU_AD_FORMAT_HALF, PTX_TEXEL_F16, 0 },
    { CU_AD_FORMAT_FLOAT, PTX_TEXEL_F32, 0 },
    { CU_AD_FORMAT_UNORM_INT8X1, PTX_TEXEL_U8, 1 },
    { CU_AD_FORMAT_UNORM_INT8X2, PTX_TEXEL_U8, 2 },
    { CU_AD_FORMAT_UNORM_INT8X4, PTX_TEXEL_U8, 4 },
    { CU_AD_FORMAT_UNORM_INT16X1, PTX_TEXEL_U16, 1 },
    { CU_AD_FORMAT_UNORM_INT16X2, PTX_TEXEL_U16, 2 },
    { CU_AD_FORMAT_UNORM_INT16X4, PTX_TEXEL_U16, 4 },
    { CU_AD_FORMAT_SNORM_INT8X1, PTX_TEXEL_S8, 1 },
    { CU_AD_FORMAT_SNORM_INT8X2, PTX_TEXEL_S8, 2 },
    { CU_AD_FORMAT_SNORM_INT8X4, PTX_TEXEL_S8, 4 },
    { CU_AD_FORMAT_SNORM_INT16X1, PTX_TEXEL_S16, 1 },
    { CU_AD_FORMAT_SNORM_INT16X2, PTX_TEXEL_S16, 2 },
    { CU_AD_FORMAT_SNORM_INT16X4, PTX_TEXEL_S16, 4 },
};

bool vg_array_texel(CUarray_format format, unsigned channels, enum ptx_texel *ret_texel,
                    bool *ret_normalized)
{
    size_t i;

    for (i = 0; i < VG_ARRAY_LEN(array_formats); i++)
        if (array_formats[i].format == format &&
            (array_formats[i].channels == 0 || array_formats[i].channels == channels)) {
            *ret_texel = array_formats[i].texel;
            *ret_normalized = array_formats[i].channels != 0;
            return true;
        }
    return false;
}

/* A format that exists but is not served here: video and block-compressed ones. */
static bool format_is_known(CUarray_format format)
{
    return (format >= CU_AD_FORMAT_BC1_UNORM && format <= CU_AD_FORMAT_YUV444_16bit_SemiPlanar) ||
           format == CU_AD_FORMAT_UNORM_INT_101010_2;
}

/* ------------------------------------------------------------------ description */

static bool exceeds(const struct vg_array *a, CUdevice_attribute limit_w,
                    CUdevice_attribute limit_h, CUdevice_attribute limit_d)
{
    const int *attr = a->ctx->dev->attr;

    return a->width > (size_t)attr[limit_w] || (limit_h && a->height > (size_t)attr[limit_h]) ||
           (limit_d && a->depth > (size_t)attr[limit_d]);
}

static CUresult check_layered(const struct vg_array *a)
{
    bool cube = a->desc.Flags & CUDA_ARRAY3D_CUBEMAP;
    bool layered = a->desc.Flags & CUDA_ARRAY3D_LAYERED;

    if (a->desc.Depth == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (cube && (a->width != a->desc.Height || a->depth % 6 != 0 || (!layered && a->depth != 6)))
        return CUDA_ERROR_INVALID_VALUE;
    if (a->depth > VG_LAYERS_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (a->desc.Height == 0)
        return exceeds(a, CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LAYERED_WIDTH, 0, 0)
                   ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    return exceeds(a, CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LAYERED_WIDTH,
                   CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LAYERED_HEIGHT, 0)
               ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static CUresult check_extent(const struct vg_array *a)
{
    const CUDA_ARRAY3D_DESCRIPTOR *d = &a->desc;
    bool bad;

    if (d->Width == 0 || (d->Flags & ~VG_ARRAY_FLAGS) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (d->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP))
        return check_layered(a);
    if (d->Depth != 0 && d->Height == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if ((d->Flags & CUDA_ARRAY3D_TEXTURE_GATHER) && (d->Depth != 0 || d->Height == 0))
        return CUDA_ERROR_INVALID_VALUE;
    if (d->Depth != 0)
        bad = exceeds(a, CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_WIDTH,
                      CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_HEIGHT,
                      CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_DEPTH);
    else if (d->Height != 0)
        bad = exceeds(a, CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_WIDTH,
                      CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_HEIGHT, 0);
    else
        bad = exceeds(a, CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_WIDTH, 0, 0);
    return bad ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/* Fills in what follows from a->desc and a->ctx. */
static CUresult describe(struct vg_array *a)
{
    const CUDA_ARRAY3D_DESCRIPTOR *d = &a->desc;

    if (d->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING))
        return CUDA_ERROR_NOT_SUPPORTED;
    if (d->NumChannels != 1 && d->NumChannels != 2 && d->NumChannels != 4)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vg_array_texel(d->Format, d->NumChannels, &a->texel, &a->always_normalized))
        return format_is_known(d->Format) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
    a->elem = ptx_texel_bytes(a->texel) * d->NumChannels;
    a->width = d->Width;
    a->height = d->Height != 0 ? d->Height : 1;
    a->depth = d->Depth != 0 ? d->Depth : 1;
    return check_extent(a);
}

static size_t array_bytes(const struct vg_array *a)
{
    return a->width * a->height * a->depth * a->elem;
}

struct ptx_level vg_array_level(const struct vg_array *a)
{
    return (struct ptx_level){
        .base = a->base, .row = a->width * a->elem, .slice = a->width * a->height * a->elem,
        .width = (uint32_t)a->width, .height = (uint32_t)a->height, .depth = (uint32_t)a->depth,
    };
}

/* ----------------------------------------------------------------------- making */

static CUresult array_memory(struct vg_ctx *ctx, size_t size, uint64_t *ret_base)
{
    struct vg_block_owner owner = { .kind = VG_BLOCK_ARRAY, .ctx = ctx };

    if (vg_arena_alloc((unsigned)ctx->dev->ordinal, size, &owner, ret_base) == 0)
        return CUDA_SUCCESS;
    CUresult rc = vg_ctx_synchronize(ctx);
    if (rc == CUDA_SUCCESS &&
        vg_arena_alloc((unsigned)ctx->dev->ordinal, size, &owner, ret_base) != 0)
        rc = CUDA_ERROR_OUT_OF_MEMORY;
    return rc;
}

static CUresult array_start(struct vg_array *a)
{
    CUresult rc = array_memory(a->ctx, array_bytes(a), &a->base);

    if (rc != CUDA_SUCCESS)
        return rc;
    a->handle = vg_handle_new(VG_HANDLE_ARRAY, a);
    if (a->handle == NULL) {
        vg_arena_free(a->base);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    pthread_mutex_lock(&array_lock);
    a->next = a->ctx->arrays;
    a->ctx->arrays = a;
    pthread_mutex_unlock(&array_lock);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuArray3DCreate_v2, (CUarray *ret, const CUDA_ARRAY3D_DESCRIPTOR *desc))
{
    struct vg_ctx *ctx;
    struct vg_array *a;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS)
        return rc;
    if (ret == NULL || desc == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    a = calloc(1, sizeof(*a));
    if (a == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    a->ctx = ctx;
    a->desc = *desc;
    rc = describe(a);
    if (rc == CUDA_SUCCESS)
        rc = array_start(a);
    if (rc != CUDA_SUCCESS) {
        free(a);
        return rc;
    }
    *ret = a->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuArrayCreate_v2, (CUarray *ret, const CUDA_ARRAY_DESCRIPTOR *desc))
{
    CUDA_ARRAY3D_DESCRIPTOR d = { 0 };

    if (desc != NULL) {
        d.Width = desc->Width;
        d.Height = desc->Height;
        d.Format = desc->Format;
        d.NumChannels = desc->NumChannels;
    }
    return cuArray3DCreate_v2(ret, desc != NULL ? &d : NULL);
}

static void array_unlink(struct vg_array *a)
{
    struct vg_array **p;

    pthread_mutex_lock(&array_lock);
    for (p = &a->ctx->arrays; *p != NULL && *p != a; p = &(*p)->next)
        ;
    if (*p != NULL)
        *p = a->next;
    pthread_mutex_unlock(&array_lock);
}

VG_ENTRY(cuArrayDestroy, (CUarray handle))
{
    struct vg_array *a = vg_array_get(handle);
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS)
        return rc;
    if (a == NULL)
        return handle ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_INVALID_HANDLE;
    if (a->is_level)
        return CUDA_ERROR_INVALID_VALUE;
    rc = vg_ctx_synchronize(a->ctx);
    if (rc != CUDA_SUCCESS)
        return rc;
    vg_handle_end(a->handle);
    array_unlink(a);
    vg_arena_free(a->base);
    free(a);
    return CUDA_SUCCESS;
}

/* ---------------------------------------------------------------------- mipmaps */

static size_t half_of(size_t n, unsigned times)
{
    n >>= times;
    return n != 0 ? n : 1;
}

/* Layers and faces stay as many; what is 0 stays 0. */
static CUDA_ARRAY3D_DESCRIPTOR level_desc(const CUDA_ARRAY3D_DESCRIPTOR *d, unsigned level)
{
    CUDA_ARRAY3D_DESCRIPTOR l = *d;

    l.Width = half_of(d->Width, level);
    if (d->Height != 0)
        l.Height = half_of(d->Height, level);
    if (d->Depth != 0 && !(d->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)))
        l.Depth = half_of(d->Depth, level);
    return l;
}

static unsigned levels_of(const struct vg_array *a)
{
    size_t longest = a->width > a->height ? a->width : a->height;
    unsigned n = 1;

    if (!(a->desc.Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)) && a->depth > longest)
        longest = a->depth;
    while (longest >>= 1)
        n++;
    return n;
}

static CUresult describe_levels(struct vg_mipmap *m, size_t *ret_bytes)
{
    size_t bytes = 0;
    unsigned i;

    for (i = 0; i < m->levels; i++) {
        struct vg_array *a = &m->level[i];
        CUresult rc;

        a->ctx = m->ctx;
        a->is_level = true;
        a->desc = level_desc(&m->desc, i);
        rc = describe(a);
        if (rc != CUDA_SUCCESS)
            return rc;
        if (i == 0 && m->levels > levels_of(a))
            m->levels = levels_of(a);
        a->base = bytes;        /* relative, until there is memory */
        bytes += vg_round_up(array_bytes(a), VG_ARENA_UNIT);
    }
    *ret_bytes = bytes;
    return CUDA_SUCCESS;
}

static void mipmap_end_handles(struct vg_mipmap *m)
{
    unsigned i;

    for (i = 0; i < m->levels; i++)
        vg_handle_end(m->level[i].handle);
    vg_handle_end(m->handle);
}

static CUresult mipmap_start(struct vg_mipmap *m, size_t bytes)
{
    CUresult rc = array_memory(m->ctx, bytes, &m->base);
    unsigned i;
    bool ok;

    if (rc != CUDA_SUCCESS)
        return rc;
    m->handle = vg_handle_new(VG_HANDLE_MIPMAP, m);
    ok = m->handle != NULL;
    for (i = 0; i < m->levels && ok; i++) {
        m->level[i].base += m->base;
        m->level[i].handle = vg_handle_new(VG_HANDLE_ARRAY, &m->level[i]);
        ok = m->level[i].handle != NULL;
    }
    if (!ok) {
        mipmap_end_handles(m);
        vg_arena_free(m->base);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    pthread_mutex_lock(&array_lock);
    m->next = m->ctx->mipmaps;
    m->ctx->mipmaps = m;
    pthread_mutex_unlock(&array_lock);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMipmappedArrayCreate,
         (CUmipmappedArray *ret, const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned levels))
{
    struct vg_ctx *ctx;
    struct vg_mipmap *m;
    size_t bytes;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS)
        return rc;
    if (ret == NULL || desc == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    m = calloc(1, sizeof(*m));
    if (m == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    m->ctx = ctx;
    m->desc = *desc;
    m->levels = levels == 0 ? 1 : levels < PTX_MAX_LEVELS ? levels : PTX_MAX_LEVELS;
    rc = describe_levels(m, &bytes);
    if (rc == CUDA_SUCCESS)
        rc = mipmap_start(m, bytes);
    if (rc != CUDA_SUCCESS) {
        free(m);
        return rc;
    }
    *ret = m->handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMipmappedArrayGetLevel, (CUarray *ret, CUmipmappedArray handle, unsigned level))
{
    struct vg_mipmap *m = vg_mipmap_get(handle);
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (m == NULL)
        return CUDA_ERROR_INVALID_HANDLE;
    if (ret == NULL || level >= m->levels)
        return CUDA_ERROR_INVALID_VALUE;
    *ret = m->level[level].handle;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMipmappedArrayDestroy, (CUmipmappedArray handle))
{
    struct vg_mipmap *m = vg_mipmap_get(handle), **p;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS)
        return rc;
    if (m == NULL)
        return CUDA_ERROR_INVALID_HANDLE;
    rc = vg_ctx_synchronize(m->ctx);
    if (rc != CUDA_SUCCESS)
        return rc;
    mipmap_end_handles(m);
    pthread_mutex_lock(&array_lock);
    for (p = &m->ctx->mipmaps; *p != NULL && *p != m; p = &(*p)->next)
        ;
    if (*p != NULL)
        *p = m->next;
    pthread_mutex_unlock(&array_lock);
    vg_arena_free(m->base);
    free(m);
    return CUDA_SUCCESS;
}

void vg_array_end_ctx(struct vg_ctx *ctx)
{
    struct vg_array *a;
    struct vg_mipmap *m;

    pthread_mutex_lock(&array_lock);
    while ((a = ctx->arrays) != NULL) {
        ctx->arrays = a->next;
        vg_handle_end(a->handle);
        free(a);
    }
    while ((m = ctx->mipmaps) != NULL) {
        ctx->mipmaps = m->next;
        mipmap_end_handles(m);
        free(m);
    }
    pthread_mutex_unlock(&array_lock);
}

/* ----------------------------------------------------------------------- asking */

static CUresult array_ask(CUarray handle, const void *out, struct vg_array **ret)
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (out == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *ret = vg_array_get(handle);
    return *ret != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

VG_ENTRY(cuArray3DGetDescriptor_v2, (CUDA_ARRAY3D_DESCRIPTOR *desc, CUarray handle))
{
    struct vg_array *a;
    CUresult rc = array_ask(handle, desc, &a);

    if (rc == CUDA_SUCCESS)
        *desc = a->desc;
    return rc;
}

VG_ENTRY(cuArrayGetDescriptor_v2, (CUDA_ARRAY_DESCRIPTOR *desc, CUarray handle))
{
    struct vg_array *a;
    CUresult rc = array_ask(handle, desc, &a);

    if (rc == CUDA_SUCCESS)
        *desc = (CUDA_ARRAY_DESCRIPTOR){ a->desc.Width, a->desc.Height, a->desc.Format,
                                         a->desc.NumChannels };
    return rc;
}

/* Planes there are in video formats only, sparse and deferred arrays not at all. */
static CUresult array_refuse(CUarray handle, const void *out)
{
    struct vg_array *a;
    CUresult rc = array_ask(handle, out, &a);

    return rc != CUDA_SUCCESS ? rc : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuArrayGetPlane, (CUarray *ret, CUarray handle, unsigned plane))
{
    (void)plane;
    return array_refuse(handle, ret);
}

VG_ENTRY(cuArrayGetSparseProperties, (CUDA_ARRAY_SPARSE_PROPERTIES *ret, CUarray handle))
{
    return array_refuse(handle, ret);
}

VG_ENTRY(cuArrayGetMemoryRequirements,
         (CUDA_ARRAY_MEMORY_REQUIREMENTS *ret, CUarray handle, CUdevice dev))
{
    (void)dev;
    return array_refuse(handle, ret);
}

static CUresult mipmap_refuse(CUmipmappedArray handle, const void *out)
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    return out != NULL && vg_mipmap_get(handle) == NULL ? CUDA_ERROR_INVALID_HANDLE
                                                        : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuMipmappedArrayGetSparseProperties,
         (CUDA_ARRAY_SPARSE_PROPERTIES *ret, CUmipmappedArray handle))
{
    return mipmap_refuse(handle, ret);
}

VG_ENTRY(cuMipmappedArrayGetMemoryRequirements,
         (CUDA_ARRAY_MEMORY_REQUIREMENTS *ret, CUmipmappedArray handle, CUdevice dev))
{
    (void)dev;
    return mipmap_refuse(handle, ret);
}
