/* SPDX-License-Identifier: MIT */
/* The policy core, one rule at a time: shares, classes, policies, and what executors claim. */
#include "core_world.h"

/* ---- fairness of waking and splitting ---- */

START_TEST(idleness_earns_at_most_one_turn)
{
    two_share(50, 50);
    unsigned i = holder();
    int64_t behind;

    tell(!i, 0, 0, false);
    for (unsigned n = 0; n < 1000; n++) {
        now += 10 * MS;
        tell(i, 10 * MS, 1, true);
        decide();
    }
    tell(!i, 0, 0, true);
    now += 10 * US;
    tell(i, 10 * US, 1, true);
    decide();
    behind = vg_v_ahead(vm[i].v, vm[!i].v);
    ck_assert_int_le(behind, (int64_t)vg_v_of(sched.tuning.quantum + MS, 50));
}
END_TEST

START_TEST(processes_share_what_is_their_vms)
{
    two_share(50, 50);
    for (unsigned i = 2; i < 6; i++) {
        vg_sched_add_proc(&sched, &vm[1], &proc[i], now);
        tell(i, 0, 0, true);
    }
    decide();
    for (unsigned n = 0; n < 4000; n++) {
        unsigned i = 0;

        while (i < 6 && proc[i].state != VG_PROC_RUNNING)
            i++;
        ck_assert_uint_lt(i, 6);
        now += MS;
        for (unsigned j = 0; j < 6; j++)
            tell(j, j == i ? MS : 0, 0, true);
        decide();
    }
    ck_assert_double_eq_tol((double)vm[0].charged_ns / (double)sched.busy_ns, 0.5, 0.01);
    for (unsigned i = 2; i < 6; i++)
        ck_assert_double_eq_tol((double)proc[i].charged_ns / (double)vm[1].charged_ns, 0.2, 0.02);
}
END_TEST

/* ---- classes ---- */

static void high_and_low(void)
{
    add_vm(0, VG_CLASS_HIGH, 50);
    add_vm(1, VG_CLASS_LOW, 50);
    tell(1, 0, 1, true);
    decide();
}

START_TEST(a_higher_class_interrupts)
{
    high_and_low();
    ck_assert_int_eq(proc[1].state, VG_PROC_RUNNING);
    now += MS;
    tell(1, MS, 1, true);
    tell(0, 0, 0, true);
    decide();
    ck_assert_int_eq(proc[0].grant.mode, VG_GRANT_TURN);
    ck_assert_int_eq(proc[1].grant.mode, VG_GRANT_CLOSED);
    ck_assert_uint_eq(proc[1].grant.slice_us, sched.tuning.slice_short_us);
}
END_TEST

START_TEST(a_floor_is_paid_and_no_more)
{
    uint64_t before;

    high_and_low();
    tell(0, 0, 0, true);
    decide();
    before = vm[1].charged_ns;
    for (unsigned n = 0; n < 20000; n++) {
        unsigned i = holder();

        now += 500 * US;
        tell(i, 500 * US, 0, true);
        tell(!i, 0, 0, true);
        decide();
    }
    ck_assert_uint_ge(vm[1].charged_ns - before, 200 * MS);     /* of 10 s */
    ck_assert_uint_le(vm[1].charged_ns - before, 300 * MS);
}
END_TEST

START_TEST(short_slices_linger)
{
    high_and_low();
    tell(0, 0, 1, false);
    decide();
    now += MS;
    tell(0, MS, 0, false);
    tell(1, 0, 0, true);
    decide();
    now += sched.tuning.slice_linger / 2;
    tell(1, 0, 0, true);
    decide();
    ck_assert_uint_eq(proc[1].grant.slice_us, sched.tuning.slice_short_us);
    now += sched.tuning.slice_linger;
    tell(1, 0, 1, true);
    decide();
    ck_assert_uint_eq(proc[1].grant.slice_us, 0);
}
END_TEST

/* ---- policy ---- */

