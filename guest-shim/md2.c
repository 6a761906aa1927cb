/* SPDX-License-Identifier: MIT */
/* MD2 and HMAC-MD2; see md2.h. */
#include "guest-shim/md2.h"

#include <string.h>

/* RFC 1319: a permutation of the bytes made from the digits of pi. */
static const uint8_t pi[256] = {
    41,  46,  67,  201, 162, 216, 124, 1,   61,  54,  84,  161, 236, 240, 6,   19,
    98,  167, 5,   243, 192, 199, 115, 140, 152, 147, 43,  217, 188, 76,  130, 202,
    30,  155, 87,  60,  253, 212, 224, 22,  103, 66,  111, 24,  138, 23,  229, 18,
    190, 78,  196, 214, 218, 158, 222, 73,  160, 251, 245, 142, 187, 47,  238, 122,
    169, 104, 121, 145, 21,  178, 7,   63,  148, 194, 16,  137, 11,  34,  95,  33,
    128, 127, 93,  154, 90,  144, 50,  39,  53,  62,  204, 231, 191, 247, 151, 3,
    255, 25,  48,  179, 72,  165, 181, 209, 215, 94,  146, 42,  172, 86,  170, 198,
    79,  184, 56,  210, 150, 164, 125, 182, 118, 252, 107, 226, 156, 116, 4,   241,
    69,  157, 112, 89,  100, 113, 135, 32,  134, 91,  207, 101, 230, 45,  168, 2,
    27,  96,  37,  173, 174, 176, 185, 246, 28,  70,  97,  105, 52,  64,  126, 15,
    85,  71,  163, 35,  221, 81,  175, 58,  195, 92,  249, 206, 186, 197, 234, 38,
    44,  83,  13,  110, 133, 40,  132, 9,   211, 223, 205, 244, 65,  129, 77,  82,
    106, 220, 55,  200, 108, 193, 171, 250, 36,  225, 123, 8,   12,  189, 177, 74,
    120, 136, 149, 139, 227, 99,  232, 109, 233, 203, 213, 254, 59,  0,   29,  57,
    242, 239, 183, 14,  102, 88,  208, 228, 166, 119, 114, 248, 235, 117, 75,  10,
    49,  68,  80,  180, 143, 237, 31,  26,  219, 153, 141, 51,  159, 17,  131, 20,
};

void vg_md2_init(struct vg_md2 *m)
{
    memset(m, 0, sizeof(*m));
}

static void update_checksum(struct vg_md2 *m)
{
    uint8_t last = m->checksum[15];

    for (int i = 0; i < 16; i++) {
        m->checksum[i] ^= pi[m->block[i] ^ last];
        last = m->checksum[i];
    }
}

static void mix(struct vg_md2 *m, const uint8_t block[16])
{
    unsigned t = 0;

    for (int i = 0; i < 16; i++) {
        m->state[16 + i] = block[i];
        m->state[32 + i] = block[i] ^ m->state[i];
    }
    for (unsigned round = 0; round < 18; round++) {
        for (int i = 0; i < 48; i++)
            t = m->state[i] ^= pi[t];
        t = (t + round) & 0xff;
    }
}

void vg_md2_add(struct vg_md2 *m, const void *data, size_t size)
{
    const uint8_t *p = data;

    while (size-- > 0) {
        m->block[m->fill++] = *p++;
        if (m->fill < sizeof(m->block))
            continue;
        update_checksum(m);
        mix(m, m->block);
        m->fill = 0;
    }
}

void vg_md2_end(struct vg_md2 *m, uint8_t digest[VG_MD2_BYTES])
{
    uint8_t pad[16];
    unsigned n = 16 - m->fill;

    memset(pad, (int)n, sizeof(pad));
    vg_md2_add(m, pad, n);
    mix(m, m->checksum);
    memcpy(digest, m->state, VG_MD2_BYTES);
}

static void add_pad(struct vg_md2 *m, const uint8_t key[VG_MD2_BYTES], uint8_t pad)
{
    uint8_t block[VG_MD2_BYTES];

    for (unsigned i = 0; i < VG_MD2_BYTES; i++)
        block[i] = key[i] ^ pad;
    vg_md2_add(m, block, sizeof(block));
}

void vg_hmac_md2_init(struct vg_md2 *m, const uint8_t key[VG_MD2_BYTES])
{
    vg_md2_init(m);
    add_pad(m, key, 0x36);
}

void vg_hmac_md2_end(struct vg_md2 *m, const uint8_t key[VG_MD2_BYTES],
                     uint8_t digest[VG_MD2_BYTES])
{
    uint8_t inner[VG_MD2_BYTES];

    vg_md2_end(m, inner);
    vg_md2_init(m);
    add_pad(m, key, 0x5c);
    vg_md2_add(m, inner, sizeof(inner));
    vg_md2_end(m, digest);
}
