/* SPDX-License-Identifier: MIT */
/*
 * BLAKE2b by RFC 7693, in the tree of vg_digest.h. No calls but memcpy's. The rounds are
 * written once, on four numbers at a time: those of the four leaves, or of one node and
 * three idle ones.
 */
#include "vg_digest.h"

#include <stdbool.h>
#include <string.h>

#define LEAVES VG_DIGEST_LEAVES
#define BLOCK  VG_DIGEST_BLOCK
#define ROW    VG_DIGEST_ROW
#define NODE   64u      /* bytes that a leaf hands to the root */
/* Bytes behind a row from which on no leaf has its last block in it. */
#define MORE   ((LEAVES - 1) * BLOCK + 1)

typedef uint64_t four __attribute__((vector_size(32)));

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

#define INLINE static inline __attribute__((always_inline))

INLINE uint64_t word(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

/* ---- rounds -------------------------------------------------------------------- */

/* In place, as vectors are no arguments where the processor's baseline has none so wide. */
#define ROTATE(x, by)                                                                              \
    do {                                                                                           \
        const four right_ = {by, by, by, by}, left_ = {64 - by, 64 - by, 64 - by, 64 - by};        \
        (x) = (x) >> right_ | (x) << left_;                                                        \
    } while (0)

INLINE void mix(four *v, unsigned a, unsigned b, unsigned c, unsigned d, const four *x,
                const four *y)
{
    v[a] += v[b] + *x;
    v[d] ^= v[a];
    ROTATE(v[d], 32);
    v[c] += v[d];
    v[b] ^= v[c];
    ROTATE(v[b], 24);
    v[a] += v[b] + *y;
    v[d] ^= v[a];
    ROTATE(v[d], 16);
    v[c] += v[d];
    v[b] ^= v[c];
    ROTATE(v[b], 63);
}

/* The order is known to the compiler: all stays in registers. */
INLINE void mix_round(four v[16], const four m[16], const uint8_t s[16])
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

/* The flags of each node's last block; 0 before. */
struct ends {
    uint64_t block[LEAVES], node[LEAVES];
};

/* A block of each node, one behind the other; bytes: of each, with these. */
INLINE void compress_four(uint64_t h[8][LEAVES], const uint8_t *row, const uint64_t bytes[LEAVES],
                          const struct ends *ends)
{
    four v[16], m[16];

    for (unsigned i = 0; i < 8; i++) {
        const four s = {start[i], start[i], start[i], start[i]};
        memcpy(&v[i], h[i], sizeof(v[i]));
        v[i + 8] = s;
    }
    for (unsigned i = 0; i < 16; i++) {
        const four w = {word(row + 8 * i), word(row + BLOCK + 8 * i), word(row + 2 * BLOCK + 8 * i),
                        word(row + 3 * BLOCK + 8 * i)};
        m[i] = w;
    }
    const four t = {bytes[0], bytes[1], bytes[2], bytes[3]};
    const four e = {ends->block[0], ends->block[1], ends->block[2], ends->block[3]};
    const four n = {ends->node[0], ends->node[1], ends->node[2], ends->node[3]};
    v[12] ^= t;
    v[14] ^= e;
    v[15] ^= n;
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
    for (unsigned i = 0; i < 8; i++) {
        v[i] ^= v[i + 8];
        for (unsigned k = 0; k < LEAVES; k++)
            h[i][k] ^= v[i][k];
    }
}

static void compress_plain(uint64_t h[8][LEAVES], const uint8_t *row, const uint64_t bytes[LEAVES],
                           const struct ends *ends)
{
    compress_four(h, row, bytes, ends);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void
compress_avx2(uint64_t h[8][LEAVES], const uint8_t *row, const uint64_t bytes[LEAVES],
              const struct ends *ends)
{
    compress_four(h, row, bytes, ends);
}
#endif

static void compress(uint64_t h[8][LEAVES], const uint8_t *row, const uint64_t bytes[LEAVES],
                     const struct ends *ends)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        compress_avx2(h, row, bytes, ends);
        return;
    }
#endif
    compress_plain(h, row, bytes, ends);
}

/* ---- the tree --------------------------------------------------------------------- */

/* Parameters: length of the result, no key, so many leaves in two levels; and the node's place. */
static void node_init(uint64_t h[8][LEAVES], unsigned k, unsigned length, uint64_t offset,
                      unsigned depth)
{
    for (unsigned i = 0; i < 8; i++)
        h[i][k] = start[i];
    h[0][k] ^= length | LEAVES << 16 | 2u << 24;
    h[1][k] ^= offset;
    h[2][k] ^= depth | NODE << 8;
}

