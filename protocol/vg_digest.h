/* SPDX-License-Identifier: MIT */
/*
 * BLAKE2b with 32 bytes and no key (RFC 7693): the name of an image's content, for guest and host.
 * Portable: about a gigabyte a second on a processor of 3 GHz. Pure.
 */
#ifndef VG_DIGEST_H
#define VG_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define VG_DIGEST_BYTES 32u
#define VG_DIGEST_BLOCK 128u

struct vg_digest {
    uint64_t h[8];
    uint64_t bytes;                     /* that have gone in, those in `block` not yet */
    size_t fill;                        /* of block */
    uint8_t block[VG_DIGEST_BLOCK];     /* the last one is only known at the end */
};

void vg_digest_init(struct vg_digest *d);
void vg_digest_add(struct vg_digest *d, const void *bytes, size_t size);
void vg_digest_end(struct vg_digest *d, uint8_t ret_digest[VG_DIGEST_BYTES]);

#endif
