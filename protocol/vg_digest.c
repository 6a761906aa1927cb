/* SPDX-License-Identifier: MIT */
/* BLAKE2b by RFC 7693; see vg_digest.h. No calls but memcpy's. */
#include "vg_digest.h"

#include <string.h>


/* The first 64 bits of the fractions of the square roots of the first eight primes. */
static const uint64_t start[8] = {
    0x6a09e667f3bcc908ull, 0xbb67ae8584caa73bull, 0x3c6ef372fe94f82bull, 0xa54ff53a5f1d36f1ull,
    0x510e527fade682d1ull, 0x9b05688c2b3e6c1full, 0x1f83d9abfb41bd6bull, 0x5be0cd19137e2179ull,
};

/* Which words of the block a round mixes in. */
static const uint8_t order[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static inline uint64_t rotate(uint64_t v, unsigned by)
{
    return v >> by | v << (64 - by);
}

static inline uint64_t word(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline __attribute__((always_inline)) void mix(uint64_t v[16], unsigned a, unsigned b,
                                                      unsigned c, unsigned d, uint64_t x,
                                                      uint64_t y)
{
    v[a] += v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 63);
}

static inline __attribute__((always_inline)) void mix_round(uint64_t v[16], const uint64_t m[16], const uint8_t s[16])
{
    mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
    mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
    mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
    mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
    mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
    mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
    mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
    mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
}

/* One block; d->bytes counts what is in it already. */
static void compress(struct vg_digest *d, const uint8_t *block, uint64_t last)
{
    uint64_t v[16], m[16];

    for (unsigned i = 0; i < 8; i++) {
        v[i] = d->h[i];
        v[i + 8] = start[i];
    }
    for (unsigned i = 0; i < 16; i++)
        m[i] = word(block + 8 * i);
    v[12] ^= d->bytes;
    v[14] ^= last;
    mix_round(v, m, order[0]);
    mix_round(v, m, order[1]);
    mix_round(v, m, order[2]);
    mix_round(v, m, order[3]);
    mix_round(v, m, order[4]);
    mix_round(v, m, order[5]);
    mix_round(v, m, order[6]);
    mix_round(v, m, order[7]);
    mix_round(v, m, order[8]);
    mix_round(v, m, order[9]);
    mix_round(v, m, order[0]);
    mix_round(v, m, order[1]);
    for (unsigned i = 0; i < 8; i++)
        d->h[i] ^= v[i] ^ v[i + 8];
}

void vg_digest_init(struct vg_digest *d)
{
    memcpy(d->h, start, sizeof(d->h));
    d->h[0] ^= 0x01010000 ^ VG_DIGEST_BYTES;    /* no key, one thread, no tree */
    d->bytes = d->fill = 0;
}

static void flush(struct vg_digest *d, const uint8_t *block)
{
    d->bytes += VG_DIGEST_BLOCK;
    compress(d, block, 0);
}

void vg_digest_add(struct vg_digest *d, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;

    while (size > 0) {
        if (d->fill == VG_DIGEST_BLOCK) {
            flush(d, d->block);
            d->fill = 0;
        }
        for (; d->fill == 0 && size > VG_DIGEST_BLOCK; p += VG_DIGEST_BLOCK, size -= VG_DIGEST_BLOCK)
            flush(d, p);
        size_t room = VG_DIGEST_BLOCK - d->fill, n = size < room ? size : room;
        memcpy(d->block + d->fill, p, n);
        d->fill += n;
        p += n;
        size -= n;
    }
}

void vg_digest_end(struct vg_digest *d, uint8_t ret_digest[VG_DIGEST_BYTES])
{
    memset(d->block + d->fill, 0, VG_DIGEST_BLOCK - d->fill);
    d->bytes += d->fill;
    compress(d, d->block, UINT64_MAX);
    for (unsigned i = 0; i < VG_DIGEST_BYTES; i++)
        ret_digest[i] = (uint8_t)(d->h[i / 8] >> 8 * (i % 8));
}
