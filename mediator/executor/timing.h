/* SPDX-License-Identifier: MIT */
/*
 * How long calls take, by class, for the mediator's histograms. It must not be felt:
 * the serve loop's own two looks at the clock, around a batch of records, serve for the
 * calls that nobody waits for (each gets its even share of the batch); a call with an
 * answer is timed by itself, when the answer is out. Serve thread.
 */
#ifndef VG_TIMING_H
#define VG_TIMING_H

#include <stdint.h>

#define VG_TIMING_BATCH 32u

struct vg_exec;
struct vg_req;

struct vg_timing {
    uint64_t from;              /* ns: when the batch began, or its last answer was out */
    uint64_t answered_ns;       /* of the batch, for calls with an answer */
    uint64_t begun;             /* when the batch began */
    unsigned count;
    uint8_t class[VG_TIMING_BATCH]; /* of the batch's calls without answer */
};

void vg_timing_begin(struct vg_exec *x, uint64_t now);
/* A record goes to its handler: r->class is set. */
void vg_timing_taken(struct vg_exec *x, struct vg_req *r);
/* Its answer is out. */
void vg_timing_answered(struct vg_exec *x, const struct vg_req *r);
void vg_timing_end(struct vg_exec *x, uint64_t now);

#endif
