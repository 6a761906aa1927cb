/* SPDX-License-Identifier: MIT */
/* Bit instructions, all of them ptx_op_bits. See lower.h. */
#include "lower.h"

#include "alu_ops.h"

#include <string.h>

/* Types of the operands after the first, and of the result. */
struct shape {
    uint32_t n;
    enum ast_type s[4], d;
};

static struct uop *emit_bits(struct lower *l, enum bits_op op, const struct shape *s, int is_signed)
{
    uint32_t r[4] = {0, 0, 0, 0}, d, i;
    struct uop *u;

    lower_mods_done(l);
    lower_count(l, s->n + 1, s->n + 1);
    for (i = 0; i < s->n; i++)
        r[i] = lower_src(l, lower_opd(l, i + 1), s->s[i]);
    d = lower_dst(l, lower_opd(l, 0), s->d);
    u = lower_emit(l, ptx_op_bits);
    u->d = d;
    u->a = r[0];
    u->b = r[1];
    u->c = r[2];
    /* The fourth operand sits in e, which is a source here. */
    u->e = r[3];
    u->x[0] = (uint8_t)op;
    u->x[1] = (uint8_t)is_signed;
    u->x[2] = (uint8_t)ast_type_size(s->s[0]);
    u->x[5] = s->n > 1 && ast_type_size(s->s[1]) == 8;
    u->x[6] = s->n > 2 && ast_type_size(s->s[2]) == 8;
    u->x[7] = ast_type_size(s->d) == 8;
    lower_last_info(l)->e_is_use = 1;
    return u;
}

static void count_bits(struct lower *l, enum bits_op op)
{
    int shiftamt = lower_mod(l, "shiftamt");
    enum ast_type t = lower_need_type(l);
    struct shape s = {1, {t}, op == BITS_BREV || op == BITS_CNOT ? t : T_U32};

    emit_bits(l, op, &s, lower_is_signed(t))->x[3] = (uint8_t)shiftamt;
}

static void field(struct lower *l, int insert)
{
    enum ast_type t = lower_need_type(l);
    struct shape s = {3, {t, T_U32, T_U32}, t};

    if (insert) {
        s = (struct shape){4, {t, t, T_U32, T_U32}, t};
        emit_bits(l, BITS_BFI, &s, 0);
    } else {
        emit_bits(l, BITS_BFE, &s, lower_is_signed(t));
    }
}

static void permute(struct lower *l)
{
    static const char *const modes[] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
    struct shape s = {3, {T_B32, T_B32, T_B32}, T_B32};
    int mode = 0, i;

    if (lower_need_type(l) != T_B32)
        lower_unsupported(l);
    for (i = 0; i < 6; i++)
        if (lower_mod(l, modes[i]))
            mode = i + 1;
    emit_bits(l, BITS_PRMT, &s, 0)->x[3] = (uint8_t)mode;
}

static void funnel(struct lower *l)
{
    struct shape s = {3, {T_B32, T_B32, T_U32}, T_B32};
    int left = lower_mod(l, "l"), wrap;

    if (!left && !lower_mod(l, "r"))
        lower_unsupported(l);
    wrap = lower_mod(l, "wrap");
    if (!wrap)
        lower_mod(l, "clamp");
    if (lower_need_type(l) != T_B32)
        lower_unsupported(l);
    emit_bits(l, left ? BITS_SHF_L : BITS_SHF_R, &s, 0)->x[3] = (uint8_t)wrap;
}

static void sum_difference(struct lower *l)
{
    enum ast_type t = lower_need_type(l);
    struct shape s = {3, {t, t, t}, t};

    emit_bits(l, BITS_SAD, &s, lower_is_signed(t));
}

static void nth_set(struct lower *l)
{
    struct shape s = {3, {T_B32, T_B32, T_S32}, T_B32};

    lower_need_type(l);
    emit_bits(l, BITS_FNS, &s, 0);
}

static void dot(struct lower *l, enum bits_op op)
{
    int hi = op == BITS_DP2A && lower_mod(l, "hi");
    enum ast_type at, bt;
    struct shape s = {3, {T_B32, T_B32, T_B32}, T_B32};
    struct uop *u;

    if (op == BITS_DP2A && !hi)
        lower_mod(l, "lo");
    at = lower_need_type(l);
    bt = lower_need_type(l);
    if (ast_type_size(at) != 4 || ast_type_size(bt) != 4)
        lower_unsupported(l);
    u = emit_bits(l, op, &s, at == T_S32);
    u->x[3] = bt == T_S32;
    u->x[4] = (uint8_t)hi;
}

static void clamped(struct lower *l, enum bits_op op)
{
    int wrap = lower_mod(l, "wrap");
    struct shape s = {2, {T_B32, T_B32}, T_B32};
    enum ast_type t;

    if (!wrap && !lower_mod(l, "clamp"))
        lower_unsupported(l);
    t = lower_need_type(l);
    emit_bits(l, op, &s, t == T_S32)->x[3] = (uint8_t)wrap;
}

int lower_bits(struct lower *l)
{
    static const struct {
        const char *base;
        enum bits_op op;
    } counts[] = {{"popc", BITS_POPC}, {"clz", BITS_CLZ}, {"brev", BITS_BREV},
                  {"bfind", BITS_BFIND}, {"cnot", BITS_CNOT}};
    size_t i;

    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        if (lower_base(l, counts[i].base))
            return count_bits(l, counts[i].op), 1;
    if (lower_base(l, "bfe") || lower_base(l, "bfi"))
        field(l, l->base[2] == 'i');
    else if (lower_base(l, "prmt"))
        permute(l);
    else if (lower_base(l, "shf"))
        funnel(l);
    else if (lower_base(l, "sad"))
        sum_difference(l);
    else if (lower_base(l, "fns"))
        nth_set(l);
    else if (lower_base(l, "dp4a"))
        dot(l, BITS_DP4A);
    else if (lower_base(l, "dp2a"))
        dot(l, BITS_DP2A);
    else if (lower_base(l, "szext"))
        clamped(l, BITS_SZEXT);
    else if (lower_base(l, "bmsk"))
        clamped(l, BITS_BMSK);
    else
        return 0;
    return 1;
}
