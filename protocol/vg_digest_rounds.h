/* SPDX-License-Identifier: MIT */
/*
 * The rounds of BLAKE3, on LANES numbers at a time; private to vg_digest*.c, which define LANES
 * (8 or 16) before they include this.
 */
#ifndef VG_DIGEST_ROUNDS_H
#define VG_DIGEST_ROUNDS_H

#include <stdbool.h>

#include "vg_digest.h"

#define BLOCK 64u
#define CHUNK VG_DIGEST_CHUNK

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

typedef uint32_t vec __attribute__((vector_size(4 * LANES), may_alias));

/* The first 32 bits of the fractions of the square roots of the first eight primes. */
static const uint32_t start[8] = {
    0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
    0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u,
};

/* Which words of the block a round mixes in. */
static const uint8_t order[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

#define INLINE static inline __attribute__((always_inline))

#define FOUR(n) n, n, n, n
#if LANES == 8
#define ALL(n) {FOUR(n), FOUR(n)}
#else
#define ALL(n) {FOUR(n), FOUR(n), FOUR(n), FOUR(n)}
#endif

/* In place, as vectors are no arguments where the processor's baseline has none so wide. */
#define ROTATE(x, by)                                                                              \
    do {                                                                                           \
        const vec right_ = ALL(by), left_ = ALL(32 - by);                                          \
        (x) = (x) >> right_ | (x) << left_;                                                        \
    } while (0)

INLINE void mix(vec *v, unsigned a, unsigned b, unsigned c, unsigned d, const vec *x, const vec *y)
{
    v[a] = v[a] + *x + v[b];    /* v[b] comes last, from the step before */
    v[d] ^= v[a];
    ROTATE(v[d], 16);
    v[c] += v[d];
    v[b] ^= v[c];
    ROTATE(v[b], 12);
    v[a] = v[a] + *y + v[b];
    v[d] ^= v[a];
    ROTATE(v[d], 8);
    v[c] += v[d];
    v[b] ^= v[c];
    ROTATE(v[b], 7);
}

/* The order is known to the compiler: all stays in registers. */
INLINE void mix_round(vec v[16], const vec *m, const uint8_t s[16])
{
    mix(v, 0, 4, 8, 12, &m[s[0]], &m[s[1]]);
    mix(v, 1, 5, 9, 13, &m[s[2]], &m[s[3]]);
    mix(v, 2, 6, 10, 14, &m[s[4]], &m[s[5]]);
    mix(v, 3, 7, 11, 15, &m[s[6]], &m[s[7]]);
    mix(v, 0, 5, 10, 15, &m[s[8]], &m[s[9]]);
    mix(v, 1, 6, 11, 12, &m[s[10]], &m[s[11]]);
    mix(v, 2, 7, 8, 13, &m[s[12]], &m[s[13]]);
    mix(v, 3, 4, 9, 14, &m[s[14]], &m[s[15]]);
}

/* The last four of v are set; the first eight are h, which this changes. */
INLINE void mix_block(vec v[16], vec h[8], const vec m[16])
{
    for (unsigned i = 0; i < 8; i++)
        v[i] = h[i];
    for (unsigned i = 0; i < 4; i++) {
        const vec s = ALL(start[i]);
        v[i + 8] = s;
    }
    mix_round(v, m, order[0]);
    mix_round(v, m, order[1]);
    mix_round(v, m, order[2]);
    mix_round(v, m, order[3]);
    mix_round(v, m, order[4]);
    mix_round(v, m, order[5]);
    mix_round(v, m, order[6]);
    for (unsigned i = 0; i < 8; i++)
        h[i] = v[i] ^ v[i + 8];
}

/* ---- vg_digest_wide.c: for processors that compute sixteen lanes at a time ---------- */

#define VG_DIGEST_WIDE 16u

bool vg_digest_is_wide(void);

/* The nodes of so many whole chunks, one behind the other, the first of that number. */
void vg_digest_wide(uint32_t node[VG_DIGEST_WIDE][8], const uint8_t *p, uint64_t number);

#endif
