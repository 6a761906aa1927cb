/* SPDX-License-Identifier: MIT */
/* setp, set, selp, slct. See lower.h. */
#include "lower.h"

#include "alu_ops.h"

#include <string.h>

/* Order as enum cmp_op; lo ls hi hs are unsigned spellings. */
static const char *const cmp_names[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ", "neu",
                                        "ltu", "leu", "gtu", "geu", "num", "nan", "lo",  "ls",
                                        "hi",  "hs"};
enum { CMP_LO = 14, CMP_NAMES = 18 };

struct cmp {
    int op;
    enum bool_op boolean;
    int ftz;
    enum ast_type type;
};

static void take_cmp(struct lower *l, struct cmp *c)
{
    for (c->op = 0; c->op < CMP_NAMES && !lower_mod(l, cmp_names[c->op]); c->op++)
        ;
    if (c->op == CMP_NAMES)
        lower_unsupported(l);
    if (c->op >= CMP_LO)
        c->op = (int[]){CMP_LT, CMP_LE, CMP_GT, CMP_GE}[c->op - CMP_LO];
    c->boolean = lower_mod(l, "and")   ? BOOL_AND
                 : lower_mod(l, "or")  ? BOOL_OR
                 : lower_mod(l, "xor") ? BOOL_XOR
                                       : BOOL_NONE;
    c->ftz = lower_mod(l, "ftz");
}

static enum alu_op int_compare(struct lower *l, enum ast_type t, int op)
{
    static const enum alu_op all[] = {ALU_eq_u16, ALU_eq_u16, ALU_eq_u32,
                                      ALU_eq_u32, ALU_eq_u64, ALU_eq_u64};
    static const enum alu_op order[] = {ALU_lt_s16, 0, ALU_lt_s32, 0, ALU_lt_s64, 0};
    int row = lower_int_row(l, t);

    if (op > CMP_GE)
        lower_unsupported(l);
    if (lower_is_signed(t) && op >= CMP_LT)
        return (enum alu_op)(order[row] + (op - CMP_LT));
    return (enum alu_op)(all[row] + op);
}

static struct uop *emit_compare(struct lower *l, const struct cmp *c, uint32_t a, uint32_t b,
                                int upper)
{
    enum ast_type t = c->type;
    struct uop *u;

    if (t == T_F32 || t == T_F64) {
        u = lower_emit(l, ptx_alu((enum alu_op)((t == T_F64 ? ALU_eq_f64 : ALU_eq_f32) + c->op)));
    } else if (lower_is_float(t)) {
        u = lower_emit(l, ptx_op_half_cmp);
        u->x[2] = (uint8_t)c->op;
        u->x[3] = t == T_BF16 || t == T_BF16X2;
        u->imm = upper;
    } else {
        u = lower_emit(l, ptx_alu(int_compare(l, t, c->op)));
    }
    u->a = a;
    u->b = b;
    return u;
}

static uint32_t compare_src(struct lower *l, uint32_t i, const struct cmp *c)
{
    uint32_t a = lower_src(l, lower_opd(l, i), c->type), t;

    if (!c->ftz || c->type != T_F32)
        return a;
    t = lower_temp(l, 4);
    lower_alu(l, ALU_ftz_f32, t, a, 0, 0);
    return t;
}

static void compare(struct lower *l, const struct cmp *c, uint32_t p, uint32_t q, int second_half)
{
    uint32_t a, b, third = 0;
    uint8_t neg = 0;
    struct uop *u;

    a = compare_src(l, 1, c);
    b = compare_src(l, 2, c);
    if (c->boolean != BOOL_NONE)
        third = lower_pred_src(l, lower_opd(l, 3), &neg);
    u = emit_compare(l, c, a, b, second_half);
    u->d = p;
    u->e = q;
    u->c = third;
    u->x[0] = (uint8_t)c->boolean;
    u->x[1] = neg;
}

static void setp(struct lower *l)
{
    struct cmp c;
    struct ast_opd *d;
    uint32_t p, q = 0;
    int packed;

    take_cmp(l, &c);
    c.type = lower_need_type(l);
    lower_mods_done(l);
    lower_count(l, c.boolean ? 4 : 3, c.boolean ? 4 : 3);
    d = lower_opd(l, 0);
    p = lower_pred_dst(l, d);
    if (d->second)
        q = lower_pred_dst(l, d->second);
    packed = c.type == T_F16X2 || c.type == T_BF16X2;
    if (!packed) {
        compare(l, &c, p, q, 0);
        return;
    }
    if (!q)
        lower_fail(l, "two predicates are needed");
    compare(l, &c, p, 0, 0);
    compare(l, &c, q, 0, 1);
}

