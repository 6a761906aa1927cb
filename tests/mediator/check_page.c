/* SPDX-License-Identifier: MIT */
/* The telemetry page of a watcher: whose processes it shows, and what adds up to what. */
#include <check.h>
#include <string.h>

#include "mediator/daemon/client.h"
#include "mediator/daemon/mediator.h"

#define GIB (1ull << 30)

static struct vg_mediator m;
static struct vg_stats stats[4];
static struct vg_session session[4];
static struct vg_client user[4];        /* processes, of the users and VMs that a test gives them */
static struct vg_vm vm_a = { .name = "a" }, vm_b = { .name = "b" };
static struct vg_gauges gauges;
static struct vg_telemetry page;

static void setup(void)
{
    memset(&m, 0, sizeof(m));
    memset(user, 0, sizeof(user));
    memset(&gauges, 0, sizeof(gauges));
    vg_list_init(&m.clients);
    vg_vms_init(&m.vms);
    vm_a.policy.memory_mib = vm_b.policy.memory_mib = 0;
    gauges.device_count = 1;
    gauges.device[0].memory_total = 80 * GIB;
    gauges.device[0].memory_free = 50 * GIB;
    for (unsigned i = 0; i < 4; i++) {
        stats[i] = (struct vg_stats){ .guest_pid = 100 + i, .memory = (i + 1) * GIB };
        session[i] = (struct vg_session){ .state = VG_SESSION_SERVING, .pid = (pid_t)(1000 + i),
                                          .stats = &stats[i], .client = &user[i] };
        user[i].mediator = &m;
        user[i].state = VG_CLIENT_UP;
        user[i].role = VG_ROLE_PROCESS;
        user[i].uid = 500;
        user[i].vm = &vm_a;
        user[i].layout.slot_count = 1;
        user[i].session[0] = &session[i];
        vg_list_append(&m.clients, &user[i].link);
    }
}

static void look(enum vg_role role, uid_t uid, struct vg_vm *vm, const char *name)
{
    static struct vg_client watcher;

    memset(&watcher, 0, sizeof(watcher));
    watcher.mediator = &m;
    watcher.role = role;
    watcher.uid = uid;
    watcher.vm = vm;
    strcpy(watcher.claimed, name);
    vg_telemetry_compose(&page, &gauges, &watcher);
}

START_TEST(a_device_sees_its_vm)
{
    user[2].vm = &vm_b;
    look(VG_ROLE_DEVICE, 0, &vm_b, "b");
    ck_assert_uint_eq(page.process_count, 1);
    ck_assert_uint_eq(page.process[0].pid, 102);
    look(VG_ROLE_DEVICE, 0, &vm_a, "a");
    ck_assert_uint_eq(page.process_count, 3);
}
END_TEST

START_TEST(a_user_sees_his_own)
{
    user[1].uid = 501;
    user[3].role = VG_ROLE_DEVICE;
    look(VG_ROLE_MONITOR, 501, NULL, "");
    ck_assert_uint_eq(page.process_count, 1);
    ck_assert_uint_eq(page.process[0].pid, 101);
    /* A VM's name is anybody's to say: it opens nothing. */
    look(VG_ROLE_MONITOR, 501, NULL, "a");
    ck_assert_uint_eq(page.process_count, 1);
    look(VG_ROLE_MONITOR, 502, NULL, "a");
    ck_assert_uint_eq(page.process_count, 0);
}
END_TEST