void vg_digest_init(struct vg_digest *d)
{
    for (unsigned k = 0; k < LEAVES; k++)
        node_init(d->h, k, NODE, k, 0);
    d->bytes = d->fill = 0;
}

static void add_row(struct vg_digest *d, const uint8_t *row)
{
    static const struct ends none;

    d->bytes += BLOCK;
    const uint64_t bytes[LEAVES] = {d->bytes, d->bytes, d->bytes, d->bytes};
    compress(d->h, row, bytes, &none);
}

static size_t put(struct vg_digest *d, const uint8_t *p, size_t size, size_t most)
{
    size_t n = size < most ? size : most;

    memcpy(d->rows + d->fill, p, n);
    d->fill += n;
    return n;
}

/* Whole rows go in from where they stand, but for those that something stood before. */
void vg_digest_add(struct vg_digest *d, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    size_t n;

    for (; size > 0; p += n, size -= n) {
        if (d->fill == 0 && size >= ROW + MORE) {
            add_row(d, p);
            n = ROW;
        } else if (d->fill < ROW && size >= ROW - d->fill + MORE) {
            n = put(d, p, size, ROW - d->fill);
            add_row(d, d->rows);
            d->fill = 0;
        } else {
            n = put(d, p, size, sizeof(d->rows) - d->fill);
        }
        if (d->fill >= ROW + MORE) {
            add_row(d, d->rows);
            d->fill -= ROW;
            memmove(d->rows, d->rows + ROW, d->fill);
        }
    }
}

static size_t part(size_t fill, size_t from)
{
    return fill <= from ? 0 : fill - from < BLOCK ? fill - from : BLOCK;
}

/* What is left of the leaves: a last block of each, in some of them behind a whole one. */
static void end_leaves(struct vg_digest *d)
{
    struct ends ends = {{0}, {0}};
    uint8_t row[ROW] = {0};
    uint64_t bytes[LEAVES];

    for (unsigned k = 0; k < LEAVES; k++) {
        size_t first = part(d->fill, k * BLOCK), second = part(d->fill, ROW + k * BLOCK);
        uint64_t before = d->bytes;
        if (second) {   /* a whole one first, of this leaf alone */
            uint64_t h[8][LEAVES], sum[LEAVES] = {before + BLOCK};
            for (unsigned i = 0; i < 8; i++)
                h[i][0] = d->h[i][k], h[i][1] = h[i][2] = h[i][3] = 0;
            memset(row, 0, sizeof(row));
            memcpy(row, d->rows + k * BLOCK, BLOCK);
            compress(h, row, sum, &ends);
            for (unsigned i = 0; i < 8; i++)
                d->h[i][k] = h[i][0];
            before += BLOCK;
        }
        bytes[k] = before + (second ? second : first);
    }
    memset(row, 0, sizeof(row));
    for (unsigned k = 0; k < LEAVES; k++) {
        size_t second = part(d->fill, ROW + k * BLOCK);
        memcpy(row + k * BLOCK, d->rows + (second ? ROW : 0) + k * BLOCK,
               second ? second : part(d->fill, k * BLOCK));
        ends.block[k] = UINT64_MAX;
    }
    ends.node[LEAVES - 1] = UINT64_MAX;
    compress(d->h, row, bytes, &ends);
}

static void put_words(uint8_t *to, uint64_t h[8][LEAVES], unsigned k, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(h[i / 8][k] >> 8 * (i % 8));
}

void vg_digest_end(struct vg_digest *d, uint8_t ret_digest[VG_DIGEST_BYTES])
{
    uint64_t root[8][LEAVES] = {{0}}, bytes[LEAVES] = {BLOCK};
    uint8_t nodes[LEAVES * NODE], row[ROW] = {0};
    struct ends ends = {{0}, {0}};

    end_leaves(d);
    for (unsigned k = 0; k < LEAVES; k++)
        put_words(nodes + k * NODE, d->h, k, NODE);
    node_init(root, 0, VG_DIGEST_BYTES, 0, 1);
    memcpy(row, nodes, BLOCK);
    compress(root, row, bytes, &ends);
    memcpy(row, nodes + BLOCK, BLOCK);
    bytes[0] += BLOCK;
    ends.block[0] = ends.node[0] = UINT64_MAX;
    compress(root, row, bytes, &ends);
    put_words(ret_digest, root, 0, VG_DIGEST_BYTES);
}