START_TEST(a_new_weight_counts_at_once)
{
    uint64_t first, both;

    two_share(50, 50);
    vg_sched_set_policy(&sched, &vm[0], &pool[0], VG_CLASS_MEDIUM, 10);
    vg_sched_set_policy(&sched, &vm[1], &pool[0], VG_CLASS_MEDIUM, 90);
    first = vm[0].charged_ns;
    both = sched.busy_ns;
    for (unsigned n = 0; n < 500; n++) {
        unsigned i = holder();

        now += MS;
        tell(i, MS, 0, true);
        tell(!i, 0, 0, true);
        decide();
    }
    ck_assert_double_eq_tol((double)(vm[0].charged_ns - first) / (double)(sched.busy_ns - both),
                            0.1, 0.02);
}
END_TEST

START_TEST(pools_have_their_shares)
{
    vg_sched_set_share(&sched, &pool[1], 300);
    vg_sched_add_vm(&sched, &vm[0], &pool[0], VG_CLASS_HIGH, 100);
    vg_sched_add_vm(&sched, &vm[1], &pool[1], VG_CLASS_LOW, 1);
    vg_sched_add_proc(&sched, &vm[0], &proc[0], now);
    vg_sched_add_proc(&sched, &vm[1], &proc[1], now);
    tell(0, 0, 0, true);
    tell(1, 0, 0, true);
    decide();
    for (unsigned n = 0; n < 4000; n++) {
        unsigned i = holder();

        now += MS;
        tell(i, MS, 0, true);
        tell(!i, 0, 0, true);
        decide();
    }
    ck_assert_double_eq_tol((double)vm[0].charged_ns / (double)sched.busy_ns, 0.25, 0.01);
    ck_assert_uint_eq(vg_sched_entitled(&sched, &vm[0]), 250000);
    ck_assert_uint_eq(vg_sched_entitled(&sched, &vm[1]), 750000);
}
END_TEST

/* ---- reports that lie ---- */

START_TEST(what_cannot_be_is_cut)
{
    struct vg_sched_report r = { .t0 = 0, .t1 = VG_SCHED_FOREVER, .busy_ns = VG_SCHED_FOREVER,
                                 .flight_ops = 1, .waiting = true,
                                 .idle_since = VG_SCHED_FOREVER };

    two_share(50, 50);
    for (unsigned n = 0; n < 100; n++) {
        now += MS;
        vg_sched_report(&sched, &proc[0], &r, now);
        tell(1, 0, 0, true);
        decide();
    }
    ck_assert_uint_le(sched.busy_ns, 101 * MS);
}
END_TEST

START_TEST(silence_is_no_way_to_pay_less)
{
    two_share(50, 50);
    unsigned i = holder();

    now += 100 * US;
    tell(i, 100 * US, 1, true);
    decide();
    now += 100 * MS;    /* nothing is heard of it, and it has work in flight */
    tell(!i, 0, 0, true);
    decide();
    ck_assert_uint_ge(proc[i].charged_ns, 99 * MS);
    ck_assert_int_eq(proc[!i].grant.mode, VG_GRANT_TURN);
}
END_TEST

START_TEST(stuck_time_ends_with_a_completion)
{
    struct vg_sched_report r = { .flight_ops = 1 };

    add_vm(0, VG_CLASS_MEDIUM, 50);
    r.t0 = now;
    now += S;
    r.t1 = now;
    r.busy_ns = S;
    vg_sched_report(&sched, &proc[0], &r, now);
    decide();
    ck_assert_uint_eq(proc[0].stuck_ns, S);
    tell(0, 0, 1, false);
    ck_assert_uint_eq(proc[0].stuck_ns, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("shares");

    ADD(s, "waking and splitting", idleness_earns_at_most_one_turn,
        processes_share_what_is_their_vms);
    ADD(s, "classes", a_higher_class_interrupts, a_floor_is_paid_and_no_more,
        short_slices_linger);
    ADD(s, "policy", a_new_weight_counts_at_once, pools_have_their_shares);
    ADD(s, "reports", what_cannot_be_is_cut, silence_is_no_way_to_pay_less,
        stuck_time_ends_with_a_completion);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
