/* SPDX-License-Identifier: MIT */
/* Encoding and decoding of call records; rules in vg_codec.h. Pure, bounded, no allocation. */
#include "vg_codec.h"

#include <string.h>

static size_t align8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static void enc_init(struct vg_enc *e, uint64_t *word, unsigned word_max, void *payload, size_t cap)
{
    *e = (struct vg_enc){.word = word, .word_max = word_max, .payload = payload, .cap = cap};
    memset(word, 0, word_max * sizeof(*word));
}

void vg_enc_init_call(struct vg_enc *e, struct vg_call *call, void *payload, size_t cap)
{
    enc_init(e, call->arg, 8, payload, cap);
}

void vg_enc_init_result(struct vg_enc *e, struct vg_result *res, void *payload, size_t cap)
{
    enc_init(e, res->val, 4, payload, cap);
}

static void put(struct vg_enc *e, const void *p, size_t len)
{
    size_t padded = align8(len);

    if (e->overflow || padded < len || padded > e->cap - e->len) {
        e->overflow = true;
        return;
    }
    memcpy(e->payload + e->len, p, len);
    memset(e->payload + e->len + len, 0, padded - len);
    e->len += padded;
}

void vg_enc_word(struct vg_enc *e, uint64_t v)
{
    if (e->words < e->word_max)
        e->word[e->words++] = v;
    else
        put(e, &v, sizeof(v));
}

void vg_enc_block(struct vg_enc *e, const void *p, size_t len)
{
    vg_enc_word(e, p ? (uint64_t)len + 1 : 0);
    if (p && len)
        put(e, p, len);
}

void vg_enc_string(struct vg_enc *e, const char *s)
{
    vg_enc_block(e, s, s ? strlen(s) + 1 : 0);
}

static void dec_init(struct vg_dec *d, const uint64_t *word, unsigned word_max, const void *payload,
                     size_t len)
{
    *d = (struct vg_dec){.word = word, .word_max = word_max, .payload = payload, .len = len};
}

void vg_dec_init_call(struct vg_dec *d, const struct vg_call *call, const void *payload)
{
    dec_init(d, call->arg, 8, payload, call->payload_len);
}

void vg_dec_init_result(struct vg_dec *d, const struct vg_result *res, const void *payload)
{
    dec_init(d, res->val, 4, payload, res->payload_len);
}

static const void *get(struct vg_dec *d, uint64_t len)
{
    size_t left = d->len - d->pos;

    if (d->bad || len > left || align8(len) > left) {
        d->bad = true;
        return NULL;
    }
    const void *p = d->payload + d->pos;
    d->pos += align8(len);
    return p;
}

uint64_t vg_dec_word(struct vg_dec *d)
{
    uint64_t v = 0;

    if (d->words < d->word_max)
        return d->word[d->words++];
    const void *p = get(d, sizeof(v));
    if (p)
        memcpy(&v, p, sizeof(v));
    return v;
}

const void *vg_dec_block(struct vg_dec *d, size_t *ret_len)
{
    uint64_t n = vg_dec_word(d);

    *ret_len = 0;
    if (n == 0)
        return NULL;
    const void *p = get(d, n - 1);
    if (p)
        *ret_len = (size_t)(n - 1);
    return p;
}

const void *vg_dec_struct(struct vg_dec *d, size_t size)
{
    size_t len;
    const void *p = vg_dec_block(d, &len);

    if (p && len != size) {
        d->bad = true;
        return NULL;
    }
    return p;
}

const char *vg_dec_string(struct vg_dec *d)
{
    size_t len;
    const char *s = vg_dec_block(d, &len);

    if (s && (len == 0 || memchr(s, '\0', len) != s + len - 1)) {
        d->bad = true;
        return NULL;
    }
    return s;
}

bool vg_dec_done(const struct vg_dec *d)
{
    return !d->bad && d->pos == d->len;
}
