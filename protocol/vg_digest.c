/* SPDX-License-Identifier: MIT */
/*
 * BLAKE3 by its specification (O'Connor, Aumasson, Neves, Wilcox-O'Hearn). No calls but memcpy's.
 * Eight numbers at a time: those of eight chunks or nodes, of which some may be idle.
 */
#include "vg_digest.h"

#include <stdbool.h>
#include <string.h>

#define LANES 8u
#include "vg_digest_rounds.h"

#define MANY  64u       /* chunks of the largest subtree that is made at once */
#define PART  (VG_DIGEST_PART / CHUNK)  /* chunks of one that is made by itself: 8 times as many */

/* Of each lane: state or message, word by word, so that the lanes stand beside each other. */
typedef uint32_t state[8][LANES] __attribute__((aligned(32)));
typedef uint32_t message[16][LANES] __attribute__((aligned(32)));

INLINE uint32_t word(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

/* ---- eight lanes --------------------------------------------------------------- */

/* What a block of each lane is: the numbers of their chunks, bytes in it, flags. */
struct about {
    uint32_t low[LANES] __attribute__((aligned(32))), high[LANES] __attribute__((aligned(32)));
    uint32_t bytes, flags;
};

INLINE void compress_eight(state h, message words, const struct about *about)
{
    const vec bytes = ALL(about->bytes), flags = ALL(about->flags);
    vec v[16];

    v[12] = *(const vec *)about->low;
    v[13] = *(const vec *)about->high;
    v[14] = bytes;
    v[15] = flags;
    mix_block(v, (vec *)h, (const vec *)words);
}

static void compress_plain(state h, message m, const struct about *about)
{
    compress_eight(h, m, about);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void compress_avx2(state h, message m,
                                                          const struct about *about)
{
    compress_eight(h, m, about);
}
#endif

/* Rotations are one instruction there instead of three, and there are twice as many registers. */
#if defined(__x86_64__) && (defined(__clang__) || __GNUC__ >= 6)
#define HAS_AVX512
__attribute__((target("avx512f,avx512vl"))) static void compress_avx512(state h, message m,
                                                                        const struct about *about)
{
    compress_eight(h, m, about);
}
#endif

static void compress(state h, message m, const struct about *about)
{
#ifdef HAS_AVX512
    if (__builtin_cpu_supports("avx512vl")) {
        compress_avx512(h, m, about);
        return;
    }
#endif
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        compress_avx2(h, m, about);
        return;
    }
#endif
    compress_plain(h, m, about);
}

/* ---- leaves and nodes ------------------------------------------------------------ */

static void begin(state h)
{
    for (unsigned i = 0; i < 8; i++)
        for (unsigned k = 0; k < LANES; k++)
            h[i][k] = start[i];
}

static void end(uint32_t node[][8], state h, unsigned count)
{
    for (unsigned k = 0; k < count; k++)
        for (unsigned i = 0; i < 8; i++)
            node[k][i] = h[i][k];
}

/* Eight whole chunks, one behind the other, the first of that number. */
static void eight_chunks(uint32_t node[LANES][8], const uint8_t *p, uint64_t number)
{
    struct about about = {.bytes = BLOCK};
    message m;
    state h;

    for (unsigned k = 0; k < LANES; k++) {
        about.low[k] = (uint32_t)(number + k);
        about.high[k] = (uint32_t)((number + k) >> 32);
    }
    begin(h);
    for (unsigned at = 0; at < CHUNK; at += BLOCK) {
        for (unsigned k = 0; k < LANES; k++)
            for (unsigned i = 0; i < 16; i++)
                m[i][k] = word(p + k * CHUNK + at + 4 * i);
        about.flags = (at == 0 ? CHUNK_START : 0) | (at == CHUNK - BLOCK ? CHUNK_END : 0);
        compress(h, m, &about);
    }
    end(node, h, LANES);
}

/* One chunk, which may be short or empty. */
static void one_chunk(uint32_t node[8], const uint8_t *p, size_t size, uint64_t number, bool root)
{
    struct about about = {.low = {(uint32_t)number}, .high = {(uint32_t)(number >> 32)},
                          .flags = CHUNK_START};
    message m = {{0}};
    state h;

    begin(h);
    for (size_t at = 0; at == 0 || at < size; at += BLOCK) {
        uint8_t block[BLOCK] = {0};
        about.bytes = (uint32_t)(size - at < BLOCK ? size - at : BLOCK);
        memcpy(block, p + at, about.bytes);
        for (unsigned i = 0; i < 16; i++)
            m[i][0] = word(block + 4 * i);
        if (at + BLOCK >= size)
            about.flags |= CHUNK_END | (root ? ROOT : 0);
        compress(h, m, &about);
        about.flags = 0;
    }
    end((uint32_t(*)[8])node, h, 1);
}

/* Of `count` pairs of children, at most eight; in place. */
static void parents(uint32_t to[][8], uint32_t child[][8], unsigned count, unsigned flags)
{
    struct about about = {.bytes = BLOCK, .flags = PARENT | flags};
    message m = {{0}};
    state h;

    begin(h);
    for (unsigned k = 0; k < count; k++)
        for (unsigned i = 0; i < 16; i++)
            m[i][k] = child[2 * k + i / 8][i % 8];
    compress(h, m, &about);
    end(to, h, count);
}

/* ---- the tree --------------------------------------------------------------------- */

void vg_digest_init(struct vg_digest *d)
{
    d->chunks = d->depth = 0;
    d->fill = 0;
}

/* What is whole by now becomes one node: as many stay as there are bits set in the number of chunks. */
static void merge(struct vg_digest *d)
{
    while (d->depth > (unsigned)__builtin_popcountll(d->chunks)) {
        d->depth--;
        parents(&d->stack[d->depth - 1], &d->stack[d->depth - 1], 1, 0);
    }
}

static void push(struct vg_digest *d, const uint32_t node[8], unsigned chunks)
{
    merge(d);
    memcpy(d->stack[d->depth++], node, sizeof(d->stack[0]));
    d->chunks += chunks;
}

/* The node above so many whole chunks: 8 or MANY. */
static void subtree(uint32_t ret_node[8], const uint8_t *p, uint64_t number, unsigned chunks)
{
    uint32_t node[MANY][8];

    if (chunks == MANY && vg_digest_is_wide())
        for (unsigned i = 0; i < MANY; i += VG_DIGEST_WIDE)
            vg_digest_wide(&node[i], p + (size_t)i * CHUNK, number + i);
    else
        for (unsigned i = 0; i < chunks; i += LANES)
            eight_chunks(&node[i], p + (size_t)i * CHUNK, number + i);
    for (unsigned n = chunks / 2; n > 0; n /= 2)
        for (unsigned i = 0; i < n; i += LANES)
            parents(&node[i], &node[2 * i], n - i < LANES ? n - i : LANES, 0);
    memcpy(ret_node, node[0], sizeof(node[0]));
}

static void add_subtree(struct vg_digest *d, const uint8_t *p, unsigned chunks)
{
    uint32_t node[8];

    subtree(node, p, d->chunks, chunks);
    push(d, node, chunks);
}

/* The largest subtree that may stand here and leaves something behind it: else it would be the last. */
static unsigned fitting(const struct vg_digest *d, size_t size)
{
    if (d->fill == 0 && d->chunks % MANY == 0 && size > MANY * CHUNK)
        return MANY;
    return d->fill == 0 && d->chunks % LANES == 0 && size > LANES * CHUNK ? LANES : 0;
}

static void flush(struct vg_digest *d)
{
    uint32_t node[8];

    one_chunk(node, d->chunk, CHUNK, d->chunks, false);
    push(d, node, 1);
    d->fill = 0;
}

void vg_digest_add(struct vg_digest *d, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;

    while (size > 0) {
        if (d->fill == CHUNK)
            flush(d);
        unsigned chunks = fitting(d, size);
        size_t n = chunks ? chunks * CHUNK : size < CHUNK - d->fill ? size : CHUNK - d->fill;
        if (chunks) {
            add_subtree(d, p, chunks);
        } else {
            memcpy(d->chunk + d->fill, p, n);
            d->fill += n;
        }
        p += n;
        size -= n;
    }
}

void vg_digest_part(const void *bytes, uint64_t number, uint32_t ret_node[8])
{
    const uint8_t *p = bytes;
    uint32_t node[PART / MANY][8];

    for (unsigned i = 0; i < PART / MANY; i++)
        subtree(node[i], p + (size_t)i * MANY * CHUNK, number * PART + i * MANY, MANY);
    for (unsigned n = PART / MANY / 2; n > 0; n /= 2)
        parents(node, node, n, 0);
    memcpy(ret_node, node[0], sizeof(node[0]));
}

void vg_digest_add_part(struct vg_digest *d, const uint32_t node[8])
{
    if (d->fill == CHUNK)
        flush(d);
    push(d, node, PART);
}

void vg_digest_end(struct vg_digest *d, uint8_t ret_digest[VG_DIGEST_BYTES])
{
    uint32_t pair[2][8];

    merge(d);
    one_chunk(pair[1], d->chunk, d->fill, d->chunks, d->depth == 0);
    while (d->depth > 0) {
        d->depth--;
        memcpy(pair[0], d->stack[d->depth], sizeof(pair[0]));
        parents(&pair[1], pair, 1, d->depth == 0 ? ROOT : 0);
    }
    for (unsigned i = 0; i < VG_DIGEST_BYTES; i++)
        ret_digest[i] = (uint8_t)(pair[1][i / 4] >> 8 * (i % 4));
}
