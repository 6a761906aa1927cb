/* SPDX-License-Identifier: MIT */
/* Ownership sets, image bounds and the console, against plain models. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mediator/executor/console.h"
#include "mediator/executor/image.h"
#include "mediator/executor/obj.h"
#include "mediator/executor/range.h"

/* ---- Handles ---- */

static void add(struct vg_objset *s, enum vg_obj_type type, uint64_t handle, uint64_t parent)
{
    struct vg_obj o = {.type = type, .handle = handle, .parent = parent, .info = (uint32_t)handle};

    ck_assert_int_eq(vg_obj_add(s, &o), 0);
}

/* Random adds and removes of a small universe, compared with an array of flags. */
START_TEST(handles_follow_the_model)
{
    enum { N = 500 };
    bool model[2][N] = {{false}};
    struct vg_objset s;
    unsigned seed = 3;

    vg_objset_init(&s);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned t = (unsigned)rand_r(&seed) & 1, i = (unsigned)rand_r(&seed) % N;
        enum vg_obj_type type = t ? VG_OBJ_CUevent : VG_OBJ_CUstream;
        uint64_t handle = 0x7f0000000000ull + i * 16ull;
        if (rand_r(&seed) & 1) {
            add(&s, type, handle, 0);
            model[t][i] = true;
        } else {
            vg_obj_remove(&s, type, handle);
            model[t][i] = false;
        }
    }
    for (unsigned t = 0; t < 2; t++)
        for (unsigned i = 0; i < N; i++) {
            struct vg_obj *o = vg_obj_find(&s, t ? VG_OBJ_CUevent : VG_OBJ_CUstream,
                                           0x7f0000000000ull + i * 16ull);
            ck_assert_int_eq(o != NULL, model[t][i]);
        }
    vg_objset_fini(&s);
    vg_objset_fini(&s);
}
END_TEST

START_TEST(children_end_with_their_parents)
{
    struct vg_objset s;

    vg_objset_init(&s);
    add(&s, VG_OBJ_CUcontext, 100, 0);
    add(&s, VG_OBJ_CUcontext, 200, 0);
    for (uint64_t m = 1000; m < 1010; m++) {
        add(&s, VG_OBJ_CUmodule, m, m & 1 ? 100 : 200);
        for (uint64_t f = 0; f < 10; f++)
            add(&s, VG_OBJ_CUfunction, m * 100 + f, m);
    }
    vg_obj_remove(&s, VG_OBJ_CUcontext, 100);
    for (uint64_t m = 1000; m < 1010; m++) {
        ck_assert_int_eq(vg_obj_find(&s, VG_OBJ_CUmodule, m) != NULL, !(m & 1));
        ck_assert_int_eq(vg_obj_find(&s, VG_OBJ_CUfunction, m * 100 + 5) != NULL, !(m & 1));
    }
    ck_assert_uint_eq(s.used, 1 + 5 + 50);
    vg_objset_fini(&s);
}
END_TEST

START_TEST(types_do_not_mix)
{
    struct vg_objset s;

    vg_objset_init(&s);
    ck_assert_ptr_null(vg_obj_find(&s, VG_OBJ_CUstream, 5));
    add(&s, VG_OBJ_CUstream, 5, 0);
    ck_assert_ptr_null(vg_obj_find(&s, VG_OBJ_CUevent, 5));
    ck_assert_ptr_null(vg_obj_find(&s, VG_OBJ_CUstream, 0));
    vg_obj_remove(&s, VG_OBJ_CUevent, 5);
    ck_assert_ptr_nonnull(vg_obj_find(&s, VG_OBJ_CUstream, 5));
    vg_objset_fini(&s);
}
END_TEST

/* ---- Ranges ---- */

static int add_range(struct vg_ranges *r, uint64_t base, uint64_t size, uint64_t owner)
{
    struct vg_range n = {.base = base, .size = size, .owner = owner, .kind = VG_RANGE_ALLOC};

    return vg_range_add(r, &n);
}

