/* SPDX-License-Identifier: MIT */
/*
 * The name of an image's content, for guest and host: BLAKE3 with a result of 32 bytes. Chunks of
 * 1024 bytes are the leaves of a binary tree; eight of them are computed beside each other. One
 * pass over cuBLASLt's images is on the way of each process that starts it, so it counts
 * how long that takes. Pure. Threads may each compute the nodes of parts.
 */
#ifndef VG_DIGEST_H
#define VG_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define VG_DIGEST_BYTES 32u
#define VG_DIGEST_CHUNK 1024u
#define VG_DIGEST_DEPTH 44u     /* of the tree: enough for 2^54 bytes */
#define VG_DIGEST_PART  (512u << 10)    /* bytes below one node that is made by itself */

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

/*
 * The node above part `number` of the bytes, VG_DIGEST_PART of them; and what adds it in the place of the
 * bytes themselves: behind so many whole parts, and something must come behind it.
 */
void vg_digest_part(const void *bytes, uint64_t number, uint32_t ret_node[8]);
void vg_digest_add_part(struct vg_digest *d, const uint32_t node[8]);

#endif
