/* SPDX-License-Identifier: MIT */
/*
 * Sixteen chunks beside each other, for processors with vectors of 512 bits: the words of their
 * blocks are put in order in registers. Pure; elsewhere it is never called.
 */
#define LANES 16u
#include "vg_digest_rounds.h"

#if defined(__x86_64__) && (defined(__clang__) || __GNUC__ >= 6)

#include <immintrin.h>

#define WIDE __attribute__((target("avx512f")))

bool vg_digest_is_wide(void)
{
    return __builtin_cpu_supports("avx512f");
}

/* Of four rows: in each quarter of four columns, those columns, one in each of to[]. */
#define TURN_QUARTERS(to, r)                                                                       \
    do {                                                                                           \
        const __m512i a_ = _mm512_unpacklo_epi32((r)[0], (r)[1]);                                  \
        const __m512i b_ = _mm512_unpackhi_epi32((r)[0], (r)[1]);                                  \
        const __m512i c_ = _mm512_unpacklo_epi32((r)[2], (r)[3]);                                  \
        const __m512i d_ = _mm512_unpackhi_epi32((r)[2], (r)[3]);                                  \
        (to)[0] = _mm512_unpacklo_epi64(a_, c_);                                                   \
        (to)[1] = _mm512_unpackhi_epi64(a_, c_);                                                   \
        (to)[2] = _mm512_unpacklo_epi64(b_, d_);                                                   \
        (to)[3] = _mm512_unpackhi_epi64(b_, d_);                                                   \
    } while (0)

/* The block at p of each of sixteen chunks, word by word. */
WIDE static void turn(__m512i m[16], const uint8_t *p)
{
    __m512i row[16], u[16];

    for (unsigned k = 0; k < 16; k++)
        row[k] = _mm512_loadu_si512((const void *)(p + k * CHUNK));
    for (unsigned g = 0; g < 16; g += 4)
        TURN_QUARTERS(&u[g], &row[g]);
    for (unsigned j = 0; j < 4; j++) {
        const __m512i even = _mm512_shuffle_i32x4(u[j], u[4 + j], 0x88);
        const __m512i odd = _mm512_shuffle_i32x4(u[j], u[4 + j], 0xdd);
        const __m512i even2 = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0x88);
        const __m512i odd2 = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0xdd);
        m[j] = _mm512_shuffle_i32x4(even, even2, 0x88);
        m[4 + j] = _mm512_shuffle_i32x4(odd, odd2, 0x88);
        m[8 + j] = _mm512_shuffle_i32x4(even, even2, 0xdd);
        m[12 + j] = _mm512_shuffle_i32x4(odd, odd2, 0xdd);
    }
}

WIDE void vg_digest_wide(uint32_t node[VG_DIGEST_WIDE][8], const uint8_t *p, uint64_t number)
{
    const vec block = ALL(BLOCK);
    vec h[8], v[16], low, high;
    __m512i m[16];

    for (unsigned k = 0; k < VG_DIGEST_WIDE; k++) {
        low[k] = (uint32_t)(number + k);
        high[k] = (uint32_t)((number + k) >> 32);
    }
    for (unsigned i = 0; i < 8; i++) {
        const vec s = ALL(start[i]);
        h[i] = s;
    }
    for (unsigned at = 0; at < CHUNK; at += BLOCK) {
        const uint32_t flag = (at == 0 ? CHUNK_START : 0) | (at == CHUNK - BLOCK ? CHUNK_END : 0);
        const vec flags = ALL(flag);
        v[12] = low;
        v[13] = high;
        v[14] = block;
        v[15] = flags;
        turn(m, p + at);
        mix_block(v, h, (const vec *)m);
    }
    for (unsigned k = 0; k < VG_DIGEST_WIDE; k++)
        for (unsigned i = 0; i < 8; i++)
            node[k][i] = h[i][k];
}

#else

bool vg_digest_is_wide(void)
{
    return false;
}

void vg_digest_wide(uint32_t node[VG_DIGEST_WIDE][8], const uint8_t *p, uint64_t number)
{
    (void)node, (void)p, (void)number;
}

#endif
