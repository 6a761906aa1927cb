/* SPDX-License-Identifier: MIT */
/*
 * Encoded operands to offsets in the frame. See lower.h. Values whose life does
 * not overlap share a slot, 32- and 64-bit ones in areas of their own: a lane's
 * bytes must never be another lane's of a different width.
 */
#include "lower.h"

#include <errno.h>
#include <string.h>

enum { MAX_FRAME = 32 << 20 };

struct places {
    uint32_t *reg; /* frame offset by virtual register */
    uint32_t const_at, size;
};

static void assign(struct lower *l, struct places *p)
{
    uint64_t at = (4ull * (l->npreds + 1) + 63) & ~63ull;
    uint32_t i;

    p->reg = ast_alloc(l->a, ((size_t)l->nvregs + 1) * sizeof(*p->reg));
    for (i = 0; i < l->nvregs; i++) {
        p->reg[i] = (uint32_t)at;
        at += (uint64_t)l->vreg_wide[i] * PTX_LANES;
        if (at > MAX_FRAME)
            ast_fail(l->a, -E2BIG, l->f->line, "function '%s' uses too many registers", l->f->name);
    }
    p->const_at = (uint32_t)at;
    for (i = 0; i < l->nconsts; i++) {
        l->consts[i].at = (uint32_t)at;
        at += l->consts[i].wide ? SLOT64 : SLOT32;
    }
    if (at > MAX_FRAME)
        ast_fail(l->a, -E2BIG, l->f->line, "function '%s' uses too many constants", l->f->name);
    p->size = (uint32_t)at;
}

static uint32_t place_of(const struct lower *l, const struct places *p, uint32_t enc)
{
    uint32_t id = enc & ~ENC_TAG;

    if (enc == PTX_NO_REG)
        return enc;
    switch (enc & ENC_TAG) {
    case ENC_REG: return p->reg[id];
    case ENC_CONST: return l->consts[id].at;
    default: return id * 4;
    }
}

static void place_uop(const struct lower *l, const struct places *p, struct uop *u,
                      struct lower_info *info)
{
    uint32_t k, n;

    u->guard = place_of(l, p, u->guard);
    u->d = place_of(l, p, u->d);
    u->a = place_of(l, p, u->a);
    u->b = place_of(l, p, u->b);
    u->c = place_of(l, p, u->c);
    u->e = place_of(l, p, u->e);
    for (k = 0; k < LOWER_LISTS; k++)
        for (n = 0; n < info->list[k].n; n++) {
            uint32_t *slot = &info->list[k].slots[(size_t)n * info->list[k].stride];

            *slot = place_of(l, p, *slot);
        }
}

static void place_formals(const struct lower *l, const struct places *p, struct code_param *list,
                          uint32_t n)
{
    uint32_t i;

    for (i = 0; i < n; i++)
        if (list[i].reg_bytes)
            list[i].reg = place_of(l, p, list[i].reg);
}

void lower_allocate(struct lower *l)
{
    struct places p;
    uint32_t i;

    assign(l, &p);
    for (i = 0; i < l->ncode; i++)
        place_uop(l, &p, &l->code[i], &l->info[i]);
    place_formals(l, &p, l->fn->params, l->fn->nparams);
    place_formals(l, &p, l->fn->rets, l->fn->nrets);
    l->fn->frame_bytes = p.size;
    l->fn->const_at = p.const_at;
    i = (p.const_at / SLOT32) + 8;
    l->fn->info.regs = i < 16 ? 16 : i > 255 ? 255 : i;
}
