/* SPDX-License-Identifier: MIT */
/* The table of moving means; see estimate.h. */
#include "mediator/executor/estimate.h"

#include <string.h>

#define STEP_MAX 16   /* one measurement that is so many times longer counts as no more: ... */
#define STEP_NS  1000 /* ... others may have had the GPU meanwhile */
#define LEAST    32   /* of three that differ the shortest counts, but at least this part of their sum */

unsigned vg_estimate_find(struct vg_estimates *e, uint64_t key, uint64_t first)
{
    unsigned place = (unsigned)(key >> 32) % VG_ESTIMATES;
    uint32_t tag = (uint32_t)key | 1u; /* 0: nobody's */

    if (e->at[place].tag != tag) {
        memset(&e->at[place], 0, sizeof(e->at[place]));
        e->at[place].tag = tag;
        e->at[place].ns = first < VG_ESTIMATE_MAX ? (uint32_t)first : VG_ESTIMATE_MAX;
    }
    return place;
}

static int64_t shortest(uint32_t took[2], int64_t now)
{
    int64_t least = now, sum = now;

    for (unsigned i = 0; i < 2; i++) {
        if (took[i] != 0 && took[i] < least)
            least = took[i];
        sum += took[i];
    }
    took[1] = took[0];
    took[0] = (uint32_t)now;
    return least > sum / LEAST ? least : sum / LEAST;
}

void vg_estimate_learn(struct vg_estimates *e, unsigned place, uint64_t ns, unsigned kinds)
{
    int64_t old = e->at[place].ns;
    int64_t now = ns < VG_ESTIMATE_MAX ? (int64_t)ns : VG_ESTIMATE_MAX;

    now = shortest(e->at[place].took, now);
    if (now > STEP_MAX * (old + STEP_NS))
        now = STEP_MAX * (old + STEP_NS);
    e->at[place].ns = (uint32_t)(old + (now - old) / (kinds > 1 ? 4 : 2));
}
