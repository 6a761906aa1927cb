/* SPDX-License-Identifier: MIT */
/*
 * Texture sampling as the CUDA programming guide describes it: coordinates times
 * size, half a texel back for the linear filter, weights of 8 bits of fraction.
 */
#include "sample.h"

#include <math.h>
#include <string.h>

#define WEIGHT_STEPS 256.0f
#define FAR          1073741824.0f /* beyond any size: NaN and infinities end up here */

/* A coordinate of a level in texels; the linear filter's base is half a texel back. */
struct axis {
    int64_t i;
    float weight; /* of the texel behind i, a multiple of 1 / 256 */
};

static float tame(float x)
{
    return x > FAR ? FAR : x >= -FAR ? x : -FAR;
}

static struct axis nearest(float x)
{
    return (struct axis){.i = (int64_t)floorf(tame(x))};
}

static struct axis between(float x)
{
    float b = tame(x) - 0.5f, low = floorf(b);
    float weight = rintf((b - low) * WEIGHT_STEPS) / WEIGHT_STEPS;

    return (struct axis){.i = (int64_t)low, .weight = weight};
}

/* --------------------------------------------------------------------------- one texel */

struct place {
    const struct ptx_level *l;
    unsigned dims;
    bool normalized;
    uint32_t layer;     /* first slice */
};

static union texel fetch(struct texture_view *v, const struct place *p, const int64_t *at)
{
    uint32_t size[3] = {p->l->width, p->l->height, p->l->depth};
    uint32_t to[3] = {0, 0, 0};
    unsigned k;

    for (k = 0; k < p->dims; k++) {
        int64_t i = ptx_texel_index(v->t, k, p->normalized, at[k], size[k]);

        if (i < 0)
            return ptx_texel_border(v->t);
        to[k] = (uint32_t)i;
    }
    return ptx_texel_read(v, p->l, to[0], to[1], p->dims == 3 ? to[2] : p->layer);
}

/* Weighted sum over the 2, 4 or 8 texels around. */
static union texel mix(struct texture_view *v, const struct place *p, const struct axis *a)
{
    unsigned corner, k, c;
    union texel r;

    memset(&r, 0, sizeof(r));
    for (corner = 0; corner < 1u << p->dims; corner++) {
        int64_t at[3] = {0, 0, 0};
        float weight = 1;

        for (k = 0; k < p->dims; k++) {
            unsigned next = corner >> k & 1;

            at[k] = a[k].i + next;
            weight *= next ? a[k].weight : 1 - a[k].weight;
        }
        if (weight == 0) /* also keeps NaN and infinity of a neighbour out */
            continue;
        union texel t = fetch(v, p, at);
        for (c = 0; c < v->t->channels; c++)
            r.f[c] += weight * t.f[c];
    }
    return r;
}

static uint32_t layer_of(const struct ptx_texture *t, const struct ptx_level *l, uint32_t layer)
{
    uint32_t layers = t->cube ? l->depth / 6 : l->depth;

    if (!t->layered)
        return 0;
    if ((int32_t)layer < 0)
        return 0;
    return layer < layers ? layer : layers - 1;
}

/* ------------------------------------------------------------------------------- cubes */

/* Face, and where on it in [0, 1]. */
static uint32_t cube_face(const float *d, float *ret_st)
{
    float ax = fabsf(d[0]), ay = fabsf(d[1]), az = fabsf(d[2]), m, s, t;
    uint32_t face;

    if (ax >= ay && ax >= az) {
        face = d[0] < 0;
        m = ax;
        s = d[0] < 0 ? d[2] : -d[2];
        t = -d[1];
    } else if (ay >= az) {
        face = 2 + (d[1] < 0);
        m = ay;
        s = d[0];
        t = d[1] < 0 ? -d[2] : d[2];
    } else {
        face = 4 + (d[2] < 0);
        m = az;
        s = d[2] < 0 ? -d[0] : d[0];
        t = -d[1];
    }
    ret_st[0] = (s / m + 1) * 0.5f;
    ret_st[1] = (t / m + 1) * 0.5f;
    return face;
}

