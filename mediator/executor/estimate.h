/* SPDX-License-Identifier: MIT */
/*
 * How long a call's work is likely to take on the GPU: a moving mean for each kernel with
 * its grid, each graph, each size of copy, as measured so far. A table of fixed size, in
 * which an old entry gives way to a new one. Pure.
 */
#ifndef VG_ESTIMATE_H
#define VG_ESTIMATE_H

#include <stdint.h>

#define VG_ESTIMATES      1024u        /* a power of two */
#define VG_ESTIMATE_NS    20000u       /* of what nobody has measured */
#define VG_ESTIMATE_MAX   4000000000u  /* ns; longer is as good as endless */

/* Zeroed is empty. */
struct vg_estimates {
    struct {
        uint32_t tag, ns;
        uint32_t took[2]; /* the last two, as measured; 0: none */
    } at[VG_ESTIMATES];
};

/* The place of a key, where `first` ns are assumed if nothing is known of it. */
unsigned vg_estimate_find(struct vg_estimates *e, uint64_t key, uint64_t first);

static inline uint32_t vg_estimate_ns(const struct vg_estimates *e, unsigned place)
{
    return e->at[place].ns;
}

/*
 * One call took so long, by the clock, as far as it can be told from `kinds` kinds of calls measured
 * together. Others may have had the GPU meanwhile: so of three in a row the shortest counts, and one
 * that waited for another VM's slice leaves no trace; but where they really differ, a 32nd of
 * what they took together.
 */
void vg_estimate_learn(struct vg_estimates *e, unsigned place, uint64_t ns, unsigned kinds);

/* Mixes a word into a key. */
static inline uint64_t vg_estimate_mix(uint64_t key, uint64_t word)
{
    key = (key ^ word) * 0x9e3779b97f4a7c15ull;
    return key ^ key >> 29;
}

#endif
