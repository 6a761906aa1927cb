/* SPDX-License-Identifier: MIT */
/* tex, tld4, txq, suld, sust, sured, suq on objects named by a handle. See lower.h, texops.h. */
#include "lower.h"

#include "atom.h"
#include "texops.h"

/* ----------------------------------------------------------------------------- geometry */

struct geometry {
    enum sample_shape shape;
    bool layered;
};

static int take_geometry(struct lower *l, struct geometry *g)
{
    static const struct {
        const char *name;
        struct geometry g;
    } known[] = {{"1d", {SAMPLE_1D, false}},   {"2d", {SAMPLE_2D, false}},
                 {"3d", {SAMPLE_3D, false}},   {"a1d", {SAMPLE_1D, true}},
                 {"a2d", {SAMPLE_2D, true}},   {"cube", {SAMPLE_CUBE, false}},
                 {"acube", {SAMPLE_CUBE, true}}};
    size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (lower_mod(l, known[i].name)) {
            *g = known[i].g;
            return 1;
        }
    return 0;
}

static unsigned dims_of(enum sample_shape s)
{
    return s == SAMPLE_CUBE ? 3 : (unsigned)s + 1;
}

/* [handle] or [handle, coordinates]; samplers beside the texture are not served. */
static const struct ast_opd *object_operand(struct lower *l, uint32_t i, uint32_t parts)
{
    const struct ast_opd *o = lower_opd(l, i);

    if (o->kind != OPD_MEM || o->off != 0)
        lower_fail(l, "operand is not an object in brackets");
    if (o->n != parts || o->elems[0].kind != OPD_REG)
        lower_unsupported(l);
    return o;
}

/* A scalar where one coordinate is enough, else a vector, padded at will. */
static void take_coords(struct lower *l, const struct ast_opd *o, struct geometry g,
                        uint32_t *coord, uint32_t *layer)
{
    const struct ast_opd *e = o->kind == OPD_VEC ? o->elems : o;
    uint32_t n = o->kind == OPD_VEC ? o->n : 1, k = 0, need = dims_of(g.shape) + g.layered, i;

    if (n < need || n > 4)
        lower_fail(l, "wrong number of coordinates");
    if (g.layered)
        *layer = lower_src(l, &e[k++], T_B32);
    for (i = 0; i < dims_of(g.shape); i++)
        coord[i] = lower_src(l, &e[k++], T_B32);
}

static void list_coords(struct lower *l, struct geometry g, uint32_t *coord, uint32_t *layer)
{
    lower_list(l, coord, dims_of(g.shape), 1, 0);
    if (g.layered)
        lower_list(l, layer, 1, 1, 0);
}

/* --------------------------------------------------------------------------------- tex */

static void take_texel(struct lower *l, struct tex_op *x)
{
    const struct ast_opd *o = lower_opd(l, 0);
    uint32_t k;

    if (o->second || o->kind != OPD_VEC || o->n != 4) /* `|p` tells of sparse memory */
        lower_unsupported(l);
    for (k = 0; k < 4; k++)
        x->dst[k] = o->elems[k].kind == OPD_SINK ? PTX_NO_REG
                                                 : lower_dst(l, &o->elems[k], T_B32);
}

static void take_gradient(struct lower *l, uint32_t i, enum sample_shape s, uint32_t *to)
{
    const struct ast_opd *o = lower_opd(l, i), *e = o->kind == OPD_VEC ? o->elems : o;
    uint32_t n = o->kind == OPD_VEC ? o->n : 1, k;

    if (n < dims_of(s))
        lower_fail(l, "wrong number of derivatives");
    for (k = 0; k < dims_of(s); k++)
        to[k] = lower_src(l, &e[k], T_B32);
}

static void check_texel_types(struct lower *l, struct tex_op *x)
{
    enum ast_type d = lower_need_type(l), c = lower_need_type(l);

    if ((d != T_F32 && d != T_U32 && d != T_S32) || (c != T_F32 && c != T_S32))
        lower_unsupported(l);
    x->integer = c == T_S32;
    if (x->integer && (x->shape == SAMPLE_CUBE || x->has_gradient))
        lower_unsupported(l);
}

