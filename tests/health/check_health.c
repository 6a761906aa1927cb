/* SPDX-License-Identifier: MIT */
/* The pure core of health: residency, faults, Xid lines. Time is a number here. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/health/ledger.h"
#include "mediator/health/watchdog.h"
#include "mediator/health/xid.h"

#define S 1000000000ull
#define MS 1000000ull
#define LIMIT (30 * S)

/* ---- watchdog ---- */

/* Looks every `step` until the work is called hung, or `most` has passed: then 0. */
struct course {
    struct vg_watchdog w;
    uint64_t now, step;
    struct vg_watchdog_sight s;
};

static void begin(struct course *c, uint64_t step)
{
    memset(c, 0, sizeof(*c));
    c->now = 1000 * S;
    c->step = step;
    c->s.sharers = 1;
}

static bool look(struct course *c)
{
    c->now += c->step;
    c->s.now = c->now;
    return vg_watchdog_look(&c->w, &c->s, LIMIT);
}

/* One kernel of `length` residency, of which this process gets one part in `sharers`. */
static bool is_killed(uint64_t length, unsigned sharers, uint64_t step, uint64_t *ret_after)
{
    struct course c;
    uint64_t start;

    begin(&c, step);
    c.s.sharers = sharers;
    ck_assert(!look(&c));
    c.s.busy = true;
    start = c.now;
    while (c.now + c.step - start < length * sharers) {
        if (look(&c)) {
            *ret_after = c.now - start;
            return true;
        }
    }
    c.s.busy = false;
    c.s.progress++;
    ck_assert(!look(&c));
    return false;
}

START_TEST(endless_kernel_is_hung_after_the_limit)
{
    uint64_t after = 0;

    ck_assert(is_killed(1000 * S, 1, 250 * MS, &after));
    ck_assert_uint_ge(after, 30 * S);
    ck_assert_uint_le(after, 31 * S);
}
END_TEST

/* Whatever the looks' distance, and however many share the GPU. */
START_TEST(kernel_just_below_the_limit_is_never_hung)
{
    uint64_t after = 0;

    srand(4);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t step = 10 * MS + (uint64_t)(rand() % 900) * MS;
        unsigned sharers = 1 + (unsigned)rand() % 8;

        ck_assert_msg(!is_killed(29 * S + (uint64_t)(rand() % 1000) * MS, sharers, step, &after),
                      "step %llu, %u sharers, after %llu", (unsigned long long)step, sharers,
                      (unsigned long long)after);
    }
}
END_TEST

START_TEST(neighbours_time_does_not_count)
{
    uint64_t after = 0;

    ck_assert(is_killed(1000 * S, 4, 250 * MS, &after));
    ck_assert_uint_ge(after, 120 * S);
    ck_assert_uint_le(after, 122 * S);
}
END_TEST

/* Starved for an hour: it gets no GPU time, so it is charged none. */
START_TEST(starved_work_is_not_hung)
{
    struct course c;

    begin(&c, 250 * MS);
    c.s.metered = c.s.busy = true;
    c.s.charged_ns = 5 * S;
    for (unsigned i = 0; i < 4 * 3600; i++)
        ck_assert(!look(&c));
    /* When it gets a tenth of the GPU, nearly ten times the limit passes. */
    for (unsigned i = 0; i < 4 * 290; i++) {
        c.s.charged_ns += 25 * MS;
        ck_assert(!look(&c));
    }
    c.s.charged_ns += 3 * S;
    ck_assert(!look(&c));   /* more than has passed cannot be charged */
    for (unsigned i = 0; i < 4 * 2 && !look(&c); i++)
        c.s.charged_ns += 250 * MS;
    ck_assert_uint_eq(c.w.stalled_ns, 0);
}
END_TEST

START_TEST(waiting_at_the_gate_is_not_hung)
{
    struct course c;

    begin(&c, 250 * MS);
    for (unsigned i = 0; i < 4 * 3600; i++)
        ck_assert(!look(&c));
}
END_TEST

START_TEST(progress_begins_anew)
{
    struct course c;

    begin(&c, 250 * MS);
    c.s.busy = true;
    for (unsigned i = 0; i < 4 * 3600; i++) {
        c.s.progress += i % 100 == 0;   /* every 25 s */
        ck_assert(!look(&c));
    }
}
END_TEST

/* The daemon was stopped for a day: who shared the GPU meanwhile, nobody knows. */
START_TEST(time_that_nobody_saw_does_not_count)
{
    struct course c;

    begin(&c, 250 * MS);
    c.s.busy = true;
    ck_assert(!look(&c));
    c.now += 86400 * S;
    ck_assert(!look(&c));
    ck_assert_uint_le(c.w.stalled_ns, VG_WATCHDOG_STEP_NS);
}
END_TEST

