/* SPDX-License-Identifier: MIT */
/*
 * The name of an image's content, for guest and host: BLAKE2b (RFC 7693) as a tree of four leaves,
 * which take turns at blocks of 128 bytes, and a root of 32 bytes over their 64 each. Processors
 * with AVX2 compute the leaves beside each other, some 3 gigabytes a second; others a
 * quarter of that. Pure.
 */
#ifndef VG_DIGEST_H
#define VG_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define VG_DIGEST_BYTES  32u
#define VG_DIGEST_BLOCK  128u
#define VG_DIGEST_LEAVES 4u
#define VG_DIGEST_ROW    (VG_DIGEST_BLOCK * VG_DIGEST_LEAVES)

struct vg_digest {
    uint64_t h[8][VG_DIGEST_LEAVES];    /* word by word, so that the leaves stand beside each other */
    uint64_t bytes;                     /* of each leaf; those in `rows` not yet */
    size_t fill;                        /* of rows */
    uint8_t rows[2 * VG_DIGEST_ROW];    /* each leaf's last block is only known at the end */
};

void vg_digest_init(struct vg_digest *d);
void vg_digest_add(struct vg_digest *d, const void *bytes, size_t size);
void vg_digest_end(struct vg_digest *d, uint8_t ret_digest[VG_DIGEST_BYTES]);

#endif