START_TEST(ranges_follow_the_model)
{
    enum { N = 400 };
    uint8_t model[N] = {0}; /* number of the range that holds this byte, 0: none */
    struct vg_ranges r;
    unsigned seed = 9;

    vg_ranges_init(&r);
    for (unsigned step = 1; step < 3000; step++) {
        unsigned base = (unsigned)rand_r(&seed) % N, size = 1 + (unsigned)rand_r(&seed) % 12;
        if (rand_r(&seed) % 3) {
            bool clear = base + size <= N;
            for (unsigned i = base; clear && i < base + size; i++)
                clear = model[i] == 0;
            if (base + size > N)
                continue;
            ck_assert_int_eq(add_range(&r, 1000 + base, size, 0) == 0, clear);
            for (unsigned i = base; clear && i < base + size; i++)
                model[i] = (uint8_t)(1 + step % 255);
        } else {
            bool starts = model[base] && (base == 0 || model[base - 1] != model[base]);
            const struct vg_range *x = vg_range_find(&r, 1000 + base);
            uint64_t end = x ? x->base + x->size - 1000 : 0;
            starts = x && x->base == 1000 + base;
            ck_assert_int_eq(vg_range_remove(&r, 1000 + base), starts);
            for (unsigned i = base; starts && i < end; i++)
                model[i] = 0;
        }
    }
    uint64_t held = 0;
    for (unsigned i = 0; i < N; i++) {
        ck_assert_int_eq(vg_range_covers(&r, 1000 + i, 1), model[i] != 0);
        held += model[i] != 0;
    }
    ck_assert_uint_eq(r.held, held);
    for (unsigned i = 0; i < N; i++) {
        bool all = true;
        for (unsigned n = 1; i + n <= N && n < 40; n++) {
            all = all && model[i + n - 1] != 0;
            ck_assert_int_eq(vg_range_covers(&r, 1000 + i, n), all);
        }
    }
    vg_ranges_fini(&r);
}
END_TEST

START_TEST(overlapping_ranges_give_way)
{
    struct vg_ranges r;

    vg_ranges_init(&r);
    for (uint64_t i = 0; i < 10; i++)
        ck_assert_int_eq(add_range(&r, 1000 + i * 100, 50, 0), 0);
    vg_range_remove_overlap(&r, 1049, 152); /* the ends of two, and one between */
    ck_assert_uint_eq(r.count, 7);
    vg_range_remove_overlap(&r, 1350, 50); /* between two */
    ck_assert_uint_eq(r.count, 7);
    vg_range_remove_overlap(&r, 0, UINT64_MAX);
    ck_assert_uint_eq(r.count, 0);
    ck_assert_uint_eq(r.held, 0);
    ck_assert_int_eq(add_range(&r, 1000, 100, 0), 0);
    ck_assert_int_eq(vg_range_carve(&r, 1020, 30), 0);
    ck_assert(vg_range_covers(&r, 1000, 20) && vg_range_covers(&r, 1050, 50));
    ck_assert(!vg_range_covers(&r, 1020, 1) && !vg_range_covers(&r, 1049, 1));
    ck_assert_uint_eq(vg_range_next(&r, 1000), 1050);
    ck_assert_uint_eq(vg_range_next(&r, 1050), UINT64_MAX);
    ck_assert_uint_eq(r.held, 70);
    ck_assert_int_eq(vg_range_carve(&r, 990, 200), 0);
    ck_assert_uint_eq(r.count, 0);
    vg_ranges_fini(&r);
}
END_TEST

START_TEST(ranges_at_the_ends_of_the_world)
{
    struct vg_ranges r;

    vg_ranges_init(&r);
    ck_assert(!vg_range_covers(&r, 0, 1));
    ck_assert(vg_range_covers(&r, 77, 0));
    ck_assert_int_lt(add_range(&r, 4096, 0, 0), 0);
    ck_assert_int_lt(add_range(&r, UINT64_MAX - 10, 12, 0), 0);
    ck_assert_int_eq(add_range(&r, UINT64_MAX - 10, 10, 7), 0);
    ck_assert(vg_range_covers(&r, UINT64_MAX - 10, 10));
    ck_assert(!vg_range_covers(&r, UINT64_MAX - 10, 11));
    ck_assert(!vg_range_covers(&r, UINT64_MAX - 10, UINT64_MAX));
    ck_assert_int_eq(add_range(&r, 4096, 4096, 7), 0);
    ck_assert_int_eq(add_range(&r, 16384, 4096, 8), 0);
    vg_range_remove_owner(&r, 7);
    ck_assert_uint_eq(r.count, 1);
    ck_assert_uint_eq(r.held, 4096);
    vg_range_remove_owner(&r, 0);
    ck_assert_uint_eq(r.count, 1);
    vg_ranges_fini(&r);
    vg_ranges_fini(&r);
}
END_TEST

/* ---- Images ---- */