START_TEST(clock_that_stands_or_goes_back_is_harmless)
{
    struct course c;

    begin(&c, 0);
    c.s.busy = true;
    for (unsigned i = 0; i < 1000; i++)
        ck_assert(!look(&c));
    c.now -= 100 * S;
    ck_assert(!look(&c));
    ck_assert(!look(&c));
}
END_TEST

START_TEST(no_limit_no_verdict)
{
    struct vg_watchdog w = { 0 };
    struct vg_watchdog_sight s = { .busy = true, .sharers = 1 };

    for (unsigned i = 1; i < 10000; i++) {
        s.now = i * S;
        ck_assert(!vg_watchdog_look(&w, &s, 0));
    }
}
END_TEST

START_TEST(silence_is_noticed)
{
    struct vg_pulse p = { .beat = 0 };

    ck_assert(!vg_pulse_look(&p, 1000 * S, 0, LIMIT));
    ck_assert(!vg_pulse_look(&p, 2000 * S, 0, LIMIT));    /* one that never beat */
    ck_assert(!vg_pulse_look(&p, 3000 * S, 1, LIMIT));
    ck_assert(!vg_pulse_look(&p, 3029 * S, 1, LIMIT));
    ck_assert(!vg_pulse_look(&p, 3031 * S, 2, LIMIT));
    ck_assert(!vg_pulse_look(&p, 3061 * S, 2, LIMIT));
    ck_assert(!vg_pulse_look(&p, 3000 * S, 2, LIMIT));
    ck_assert(vg_pulse_look(&p, 3062 * S, 2, LIMIT));
}
END_TEST

/* ---- ledger ---- */

static const struct vg_ledger_limits limits = {
    .limit = 3, .window_ns = 600 * S, .long_limit = 12, .long_window_ns = 86400 * S,
};

static enum vg_ledger_verdict fault(struct vg_ledger *l, enum vg_fault_kind kind, uint64_t now)
{
    vg_ledger_add(l, kind, now - S / 2, now);
    return vg_ledger_judge(l, &limits, now);
}

START_TEST(third_fault_in_the_window_is_one_too_many)
{
    struct vg_ledger l = { .count = 0 };

    ck_assert_int_eq(fault(&l, VG_FAULT_HANG, 1000 * S), VG_LEDGER_FINE);
    ck_assert_int_eq(fault(&l, VG_FAULT_CRASH, 1300 * S), VG_LEDGER_FINE);
    ck_assert_int_eq(fault(&l, VG_FAULT_BREACH, 1600 * S), VG_LEDGER_SHORT);
}
END_TEST

START_TEST(old_faults_are_forgiven)
{
    struct vg_ledger l = { .count = 0 };

    ck_assert_int_eq(fault(&l, VG_FAULT_HANG, 1000 * S), VG_LEDGER_FINE);
    ck_assert_int_eq(fault(&l, VG_FAULT_HANG, 1300 * S), VG_LEDGER_FINE);
    ck_assert_int_eq(fault(&l, VG_FAULT_HANG, 1601 * S), VG_LEDGER_FINE);
}
END_TEST

/* Two faults every window, never three: the long window sees it. */
START_TEST(just_below_the_limit_for_ever_is_caught)
{
    struct vg_ledger l = { .count = 0 };
    enum vg_ledger_verdict v = VG_LEDGER_FINE;
    unsigned n = 0;

    while (v == VG_LEDGER_FINE && n < 1000)
        v = fault(&l, VG_FAULT_HANG, 1000 * S + ++n * 301 * S);
    ck_assert_int_eq(v, VG_LEDGER_LONG);
    ck_assert_uint_eq(n, 12);
}
END_TEST

/* One in two hours is 12 a day. */
START_TEST(rare_faults_are_no_reason)
{
    struct vg_ledger l = { .count = 0 };

    for (unsigned n = 1; n < 1000; n++)
        ck_assert_int_eq(fault(&l, VG_FAULT_CRASH, n * 7855 * S), VG_LEDGER_FINE);
}
END_TEST

START_TEST(kernels_faults_weigh_a_tenth)
{
    struct vg_ledger l = { .count = 0 };
    enum vg_ledger_verdict v = VG_LEDGER_FINE;
    unsigned n = 0;

    while (v == VG_LEDGER_FINE && n < 1000)
        v = fault(&l, VG_FAULT_KERNEL, 1000 * S + ++n * S);
    ck_assert_uint_eq(n, 30);
}
END_TEST

