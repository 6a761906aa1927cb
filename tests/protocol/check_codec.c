/* SPDX-License-Identifier: MIT */
/* Encoder and decoder against a list of items: what goes in comes out; what is damaged is refused. */
#include <string.h>

#include "tests/protocol/vg_test.h"
#include "vg_codec.h"

enum { ITEMS = 24 };

struct item {
    enum { WORD, BLOCK, NULL_BLOCK, STRING } kind;
    uint64_t word;
    size_t len;
    char bytes[64];
};

static void random_item(struct item *it, uint64_t *rnd)
{
    it->kind = vg_test_random(rnd) % 4;
    it->word = vg_test_random(rnd);
    it->len = it->word % (sizeof(it->bytes) - 1);
    for (size_t i = 0; i < it->len; i++)
        it->bytes[i] = (char)(1 + vg_test_random(rnd) % 255);
    it->bytes[it->len] = '\0';
}

static void encode(struct vg_enc *e, const struct item *it)
{
    switch (it->kind) {
    case WORD: vg_enc_word(e, it->word); break;
    case BLOCK: vg_enc_block(e, it->bytes, it->len); break;
    case NULL_BLOCK: vg_enc_block(e, NULL, 0); break;
    case STRING: vg_enc_string(e, it->bytes); break;
    }
}

static void check_item(struct vg_dec *d, const struct item *it)
{
    size_t len;
    const void *p;

    switch (it->kind) {
    case WORD:
        ck_assert_uint_eq(vg_dec_word(d), it->word);
        break;
    case BLOCK:
        p = vg_dec_block(d, &len);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq(len, it->len);
        ck_assert_int_eq(memcmp(p, it->bytes, len), 0);
        break;
    case NULL_BLOCK:
        ck_assert_ptr_null(vg_dec_block(d, &len));
        break;
    case STRING:
        ck_assert_str_eq(vg_dec_string(d), it->bytes);
        break;
    }
}

START_TEST(what_goes_in_comes_out)
{
    uint64_t rnd = vg_test_seed();
    static struct item items[ITEMS];
    static uint8_t payload[8192];

    for (int round = 0; round < 20000; round++) {
        unsigned n = vg_test_random(&rnd) % ITEMS;
        struct vg_call call = {0};
        struct vg_enc e;
        struct vg_dec d;

        vg_enc_init_call(&e, &call, payload, sizeof(payload));
        for (unsigned i = 0; i < n; i++) {
            random_item(&items[i], &rnd);
            encode(&e, &items[i]);
        }
        ck_assert(!e.overflow);
        call.payload_len = (uint32_t)e.len;
        vg_dec_init_call(&d, &call, payload);
        for (unsigned i = 0; i < n; i++)
            check_item(&d, &items[i]);
        ck_assert(vg_dec_done(&d));
    }
}
END_TEST

START_TEST(results_use_four_words_then_the_payload)
{
    struct vg_result res = {0};
    uint8_t payload[64];
    struct vg_enc e;
    struct vg_dec d;

    vg_enc_init_result(&e, &res, payload, sizeof(payload));
    for (uint64_t i = 0; i < 6; i++)
        vg_enc_word(&e, 100 + i);
    ck_assert_uint_eq(res.val[3], 103);
    ck_assert_uint_eq(e.len, 16);
    res.payload_len = (uint32_t)e.len;
    vg_dec_init_result(&d, &res, payload);
    for (uint64_t i = 0; i < 6; i++)
        ck_assert_uint_eq(vg_dec_word(&d), 100 + i);
    ck_assert(vg_dec_done(&d));
}
END_TEST

START_TEST(overflow_is_sticky_and_harmless)
{
    struct vg_call call = {0};
    uint8_t payload[32 + 8];
    uint8_t big[64] = {0};
    struct vg_enc e;

    memset(payload, 0xaa, sizeof(payload));
    vg_enc_init_call(&e, &call, payload, 32);
    vg_enc_block(&e, big, 24);
    ck_assert(!e.overflow);
    vg_enc_block(&e, big, 9);
    ck_assert(e.overflow);
    vg_enc_block(&e, big, 1);
    ck_assert(e.overflow);
    for (int i = 32; i < 40; i++)
        ck_assert_uint_eq(payload[i], 0xaa);
}
END_TEST

static struct vg_dec decoder(struct vg_call *call, const void *payload, uint32_t len, uint64_t word)
{
    struct vg_dec d;

    memset(call, 0, sizeof(*call));
    call->arg[0] = word;
    call->payload_len = len;
    vg_dec_init_call(&d, call, payload);
    return d;
}

START_TEST(damage_is_refused)
{
    struct vg_call call;
    struct vg_dec d;
    size_t len;

    d = decoder(&call, "1234567", 8, 10);               /* block longer than the payload */
    ck_assert_ptr_null(vg_dec_block(&d, &len));
    ck_assert(d.bad);
    d = decoder(&call, "1234567", 8, UINT64_MAX);       /* length that wraps when rounded up */
    ck_assert_ptr_null(vg_dec_block(&d, &len));
    ck_assert(d.bad);
    d = decoder(&call, "abcdefgh", 8, 9);               /* string without its NUL */
    ck_assert_ptr_null(vg_dec_string(&d));
    ck_assert(d.bad);
    d = decoder(&call, "ab\0defg", 8, 9);               /* NUL inside */
    ck_assert_ptr_null(vg_dec_string(&d));
    d = decoder(&call, "abcdefg", 8, 1);                /* empty string must hold its NUL */
    ck_assert_ptr_null(vg_dec_string(&d));
    d = decoder(&call, "abcdefg", 8, 5);                /* struct of the wrong size */
    ck_assert_ptr_null(vg_dec_struct(&d, 8));
    ck_assert(d.bad);
    d = decoder(&call, "abcdefg", 8, 0);                /* bytes left over */
    ck_assert_ptr_null(vg_dec_struct(&d, 8));
    ck_assert(!vg_dec_done(&d));
    d = decoder(&call, "abcdefg", 8, 9);                /* and the good case */
    ck_assert_ptr_nonnull(vg_dec_struct(&d, 8));
    ck_assert(vg_dec_done(&d));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codec");
    TCase *c = tcase_create("codec");

    tcase_add_test(c, what_goes_in_comes_out);
    tcase_add_test(c, results_use_four_words_then_the_payload);
    tcase_add_test(c, overflow_is_sticky_and_harmless);
    tcase_add_test(c, damage_is_refused);
    suite_add_tcase(s, c);
    return vg_test_main(s);
}
