/* SPDX-License-Identifier: MIT */
/*
 * A token bucket in one word, for any number of takers at once: the word is the time
 * at which the bucket would be full again (GCRA, the "virtual scheduling" form of the
 * leaky bucket), so a token is taken by one compare-and-swap, and nothing ever has to
 * be refilled. Pure: `now` is passed in.
 *
 * Times inside are in 1/64 ns, so that the cost of a token is exact enough: the rate
 * is off by less than 0.001 % up to a million a second, by 0.08 % at a hundred million.
 * Nothing is added up twice, so nothing drifts. Good for nine years of uptime.
 */
#ifndef VG_BUCKET_H
#define VG_BUCKET_H

#include <stdint.h>

#define VG_RATE_MAX 100000000u          /* tokens a second */
#define VG_BURST_MAX VG_RATE_MAX

/* What is granted; cost 0: no limit. */
struct vg_rate {
    uint64_t cost;      /* of a token, 1/64 ns */
    uint64_t slack;     /* of a full bucket */
};

/* burst 0: a tenth of a second's worth; at least one token. per_second 0: no limit. */
void vg_rate_init(struct vg_rate *r, uint64_t per_second, uint64_t burst);

/*
 * Takes one token. 0, or ns from now until there is one, unless somebody else takes it
 * first. now: ns, of one clock for all takers that never goes back. A fresh bucket is 0
 * and full. One that a slower rate has emptied is no emptier than the present one can be.
 */
uint64_t vg_bucket_take(uint64_t *bucket, const struct vg_rate *r, uint64_t now);

#endif
