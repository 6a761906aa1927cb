/* SPDX-License-Identifier: MIT */
/*
 * Texture and surface objects: the description that a program gives becomes the one that the
 * interpreter samples by. A handle is what kernels get; they look it up at every access.
 */
#include "texture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "array.h"
#include "ctx.h"
#include "device.h"
#include "handle.h"
#include "mem.h"
#include "task.h"

#define VG_TEXTURE_FLAGS (CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | \
                          CU_TRSF_SRGB | CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION | \
                          CU_TRSF_SEAMLESS_CUBEMAP)

struct vg_object {
    void *handle;
    struct vg_ctx *ctx;
    struct vg_object *next;     /* of the context */
    CUDA_RESOURCE_DESC resource;
    CUDA_TEXTURE_DESC texture;
    CUDA_RESOURCE_VIEW_DESC view;
    bool has_view;
    bool dead;                  /* destroyed; here until what was submitted before is done */
    struct ptx_texture image;
};

/* Of the contexts' lists, and of destroying. */
static pthread_mutex_t object_lock = PTHREAD_MUTEX_INITIALIZER;

const struct ptx_texture *vg_texture_find(void *ctx, uint64_t handle, bool surface)
{
    const struct vg_object *o = vg_handle_get((const void *)(uintptr_t)handle,
                                              surface ? VG_HANDLE_SURFACE : VG_HANDLE_TEXTURE);

    return o != NULL && o->ctx == ctx ? &o->image : NULL;
}

/* --------------------------------------------------------------------- resources */

static void image_of_array(struct ptx_texture *t, const struct vg_array *a)
{
    t->texel = a->texel;
    t->channels = a->desc.NumChannels;
    t->read_normalized = a->always_normalized;
    t->layered = (a->desc.Flags & CUDA_ARRAY3D_LAYERED) != 0;
    t->cube = (a->desc.Flags & CUDA_ARRAY3D_CUBEMAP) != 0;
    t->levels = 1;
    t->level[0] = vg_array_level(a);
}

static CUresult from_array(struct ptx_texture *t, CUarray handle)
{
    const struct vg_array *a = vg_array_get(handle);

    if (a == NULL)
        return CUDA_ERROR_INVALID_HANDLE;
    image_of_array(t, a);
    return CUDA_SUCCESS;
}

static CUresult from_mipmap(struct ptx_texture *t, CUmipmappedArray handle)
{
    const struct vg_mipmap *m = vg_mipmap_get(handle);
    unsigned i;

    if (m == NULL)
        return CUDA_ERROR_INVALID_HANDLE;
    image_of_array(t, &m->level[0]);
    t->levels = m->levels;
    for (i = 0; i < m->levels; i++)
        t->level[i] = vg_array_level(&m->level[i]);
    return CUDA_SUCCESS;
}

/* Format and place of texels in memory that the program can also use otherwise. */
static CUresult from_memory(struct ptx_texture *t, CUarray_format format, unsigned channels,
                            CUdeviceptr base, const struct vg_ctx *ctx)
{
    const int *attr = ctx->dev->attr;

    if ((channels != 1 && channels != 2 && channels != 4) ||
        !vg_array_texel(format, channels, &t->texel, &t->read_normalized))
        return CUDA_ERROR_INVALID_VALUE;
    if (base == 0 || base % (unsigned)attr[CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT] != 0)
        return CUDA_ERROR_INVALID_VALUE;
    t->channels = channels;
    t->levels = 1;
    t->foreign = true;
    t->level[0] = (struct ptx_level){ .base = base, .height = 1, .depth = 1 };
    return CUDA_SUCCESS;
}

/* Bytes of [addr, addr+size) that are there: a texture may be said to be larger than its memory. */
static size_t bytes_there(CUdeviceptr addr, size_t size)
{
    struct vg_block_info block;

    if (vg_mem_check_device(addr, size) == CUDA_SUCCESS)
        return size;
    return vg_arena_find(addr, &block) == 0 ? block.base + block.size - addr : 0;
}

