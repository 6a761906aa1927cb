/* SPDX-License-Identifier: MIT */
/* Hung executors, faults, quarantine and sick GPUs: what follows, and what survives. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mediator/base/file.h"
#include "mediator/base/util.h"
#include "suite.h"

#define PATIENCE_MS 20000u

static const char *const two_faults[] = { "fault_limit=2", NULL };

/* ---- questions ---- */

static bool ask(const char *line)
{
    json_object *o = control_ask(&d, line), *ok;
    bool yes;

    ck_assert(json_object_object_get_ex(o, "ok", &ok));
    yes = json_object_get_boolean(ok);
    json_object_put(o);
    return yes;
}

static bool is_quarantined(const char *name)
{
    char line[128];
    json_object *o, *vm;
    bool yes;

    snprintf(line, sizeof(line), "{\"op\":\"show-vm\",\"vm_name\":\"%s\"}", name);
    o = control_ask(&d, line);
    yes = json_object_object_get_ex(o, "vm", &vm) &&
          strcmp(json_text(vm, "state"), "quarantined") == 0;
    json_object_put(o);
    return yes;
}

/* Whether an alert has that text. */
static bool alerts(const char *text)
{
    json_object *o = control_ask(&d, "{\"op\":\"show-health\"}"), *health, *list;
    bool found = false;

    ck_assert(json_object_object_get_ex(o, "health", &health));
    ck_assert(json_object_object_get_ex(health, "alerts", &list));
    for (size_t i = 0; i < (size_t)json_object_array_length(list); i++)
        found |= strstr(json_object_get_string(json_object_array_get_idx(list, (int)i)), text) != NULL;
    json_object_put(o);
    return found;
}

static void wait_alert(const char *text, bool there)
{
    for (uint64_t end = now_ms() + PATIENCE_MS; alerts(text) != there && now_ms() < end;)
        sleep_ms(20);
    ck_assert_msg(alerts(text) == there, "alert \"%s\": %s", text, there ? "missing" : "stays");
}

/* ---- one use of a slot ---- */

static uint32_t reason_of(struct peer *p, unsigned slot)
{
    return *(volatile uint32_t *)&vg_region_slot(p->base, &p->layout, slot)->reason;
}

/* The slot goes for `reason` and is given back. */
static void goes(struct peer *p, uint32_t token, enum vg_gone_reason reason)
{
    unsigned slot = VG_TOKEN_SLOT(token);

    for (uint64_t end = now_ms() + PATIENCE_MS;
         peer_slot_state(p, slot) != VG_SLOT_GONE && now_ms() < end;)
        sleep_ms(1);
    ck_assert_uint_eq(peer_slot_state(p, slot), VG_SLOT_GONE);
    ck_assert_uint_eq(reason_of(p, slot), reason);
    peer_tell(p, VG_MSG_RELEASE, token);
    peer_expect(p, VG_MSG_SLOT_FREE, token);
}

static void refused(struct peer *p, uint32_t token, enum vg_gone_reason reason)
{
    peer_tell(p, VG_MSG_ATTACH, token);
    peer_expect(p, VG_MSG_REFUSED, token);
    ck_assert_uint_eq(reason_of(p, VG_TOKEN_SLOT(token)), reason);
}

/* The token of use `n` of slot 0; its state as the device would leave it before. */
static uint32_t fresh(struct peer *p, unsigned n)
{
    vg_region_slot(p->base, &p->layout, 0)->state = VG_SLOT_CLAIMED;
    return TOKEN(0, n);
}

static void attach_and_go(struct peer *p, unsigned n, enum vg_gone_reason reason)
{
    uint32_t token = fresh(p, n);

    close(peer_attach(p, token));
    goes(p, token, reason);
}

static void serves(struct peer *p, unsigned n)
{
    uint32_t token = fresh(p, n);

    close(peer_attach(p, token));
    peer_tell(p, VG_MSG_RELEASE, token);
    peer_expect(p, VG_MSG_SLOT_FREE, token);
}

