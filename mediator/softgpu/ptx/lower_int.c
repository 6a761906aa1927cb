/* SPDX-License-Identifier: MIT */
/* Integer and logical instructions with vector handlers. See lower.h. */
#include "lower.h"

#include "alu_ops.h"

/* ALU_SIGNED lists s16 u16 s32 u32 s64 u64 one after the other, ALU_INT3 16 32 64. */
static enum alu_op typed(struct lower *l, enum alu_op first, enum ast_type t)
{
    return (enum alu_op)(first + lower_int_row(l, t));
}

static enum alu_op sized(struct lower *l, enum alu_op first, enum ast_type t)
{
    return (enum alu_op)(first + lower_int_row(l, t) / 2);
}

static int is_int(enum ast_type t)
{
    return t >= T_B8 && t <= T_S64 && t != T_B128;
}

static enum ast_type next_type(const struct lower *l)
{
    uint32_t i;

    for (i = 0; i < l->nmods; i++) {
        enum ast_type t = ast_type_of(l->mods[i].s, l->mods[i].len);

        if (t != T_NONE)
            return t;
    }
    return T_NONE;
}

static void binary(struct lower *l, enum alu_op op, enum ast_type t)
{
    uint32_t a, b;

    lower_mods_done(l);
    lower_count(l, 3, 3);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), t);
    lower_alu(l, op, lower_dst(l, lower_opd(l, 0), t), a, b, 0);
}

static void unary(struct lower *l, enum alu_op op, enum ast_type t)
{
    uint32_t a;

    lower_mods_done(l);
    lower_count(l, 2, 2);
    a = lower_src(l, lower_opd(l, 1), t);
    lower_alu(l, op, lower_dst(l, lower_opd(l, 0), t), a, 0, 0);
}

static uint32_t carry_flag(struct lower *l)
{
    if (!l->cc)
        l->cc = lower_temp_pred(l);
    return l->cc;
}

/* add.cc addc sub.cc subc mad.cc madc: see ptx_op_carry() */
static void with_carry(struct lower *l, int in, int is_sub)
{
    int mul = l->base[0] == 'm', out = lower_mod(l, "cc");
    int hi = lower_mod(l, "hi");
    enum ast_type t = lower_need_type(l);
    uint32_t a, b, c = 0, d;
    struct uop *u;

    lower_mod(l, "lo");
    lower_mods_done(l);
    lower_count(l, mul ? 4 : 3, mul ? 4 : 3);
    if (lower_int_row(l, t) < 2)
        lower_unsupported(l);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), t);
    if (mul)
        c = lower_src(l, lower_opd(l, 3), t);
    d = lower_dst(l, lower_opd(l, 0), t);
    u = lower_emit(l, ptx_op_carry);
    u->a = a;
    u->b = b;
    u->c = c;
    u->d = d;
    u->e = carry_flag(l);
    u->x[0] = (uint8_t)in;
    u->x[1] = (uint8_t)out;
    u->x[2] = (uint8_t)is_sub;
    u->x[3] = (uint8_t)mul;
    u->x[4] = (uint8_t)hi;
    u->x[5] = (uint8_t)lower_is_signed(t);
    u->x[6] = (uint8_t)(ast_type_size(t) == 8);
    lower_last_info(l)->no_kill = 1;
}

static void packed(struct lower *l, enum ast_type t)
{
    static const char *const names[] = {"add", "sub", "min", "max"};
    uint32_t a, b, d;
    struct uop *u;
    int i;

    for (i = 0; i < 4 && !lower_base(l, names[i]); i++)
        ;
    if (i == 4)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 3, 3);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), t);
    d = lower_dst(l, lower_opd(l, 0), t);
    u = lower_emit(l, ptx_op_packed16);
    u->a = a;
    u->b = b;
    u->d = d;
    u->x[0] = (uint8_t)i;
    u->x[1] = t == T_S16X2;
}