START_TEST(nothing_is_left_of_another_watcher)
{
    static const struct vg_telemetry_process none;

    look(VG_ROLE_DEVICE, 0, &vm_a, "a");
    ck_assert_uint_eq(page.process_count, 4);
    look(VG_ROLE_DEVICE, 0, &vm_b, "b");
    ck_assert_uint_eq(page.process_count, 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(memcmp(&page.process[i], &none, sizeof(none)), 0);
}
END_TEST

START_TEST(root_sees_all_host_processes)
{
    user[1].uid = 501;
    user[3].role = VG_ROLE_DEVICE;
    user[2].vm = &vm_b;
    look(VG_ROLE_MONITOR, 0, NULL, "");
    ck_assert_uint_eq(page.process_count, 3);
    look(VG_ROLE_MONITOR, 0, NULL, "b");
    ck_assert_uint_eq(page.process_count, 1);
}
END_TEST

START_TEST(only_those_that_serve)
{
    session[0].state = VG_SESSION_STARTING;
    session[1].state = VG_SESSION_ENDED;
    user[2].session[0] = NULL;
    look(VG_ROLE_MONITOR, 500, NULL, "");
    ck_assert_uint_eq(page.process_count, 1);
    ck_assert_uint_eq(page.process[0].pid, 103);
}
END_TEST

START_TEST(nvml_knows_better_than_the_executor)
{
    gauges.process_count = 2;
    session[1].gpu_percent = 7;
    gauges.process[0] = (struct vg_gauges_process){ .pid = 1001, .memory = 9 * GIB, .sm = 40 };
    gauges.process[1] = (struct vg_gauges_process){ .pid = 77, .memory = 3 * GIB };
    look(VG_ROLE_MONITOR, 500, NULL, "");
    ck_assert_uint_eq(page.process_count, 4);
    ck_assert_uint_eq(page.process[1].memory, 9 * GIB);
    ck_assert_uint_eq(page.process[1].sm, 7);               /* but not how much it was given */
    ck_assert_uint_eq(page.process[2].memory, 3 * GIB);     /* its own count */
    ck_assert_uint_eq(page.device[0].memory_used, (1 + 9 + 3 + 4) * GIB);
}
END_TEST

START_TEST(memory_adds_up)
{
    const struct vg_telemetry_device *d = &page.device[0];

    look(VG_ROLE_DEVICE, 0, &vm_a, "a");
    ck_assert_uint_eq(d->memory_total, 80 * GIB);
    ck_assert_uint_eq(d->memory_used, 10 * GIB);
    ck_assert_uint_eq(d->memory_free, 50 * GIB);        /* no more than the GPU has */
    ck_assert_uint_eq(d->memory_reserved, 20 * GIB);
    vm_a.grant.memory_mib = 16 << 10;
    look(VG_ROLE_DEVICE, 0, &vm_a, "a");
    ck_assert_uint_eq(d->memory_total, 16 * GIB);
    ck_assert_uint_eq(d->memory_free, 6 * GIB);         /* no more than its limit leaves */
    ck_assert_uint_eq(d->memory_reserved, 0);
    vm_a.grant.memory_mib = 8 << 10;
    look(VG_ROLE_DEVICE, 0, &vm_a, "a");
    ck_assert_uint_eq(d->memory_used, 8 * GIB);
    ck_assert_uint_eq(d->memory_free, 0);
}
END_TEST

static void set_pool(const char *pool, const char *value)
{
    char why[128];

    ck_assert_int_eq(vg_place_set(&m.config.places, pool, value, why, sizeof(why)), 0);
}

/* Three GPUs: a's pool has two of them, b's the other. */
START_TEST(a_vm_sees_its_pool)
{
    gauges.device_count = 3;
    for (unsigned i = 0; i < 3; i++)
        gauges.device[i].memory_total = gauges.device[i].memory_free = (i + 1) * GIB;
    for (unsigned i = 0; i < 9; i++)
        gauges.fabric[i / 3].peer[i % 3].ancestor = (uint8_t)(i / 3 * 10 + i % 3);
    set_pool("two", "gpu 0,2");
    set_pool("one", "gpu 1");
    strcpy(vm_a.grant.pool, "two");
    strcpy(vm_b.grant.pool, "one");
    strcpy(session[0].gpus, "0,2");
    strcpy(session[1].gpus, "1");
    user[1].vm = &vm_b;
    user[2].session[0] = user[3].session[0] = NULL;
    gauges.process_count = 3;
    gauges.process[0] = (struct vg_gauges_process){ .pid = 1000, .device = 2, .memory = 5 };
    gauges.process[1] = (struct vg_gauges_process){ .pid = 1001, .device = 1, .memory = 6 };
    gauges.process[2] = (struct vg_gauges_process){ .pid = 1001, .device = 0, .memory = 7 };
    look(VG_ROLE_DEVICE, 0, &vm_a, "a");
    ck_assert_uint_eq(page.device_count, 2);
    ck_assert_uint_eq(page.device[1].memory_total, 3 * GIB);
    ck_assert_uint_eq(page.fabric[0].peer[1].ancestor, 2);      /* of 0 and 2 */
    ck_assert_uint_eq(page.fabric[1].peer[0].ancestor, 20);
    ck_assert_uint_eq(page.fabric[1].peer[2].ancestor, 0);      /* of the other pool: nothing */
    ck_assert_uint_eq(page.process_count, 1);
    ck_assert_uint_eq(page.process[0].device, 1);
    ck_assert_uint_eq(page.process[0].memory, 5);
    look(VG_ROLE_DEVICE, 0, &vm_b, "b");
    ck_assert_uint_eq(page.device_count, 1);
    ck_assert_uint_eq(page.device[0].memory_total, 2 * GIB);
    ck_assert_uint_eq(page.process_count, 1);
    ck_assert_uint_eq(page.process[0].device, 0);
    ck_assert_uint_eq(page.process[0].memory, 6);
    vm_a.grant.pool[0] = vm_b.grant.pool[0] = '\0';
}
END_TEST

START_TEST(too_many_processes)
{
    gauges.process_count = VG_GAUGES_PROCESSES;
    for (unsigned i = 0; i < VG_GAUGES_PROCESSES; i++)
        gauges.process[i] = (struct vg_gauges_process){ .pid = 1000, .memory = 1 };
    gauges.process[0].device = 5;       /* there is no such device */
    memset(stats[0].guest_comm, 'x', sizeof(stats[0].guest_comm));
    look(VG_ROLE_MONITOR, 500, NULL, "");
    ck_assert_uint_eq(page.process_count, VG_TELEMETRY_PROCESSES);
    ck_assert_uint_eq(page.process[0].device, 0);
    ck_assert_uint_eq(strlen(page.process[0].comm), sizeof(page.process[0].comm) - 1);
    ck_assert_uint_le(vg_telemetry_length(&page), sizeof(page));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("page");
    TCase *tc = tcase_create("page");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, a_device_sees_its_vm);
    tcase_add_test(tc, a_user_sees_his_own);
    tcase_add_test(tc, nothing_is_left_of_another_watcher);
    tcase_add_test(tc, root_sees_all_host_processes);
    tcase_add_test(tc, only_those_that_serve);
    tcase_add_test(tc, nvml_knows_better_than_the_executor);
    tcase_add_test(tc, memory_adds_up);
    tcase_add_test(tc, a_vm_sees_its_pool);
    tcase_add_test(tc, too_many_processes);
    suite_add_tcase(s, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
