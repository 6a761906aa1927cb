/* SPDX-License-Identifier: MIT */
/* One CTA: its memory, its warps' turns. The thread that runs it. */
#include "exec.h"

#include <stdlib.h>
#include <string.h>

enum { WARP_QUANTUM = 5000, LOCAL_PAD = 64, SHARED_PAD = 64 };

static void free_frames(struct warp *w)
{
    while (w->free_frames) {
        struct frame *fr = w->free_frames;

        w->free_frames = fr->next_free;
        ptx_block_put(w->cta->grid->blocks, fr);
    }
}

/* Activations still in use, after a fault. */
static void drop_fragments(struct warp *w)
{
    while (w->nfrags) {
        struct frag *f = &w->frags[w->nfrags - 1];
        struct frame *fr = f->fr;

        while (fr) {
            struct frame *up = fr->up;

            fr->live &= ~f->mask;
            if (fr->live == 0)
                ptx_frame_pop(w, fr);
            fr = up;
        }
        w->nfrags--;
    }
}

void ptx_cta_free(struct cta *c)
{
    uint32_t i;

    if (!c)
        return;
    for (i = 0; c->warps && i < c->nwarps; i++) {
        drop_fragments(&c->warps[i]);
        free_frames(&c->warps[i]);
        ptx_block_put(c->grid->blocks, c->warps[i].local);
    }
    ptx_block_put(c->grid->blocks, c->warps);
    ptx_block_put(c->grid->blocks, c->shared);
    free(c);
}

static void place_threads(struct warp *w, const uint32_t block[3], uint32_t first, uint32_t n)
{
    uint32_t i;

    for (i = 0; i < PTX_LANES; i++) {
        uint32_t t = first + i;

        w->tid[0][i] = t % block[0];
        w->tid[1][i] = t / block[0] % block[1];
        w->tid[2][i] = t / block[0] / block[1];
    }
    w->exist = n >= PTX_LANES ? FULL_MASK : (1u << n) - 1;
}

static int make_warps(struct cta *c, const struct grid *g)
{
    uint32_t i;

    c->warps = ptx_block_get(g->blocks, c->nwarps * sizeof(*c->warps));
    if (!c->warps)
        return -1;
    memset(c->warps, 0, c->nwarps * sizeof(*c->warps));
    for (i = 0; i < c->nwarps; i++) {
        struct warp *w = &c->warps[i];

        w->cta = c;
        w->runs = c->runs;
        w->index = i;
        w->local_size = g->local_size;
        w->local_stride = g->local_size + LOCAL_PAD;
        place_threads(w, g->l->block, i * PTX_LANES, c->nthreads - i * PTX_LANES);
        if (g->local_size) {
            w->local = ptx_block_get(g->blocks, (size_t)PTX_LANES * w->local_stride);
            if (!w->local)
                return -1;
        }
    }
    return 0;
}

struct cta *ptx_cta_new(struct grid *g)
{
    const struct ptx_launch *l = g->l;
    struct cta *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->grid = g;
    c->nthreads = l->block[0] * l->block[1] * l->block[2];
    c->nwarps = (c->nthreads + PTX_LANES - 1) / PTX_LANES;
    c->dyn_base = (g->fn->info.static_shared + 15) & ~15u;
    c->shared_size = c->dyn_base + l->dynamic_shared;
    c->shared = ptx_block_get(g->blocks, c->shared_size + SHARED_PAD);
    if (!c->shared || make_warps(c, g)) {
        ptx_cta_free(c);
        return NULL;
    }
    return c;
}

/* Makes c the index-th CTA of the grid, at its beginning. */
int ptx_cta_start(struct cta *c, uint64_t index)
{
    const struct grid *g = c->grid;
    uint32_t i;

    c->id[0] = (uint32_t)(index % g->l->grid[0]);
    c->id[1] = (uint32_t)(index / g->l->grid[0] % g->l->grid[1]);
    c->id[2] = (uint32_t)(index / g->l->grid[0] / g->l->grid[1]);
    c->sm = (uint32_t)(index % (g->l->sm_count ? g->l->sm_count : 1));
    c->nlive = c->nthreads;
    c->next_warp = 0;
    memset(c->bars, 0, sizeof(c->bars));
    memset(c->shared, 0, c->shared_size);
    for (i = 0; i < c->nwarps; i++) {
        struct warp *w = &c->warps[i];
        struct frame *fr = ptx_frame_push(w, g->fn, NULL, w->exist, NULL);

        if (!fr)
            return -1;
        w->live = w->exist;
        w->nfrags = 0;
        w->sticky = NULL;
        w->fair = 0;
        memset(w->parked, 0, sizeof(w->parked));
        ptx_frag_split(w, 0, w->exist, fr);
    }
    return 0;
}

/* Every warp once. Returns what happened: bits of the warps' ends. */
static unsigned one_round(struct cta *c, int64_t quantum)
{
    unsigned seen = 0;
    uint32_t i;

    for (i = 0; i < c->nwarps && !(seen & 1u << WARP_FAULT); i++) {
        const struct ptx_launch *l = c->grid->l;

        seen |= 1u << ptx_warp_run(&c->warps[i], quantum);
        if (l->cancel && *l->cancel) {
            ptx_fault(&c->warps[i], NULL, -1, PTX_FAULT_CANCELLED, 0, "cancelled");
            seen |= 1u << WARP_FAULT;
        }
    }
    return seen;
}

static uint64_t executed(const struct cta *c)
{
    uint64_t n = 0;
    uint32_t i;

    for (i = 0; i < c->nwarps; i++)
        n += c->warps[i].insns + (uint64_t)c->warps[i].cost;
    return n;
}

int ptx_cta_run(struct cta *c, int64_t budget)
{
    uint64_t start = executed(c), before = start;

    do {
        unsigned seen = one_round(c, WARP_QUANTUM);
        uint64_t now = executed(c);

        if ((seen & 1u << WARP_FAULT) || c->grid->stop)
            return 1;
        if (seen == 1u << WARP_DONE)
            return 1;
        if (now == before && !(seen & 1u << WARP_BUDGET)) {
            ptx_fault(&c->warps[0], NULL, -1, PTX_FAULT_DEADLOCK, 0,
                      "all threads of the CTA that have not exited wait at barriers");
            return 1;
        }
        before = now;
    } while ((int64_t)(before - start) < budget);
    return 0;
}
