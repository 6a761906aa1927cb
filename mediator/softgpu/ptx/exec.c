/* SPDX-License-Identifier: MIT */
/*
 * The interpreter's loop, and the scheduling of the fragments of one warp.
 * Run by whichever thread runs the CTA; touches nothing of other CTAs.
 */
#include "exec.h"

#include <stdlib.h>
#include <string.h>

enum {
    QUANTUM = 1 << 16,             /* instructions before another fragment gets a turn */
    MAX_FRAME_MEMORY = 256 << 20,  /* registers of all activations of one warp */
    FRAME_HEADER = 128 /* struct frame, and registers aligned behind it */
};

/* ------------------------------------------------------------------- frames */

typedef char frame_fits_header[sizeof(struct frame) <= FRAME_HEADER ? 1 : -1];

static struct frame *frame_alloc(struct warp *w, uint32_t size)
{
    struct frame **p, *fr;
    unsigned char *mem;

    for (p = &w->free_frames; *p; p = &(*p)->next_free) {
        if ((*p)->size >= size) {
            fr = *p;
            *p = fr->next_free;
            return fr;
        }
    }
    if (w->frame_memory + size > MAX_FRAME_MEMORY)
        return NULL;
    mem = ptx_block_get(w->cta->grid->blocks, (size_t)size + FRAME_HEADER);
    if (!mem)
        return NULL;
    fr = (struct frame *)(void *)mem;
    memset(fr, 0, sizeof(*fr));
    w->frame_memory += size;
    fr->size = size;
    fr->regs = mem + FRAME_HEADER;
    return fr;
}

/* NULL: no memory, or the threads' local memory does not hold another one. */
struct frame *ptx_frame_push(struct warp *w, const struct code_func *fn, struct frame *up,
                             uint32_t mask, const struct uop *call)
{
    uint32_t base = up ? ((up->local_base + up->fn->local_frame + up->extra + 15) & ~15u) : 0;
    struct frame *fr;

    if (base > w->local_size || fn->local_frame > w->local_size - base)
        return NULL;
    fr = frame_alloc(w, fn->frame_bytes);
    if (!fr)
        return NULL;
    if (fr->fn != fn) { /* else its constants are still there */
        memcpy(fr->regs + fn->const_at, fn->const_image, fn->frame_bytes - fn->const_at);
        *(uint32_t *)(void *)fr->regs = FULL_MASK;
    }
    fr->up = up;
    fr->fn = fn;
    fr->call = call;
    fr->live = mask;
    fr->depth = up ? up->depth + 1 : 0;
    fr->local_base = base;
    fr->extra = 0;
    return fr;
}

void ptx_frame_pop(struct warp *w, struct frame *fr)
{
    fr->next_free = w->free_frames;
    w->free_frames = fr;
}

/* ---------------------------------------------------------------- fragments */

struct frag *ptx_frag_split(struct warp *w, uint32_t pc, uint32_t mask, struct frame *fr)
{
    struct frag *f = &w->frags[w->nfrags++]; /* masks are disjoint: never over 32 */

    if (w->nfrags <= 2) {
        w->fair = QUANTUM;
        w->sticky = NULL;
    }
    f->pc = pc;
    f->mask = mask;
    f->fr = fr;
    f->state = FRAG_RUN;
    f->force = 0;
    f->stamp = w->stamp;
    return f;
}

/* Frees the slot; the last fragment moves into it. */
void ptx_frag_remove(struct warp *w, struct frag *f)
{
    struct frag *last = &w->frags[w->nfrags - 1];

    if (w->sticky == f)
        w->sticky = NULL;
    else if (w->sticky == last)
        w->sticky = f;
    if (f != last)
        *f = *last;
    w->nfrags--;
}

void ptx_lanes_exit(struct warp *w, uint32_t mask)
{
    w->live &= ~mask;
    w->cta->nlive -= (uint32_t)__builtin_popcount(mask);
    ptx_barrier_check_all(w->cta);
}

static int runs_before(const struct frag *f, const struct frag *g)
{
    if (f->fr->depth != g->fr->depth)
        return f->fr->depth > g->fr->depth;
    return f->pc < g->pc;
}

static struct frag *pick_first(struct warp *w)
{
    struct frag *best = NULL;
    uint32_t i;

    for (i = 0; i < w->nfrags; i++) {
        struct frag *f = &w->frags[i];

        if (f->state == FRAG_RUN && (!best || runs_before(f, best)))
            best = f;
    }
    return best;
}

static struct frag *pick_oldest(struct warp *w)
{
    struct frag *best = NULL;
    uint32_t i;

    for (i = 0; i < w->nfrags; i++) {
        struct frag *f = &w->frags[i];

        if (f->state == FRAG_RUN && (!best || f->stamp < best->stamp))
            best = f;
    }
    return best;
}

