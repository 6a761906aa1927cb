/* SPDX-License-Identifier: MIT */
/* The shelf of images, as two or more processes with one memory see it. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mediator/shelf/shelf.h"
#include "vg_atomic.h"

#define SHELF_BYTES (1u << 20)
#define IMAGE_BYTES 100000u     /* 7 blocks; about 8 fit */

static struct vg_shelf shelf;
static int memory;

static void setup(void)
{
    memory = (int)syscall(SYS_memfd_create, "shelf", 0u);
    ck_assert_int_eq(ftruncate(memory, SHELF_BYTES), 0);
    ck_assert_int_eq(vg_shelf_open(&shelf, dup(memory), SHELF_BYTES), 0);
}

static void teardown(void)
{
    vg_shelf_close(&shelf);
    close(memory);
}

struct image {
    uint8_t digest[VG_DIGEST_BYTES];
    size_t size;
    uint8_t bytes[IMAGE_BYTES * 6];
};

static const struct image *image(unsigned number, size_t size)
{
    static struct image m;
    struct vg_digest d;
    uint32_t v = number * 2654435761u + 1;

    m.size = size;
    for (size_t i = 0; i < size; i++, v = v * 1664525 + 1013904223)
        m.bytes[i] = (uint8_t)(v >> 24);
    vg_digest_init(&d);
    vg_digest_add(&d, m.bytes, size);
    vg_digest_end(&d, m.digest);
    return &m;
}

static bool put(struct vg_shelf *s, const struct image *m)
{
    return vg_shelf_put(s, m->digest, m->bytes, m->size);
}

/* True if it is there; then it must be the same bytes. */
static bool have(struct vg_shelf *s, const struct image *m)
{
    static uint8_t copy[sizeof(((struct image *)0)->bytes)];

    if (!vg_shelf_take(s, m->digest, m->size, copy))
        return false;
    ck_assert_int_eq(memcmp(copy, m->bytes, m->size), 0);
    return true;
}

