/* SPDX-License-Identifier: MIT */
/*
 * Arguments <-> call records, by the rules of vg_api.def's argument kinds.
 *
 * Words (scalars, handles, addresses) fill arg[0..7] in order; from the ninth on
 * they stand in the payload. Byte blocks (structs, arrays, strings) are a word
 * `length + 1` (0: NULL pointer) and the bytes in the payload, each item 8-aligned.
 * Results likewise: words fill val[0..3], then the reply payload.
 *
 * Encoders have a sticky `overflow`, decoders a sticky `bad`: straight-line code,
 * one check at the end. Decoders read a private copy only, never shared memory.
 */
#ifndef VG_CODEC_H
#define VG_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_wire.h"

struct vg_enc {
    uint64_t *word;         /* arg[] or val[] */
    unsigned words, word_max;
    uint8_t *payload;
    size_t len, cap;
    bool overflow;
};

void vg_enc_init_call(struct vg_enc *e, struct vg_call *call, void *payload, size_t cap);
void vg_enc_init_result(struct vg_enc *e, struct vg_result *res, void *payload, size_t cap);
void vg_enc_word(struct vg_enc *e, uint64_t v);
void vg_enc_block(struct vg_enc *e, const void *p, size_t len);  /* p NULL: a NULL pointer */
void vg_enc_string(struct vg_enc *e, const char *s);             /* NUL travels too */

struct vg_dec {
    const uint64_t *word;
    unsigned words, word_max;
    const uint8_t *payload;
    size_t pos, len;
    bool bad;
};

void vg_dec_init_call(struct vg_dec *d, const struct vg_call *call, const void *payload);
void vg_dec_init_result(struct vg_dec *d, const struct vg_result *res, const void *payload);
uint64_t vg_dec_word(struct vg_dec *d);
/* Pointer into the private payload, or NULL for a NULL pointer (and when bad). */
const void *vg_dec_block(struct vg_dec *d, size_t *ret_len);
const void *vg_dec_struct(struct vg_dec *d, size_t size);        /* exactly size bytes, or NULL pointer */
const char *vg_dec_string(struct vg_dec *d);                     /* NUL at the end and nowhere else */
bool vg_dec_done(const struct vg_dec *d);                        /* not bad and nothing left over */

#endif
