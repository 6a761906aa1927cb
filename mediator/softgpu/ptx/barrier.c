/* SPDX-License-Identifier: MIT */
/* bar.*, barrier.* and the meeting of lanes at *.sync. The CTA's thread only. */
#include "handlers.h"

#include <string.h>

static void deliver(struct warp *w, const struct frag *f, const struct barrier *b)
{
    unsigned char *regs = f->fr->regs;
    uint32_t *d = (uint32_t *)(void *)(regs + f->red_d), bits;

    (void)w;
    switch (f->red) {
    case BAR_POPC:
        FOR_LANES(i, f->mask)
            d[i] = b->popc;
        break;
    case BAR_AND:
    case BAR_OR:
        bits = (f->red == BAR_AND ? b->popc == b->voters : b->popc != 0) ? FULL_MASK : 0;
        *d = (*d & ~f->mask) | (bits & f->mask);
        break;
    default:
        break;
    }
}

static void release(struct cta *c, uint32_t id)
{
    struct barrier *b = &c->bars[id];
    uint32_t i, k;

    for (i = 0; i < c->nwarps; i++) {
        struct warp *w = &c->warps[i];

        if (!w->parked[id])
            continue;
        w->parked[id] = 0;
        for (k = 0; k < w->nfrags; k++) {
            struct frag *f = &w->frags[k];

            if (f->state != FRAG_BARRIER || f->bar != id)
                continue;
            f->state = FRAG_RUN;
            deliver(w, f, b);
        }
    }
    memset(b, 0, sizeof(*b));
}

/* A warp all of whose live lanes wait counts as 32 threads. */
static uint32_t count_parked(const struct cta *c, uint32_t id)
{
    uint32_t i, n = 0;

    for (i = 0; i < c->nwarps; i++) {
        uint32_t parked = c->warps[i].parked[id];

        if (parked)
            n += parked == c->warps[i].live ? PTX_LANES : (uint32_t)__builtin_popcount(parked);
    }
    return n;
}

static void check(struct cta *c, uint32_t id)
{
    struct barrier *b = &c->bars[id];

    if (b->parked + b->arrived == 0)
        return;
    if (b->expected ? count_parked(c, id) + b->arrived >= b->expected
                    : b->parked + b->arrived >= c->nlive)
        release(c, id);
}

void ptx_barrier_check_all(struct cta *c)
{
    uint32_t id;

    for (id = 0; id < MAX_BARRIERS; id++)
        if (c->bars[id].parked)
            check(c, id);
}

static int bar_id(struct warp *w, const struct uop *u, uint32_t mask, uint32_t *id)
{
    int lane = __builtin_ctz(mask);

    *id = reg32(w, u->a)[lane];
    if (*id >= MAX_BARRIERS)
        return ptx_fault(w, u, lane, PTX_FAULT_TRAP, *id, "barrier %u does not exist", *id);
    w->cta->bars[*id].expected = u->x[0] ? reg32(w, u->b)[lane] : 0;
    return 0;
}

static void vote(struct warp *w, const struct uop *u, uint32_t mask, struct barrier *b)
{
    uint32_t bits = *reg32(w, u->c) ^ (u->x[2] ? FULL_MASK : 0);

    b->popc += (uint32_t)__builtin_popcount(bits & mask);
    b->voters += (uint32_t)__builtin_popcount(mask);
}

HANDLER(ptx_op_bar_sync)
{
    struct frag *f = w->cur;
    uint32_t id, pc = (uint32_t)(u - f->fr->fn->code) + 1;
    struct barrier *b;

    if (bar_id(w, u, mask, &id))
        return CTL_FAULT;
    b = &w->cta->bars[id];
    if (f->mask != mask)
        ptx_frag_split(w, pc, f->mask & ~mask, f->fr);
    f->mask = mask;
    f->pc = pc;
    f->state = FRAG_BARRIER;
    f->bar = id;
    f->red = u->x[1];
    f->red_d = u->d;
    if (f->red)
        vote(w, u, mask, b);
    w->parked[id] |= mask;
    b->parked += (uint32_t)__builtin_popcount(mask);
    check(w->cta, id);
    return CTL_SWITCH;
}

HANDLER(ptx_op_bar_arrive)
{
    uint32_t id;
    struct barrier *b;

    if (bar_id(w, u, mask, &id))
        return CTL_FAULT;
    b = &w->cta->bars[id];
    b->arrived += mask == w->live ? PTX_LANES : (uint32_t)__builtin_popcount(mask);
    check(w->cta, id);
    return CTL_NEXT;
}

/* ------------------------------------------------------- lanes of one warp */

static uint32_t wait_here(struct warp *w, struct frag *f, uint32_t pc, uint32_t need, int *rc)
{
    (void)w;
    f->state = FRAG_SYNC;
    f->need = need;
    f->pc = pc;
    *rc = CTL_SWITCH;
    return 0;
}

uint32_t ptx_gather(struct warp *w, const struct uop *u, uint32_t mask, const uint32_t *members,
                    int *rc)
{
    struct frag *f = w->cur, *rest;
    uint32_t pc = (uint32_t)(u - f->fr->fn->code), need = 0, ready = 0;

    *rc = CTL_NEXT;
    if (w->nfrags == 1)
        return f->force = 0, mask; /* nobody else can come */
    FOR_LANES(i, mask) {
        need |= members[i] & w->live;
        if ((members[i] & w->live & ~mask) == 0)
            ready |= 1u << i;
    }
    if (f->force || ready == mask) {
        f->force = 0;
        return mask;
    }
    if (f->mask != mask) { /* lanes whose guard is false do not wait */
        ptx_frag_split(w, pc + 1, f->mask & ~mask, f->fr);
        f->mask = mask;
    }
    if (!ready)
        return wait_here(w, f, pc, need, rc);
    rest = ptx_frag_split(w, pc, mask & ~ready, f->fr);
    wait_here(w, rest, pc, need, rc);
    f->mask = ready;
    f->pc = pc + 1;
    return ready;
}

HANDLER(ptx_op_warp_sync)
{
    int rc;

    ptx_gather(w, u, mask, reg32(w, u->a), &rc);
    return rc;
}
