/* SPDX-License-Identifier: MIT */
/* Pools and their GPUs, as settings name them. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/daemon/place.h"

static struct vg_places places;
static char why[256];

static int set(const char *pool, const char *value)
{
    why[0] = '\0';
    return vg_place_set(&places, pool, value, why, sizeof(why));
}

static void setup(void)
{
    memset(&places, 0, sizeof(places));
}

START_TEST(without_settings_all_pools_are_everywhere)
{
    struct vg_place p = vg_place_of(&places, "A");

    ck_assert_str_eq(p.gpus, "");
    ck_assert_uint_eq(p.share, VG_PLACE_SHARE);
}
END_TEST

START_TEST(settings_are_read)
{
    ck_assert_int_eq(set("A", "gpu 2,0 share 30"), 0);
    ck_assert_int_eq(set("B", "share 7 gpu 1"), 0);
    struct vg_place a = vg_place_of(&places, "A"), b = vg_place_of(&places, "B");
    ck_assert_str_eq(a.gpus, "0,2");
    ck_assert_uint_eq(a.share, 30);
    ck_assert_str_eq(b.gpus, "1");
    ck_assert_uint_eq(b.share, 7);
    /* One that nobody named is where GPU 0 is. */
    ck_assert_str_eq(vg_place_of(&places, "C").gpus, "0,2");
    ck_assert_int_eq(set("A", "gpu 3"), 0);
    ck_assert_str_eq(vg_place_of(&places, "A").gpus, "3");
    ck_assert_uint_eq(vg_place_of(&places, "A").share, VG_PLACE_SHARE);
    ck_assert_str_eq(vg_place_of(&places, "C").gpus, "0");
    ck_assert_uint_eq(places.count, 2);
}
END_TEST

START_TEST(mistakes_are_named)
{
    static const char *const wrong[] = {
        "", "gpu", "share 5", "gpu -1", "gpu 64", "gpu 0,0", "gpu 0,", "gpu 0 share 0",
        "gpu 0 share 1001", "gpu 0 share", "gpus 0", "gpu 0 gpu 1", "gpu 0 1", "gpu 0x1",
    };

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_msg(set("A", wrong[i]) == -EINVAL, "\"%s\" was taken", wrong[i]);
        ck_assert_ptr_ne(strstr(why, "pool.A"), NULL);
    }
    ck_assert_int_eq(set("a b", "gpu 0"), -EINVAL);
    ck_assert_uint_eq(places.count, 0);
}
END_TEST

START_TEST(pools_share_all_gpus_or_none)
{
    ck_assert_int_eq(set("A", "gpu 0,1"), 0);
    ck_assert_int_eq(set("B", "gpu 1,0 share 5"), 0);
    ck_assert_int_eq(set("C", "gpu 2"), 0);
    ck_assert_int_eq(vg_places_check(&places, why, sizeof(why)), 0);
    ck_assert_int_eq(set("D", "gpu 1"), 0);
    ck_assert_int_eq(vg_places_check(&places, why, sizeof(why)), -EINVAL);
    ck_assert_ptr_ne(strstr(why, "pool.D"), NULL);
}
END_TEST

static const char *chosen(const char *pool, const char *numbers)
{
    static char gpus[VG_PLACE_TEXT];
    struct vg_place place = vg_place_of(&places, pool);
    uint8_t visible[16] = { 0 };
    unsigned n = 0;

    for (; numbers[n]; n++)
        visible[n] = numbers[n] == 'x' ? 255 : (uint8_t)(numbers[n] - '0');
    vg_place_choose(&place, visible, n, gpus);
    return gpus;
}

START_TEST(a_guest_chooses_within_its_pool)
{
    ck_assert_str_eq(chosen("A", ""), "");
    ck_assert_str_eq(chosen("A", "31"), "3,1");         /* without settings all GPUs are there */
    ck_assert_int_eq(set("A", "gpu 2,5,7"), 0);
    ck_assert_str_eq(chosen("A", "1"), "5");
    ck_assert_str_eq(chosen("A", "20"), "7,2");
    ck_assert_str_eq(chosen("A", ""), "2,5,7");
    ck_assert_str_eq(chosen("A", "3"), "2,5,7");        /* no such */
    ck_assert_str_eq(chosen("A", "0x"), "2,5,7");
    ck_assert_str_eq(chosen("A", "11"), "2,5,7");       /* twice */
    ck_assert_str_eq(chosen("A", "0120120120120120"), "2,5,7");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("place");
    TCase *t = tcase_create("all");

    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, without_settings_all_pools_are_everywhere);
    tcase_add_test(t, settings_are_read);
    tcase_add_test(t, mistakes_are_named);
    tcase_add_test(t, pools_share_all_gpus_or_none);
    tcase_add_test(t, a_guest_chooses_within_its_pool);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
