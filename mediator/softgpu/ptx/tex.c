/* SPDX-License-Identifier: MIT */
/* Texture fetches, gathers and queries of a warp's lanes. See texops.h and sample.h. */
#include "texops.h"

#include <string.h>

static const struct ptx_texture *find(const struct warp *w, uint64_t handle, bool surface)
{
    const struct ptx_textures *t = &w->cta->grid->l->textures;

    return t->find ? t->find(t->ctx, handle, surface) : NULL;
}

static int bad_handle(struct warp *w, const struct uop *u, uint32_t lane, uint64_t handle)
{
    return ptx_fault(w, u, (int)lane, PTX_FAULT_ADDRESS, handle, "no such texture object: 0x%llx",
                     (unsigned long long)handle);
}

/* The shape that an instruction names must be the object's: else nobody knows what it reads. */
static bool suits(const struct ptx_texture *t, const struct tex_op *o)
{
    return t->cube == (o->shape == SAMPLE_CUBE) && t->layered == o->layered &&
           (o->channel < 0 || (unsigned)o->channel < 4);
}

static float as_float(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, 4);
    return f;
}

static struct sample sample_of(const struct warp *w, const struct tex_op *o, uint32_t lane)
{
    unsigned dims = o->shape == SAMPLE_CUBE ? 3 : (unsigned)o->shape + 1, k;
    struct sample s;

    memset(&s, 0, sizeof(s));
    s.shape = o->shape;
    s.integer = o->integer;
    s.has_gradient = o->has_gradient;
    for (k = 0; k < dims; k++) {
        uint32_t bits = reg32(w, o->coord[k])[lane];

        if (o->integer)
            s.coord.i[k] = (int32_t)bits;
        else
            s.coord.f[k] = as_float(bits);
        if (o->has_gradient) {
            s.dx[k] = as_float(reg32(w, o->dx[k])[lane]);
            s.dy[k] = as_float(reg32(w, o->dy[k])[lane]);
        }
    }
    if (o->layered)
        s.layer = reg32(w, o->layer)[lane];
    if (o->has_lod) {
        uint32_t bits = reg32(w, o->lod)[lane];

        s.lod = o->integer ? (float)(int32_t)bits : as_float(bits);
    }
    return s;
}

static void write_texel(struct warp *w, const struct tex_op *o, uint32_t lane, union texel t)
{
    unsigned k;

    for (k = 0; k < 4; k++)
        if (o->dst[k] != PTX_NO_REG)
            reg32(w, o->dst[k])[lane] = t.u[k];
}

HANDLER(ptx_op_tex)
{
    const struct tex_op *o = u->aux;

    FOR_LANES(i, mask) {
        uint64_t handle = reg64(w, u->a)[i];
        struct texture_view v = {.t = find(w, handle, false), .w = w, .lane = (int)i};

        if (!v.t || !suits(v.t, o))
            return bad_handle(w, u, i, handle);
        struct sample s = sample_of(w, o, i);
        union texel t = o->channel < 0 ? ptx_sample(&v, &s)
                                       : ptx_gather_texels(&v, &s, (unsigned)o->channel);
        if (v.fault)
            return ptx_fault(w, u, (int)i, PTX_FAULT_ADDRESS, v.address,
                             "texture reads invalid memory at 0x%llx",
                             (unsigned long long)v.address);
        write_texel(w, o, i, t);
    }
    return CTL_NEXT;
}

/* ----------------------------------------------------------------------------- queries */

/* The numbers of OpenCL, which PTX took over. */
static uint32_t channel_type(const struct ptx_texture *t)
{
    static const uint16_t type[PTX_TEXEL_COUNT] = {
        [PTX_TEXEL_S8] = 0x10d7,  [PTX_TEXEL_S16] = 0x10d8, [PTX_TEXEL_S32] = 0x10d9,
        [PTX_TEXEL_U8] = 0x10da,  [PTX_TEXEL_U16] = 0x10db, [PTX_TEXEL_U32] = 0x10dc,
        [PTX_TEXEL_F16] = 0x10dd, [PTX_TEXEL_F32] = 0x10de,
    };

    return type[t->texel];
}

static uint32_t channel_order(const struct ptx_texture *t)
{
    return t->channels == 1 ? 0x10b0 : t->channels == 2 ? 0x10b2 : 0x10b5; /* R, RG, RGBA */
}

static uint32_t answer(const struct ptx_texture *t, enum tex_query q, uint32_t level)
{
    const struct ptx_level *l = &t->level[level < t->levels ? level : t->levels - 1];

    switch (q) {
    case QUERY_WIDTH: return l->width;
    case QUERY_HEIGHT: return l->height;
    case QUERY_DEPTH: return t->layered || t->cube ? 1 : l->depth;
    case QUERY_CHANNEL_TYPE: return channel_type(t);
    case QUERY_CHANNEL_ORDER: return channel_order(t);
    case QUERY_NORMALIZED: return t->normalized_coords;
    case QUERY_ARRAY_SIZE: return !t->layered ? 0 : t->cube ? l->depth / 6 : l->depth;
    default: return t->levels;
    }
}

HANDLER(ptx_op_txq)
{
    FOR_LANES(i, mask) {
        uint64_t handle = reg64(w, u->a)[i];
        const struct ptx_texture *t = find(w, handle, u->x[1]);

        if (!t)
            return bad_handle(w, u, i, handle);
        reg32(w, u->d)[i] = answer(t, (enum tex_query)u->x[0], u->x[2] ? reg32(w, u->b)[i] : 0);
    }
    return CTL_NEXT;
}