static CUresult from_linear(struct ptx_texture *t, const CUDA_RESOURCE_DESC *r,
                            const struct vg_ctx *ctx)
{
    CUresult rc = from_memory(t, r->res.linear.format, r->res.linear.numChannels,
                              r->res.linear.devPtr, ctx);
    size_t n;

    if (rc != CUDA_SUCCESS)
        return rc;
    n = r->res.linear.sizeInBytes / (ptx_texel_bytes(t->texel) * t->channels);
    if (n == 0 || n > (size_t)ctx->dev->attr[CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LINEAR_WIDTH])
        return CUDA_ERROR_INVALID_VALUE;
    t->buffer = true;
    n = bytes_there(r->res.linear.devPtr, r->res.linear.sizeInBytes) /
        (ptx_texel_bytes(t->texel) * t->channels);
    t->level[0].width = (uint32_t)n;
    return n != 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult from_pitched(struct ptx_texture *t, const CUDA_RESOURCE_DESC *r,
                             const struct vg_ctx *ctx)
{
    const int *attr = ctx->dev->attr;
    size_t w = r->res.pitch2D.width, h = r->res.pitch2D.height, pitch = r->res.pitch2D.pitchInBytes;
    size_t row;
    CUresult rc = from_memory(t, r->res.pitch2D.format, r->res.pitch2D.numChannels,
                              r->res.pitch2D.devPtr, ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (w == 0 || h == 0 || w > (size_t)attr[CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_WIDTH] ||
        h > (size_t)attr[CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_HEIGHT] ||
        pitch > (size_t)attr[CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_PITCH])
        return CUDA_ERROR_INVALID_VALUE;
    row = w * ptx_texel_bytes(t->texel) * t->channels;
    if (pitch < row || pitch % (unsigned)attr[CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT] != 0)
        return CUDA_ERROR_INVALID_VALUE;
    t->level[0].width = (uint32_t)w;
    t->level[0].height = (uint32_t)h;
    t->level[0].row = pitch;
    return vg_mem_check_device(r->res.pitch2D.devPtr, pitch * (h - 1) + row);
}

static CUresult from_resource(struct vg_object *o)
{
    const CUDA_RESOURCE_DESC *r = &o->resource;

    if (r->flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    switch ((int)r->resType) {
    case CU_RESOURCE_TYPE_ARRAY:
        return from_array(&o->image, r->res.array.hArray);
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
        return from_mipmap(&o->image, r->res.mipmap.hMipmappedArray);
    case CU_RESOURCE_TYPE_LINEAR:
        return from_linear(&o->image, r, o->ctx);
    case CU_RESOURCE_TYPE_PITCH2D:
        return from_pitched(&o->image, r, o->ctx);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* -------------------------------------------------------------------------- views */

/* Formats of views go in threes: 1, 2 and 4 channels. */
static bool view_format(CUresourceViewFormat format, struct ptx_texture *t)
{
    static const enum ptx_texel texel[] = { PTX_TEXEL_U8, PTX_TEXEL_S8, PTX_TEXEL_U16,
                                            PTX_TEXEL_S16, PTX_TEXEL_U32, PTX_TEXEL_S32,
                                            PTX_TEXEL_F16, PTX_TEXEL_F32 };
    unsigned n = (unsigned)format - 1, before = ptx_texel_bytes(t->texel) * t->channels;

    if (n / 3 >= VG_ARRAY_LEN(texel))
        return false;
    t->texel = texel[n / 3];
    t->channels = 1u << n % 3;
    t->read_normalized = false;
    return ptx_texel_bytes(t->texel) * t->channels == before;
}

/* The part of the array that the view shows: some of its levels, some of its layers. */
static CUresult apply_view(struct ptx_texture *t, const CUDA_RESOURCE_VIEW_DESC *v)
{
    unsigned i, levels = v->lastMipmapLevel - v->firstMipmapLevel + 1;
    unsigned layers = v->lastLayer - v->firstLayer + 1;

    if (v->format != CU_RES_VIEW_FORMAT_NONE && !view_format(v->format, t))
        return v->format >= CU_RES_VIEW_FORMAT_UNSIGNED_BC1 ? CUDA_ERROR_NOT_SUPPORTED
                                                            : CUDA_ERROR_INVALID_VALUE;
    if (v->firstMipmapLevel > v->lastMipmapLevel || v->lastMipmapLevel >= t->levels ||
        v->firstLayer > v->lastLayer)
        return CUDA_ERROR_INVALID_VALUE;
    if (v->width != 0 && v->width != t->level[0].width)
        return CUDA_ERROR_INVALID_VALUE;
    memmove(t->level, t->level + v->firstMipmapLevel, levels * sizeof(t->level[0]));
    t->levels = levels;
    if (!t->layered || v->lastLayer == 0)
        return CUDA_SUCCESS;
    for (i = 0; i < levels; i++) {
        if (v->lastLayer >= t->level[i].depth)
            return CUDA_ERROR_INVALID_VALUE;
        t->level[i].base += v->firstLayer * t->level[i].slice;
        t->level[i].depth = layers;
    }
    return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------------ samplers */

static bool sampler_is_sane(const CUDA_TEXTURE_DESC *d)
{
    unsigned k;

    for (k = 0; k < 3; k++)
        if (d->addressMode[k] > CU_TR_ADDRESS_MODE_BORDER)
            return false;
    return (d->flags & ~VG_TEXTURE_FLAGS) == 0 && d->filterMode <= CU_TR_FILTER_MODE_LINEAR &&
           d->mipmapFilterMode <= CU_TR_FILTER_MODE_LINEAR;
}

static CUresult apply_sampler(struct ptx_texture *t, const CUDA_TEXTURE_DESC *d)
{
    bool narrow = ptx_texel_bytes(t->texel) < 4 && t->texel != PTX_TEXEL_F16;
    unsigned k;

    if (!sampler_is_sane(d))
        return CUDA_ERROR_INVALID_VALUE;
    if (narrow && !(d->flags & CU_TRSF_READ_AS_INTEGER))
        t->read_normalized = true;
    t->normalized_coords = (d->flags & CU_TRSF_NORMALIZED_COORDINATES) != 0;
    t->srgb = (d->flags & CU_TRSF_SRGB) && t->texel == PTX_TEXEL_U8;
    t->seamless = (d->flags & CU_TRSF_SEAMLESS_CUBEMAP) != 0;
    t->linear = d->filterMode == CU_TR_FILTER_MODE_LINEAR;
    t->mip_linear = d->mipmapFilterMode == CU_TR_FILTER_MODE_LINEAR;
    for (k = 0; k < 3; k++)
        t->address[k] = (enum ptx_address)d->addressMode[k];
    t->lod_bias = d->mipmapLevelBias;
    t->lod_min = d->minMipmapLevelClamp;
    t->lod_max = d->maxMipmapLevelClamp;
    memcpy(t->border, d->borderColor, sizeof(t->border));
    return CUDA_SUCCESS;
}

/* ------------------------------------------------------------------------- objects */

static CUresult object_start(struct vg_object *o, bool surface)
{
    o->handle = vg_handle_new(surface ? VG_HANDLE_SURFACE : VG_HANDLE_TEXTURE, o);
    if (o->handle == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    pthread_mutex_lock(&object_lock);
    o->next = o->ctx->objects;
    o->ctx->objects = o;
    pthread_mutex_unlock(&object_lock);
    return CUDA_SUCCESS;
}

static CUresult describe_texture(struct vg_object *o, const CUDA_RESOURCE_VIEW_DESC *view)
{
    CUresult rc = from_resource(o);

    if (rc == CUDA_SUCCESS && view != NULL) {
        if (o->image.foreign)
            return CUDA_ERROR_INVALID_VALUE;
        o->view = *view;
        o->has_view = true;
        rc = apply_view(&o->image, view);
    }
    return rc != CUDA_SUCCESS ? rc : apply_sampler(&o->image, &o->texture);
}

VG_ENTRY(cuTexObjectCreate, (CUtexObject *ret, const CUDA_RESOURCE_DESC *resource,
                             const CUDA_TEXTURE_DESC *texture, const CUDA_RESOURCE_VIEW_DESC *view))
{
    struct vg_object *o;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (ret == NULL || resource == NULL || texture == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    o = calloc(1, sizeof(*o));
    if (o == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    o->ctx = ctx;
    o->resource = *resource;
    o->texture = *texture;
    rc = describe_texture(o, view);
    if (rc == CUDA_SUCCESS)
        rc = object_start(o, false);
    if (rc != CUDA_SUCCESS) {
        free(o);
        return rc;
    }
    *ret = (uintptr_t)o->handle;
    return CUDA_SUCCESS;
}

/* Any array will do, as with NVIDIA's driver, whatever it was made for. */
static CUresult describe_surface(struct vg_object *o)
{
    return o->resource.resType == CU_RESOURCE_TYPE_ARRAY ? from_resource(o)
                                                         : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuSurfObjectCreate, (CUsurfObject *ret, const CUDA_RESOURCE_DESC *resource))
{
    struct vg_object *o;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (ret == NULL || resource == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    o = calloc(1, sizeof(*o));
    if (o == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    o->ctx = ctx;
    o->resource = *resource;
    rc = describe_surface(o);
    if (rc == CUDA_SUCCESS)
        rc = object_start(o, true);
    if (rc != CUDA_SUCCESS) {
        free(o);
        return rc;
    }
    *ret = (uintptr_t)o->handle;
    return CUDA_SUCCESS;
}

static bool ctx_is_idle(const struct vg_ctx *ctx)
{
    bool idle;

    vg_engine_lock();
    idle = ctx->pending == 0;
    vg_engine_unlock();
    return idle;
}

static void reap_locked(struct vg_ctx *ctx)
{
    struct vg_object **p = &ctx->objects, *o;

    while ((o = *p) != NULL) {
        if (!o->dead) {
            p = &o->next;
            continue;
        }
        *p = o->next;
        vg_handle_end(o->handle);
        free(o);
    }
}

/* Nobody waits here, as with the driver: kernels that were launched before go on using it. */
static CUresult object_destroy(uint64_t handle, enum vg_handle_kind kind)
{
    struct vg_object *o;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    pthread_mutex_lock(&object_lock);
    o = vg_handle_get((const void *)(uintptr_t)handle, kind);
    if (o == NULL || o->dead) {
        rc = CUDA_ERROR_INVALID_VALUE;
    } else {
        o->dead = true;
        if (ctx_is_idle(o->ctx))
            reap_locked(o->ctx);
    }
    pthread_mutex_unlock(&object_lock);
    return rc;
}

VG_ENTRY(cuTexObjectDestroy, (CUtexObject handle))
{
    return object_destroy(handle, VG_HANDLE_TEXTURE);
}

VG_ENTRY(cuSurfObjectDestroy, (CUsurfObject handle))
{
    return object_destroy(handle, VG_HANDLE_SURFACE);
}

void vg_texture_end_ctx(struct vg_ctx *ctx)
{
    struct vg_object *o;

    pthread_mutex_lock(&object_lock);
    while ((o = ctx->objects) != NULL) {
        ctx->objects = o->next;
        vg_handle_end(o->handle);
        free(o);
    }
    pthread_mutex_unlock(&object_lock);
}

/* ------------------------------------------------------------------------- questions */

static CUresult object_ask(uint64_t handle, enum vg_handle_kind kind, const void *out,
                           const struct vg_object **ret)
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    *ret = vg_handle_get((const void *)(uintptr_t)handle, kind);
    return *ret != NULL && !(*ret)->dead && out != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

VG_ENTRY(cuTexObjectGetResourceDesc, (CUDA_RESOURCE_DESC *ret, CUtexObject handle))
{
    const struct vg_object *o;
    CUresult rc = object_ask(handle, VG_HANDLE_TEXTURE, ret, &o);

    if (rc == CUDA_SUCCESS)
        *ret = o->resource;
    return rc;
}

VG_ENTRY(cuTexObjectGetTextureDesc, (CUDA_TEXTURE_DESC *ret, CUtexObject handle))
{
    const struct vg_object *o;
    CUresult rc = object_ask(handle, VG_HANDLE_TEXTURE, ret, &o);

    if (rc == CUDA_SUCCESS)
        *ret = o->texture;
    return rc;
}

VG_ENTRY(cuTexObjectGetResourceViewDesc, (CUDA_RESOURCE_VIEW_DESC *ret, CUtexObject handle))
{
    const struct vg_object *o;
    CUresult rc = object_ask(handle, VG_HANDLE_TEXTURE, ret, &o);

    if (rc == CUDA_SUCCESS && !o->has_view)
        rc = CUDA_ERROR_INVALID_VALUE;
    if (rc == CUDA_SUCCESS)
        *ret = o->view;
    return rc;
}

VG_ENTRY(cuSurfObjectGetResourceDesc, (CUDA_RESOURCE_DESC *ret, CUsurfObject handle))
{
    const struct vg_object *o;
    CUresult rc = object_ask(handle, VG_HANDLE_SURFACE, ret, &o);

    if (rc == CUDA_SUCCESS)
        *ret = o->resource;
    return rc;
}

VG_ENTRY(cuDeviceGetTexture1DLinearMaxWidth,
         (size_t *ret, CUarray_format format, unsigned channels, CUdevice ordinal))
{
    enum ptx_texel texel;
    struct vg_device *dev;
    bool normalized;
    CUresult rc = vg_device_enter(ordinal, &dev);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (ret == NULL || (channels != 1 && channels != 2 && channels != 4) ||
        !vg_array_texel(format, channels, &texel, &normalized))
        return CUDA_ERROR_INVALID_VALUE;
    *ret = (size_t)dev->attr[CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LINEAR_WIDTH];
    return CUDA_SUCCESS;
}
