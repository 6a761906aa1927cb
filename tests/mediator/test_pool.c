/* SPDX-License-Identifier: MIT */
/* Executors that are started before anybody asks. */
#include <check.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "mediator/base/util.h"
#include "suite.h"

static void start_pool(const char *mode, const char *size)
{
    const char *const settings[] = { size, NULL };

    daemon_start(&d, mode, settings);
}

static int64_t health_number(const char *key)
{
    json_object *o = control_ask(&d, "{\"op\":\"show-health\"}"), *health;
    int64_t n;

    ck_assert(json_object_object_get_ex(o, "health", &health));
    n = json_number(health, key);
    json_object_put(o);
    return n;
}

static void wait_ready(int64_t count)
{
    for (unsigned i = 0; health_number("executors_ready") != count; i++) {
        ck_assert_msg(i < TEST_WAIT_MS / 5, "%d ready, not %d",
                      (int)health_number("executors_ready"), (int)count);
        sleep_ms(5);
    }
}

static void wait_calls(const char *vm, int64_t calls)
{
    for (unsigned i = 0; vm_number(vm, "calls") != calls; i++) {
        ck_assert_uint_lt(i, TEST_WAIT_MS / 5);
        sleep_ms(5);
    }
}

START_TEST(is_filled_before_anybody_comes)
{
    start_pool(NULL, "prestart=3");
    wait_ready(3);
    daemon_wait_children(&d, 3);
    /* They count for nobody. */
    ck_assert_int_eq(health_number("executors"), 0);
    finish();
}
END_TEST

START_TEST(gives_one_away_and_replaces_it)
{
    pid_t before, after[4];
    struct peer p;
    bool same = false;

    start_pool(NULL, "prestart=1");
    wait_ready(1);
    ck_assert_uint_eq(daemon_children(&d, &before, 1), 1);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(1, 1)));
    wait_calls("vm1", 10);
    wait_ready(1);
    daemon_wait_children(&d, 2);
    ck_assert_uint_eq(daemon_children(&d, after, 4), 2);
    ck_assert_int_eq(health_number("executors"), 1);
    ck_assert_int_eq(vm_number("vm1", "executors"), 1);
    /* The one that was there before serves the guest: it ends with it. */
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(1, 1));
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(1, 1));
    daemon_wait_children(&d, 1);
    for (unsigned i = 0; i < daemon_children(&d, after, 1); i++)
        same = after[i] == before;
    ck_assert(!same);
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(serves_more_guests_than_it_holds)
{
    struct peer p;

    start_pool(NULL, "prestart=1");
    wait_ready(1);
    peer_hello_device(&p, &d, "vm1");
    for (unsigned i = 0; i < TEST_SLOTS; i++)
        close(peer_attach(&p, TOKEN(i, 1)));
    wait_calls("vm1", 10 * TEST_SLOTS);
    wait_ready(1);
    ck_assert_int_eq(vm_number("vm1", "executors"), TEST_SLOTS);
    peer_close(&p);
    daemon_wait_children(&d, 1);
    finish();
}
END_TEST

START_TEST(is_not_refilled_if_so_set)
{
    const char *const settings[] = { "prestart=1", "prestart_refill=no", NULL };
    struct peer p;

    daemon_start(&d, NULL, settings);
    wait_ready(1);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    wait_calls("vm1", 10);
    sleep_ms(600);
    ck_assert_uint_eq(daemon_children(&d, NULL, 0), 1);
    peer_close(&p);
    finish();
}
END_TEST

/* Killed while it waits: nobody's fault, nobody notices, and there is soon another. */
START_TEST(replaces_one_that_dies)
{
    struct peer p;
    pid_t pid;

    start_pool(NULL, "prestart=1");
    wait_ready(1);
    daemon_children(&d, &pid, 1);
    kill(pid, SIGKILL);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    wait_calls("vm1", 10);
    wait_ready(1);
    ck_assert_int_eq(vm_number("vm1", "faults"), 0);
    peer_close(&p);
    finish();
}
END_TEST

/* What cannot start is tried less and less often, and a guest is told so at once. */
START_TEST(does_not_insist)
{
    struct peer p;
    uint64_t before;

    start_pool("infirm", "prestart=2");
    sleep_ms(700);
    ck_assert_uint_eq(daemon_children(&d, NULL, 0), 0);
    before = now_ms();
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    peer_wait_slot(&p, 0, VG_SLOT_GONE);
    ck_assert_uint_lt(now_ms() - before, 1000);
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 0)->reason, VG_GONE_CRASHED);
    ck_assert_int_eq(health_number("executors_ready"), 0);
    peer_close(&p);
    finish();
}
END_TEST

/* It was well until it had a guest: that is the guest's executor crashing. */
START_TEST(one_that_dies_of_its_guest)
{
    struct peer p;

    start_pool("brittle", "prestart=1");
    wait_ready(1);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    peer_wait_slot(&p, 0, VG_SLOT_GONE);
    ck_assert_uint_eq(vg_region_slot(p.base, &p.layout, 0)->reason, VG_GONE_CRASHED);
    ck_assert_int_eq(vm_number("vm1", "faults"), 1);
    wait_ready(1);
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(ends_with_a_killed_daemon)
{
    pid_t pids[2];
    unsigned i;

    start_pool(NULL, "prestart=2");
    wait_ready(2);
    ck_assert_uint_eq(daemon_children(&d, pids, 2), 2);
    daemon_kill(&d);
    for (i = 0; i < TEST_WAIT_MS && (kill(pids[0], 0) == 0 || kill(pids[1], 0) == 0); i++)
        sleep_ms(1);
    ck_assert_uint_lt(i, TEST_WAIT_MS);
    daemon_clean(&d);
}
END_TEST

/* One that hangs at its start must not hold up the end of the daemon. */
START_TEST(stubborn_ones_do_not_delay_the_end)
{
    uint64_t before;

    start_pool("stubborn", "prestart=2");
    wait_ready(2);
    before = now_ms();
    finish();
    ck_assert_uint_lt(now_ms() - before, 400);
}
END_TEST

void add_pool(Suite *s)
{
    ADD(s, "pool", is_filled_before_anybody_comes, gives_one_away_and_replaces_it,
        serves_more_guests_than_it_holds, is_not_refilled_if_so_set, replaces_one_that_dies,
        does_not_insist, one_that_dies_of_its_guest, ends_with_a_killed_daemon,
        stubborn_ones_do_not_delay_the_end);
}
