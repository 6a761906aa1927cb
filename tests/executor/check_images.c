/* SPDX-License-Identifier: MIT */
/* Images that are named instead of sent, by guests that are wrong about them. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/executor/cases.h"
#include "vg_digest.h"

static const char ptx[] = ".version 7.0\n.target sm_52\n.address_size 64\n"
                          ".visible .entry empty()\n{\nret;\n}\n";

static void digest_of(const void *bytes, size_t size, uint8_t ret_digest[VG_DIGEST_BYTES])
{
    struct vg_digest d;

    vg_digest_init(&d);
    vg_digest_add(&d, bytes, size);
    vg_digest_end(&d, ret_digest);
}

/* Sends it under the name, to be kept. */
static CUresult keep_bytes(uint64_t off, uint64_t size, const uint8_t *digest,
                           struct vg_result *ret)
{
    return guest_ask(&h, VG_CALL_IMAGE_LOAD, WORDS(VG_IMAGE_KEEP, off, size, 0), digest,
                     VG_DIGEST_BYTES, ret);
}

static CUresult keep(uint64_t off, const uint8_t *digest, struct vg_result *ret)
{
    return keep_bytes(off, sizeof(ptx), digest, ret);
}

static CUresult name(uint64_t flags, uint64_t size, const uint8_t *digest, struct vg_result *ret)
{
    return guest_ask(&h, VG_CALL_IMAGE_LOAD, WORDS(VG_IMAGE_KNOWN | flags, 0, size, 0), digest,
                     VG_DIGEST_BYTES, ret);
}

static uint64_t write_image(void)
{
    uint64_t off = guest_extents(&h, 1);

    memcpy(guest_at(&h, off), ptx, sizeof(ptx));
    return off;
}

START_TEST(a_named_image_is_the_one_that_was_sent)
{
    uint8_t digest[VG_DIGEST_BYTES];
    struct vg_result res;

    host_ready(&h);
    ck_assert(h.slot->features & VG_HOST_KEEPS_IMAGES);
    digest_of(ptx, sizeof(ptx), digest);
    ck_assert_int_eq(name(VG_IMAGE_MODULE, sizeof(ptx), digest, &res), CUDA_SUCCESS);
    ck_assert_msg(res.val[0] == 0, "it was known before it was sent");
    ck_assert_int_eq(keep(write_image(), digest, &res), CUDA_SUCCESS);
    uint64_t first = res.val[0];
    ck_assert_int_eq(name(VG_IMAGE_MODULE, sizeof(ptx), digest, &res), CUDA_SUCCESS);
    ck_assert_msg(res.val[0] != 0 && res.val[0] != first, "it must be a module of its own");
    ck_assert_int_eq(guest_ask(&h, VG_CALL_FUNCTION_GET, WORDS(0, res.val[0]), "empty", 6, NULL),
                     CUDA_SUCCESS);
    ck_assert_int_eq(name(VG_IMAGE_LIBRARY, sizeof(ptx), digest, &res), CUDA_SUCCESS);
    ck_assert(res.val[0] != 0);
    stop_cleanly();
}
END_TEST

/* Loads what was sent, and keeps it under no name: neither its own nor the wrong one. */
START_TEST(a_wrong_name_is_not_kept)
{
    uint8_t digest[VG_DIGEST_BYTES], wrong[VG_DIGEST_BYTES];
    struct vg_result res;

    host_ready(&h);
    digest_of(ptx, sizeof(ptx), digest);
    memcpy(wrong, digest, sizeof(wrong));
    wrong[0] ^= 1;
    ck_assert_int_eq(keep(write_image(), wrong, &res), CUDA_SUCCESS);
    ck_assert(res.val[0] != 0);
    ck_assert_int_eq(name(VG_IMAGE_MODULE, sizeof(ptx), wrong, &res), CUDA_SUCCESS);
    ck_assert(res.val[0] == 0);
    ck_assert_int_eq(name(VG_IMAGE_MODULE, sizeof(ptx), digest, &res), CUDA_SUCCESS);
    ck_assert(res.val[0] == 0);
    stop_cleanly();
}
END_TEST

