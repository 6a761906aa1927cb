/* SPDX-License-Identifier: MIT */
/* mma, wmma, ldmatrix, stmatrix. See lower.h and matrix.c. */
#include "lower.h"

#include "newops.h"

#include <string.h>

static enum matrix_type matrix_type(struct lower *l, enum ast_type t)
{
    switch (t) {
    case T_F16: return MX_F16;
    case T_BF16: return MX_BF16;
    case T_TF32: return MX_TF32;
    case T_F32: return MX_F32;
    case T_F64: return MX_F64;
    case T_S8: return MX_S8;
    case T_U8: return MX_U8;
    case T_S32: return MX_S32;
    default: lower_unsupported(l);
    }
}

/* Elements in registers: {a, b, ...} of 32 or 64 bits. */
static void take_part(struct lower *l, uint32_t i, enum matrix_type t, int dst,
                      struct matrix_part *p)
{
    const struct ast_opd *o = lower_opd(l, i), *e = o->kind == OPD_VEC ? o->elems : o;
    uint32_t n = o->kind == OPD_VEC ? o->n : 1, k;

    if (n > 8)
        lower_unsupported(l);
    p->n = n;
    p->type = t;
    for (k = 0; k < n; k++) {
        enum ast_type rt = t == MX_F64 ? T_B64 : T_B32;

        p->slots[k] = dst ? lower_dst(l, &e[k], rt) : lower_src(l, &e[k], rt);
    }
}

static void list_part(struct lower *l, struct matrix_part *p, int is_def)
{
    lower_list(l, p->slots, p->n, 1, is_def);
}

static int take_shape(struct lower *l, struct matrix_op *x)
{
    static const struct {
        const char *name;
        uint32_t m, n, k;
    } shapes[] = {{"m16n8k4", 16, 8, 4},     {"m16n8k8", 16, 8, 8},     {"m16n8k16", 16, 8, 16},
                  {"m16n8k32", 16, 8, 32},   {"m8n8k4", 8, 8, 4},       {"m8n8k16", 8, 8, 16},
                  {"m16n16k16", 16, 16, 16}, {"m32n8k16", 32, 8, 16},   {"m8n32k16", 8, 32, 16},
                  {"m16n16k8", 16, 16, 8}};
    size_t i;

    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        if (lower_mod(l, shapes[i].name)) {
            x->m = shapes[i].m;
            x->n = shapes[i].n;
            x->k = shapes[i].k;
            return 1;
        }
    }
    return 0;
}

static unsigned bits_of(enum matrix_type t)
{
    switch (t) {
    case MX_F16: case MX_BF16: return 16;
    case MX_S8: case MX_U8: return 8;
    case MX_F64: return 64;
    default: return 32;
    }
}

static uint32_t regs_for(enum matrix_type t, uint32_t elems)
{
    unsigned bits = bits_of(t);

    return bits >= 32 ? elems / PTX_LANES : elems * bits / 32 / PTX_LANES;
}

static int accumulates(enum matrix_type in, enum matrix_type acc)
{
    switch (in) {
    case MX_F16: return acc == MX_F16 || acc == MX_F32;
    case MX_BF16: case MX_TF32: return acc == MX_F32;
    case MX_S8: case MX_U8: return acc == MX_S32;
    case MX_F64: return acc == MX_F64;
    default: return 0;
    }
}

static void check_types(struct lower *l, const struct matrix_op *x)
{
    if (!accumulates(x->a.type, x->d.type) || !accumulates(x->b.type, x->c.type) ||
        bits_of(x->a.type) != bits_of(x->b.type))
        lower_unsupported(l);
}

/* mma's register counts follow from the shape; that also bounds every index. */
static void check_mma(struct lower *l, const struct matrix_op *x)
{
    check_types(l, x);
    if (x->m == 8 && x->a.type == MX_F16)
        lower_unsupported(l); /* m8n8k4 of f16 is four small products */
    if (x->a.n != regs_for(x->a.type, x->m * x->k) || x->b.n != regs_for(x->b.type, x->k * x->n) ||
        x->c.n != regs_for(x->c.type, x->m * x->n) || x->d.n != regs_for(x->d.type, x->m * x->n) ||
        !x->a.n || !x->b.n || !x->c.n || !x->d.n || x->n != 8)
        lower_fail(l, "registers do not fit the shape");
}

static void mma(struct lower *l)
{
    struct matrix_op *x = lower_keep(l, sizeof(*x));
    enum matrix_type t[4];
    int i;

    lower_mod(l, "sync");
    lower_mod(l, "aligned");
    if (!take_shape(l, x) || !lower_mod(l, "row") || !lower_mod(l, "col"))
        lower_unsupported(l);
    x->saturate = lower_mod(l, "satfinite");
    for (i = 0; i < 4; i++)
        t[i] = matrix_type(l, lower_need_type(l));
    lower_mods_done(l);
    lower_count(l, 4, 4);
    take_part(l, 1, t[1], 0, &x->a);
    take_part(l, 2, t[2], 0, &x->b);
    take_part(l, 3, t[3], 0, &x->c);
    take_part(l, 0, t[0], 1, &x->d);
    check_mma(l, x);
    lower_emit(l, ptx_op_mma)->aux = x;
    list_part(l, &x->a, 0);
    list_part(l, &x->b, 0);
    list_part(l, &x->c, 0);
    list_part(l, &x->d, 1);
}

/* ----------------------------------------------------------------------- wmma */

