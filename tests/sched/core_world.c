/* SPDX-License-Identifier: MIT */
/* See core_world.h. */
#include "core_world.h"

struct vg_sched sched;
struct vg_sched_pool pool[2];
struct vg_sched_vm vm[4];
struct vg_sched_proc proc[6];
uint64_t now, next;

void setup(void)
{
    now = 10 * S;
    vg_sched_init(&sched, NULL, now);
    vg_sched_add_pool(&sched, &pool[0], 100);
    vg_sched_add_pool(&sched, &pool[1], 100);
}

void add_vm(unsigned i, enum vg_sched_class class_, unsigned weight)
{
    vg_sched_add_vm(&sched, &vm[i], &pool[0], class_, weight);
    vg_sched_add_proc(&sched, &vm[i], &proc[i], now);
}

void decide(void)
{
    next = vg_sched_decide(&sched, now);
    ck_assert_uint_gt(next, now);
}

void tell(unsigned i, uint64_t busy, unsigned flight, bool waiting)
{
    struct vg_sched_report r = { .t0 = proc[i].told_at, .t1 = now, .busy_ns = busy,
                                 .flight_ops = flight, .waiting = waiting, .ops = 1 };

    vg_sched_report(&sched, &proc[i], &r, now);
}

void tell_used(unsigned i, uint64_t busy)
{
    struct vg_sched_report r = { .t0 = proc[i].told_at, .t1 = now, .busy_ns = busy, .waiting = true,
                                 .used_turn = proc[i].grant.turn };

    vg_sched_report(&sched, &proc[i], &r, now);
}

void run_for(unsigned i, uint64_t ns, unsigned others)
{
    now += ns;
    tell(i, ns, 1, true);
    for (unsigned j = 0; j < others; j++) {
        if (j != i)
            tell(j, 0, 0, true);
    }
    decide();
}

unsigned turns_held(unsigned n)
{
    unsigned held = 0;

    for (unsigned i = 0; i < n; i++)
        held += proc[i].grant.mode == VG_GRANT_TURN && proc[i].state == VG_PROC_RUNNING;
    return held;
}

void two_share(unsigned w0, unsigned w1)
{
    add_vm(0, VG_CLASS_MEDIUM, w0);
    add_vm(1, VG_CLASS_MEDIUM, w1);
    vg_sched_decide(&sched, now);
    now += 100 * US;
    tell(0, 0, 0, true);
    tell(1, 0, 0, true);
    decide();
}

unsigned holder(void)
{
    return proc[0].state == VG_PROC_RUNNING ? 0 : 1;
}

void add_tests(Suite *s, const char *name, const TTest *const *tests)
{
    TCase *c = tcase_create(name);

    tcase_add_checked_fixture(c, setup, NULL);
    for (; *tests; tests++)
        tcase_add_test(c, *tests);
    suite_add_tcase(s, c);
}

int run_suite(Suite *s)
{
    SRunner *r = srunner_create(s);
    int failed;

    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