/* The direction of a place on a face, which may lie beyond its edge. */
static void cube_direction(uint32_t face, float s, float t, float *d)
{
    static const float axes[6][3][3] = {
        /* of s, of t, of the face */
        {{0, 0, -1}, {0, -1, 0}, {1, 0, 0}},  {{0, 0, 1}, {0, -1, 0}, {-1, 0, 0}},
        {{1, 0, 0}, {0, 0, 1}, {0, 1, 0}},    {{1, 0, 0}, {0, 0, -1}, {0, -1, 0}},
        {{1, 0, 0}, {0, -1, 0}, {0, 0, 1}},   {{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}},
    };
    unsigned k;

    for (k = 0; k < 3; k++)
        d[k] = axes[face][0][k] * (2 * s - 1) + axes[face][1][k] * (2 * t - 1) + axes[face][2][k];
}

static union texel cube_texel(struct texture_view *v, const struct ptx_level *l, uint32_t first,
                              uint32_t face, int64_t x, int64_t y)
{
    int64_t n = l->width;
    bool inside = x >= 0 && y >= 0 && x < n && y < n;
    float d[3], st[2];

    if (!inside && v->t->seamless) {
        cube_direction(face, ((float)x + 0.5f) / (float)n, ((float)y + 0.5f) / (float)n, d);
        face = cube_face(d, st);
        x = (int64_t)floorf(st[0] * (float)n);
        y = (int64_t)floorf(st[1] * (float)n);
    }
    x = x < 0 ? 0 : x < n ? x : n - 1;
    y = y < 0 ? 0 : y < n ? y : n - 1;
    return ptx_texel_read(v, l, (uint32_t)x, (uint32_t)y, first + face);
}

static union texel sample_cube(struct texture_view *v, const struct ptx_level *l,
                               const struct sample *s)
{
    uint32_t first = 6 * layer_of(v->t, l, s->layer), face;
    unsigned corner, c;
    union texel r;
    float st[2];

    face = cube_face(s->coord.f, st);
    if (!v->t->linear || ptx_texture_is_integer(v->t)) {
        struct axis x = nearest(st[0] * (float)l->width), y = nearest(st[1] * (float)l->width);
        return cube_texel(v, l, first, face, x.i, y.i);
    }
    struct axis x = between(st[0] * (float)l->width), y = between(st[1] * (float)l->width);
    memset(&r, 0, sizeof(r));
    for (corner = 0; corner < 4; corner++) {
        float weight = (corner & 1 ? x.weight : 1 - x.weight) *
                       (corner & 2 ? y.weight : 1 - y.weight);

        if (weight == 0)
            continue;
        union texel t = cube_texel(v, l, first, face, x.i + (corner & 1), y.i + (corner >> 1));
        for (c = 0; c < v->t->channels; c++)
            r.f[c] += weight * t.f[c];
    }
    return r;
}

/* ------------------------------------------------------------------------------ levels */

static struct place place_in(const struct texture_view *v, const struct ptx_level *l,
                             const struct sample *s)
{
    return (struct place){
        .l = l,
        .dims = (unsigned)s->shape + 1,
        .normalized = v->t->normalized_coords && !s->integer,
        .layer = layer_of(v->t, l, s->layer),
    };
}

static float texels(const struct place *p, const struct sample *s, unsigned axis)
{
    uint32_t size[3] = {p->l->width, p->l->height, p->l->depth};

    return p->normalized ? s->coord.f[axis] * (float)size[axis] : s->coord.f[axis];
}