START_TEST(another_process_finds_what_one_has_kept)
{
    pid_t child = fork();

    if (child == 0) {
        struct vg_shelf own;
        _exit(vg_shelf_open(&own, dup(memory), SHELF_BYTES) || !put(&own, image(1, IMAGE_BYTES)));
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert_int_eq(status, 0);
    ck_assert(have(&shelf, image(1, IMAGE_BYTES)));
    ck_assert(vg_shelf_has(&shelf, image(1, IMAGE_BYTES)->digest, IMAGE_BYTES));
    ck_assert(!have(&shelf, image(2, IMAGE_BYTES)));
    ck_assert(!vg_shelf_has(&shelf, image(1, IMAGE_BYTES)->digest, IMAGE_BYTES - 1));
}
END_TEST

START_TEST(sizes_around_a_block)
{
    static const size_t size[] = {1, VG_SHELF_BLOCK - 1, VG_SHELF_BLOCK, VG_SHELF_BLOCK + 1,
                                  3 * VG_SHELF_BLOCK};

    for (unsigned i = 0; i < 5; i++)
        ck_assert(put(&shelf, image(i, size[i])));
    for (unsigned i = 0; i < 5; i++)
        ck_assert(have(&shelf, image(i, size[i])));
}
END_TEST

/* Whoever names an image wrongly, by mistake or not, has it kept by no name. */
START_TEST(a_wrong_name_is_refused)
{
    const struct image *m = image(1, IMAGE_BYTES);
    uint8_t digest[VG_DIGEST_BYTES];

    memcpy(digest, m->digest, sizeof(digest));
    digest[31] ^= 1;
    ck_assert(!vg_shelf_put(&shelf, digest, m->bytes, m->size));
    ck_assert(!vg_shelf_has(&shelf, digest, m->size));
    ck_assert(!have(&shelf, m));
}
END_TEST

/* A guess: what both names stand for is there, and the last one that was told counts. */
START_TEST(what_was_asked_for_next)
{
    uint8_t a[VG_DIGEST_BYTES], b[VG_DIGEST_BYTES], then[VG_DIGEST_BYTES];
    uint64_t size = 0;

    ck_assert(put(&shelf, image(1, IMAGE_BYTES)));
    memcpy(a, image(1, IMAGE_BYTES)->digest, sizeof(a));
    memcpy(b, image(2, 5000)->digest, sizeof(b));
    vg_shelf_follow(&shelf, a, b);
    ck_assert_msg(!vg_shelf_next(&shelf, a, then, &size), "the second is not there");
    ck_assert(put(&shelf, image(2, 5000)));
    ck_assert(!vg_shelf_next(&shelf, a, then, &size));
    vg_shelf_follow(&shelf, a, b);
    ck_assert(vg_shelf_next(&shelf, a, then, &size));
    ck_assert_int_eq(memcmp(then, b, sizeof(b)), 0);
    ck_assert_uint_eq(size, 5000);
    ck_assert(!vg_shelf_next(&shelf, b, then, &size));
    vg_shelf_follow(&shelf, a, a);
    ck_assert(vg_shelf_next(&shelf, a, then, &size));
    ck_assert_int_eq(memcmp(then, a, sizeof(a)), 0);
    ck_assert_uint_eq(size, IMAGE_BYTES);
}
END_TEST

static long faults(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_minflt;
}

/* 1536 pages of 4 KiB, in a view that has seen none of them. */
START_TEST(a_large_one_costs_few_page_faults)
{
    const uint64_t size = 6u << 20, all = 16u << 20;
    uint8_t *bytes = malloc(size), *copy = malloc(size), digest[VG_DIGEST_BYTES] = {1};
    int fd = (int)syscall(SYS_memfd_create, "shelf", 0u);
    struct vg_shelf writer, reader;

    ck_assert_int_eq(ftruncate(fd, (off_t)all), 0);
    ck_assert_int_eq(vg_shelf_open(&writer, dup(fd), all), 0);
    ck_assert_int_eq(vg_shelf_open(&reader, fd, all), 0);
    memset(bytes, 7, size);
    memset(copy, 0, size);
    long before = faults();
    ck_assert(vg_shelf_put_as(&writer, digest, bytes, size));
    ck_assert_msg(faults() - before < 400, "%ld to put it there", faults() - before);
    before = faults();
    ck_assert(vg_shelf_take(&reader, digest, size, copy));
    ck_assert_msg(faults() - before < 60, "%ld to take it", faults() - before);
    ck_assert_int_eq(memcmp(bytes, copy, size), 0);
    vg_shelf_close(&writer);
    vg_shelf_close(&reader);
    free(bytes);
    free(copy);
}
END_TEST

START_TEST(what_was_used_longest_ago_makes_room)
{
    for (unsigned i = 0; i < 8; i++)
        ck_assert(put(&shelf, image(i, IMAGE_BYTES)));
    for (unsigned i = 0; i < 8; i++)
        ck_assert_msg(have(&shelf, image(i, IMAGE_BYTES)), "%u has gone", i);
    ck_assert(have(&shelf, image(0, IMAGE_BYTES)));
    ck_assert(put(&shelf, image(8, IMAGE_BYTES)));
    ck_assert(put(&shelf, image(9, IMAGE_BYTES)));
    ck_assert(have(&shelf, image(0, IMAGE_BYTES)));
    ck_assert(have(&shelf, image(9, IMAGE_BYTES)));
    ck_assert(!have(&shelf, image(1, IMAGE_BYTES)));
}
END_TEST

START_TEST(the_same_twice_takes_room_once)
{
    for (unsigned i = 0; i < 20; i++)
        ck_assert(put(&shelf, image(1, IMAGE_BYTES)));
    for (unsigned i = 2; i < 9; i++)
        ck_assert(put(&shelf, image(i, IMAGE_BYTES)));
    ck_assert(have(&shelf, image(1, IMAGE_BYTES)));
}
END_TEST

START_TEST(one_image_never_takes_all)
{
    ck_assert(put(&shelf, image(1, IMAGE_BYTES)));
    ck_assert(!put(&shelf, image(2, 6 * IMAGE_BYTES)));
    ck_assert(have(&shelf, image(1, IMAGE_BYTES)));
}
END_TEST

/* Many small images: there are fewer entries than blocks. */
START_TEST(entries_run_out_before_blocks)
{
    for (unsigned i = 0; i < 200; i++)
        ck_assert(put(&shelf, image(i, 64)));
    ck_assert(have(&shelf, image(199, 64)));
    ck_assert(!have(&shelf, image(0, 64)));
}
END_TEST

/*
 * A writer is killed at any moment. Whatever it left, what others find is right, and they can
 * keep things again.
 */
START_TEST(a_killed_writer_spoils_nothing)
{
    for (unsigned round = 0; round < 20; round++) {
        pid_t child = fork();
        if (child == 0) {
            struct vg_shelf own;
            if (vg_shelf_open(&own, dup(memory), SHELF_BYTES))
                _exit(1);
            for (unsigned i = 0;; i++)
                put(&own, image(i % 30, IMAGE_BYTES));
        }
        usleep(2000 + round * 700);
        for (unsigned i = 0; i < 30; i++)
            have(&shelf, image(i, IMAGE_BYTES));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        ck_assert(put(&shelf, image(100 + round, IMAGE_BYTES)));
        ck_assert(have(&shelf, image(100 + round, IMAGE_BYTES)));
        for (unsigned i = 0; i < 30; i++)
            have(&shelf, image(i, IMAGE_BYTES));
    }
}
END_TEST

/* The marks of one that died in the middle of a change: nothing is believed any more. */
START_TEST(an_unfinished_change_clears_it)
{
    const uint32_t one = 1;

    ck_assert(put(&shelf, image(1, IMAGE_BYTES)));
    memcpy(shelf.map + 8, &one, sizeof(one));
    ck_assert(put(&shelf, image(2, IMAGE_BYTES)));
    ck_assert(!have(&shelf, image(1, IMAGE_BYTES)));
    ck_assert(have(&shelf, image(2, IMAGE_BYTES)));
}
END_TEST

/* Memory that another executor of the VM has filled with anything: no crash, no wrong image of ours. */
START_TEST(garbage_is_survived)
{
    for (unsigned seed = 1; seed <= 50; seed++) {
        uint32_t v = seed;
        ck_assert(put(&shelf, image(1, IMAGE_BYTES)) || seed > 1);
        for (size_t i = 0; i < (size_t)(shelf.block - shelf.map); i += 4, v = v * 1664525 + 1013904223)
            if (v >> 28 < seed % 16)
                memcpy(shelf.map + i, &v, 4);
        vg_shelf_has(&shelf, image(1, IMAGE_BYTES)->digest, IMAGE_BYTES);
        static uint8_t any[IMAGE_BYTES];
        vg_shelf_take(&shelf, image(1, IMAGE_BYTES)->digest, IMAGE_BYTES, any);
        put(&shelf, image(2, IMAGE_BYTES));
    }
}
END_TEST

/* What is made of an image has a name that is not the digest of its bytes. */
START_TEST(what_is_made_has_a_name_of_its_own)
{
    const struct image *m = image(1, IMAGE_BYTES);
    uint8_t name[VG_DIGEST_BYTES] = {1, 2, 3};
    static uint8_t copy[IMAGE_BYTES];

    ck_assert_uint_eq(vg_shelf_size(&shelf, name), 0);
    ck_assert(vg_shelf_put_as(&shelf, name, m->bytes, m->size));
    ck_assert_uint_eq(vg_shelf_size(&shelf, name), m->size);
    ck_assert(vg_shelf_take(&shelf, name, m->size, copy));
    ck_assert_int_eq(memcmp(copy, m->bytes, m->size), 0);
    ck_assert(!vg_shelf_has(&shelf, m->digest, m->size));
}
END_TEST

START_TEST(no_shelf_is_an_empty_one)
{
    struct vg_shelf none;

    ck_assert_int_eq(vg_shelf_open(&none, -1, 0), 0);
    ck_assert(!put(&none, image(1, 100)));
    ck_assert(!have(&none, image(1, 100)));
    ck_assert(vg_shelf_open(&none, dup(memory), 2 * SHELF_BYTES) < 0);
    ck_assert(vg_shelf_open(&none, dup(memory), 4096) < 0);
    ck_assert(!have(&none, image(1, 100)));
    vg_shelf_close(&none);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shelf");
    TCase *c = tcase_create("images");
    SRunner *r = srunner_create(s);

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, another_process_finds_what_one_has_kept);
    tcase_add_test(c, sizes_around_a_block);
    tcase_add_test(c, a_wrong_name_is_refused);
    tcase_add_test(c, what_was_asked_for_next);
    tcase_add_test(c, a_large_one_costs_few_page_faults);
    tcase_add_test(c, what_was_used_longest_ago_makes_room);
    tcase_add_test(c, the_same_twice_takes_room_once);
    tcase_add_test(c, one_image_never_takes_all);
    tcase_add_test(c, entries_run_out_before_blocks);
    tcase_add_test(c, a_killed_writer_spoils_nothing);
    tcase_add_test(c, an_unfinished_change_clears_it);
    tcase_add_test(c, garbage_is_survived);
    tcase_add_test(c, what_is_made_has_a_name_of_its_own);
    tcase_add_test(c, no_shelf_is_an_empty_one);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
