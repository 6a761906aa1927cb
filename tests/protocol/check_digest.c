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

/* Bytes 0, 1, 2, ... 250, 0, ...: as many as an example has. The values are those of Python's blake3. */
START_TEST(is_blake3)
{
    static const struct {
        size_t size;
        const char *digest;
    } example[] = {
        {0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
        {1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
        {63, "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b"},
        {64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98"},
        {65, "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee"},
        {1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"},
        {1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
        {1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
        {2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"},
        {2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030"},
        {3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2"},
        {3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3"},
        {8192, "aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63"},
        {8193, "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b"},
        {9217, "d42c90aa30bee83ecb52ad31b685d566145649496764878873598cef582d4d8f"},
        {16384, "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4"},
        {16385, "1dabe216be2578830263b049de1639f39f05a4da616b9b78c7a5e4e41662fd1f"},
        {65536, "68d647e619a930e7b1082f74f334b0c65a315725569bdc123f0ee11881717bfe"},
        {65537, "7c99f9840a73dfcb6e5bfe4ff6d1558acab7e015640790c26411818bdbe17eca"},
        {74000, "2927ed20a6869b5b4ea6e346e53c40465e44670e0ebb7e03777d5218d8883258"},
        {131073, "f837d4254d24ba3d50fe3743d46e4af6db5f5d6ab0469197d94e7ba1e906c4d8"},
        {200001, "8b682398b82e2a7b7b7a5a8a037303f13496af3073026bf71605a9dd10c5b900"},
    };
    static uint8_t bytes[256 << 10];
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
    static uint8_t bytes[150000];
    uint8_t out[VG_DIGEST_BYTES];
    char whole[2 * VG_DIGEST_BYTES + 1], parts[2 * VG_DIGEST_BYTES + 1];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    digest_of(bytes, sizeof(bytes), whole);
    for (size_t piece = 1; piece < sizeof(bytes); piece += piece / 4 + 1) {
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
    TCase *c = tcase_create("blake3");
    SRunner *r = srunner_create(s);

    tcase_add_test(c, is_blake3);
    tcase_add_test(c, does_not_depend_on_the_pieces);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
