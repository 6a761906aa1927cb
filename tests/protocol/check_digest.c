/* SPDX-License-Identifier: MIT */
/* The digest of images: the examples of RFC 7693's makers, and pieces of any length. */
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

/* Bytes 0, 1, 2, ... 250, 0, ...: as many as an example has; the values are Python's hashlib's. */
START_TEST(is_blake2b)
{
    static const struct {
        size_t size;
        const char *digest;
    } example[] = {
        {0, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"},
        {1, "03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314"},
        {127, "f2fe67ff342e21b8f45e8f2e0bcd1d9243245d50ee6c78042e9c491388791c72"},
        {128, "c3582f71ebb2be66fa5dd750f80baae97554f3b015663c8be377cfcb2488c1d1"},
        {129, "f7f3c46ba2564ff4c4c162da1f5b605f9f1c4aa6a20652a9f9a337c1a2f5b9c9"},
        {255, "d9ef0fc521b4266d16df662bec231bc2ec3989e7adeaf63169c295dc239dbbea"},
        {256, "582f782226018ec33076bd8d1c42413530ac7e1126260ffc0f306ba3befc3f24"},
        {257, "227e15ed64ee8e93eb7bc53828f76eed974f2c4ab1408c3d08f212b7f8d69904"},
        {4096, "11c294a11dc67e3ddb25f8c06cca2721e58d2a044243abea6c7063fd17d589e5"},
    };
    uint8_t bytes[1 << 12];
    char text[2 * VG_DIGEST_BYTES + 1];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i % 251);
    for (size_t i = 0; i < sizeof(example) / sizeof(example[0]); i++) {
        digest_of(bytes, example[i].size, text);
        ck_assert_str_eq(text, example[i].digest);
    }
    digest_of("abc", 3, text);
    ck_assert_str_eq(text, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}
END_TEST

START_TEST(does_not_depend_on_the_pieces)
{
    uint8_t bytes[1000], out[VG_DIGEST_BYTES];
    char whole[2 * VG_DIGEST_BYTES + 1], parts[2 * VG_DIGEST_BYTES + 1];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    digest_of(bytes, sizeof(bytes), whole);
    for (size_t piece = 1; piece <= 300; piece++) {
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

    tcase_add_test(c, is_blake2b);
    tcase_add_test(c, does_not_depend_on_the_pieces);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