static void wmma_memory(struct lower *l, int is_store)
{
    static const char *const which[] = {"a", "b", "c", "d"};
    struct matrix_op *x = lower_keep(l, sizeof(*x));
    uint32_t mem = is_store ? 0 : 1, list = is_store ? 1 : 0;
    struct lower_addr addr;
    enum ast_space space;
    struct uop *u;
    int part;

    for (part = 0; part < 4 && !lower_mod(l, which[part]); part++)
        ;
    lower_mod(l, "sync");
    lower_mod(l, "aligned");
    x->col_major = lower_mod(l, "col");
    if (part == 4 || (!x->col_major && !lower_mod(l, "row")) || !take_shape(l, x))
        lower_unsupported(l);
    space = lower_space(l);
    x->rows = part == 1 ? x->k : x->m;
    x->cols = part == 0 ? x->k : x->n;
    x->d.type = matrix_type(l, lower_need_type(l));
    lower_mods_done(l);
    lower_count(l, 2, 3);
    take_part(l, list, x->d.type, !is_store, &x->d);
    if (x->d.n < regs_for(x->d.type, x->rows * x->cols))
        lower_fail(l, "registers do not fit the shape");
    if (l->in->n == 3) {
        x->has_stride = 1;
        x->stride = lower_src(l, lower_opd(l, 2), T_U32);
    }
    lower_address(l, lower_opd(l, mem), space, &addr);
    if (addr.space == MEM_FRAME)
        lower_unsupported(l);
    u = lower_emit(l, is_store ? ptx_op_wmma_store : ptx_op_wmma_load);
    lower_set_address(u, &addr);
    u->aux = x;
    list_part(l, &x->d, !is_store);
    lower_list(l, &x->stride, 1, 1, 0);
}

static void wmma_mma(struct lower *l)
{
    struct matrix_op *x = lower_keep(l, sizeof(*x));
    enum matrix_type t[4];
    int n = 0, i;

    lower_mod(l, "sync");
    lower_mod(l, "aligned");
    for (i = 0; i < 2; i++) /* fragments are stored the same way for both */
        if (!lower_mod(l, "row") && !lower_mod(l, "col"))
            lower_unsupported(l);
    if (!take_shape(l, x))
        lower_unsupported(l);
    x->saturate = lower_mod(l, "satfinite");
    while (n < 4) {
        enum ast_type at = lower_type(l);

        if (at == T_NONE)
            break;
        t[n++] = matrix_type(l, at);
    }
    lower_mods_done(l);
    lower_count(l, 4, 4);
    if (n != 2 && n != 4)
        lower_unsupported(l);
    /* .dtype.ctype alone: f16 inputs */
    take_part(l, 1, n == 4 ? t[1] : MX_F16, 0, &x->a);
    take_part(l, 2, n == 4 ? t[2] : MX_F16, 0, &x->b);
    take_part(l, 3, t[n - 1], 0, &x->c);
    take_part(l, 0, t[0], 1, &x->d);
    check_types(l, x);
    if (x->a.n < regs_for(x->a.type, x->m * x->k) || x->b.n < regs_for(x->b.type, x->k * x->n) ||
        x->c.n != regs_for(x->c.type, x->m * x->n) || x->d.n != regs_for(x->d.type, x->m * x->n))
        lower_fail(l, "registers do not fit the shape");
    lower_emit(l, ptx_op_wmma_mma)->aux = x;
    list_part(l, &x->a, 0);
    list_part(l, &x->b, 0);
    list_part(l, &x->c, 0);
    list_part(l, &x->d, 1);
}

/* ------------------------------------------------------------------- ldmatrix */

static void ldmatrix(struct lower *l, int is_store)
{
    struct matrix_op *x = lower_keep(l, sizeof(*x));
    struct lower_addr addr;
    enum ast_space space;
    struct uop *u;

    lower_mod(l, "sync");
    lower_mod(l, "aligned");
    if (!lower_mod(l, "m8n8"))
        lower_unsupported(l);
    x->count = lower_mod(l, "x1") ? 1 : lower_mod(l, "x2") ? 2 : lower_mod(l, "x4") ? 4 : 0;
    x->trans = lower_mod(l, "trans");
    x->is_store = is_store;
    space = lower_space(l);
    if (!x->count || lower_need_type(l) != T_B16)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 2, 2);
    take_part(l, is_store ? 1 : 0, MX_F32, !is_store, &x->d);
    if (x->d.n != x->count)
        lower_fail(l, "registers do not fit the shape");
    lower_address(l, lower_opd(l, is_store ? 0 : 1), space, &addr);
    if (addr.space == MEM_FRAME)
        lower_unsupported(l);
    u = lower_emit(l, ptx_op_ldmatrix);
    lower_set_address(u, &addr);
    u->aux = x;
    list_part(l, &x->d, !is_store);
}

int lower_matrix(struct lower *l)
{
    if (lower_base(l, "mma"))
        mma(l);
    else if (lower_base(l, "wmma") && lower_mod(l, "mma"))
        wmma_mma(l);
    else if (lower_base(l, "wmma") && lower_mod(l, "load"))
        wmma_memory(l, 0);
    else if (lower_base(l, "wmma") && lower_mod(l, "store"))
        wmma_memory(l, 1);
    else if (lower_base(l, "ldmatrix"))
        ldmatrix(l, 0);
    else if (lower_base(l, "stmatrix"))
        ldmatrix(l, 1);
    else
        return 0;
    return 1;
}
