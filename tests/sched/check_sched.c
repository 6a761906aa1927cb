/* SPDX-License-Identifier: MIT */
/* The policy core, one rule at a time: who is alone, and turns. */
#include "core_world.h"

/* ---- alone ---- */

START_TEST(alone_is_open_and_asks_nothing)
{
    add_vm(0, VG_CLASS_MEDIUM, 50);
    decide();
    ck_assert_int_eq(proc[0].grant.mode, VG_GRANT_OPEN);
    ck_assert_uint_eq(proc[0].grant.ask, 0);
    ck_assert_uint_eq(next, VG_SCHED_FOREVER);
}
END_TEST

static void open_beside_an_idle_one(void)
{
    add_vm(0, VG_CLASS_MEDIUM, 50);
    add_vm(1, VG_CLASS_MEDIUM, 50);
    tell(0, 0, 1, true);
    decide();
    ck_assert_int_eq(proc[0].grant.mode, VG_GRANT_TURN);
    ck_assert_uint_eq(proc[0].grant.budget_ns, VG_SCHED_FOREVER);
    now += sched.tuning.linger;
    tell(0, sched.tuning.linger, 1, true);
    decide();
}

START_TEST(attached_beside_an_idle_one_gets_open_after_a_while)
{
    open_beside_an_idle_one();
    ck_assert_int_eq(proc[0].grant.mode, VG_GRANT_OPEN);
    ck_assert_int_eq(proc[1].grant.mode, VG_GRANT_CLOSED);
    ck_assert_uint_eq(proc[1].grant.ask & VG_ASK_WORK, VG_ASK_WORK);
}
END_TEST

START_TEST(a_second_vm_begins_turns_at_once)
{
    open_beside_an_idle_one();
    run_for(0, MS, 2);
    ck_assert_int_eq(sched.mode, VG_SCHED_SHARED);
    ck_assert_int_eq(proc[0].grant.mode, VG_GRANT_CLOSED);
    ck_assert_int_eq(proc[1].grant.mode, VG_GRANT_TURN);
    ck_assert_uint_eq(turns_held(2), 1);
}
END_TEST

START_TEST(nobody_below_a_class_that_is_there_is_let_alone)
{
    add_vm(0, VG_CLASS_HIGH, 50);
    add_vm(1, VG_CLASS_LOW, 50);
    tell(1, 0, 1, true);
    decide();
    now += S;
    tell(1, S, 1, true);
    decide();
    ck_assert_int_eq(proc[1].grant.mode, VG_GRANT_TURN);
    ck_assert_uint_le(proc[1].grant.window_ns, sched.tuning.window);
    ck_assert_int_eq(proc[0].grant.mode, VG_GRANT_TURN);    /* and need not ask when it comes */
}
END_TEST

/* ---- turns ---- */

START_TEST(weights_are_kept_over_many_turns)
{
    two_share(80, 50);
    for (unsigned n = 0; n < 2000; n++) {
        unsigned i = holder();

        ck_assert_uint_ge(turns_held(2), 1);
        now += MS;
        tell(i, MS, 0, true);
        tell(!i, 0, 0, true);
        decide();
    }
    ck_assert_double_eq_tol((double)vm[0].charged_ns / (double)sched.busy_ns, 80. / 130, 0.01);
    ck_assert_uint_eq(vm[0].charged_ns + vm[1].charged_ns, sched.busy_ns);
}
END_TEST

START_TEST(a_spent_turn_passes_on)
{
    two_share(50, 50);
    ck_assert_uint_eq(turns_held(2), 1);
    unsigned i = holder();

    now += 5 * MS;
    tell_used(i, 5 * MS);
    tell(!i, 0, 0, true);
    decide();
    ck_assert_int_eq(proc[i].grant.mode, VG_GRANT_CLOSED);
    ck_assert_int_eq(proc[!i].grant.mode, VG_GRANT_TURN);
}
END_TEST

