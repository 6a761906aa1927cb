/* SPDX-License-Identifier: MIT */
/* The table of moving means; see estimate.h. */
#include "mediator/executor/estimate.h"

#define STEP_MAX 16u /* one measurement makes an estimate no more than so many times longer */

unsigned vg_estimate_find(struct vg_estimates *e, uint64_t key, uint64_t first)
{
    unsigned place = (unsigned)(key >> 32) % VG_ESTIMATES;
    uint32_t tag = (uint32_t)key | 1u; /* 0: nobody's */

    if (e->at[place].tag != tag) {
        e->at[place].tag = tag;
        e->at[place].ns = first < VG_ESTIMATE_MAX ? (uint32_t)first : VG_ESTIMATE_MAX;
    }
    return place;
}

void vg_estimate_learn(struct vg_estimates *e, unsigned place, uint64_t guess, uint64_t ns,
                       unsigned kinds)
{
    double old = e->at[place].ns + 1.0, ratio = ((double)ns + 1.0) / ((double)guess + 1.0);

    if (ratio > STEP_MAX)
        ratio = STEP_MAX;
    old += old * (ratio - 1.0) / (kinds > 1 ? 4.0 : 2.0);
    e->at[place].ns = old < VG_ESTIMATE_MAX ? (uint32_t)old : VG_ESTIMATE_MAX;
}
