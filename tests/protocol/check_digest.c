/* SPDX-License-Identifier: MIT */
/* The digest of images: examples, and pieces of any length. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vg_digest.h"

static void hex(const uint8_t digest[VG_DIGEST_BYTES], char text[2 * VG_DIGEST_BYTES + 1])
{
    for (unsigned i = 0; i < VG_DIGEST_BYTES; i++)
        sprintf(text + 2 * i, "%02x", digest[i]);
}

static void digest_of(const void *bytes, size_t size, char text[2 * VG_DIGEST_BYTES + 1])
{
    uint8_t out[VG_DIGEST_BYTES];
    struct vg_digest d;

    vg_digest_init(&d);
    vg_digest_add(&d, bytes, size);
    vg_digest_end(&d, out);
    hex(out, text);
}

/*
 * Bytes 0, 1, 2, ... 250, 0, ...: as many as an example has. The values are Python's hashlib's:
 * fanout 4, depth 2, inner_size 64, leaves of every fourth block.
 */
START_TEST(is_a_tree_of_blake2b)
{
    static const struct {
        size_t size;
        const char *digest;
    } example[] = {
        {0, "7fb3222c1bce0810eb69450cc6ddfc6f5822c2e5b2fe0927e27f0e292e4e45a1"},
        {1, "059720da71e632734692dfdb787bbecce94809e6b5b4d4be718e63dc1d9524ce"},
        {127, "d69c5bd9b1cdaa1388a9c63d05d48be76cebeca0976973d29abdf820d5bc74e2"},
        {128, "8e3e8776c407e4849fbd5e8f2b4067ecaa452100a4aa5dcd4f33ffb51c21ef3c"},
        {129, "8a40a1b466646a0fffeff99e0d44f6e0848a31f7349b38a6bdd2636a376aa45b"},
        {511, "a46d562f1c3e1d2b7c790630d862d81d9ed724e8dabd7d4b6142bbd16d949981"},
        {512, "497e658ebfdd612b6b13a7af9059b2bbbe4b4cc276c04a263441b76790cf3c01"},
        {513, "55246a992fa2ed7df8393a3f4e3b3185c7ece2dbc1bf94fc5a5e99f9bc8c9e51"},
        {640, "ecefbf2a84049ee372447153f58128acd3025512eb151ca52764e11fec9e732e"},
        {896, "7f8217718998484ebc44d20f8193f8d9593d17b2bba543e21afee5d11667a20d"},
        {897, "817278109eef1c70bf5339f64fbe471367d2cc67fc89489469f27791a8040ec5"},
        {1023, "cf25e4bce3907de440f73b79ef522121a4a7ea03127409d7671e6b851f585f7e"},
        {1024, "8f9d06184b7a575940096ce0d300c87f4291acf75c82defbee7f618be0d51f4c"},
        {1025, "b807d81ca6c254c76308b5da8684fcd4445a0c3753580af0cadace01bb0369e0"},
        {1500, "991b217641e983202eab374bdfd1a5d5a9c7543eaa09095ba46f05e4b42797cf"},
        {4096, "0b18d52f2e3f13ff6779b9805749bd881d9ee96f880f0b41555a71c54cdce71b"},
    };
    uint8_t bytes[1 << 12];
    char text[2 * VG_DIGEST_BYTES + 1];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i % 251);
    for (size_t i = 0; i < sizeof(example) / sizeof(example[0]); i++) {
        digest_of(bytes, example[i].size, text);
        ck_assert_str_eq(text, example[i].digest);
    }
}
END_TEST

START_TEST(does_not_depend_on_the_pieces)
{
    uint8_t bytes[3000], out[VG_DIGEST_BYTES];
    char whole[2 * VG_DIGEST_BYTES + 1], parts[2 * VG_DIGEST_BYTES + 1];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    digest_of(bytes, sizeof(bytes), whole);
    for (size_t piece = 1; piece <= 1100; piece += 3) {
        struct vg_digest d;
        vg_digest_init(&d);
        for (size_t at = 0; at < sizeof(bytes); at += piece)
            vg_digest_add(&d, bytes + at, sizeof(bytes) - at < piece ? sizeof(bytes) - at : piece);
        vg_digest_end(&d, out);
        hex(out, parts);
        ck_assert_str_eq(parts, whole);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("digest");
    TCase *c = tcase_create("blake2b");
    SRunner *r = srunner_create(s);

    tcase_add_test(c, is_a_tree_of_blake2b);
    tcase_add_test(c, does_not_depend_on_the_pieces);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