/* Lists are few: the level and the layer share the fields of the uop. */
static void emit_tex(struct lower *l, struct tex_op *x, struct geometry g, uint32_t handle)
{
    struct uop *u = lower_emit(l, ptx_op_tex);
    unsigned n = dims_of(g.shape);

    u->a = handle;
    u->aux = x;
    lower_list(l, x->coord, n, 1, 0);
    if (x->has_gradient)
        lower_list(l, x->dx, 6, 1, 0); /* dx and dy, one behind the other */
    else if (g.layered || x->has_lod)
        lower_list(l, &x->layer, 2, 1, 0); /* layer and lod */
    if (x->has_gradient && g.layered)
        lower_list(l, &x->layer, 1, 1, 0);
    lower_list(l, x->dst, 4, 1, 1);
}

static void tex(struct lower *l)
{
    struct tex_op *x = lower_keep(l, sizeof(*x));
    const struct ast_opd *o;
    struct geometry g;
    uint32_t handle;
    int level = lower_mod(l, "level"), grad = lower_mod(l, "grad");

    if (!level && !grad)
        lower_mod(l, "base");
    if (!take_geometry(l, &g) || !lower_mod(l, "v4"))
        lower_unsupported(l);
    x->shape = g.shape;
    x->layered = g.layered;
    x->channel = -1;
    x->has_lod = level;
    x->has_gradient = grad;
    check_texel_types(l, x);
    lower_mods_done(l);
    lower_count(l, 2u + (uint32_t)level + 2u * (uint32_t)grad,
                2u + (uint32_t)level + 2u * (uint32_t)grad);
    o = object_operand(l, 1, 2);
    handle = lower_src(l, &o->elems[0], T_B64);
    x->layer = x->lod = lower_const(l, 0, 0, -1);
    take_coords(l, &o->elems[1], g, x->coord, &x->layer);
    if (level)
        x->lod = lower_src(l, lower_opd(l, 2), T_B32);
    if (grad) {
        uint32_t k, none = lower_const(l, 0, 0, -1);

        for (k = 0; k < 3; k++)
            x->dx[k] = x->dy[k] = none;
        take_gradient(l, 2, g.shape, x->dx);
        take_gradient(l, 3, g.shape, x->dy);
    }
    take_texel(l, x);
    emit_tex(l, x, g, handle);
}

static void tld4(struct lower *l)
{
    static const char *const channels[] = {"r", "g", "b", "a"};
    struct tex_op *x = lower_keep(l, sizeof(*x));
    const struct ast_opd *o;
    struct geometry g;
    uint32_t handle;

    for (x->channel = 0; x->channel < 4 && !lower_mod(l, channels[x->channel]); x->channel++)
        ;
    if (x->channel == 4 || !take_geometry(l, &g) || !lower_mod(l, "v4") ||
        dims_of(g.shape) == 1 || g.shape == SAMPLE_3D)
        lower_unsupported(l);
    x->shape = g.shape;
    x->layered = g.layered;
    check_texel_types(l, x);
    if (x->integer)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 2, 2);
    o = object_operand(l, 1, 2);
    handle = lower_src(l, &o->elems[0], T_B64);
    x->layer = x->lod = lower_const(l, 0, 0, -1);
    take_coords(l, &o->elems[1], g, x->coord, &x->layer);
    take_texel(l, x);
    emit_tex(l, x, g, handle);
}

/* ----------------------------------------------------------------------------- queries */

static void query(struct lower *l, int surface)
{
    static const char *const names[] = {"width", "height", "depth", "channel_data_type",
                                        "channel_order", "normalized_coords", "array_size",
                                        "num_mipmap_levels"};
    int level = !surface && lower_mod(l, "level");
    uint32_t handle, from = 0, to;
    const struct ast_opd *o;
    struct uop *u;
    unsigned q;

    for (q = 0; q < 8 && !lower_mod(l, names[q]); q++)
        ;
    if (q == 8 || lower_type(l) != T_B32)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 2u + (uint32_t)level, 2u + (uint32_t)level);
    o = object_operand(l, 1, 1);
    handle = lower_src(l, &o->elems[0], T_B64);
    if (level)
        from = lower_src(l, lower_opd(l, 2), T_B32);
    to = lower_dst(l, lower_opd(l, 0), T_B32);
    u = lower_emit(l, ptx_op_txq);
    u->a = handle;
    u->d = to;
    if (level)
        u->b = from;
    u->x[0] = (uint8_t)q;
    u->x[1] = (uint8_t)surface;
    u->x[2] = (uint8_t)level;
}

/* ---------------------------------------------------------------------------- surfaces */

