/* SPDX-License-Identifier: MIT */
/* The token bucket, see bucket.h. */
#include "mediator/limit/bucket.h"

#include "protocol/vg_atomic.h"

#define TICKS_PER_NS 64u
#define TICKS_PER_S  (TICKS_PER_NS * 1000000000ull)
#define SLACK_MAX    (1ull << 61)   /* 417 days; keeps sums below 2^64 */
#define TRIES        64u            /* a peer that spins on the word costs us that, and no more */

void vg_rate_init(struct vg_rate *r, uint64_t per_second, uint64_t burst)
{
    *r = (struct vg_rate){0, 0};
    if (per_second == 0)
        return;
    if (per_second > VG_RATE_MAX)
        per_second = VG_RATE_MAX;
    if (burst == 0)
        burst = per_second / 10;
    if (burst == 0)
        burst = 1;
    r->cost = (TICKS_PER_S + per_second / 2) / per_second;
    r->slack = burst > SLACK_MAX / r->cost ? SLACK_MAX : burst * r->cost;
}

uint64_t vg_bucket_take(uint64_t *bucket, const struct vg_rate *r, uint64_t now)
{
    uint64_t old = vg_load_relaxed(bucket);

    if (r->cost == 0)
        return 0;
    now *= TICKS_PER_NS;
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t empty = now + r->slack, next = (old > now ? old : now) + r->cost;

        /* Left by a slower rate: it counts as just emptied. */
        if (old > empty)
            next = empty;
        else if (next > empty)
            return (next - empty + TICKS_PER_NS - 1) / TICKS_PER_NS;
        if (vg_cas(bucket, old, next) && old <= empty)
            return 0;
        old = vg_load_relaxed(bucket);
    }
    return (r->cost + TICKS_PER_NS - 1) / TICKS_PER_NS;
}
