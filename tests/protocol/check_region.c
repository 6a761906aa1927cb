/* SPDX-License-Identifier: MIT */
/* Layout arithmetic and the extent table, alone and contended. */
#include <pthread.h>
#include <string.h>

#include "tests/protocol/vg_test.h"
#include "vg_atomic.h"
#include "vg_region.h"

static struct vg_region_layout layout;
static char *region;

static void setup(void)
{
    ck_assert(vg_region_layout_init(&layout, VG_REGION_SIZE_MIN, VG_SLOTS_DEFAULT));
    region = calloc(1, layout.size);
    ck_assert_ptr_nonnull(region);
    vg_region_format(region, &layout);
}

static void teardown(void)
{
    free(region);
}

START_TEST(sizes_outside_the_limits_are_refused)
{
    struct vg_region_layout l;

    ck_assert(!vg_region_layout_init(&l, VG_REGION_SIZE_MIN - VG_EXTENT_SIZE, 16));
    ck_assert(!vg_region_layout_init(&l, VG_REGION_SIZE_MAX + VG_EXTENT_SIZE, 16));
    ck_assert(!vg_region_layout_init(&l, VG_REGION_SIZE_MIN + 4096, 16));
    ck_assert(!vg_region_layout_init(&l, VG_REGION_SIZE_MIN, 0));
    ck_assert(!vg_region_layout_init(&l, VG_REGION_SIZE_MIN, VG_SLOTS_MAX + 1));
    ck_assert(!vg_region_layout_init(&l, VG_REGION_SIZE_MIN, VG_SLOTS_MAX));  /* no data left */
    ck_assert(vg_region_layout_init(&l, VG_REGION_SIZE_MAX, VG_SLOTS_MAX));
}
END_TEST

START_TEST(areas_do_not_overlap)
{
    for (uint64_t size = VG_REGION_SIZE_MIN; size <= (1ull << 32); size *= 2) {
        for (uint32_t slots = 1; slots <= VG_SLOTS_MAX; slots++) {
            struct vg_region_layout l;
            if (!vg_region_layout_init(&l, size, slots))
                continue;
            ck_assert_uint_ge(l.slots_off, l.owners_off + 2ull * l.extent_count);
            ck_assert_uint_ge(l.data_off, l.slots_off + (uint64_t)slots * VG_SLOT_STRIDE);
            ck_assert_uint_eq(l.data_off + (uint64_t)l.extent_count * VG_EXTENT_SIZE, size);
            ck_assert_uint_eq(l.slots_off % VG_PAGE, 0);
        }
    }
}
END_TEST

START_TEST(data_range_check_has_no_holes)
{
    uint64_t off = layout.data_off, size = layout.size;

    ck_assert(vg_region_data_ok(&layout, off, size - off));
    ck_assert(vg_region_data_ok(&layout, size, 0));
    ck_assert(!vg_region_data_ok(&layout, off - 1, 1));
    ck_assert(!vg_region_data_ok(&layout, off, size - off + 1));
    ck_assert(!vg_region_data_ok(&layout, size + 1, 0));
    ck_assert(!vg_region_data_ok(&layout, off, UINT64_MAX));
    ck_assert(!vg_region_data_ok(&layout, UINT64_MAX, 2));
}
END_TEST

START_TEST(extents_are_taken_and_given_back)
{
    uint64_t all = vg_extent_alloc(region, &layout, 0, layout.extent_count);

    ck_assert_uint_eq(all, layout.data_off);
    ck_assert_uint_eq(vg_extent_alloc(region, &layout, 1, 1), 0);
    vg_extent_free(region, &layout, all + 3 * VG_EXTENT_SIZE, 2);
    ck_assert_uint_eq(vg_extent_alloc(region, &layout, 1, 3), 0);
    ck_assert_uint_eq(vg_extent_alloc(region, &layout, 1, 2), all + 3 * VG_EXTENT_SIZE);
    vg_slot_reset(region, &layout, 0, 7);       /* a dead process's extents come back ... */
    ck_assert_uint_eq(vg_region_slot(region, &layout, 0)->generation, 7);
    ck_assert_uint_eq(vg_extent_alloc(region, &layout, 2, 3), all);
    ck_assert_uint_eq(vg_extent_alloc(region, &layout, 2, layout.extent_count - 5),
                      all + 5 * VG_EXTENT_SIZE);
    ck_assert_uint_eq(vg_extent_alloc(region, &layout, 3, 1), 0);   /* ... its neighbour's do not */
    ck_assert_uint_eq(vg_extent_alloc(region, &layout, 3, 0), 0);
}
END_TEST