static void take_bounds(struct lower *l, struct surf_op *x)
{
    if (lower_mod(l, "clamp"))
        x->bounds = SURF_CLAMP;
    else if (lower_mod(l, "zero"))
        x->bounds = SURF_ZERO;
    else if (lower_mod(l, "trap"))
        x->bounds = SURF_TRAP;
    else
        lower_unsupported(l);
}

static void take_data(struct lower *l, uint32_t i, struct surf_op *x, int dst)
{
    const struct ast_opd *o = lower_opd(l, i), *e = o->kind == OPD_VEC ? o->elems : o;
    uint32_t n = o->kind == OPD_VEC ? o->n : 1, k;
    enum ast_type t = x->bytes == 8 ? T_B64 : T_B32;

    if (n != x->count)
        lower_fail(l, "registers do not fit the vector");
    for (k = 0; k < n; k++) {
        if (dst && e[k].kind == OPD_SINK)
            x->data[k] = PTX_NO_REG;
        else
            x->data[k] = dst ? lower_dst(l, &e[k], t) : lower_src(l, &e[k], t);
    }
}

static void emit_surf(struct lower *l, struct surf_op *x, uint32_t at, uint32_t data)
{
    const struct ast_opd *o = object_operand(l, at, 2);
    struct geometry g = {x->shape, x->layered};
    uint32_t handle = lower_src(l, &o->elems[0], T_B64);
    struct uop *u;

    take_coords(l, &o->elems[1], g, x->coord, &x->layer);
    take_data(l, data, x, x->kind == SURF_LOAD);
    u = lower_emit(l, ptx_op_surf);
    u->a = handle;
    u->aux = x;
    list_coords(l, g, x->coord, &x->layer);
    lower_list(l, x->data, x->count, 1, x->kind == SURF_LOAD);
}

static struct surf_op *surf_start(struct lower *l, enum surf_kind kind)
{
    struct surf_op *x = lower_keep(l, sizeof(*x));
    struct geometry g;

    x->kind = kind;
    if (!lower_mod(l, "b") || !take_geometry(l, &g) || g.shape == SAMPLE_CUBE)
        lower_unsupported(l);
    x->shape = g.shape;
    x->layered = g.layered;
    return x;
}

static void access_surface(struct lower *l, enum surf_kind kind)
{
    static const char *const cache[] = {"ca", "cg", "cs", "cv", "wb", "wt"};
    struct surf_op *x = surf_start(l, kind);
    size_t i;

    for (i = 0; i < sizeof(cache) / sizeof(cache[0]); i++)
        if (lower_mod(l, cache[i]))
            break;
    x->count = lower_mod(l, "v2") ? 2 : lower_mod(l, "v4") ? 4 : 1;
    x->bytes = ast_type_size(lower_need_type(l));
    take_bounds(l, x);
    if (x->bytes * x->count > 16)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 2, 2);
    if (kind == SURF_LOAD)
        emit_surf(l, x, 1, 0);
    else
        emit_surf(l, x, 0, 1);
}

static void reduce_surface(struct lower *l)
{
    static const struct {
        const char *name;
        int op;
    } ops[] = {{"add", ATOM_ADD}, {"min", ATOM_MIN}, {"max", ATOM_MAX},
               {"and", ATOM_AND}, {"or", ATOM_OR}};
    struct surf_op *x = surf_start(l, SURF_REDUCE);
    size_t i, n = sizeof(ops) / sizeof(ops[0]);

    for (i = 0; i < n && !lower_mod(l, ops[i].name); i++)
        ;
    x->count = 1;
    x->type = lower_need_type(l);
    x->bytes = ast_type_size((enum ast_type)x->type);
    if (i == n || (x->bytes != 4 && (x->bytes != 8 || ops[i].op != ATOM_ADD)))
        lower_unsupported(l);
    x->reduce = ops[i].op;
    take_bounds(l, x);
    lower_mods_done(l);
    lower_count(l, 2, 2);
    emit_surf(l, x, 0, 1);
}

int lower_tex(struct lower *l)
{
    if (lower_base(l, "tex"))
        tex(l);
    else if (lower_base(l, "tld4"))
        tld4(l);
    else if (lower_base(l, "txq"))
        query(l, 0);
    else if (lower_base(l, "suq"))
        query(l, 1);
    else if (lower_base(l, "suld"))
        access_surface(l, SURF_LOAD);
    else if (lower_base(l, "sust"))
        access_surface(l, SURF_STORE);
    else if (lower_base(l, "sured"))
        reduce_surface(l);
    else
        return 0;
    return 1;
}