/* 64 processes of one job, hung in the same kernel, ended within a second. */
START_TEST(processes_that_fail_together_are_one_incident)
{
    struct vg_ledger l = { .count = 0 };

    for (unsigned n = 0; n < 64; n++) {
        vg_ledger_add(&l, VG_FAULT_HANG, 900 * S + n, 1000 * S + n * 10 * MS);
        ck_assert_int_eq(vg_ledger_judge(&l, &limits, 1001 * S), VG_LEDGER_FINE);
    }
    ck_assert_uint_eq(l.count, 1);
    /* But not one that was started since, nor one of them that fails much later. */
    vg_ledger_add(&l, VG_FAULT_HANG, 1002 * S, 1003 * S);
    ck_assert_uint_eq(l.count, 2);
    vg_ledger_add(&l, VG_FAULT_HANG, 900 * S, 1009 * S);
    ck_assert_int_eq(vg_ledger_judge(&l, &limits, 1009 * S), VG_LEDGER_SHORT);
}
END_TEST

START_TEST(ledger_is_bounded_and_forgets_nothing_early)
{
    struct vg_ledger l = { .count = 0 };

    for (unsigned n = 0; n < 10000; n++)
        vg_ledger_put(&l, VG_FAULT_KERNEL, 1, 1000 * S + n * MS);
    ck_assert_uint_eq(l.count, VG_LEDGER_MAX);
    ck_assert_uint_eq(vg_ledger_points(&l, 1010 * S, 600 * S), 10000);
    ck_assert_uint_eq(vg_ledger_points(&l, 1610 * S + 1, 600 * S), 0);
}
END_TEST

START_TEST(no_limits_no_verdict)
{
    static const struct vg_ledger_limits none = { .window_ns = S, .long_window_ns = S };
    struct vg_ledger l = { .count = 0 };

    for (unsigned n = 1; n < 1000; n++)
        fault(&l, VG_FAULT_CRASH, n * S);
    ck_assert_int_eq(vg_ledger_judge(&l, &none, 1000 * S), VG_LEDGER_FINE);
}
END_TEST

START_TEST(fault_names)
{
    for (unsigned k = 0; k < VG_FAULT_KINDS; k++)
        ck_assert_uint_eq(vg_fault_kind_of(vg_fault_name(k)), k);
    ck_assert_uint_eq(vg_fault_kind_of("?"), VG_FAULT_KINDS);
    ck_assert_str_eq(vg_fault_name(99), "?");
}
END_TEST

/* ---- Xid ---- */

static const struct {
    const char *line;
    bool ok;
    const char *gpu;
    unsigned number;
    int pid;
} lines[] = {
    { "NVRM: Xid (PCI:0000:17:00): 79, pid=1234, name=python, GPU has fallen off the bus.", true,
      "0000:17:00", 79, 1234 },
    { "3,811,9035123,-;NVRM: Xid (PCI:0000:3B:00): 31, pid=4711, name=vgpu-executor, Ch 00000008",
      true, "0000:3b:00", 31, 4711 },
    { "NVRM: Xid (PCI:0000:65:00): 119, pid='<unknown>', name=<unknown>, Timeout", true,
      "0000:65:00", 119, 0 },
    { "NVRM: Xid (PCI:0000:65:00): 48", true, "0000:65:00", 48, 0 },
    /* Facility 1: a program wrote it. */
    { "12,811,9035123,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=1", false, "", 0, 0 },
    { "6,12,100,-;usb: NVRM: Xid (PCI:0000:3b:00): 79", false, "", 0, 0 },
    { "NVRM: Xid (PCI:): 79", false, "", 0, 0 },
    { "NVRM: Xid (PCI:0000:3b:00): x", false, "", 0, 0 },
    { "NVRM: Xid (PCI:0000:3b:00 79", false, "", 0, 0 },
    { "NVRM: Xid (PCI:00000000000000000000000:3b:00): 79", false, "", 0, 0 },
    { "NVRM: Xid (PCI:00\"x:3b:00): 79", false, "", 0, 0 },
    { "NVRM: GPU 0000:17:00.0: RmInitAdapter failed!", false, "", 0, 0 },
    { "", false, "", 0, 0 },
};

START_TEST(xid_lines)
{
    struct vg_xid x;

    memset(&x, 0, sizeof(x));
    ck_assert_msg(vg_xid_parse(lines[_i].line, strlen(lines[_i].line), &x) == lines[_i].ok, "%s",
                  lines[_i].line);
    ck_assert_str_eq(x.gpu, lines[_i].gpu);
    ck_assert_uint_eq(x.number, lines[_i].number);
    ck_assert_int_eq(x.pid, lines[_i].pid);
}
END_TEST

