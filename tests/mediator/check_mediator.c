/* SPDX-License-Identifier: MIT */
/*
 * The daemon against peers of every kind: good ones, dying ones, hostile ones.
 * Each test starts a daemon of its own and ends it, and the end is checked too.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "suite.h"

struct daemon d;

void start(const char *mode)
{
    daemon_start(&d, mode, NULL);
}

void finish(void)
{
    pid_t children[64];
    unsigned n = daemon_children(&d, children, 64);
    uint64_t before = now_ms();

    ck_assert_int_eq(daemon_stop(&d), 0);
    ck_assert_uint_le(now_ms() - before, 2000);
    /* The daemon has ended or killed them; what it did not reap, init does, when it has time. */
    for (unsigned i = 0; i < n; i++) {
        while (kill(children[i], 0) == 0 && now_ms() - before < 10000)
            sleep_ms(1);
        ck_assert_int_eq(kill(children[i], 0), -1);
    }
    ck_assert_int_eq(access(d.socket, F_OK), -1);
    ck_assert_int_eq(access(d.control, F_OK), -1);
    daemon_clean(&d);
}

int64_t vm_number(const char *vm, const char *key)
{
    char line[128];
    json_object *o, *metrics;
    int64_t n;

    snprintf(line, sizeof(line), "{\"op\":\"show-vm\",\"vm_name\":\"%s\"}", vm);
    o = control_ask(&d, line);
    ck_assert(json_object_object_get_ex(o, "metrics", &metrics));
    n = json_number(metrics, key);
    json_object_put(o);
    return n;
}

int64_t health_fault(const char *key)
{
    json_object *o = control_ask(&d, "{\"op\":\"show-health\"}"), *health, *faults;
    int64_t n;

    ck_assert(json_object_object_get_ex(o, "health", &health));
    ck_assert(json_object_object_get_ex(health, "faults", &faults));
    n = json_number(faults, key);
    json_object_put(o);
    return n;
}

void suite_add_cases(Suite *s, const char *name, const TTest *const *tests, unsigned count)
{
    TCase *tc = tcase_create(name);

    tcase_set_timeout(tc, 30);
    for (unsigned i = 0; i < count; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(s, tc);
}

int main(void)
{
    Suite *s = suite_create("mediator");
    SRunner *r = srunner_create(s);
    int failed;

    add_course(s);
    add_executors(s);
    add_pool(s);
    add_peers(s);
    add_health(s);
    add_administrators(s);
    add_restart(s);
    add_keeper(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
