/* SPDX-License-Identifier: MIT */
/* ld, st and what only names memory. See lower.h. */
#include "lower.h"

#include <string.h>

enum ast_space lower_space(struct lower *l)
{
    static const struct {
        const char *name;
        enum ast_space space;
    } names[] = {{"global", SP_GLOBAL},       {"shared", SP_SHARED},
                 {"shared::cta", SP_SHARED},  {"shared::cluster", SP_SHARED},
                 {"local", SP_LOCAL},         {"const", SP_CONST},
                 {"param", SP_PARAM},         {"param::entry", SP_PARAM},
                 {"param::func", SP_PARAM}};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (lower_mod(l, names[i].name))
            return names[i].space;
    return SP_NONE;
}

/* What orders accesses makes them "strong"; what only advises caches is dropped. */
void lower_memory_mods(struct lower *l, int *strong)
{
    static const char *const orders[] = {"volatile", "relaxed", "acquire", "release", "acq_rel",
                                         "seq_cst", "mmio"};
    static const char *const hints[] = {
        "weak", "cta", "cluster", "gpu", "sys", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc",
        "L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last",
        "L1::no_allocate", "L2::64B", "L2::128B", "L2::256B", "L2::evict_first",
        "L2::evict_last", "L2::evict_normal", "unified"};
    size_t i;

    *strong = 0;
    for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
        if (lower_mod(l, orders[i]))
            *strong = 1;
    for (i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        lower_mod(l, hints[i]);
}

void lower_set_address(struct uop *u, const struct lower_addr *r)
{
    u->a = r->a;
    u->imm = r->imm;
    u->x[0] = r->space;
    u->x[1] = r->wide;
}

static uint8_t mem_space(struct lower *l, enum ast_space s)
{
    switch (s) {
    case SP_NONE: return MEM_GENERIC;
    case SP_SHARED: return MEM_SHARED;
    case SP_LOCAL: return MEM_LOCAL;
    case SP_PARAM: return l->f->is_entry ? MEM_PARAM : MEM_LOCAL;
    default: return MEM_GLOBAL;
    }
}

static int is_frame_var(const struct lower *l, const struct ast_sym *y)
{
    return y->kind == SYM_VAR && (y->var->space == SP_LOCAL || y->var->space == SP_PARAM) &&
           !(l->f->is_entry && y->var->index >= 0);
}

static void check_offset(struct lower *l, const struct ast_sym *y, int64_t off)
{
    if (off < 0 || (uint64_t)off >= y->var->size)
        lower_fail(l, "offset outside of '%.100s'", y->name);
}

void lower_address(struct lower *l, const struct ast_opd *o, enum ast_space space,
                   struct lower_addr *r)
{
    const struct ast_opd *b;

    if (o->kind != OPD_MEM || o->n != 1)
        lower_fail(l, "bad address");
    b = &o->elems[0];
    r->space = mem_space(l, space);
    r->imm = o->off;
    r->wide = 1;
    if (b->kind == OPD_REG) {
        r->wide = lower_slot_bytes(b->type) == 8;
        r->a = lower_src(l, b, r->wide ? T_B64 : T_B32);
    } else if (b->kind == OPD_INT) {
        r->a = lower_const(l, b->imm, 1, -1);
    } else if (b->kind == OPD_SYM && is_frame_var(l, b->sym) && space != SP_NONE) {
        check_offset(l, b->sym, o->off);
        r->space = MEM_FRAME;
        r->a = ENC_PRED;
        r->imm = (int64_t)b->sym->var->offset + o->off;
    } else if (b->kind == OPD_SYM) {
        struct ast_opd with = *b;

        with.off = o->off;
        r->imm = 0;
        r->a = lower_sym_address(l, &with, 1, space == SP_NONE);
    } else {
        lower_fail(l, "bad address");
    }
}

void lower_list(struct lower *l, uint32_t *slots, uint32_t n, uint32_t stride, int is_def)
{
    struct lower_info *info = lower_last_info(l);
    int i;

    for (i = 0; i < LOWER_LISTS && info->list[i].n; i++)
        ;
    if (n == 0)
        return;
    if (i == LOWER_LISTS)
        lower_unsupported(l);
    info->list[i].slots = slots;
    info->list[i].n = n;
    info->list[i].stride = stride;
    info->list[i].is_def = is_def;
}

/* Elements of {a, b} or of one register, as 32- or 64-bit slots. b128 counts two. */
uint32_t *lower_vector(struct lower *l, const struct ast_opd *o, enum ast_type t, int dst,
                       uint32_t *n, int *wide)
{
    uint32_t count = o->kind == OPD_VEC ? o->n : 1, i, k = 0;
    const struct ast_opd *e = o->kind == OPD_VEC ? o->elems : o;
    uint32_t *slots = lower_keep(l, 2 * (size_t)count * sizeof(*slots));

    *wide = -1;
    for (i = 0; i < count; i++) {
        enum ast_type rt = t;
        int w;

        if (e[i].kind == OPD_SINK && dst) {
            slots[k++] = PTX_NO_REG;
            if (t == T_B128)
                slots[k++] = PTX_NO_REG;
            continue;
        }
        /* A register may be wider than what is loaded or stored. */
        if (e[i].kind == OPD_REG && lower_slot_bytes(e[i].type) > lower_slot_bytes(t))
            rt = e[i].type;
        w = lower_slot_bytes(rt) >= 8;
        if (*wide >= 0 && w != *wide)
            lower_fail(l, "registers of different widths");
        *wide = w;
        slots[k++] = dst ? lower_dst(l, &e[i], rt) : lower_src(l, &e[i], rt);
        if (t == T_B128) {
            slots[k] = lower_second_half(l, slots[k - 1]);
            k++;
        }
    }
    if (*wide < 0)
        *wide = lower_slot_bytes(t) >= 8;
    *n = k;
    return slots;
}

static uint32_t vector_length(struct lower *l)
{
    return lower_mod(l, "v2") ? 2 : lower_mod(l, "v4") ? 4 : lower_mod(l, "v8") ? 8 : 1;
}

static int is_kernel_param(const struct lower *l, const struct ast_opd *o)
{
    return l->f->is_entry && o->kind == OPD_MEM && o->n == 1 && o->elems[0].kind == OPD_SYM &&
           o->elems[0].sym->kind == SYM_VAR && o->elems[0].sym->var->space == SP_PARAM &&
           o->elems[0].sym->var->index >= 0;
}

static void set_elements(struct lower *l, struct uop *u, uint32_t *slots, uint32_t n, int wide,
                         enum ast_type t, int strong, int is_def)
{
    u->x[2] = (uint8_t)(t == T_B128 ? 8 : ast_type_size(t));
    u->x[3] = (uint8_t)lower_is_signed(t);
    u->x[4] = (uint8_t)n;
    u->x[5] = (uint8_t)wide;
    u->x[6] = (uint8_t)strong;
    if (n == 1) {
        u->d = slots[0];
        lower_last_info(l)->d_is_use = !is_def;
    } else {
        u->aux = slots;
        lower_list(l, slots, n, 1, is_def);
    }
}

/* MEM_FRAME is not checked when it runs, so it is here. */
static void check_frame(struct lower *l, const struct ast_opd *o, const struct lower_addr *r,
                        uint32_t bytes)
{
    const struct ast_opd *b = &o->elems[0];

    if (r->space != MEM_FRAME)
        return;
    if ((uint64_t)o->off + bytes > b->sym->var->size)
        lower_fail(l, "access beyond the end of '%.100s'", b->sym->name);
}

static void load_kernel_param(struct lower *l, uint32_t *slots, uint32_t n, int wide,
                              enum ast_type t, const struct ast_opd *o)
{
    uint32_t bytes = (t == T_B128 ? 8 : ast_type_size(t)) * n;
    struct ast_var *v = o->elems[0].sym->var;
    struct uop *u;

    if (o->off < 0 || (uint64_t)o->off + bytes > v->size)
        lower_fail(l, "access beyond the end of '%.100s'", o->elems[0].sym->name);
    u = lower_emit(l, ptx_op_ld_param);
    u->imm = (int64_t)v->offset + o->off;
    set_elements(l, u, slots, n, wide, t, 0, 1);
}

/* Vector handlers for the commonest accesses; see alu_simd_mem.h. */
static void use_fast_handler(struct uop *u, int is_store)
{
    int global = u->x[0] == MEM_GLOBAL || u->x[0] == MEM_GENERIC;

    if (u->x[4] != 1 || u->x[6] || u->x[2] != (u->x[5] ? 8 : 4))
        return;
    if (global && u->x[1])
        u->fn = u->x[5] ? ptx_alu(is_store ? ALU_stg_64 : ALU_ldg_64)
                        : ptx_alu(is_store ? ALU_stg_32 : ALU_ldg_32);
    else if (u->x[0] == MEM_SHARED && !u->x[1] && !u->x[5])
        u->fn = ptx_alu(is_store ? ALU_sts_32 : ALU_lds_32);
}

static void load_store(struct lower *l, int is_store)
{
    enum ast_space space = lower_space(l);
    uint32_t vec = vector_length(l), n, *slots;
    const struct ast_opd *data, *mem;
    struct lower_addr addr;
    enum ast_type t;
    struct uop *u;
    int strong, wide;

    lower_memory_mods(l, &strong);
    t = lower_need_type(l);
    lower_mods_done(l);
    lower_count(l, 2, 2);
    data = lower_opd(l, is_store ? 1 : 0);
    mem = lower_opd(l, is_store ? 0 : 1);
    if (t == T_PRED || (data->kind == OPD_VEC ? data->n : 1) != vec)
        lower_fail(l, "bad operand");
    slots = lower_vector(l, data, t, !is_store, &n, &wide);
    if (n * ast_type_size(t) > 64 || n > 8)
        lower_unsupported(l);
    if (!is_store && space == SP_PARAM && is_kernel_param(l, mem)) {
        load_kernel_param(l, slots, n, wide, t, mem);
        return;
    }
    lower_address(l, mem, space, &addr);
    check_frame(l, mem, &addr, vec * ast_type_size(t));
    u = lower_emit(l, is_store ? ptx_op_st : ptx_op_ld);
    lower_set_address(u, &addr);
    set_elements(l, u, slots, n, wide, t, strong, !is_store);
    use_fast_handler(u, is_store);
}

static void isspacep(struct lower *l)
{
    enum ast_space space = lower_space(l);
    uint32_t a;
    struct uop *u;

    lower_mods_done(l);
    lower_count(l, 2, 2);
    a = lower_src(l, lower_opd(l, 1), T_B64);
    u = lower_emit(l, ptx_op_isspacep);
    u->d = lower_pred_dst(l, lower_opd(l, 0));
    u->a = a;
    /* .const variables live in global memory; no address is only const. */
    u->x[0] = space == SP_NONE ? MEM_GLOBAL : mem_space(l, space);
}

/* prefetch, applypriority, discard, createpolicy...: hints without effect */
static int hint(struct lower *l)
{
    if (!lower_base(l, "prefetch") && !lower_base(l, "prefetchu") &&
        !lower_base(l, "applypriority") && !lower_base(l, "discard"))
        return 0;
    lower_emit(l, ptx_op_nop);
    return 1;
}

int lower_mem(struct lower *l)
{
    if (lower_base(l, "ld") || lower_base(l, "ldu"))
        load_store(l, 0);
    else if (lower_base(l, "st"))
        load_store(l, 1);
    else if (lower_base(l, "isspacep"))
        isspacep(l);
    else
        return hint(l);
    return 1;
}
