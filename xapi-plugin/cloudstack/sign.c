/* SPDX-License-Identifier: MIT */
/* Signatures, see sign.h; SHA-1 after FIPS 180-4, which is all that CloudStack takes. */
#include "sign.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/base/util.h"

#define BLOCK 64u

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static uint32_t step(const uint32_t v[5], unsigned i)
{
    return i < 20   ? ((v[1] & v[2]) | (~v[1] & v[3])) + 0x5a827999
           : i < 40 ? (v[1] ^ v[2] ^ v[3]) + 0x6ed9eba1
           : i < 60 ? ((v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3])) + 0x8f1bbcdc
                    : (v[1] ^ v[2] ^ v[3]) + 0xca62c1d6;
}

static void take_block(uint32_t h[5], const uint8_t block[BLOCK])
{
    uint32_t w[80], v[5];

    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (unsigned i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    memcpy(v, h, sizeof(v));
    for (unsigned i = 0; i < 80; i++) {
        uint32_t next = rotate(v[0], 5) + step(v, i) + v[4] + w[i];

        v[4] = v[3];
        v[3] = v[2];
        v[2] = rotate(v[1], 30);
        v[1] = v[0];
        v[0] = next;
    }
    for (unsigned i = 0; i < 5; i++)
        h[i] += v[i];
}

void vg_sha1(const void *data, size_t len, uint8_t digest[VG_SHA1_BYTES])
{
    uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
    const uint8_t *p = data;
    size_t left = len;
    uint8_t last[2 * BLOCK] = { 0 };
    size_t end;

    for (; left >= BLOCK; left -= BLOCK, p += BLOCK)
        take_block(h, p);
    if (left > 0)
        memcpy(last, p, left);
    last[left] = 0x80;
    end = left + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    for (unsigned i = 0; i < 8; i++)
        last[end - 1 - i] = (uint8_t)((uint64_t)len * 8 >> (8 * i));
    for (size_t at = 0; at < end; at += BLOCK)
        take_block(h, last + at);
    for (unsigned i = 0; i < VG_SHA1_BYTES; i++)
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void put_base64(const uint8_t bytes[VG_SHA1_BYTES], char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t all[VG_SHA1_BYTES + 1] = { 0 };

    memcpy(all, bytes, VG_SHA1_BYTES);
    for (unsigned i = 0; i < sizeof(all); i += 3) {
        uint32_t three = (uint32_t)all[i] << 16 | (uint32_t)all[i + 1] << 8 | all[i + 2];

        for (unsigned k = 0; k < 4; k++)
            *out++ = digits[three >> (18 - 6 * k) & 63];
    }
    out[-1] = '=';              /* 20 bytes: the last digit stands for none */
    *out = '\0';
}

int vg_sign(const char *secret, const char *text, size_t len, char signature[VG_SIGNATURE])
{
    vg_auto_free uint8_t *inner = calloc(1, BLOCK + len + 1);
    uint8_t outer[BLOCK + VG_SHA1_BYTES] = { 0 }, digest[VG_SHA1_BYTES];
    size_t n = strlen(secret);

    if (!inner)
        return -ENOMEM;
    if (n > BLOCK)
        vg_sha1(secret, n, outer);
    else
        memcpy(outer, secret, n);
    for (unsigned i = 0; i < BLOCK; i++) {
        inner[i] = outer[i] ^ 0x36;
        outer[i] ^= 0x5c;
    }
    memcpy(inner + BLOCK, text, len);
    vg_sha1(inner, BLOCK + len, outer + BLOCK);
    vg_sha1(outer, sizeof(outer), digest);
    put_base64(digest, signature);
    return 0;
}
