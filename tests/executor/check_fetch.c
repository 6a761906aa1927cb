/* SPDX-License-Identifier: MIT */
/* Images that are fetched before they are asked for: by the order of before, and only the right ones. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "mediator/executor/fetch.h"

#define SHELF_BYTES (16u << 20)
#define IMAGE_BYTES (VG_FETCH_MIN + 12345)
#define ROUNDS      3000    /* of 10 ms: until something must have happened */

static struct vg_shelf shelf;
static struct image {
    uint8_t bytes[IMAGE_BYTES], digest[VG_DIGEST_BYTES];
    size_t size;
} image[4];

static void make(struct image *m, uint32_t v, size_t size)
{
    struct vg_digest d;

    m->size = size;
    for (size_t i = 0; i < size; i++, v = v * 1664525 + 1013904223)
        m->bytes[i] = (uint8_t)(v >> 24);
    vg_digest_init(&d);
    vg_digest_add(&d, m->bytes, size);
    vg_digest_end(&d, m->digest);
    ck_assert(vg_shelf_put(&shelf, m->digest, m->bytes, size));
}

static void setup(void)
{
    int memory = (int)syscall(SYS_memfd_create, "shelf", 0u);

    ck_assert_int_eq(ftruncate(memory, SHELF_BYTES), 0);
    ck_assert_int_eq(vg_shelf_open(&shelf, memory, SHELF_BYTES), 0);
    for (unsigned i = 0; i < 4; i++)
        make(&image[i], i + 1, i < 3 ? IMAGE_BYTES : VG_FETCH_MIN - 1);
}

static void teardown(void)
{
    vg_shelf_close(&shelf);
}

static void after(struct vg_fetch *f, unsigned number)
{
    vg_fetch_after(f, &shelf, image[number].digest);
}

static void nap(void)
{
    const struct timespec t = {0, 10000000};

    nanosleep(&t, NULL);
}

static enum vg_fetch_state state_of(struct vg_fetch *f)
{
    pthread_mutex_lock(&f->lock);
    enum vg_fetch_state s = f->asks ? VG_FETCH_COMING : f->state;
    pthread_mutex_unlock(&f->lock);
    return s;
}

/* Until it has something; false: it has had the time. */
static bool has_fetched(struct vg_fetch *f)
{
    for (unsigned i = 0; i < ROUNDS && state_of(f) != VG_FETCH_HERE; i++)
        nap();
    return state_of(f) == VG_FETCH_HERE;
}

static bool claim(struct vg_fetch *f, unsigned number)
{
    uint8_t *p = vg_fetch_claim(f, image[number].digest, image[number].size);
    bool got = p != NULL;

    if (p)
        ck_assert_int_eq(memcmp(p, image[number].bytes, image[number].size), 0);
    free(p);
    return got;
}

/* That of a process which asked for these, one after the other. */
static void learn(unsigned first, unsigned second)
{
    struct vg_fetch f = {0};
    uint8_t then[VG_DIGEST_BYTES];
    uint64_t size;

    after(&f, first);
    after(&f, second);
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (vg_shelf_next(&shelf, image[first].digest, then, &size) &&
            memcmp(then, image[second].digest, sizeof(then)) == 0)
            break;
        nap();
    }
    vg_fetch_fini(&f);
    ck_assert(vg_shelf_next(&shelf, image[first].digest, then, &size));
    ck_assert_int_eq(memcmp(then, image[second].digest, sizeof(then)), 0);
}

START_TEST(the_next_process_finds_it_there)
{
    struct vg_fetch f = {0};

    ck_assert(!claim(&f, 1));
    learn(0, 1);
    after(&f, 0);
    ck_assert(has_fetched(&f));
    ck_assert_msg(!claim(&f, 2), "it gave another image than it was asked for");
    ck_assert(claim(&f, 1));
    ck_assert_msg(!claim(&f, 1), "it gave the same memory twice");
    vg_fetch_fini(&f);
}
END_TEST

/* A wrong guess makes room for the next one. */
START_TEST(the_last_order_counts)
{
    struct vg_fetch f = {0};

    learn(0, 1);
    learn(2, 0);
    learn(0, 2);
    after(&f, 0);
    ck_assert(has_fetched(&f));
    ck_assert(!claim(&f, 1));
    after(&f, 2);
    for (unsigned i = 0; i < ROUNDS && !claim(&f, 0); i++)
        nap();
    ck_assert_int_eq(state_of(&f), VG_FETCH_NONE);
    vg_fetch_fini(&f);
}
END_TEST

/* By name and length: a name with another length is another image, which nobody has. */
START_TEST(the_length_counts)
{
    struct vg_fetch f = {0};

    learn(0, 1);
    after(&f, 0);
    ck_assert(has_fetched(&f));
    ck_assert_ptr_null(vg_fetch_claim(&f, image[1].digest, image[1].size - 1));
    ck_assert(claim(&f, 1));
    vg_fetch_fini(&f);
}
END_TEST

/* Small ones are not worth it; more names than it can remember do no harm. */
START_TEST(small_and_many)
{
    struct vg_fetch f = {0};

    learn(0, 3);
    after(&f, 0);
    for (unsigned i = 0; i < ROUNDS && state_of(&f) == VG_FETCH_COMING; i++)
        nap();
    for (unsigned i = 0; i < 5 * VG_FETCH_ASKED; i++)
        after(&f, i % 3);
    ck_assert(!claim(&f, 3));
    vg_fetch_fini(&f);
    vg_fetch_fini(&f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fetch");
    TCase *c = tcase_create("images");
    SRunner *r = srunner_create(s);

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, the_next_process_finds_it_there);
    tcase_add_test(c, the_last_order_counts);
    tcase_add_test(c, the_length_counts);
    tcase_add_test(c, small_and_many);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