/* The value "true" of set's result type. */
static uint64_t truth(struct lower *l, enum ast_type t)
{
    switch (t) {
    case T_U32: case T_S32: return 0xffffffffu;
    case T_U16: case T_S16: return 0xffffu;
    case T_F32: return 0x3f800000u;
    case T_F16: return 0x3c00;
    case T_BF16: return 0x3f80;
    default: lower_unsupported(l);
    }
}

static void set_packed(struct lower *l, const struct cmp *c, enum ast_type dt)
{
    uint32_t p = lower_temp_pred(l), q = lower_temp_pred(l), lo, hi, zero, d;
    int is_float = dt == T_F16X2 || dt == T_BF16X2;
    uint32_t one = dt == T_F16X2 ? 0x3c00 : dt == T_BF16X2 ? 0x3f80 : 0xffff;

    if (!is_float && ast_type_size(dt) != 4)
        lower_unsupported(l);
    compare(l, c, p, 0, 0);
    compare(l, c, q, 0, 1);
    lo = lower_temp(l, 4);
    hi = lower_temp(l, 4);
    zero = lower_const(l, 0, 0, -1);
    d = lower_dst(l, lower_opd(l, 0), dt);
    lower_alu(l, ALU_selp_32, lo, lower_const(l, one, 0, -1), zero, p);
    lower_alu(l, ALU_selp_32, hi, lower_const(l, one << 16, 0, -1), zero, q);
    lower_alu(l, ALU_or_32, d, lo, hi, 0);
}

static void set(struct lower *l)
{
    struct cmp c;
    enum ast_type dt;
    uint32_t p, d;

    take_cmp(l, &c);
    dt = lower_need_type(l);
    c.type = lower_need_type(l);
    lower_mods_done(l);
    lower_count(l, c.boolean ? 4 : 3, c.boolean ? 4 : 3);
    if (c.type == T_F16X2 || c.type == T_BF16X2) {
        set_packed(l, &c, dt);
        return;
    }
    p = lower_temp_pred(l);
    compare(l, &c, p, 0, 0);
    d = lower_dst(l, lower_opd(l, 0), dt);
    lower_alu(l, ALU_selp_32, d, lower_const(l, truth(l, dt), 0, -1), lower_const(l, 0, 0, -1), p);
}

static void selp(struct lower *l)
{
    enum ast_type t = lower_need_type(l);
    uint32_t a, b, p, d;
    uint8_t neg;

    lower_mods_done(l);
    lower_count(l, 4, 4);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), t);
    p = lower_pred_src(l, lower_opd(l, 3), &neg);
    d = lower_dst(l, lower_opd(l, 0), t);
    if (lower_slot_bytes(t) > 8)
        lower_unsupported(l);
    lower_alu(l, lower_slot_bytes(t) == 8 ? ALU_selp_64 : ALU_selp_32, d, a, b, p)->x[1] = neg;
}

static void slct(struct lower *l)
{
    int ftz = lower_mod(l, "ftz");
    enum ast_type t = lower_need_type(l), ct = lower_need_type(l);
    uint32_t a, b, c, d, flushed;
    struct uop *u;
    int wide = lower_slot_bytes(t) == 8;

    lower_mods_done(l);
    lower_count(l, 4, 4);
    if (ct != T_S32 && ct != T_F32)
        lower_unsupported(l);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), t);
    c = lower_src(l, lower_opd(l, 3), ct);
    if (ftz) {
        flushed = lower_temp(l, 4);
        lower_alu(l, ALU_ftz_f32, flushed, c, 0, 0);
        c = flushed;
    }
    d = lower_dst(l, lower_opd(l, 0), t);
    u = lower_emit(l, ptx_op_bits);
    u->a = a;
    u->b = b;
    u->c = c;
    u->d = d;
    u->x[0] = BITS_SLCT;
    u->x[2] = wide ? 8 : 4;
    u->x[3] = ct == T_F32;
    u->x[5] = u->x[7] = (uint8_t)wide;
}

int lower_set(struct lower *l)
{
    if (lower_base(l, "setp"))
        setp(l);
    else if (lower_base(l, "set"))
        set(l);
    else if (lower_base(l, "selp"))
        selp(l);
    else if (lower_base(l, "slct"))
        slct(l);
    else
        return 0;
    return 1;
}
