/* SPDX-License-Identifier: MIT */
/*
 * The name of an image's content, for guest and host: BLAKE3 with a result of 32 bytes. Chunks of
 * 1024 bytes are the leaves of a binary tree; eight of them are computed beside each other. One
 * pass over cuBLASLt's images is on the way of each process that starts it, so it counts
 * how long that takes. Pure.
 */
#ifndef VG_DIGEST_H
#define VG_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define VG_DIGEST_BYTES 32u
#define VG_DIGEST_CHUNK 1024u
#define VG_DIGEST_DEPTH 44u     /* of the tree: enough for 2^54 bytes */

struct vg_digest {
    uint32_t stack[VG_DIGEST_DEPTH][8];     /* of subtrees that wait for their right neighbours */
    unsigned depth;
    uint64_t chunks;                        /* in the stack */
    size_t fill;                            /* of chunk: only at the end is known which is the last */
    uint8_t chunk[VG_DIGEST_CHUNK];
};

void vg_digest_init(struct vg_digest *d);
void vg_digest_add(struct vg_digest *d, const void *bytes, size_t size);
void vg_digest_end(struct vg_digest *d, uint8_t ret_digest[VG_DIGEST_BYTES]);

#endif
