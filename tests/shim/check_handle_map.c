/* SPDX-License-Identifier: MIT */
/* The map from handles to notes against a plain array, and under concurrent readers. */
#include <pthread.h>

#include "guest-shim/handle_map.h"
#include "tests/protocol/vg_test.h"

#define KEYS 500u

/* Handles as drivers give them: addresses, 16 apart, some far from the others. */
static uint64_t key(unsigned i)
{
    return i % 3 ? 0x7f0000001000ull + 16 * i : 0x55d000000000ull + 0x100000ull * i;
}

START_TEST(against_a_model)
{
    static int note[KEYS][2];
    int *model[KEYS] = {NULL};
    struct vg_handle_map m = {{0}, 0, NULL, 0};
    uint64_t seed = vg_test_seed();

    ck_assert_ptr_null(vg_handle_map_find(&m, key(1)));
    ck_assert_ptr_null(vg_handle_map_take(&m, key(1)));
    for (int round = 0; round < 200000; round++) {
        unsigned i = (unsigned)(vg_test_random(&seed) % KEYS);
        switch (vg_test_random(&seed) % 3) {
        case 0:
            model[i] = &note[i][vg_test_random(&seed) & 1];
            ck_assert(vg_handle_map_put(&m, key(i), model[i]));
            break;
        case 1:
            ck_assert_ptr_eq(vg_handle_map_take(&m, key(i)), model[i]);
            model[i] = NULL;
            break;
        default:
            ck_assert_ptr_eq(vg_handle_map_find(&m, key(i)), model[i]);
        }
    }
    for (unsigned i = 0; i < KEYS; i++)
        ck_assert_ptr_eq(vg_handle_map_find(&m, key(i)), model[i]);
    ck_assert_ptr_null(vg_handle_map_find(&m, 0));
    vg_handle_map_fini(&m);
    vg_handle_map_fini(&m);
}
END_TEST

/* The even handles stay; the odd ones come and go, which moves all. */
static struct vg_handle_map shared;
static int even_note[KEYS];
static uint32_t stop;

static void *read_even(void *misses)
{
    for (unsigned i = 0; !vg_load_relaxed(&stop); i = (i + 2) % KEYS)
        if (vg_handle_map_find(&shared, key(i)) != &even_note[i])
            ++*(unsigned *)misses;
    return NULL;
}

START_TEST(readers_do_not_miss)
{
    pthread_t reader[2];
    unsigned misses[2] = {0};
    uint64_t seed = vg_test_seed();

    for (unsigned i = 0; i < KEYS; i += 2)
        ck_assert(vg_handle_map_put(&shared, key(i), &even_note[i]));
    for (int i = 0; i < 2; i++)
        pthread_create(&reader[i], NULL, read_even, &misses[i]);
    for (int round = 0; round < 300000; round++) {
        unsigned i = (unsigned)(vg_test_random(&seed) % KEYS) | 1;
        if (vg_test_random(&seed) & 1)
            ck_assert(vg_handle_map_put(&shared, key(i), &seed));
        else
            vg_handle_map_take(&shared, key(i));
    }
    vg_store_relaxed(&stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(reader[i], NULL);
    ck_assert_uint_eq(misses[0] + misses[1], 0);
    vg_handle_map_fini(&shared);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("handle map");
    TCase *t = tcase_create("handle map");

    tcase_add_test(t, against_a_model);
    tcase_add_test(t, readers_do_not_miss);
    suite_add_tcase(s, t);
    return vg_test_main(s);
}