/* Who has the turn has spent it now; the other has work on the GPU `late` after that, for 1 ms. */
static void hand_over(uint64_t late)
{
    unsigned i = holder();

    now += 6 * MS;
    tell_used(i, 6 * MS);
    tell(!i, 0, 0, true);
    decide();
    ck_assert_int_eq(proc[!i].state, VG_PROC_RUNNING);
    now += late + MS;
    tell(i, 0, 0, true);
    tell(!i, MS, 1, true);
    decide();
}

START_TEST(turns_overlap_by_what_hand_overs_take)
{
    uint64_t least, lead;

    two_share(50, 50);
    least = sched.lead;
    ck_assert_uint_eq(least, sched.tuning.lead);
    hand_over(150 * US);
    lead = sched.lead;
    ck_assert_uint_gt(lead, least);
    hand_over(2 * MS);          /* that has other reasons */
    ck_assert_uint_eq(sched.lead, lead);
    ck_assert_uint_eq(proc[holder()].grant.lead_ns, lead);
    for (unsigned i = 0; i < 20; i++)
        hand_over(150 * US);
    ck_assert_uint_eq(sched.lead, sched.tuning.lead_most);
    for (unsigned i = 0; i < 400; i++)
        hand_over(0);
    ck_assert_uint_eq(sched.lead, least);
}
END_TEST

START_TEST(an_overrun_is_joined_and_repaid)
{
    two_share(50, 50);
    unsigned i = holder();

    run_for(i, 50 * MS, 2);
    ck_assert_int_eq(proc[i].state, VG_PROC_DRAINING);
    ck_assert_int_eq(proc[!i].state, VG_PROC_RUNNING);
    for (unsigned n = 0; n < 40; n++) {
        now += MS;
        tell(i, 0, 0, true);
        tell(!i, MS, 0, true);
        decide();
        ck_assert_int_eq(proc[i].grant.mode, VG_GRANT_CLOSED);
    }
}
END_TEST

START_TEST(a_second_place_is_never_for_the_overrunner)
{
    two_share(50, 50);
    unsigned i = holder();

    for (unsigned n = 0; n < 50; n++) {
        now += 5 * MS;
        tell(i, 5 * MS, 1, true);
        tell(!i, 5 * MS, 1, true);
        decide();
        ck_assert_uint_le(turns_held(2), 1);
    }
}
END_TEST

/* Both have had work for a while; then i's turn is used up, and so much is left of its kernel. */
static unsigned uses_up_its_turn(uint64_t left)
{
    unsigned i;

    two_share(50, 50);
    for (unsigned n = 0; n < 200; n++)
        run_for(holder(), MS, 2);
    i = holder();
    for (unsigned n = 0; n < 6 && holder() == i; n++) {
        struct vg_sched_report r = { .t0 = proc[i].told_at, .t1 = now + 5 * MS, .busy_ns = 5 * MS,
                                     .flight_ops = 1, .flight_ns = left, .waiting = true };

        now += 5 * MS;
        vg_sched_report(&sched, &proc[i], &r, now);
        tell(!i, 0, 0, true);
        decide();
    }
    return i;
}

START_TEST(a_long_kernel_is_waited_for_where_slices_are_short)
{
    unsigned i = uses_up_its_turn(20 * MS);

    ck_assert_int_eq(proc[i].state, VG_PROC_RUNNING);
    ck_assert_uint_eq(turns_held(2), 1);
    now += sched.tuning.kernel_long;
    tell(i, sched.tuning.kernel_long, 1, true);
    tell(!i, 0, 0, true);
    decide();
    ck_assert_int_eq(proc[!i].state, VG_PROC_RUNNING);  /* it said 20 ms, and it has not ended */
}
END_TEST

START_TEST(a_longer_one_is_joined)
{
    unsigned i = uses_up_its_turn(500 * MS);

    ck_assert_int_eq(proc[i].state, VG_PROC_DRAINING);
    ck_assert_int_eq(proc[!i].state, VG_PROC_RUNNING);
}
END_TEST