static void add_sub(struct lower *l, int is_sub)
{
    enum ast_type t;
    int sat = lower_mod(l, "sat");

    if (l->nmods && l->mods[0].len == 2 && !memcmp(l->mods[0].s, "cc", 2)) {
        with_carry(l, 0, is_sub);
        return;
    }
    t = lower_need_type(l);
    if (t == T_U16X2 || t == T_S16X2) {
        packed(l, t);
        return;
    }
    if (sat && t != T_S32)
        lower_unsupported(l);
    binary(l, sized(l, is_sub ? ALU_sub_16 : ALU_add_16, t), t);
    if (sat)
        l->code[l->ncode - 1].fn = is_sub ? ptx_op_sub_sat : ptx_op_add_sat;
}

static void multiply_wide(struct lower *l, int mad, enum ast_type t)
{
    static const enum ast_type wider[] = {T_S32, T_U32, T_S64, T_U64};
    int row = lower_int_row(l, t);
    uint32_t a, b, c = 0;

    if (row > 3)
        lower_unsupported(l);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), t);
    if (mad)
        c = lower_src(l, lower_opd(l, 3), wider[row]);
    lower_alu(l, (enum alu_op)((mad ? ALU_madwide_s16 : ALU_mulwide_s16) + row),
              lower_dst(l, lower_opd(l, 0), wider[row]), a, b, c);
}

static void multiply(struct lower *l, int mad)
{
    int wide = lower_mod(l, "wide"), hi = lower_mod(l, "hi"), sat;
    enum ast_type t = lower_need_type(l);
    enum alu_op op;
    uint32_t a, b, c = 0;

    lower_mod(l, "lo");
    sat = mad && hi && lower_mod(l, "sat");
    if (sat)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, mad ? 4 : 3, mad ? 4 : 3);
    if (wide) {
        multiply_wide(l, mad, t);
        return;
    }
    if (hi)
        op = typed(l, mad ? ALU_madhi_s16 : ALU_mulhi_s16, t);
    else
        op = sized(l, mad ? ALU_mad_16 : ALU_mul_16, t);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), t);
    if (mad)
        c = lower_src(l, lower_opd(l, 3), t);
    lower_alu(l, op, lower_dst(l, lower_opd(l, 0), t), a, b, c);
}

/* mul24, mad24: operands cut to 24 bits, the low or high 32 of 48 bits. */
static void multiply24(struct lower *l, int mad)
{
    int hi = lower_mod(l, "hi");
    enum ast_type t = lower_need_type(l);
    uint32_t a, b, c = 0, d;
    struct uop *u;

    lower_mod(l, "lo");
    lower_mods_done(l);
    lower_count(l, mad ? 4 : 3, mad ? 4 : 3);
    if (t != T_U32 && t != T_S32)
        lower_unsupported(l);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), t);
    c = mad ? lower_src(l, lower_opd(l, 3), t) : lower_const(l, 0, 0, -1);
    d = lower_dst(l, lower_opd(l, 0), t);
    u = lower_emit(l, ptx_op_mul24);
    u->a = a;
    u->b = b;
    u->c = c;
    u->d = d;
    u->x[0] = (uint8_t)hi;
    u->x[1] = t == T_S32;
}

static void shift(struct lower *l, int right)
{
    enum ast_type t = lower_need_type(l);
    uint32_t a, b;

    lower_mods_done(l);
    lower_count(l, 3, 3);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), T_U32);
    lower_alu(l, right ? typed(l, ALU_shr_s16, t) : sized(l, ALU_shl_16, t),
              lower_dst(l, lower_opd(l, 0), t), a, b, 0);
}

/* and, or, xor, not on values or predicates */
static void logic(struct lower *l, enum alu_op op32, enum alu_op op64, int kind)
{
    enum ast_type t = lower_need_type(l);
    struct uop *u;
    uint32_t a, b = 0;
    uint8_t na, nb = 0;
    int two = kind != PRED_NOT;

    if (t != T_PRED) {
        if (two)
            binary(l, ast_type_size(t) == 8 ? op64 : op32, t);
        else
            unary(l, ast_type_size(t) == 8 ? op64 : op32, t);
        return;
    }
    lower_mods_done(l);
    lower_count(l, two ? 3 : 2, two ? 3 : 2);
    a = lower_pred_src(l, lower_opd(l, 1), &na);
    if (two)
        b = lower_pred_src(l, lower_opd(l, 2), &nb);
    u = lower_emit(l, ptx_op_pred_logic);
    u->d = lower_pred_dst(l, lower_opd(l, 0));
    u->a = a;
    u->b = b;
    u->x[0] = (uint8_t)kind;
    u->x[1] = na;
    u->x[2] = nb;
}

