/* SPDX-License-Identifier: MIT */
/* The policy core with kernels that are longer than turns, and ones that do not end. */
#include <check.h>

#include "mediator/sched/core.h"

#define MS 1000000ull
#define S  1000000000ull

static struct vg_sched sched;
static struct vg_sched_pool pool;
static struct vg_sched_vm vm[3];
static struct vg_sched_proc proc[3];
static uint64_t now;

static void setup(void)
{
    now = 10 * S;
    vg_sched_init(&sched, NULL, now);
    vg_sched_add_pool(&sched, &pool, 100);
}

static void add(unsigned i, unsigned v, bool lever)
{
    vg_sched_add_proc(&sched, &vm[v], &proc[i], now);
    vg_sched_set_lever(&sched, &proc[i], lever);
}

static void two(unsigned w0, unsigned w1, bool lever)
{
    const unsigned weight[] = { w0, w1 };

    for (unsigned i = 0; i < 2; i++) {
        vg_sched_add_vm(&sched, &vm[i], &pool, VG_CLASS_MEDIUM, weight[i]);
        add(i, i, lever);
    }
}

/* Since it last told it was busy for so long, and so many ops have ended; one more has so much left. */
static void tell(unsigned i, uint64_t busy, uint64_t ops, unsigned flight, uint64_t left)
{
    struct vg_sched_report r = { .t0 = proc[i].told_at, .t1 = now, .busy_ns = busy, .ops = ops,
                                 .flight_ops = flight, .flight_ns = left, .waiting = true };

    vg_sched_report(&sched, &proc[i], &r, now);
}

/* The process has a kernel that does not end, and no more. */
static void tell_endless(unsigned i, uint64_t busy)
{
    struct vg_sched_report r = { .t0 = proc[i].told_at, .t1 = now, .busy_ns = busy, .flight_ops = 1 };

    vg_sched_report(&sched, &proc[i], &r, now);
}

static void decide(void)
{
    ck_assert_uint_gt(vg_sched_decide(&sched, now), now);
}

static bool runs(unsigned i)
{
    return proc[i].state == VG_PROC_RUNNING;
}

/* Both have always had short ones. */
static void take_turns(void)
{
    for (unsigned n = 0; n < 40 || !runs(0); n++) {
        unsigned i = runs(0) ? 0 : 1;

        now += 6 * MS;
        tell(i, runs(i) ? 6 * MS : 0, 1000, 0, 0);
        tell(!i, 0, 0, 0, 0);
        decide();
    }
}

/* ---- whose time it is ---- */

/* The hardware's unit of slices. */
static uint64_t slices(unsigned tenths)
{
    return sched.tuning.slice_found_us * 1024ull * tenths / 10;
}

/* Process 0 has had the GPU for three slices and a half when the other's kernel comes beside its own. */
START_TEST(slices_are_counted_while_one_is_alone)
{
    uint64_t before;

    two(50, 50, false);
    for (unsigned i = 0; i < 7; i++) {
        now += slices(5);
        tell(0, slices(5), 1, 1, MS);
        tell(1, 0, 0, 0, 0);
        vg_sched_settle(&sched, now, 0);
    }
    before = proc[0].charged_ns;
    now += slices(10);
    tell(0, slices(10), 0, 1, MS);
    tell(1, slices(10), 0, 1, MS);
    vg_sched_settle(&sched, now, 0);
    ck_assert_uint_ge(proc[0].charged_ns - before, slices(4));
    ck_assert_uint_le(proc[0].charged_ns - before, slices(6));
    ck_assert_uint_ge(proc[1].charged_ns, slices(4));
}
END_TEST

/* ---- kernels of 50 ms ---- */