START_TEST(a_crowd_runs_a_few_at_a_time)
{
    unsigned held = 0;

    two_share(50, 50);
    tell(0, 0, 0, false);
    for (unsigned i = 2; i < 6; i++) {
        vg_sched_add_proc(&sched, &vm[1], &proc[i], now);
        tell(i, 0, 0, true);
    }
    now += 10 * MS;
    tell(0, 0, 0, false);
    decide();
    ck_assert_int_eq(sched.mode, VG_SCHED_CROWD);
    for (unsigned i = 1; i < 6; i++) {
        held += proc[i].state == VG_PROC_RUNNING;
        ck_assert_uint_le(proc[i].grant.window_ns, sched.tuning.window / sched.tuning.crowd);
    }
    ck_assert_uint_eq(held, sched.tuning.crowd);
}
END_TEST

/* Process 0 uses the GPU for so long at a time and pauses a little; the other has had more than it. */
static void thinks_after(uint64_t busy, unsigned times)
{
    vg_sched_add_vm(&sched, &vm[0], &pool[0], VG_CLASS_HIGH, 50);
    vg_sched_add_vm(&sched, &vm[1], &pool[1], VG_CLASS_HIGH, 50);
    vg_sched_add_proc(&sched, &vm[0], &proc[0], now);
    vg_sched_add_proc(&sched, &vm[1], &proc[1], now);
    for (unsigned n = 0; n < times; n++) {
        now += 200 * US;
        pool[1].v = pool[0].v + vg_v_of(100 * MS, 100);
        struct vg_sched_report r = { .t0 = proc[0].told_at, .t1 = now, .flight_ops = 1,
                                     .flight_ns = busy };
        vg_sched_report(&sched, &proc[0], &r, now);
        decide();
        tell(1, 0, 0, true);
        decide();
        now += busy;
        tell(0, busy, 0, false);
        tell(1, 0, 0, true);
        decide();
    }
}

START_TEST(who_thinks_for_a_moment_keeps_his_place)
{
    thinks_after(20 * MS, 8);
    ck_assert_int_eq(proc[0].state, VG_PROC_DRAINING);
    ck_assert_int_eq(proc[1].state, VG_PROC_WAITING);
    ck_assert_uint_le(next, now + sched.tuning.think_most);
    now = next;
    decide();
    ck_assert_int_eq(proc[0].state, VG_PROC_IDLE);
    ck_assert_int_eq(proc[1].state, VG_PROC_RUNNING);
}
END_TEST

START_TEST(for_little_work_nobody_is_waited_for)
{
    thinks_after(2 * MS, 8);
    ck_assert_int_eq(proc[1].state, VG_PROC_RUNNING);
}
END_TEST

START_TEST(thinking_cannot_be_claimed_again_and_again)
{
    thinks_after(20 * MS, 8);
    for (unsigned n = 0; n < 20; n++) {
        now += 100 * US;
        struct vg_sched_report r = { .t0 = proc[0].told_at, .t1 = now, .busy_ns = US, .ops = 1,
                                     .idle_since = now };
        vg_sched_report(&sched, &proc[0], &r, now);
        decide();
    }
    ck_assert_int_eq(proc[1].state, VG_PROC_RUNNING);
}
END_TEST

/* It allocates without a pause: nothing of the GPU's, and idle since just now at each look. */
START_TEST(a_turn_without_work_on_the_gpu_ends)
{
    two_share(50, 50);
    unsigned i = holder();

    for (uint64_t t = 0; t <= 2 * sched.tuning.quantum_min; t += 50 * US) {
        now += 50 * US;
        struct vg_sched_report r = { .t0 = proc[i].told_at, .t1 = now, .idle_since = now };
        vg_sched_report(&sched, &proc[i], &r, now);
        tell(!i, 0, 0, true);
        decide();
    }
    ck_assert_int_eq(proc[i].state, VG_PROC_IDLE);
    ck_assert_int_eq(proc[!i].state, VG_PROC_RUNNING);
}
END_TEST

