/* SPDX-License-Identifier: MIT */
/* shfl, vote, match, redux, elect, activemask. See lower.h. */
#include "lower.h"

#include "warpop.h"

#include <string.h>

static void shfl(struct lower *l)
{
    static const char *const modes[] = {"up", "down", "bfly", "idx"};
    int sync = lower_mod(l, "sync"), mode;
    uint32_t a, b, c, members = PTX_NO_REG, d, p = 0, *slot;
    const struct ast_opd *dst;
    struct uop *u;

    for (mode = 0; mode < 4 && !lower_mod(l, modes[mode]); mode++)
        ;
    if (mode == 4 || lower_need_type(l) != T_B32)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 4 + (uint32_t)sync, 4 + (uint32_t)sync);
    dst = lower_opd(l, 0);
    a = lower_src(l, lower_opd(l, 1), T_B32);
    b = lower_src(l, lower_opd(l, 2), T_B32);
    c = lower_src(l, lower_opd(l, 3), T_B32);
    if (sync)
        members = lower_src(l, lower_opd(l, 4), T_B32);
    d = lower_dst(l, dst, T_B32);
    if (dst->second)
        p = lower_pred_dst(l, dst->second);
    u = lower_emit(l, ptx_op_shfl);
    u->d = d;
    u->e = p;
    u->a = a;
    u->b = b;
    u->c = c;
    u->x[0] = (uint8_t)mode;
    slot = lower_keep(l, sizeof(*slot));
    *slot = members;
    u->aux = slot;
    lower_list(l, slot, 1, 1, 0);
}

static void vote(struct lower *l)
{
    static const char *const modes[] = {"all", "any", "uni", "ballot"};
    int sync = lower_mod(l, "sync"), mode;
    uint32_t a, b = 0;
    struct uop *u;
    uint8_t neg;

    for (mode = 0; mode < 4 && !lower_mod(l, modes[mode]); mode++)
        ;
    if (mode == 4)
        lower_unsupported(l);
    if (lower_need_type(l) != (mode == VOTE_BALLOT ? T_B32 : T_PRED))
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 2 + (uint32_t)sync, 2 + (uint32_t)sync);
    a = lower_pred_src(l, lower_opd(l, 1), &neg);
    if (sync)
        b = lower_src(l, lower_opd(l, 2), T_B32);
    u = lower_emit(l, ptx_op_vote);
    u->d = mode == VOTE_BALLOT ? lower_dst(l, lower_opd(l, 0), T_B32)
                               : lower_pred_dst(l, lower_opd(l, 0));
    u->a = a;
    u->b = b;
    u->x[0] = (uint8_t)mode;
    u->x[1] = neg;
    u->x[2] = (uint8_t)sync;
}

static void match(struct lower *l)
{
    int all = lower_mod(l, "all");
    const struct ast_opd *dst;
    uint32_t a, b;
    enum ast_type t;
    struct uop *u;

    if (!all && !lower_mod(l, "any"))
        lower_unsupported(l);
    if (!lower_mod(l, "sync"))
        lower_unsupported(l);
    t = lower_need_type(l);
    lower_mods_done(l);
    lower_count(l, 3, 3);
    dst = lower_opd(l, 0);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), T_B32);
    u = lower_emit(l, ptx_op_match);
    u->d = lower_dst(l, dst, T_B32);
    if (dst->second)
        u->e = lower_pred_dst(l, dst->second);
    u->a = a;
    u->b = b;
    u->x[0] = (uint8_t)all;
    u->x[1] = ast_type_size(t) == 8;
}

static void redux(struct lower *l)
{
    static const char *const modes[] = {"add", "min", "max", "and", "or", "xor"};
    enum ast_type t;
    uint32_t a, b;
    struct uop *u;
    int mode;

    if (!lower_mod(l, "sync"))
        lower_unsupported(l);
    for (mode = 0; mode < 6 && !lower_mod(l, modes[mode]); mode++)
        ;
    t = lower_need_type(l);
    lower_mods_done(l);
    if (mode == 6 || (t != T_U32 && t != T_S32 && t != T_B32))
        lower_unsupported(l);
    lower_count(l, 3, 3);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), T_B32);
    u = lower_emit(l, ptx_op_redux);
    u->d = lower_dst(l, lower_opd(l, 0), t);
    u->a = a;
    u->b = b;
    u->x[0] = (uint8_t)mode;
    u->x[1] = t == T_S32;
}

static void elect(struct lower *l)
{
    const struct ast_opd *dst;
    uint32_t b;
    struct uop *u;

    if (!lower_mod(l, "sync"))
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 2, 2);
    dst = lower_opd(l, 0);
    if (!dst->second)
        lower_fail(l, "no predicate");
    b = lower_src(l, lower_opd(l, 1), T_B32);
    u = lower_emit(l, ptx_op_elect);
    u->d = lower_dst(l, dst, T_B32);
    u->e = lower_pred_dst(l, dst->second);
    u->b = b;
}

static void activemask(struct lower *l)
{
    if (lower_need_type(l) != T_B32)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 1, 1);
    lower_emit(l, ptx_op_activemask)->d = lower_dst(l, lower_opd(l, 0), T_B32);
}

int lower_warp(struct lower *l)
{
    if (lower_base(l, "shfl"))
        shfl(l);
    else if (lower_base(l, "vote"))
        vote(l);
    else if (lower_base(l, "match"))
        match(l);
    else if (lower_base(l, "redux"))
        redux(l);
    else if (lower_base(l, "elect"))
        elect(l);
    else if (lower_base(l, "activemask"))
        activemask(l);
    else
        return 0;
    return 1;
}