/* Every beginning of a line is safe to take, and what is cut off is no line. */
START_TEST(xid_lines_cut_off)
{
    const char *line = lines[1].line;
    struct vg_xid x;

    for (size_t n = 0; n <= strlen(line); n++) {
        char *exact = malloc(n + 1);

        memcpy(exact, line, n);
        exact[n] = 'x';
        ck_assert(vg_xid_parse(exact, n, &x) == (n >= strlen("3,811,9035123,-;NVRM: Xid (PCI:0000:3B:00): 3")));
        free(exact);
    }
}
END_TEST

START_TEST(xid_text_is_printable)
{
    const char *line = "NVRM: Xid (PCI:0000:17:00): 13, pid=7, name=a\"b\tc\x1b[31m";
    struct vg_xid x;

    ck_assert(vg_xid_parse(line, strlen(line), &x));
    ck_assert_str_eq(x.text, "pid=7, name=a'b?c?[31m");
}
END_TEST

START_TEST(xid_classes)
{
    ck_assert_int_eq(vg_xid_class(13), VG_XID_APP);
    ck_assert_int_eq(vg_xid_class(31), VG_XID_APP);
    ck_assert_int_eq(vg_xid_class(43), VG_XID_NOTE);
    ck_assert_int_eq(vg_xid_class(94), VG_XID_MEMORY);
    ck_assert_int_eq(vg_xid_class(48), VG_XID_DRAIN);
    ck_assert_int_eq(vg_xid_class(119), VG_XID_DRAIN);
    ck_assert_int_eq(vg_xid_class(79), VG_XID_LOST);
    ck_assert_int_eq(vg_xid_class(154), VG_XID_NOTE);
    ck_assert_int_eq(vg_xid_class(9999), VG_XID_NOTE);
    ck_assert_str_eq(vg_xid_meaning(79), "GPU has fallen off the bus");
    ck_assert_str_eq(vg_xid_meaning(9999), "");
}
END_TEST

START_TEST(gpu_only_gets_worse)
{
    enum vg_gpu_state s = VG_GPU_OK;

    s = vg_xid_state(s, VG_XID_APP);
    s = vg_xid_state(s, VG_XID_MEMORY);
    s = vg_xid_state(s, VG_XID_NOTE);
    ck_assert_int_eq(s, VG_GPU_OK);
    s = vg_xid_state(s, VG_XID_DRAIN);
    ck_assert_int_eq(s, VG_GPU_DRAIN);
    s = vg_xid_state(vg_xid_state(s, VG_XID_LOST), VG_XID_DRAIN);
    ck_assert_int_eq(s, VG_GPU_LOST);
    ck_assert_str_eq(vg_gpu_state_name(s), "lost");
}
END_TEST

static void add_watchdog(Suite *s)
{
    TCase *t = tcase_create("watchdog");

    tcase_add_test(t, endless_kernel_is_hung_after_the_limit);
    tcase_add_test(t, kernel_just_below_the_limit_is_never_hung);
    tcase_add_test(t, neighbours_time_does_not_count);
    tcase_add_test(t, starved_work_is_not_hung);
    tcase_add_test(t, waiting_at_the_gate_is_not_hung);
    tcase_add_test(t, progress_begins_anew);
    tcase_add_test(t, time_that_nobody_saw_does_not_count);
    tcase_add_test(t, clock_that_stands_or_goes_back_is_harmless);
    tcase_add_test(t, no_limit_no_verdict);
    tcase_add_test(t, silence_is_noticed);
    suite_add_tcase(s, t);
}

static void add_ledger(Suite *s)
{
    TCase *t = tcase_create("ledger");

    tcase_add_test(t, third_fault_in_the_window_is_one_too_many);
    tcase_add_test(t, old_faults_are_forgiven);
    tcase_add_test(t, just_below_the_limit_for_ever_is_caught);
    tcase_add_test(t, rare_faults_are_no_reason);
    tcase_add_test(t, kernels_faults_weigh_a_tenth);
    tcase_add_test(t, processes_that_fail_together_are_one_incident);
    tcase_add_test(t, ledger_is_bounded_and_forgets_nothing_early);
    tcase_add_test(t, no_limits_no_verdict);
    tcase_add_test(t, fault_names);
    suite_add_tcase(s, t);
}

static void add_xid(Suite *s)
{
    TCase *t = tcase_create("xid");

    tcase_add_loop_test(t, xid_lines, 0, sizeof(lines) / sizeof(lines[0]));
    tcase_add_test(t, xid_lines_cut_off);
    tcase_add_test(t, xid_text_is_printable);
    tcase_add_test(t, xid_classes);
    tcase_add_test(t, gpu_only_gets_worse);
    suite_add_tcase(s, t);
}

int main(void)
{
    Suite *s = suite_create("health");
    SRunner *r = srunner_create(s);

    add_watchdog(s);
    add_ledger(s);
    add_xid(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
