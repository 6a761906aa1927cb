/* SPDX-License-Identifier: MIT */
/*
 * Surface loads, stores and reductions. Coordinate x counts bytes, y and z texels;
 * what lies outside traps, is moved to the edge, or is zero. See texops.h.
 */
#include "texops.h"

#include <string.h>

#include "ast.h"
#include "atom.h"

static const struct ptx_texture *find(const struct warp *w, uint64_t handle)
{
    const struct ptx_textures *t = &w->cta->grid->l->textures;

    return t->find ? t->find(t->ctx, handle, true) : NULL;
}

/* Where one lane's access goes: NULL outside, with *ret_trap set if that is a fault. */
struct reach {
    const struct ptx_texture *t;
    const struct surf_op *o;
    int64_t at[3];      /* x in bytes */
    int64_t layer;
};

static bool bring_in(int64_t *i, int64_t n, int64_t room, enum surf_bounds bounds)
{
    if (*i >= 0 && *i <= n - room)
        return true;
    if (bounds != SURF_CLAMP || n < room)
        return false;
    *i = *i < 0 ? 0 : n - room;
    return true;
}

static unsigned char *reach_memory(struct reach *r)
{
    const struct ptx_level *l = &r->t->level[0];
    unsigned dims = (unsigned)r->o->shape + 1, access = r->o->bytes * r->o->count;
    int64_t row = (int64_t)l->width * ptx_texel_bytes(r->t->texel) * r->t->channels;
    enum surf_bounds b = r->o->bounds;
    int64_t slice = 0;

    if (!bring_in(&r->at[0], row, access, b) || (dims > 1 && !bring_in(&r->at[1], l->height, 1, b)))
        return NULL;
    if (dims == 3) {
        if (!bring_in(&r->at[2], l->depth, 1, b))
            return NULL;
        slice = r->at[2];
    } else if (r->o->layered) {
        if (!bring_in(&r->layer, l->depth, 1, b))
            return NULL;
        slice = r->layer;
    }
    return (unsigned char *)(uintptr_t)(l->base + (uint64_t)slice * l->slice +
                                        (dims > 1 ? (uint64_t)r->at[1] * l->row : 0) +
                                        (uint64_t)r->at[0]);
}

static void load(struct warp *w, const struct surf_op *o, uint32_t lane, const unsigned char *p)
{
    unsigned k;

    for (k = 0; k < o->count; k++) {
        uint64_t v = 0;

        if (p)
            memcpy(&v, p + k * o->bytes, o->bytes);
        if (o->data[k] == PTX_NO_REG)
            continue;
        if (o->bytes == 8)
            reg64(w, o->data[k])[lane] = v;
        else
            reg32(w, o->data[k])[lane] = (uint32_t)v;
    }
}

static uint64_t operand(const struct warp *w, const struct surf_op *o, uint32_t lane, unsigned k)
{
    return o->bytes == 8 ? reg64(w, o->data[k])[lane] : reg32(w, o->data[k])[lane];
}

static void store(struct warp *w, const struct surf_op *o, uint32_t lane, unsigned char *p)
{
    unsigned k;

    for (k = 0; p && k < o->count; k++) {
        uint64_t v = operand(w, o, lane, k);

        memcpy(p + k * o->bytes, &v, o->bytes);
    }
}

static uint32_t combine32(const struct surf_op *o, uint32_t a, uint32_t b)
{
    switch (o->reduce) {
    case ATOM_ADD: return a + b;
    case ATOM_AND: return a & b;
    case ATOM_OR: return a | b;
    case ATOM_MIN: return o->type == T_S32 ? ((int32_t)a < (int32_t)b ? a : b) : a < b ? a : b;
    default: return o->type == T_S32 ? ((int32_t)a > (int32_t)b ? a : b) : a > b ? a : b;
    }
}

static void reduce(struct warp *w, const struct surf_op *o, uint32_t lane, unsigned char *p)
{
    uint64_t v = operand(w, o, lane, 0);
    uint32_t old, next;

    if (!p)
        return;
    if (o->bytes == 8) { /* only sums come in 64 bits */
        __atomic_fetch_add((uint64_t *)(void *)p, v, __ATOMIC_RELAXED);
        return;
    }
    old = __atomic_load_n((uint32_t *)(void *)p, __ATOMIC_RELAXED);
    do {
        next = combine32(o, old, (uint32_t)v);
    } while (!__atomic_compare_exchange_n((uint32_t *)(void *)p, &old, next, 1, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
}

static struct reach reach_of(const struct warp *w, const struct surf_op *o,
                             const struct ptx_texture *t, uint32_t lane)
{
    struct reach r = {.t = t, .o = o};
    unsigned k;

    for (k = 0; k <= (unsigned)o->shape; k++)
        r.at[k] = (int32_t)reg32(w, o->coord[k])[lane];
    if (o->layered)
        r.layer = (int32_t)reg32(w, o->layer)[lane];
    return r;
}

static int one_lane(struct warp *w, const struct uop *u, uint32_t lane)
{
    const struct surf_op *o = u->aux;
    uint64_t handle = reg64(w, u->a)[lane];
    const struct ptx_texture *t = find(w, handle);

    /* The faces of a cube are layers to a surface. */
    if (!t || (t->layered || t->cube) != o->layered)
        return ptx_fault(w, u, (int)lane, PTX_FAULT_ADDRESS, handle,
                         "no such surface object: 0x%llx", (unsigned long long)handle);
    struct reach r = reach_of(w, o, t, lane);
    if (r.at[0] & (int64_t)(o->bytes * o->count - 1))
        return ptx_fault(w, u, (int)lane, PTX_FAULT_MISALIGNED, (uint64_t)r.at[0],
                         "surface access of %u bytes at byte %lld", o->bytes * o->count,
                         (long long)r.at[0]);
    unsigned char *p = reach_memory(&r);
    if (!p && o->bounds == SURF_TRAP)
        return ptx_fault(w, u, (int)lane, PTX_FAULT_TRAP, (uint64_t)r.at[0],
                         "surface access outside, at byte %lld of a row", (long long)r.at[0]);
    if (o->kind == SURF_LOAD)
        load(w, o, lane, p);
    else if (o->kind == SURF_STORE)
        store(w, o, lane, p);
    else
        reduce(w, o, lane, p);
    return CTL_NEXT;
}

HANDLER(ptx_op_surf)
{
    FOR_LANES(i, mask)
        if (one_lane(w, u, i))
            return CTL_FAULT;
    return CTL_NEXT;
}