static void lower_lop3(struct lower *l)
{
    uint32_t a, b, c;

    if (lower_mod(l, "or") || lower_mod(l, "and"))
        lower_unsupported(l);
    if (lower_need_type(l) != T_B32)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 5, 5);
    if (lower_opd(l, 4)->kind != OPD_INT)
        lower_fail(l, "truth table is not a literal");
    a = lower_src(l, lower_opd(l, 1), T_B32);
    b = lower_src(l, lower_opd(l, 2), T_B32);
    c = lower_src(l, lower_opd(l, 3), T_B32);
    lower_alu(l, ALU_lop3, lower_dst(l, lower_opd(l, 0), T_B32), a, b, c)->imm =
        (int64_t)(lower_opd(l, 4)->imm & 0xff);
}

static void min_max(struct lower *l, enum alu_op first)
{
    enum ast_type t;

    if (lower_mod(l, "relu"))
        lower_unsupported(l);
    t = lower_need_type(l);
    if (t == T_U16X2 || t == T_S16X2)
        packed(l, t);
    else
        binary(l, typed(l, first, t), t);
}

static void abs_neg(struct lower *l, int is_abs)
{
    enum ast_type t = lower_need_type(l);

    if (!lower_is_signed(t))
        lower_unsupported(l);
    if (is_abs)
        unary(l, (enum alu_op)(ALU_abs_s16 + lower_int_row(l, t) / 2), t);
    else
        unary(l, sized(l, ALU_neg_16, t), t);
}

int lower_int(struct lower *l)
{
    enum ast_type t = next_type(l);

    if (lower_base(l, "and"))
        return logic(l, ALU_and_32, ALU_and_64, PRED_AND), 1;
    if (lower_base(l, "or"))
        return logic(l, ALU_or_32, ALU_or_64, PRED_OR), 1;
    if (lower_base(l, "xor"))
        return logic(l, ALU_xor_32, ALU_xor_64, PRED_XOR), 1;
    if (lower_base(l, "not"))
        return logic(l, ALU_not_32, ALU_not_64, PRED_NOT), 1;
    if (lower_base(l, "lop3"))
        return lower_lop3(l), 1;
    if (!is_int(t) && t != T_U16X2 && t != T_S16X2)
        return 0;
    if (lower_base(l, "add") || lower_base(l, "sub"))
        add_sub(l, l->base[0] == 's');
    else if (lower_base(l, "addc") || lower_base(l, "subc"))
        with_carry(l, 1, l->base[0] == 's');
    else if (lower_base(l, "madc"))
        with_carry(l, 1, 0);
    else if (lower_base(l, "mad") && l->nmods > 1 && l->mods[1].len == 2 &&
             !memcmp(l->mods[1].s, "cc", 2))
        with_carry(l, 0, 0);
    else if (lower_base(l, "mul") || lower_base(l, "mad"))
        multiply(l, l->base[1] == 'a');
    else if (lower_base(l, "mul24") || lower_base(l, "mad24"))
        multiply24(l, l->base[1] == 'a');
    else if (lower_base(l, "div"))
        t = lower_need_type(l), binary(l, typed(l, ALU_div_s16, t), t);
    else if (lower_base(l, "rem"))
        t = lower_need_type(l), binary(l, typed(l, ALU_rem_s16, t), t);
    else if (lower_base(l, "shl") || lower_base(l, "shr"))
        shift(l, l->base[2] == 'r');
    else if (lower_base(l, "min") || lower_base(l, "max"))
        min_max(l, l->base[1] == 'i' ? ALU_min_s16 : ALU_max_s16);
    else if (lower_base(l, "abs") || lower_base(l, "neg"))
        abs_neg(l, l->base[0] == 'a');
    else
        return 0;
    return 1;
}
