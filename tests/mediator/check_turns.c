/* SPDX-License-Identifier: MIT */
/* The daemon's half of turns: what a VM owes when its executors come and go. Pages, and no processes. */
#include <check.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mediator/daemon/mediator.h"
#include "mediator/sched/core.h"

static struct vg_mediator m;
static struct vg_client client[2];
static struct vg_session session[2];
static struct vg_gate gate[2];
static struct vg_orders orders[2];

static void setup(void)
{
    memset(&m, 0, sizeof(m));
    vg_config_init(&m.config);
    m.config.scheduling = VG_SCHEDULING_TURNS;
    vg_list_init(&m.clients);
    vg_vms_init(&m.vms);
    vg_turns_init(&m.turns);
    ck_assert_int_eq(vg_loop_init(&m.loop), 0);
    for (unsigned i = 0; i < 2; i++)
        client[i].vm = vg_vms_add(&m.vms, i ? "b" : "a", &m.config.policy);
}

/* An executor of the i-th VM takes a seat; its pages say nothing yet. */
static void join(unsigned i)
{
    struct vg_session *s = &session[i];

    memset(s, 0, sizeof(*s));
    memset(&gate[i], 0, sizeof(gate[i]));
    memset(&orders[i], 0, sizeof(orders[i]));
    s->mediator = &m;
    s->client = &client[i];
    s->gate = &gate[i];
    s->orders = &orders[i];
    s->bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->doorbell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ck_assert_int_eq(vg_turns_join(s), 0);
}

static void leave(unsigned i)
{
    vg_turns_leave(&session[i]);
    close(session[i].bell_fd);
    close(session[i].doorbell_fd);
}

/* a has had the GPU for 20 ms at least, of which b, which waits, had none. */
static void overuse(void)
{
    join(0);
    join(1);
    gate[1].now.pending = 1;
    gate[1].now.waits_since = vg_now();
    gate[0].now.busy_since = vg_now();
    gate[0].now.in_flight = 1;
    for (unsigned n = 0; n < 10; n++) {
        vg_turns_vm_charged(client[0].vm);
        usleep(2000);
    }
    ck_assert_uint_ge(vg_turns_vm_charged(client[0].vm), 19000000);
    ck_assert_uint_gt(vg_sched_debt(&session[0].turns.proc), 0);
}

static void teardown(void)
{
    for (unsigned i = 0; i < 2; i++) {
        if (session[i].turns.gpus)
            leave(i);
        vg_turns_forget(client[i].vm);
    }
    ck_assert(vg_list_empty(&m.turns.gpus));
    vg_vms_fini(&m.vms);
    vg_loop_fini(&m.loop);
}

START_TEST(a_new_process_does_not_clear_debts)
{
    struct vg_vm *a;
    uint64_t v, charged;

    overuse();
    a = client[0].vm;
    v = a->turns.sched.v;
    charged = vg_turns_vm_charged(a);
    leave(0);
    ck_assert_uint_eq(vg_turns_entitled(a), 0);
    join(0);
    ck_assert_int_ge(vg_v_ahead(a->turns.sched.v, v), 0);
    ck_assert_uint_ge(vg_turns_vm_charged(a), charged);
}
END_TEST

START_TEST(a_vm_that_goes_leaves_nothing)
{
    struct vg_vm *a;

    overuse();
    a = client[0].vm;
    leave(0);
    ck_assert_ptr_nonnull(a->turns.pool);
    vg_turns_forget(a);
    ck_assert_ptr_null(a->turns.pool);
    ck_assert_uint_ge(vg_turns_vm_charged(a), 19000000);
    leave(1);
}
END_TEST

/* Nobody is there any more to whom it could owe. */
START_TEST(the_last_vm_leaves_nothing)
{
    overuse();
    leave(1);
    leave(0);
    ck_assert_ptr_null(client[0].vm->turns.pool);
}
END_TEST

START_TEST(one_without_executors_may_go_to_other_gpus)
{
    char why[160];
    struct vg_vm *a;

    overuse();
    a = client[0].vm;
    leave(0);
    ck_assert_int_eq(vg_place_set(&m.config.places, "far", "gpu 1", why, sizeof(why)), 0);
    strcpy(a->grant.pool, "far");
    join(0);
    ck_assert_ptr_ne(session[0].turns.gpus, session[1].turns.gpus);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("turns");
    TCase *c = tcase_create("debts");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_new_process_does_not_clear_debts);
    tcase_add_test(c, a_vm_that_goes_leaves_nothing);
    tcase_add_test(c, the_last_vm_leaves_nothing);
    tcase_add_test(c, one_without_executors_may_go_to_other_gpus);
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
