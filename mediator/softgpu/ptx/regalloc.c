/* SPDX-License-Identifier: MIT */
/*
 * Encoded operands to offsets in the frame. See lower.h. Values whose life does
 * not overlap share a slot, which keeps a warp's registers in the first-level
 * cache. 32- and 64-bit slots are apart: a lane's bytes must never be another
 * lane's of a different width, as lanes that took different ways hold different
 * values alive.
 */
#include "lower.h"

#include "liveness.h"

#include <errno.h>
#include <string.h>

enum { MAX_FRAME = 32 << 20 };

struct places {
    uint32_t *reg; /* slot number, then frame offset, by virtual register */
    uint32_t n32, n64;
    uint32_t const_at, size;
};

struct slots { /* of one width */
    uint32_t *free;
    uint32_t nfree, n;
};

static uint32_t take_slot(struct slots *s)
{
    return s->nfree ? s->free[--s->nfree] : s->n++;
}

static struct slots *slots_of(struct lower *l, struct slots pools[2], uint32_t v)
{
    return &pools[l->vreg_wide[v] == 8];
}

/* Linear scan: at each place, slots of values that died before it are free. */
static void share_slots(struct lower *l, struct places *p)
{
    struct life *life = ptx_liveness(l);
    struct slots pools[2];
    uint32_t *starts, *ends, *next_start, *next_end, v, at;

    memset(pools, 0, sizeof(pools));
    for (v = 0; v < 2; v++)
        pools[v].free = ast_alloc(l->a, ((size_t)l->nvregs + 1) * sizeof(uint32_t));
    starts = ast_alloc(l->a, ((size_t)l->ncode + 2) * sizeof(uint32_t));
    ends = ast_alloc(l->a, ((size_t)l->ncode + 2) * sizeof(uint32_t));
    next_start = ast_alloc(l->a, ((size_t)l->nvregs + 1) * sizeof(uint32_t));
    next_end = ast_alloc(l->a, ((size_t)l->nvregs + 1) * sizeof(uint32_t));
    for (v = 0; v < l->nvregs; v++) {
        if (!life[v].used)
            continue;
        next_start[v] = starts[life[v].first];
        starts[life[v].first] = v + 1;
        next_end[v] = ends[life[v].last + 1];
        ends[life[v].last + 1] = v + 1;
    }
    for (at = 0; at <= l->ncode; at++) {
        for (v = ends[at]; v; v = next_end[v - 1]) {
            struct slots *s = slots_of(l, pools, v - 1);

            s->free[s->nfree++] = p->reg[v - 1];
        }
        for (v = starts[at]; v; v = next_start[v - 1])
            p->reg[v - 1] = take_slot(slots_of(l, pools, v - 1));
    }
    p->n32 = pools[0].n;
    p->n64 = pools[1].n;
}

/* 128-bit registers are pairs found by number, so each half has its own slot. */
static void assign(struct lower *l, struct places *p)
{
    uint64_t at = (4ull * (l->npreds + 1) + 63) & ~63ull, at64;
    uint32_t i;

    p->reg = ast_alloc(l->a, ((size_t)l->nvregs + 1) * sizeof(*p->reg));
    share_slots(l, p);
    at64 = at + (uint64_t)p->n32 * SLOT32;
    at64 = (at64 + 63) & ~63ull;
    for (i = 0; i < l->nvregs; i++) {
        uint64_t to = l->vreg_wide[i] == 8 ? at64 + (uint64_t)p->reg[i] * SLOT64
                                           : at + (uint64_t)p->reg[i] * SLOT32;

        if (to > MAX_FRAME)
            ast_fail(l->a, -E2BIG, l->f->line, "function '%s' uses too many registers", l->f->name);
        p->reg[i] = (uint32_t)to;
    }
    at = at64 + (uint64_t)p->n64 * SLOT64;
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

    memset(&p, 0, sizeof(p));
    assign(l, &p);
    for (i = 0; i < l->ncode; i++)
        place_uop(l, &p, &l->code[i], &l->info[i]);
    place_formals(l, &p, l->fn->params, l->fn->nparams);
    place_formals(l, &p, l->fn->rets, l->fn->nrets);
    l->fn->frame_bytes = p.size;
    l->fn->const_at = p.const_at;
    i = p.n32 + 2 * p.n64 + 8;
    l->fn->info.regs = i < 16 ? 16 : i > 255 ? 255 : i;
}
