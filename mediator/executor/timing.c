/* SPDX-License-Identifier: MIT */
/* See timing.h. */
#include "mediator/executor/timing.h"

#include "mediator/executor/executor.h"

void vg_timing_begin(struct vg_exec *x, uint64_t now)
{
    struct vg_timing *t = &x->timing;

    t->from = t->begun = now;
    t->answered_ns = 0;
    t->count = 0;
}

void vg_timing_taken(struct vg_exec *x, struct vg_req *r)
{
    struct vg_timing *t = &x->timing;

    if (r->call.flags & VG_F_REPLY)
        r->taken = t->count == 0 ? t->from : vg_now();
    else if (t->count < VG_TIMING_BATCH)
        t->class[t->count++] = (uint8_t)r->class;
}

void vg_timing_answered(struct vg_exec *x, const struct vg_req *r)
{
    struct vg_timing *t = &x->timing;
    uint64_t now = vg_now();

    vg_hist_add(&x->stats->latency[r->class], now - r->taken, 1);
    /* A wait that is over was taken in some earlier batch. */
    t->answered_ns += now - (r->taken > t->from ? r->taken : t->from);
    t->from = now;
}

void vg_timing_end(struct vg_exec *x, uint64_t now)
{
    struct vg_timing *t = &x->timing;
    uint64_t all = now - t->begun, rest = all > t->answered_ns ? all - t->answered_ns : 0;
    uint64_t share = t->count ? rest / t->count : 0;

    for (unsigned i = 0; i < t->count; i++)
        vg_hist_add(&x->stats->latency[t->class[i]], share, 1);
}