/* The same for a large one, whose name is checked while the driver loads it. */
START_TEST(large_ones_have_their_own_name)
{
    const uint32_t extents = 24;
    const uint64_t size = (uint64_t)extents * VG_EXTENT_SIZE;
    uint8_t digest[VG_DIGEST_BYTES], wrong[VG_DIGEST_BYTES];
    struct vg_result res;

    host_ready(&h);
    uint64_t off = guest_extents(&h, extents);
    uint8_t *text = guest_at(&h, off);
    memset(text, ' ', size - 1);
    memcpy(text, ptx, sizeof(ptx) - 1);
    text[size - 1] = '\0';
    digest_of(text, size, digest);
    memcpy(wrong, digest, sizeof(wrong));
    wrong[31] ^= 1;
    ck_assert_int_eq(keep_bytes(off, size, wrong, &res), CUDA_SUCCESS);
    ck_assert(res.val[0] != 0);
    ck_assert_int_eq(name(VG_IMAGE_LIBRARY, size, wrong, &res), CUDA_SUCCESS);
    ck_assert_msg(res.val[0] == 0, "it was kept under a wrong name");
    ck_assert_int_eq(keep_bytes(off, size, digest, &res), CUDA_SUCCESS);
    ck_assert_int_eq(name(VG_IMAGE_LIBRARY, size, digest, &res), CUDA_SUCCESS);
    ck_assert_msg(res.val[0] != 0, "it was not kept");
    memset(text, 'x', size - 1);
    digest_of(text, size, digest);
    ck_assert_int_ne(keep_bytes(off, size, digest, &res), CUDA_SUCCESS);
    ck_assert_int_eq(name(VG_IMAGE_LIBRARY, size, digest, &res), CUDA_SUCCESS);
    ck_assert_msg(res.val[0] == 0, "it was kept though it cannot be loaded");
    stop_cleanly();
}
END_TEST

/* What cannot be loaded is not kept either. */
START_TEST(garbage_is_not_kept)
{
    uint8_t digest[VG_DIGEST_BYTES], bytes[sizeof(ptx)];
    struct vg_result res;

    host_ready(&h);
    uint64_t off = write_image();
    memset(guest_at(&h, off), 'x', sizeof(ptx) - 1);
    memcpy(bytes, guest_at(&h, off), sizeof(bytes));
    digest_of(bytes, sizeof(bytes), digest);
    ck_assert_int_ne(keep(off, digest, &res), CUDA_SUCCESS);
    ck_assert_int_eq(name(VG_IMAGE_MODULE, sizeof(ptx), digest, &res), CUDA_SUCCESS);
    ck_assert(res.val[0] == 0);
    stop_cleanly();
}
END_TEST

START_TEST(sizes_that_cannot_be)
{
    static const uint64_t size[] = {0, 1, sizeof(ptx) + 1, VG_IMAGE_MAX, VG_IMAGE_MAX + 1, UINT64_MAX};
    uint8_t digest[VG_DIGEST_BYTES];
    struct vg_result res;

    host_ready(&h);
    digest_of(ptx, sizeof(ptx), digest);
    ck_assert_int_eq(keep(write_image(), digest, &res), CUDA_SUCCESS);
    for (unsigned i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        ck_assert_int_eq(name(VG_IMAGE_MODULE, size[i], digest, &res), CUDA_SUCCESS);
        ck_assert(res.val[0] == 0);
    }
    /* A name of which half is missing is none. */
    ck_assert_int_eq(guest_ask(&h, VG_CALL_IMAGE_LOAD, WORDS(VG_IMAGE_KNOWN, 0, sizeof(ptx), 0),
                               digest, VG_DIGEST_BYTES / 2, &res), CUDA_SUCCESS);
    ck_assert(res.val[0] == 0);
    stop_cleanly();
}
END_TEST

/* An input of the linker cannot be named. */
START_TEST(only_modules_and_libraries)
{
    uint8_t digest[VG_DIGEST_BYTES] = {0};

    host_ready(&h);
    guest_send(&h, VG_CALL_IMAGE_LOAD,
               WORDS(VG_IMAGE_LINK_INPUT | VG_IMAGE_KNOWN, 0, sizeof(ptx), 0), digest,
               sizeof(digest), VG_F_REPLY, 1);
    expect_gone(VG_GONE_PROTOCOL);
}
END_TEST

TCase *image_cases(void)
{
    TCase *c = tcase_create("images");

    tcase_set_timeout(c, 40);
    tcase_add_test(c, a_named_image_is_the_one_that_was_sent);
    tcase_add_test(c, a_wrong_name_is_not_kept);
    tcase_add_test(c, large_ones_have_their_own_name);
    tcase_add_test(c, garbage_is_not_kept);
    tcase_add_test(c, sizes_that_cannot_be);
    tcase_add_test(c, only_modules_and_libraries);
    return c;
}
