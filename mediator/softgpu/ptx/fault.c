/* SPDX-License-Identifier: MIT */
/* Recording what went wrong in a grid. Any worker thread of it. */
#include "exec.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct ptx_result *r, const struct warp *w, const struct uop *u, int lane,
                 uint64_t addr)
{
    r->address = addr;
    r->line = u ? u->line : 0;
    if (!w)
        return;
    r->func_name = w->cur ? w->cur->fr->fn->info.name : w->cta->grid->fn->info.name;
    memcpy(r->block, w->cta->id, sizeof(r->block));
    if (lane >= 0) {
        r->thread[0] = w->tid[0][lane];
        r->thread[1] = w->tid[1][lane];
        r->thread[2] = w->tid[2][lane];
    }
}

int ptx_fault(struct warp *w, const struct uop *u, int lane, enum ptx_fault f, uint64_t addr,
              const char *fmt, ...)
{
    struct grid *g = w->cta->grid;
    va_list ap;

    pthread_mutex_lock(&g->lock);
    if (g->result.fault == PTX_OK) {
        g->result.fault = f;
        va_start(ap, fmt);
        vsnprintf(g->result.message, sizeof(g->result.message), fmt, ap);
        va_end(ap);
        fill(&g->result, w, u, lane, addr);
    }
    g->stop = 1;
    pthread_mutex_unlock(&g->lock);
    return CTL_FAULT;
}

const char *ptx_fault_name(enum ptx_fault f)
{
    static const char *const names[PTX_FAULT_COUNT] = {
        [PTX_OK] = "no fault",
        [PTX_FAULT_ADDRESS] = "illegal address",
        [PTX_FAULT_MISALIGNED] = "misaligned address",
        [PTX_FAULT_ASSERT] = "assertion failed",
        [PTX_FAULT_TRAP] = "trap",
        [PTX_FAULT_PC] = "invalid program counter",
        [PTX_FAULT_STACK] = "stack overflow",
        [PTX_FAULT_DEADLOCK] = "deadlock at a barrier",
        [PTX_FAULT_CANCELLED] = "cancelled",
        [PTX_FAULT_RESOURCES] = "out of host memory",
    };

    return (unsigned)f < PTX_FAULT_COUNT ? names[f] : "unknown fault";
}