/* Process 0 has had kernels of 50 ms, one by one, in its turns; the other short ones. */
static void have_had_long_ones(void)
{
    for (unsigned n = 0; n < 20 || runs(0); n++) {
        unsigned i = runs(0) ? 0 : 1;

        now += 50 * MS;
        tell(i, 50 * MS, i ? 1000 : 1, 0, 0);
        tell(!i, 0, 0, 0, 0);
        decide();
    }
    while (!runs(0)) {
        now += 6 * MS;
        tell(1, 6 * MS, 1000, 0, 0);
        tell(0, 0, 0, 0, 0);
        decide();
    }
}

/* Process 0 has used its turn of 6 ms, and its kernel is known to take 30 ms more. */
static void is_in_the_middle_of_one(bool lever)
{
    two(50, 50, lever);
    take_turns();
    have_had_long_ones();
    for (unsigned n = 0; n < 20 && !runs(1); n++) {
        now += MS;
        tell(0, MS, 0, 1, (50 - n) * MS);
        tell(1, 0, 0, 0, 0);
        decide();
    }
}

START_TEST(one_is_waited_for_without_slices)
{
    is_in_the_middle_of_one(false);
    ck_assert(!runs(1));
    ck_assert_int_eq(proc[1].grant.mode, VG_GRANT_CLOSED);
}
END_TEST

START_TEST(one_is_divided_by_slices)
{
    unsigned slice;

    is_in_the_middle_of_one(true);
    ck_assert(runs(1));
    ck_assert_int_eq(proc[0].state, VG_PROC_DRAINING);
    ck_assert_uint_ge(proc[0].grant.slice_us, sched.tuning.slice_long_us / 2);
    ck_assert_uint_le(proc[0].grant.slice_us, sched.tuning.slice_long_us);
    slice = proc[0].grant.slice_us;
    now += MS;
    tell(0, MS, 1, 0, 0);       /* it has ended; the next will be as long */
    tell(1, MS, 1000, 1, MS);
    decide();
    ck_assert_int_eq(proc[0].state, VG_PROC_WAITING);
    ck_assert_uint_eq(proc[0].grant.slice_us, slice);
}
END_TEST

START_TEST(one_is_not_divided_where_somebody_comes_and_goes)
{
    is_in_the_middle_of_one(true);
    ck_assert(vg_sched_is_hog(&sched, &proc[0]));
    vg_sched_add_vm(&sched, &vm[2], &pool, VG_CLASS_MEDIUM, 50);
    add(2, 2, true);
    now += MS;
    tell(2, 0, 0, 0, 0);
    decide();
    ck_assert(!vg_sched_is_hog(&sched, &proc[0]));
}
END_TEST

/* ---- kernels that do not end ---- */

/* Process 0's runs on and on; the other takes the turns that it gets. What 0 has had in a while. */
static double part_of_endless(unsigned w0, unsigned w1, bool lever)
{
    uint64_t had = 0, all = 0;

    two(w0, w1, lever);
    for (unsigned n = 0; n < 6000; n++) {
        bool beside = runs(1);

        if (n == 2000) {
            had = vm[0].charged_ns;
            all = sched.busy_ns;
        }
        now += MS / 2;
        tell_endless(0, n ? MS / 2 : 0);
        tell(1, beside ? MS / 2 : 0, beside, beside, 0);
        decide();
    }
    return (double)(vm[0].charged_ns - had) / (double)(sched.busy_ns - all);
}

START_TEST(one_that_is_behind_has_the_gpu_alone)
{
    ck_assert_double_eq_tol(part_of_endless(80, 20, true), 0.8, 0.02);
}
END_TEST

START_TEST(the_same_without_slices)
{
    ck_assert_double_eq_tol(part_of_endless(80, 20, false), 0.8, 0.02);
}
END_TEST

START_TEST(one_gets_half_at_least_without_slices)
{
    ck_assert_double_eq_tol(part_of_endless(30, 70, false), 0.5, 0.02);
}
END_TEST

START_TEST(it_does_not_keep_others_waiting_for_long)
{
    two(99, 1, true);
    for (unsigned n = 0, waits = 0; n < 2000; n++) {
        bool beside = runs(1);

        waits = beside ? 0 : waits + 1;
        ck_assert_uint_le(waits * MS, 2 * sched.tuning.kernel_long + 10 * MS);
        now += MS;
        tell_endless(0, n ? MS : 0);
        tell(1, beside ? MS : 0, beside, beside, 0);
        decide();
    }
}
END_TEST

