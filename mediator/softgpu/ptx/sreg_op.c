/* SPDX-License-Identifier: MIT */
/* Reading special registers, and addresses that depend on the activation. */
#include "handlers.h"
#include "sreg.h"

#include <time.h>

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* %envreg1:%envreg2 is where cooperative groups finds its grid barrier. */
static uint64_t envreg(const struct grid *g, int64_t n)
{
    uint64_t at = g->l->cooperative ? (uint64_t)(uintptr_t)g->workspace : 0;

    return n == 1 ? at >> 32 : n == 2 ? (uint32_t)at : 0;
}

static uint64_t grid_value(const struct warp *w, int sreg)
{
    const struct cta *c = w->cta;
    const struct ptx_launch *l = c->grid->l;

    switch (sreg) {
    case SREG_NTID_X: case SREG_NTID_Y: case SREG_NTID_Z:
        return l->block[sreg - SREG_NTID_X];
    case SREG_CTAID_X: case SREG_CTAID_Y: case SREG_CTAID_Z:
        return c->id[sreg - SREG_CTAID_X];
    case SREG_CLUSTERID_X: case SREG_CLUSTERID_Y: case SREG_CLUSTERID_Z:
        return c->id[sreg - SREG_CLUSTERID_X];
    case SREG_NCTAID_X: case SREG_NCTAID_Y: case SREG_NCTAID_Z:
        return l->grid[sreg - SREG_NCTAID_X];
    case SREG_NCLUSTERID_X: case SREG_NCLUSTERID_Y: case SREG_NCLUSTERID_Z:
        return l->grid[sreg - SREG_NCLUSTERID_X];
    case SREG_CLUSTER_NCTAID_X: case SREG_CLUSTER_NCTAID_Y: case SREG_CLUSTER_NCTAID_Z:
    case SREG_CLUSTER_NCTARANK:
        return 1;
    case SREG_SMID:
        return c->sm;
    case SREG_NSMID:
        return l->sm_count;
    case SREG_GRIDID:
        return l->grid_id;
    case SREG_DYNAMIC_SMEM:
        return l->dynamic_shared;
    case SREG_TOTAL_SMEM: case SREG_AGGR_SMEM:
        return c->shared_size;
    default:
        return 0;
    }
}

static uint64_t warp_value(const struct warp *w, int sreg, int64_t n)
{
    switch (sreg) {
    case SREG_WARPID:
        return w->index;
    case SREG_NWARPID:
        return w->cta->nwarps;
    case SREG_CLOCK: case SREG_CLOCK64:
        return now_ns(CLOCK_MONOTONIC);
    case SREG_CLOCK_HI:
        return now_ns(CLOCK_MONOTONIC) >> 32;
    case SREG_GLOBALTIMER: case SREG_GLOBALTIMER_LO:
        return now_ns(CLOCK_REALTIME);
    case SREG_GLOBALTIMER_HI:
        return now_ns(CLOCK_REALTIME) >> 32;
    case SREG_ENVREG:
        return envreg(w->cta->grid, n);
    default:
        return grid_value(w, sreg);
    }
}

static int lane_value(const struct warp *w, int sreg, uint32_t lane, uint64_t *v)
{
    switch (sreg) {
    case SREG_TID_X: case SREG_TID_Y: case SREG_TID_Z:
        *v = w->tid[sreg - SREG_TID_X][lane];
        return 1;
    case SREG_LANEID:
        *v = lane;
        return 1;
    case SREG_LANEMASK_EQ:
        *v = 1u << lane;
        return 1;
    case SREG_LANEMASK_LT:
        *v = (1u << lane) - 1;
        return 1;
    case SREG_LANEMASK_LE:
        *v = (1u << lane) | ((1u << lane) - 1);
        return 1;
    case SREG_LANEMASK_GE:
        *v = ~((1u << lane) - 1);
        return 1;
    case SREG_LANEMASK_GT:
        *v = ~((1u << lane) | ((1u << lane) - 1));
        return 1;
    default:
        return 0;
    }
}

HANDLER(ptx_op_sreg)
{
    uint64_t v = 0;
    int per_lane = lane_value(w, u->x[0], 0, &v);

    if (!per_lane)
        v = warp_value(w, u->x[0], u->imm);
    FOR_LANES(i, mask) {
        if (per_lane)
            lane_value(w, u->x[0], i, &v);
        if (u->x[1])
            reg64(w, u->d)[i] = v;
        else
            reg32(w, u->d)[i] = (uint32_t)v;
    }
    return CTL_NEXT;
}

static void spread(struct warp *w, const struct uop *u, uint32_t mask, uint64_t v)
{
    FOR_LANES(i, mask) {
        if (u->x[1])
            reg64(w, u->d)[i] = v;
        else
            reg32(w, u->d)[i] = (uint32_t)v;
    }
}

HANDLER(ptx_op_local_addr)
{
    spread(w, u, mask,
           w->cur->fr->local_base + (uint64_t)u->imm + (u->x[0] ? PTX_WINDOW_LOCAL : 0));
    return CTL_NEXT;
}

HANDLER(ptx_op_dyn_shared)
{
    spread(w, u, mask, w->cta->dyn_base + (uint64_t)u->imm);
    return CTL_NEXT;
}