/* ---- faults and quarantine ---- */

START_TEST(third_crash_puts_a_vm_in_quarantine)
{
    struct peer p, other;

    start("crash");
    peer_hello_device(&p, &d, "vm1");
    peer_hello_device(&other, &d, "vm2");
    for (unsigned n = 1; n <= 3; n++) {
        ck_assert(!is_quarantined("vm1"));
        attach_and_go(&p, n, VG_GONE_CRASHED);
    }
    ck_assert(is_quarantined("vm1"));
    refused(&p, fresh(&p, 4), VG_GONE_QUARANTINED);
    /* Nobody else is. */
    ck_assert(!is_quarantined("vm2"));
    attach_and_go(&other, 1, VG_GONE_CRASHED);
    peer_close(&p);
    peer_close(&other);
    finish();
}
END_TEST

/* The mission's example: it hangs, and when it does so again it is shut out. */
START_TEST(hung_work_is_ended_and_then_its_vm)
{
    static const char *const settings[] = { "fault_limit=2", "watchdog_s=1", NULL };
    struct peer p;

    daemon_start(&d, "hung", settings);
    peer_hello_device(&p, &d, "vm3");
    attach_and_go(&p, 1, VG_GONE_TIMEOUT);
    ck_assert(!is_quarantined("vm3"));
    attach_and_go(&p, 2, VG_GONE_TIMEOUT);
    ck_assert(is_quarantined("vm3"));
    ck_assert_int_eq(health_fault("timeout"), 2);
    refused(&p, fresh(&p, 3), VG_GONE_QUARANTINED);
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(work_that_goes_on_is_not_ended)
{
    static const char *const settings[] = { "watchdog_s=1", NULL };
    struct peer p;

    daemon_start(&d, "steady", settings);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    sleep_ms(3000);
    ck_assert_uint_ne(peer_slot_state(&p, 0), VG_SLOT_GONE);
    ck_assert_int_eq(health_fault("timeout"), 0);
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(no_watchdog_if_switched_off)
{
    static const char *const settings[] = { "watchdog_s=0", NULL };
    struct peer p;

    daemon_start(&d, "hung", settings);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    sleep_ms(1500);
    ck_assert_uint_ne(peer_slot_state(&p, 0), VG_SLOT_GONE);
    peer_close(&p);
    finish();
}
END_TEST

/* Whatever of the two limits is set, and nothing of the other. */
START_TEST(a_compilation_has_a_limit)
{
    static const char *const settings[] = { "watchdog_s=0", "compile_s=1", "fault_limit=2", NULL };
    struct peer p;

    daemon_start(&d, "compiling", settings);
    peer_hello_device(&p, &d, "vm3");
    attach_and_go(&p, 1, VG_GONE_TIMEOUT);
    attach_and_go(&p, 2, VG_GONE_TIMEOUT);
    ck_assert(is_quarantined("vm3"));
    peer_close(&p);
    finish();
}
END_TEST

START_TEST(no_compilation_is_ended_early)
{
    static const char *const settings[] = { "watchdog_s=1", NULL };
    struct peer p;

    daemon_start(&d, "compiling", settings);
    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    sleep_ms(2500);
    ck_assert_uint_ne(peer_slot_state(&p, 0), VG_SLOT_GONE);
    peer_close(&p);
    finish();
}
END_TEST

/* An illegal address is a tenth of a fault. */
START_TEST(kernels_errors_weigh_little)
{
    static const char *const settings[] = { "fault_limit=1", NULL };
    struct peer p;

    daemon_start(&d, "ill", settings);
    peer_hello_device(&p, &d, "vm1");
    for (unsigned n = 1; n <= 10; n++) {
        ck_assert(!is_quarantined("vm1"));
        attach_and_go(&p, n, VG_GONE_CRASHED);
    }
    ck_assert(is_quarantined("vm1"));
    peer_close(&p);
    finish();
}
END_TEST

/* However many executors end with it. */
START_TEST(breach_of_a_peer_counts_once)
{
    struct peer p;

    daemon_start(&d, NULL, two_faults);
    for (unsigned n = 0; n < 2; n++) {
        ck_assert(!is_quarantined("vm1"));
        peer_hello_device(&p, &d, "vm1");
        for (unsigned slot = 0; slot < TEST_SLOTS; slot++)
            close(peer_attach(&p, TOKEN(slot, 1)));
        peer_send_raw(&p, "garbage", 7);
        peer_expect_end(&p);
        peer_close(&p);
        daemon_wait_children(&d, 0);
    }
    ck_assert(is_quarantined("vm1"));
    finish();
}
END_TEST

/* By hand, while it works: its executors end with the reason, those of others do not. */
START_TEST(administrator_puts_a_vm_in_quarantine)
{
    struct peer p, other;

    start(NULL);
    peer_hello_device(&p, &d, "vm1");
    peer_hello_device(&other, &d, "vm2");
    close(peer_attach(&p, TOKEN(0, 1)));
    close(peer_attach(&p, TOKEN(1, 1)));
    close(peer_attach(&other, TOKEN(0, 1)));
    ck_assert(!ask("{\"op\":\"quarantine\",\"vm_name\":\"vm1\",\"reason\":\"\\u001b[31m\"}"));
    ck_assert(ask("{\"op\":\"quarantine\",\"vm_name\":\"vm1\",\"reason\":\"it mines\"}"));
    goes(&p, TOKEN(0, 1), VG_GONE_QUARANTINED);
    goes(&p, TOKEN(1, 1), VG_GONE_QUARANTINED);
    refused(&p, TOKEN(2, 1), VG_GONE_QUARANTINED);
    ck_assert_uint_ne(peer_slot_state(&other, 0), VG_SLOT_GONE);
    /* It is no fault of its executors that they were ended. */
    ck_assert_int_eq(vm_number("vm1", "faults"), 0);
    /* Forgetting its policy does not let it in. */
    ck_assert(ask("{\"op\":\"register-vm\",\"vm_name\":\"vm1\",\"weight\":7}"));
    ck_assert(ask("{\"op\":\"unregister-vm\",\"vm_name\":\"vm1\"}"));
    peer_close(&p);
    daemon_wait_children(&d, 1);
    peer_hello_device(&p, &d, "vm1");
    refused(&p, TOKEN(0, 1), VG_GONE_QUARANTINED);
    ck_assert(ask("{\"op\":\"clear-quarantine\",\"vm_name\":\"vm1\"}"));
    ck_assert(!ask("{\"op\":\"clear-quarantine\",\"vm_name\":\"vm1\"}"));
    ck_assert(!ask("{\"op\":\"clear-quarantine\",\"vm_name\":\"nobody\"}"));
    serves(&p, 1);
    peer_close(&p);
    peer_close(&other);
    finish();
}
END_TEST

START_TEST(quarantine_survives_the_daemon)
{
    struct peer p;

    daemon_start(&d, "crash", two_faults);
    peer_hello_device(&p, &d, "vm1");
    attach_and_go(&p, 1, VG_GONE_CRASHED);
    attach_and_go(&p, 2, VG_GONE_CRASHED);
    ck_assert(is_quarantined("vm1"));
    daemon_kill(&d);
    peer_close(&p);
    daemon_restart(&d, NULL);
    ck_assert(is_quarantined("vm1"));
    peer_hello_device(&p, &d, "vm1");
    refused(&p, TOKEN(0, 1), VG_GONE_QUARANTINED);
    ck_assert(ask("{\"op\":\"clear-quarantine\",\"vm_name\":\"vm1\"}"));
    serves(&p, 2);
    /* And so does its end. */
    daemon_kill(&d);
    peer_close(&p);
    daemon_restart(&d, NULL);
    ck_assert(!is_quarantined("vm1"));
    peer_hello_device(&p, &d, "vm1");
    serves(&p, 1);
    peer_close(&p);
    finish();
}
END_TEST

/* A fault before the restart counts after it, however the daemon ended. */
static void fault_counts_after(bool killed)
{
    struct peer p;

    daemon_start(&d, "crash", two_faults);
    peer_hello_device(&p, &d, "vm1");
    attach_and_go(&p, 1, VG_GONE_CRASHED);
    peer_close(&p);
    if (killed)
        daemon_kill(&d);
    else
        ck_assert_int_eq(daemon_stop(&d), 0);
    daemon_restart_with(&d, "crash", two_faults);
    ck_assert(!is_quarantined("vm1"));
    peer_hello_device(&p, &d, "vm1");
    attach_and_go(&p, 1, VG_GONE_CRASHED);
    ck_assert(is_quarantined("vm1"));
    peer_close(&p);
    finish();
}

START_TEST(faults_survive_the_daemon)
{
    fault_counts_after(false);
}
END_TEST

START_TEST(faults_survive_the_daemon_that_is_killed)
{
    fault_counts_after(true);
}
END_TEST

/* The state directory lies below a file: nothing can be written, and the daemon says so. */
START_TEST(quarantine_holds_where_nothing_can_be_written)
{
    char state[96];
    const char *const settings[] = { "fault_limit=2", state, NULL };
    struct peer p;

    snprintf(state, sizeof(state), "state_dir=/proc/self/nowhere");
    daemon_start(&d, "crash", settings);
    peer_hello_device(&p, &d, "vm1");
    ck_assert(!alerts("cannot be written"));
    attach_and_go(&p, 1, VG_GONE_CRASHED);
    attach_and_go(&p, 2, VG_GONE_CRASHED);
    ck_assert(is_quarantined("vm1"));
    ck_assert(alerts("cannot be written"));
    refused(&p, fresh(&p, 3), VG_GONE_QUARANTINED);
    /* What cannot be written is not cleared, or it would come back with the next daemon. */
    ck_assert(!ask("{\"op\":\"clear-quarantine\",\"vm_name\":\"vm1\"}"));
    ck_assert(is_quarantined("vm1"));
    ck_assert(!ask("{\"op\":\"quarantine\",\"vm_name\":\"vm2\"}"));
    ck_assert(is_quarantined("vm2"));
    peer_close(&p);
    finish();
}
END_TEST

/* A file that somebody damaged: no silent amnesty. */
START_TEST(damaged_state_stops_the_daemon)
{
    char path[64];

    start(NULL);
    ck_assert_int_eq(daemon_stop(&d), 0);
    snprintf(path, sizeof(path), "%s/health.json", d.dir);
    ck_assert_int_eq(vg_file_replace(path, "{\"vms\":[{\"name\":\"vm1\",", 0600), 0);
    ck_assert_int_eq(daemon_try(&d), 1);
    ck_assert_int_eq(vg_file_replace(path, "{\"vms\":{}}", 0600), 0);
    ck_assert_int_eq(daemon_try(&d), 1);
    ck_assert_int_eq(unlink(path), 0);
    daemon_restart(&d, NULL);
    finish();
}
END_TEST

/* ---- an executor that cannot be ended ---- */

/* What a driver does that hangs: a killed process that its parent cannot reap, by a tracer. */
static bool hold(pid_t pid)
{
    return ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
}

START_TEST(executor_that_does_not_end_is_reported)
{
    static const char *const settings[] = { "stuck_s=1", NULL };
    struct peer p, other;
    pid_t pid;

    daemon_start(&d, NULL, settings);
    peer_hello_device(&p, &d, "vm1");
    peer_hello_device(&other, &d, "vm2");
    close(peer_attach(&p, TOKEN(0, 1)));
    daemon_wait_children(&d, 1);
    ck_assert_uint_eq(daemon_children(&d, &pid, 1), 1);
    if (!hold(pid)) {
        ck_assert_int_eq(errno, EPERM);     /* this machine lets nobody trace */
        peer_close(&p);
        peer_close(&other);
        finish();
        return;
    }
    peer_tell(&p, VG_MSG_RELEASE, TOKEN(0, 1));
    wait_alert("does not end", true);
    refused(&p, TOKEN(1, 1), VG_GONE_REFUSED);
    close(peer_attach(&other, TOKEN(0, 1)));
    /* Let go at last, it is reaped, and all is well. */
    ck_assert_int_eq(waitpid(pid, NULL, __WALL), pid);
    peer_expect(&p, VG_MSG_SLOT_FREE, TOKEN(0, 1));
    wait_alert("does not end", false);
    close(peer_attach(&p, TOKEN(0, 2)));
    peer_close(&p);
    peer_close(&other);
    finish();
}
END_TEST

/* ---- what the kernel says of a GPU ---- */

static char pipe_setting[80];
static const char *const pipe_settings[] = { "fault_limit=2", pipe_setting, NULL };

/* A daemon that reads a pipe as the kernel's log; its writing end. */
static int start_with_log(const char *mode)
{
    char path[64] = "/tmp/vgpu-kmsg-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    snprintf(pipe_setting, sizeof(pipe_setting), "kernel_log=%s", path);
    daemon_start(&d, mode, pipe_settings);
    fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void end_log(int fd)
{
    close(fd);
    unlink(strchr(pipe_setting, '=') + 1);
}

static void kernel_says(int fd, const char *line)
{
    ck_assert_int_eq(write(fd, line, strlen(line)), (ssize_t)strlen(line));
    ck_assert_int_eq(write(fd, "\n", 1), 1);
}

START_TEST(sick_gpu_takes_nobody_new)
{
    int log = start_with_log(NULL);
    struct peer p;

    peer_hello_device(&p, &d, "vm1");
    close(peer_attach(&p, TOKEN(0, 1)));
    kernel_says(log, "NVRM: GPU at 0000:17:00.0 has nothing to say");
    kernel_says(log, "NVRM: Xid (PCI:0000:17:00): 13, pid=1, name=x, Graphics Exception");
    kernel_says(log, "12,1,1,-;NVRM: Xid (PCI:0000:17:00): 79, pid=1, written by a program");
    kernel_says(log, "3,1,1,-;NVRM: Xid (PCI:0000:17:00): 119, pid=0, name=, Timeout waiting");
    wait_alert("GPU 0000:17:00: Xid 119", true);
    refused(&p, TOKEN(1, 1), VG_GONE_GPU_SICK);
    ck_assert_uint_ne(peer_slot_state(&p, 0), VG_SLOT_GONE);
    kernel_says(log, "3,1,1,-;NVRM: Xid (PCI:0000:17:00): 79, pid=0, name=, fallen off the bus");
    wait_alert("fallen off the bus", true);
    /* It stays so over a restart of the daemon. */
    daemon_kill(&d);
    peer_close(&p);
    daemon_restart_with(&d, NULL, pipe_settings);
    ck_assert(alerts("fallen off the bus"));
    peer_hello_device(&p, &d, "vm1");
    refused(&p, TOKEN(0, 1), VG_GONE_GPU_SICK);
    ck_assert(!ask("{\"op\":\"clear-gpu\",\"gpu\":\"0000:18:00\"}"));
    ck_assert(!ask("{\"op\":\"clear-gpu\"}"));
    ck_assert(ask("{\"op\":\"clear-gpu\",\"gpu\":\"0000:17:00\"}"));
    serves(&p, 2);
    peer_close(&p);
    end_log(log);
    finish();
}
END_TEST

/* What the host's start changes: what is written of this boot is of another one. */
static void host_starts_anew(void)
{
    char path[64], *text = NULL, *boot;

    snprintf(path, sizeof(path), "%s/health.json", d.dir);
    ck_assert_int_eq(vg_file_read(path, 1 << 20, &text), 0);
    boot = strstr(text, "\"boot\"");
    ck_assert_ptr_nonnull(boot);
    boot = strchr(boot, ':') + 3;
    *boot = *boot == '0' ? '1' : '0';
    ck_assert_int_eq(vg_file_replace(path, text, 0644), 0);
    free(text);
}

/* A quarantine is the VM's; a GPU is another one after a reset. */
START_TEST(the_hosts_start_keeps_a_quarantine_and_no_sick_gpu)
{
    int log = start_with_log(NULL);
    struct peer p;

    peer_hello_device(&p, &d, "vm1");
    kernel_says(log, "3,1,1,-;NVRM: Xid (PCI:0000:17:00): 79, pid=0, name=, fallen off the bus");
    wait_alert("fallen off the bus", true);
    ck_assert(ask("{\"op\":\"quarantine\",\"vm_name\":\"vm2\"}"));
    daemon_kill(&d);
    peer_close(&p);
    host_starts_anew();
    daemon_restart_with(&d, NULL, pipe_settings);
    ck_assert(is_quarantined("vm2"));
    ck_assert(!alerts("fallen off the bus"));
    peer_hello_device(&p, &d, "vm1");
    serves(&p, 1);
    peer_close(&p);
    peer_hello_device(&p, &d, "vm2");
    refused(&p, TOKEN(0, 1), VG_GONE_QUARANTINED);
    peer_close(&p);
    end_log(log);
    finish();
}
END_TEST

/* Not the VM's fault: neither what a memory error does, nor what a sick GPU does. */
START_TEST(gpus_faults_are_not_the_vms)
{
    int log = start_with_log(NULL);
    char line[96];
    struct peer p;
    pid_t pid;

    peer_hello_device(&p, &d, "vm1");
    for (unsigned n = 1; n <= 3; n++) {
        close(peer_attach(&p, fresh(&p, n)));
        daemon_wait_children(&d, 1);
        ck_assert_uint_eq(daemon_children(&d, &pid, 1), 1);
        snprintf(line, sizeof(line), "NVRM: Xid (PCI:0000:17:00): 94, pid=%d, name=x", (int)pid);
        kernel_says(log, line);
        goes(&p, TOKEN(0, n), VG_GONE_CRASHED);
    }
    ck_assert(!is_quarantined("vm1"));
    peer_close(&p);
    end_log(log);
    finish();
}
END_TEST

START_TEST(kernel_log_that_cannot_be_read_is_reported)
{
    static const char *const settings[] = { "kernel_log=/nowhere/kmsg", NULL };

    daemon_start(&d, NULL, settings);
    ck_assert(alerts("kernel log cannot be read"));
    finish();
}
END_TEST

void add_health(Suite *s)
{
    ADD(s, "faults", third_crash_puts_a_vm_in_quarantine, hung_work_is_ended_and_then_its_vm,
        work_that_goes_on_is_not_ended, no_watchdog_if_switched_off, a_compilation_has_a_limit,
        no_compilation_is_ended_early, kernels_errors_weigh_little,
        breach_of_a_peer_counts_once, executor_that_does_not_end_is_reported);
    ADD(s, "quarantine", administrator_puts_a_vm_in_quarantine, quarantine_survives_the_daemon,
        faults_survive_the_daemon, faults_survive_the_daemon_that_is_killed, quarantine_holds_where_nothing_can_be_written,
        damaged_state_stops_the_daemon);
    ADD(s, "kernel log", sick_gpu_takes_nobody_new,
        the_hosts_start_keeps_a_quarantine_and_no_sick_gpu, gpus_faults_are_not_the_vms,
        kernel_log_that_cannot_be_read_is_reported);
}
