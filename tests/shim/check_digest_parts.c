/* SPDX-License-Identifier: MIT */
/* The name of an image, whoever computes its parts: that of its bytes, one behind the other. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "guest-shim/digest.h"

#define PART VG_DIGEST_PART

static uint8_t *bytes;
#define BYTES ((size_t)24 * PART)

static void setup(void)
{
    uint32_t v = 1;

    bytes = malloc(BYTES);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < BYTES; i++, v = v * 1664525 + 1013904223)
        bytes[i] = (uint8_t)(v >> 24);
}

static void teardown(void)
{
    free(bytes);
}

static void add_piece(struct vg_image *m, size_t from, size_t size)
{
    m->piece[m->pieces].bytes = bytes + from;
    m->piece[m->pieces++].size = size;
    m->size += size;
}

static void wrap(struct vg_image *m)
{
    memcpy(m->header, "a header of sixteen", 16);
    m->header_size = 16;
    m->size += 16;
}

/* By one thread, from a copy without seams. */
static void check(const struct vg_image *m)
{
    uint8_t want[VG_DIGEST_BYTES], got[VG_DIGEST_BYTES], *flat = malloc(m->size);
    size_t at = m->header_size;
    struct vg_digest d;

    memcpy(flat, m->header, m->header_size);
    for (unsigned i = 0; i < m->pieces; at += m->piece[i++].size)
        memcpy(flat + at, m->piece[i].bytes, m->piece[i].size);
    ck_assert_uint_eq(at, m->size);
    vg_digest_init(&d);
    vg_digest_add(&d, flat, m->size);
    vg_digest_end(&d, want);
    for (unsigned helpers = 0; helpers < 8; helpers++) {
        vg_image_digest_with(m, helpers, got);
        ck_assert_msg(memcmp(got, want, sizeof(got)) == 0, "%zu bytes, %u helpers", m->size, helpers);
    }
    vg_image_digest(m, got);
    ck_assert_int_eq(memcmp(got, want, sizeof(got)), 0);
    free(flat);
}

/* The last bytes are never a part by themselves: the root is made of something else. */
START_TEST(one_piece)
{
    static const size_t size[] = {1, PART, 4 * PART - 1, 4 * PART, 4 * PART + 1, 5 * PART + 1024,
                                  9 * PART, 24 * PART - 5000};

    for (unsigned i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        struct vg_image m = {0};
        add_piece(&m, 0, size[i]);
        check(&m);
    }
}
END_TEST

/* As fat binaries come: parts begin in the middle of pieces, and seams fall into parts. */
START_TEST(a_header_and_pieces)
{
    static const size_t size[][3] = {
        {8 * PART, 0, 0}, {8 * PART - 16, 0, 0}, {8 * PART - 15, 0, 0}, {3 * PART, 5 * PART, 77},
        {100, 7 * PART, PART}, {2 * PART - 16, 2 * PART, 3 * PART}, {1, 1, 6 * PART},
    };

    for (unsigned i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        struct vg_image m = {0};
        wrap(&m);
        for (unsigned k = 0; k < 3; k++)
            if (size[i][k])
                add_piece(&m, k * 8 * PART + k * 11, size[i][k]);
        check(&m);
    }
}
END_TEST

/* What one byte changes is another name, in parts and between them. */
START_TEST(every_byte_counts)
{
    uint8_t one[VG_DIGEST_BYTES], other[VG_DIGEST_BYTES];
    struct vg_image m = {0};

    wrap(&m);
    add_piece(&m, 0, 12 * PART + 3);
    vg_image_digest_with(&m, 3, one);
    for (size_t at = 0; at < m.piece[0].size; at += PART / 3 + 1) {
        bytes[at] ^= 1;
        vg_image_digest_with(&m, 3, other);
        bytes[at] ^= 1;
        ck_assert_int_ne(memcmp(one, other, sizeof(one)), 0);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("digest in parts");
    TCase *c = tcase_create("images");
    SRunner *r = srunner_create(s);

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, one_piece);
    tcase_add_test(c, a_header_and_pieces);
    tcase_add_test(c, every_byte_counts);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