START_TEST(parts_double)
{
    ck_assert_uint_eq(vg_region_part(0), 0);
    ck_assert_uint_eq(vg_region_part(VG_REGION_SIZE_MAX - 1), VG_PARTS_MAX - 1);
    for (unsigned i = 1; i < VG_PARTS_MAX; i++) {
        uint64_t at = vg_region_part_begin(i);
        ck_assert_uint_eq(vg_region_part(at), i);
        ck_assert_uint_eq(vg_region_part(at - 1), i - 1);
        ck_assert_uint_eq(vg_region_parts(at, 1), 1u << i);
        ck_assert_uint_eq(vg_region_parts(at - 1, 2), 3u << (i - 1));
    }
    ck_assert_uint_eq(vg_region_parts(0, VG_REGION_SIZE_MAX), (1u << VG_PARTS_MAX) - 1);
}
END_TEST

/* Takes so many MiB and says in which parts they lie. */
static uint32_t parts_of(char *mem, const struct vg_region_layout *l, uint32_t mib)
{
    uint64_t off = vg_extent_alloc(mem, l, 0, mib * 16);

    ck_assert_uint_ne(off, 0);
    return vg_region_parts(off, (uint64_t)mib << 20);
}

START_TEST(runs_lie_within_one_part_if_they_can)
{
    struct vg_region_layout l;
    char *mem;

    ck_assert(vg_region_layout_init(&l, 128ull << 20, 1));
    mem = calloc(1, l.size);
    ck_assert_ptr_nonnull(mem);
    ck_assert_uint_eq(parts_of(mem, &l, 10), 1);
    ck_assert_uint_eq(parts_of(mem, &l, 10), 2);    /* what is left of the first is too short */
    ck_assert_uint_eq(parts_of(mem, &l, 10), 4);
    ck_assert_uint_eq(parts_of(mem, &l, 5), 1);
    ck_assert_uint_eq(parts_of(mem, &l, 60), 8);
    vg_extent_free_slot(mem, &l, 0);
    ck_assert_uint_eq(parts_of(mem, &l, 100), 14);  /* and none ever had */
    free(mem);
}
END_TEST

static void *contender(void *arg)
{
    unsigned slot = (unsigned)(uintptr_t)arg;
    uint64_t rnd = vg_test_seed() + slot * 77;

    for (int i = 0; i < 20000; i++) {
        uint32_t count = 1 + vg_test_random(&rnd) % 8;
        uint64_t off = vg_extent_alloc(region, &layout, slot, count);
        if (!off)
            continue;
        for (uint32_t e = 0; e < count; e++)    /* nobody else may be in here */
            ck_assert_int_eq(vg_exchange((region + off + (size_t)e * VG_EXTENT_SIZE), 1), 0);
        for (uint32_t e = 0; e < count; e++)
            vg_store_release((region + off + (size_t)e * VG_EXTENT_SIZE), 0);
        vg_extent_free(region, &layout, off, count);
    }
    return NULL;
}

START_TEST(contended_extents_have_one_owner)
{
    pthread_t t[4];

    for (uintptr_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, contender, (void *)i), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    ck_assert_uint_ne(vg_extent_alloc(region, &layout, 0, layout.extent_count), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("region");
    TCase *c = tcase_create("region");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, sizes_outside_the_limits_are_refused);
    tcase_add_test(c, areas_do_not_overlap);
    tcase_add_test(c, data_range_check_has_no_holes);
    tcase_add_test(c, extents_are_taken_and_given_back);
    tcase_add_test(c, parts_double);
    tcase_add_test(c, runs_lie_within_one_part_if_they_can);
    tcase_add_test(c, contended_extents_have_one_owner);
    suite_add_tcase(s, c);
    return vg_test_main(s);
}
