/* SPDX-License-Identifier: MIT */
/* MD2 (RFC 1319) and HMAC over it (RFC 2104): what CUDA's runtime asks its driver for. Pure. */
#ifndef VG_SHIM_MD2_H
#define VG_SHIM_MD2_H

#include <stddef.h>
#include <stdint.h>

#define VG_MD2_BYTES 16u

struct vg_md2 {
    uint8_t state[48];
    uint8_t checksum[16];
    uint8_t block[16];
    unsigned fill;          /* bytes in block */
};

void vg_md2_init(struct vg_md2 *m);
void vg_md2_add(struct vg_md2 *m, const void *data, size_t size);
void vg_md2_end(struct vg_md2 *m, uint8_t digest[VG_MD2_BYTES]);

/* A key of exactly one block. End with vg_hmac_md2_end. */
void vg_hmac_md2_init(struct vg_md2 *m, const uint8_t key[VG_MD2_BYTES]);
void vg_hmac_md2_end(struct vg_md2 *m, const uint8_t key[VG_MD2_BYTES],
                     uint8_t digest[VG_MD2_BYTES]);

#endif