static union texel sample_level(struct texture_view *v, const struct ptx_level *l,
                                const struct sample *s)
{
    struct axis a[3];
    int64_t at[3];
    unsigned k;

    if (s->shape == SAMPLE_CUBE)
        return sample_cube(v, l, s);
    struct place p = place_in(v, l, s);
    bool linear = v->t->linear && !s->integer && !ptx_texture_is_integer(v->t);
    for (k = 0; k < p.dims; k++) {
        if (s->integer)
            a[k] = (struct axis){.i = s->coord.i[k]};
        else
            a[k] = linear ? between(texels(&p, s, k)) : nearest(texels(&p, s, k));
        at[k] = a[k].i;
    }
    return linear ? mix(v, &p, a) : fetch(v, &p, at);
}

static float length_of(const struct sample *s, const struct ptx_level *l, bool scale,
                       const float *d)
{
    uint32_t size[3] = {l->width, l->height, l->depth};
    unsigned dims = s->shape == SAMPLE_CUBE ? 3 : (unsigned)s->shape + 1, k;
    float sum = 0;

    for (k = 0; k < dims; k++) {
        float n = s->shape == SAMPLE_CUBE ? (float)l->width * 0.5f : (float)size[k];
        float x = scale ? d[k] * n : d[k];
        sum += x * x;
    }
    return sqrtf(sum);
}

/* From how far the coordinates go from pixel to pixel, as graphics have it. */
static float lod_of(const struct ptx_texture *t, const struct sample *s)
{
    float x, y;

    if (!s->has_gradient)
        return s->lod;
    x = length_of(s, &t->level[0], t->normalized_coords, s->dx);
    y = length_of(s, &t->level[0], t->normalized_coords, s->dy);
    return log2f(x > y ? x : y);
}

static float limit(float x, float low, float high)
{
    return x > high ? high : x >= low ? x : low;
}

union texel ptx_sample(struct texture_view *v, const struct sample *s)
{
    const struct ptx_texture *t = v->t;
    unsigned last = t->levels - 1, low, c;
    union texel a, b;
    float lod, weight;

    if (last == 0)
        return sample_level(v, &t->level[0], s);
    lod = limit(limit(lod_of(t, s) + t->lod_bias, t->lod_min, t->lod_max), 0, (float)last);
    if (!t->mip_linear || ptx_texture_is_integer(t))
        return sample_level(v, &t->level[(unsigned)(lod + 0.5f)], s);
    low = (unsigned)lod;
    weight = rintf((lod - (float)low) * WEIGHT_STEPS) / WEIGHT_STEPS;
    a = sample_level(v, &t->level[low], s);
    if (weight == 0)
        return a;
    b = sample_level(v, &t->level[low + 1], s);
    for (c = 0; c < t->channels; c++)
        a.f[c] = (1 - weight) * a.f[c] + weight * b.f[c];
    return a;
}

/* -------------------------------------------------------------------------------- tld4 */

/* Counter-clockwise from the lower left, as the instruction returns them. */
union texel ptx_gather_texels(struct texture_view *v, const struct sample *s, unsigned channel)
{
    static const unsigned step[4][2] = {{0, 1}, {1, 1}, {1, 0}, {0, 0}};
    const struct ptx_level *l = &v->t->level[0];
    union texel r, t;
    unsigned k;

    memset(&r, 0, sizeof(r));
    if (s->shape == SAMPLE_CUBE) {
        float st[2];
        uint32_t face = cube_face(s->coord.f, st), first = 6 * layer_of(v->t, l, s->layer);
        struct axis x = between(st[0] * (float)l->width), y = between(st[1] * (float)l->width);

        for (k = 0; k < 4; k++) {
            t = cube_texel(v, l, first, face, x.i + step[k][0], y.i + step[k][1]);
            r.u[k] = t.u[channel];
        }
        return r;
    }
    struct place p = place_in(v, l, s);
    struct axis x = between(texels(&p, s, 0)), y = between(texels(&p, s, 1));
    for (k = 0; k < 4; k++) {
        int64_t at[3] = {x.i + step[k][0], y.i + step[k][1], 0};

        t = fetch(v, &p, at);
        r.u[k] = t.u[channel];
    }
    return r;
}