/* Once it did run; now its executor says that something is in flight, and that it uses nothing. */
START_TEST(who_only_says_so_keeps_nobody_waiting)
{
    unsigned ran = 0;

    two(80, 20, true);
    for (unsigned n = 0; n < 1500; n++) {
        bool beside = runs(1);

        now += MS;
        tell_endless(0, n > 0 && n < 500 ? MS : 0);
        tell(1, beside ? MS : 0, beside, beside, 0);
        decide();
        ran += n >= 500 && beside;
    }
    ck_assert_uint_ge(ran, 500);    /* of 1000; it waits for two looks at each turn */
}
END_TEST

/* The same from the beginning of a turn on, so that nothing of it is ever used; much was to come. */
START_TEST(who_only_says_so_keeps_no_turn)
{
    unsigned others = 0;

    two(50, 50, false);
    for (unsigned n = 0; n < 2000; n++) {
        bool holds = runs(1);

        now += MS;
        tell(0, 0, 1, 1, n % 2 ? 0 : S);
        tell(1, holds ? MS : 0, holds, 0, 0);
        decide();
        others += holds;
    }
    ck_assert_uint_ge(others, 900);
}
END_TEST

/* One that was to take 10 s ended at once. Behind it is one that nobody knows. */
START_TEST(what_was_expected_keeps_no_turn)
{
    unsigned waited = 0;

    two(50, 50, false);
    take_turns();
    for (unsigned n = 0; n < 2; n++) {  /* in a turn that has just begun */
        now += MS;
        tell(0, MS, 0, 1, 10 * S);
        tell(1, 0, 0, 0, 0);
        decide();
    }
    ck_assert(runs(0));
    ck_assert_uint_gt(proc[0].turn_expected, S);
    while (!runs(1)) {
        now += MS;
        tell(0, MS, waited == 0, 1, 0);
        tell(1, 0, 0, 0, 0);
        decide();
        ck_assert_uint_lt(++waited, 100);
    }
}
END_TEST

/* It was killed after 0.1 s of its own; its VM comes back with another process. */
START_TEST(its_vm_pays_when_it_is_killed)
{
    unsigned waited = 0;

    two(50, 50, false);
    take_turns();
    for (unsigned n = 0; n < 100; n++) {
        now += MS;
        tell(0, MS, 0, 1, 50 * MS);
        tell(1, 0, 0, 0, 0);
        decide();
    }
    vg_sched_remove_proc(&sched, &proc[0], now);
    add(2, 0, false);
    while (!runs(2) && waited < 1000) {
        now += MS;
        tell(1, runs(1) ? MS : 0, 1, 0, 0);
        tell(2, 0, 0, 0, 0);
        decide();
        waited++;
    }
    ck_assert_uint_ge(waited, 90);
    ck_assert_uint_le(waited, 120);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("long");
    TCase *c = tcase_create("kernels");

    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, slices_are_counted_while_one_is_alone);
    tcase_add_test(c, one_is_waited_for_without_slices);
    tcase_add_test(c, one_is_divided_by_slices);
    tcase_add_test(c, one_is_not_divided_where_somebody_comes_and_goes);
    tcase_add_test(c, one_that_is_behind_has_the_gpu_alone);
    tcase_add_test(c, the_same_without_slices);
    tcase_add_test(c, one_gets_half_at_least_without_slices);
    tcase_add_test(c, it_does_not_keep_others_waiting_for_long);
    tcase_add_test(c, who_only_says_so_keeps_nobody_waiting);
    tcase_add_test(c, who_only_says_so_keeps_no_turn);
    tcase_add_test(c, what_was_expected_keeps_no_turn);
    tcase_add_test(c, its_vm_pays_when_it_is_killed);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    int failed;

    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