START_TEST(images_must_hold_what_they_declare)
{
    uint8_t fatbin[64] = {0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0, 48};

    ck_assert(vg_image_ok(".version 7.0\n", 14));
    ck_assert(!vg_image_ok("", 1));
    ck_assert(!vg_image_ok("\1\2\3\4\5", 5));
    ck_assert(vg_image_ok(fatbin, 64));
    ck_assert(!vg_image_ok(fatbin, 63));
    ck_assert(!vg_image_ok(fatbin, 15));
    fatbin[6] = 8; /* a header shorter than a header */
    ck_assert(!vg_image_ok(fatbin, 64));
    fatbin[6] = 16;
    memset(fatbin + 8, 0xff, 8);
    ck_assert(!vg_image_ok(fatbin, 64));
}
END_TEST

/* ---- Console ---- */

static uint8_t fetched[1 << 19];

/* What a guest does: takes what is there, moves its tail. */
static size_t fetch(struct vg_slot *s, size_t at)
{
    uint64_t tail = s->console_tail;

    while (tail < s->console_head && at < sizeof(fetched))
        fetched[at++] = vg_slot_console(s)[tail++ % VG_CONSOLE_SIZE];
    s->console_tail = tail;
    return at;
}

START_TEST(prints_more_than_the_ring_holds)
{
    struct vg_slot *s = calloc(1, VG_SLOT_STRIDE);
    struct vg_console c;
    size_t want = 0, got = 0;

    ck_assert_int_eq(vg_console_init(&c, s), 0);
    for (unsigned i = 0; i < 10000; i++) {
        want += (size_t)printf("line %u\n", i);
        if (i % 100 == 99)
            vg_console_drain(&c);
    }
    uint64_t target = vg_console_drain(&c);
    ck_assert_uint_eq(target, want);
    ck_assert_uint_eq(s->console_head, VG_CONSOLE_SIZE);
    while (vg_console_give(&c) < target)
        got = fetch(s, got);
    got = fetch(s, got);
    ck_assert_uint_eq(got, want);
    for (unsigned i = 0, at = 0; i < 10000; i++) {
        char line[20];
        int n = snprintf(line, sizeof(line), "line %u\n", i);
        ck_assert_mem_eq(fetched + at, line, (size_t)n);
        at += (unsigned)n;
    }
    vg_console_fini(&c);
    vg_console_fini(&c);
    free(s);
}
END_TEST

static void never_ends(void)
{
    abort();
}

/* A driver that does not print by the C library: nothing is lost, and soon nothing late. */
START_TEST(takes_what_comes_by_the_descriptor)
{
    struct vg_slot *s = calloc(1, VG_SLOT_STRIDE);
    static struct vg_console c; /* the thread goes on */
    int control[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control), 0);
    ck_assert_int_eq(vg_console_init(&c, s), 0);
    ck_assert_int_eq(vg_console_watch(&c, control[0], never_ends), 0);
    ck_assert_int_eq(write(STDOUT_FILENO, "first", 5), 5);
    for (unsigned i = 0; i < 10000 && vg_console_give(&c) < 5; i++)
        usleep(1000);
    ck_assert_uint_eq(vg_console_give(&c), 5);
    printf("and ");
    fflush(stdout);
    ck_assert_int_eq(write(STDOUT_FILENO, "more", 4), 4);
    ck_assert_uint_eq(vg_console_drain(&c), 13);
    ck_assert_uint_eq(fetch(s, 0), 13);
    ck_assert_mem_eq(fetched, "firstand more", 13);
}
END_TEST

START_TEST(a_tail_out_of_range_stops_the_console)
{
    struct vg_slot *s = calloc(1, VG_SLOT_STRIDE);
    struct vg_console c;

    ck_assert_int_eq(vg_console_init(&c, s), 0);
    s->console_tail = 1000;
    printf("text\n");
    ck_assert_uint_eq(vg_console_drain(&c), 5);
    ck_assert_uint_eq(vg_console_give(&c), 0);
    s->console_tail = 0;
    ck_assert_uint_eq(vg_console_give(&c), 5);
    vg_console_fini(&c);
    free(s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("executor-units");
    TCase *t = tcase_create("all");

    tcase_add_test(t, handles_follow_the_model);
    tcase_add_test(t, children_end_with_their_parents);
    tcase_add_test(t, types_do_not_mix);
    tcase_add_test(t, ranges_follow_the_model);
    tcase_add_test(t, overlapping_ranges_give_way);
    tcase_add_test(t, ranges_at_the_ends_of_the_world);
    tcase_add_test(t, images_must_hold_what_they_declare);
    tcase_add_test(t, prints_more_than_the_ring_holds);
    tcase_add_test(t, takes_what_comes_by_the_descriptor);
    tcase_add_test(t, a_tail_out_of_range_stops_the_console);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