/* It says for ever that little is left, as one does whose kernels became very long. */
START_TEST(what_drains_is_not_waited_for_for_ever)
{
    two_share(50, 50);
    for (unsigned n = 0; n < 100; n++) {    /* kernels of 50 us, and no newcomers any more */
        unsigned i = holder();
        now += 2 * MS;
        struct vg_sched_report r = { .t0 = proc[i].told_at, .t1 = now, .busy_ns = 2 * MS, .ops = 40,
                                     .waiting = true };
        vg_sched_report(&sched, &proc[i], &r, now);
        tell(!i, 0, 0, true);
        decide();
    }
    unsigned i = holder();
    uint64_t end = now + 2 * sched.tuning.kernel_long + 100 * MS;

    while (proc[!i].state != VG_PROC_RUNNING && now < end) {
        now += 250 * US;
        struct vg_sched_report r = { .t0 = proc[i].told_at, .t1 = now, .busy_ns = 250 * US, .flight_ops = 18,
                                     .flight_ns = 900 * US, .waiting = true };
        vg_sched_report(&sched, &proc[i], &r, now);
        tell(!i, 0, 0, true);
        decide();
    }
    ck_assert_int_eq(proc[i].state, VG_PROC_DRAINING);
    ck_assert_int_eq(proc[!i].state, VG_PROC_RUNNING);
}
END_TEST

START_TEST(a_killed_holder_leaves_its_turn)
{
    two_share(50, 50);
    unsigned i = holder();

    vg_sched_remove_proc(&sched, &proc[i], now);
    tell(!i, 0, 0, true);
    decide();
    ck_assert_int_eq(proc[!i].grant.mode, VG_GRANT_OPEN);
    vg_sched_remove_vm(&sched, &vm[i]);
}
END_TEST

START_TEST(a_turn_left_unused_goes_to_the_next)
{
    two_share(50, 50);
    unsigned i = holder();

    now += sched.tuning.stall;
    tell(0, 0, 0, true);
    tell(1, 0, 0, true);
    decide();
    ck_assert_int_eq(proc[i].grant.mode, VG_GRANT_CLOSED);
    ck_assert_int_eq(proc[!i].grant.mode, VG_GRANT_TURN);
}
END_TEST

START_TEST(an_idle_holder_is_waited_for_and_not_for_long)
{
    two_share(50, 50);
    unsigned i = holder();

    now += 500 * US;
    tell(i, 500 * US, 0, false);
    tell(!i, 0, 0, true);
    decide();
    ck_assert_int_eq(proc[i].state, VG_PROC_RUNNING);
    ck_assert_uint_le(next, now + sched.tuning.hold);
    now = next;
    decide();
    ck_assert_int_eq(proc[i].state, VG_PROC_IDLE);
    ck_assert_int_eq(proc[!i].grant.mode, VG_GRANT_TURN);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("sched");

    ADD(s, "alone", alone_is_open_and_asks_nothing,
        attached_beside_an_idle_one_gets_open_after_a_while, a_second_vm_begins_turns_at_once,
        nobody_below_a_class_that_is_there_is_let_alone);
    ADD(s, "turns", weights_are_kept_over_many_turns, a_spent_turn_passes_on,
        turns_overlap_by_what_hand_overs_take, an_overrun_is_joined_and_repaid,
        a_second_place_is_never_for_the_overrunner,
        a_long_kernel_is_waited_for_where_slices_are_short, a_longer_one_is_joined,
        a_crowd_runs_a_few_at_a_time, who_thinks_for_a_moment_keeps_his_place,
        for_little_work_nobody_is_waited_for, thinking_cannot_be_claimed_again_and_again,
        a_turn_without_work_on_the_gpu_ends, what_drains_is_not_waited_for_for_ever,
        a_killed_holder_leaves_its_turn, a_turn_left_unused_goes_to_the_next,
        an_idle_holder_is_waited_for_and_not_for_long);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