/* Nobody can run. Lanes parked at warp-level *.sync may go on when all lanes
 * they name have exited, or wait at other ones. */
static struct frag *pick_synced(struct warp *w)
{
    uint32_t i, at_sync = 0;
    struct frag *first = NULL;

    for (i = 0; i < w->nfrags; i++)
        if (w->frags[i].state == FRAG_SYNC)
            at_sync |= w->frags[i].mask;
    for (i = 0; i < w->nfrags; i++) {
        struct frag *f = &w->frags[i];

        if (f->state != FRAG_SYNC)
            continue;
        if ((f->need & w->live & ~at_sync) == 0) {
            f->force = 1;
            f->state = FRAG_RUN;
            first = f;
        }
    }
    if (first)
        return pick_first(w);
    /* Named lanes sit at a CTA barrier. They cannot come while these wait. */
    for (i = 0; i < w->nfrags; i++) {
        struct frag *f = &w->frags[i];

        if (f->state == FRAG_SYNC && (!first || runs_before(f, first)))
            first = f;
    }
    if (first) {
        first->force = 1;
        first->state = FRAG_RUN;
    }
    return first;
}

static struct frag *pick(struct warp *w)
{
    struct frag *f;

    if (w->nfrags == 1 && w->frags[0].state == FRAG_RUN)
        return w->frags;
    if (w->fair <= 0) {
        w->fair = QUANTUM;
        w->sticky = w->sticky ? NULL : pick_oldest(w);
    }
    if (w->sticky && w->sticky->state == FRAG_RUN)
        return w->sticky;
    w->sticky = NULL;
    f = pick_first(w);
    return f ? f : pick_synced(w);
}

/* Others at the same place join; at a *.sync they complete each other. */
static struct frag *merge(struct warp *w, struct frag *f)
{
    uint32_t i = 0;

    while (i < w->nfrags) {
        struct frag *g = &w->frags[i], *last;

        if (g == f || g->pc != f->pc || g->fr != f->fr || g->state == FRAG_BARRIER) {
            i++;
            continue;
        }
        last = &w->frags[w->nfrags - 1];
        f->mask |= g->mask;
        f->force |= g->force;
        ptx_frag_remove(w, g);
        if (f == last)
            f = g; /* the removal moved it there */
    }
    return f;
}

/* The nearest place ahead where another fragment of this activation stands. */
static uint32_t meeting_point(const struct warp *w, const struct frag *f)
{
    uint32_t best = UINT32_MAX, i;

    for (i = 0; i < w->nfrags; i++) {
        const struct frag *g = &w->frags[i];

        if (g != f && g->fr == f->fr && g->state != FRAG_BARRIER && g->pc > f->pc && g->pc < best)
            best = g->pc;
    }
    return best;
}

/* --------------------------------------------------------------------- loop */

/* Runs f until it meets another, must be rescheduled or n instructions are over. */
static int run_fragment(struct warp *w, struct frag *f, uint32_t stop, int64_t n)
{
    const struct uop *code = f->fr->fn->code, *u = code + f->pc;
    const struct uop *end = stop == UINT32_MAX ? NULL : code + stop;
    const uint32_t mask = f->mask;
    const int64_t budget = n;
    const int diverged = w->nfrags > 1;
    int rc = CTL_NEXT;

    f->stamp = ++w->stamp;
    w->cur = f;
    w->regs = f->fr->regs;
    do {
        uint32_t m = mask & (*reg32(w, u->guard) ^ u->gxor);

        n--;
        if (m) {
            rc = u->fn(w, u, m);
            if (rc == CTL_JUMP && w->nfrags == 1) {
                u = code + w->target;
                rc = CTL_NEXT;
                continue;
            }
            if (rc)
                break;
        }
        u++;
    } while (u != end && n > 0);
    w->insns += (uint64_t)(budget - n);
    w->lane_insns += (uint64_t)(budget - n) * (uint32_t)__builtin_popcount(mask);
    if (diverged)
        w->fair -= budget - n;
    if (rc == CTL_JUMP)
        f->pc = w->target;
    else if (rc == CTL_NEXT)
        f->pc = (uint32_t)(u - code);
    return rc;
}

enum warp_end ptx_warp_run(struct warp *w, int64_t budget)
{
    int64_t end = (int64_t)w->insns + w->cost + budget;

    while (w->nfrags) {
        struct frag *f;
        int64_t left = end - (int64_t)w->insns - w->cost;

        if (left <= 0)
            return WARP_BUDGET;
        f = pick(w);
        if (!f)
            return WARP_BLOCKED;
        if (w->nfrags > 1) {
            f = merge(w, f);
            if (w->nfrags > 1 && left > w->fair && w->fair > 0)
                left = w->fair;
        }
        if (run_fragment(w, f, meeting_point(w, f), left) == CTL_FAULT)
            return WARP_FAULT;
    }
    return WARP_DONE;
}
