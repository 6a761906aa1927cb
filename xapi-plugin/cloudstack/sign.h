/* SPDX-License-Identifier: MIT */
/* How CloudStack wants requests signed: HMAC-SHA1, in base64. Pure. */
#ifndef VG_SIGN_H
#define VG_SIGN_H

#include <stddef.h>
#include <stdint.h>

#define VG_SHA1_BYTES 20u
#define VG_SIGNATURE  29u       /* bytes of a signature with its NUL */

void vg_sha1(const void *data, size_t len, uint8_t digest[VG_SHA1_BYTES]);

/* The signature of `text` by `secret` (RFC 2104, RFC 4648). 0, or -ENOMEM. */
int vg_sign(const char *secret, const char *text, size_t len, char signature[VG_SIGNATURE]);

#endif
