/* SPDX-License-Identifier: MIT */
/*
 * What measures and holds back work, on a driver whose events pass when the test says so, and
 * what sets time slices, on a device of the test's own.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mediator/executor/executor.h"
#include "mediator/executor/slice.h"
#include "mediator/executor/work.h"

/* ---- A driver ---- */

#define EVENTS 256u

static unsigned made, recorded;
static CUstream stream_of[EVENTS];
static bool passed[EVENTS];
static struct vg_exec x;
static struct vg_stats stats;

static CUresult event_create(CUevent *event, unsigned flags)
{
    (void)flags;
    ck_assert_uint_lt(made, EVENTS - 1);
    *event = (CUevent)(uintptr_t)++made;
    return CUDA_SUCCESS;
}

static CUresult event_record(CUevent event, CUstream stream)
{
    recorded++;
    stream_of[(uintptr_t)event] = stream;
    passed[(uintptr_t)event] = false;
    return CUDA_SUCCESS;
}

static CUresult event_query(CUevent event)
{
    return passed[(uintptr_t)event] ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

static CUresult event_elapsed(float *ms, CUevent from, CUevent to)
{
    (void)from, (void)to;
    *ms = 0;
    return CUDA_ERROR_NOT_READY;
}

static CUstream captured; /* NULL: none */

static CUresult is_capturing(CUstream stream, CUstreamCaptureStatus *status)
{
    *status = stream == captured ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

static void all_pass(CUstream stream)
{
    for (unsigned i = 0; i < EVENTS; i++)
        passed[i] = passed[i] || stream_of[i] == stream;
}

static const CUstream some = (CUstream)(uintptr_t)0x1000, other = (CUstream)(uintptr_t)0x2000,
                      blocking = (CUstream)(uintptr_t)0x3000;

static void setup(void)
{
    const CUcontext ctx = (CUcontext)(uintptr_t)0x10;

    made = recorded = 0;
    captured = NULL;
    memset(passed, 0, sizeof(passed));
    memset(stream_of, 0, sizeof(stream_of));
    memset(&stats, 0, sizeof(stats));
    ck_assert_int_eq(vg_exec_init(&x), 0);
    x.stats = &stats;
    x.ctx = x.home = ctx;
    x.cuda.cuEventCreate = event_create;
    x.cuda.cuEventRecord = event_record;
    x.cuda.cuEventQuery = event_query;
    x.cuda.cuEventElapsedTime = event_elapsed;
    x.cuda.cuStreamIsCapturing = is_capturing;
    vg_own_add(&x, VG_OBJ_CUcontext, (uintptr_t)ctx, 0, 0);
    vg_own_add(&x, VG_OBJ_CUstream, (uintptr_t)some, (uintptr_t)ctx, VG_STREAM_NON_BLOCKING);
    vg_own_add(&x, VG_OBJ_CUstream, (uintptr_t)other, (uintptr_t)ctx, VG_STREAM_NON_BLOCKING);
    vg_own_add(&x, VG_OBJ_CUstream, (uintptr_t)blocking, (uintptr_t)ctx, 0);
}

static void teardown(void)
{
    vg_exec_fini(&x);
}

static void give(CUstream stream, uint64_t key)
{
    vg_meter_begin(&x, key, 1000000);
    ck_assert_int_eq(vg_own_stream(&x, stream), CUDA_SUCCESS);
    vg_meter_end(&x, true);
}

/* Looks, as often and as much later as it takes for every mark to be due. */
static void look(void)
{
    x.meter.next_look = 0;
    vg_meter_look(&x, vg_now() + 10000000, true);
}

/* ---- Meter ---- */

START_TEST(work_counts_from_when_it_is_given_until_it_has_ended)
{
    ck_assert_uint_eq(x.meter.running, 0);
    give(some, 1);
    ck_assert_uint_eq(x.meter.running, 1);
    uint64_t now = vg_now();
    ck_assert_uint_gt(vg_meter_total(&x.meter, now + 5000), vg_meter_total(&x.meter, now));
    look();
    ck_assert_uint_eq(recorded, 1);
    ck_assert_uint_eq(x.meter.flight_calls, 1);
    all_pass(some);
    look();
    ck_assert_uint_eq(x.meter.running, 0);
    ck_assert_uint_eq(x.meter.done, 1);
    ck_assert_uint_eq(vg_meter_total(&x.meter, now), vg_meter_total(&x.meter, now + 1000000000));
}
END_TEST

START_TEST(what_runs_side_by_side_counts_once)
{
    give(some, 1);
    give(other, 2);
    ck_assert_uint_eq(x.meter.running, 2);
    uint64_t from = x.meter.since;
    look();
    all_pass(some);
    look();
    ck_assert_uint_eq(x.meter.running, 1);
    ck_assert_uint_eq(x.meter.since, from);
    all_pass(other);
    look();
    ck_assert_uint_eq(x.meter.busy, x.meter.ended - from);
}
END_TEST

/* A mark in the legacy stream must not stand behind newer work of a stream that waits for it. */
START_TEST(newer_work_covers_the_legacy_stream)
{
    give(CU_STREAM_LEGACY, 1);
    give(blocking, 2);
    look();
    ck_assert_uint_eq(recorded, 1);
    ck_assert_ptr_eq(stream_of[1], blocking);
    all_pass(blocking);
    look();
    ck_assert_uint_eq(x.meter.running, 0);
    ck_assert_uint_eq(x.meter.done, 2);
}
END_TEST

/* Another call in such a stream, one that is no work, comes behind the mark and not before it. */
START_TEST(the_legacy_stream_is_marked_before_others_go_on)
{
    give(CU_STREAM_LEGACY, 1);
    ck_assert_int_eq(vg_own_stream(&x, blocking), CUDA_SUCCESS);
    ck_assert_uint_eq(recorded, 1);
    ck_assert_ptr_eq(stream_of[1], CU_STREAM_LEGACY);
}
END_TEST

/*
 * What one thread gives to the legacy stream ends though another captures all the time. Else it
 * counted as running while its process waits for a turn, and was charged until nobody owed it any.
 */
START_TEST(captures_elsewhere_do_not_keep_the_legacy_stream_busy)
{
    x.captures = 1;
    captured = some;
    give(NULL, 1);
    look();
    ck_assert_uint_eq(recorded, 1);
    all_pass(CU_STREAM_LEGACY);
    look();
    ck_assert_uint_eq(x.meter.running, 0);
}
END_TEST

START_TEST(a_capture_that_the_legacy_stream_would_break_is_left_alone)
{
    x.captures = 1;
    captured = blocking;
    give(NULL, 1);
    look();
    ck_assert_uint_eq(recorded, 0);
    captured = NULL;
    x.captures = 0;
    look();
    ck_assert_uint_eq(recorded, 1);
}
END_TEST

START_TEST(a_host_function_is_no_work)
{
    give(some, 1);
    vg_meter_stall_begin(&x, some);
    vg_meter_stall_end(&x, some);
    give(some, 2);
    ck_assert_uint_eq(recorded, 2);
    passed[1] = true; /* the work before it */
    look();
    ck_assert_uint_eq(x.meter.running, 0);
    ck_assert_uint_eq(x.meter.flight_calls, 0);
    passed[2] = true; /* the function has run */
    look();
    ck_assert_uint_eq(x.meter.running, 1);
    all_pass(some);
    look();
    ck_assert_uint_eq(x.meter.running, 0);
    ck_assert_uint_eq(x.meter.done, 2);
}
END_TEST

START_TEST(a_wait_needs_no_mark)
{
    give(some, 1);
    uint64_t serial = vg_meter_covered(&x, some);
    look();
    ck_assert_uint_eq(recorded, 0);
    vg_meter_passed(&x, some, serial);
    ck_assert_uint_eq(x.meter.running, 0);
    ck_assert_uint_eq(x.meter.done, 1);
}
END_TEST

START_TEST(what_the_driver_refused_is_none)
{
    vg_meter_begin(&x, 1, 1000);
    vg_own_stream(&x, some);
    vg_meter_end(&x, false);
    ck_assert_uint_eq(x.meter.running, 0);
    ck_assert_uint_eq(x.meter.active, 0);
    ck_assert_uint_eq(x.meter.busy, 0);
}
END_TEST

START_TEST(streams_and_contexts_end_with_work_in_flight)
{
    give(some, 1);
    vg_meter_stream_ends(&x, some);
    give(other, 2);
    all_pass(some);
    look();
    ck_assert_uint_eq(x.meter.lanes, 1);
    vg_meter_drop_context(&x, x.ctx);
    ck_assert_uint_eq(x.meter.lanes, 0);
    ck_assert_uint_eq(x.meter.running, 0);
}
END_TEST

/* Measured several times over at once, an estimate must not run away. */
START_TEST(estimates_learn_what_a_call_took)
{
    struct vg_estimates e;
    memset(&e, 0, sizeof(e));
    unsigned place = vg_estimate_find(&e, 77, 1000000);

    for (unsigned i = 0; i < 50; i++)
        vg_estimate_learn(&e, place, 2000000, 1);
    ck_assert_uint_ge(vg_estimate_ns(&e, place), 1900000);
    ck_assert_uint_le(vg_estimate_ns(&e, place), 2100000);
    for (unsigned i = 0; i < 50; i++)
        vg_estimate_learn(&e, place, 0, 1);
    ck_assert_uint_le(vg_estimate_ns(&e, place), 1000);
    ck_assert_uint_eq(vg_estimate_find(&e, 77, 5), place);
}
END_TEST

/* What waited for another's slice is not taken for long work; what is long is, from the third on. */
START_TEST(estimates_leave_out_what_waited)
{
    struct vg_estimates e;
    memset(&e, 0, sizeof(e));
    unsigned place = vg_estimate_find(&e, 5, 20000);

    for (unsigned i = 0; i < 20; i++)
        vg_estimate_learn(&e, place, 250000, 1);
    vg_estimate_learn(&e, place, 8250000, 1);
    ck_assert_uint_le(vg_estimate_ns(&e, place), 900000);
    for (unsigned i = 0; i < 6; i++)
        vg_estimate_learn(&e, place, 250000, 1);
    ck_assert_uint_le(vg_estimate_ns(&e, place), 260000);
    for (unsigned i = 0; i < 20; i++)
        vg_estimate_learn(&e, place, i % 2 ? 4000000 : 1000, 1);
    ck_assert_uint_ge(vg_estimate_ns(&e, place), 100000);
    for (unsigned i = 0; i < 20; i++)
        vg_estimate_learn(&e, place, 4000000, 1);
    ck_assert_uint_ge(vg_estimate_ns(&e, place), 3900000);
}
END_TEST

/* ---- Gate ---- */

static void grant(enum vg_gate_mode mode, uint64_t turn, uint64_t budget, unsigned ops, unsigned ask)
{
    struct vg_gate_grant *g = &x.own_orders.grant;

    g->seq += 2;
    g->mode = mode;
    g->turn = turn;
    g->budget_ns = budget;
    g->window_ns = UINT64_MAX;
    g->window_ops = ops;
    g->ask = ask;
}

static uint64_t rings(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof(n)) == (ssize_t)sizeof(n) ? n : 0;
}

static bool launch_passes(void)
{
    struct vg_call c = {.call = VG_CALL_LAUNCH, .arg = {[VG_LAUNCH_STREAM] = (uintptr_t)some}};

    if (!vg_gate_pass(&x, &c))
        return false;
    give(some, 1);
    return true;
}

START_TEST(a_closed_gate_holds_work_and_nothing_else)
{
    struct vg_call nop = {.call = VG_CALL_NOP}, alloc = {.call = VG_CALL_cuMemAlloc_v2};

    x.keeper.bell_fd = eventfd(0, EFD_NONBLOCK);
    ck_assert(launch_passes());
    grant(VG_GATE_CLOSED, 0, 0, 0, VG_GATE_ASK_WORK);
    ck_assert(vg_gate_pass(&x, &nop));
    ck_assert_uint_eq(rings(x.keeper.bell_fd), 0);
    ck_assert(!launch_passes());
    ck_assert_uint_eq(rings(x.keeper.bell_fd), 1);
    ck_assert(!vg_gate_pass(&x, &alloc));
    ck_assert_uint_eq(rings(x.keeper.bell_fd), 0);
    ck_assert_uint_ne(x.keeper.page->now.waits_since, 0);
    /* A new grant asks again for what is so already. */
    grant(VG_GATE_CLOSED, 0, 0, 0, VG_GATE_ASK_WORK);
    x.keeper.held = true;
    vg_gate_tick(&x, vg_now(), true);
    ck_assert_uint_eq(rings(x.keeper.bell_fd), 1);
    grant(VG_GATE_OPEN, 0, 0, 0, 0);
    ck_assert(launch_passes());
    ck_assert_uint_gt(stats.gate_wait_ns, 0);
    close(x.keeper.bell_fd);
}
END_TEST

START_TEST(a_turn_ends_with_its_budget)
{
    x.keeper.bell_fd = eventfd(0, EFD_NONBLOCK);
    grant(VG_GATE_TURN, 1, 2500000, 100, VG_GATE_ASK_USED);
    for (unsigned i = 0; i < 3; i++)
        ck_assert(launch_passes()); /* a million each, as far as known */
    ck_assert(!launch_passes());
    x.keeper.grant.lead_us = 10000;
    vg_gate_tick(&x, vg_now(), true);
    ck_assert_uint_eq(x.keeper.page->now.used_turn, 1);
    ck_assert_uint_eq(rings(x.keeper.bell_fd), 1);
    grant(VG_GATE_TURN, 2, 1, 100, 0); /* one call in any case */
    ck_assert(launch_passes());
    ck_assert(!launch_passes());
    ck_assert_uint_eq(stats.turns, 2);
    close(x.keeper.bell_fd);
}
END_TEST

START_TEST(a_full_window_lets_one_more_through_in_time)
{
    grant(VG_GATE_TURN, 1, UINT64_MAX, 2, 0);
    ck_assert(launch_passes() && launch_passes() && !launch_passes());
    x.keeper.waits_since = x.meter.moved = vg_now() - 100000000; /* nothing has ended since */
    ck_assert(launch_passes());
    ck_assert(!launch_passes());
}
END_TEST

/* The daemon may have looked before, or after all was over. */
START_TEST(each_beginning_and_each_end_rings)
{
    x.keeper.bell_fd = eventfd(0, EFD_NONBLOCK);
    grant(VG_GATE_TURN, 1, UINT64_MAX, 100, VG_GATE_ASK_WORK | VG_GATE_ASK_IDLE);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(launch_passes() && launch_passes());
        ck_assert_uint_eq(rings(x.keeper.bell_fd), 1);
        vg_gate_tick(&x, vg_now() + 1000000, true);
        look();
        all_pass(some);
        look();
        vg_gate_tick(&x, vg_now() + 2000000, true);
        ck_assert_uint_eq(rings(x.keeper.bell_fd), 1);
    }
    close(x.keeper.bell_fd);
}
END_TEST

START_TEST(what_waits_on_an_idle_gpu_rings)
{
    x.keeper.bell_fd = eventfd(0, EFD_NONBLOCK);
    grant(VG_GATE_TURN, 1, 1, 100, VG_GATE_ASK_WORK | VG_GATE_ASK_USED);
    ck_assert(launch_passes());
    ck_assert_uint_eq(rings(x.keeper.bell_fd), 1);
    vg_gate_tick(&x, vg_now() + 1000000, true);
    look();
    all_pass(some);
    look();
    vg_gate_tick(&x, vg_now() + 2000000, true);
    rings(x.keeper.bell_fd); /* the budget is used up */
    ck_assert(!launch_passes());
    ck_assert_uint_eq(rings(x.keeper.bell_fd), 1);
    close(x.keeper.bell_fd);
}
END_TEST

START_TEST(large_copies_are_given_in_parts)
{
    const uint64_t whole = 20u << 20;
    struct vg_call c = {.call = VG_CALL_COPY_IN, .flags = VG_F_REPLY, .cell = 3,
                        .arg = {0x100000, 0x200000, whole, 0, 7}};
    struct vg_call part = c;

    ck_assert_uint_eq(vg_work_divisible(&c), whole);
    vg_work_part(&part, 4096, 8192, false);
    ck_assert_uint_eq(part.arg[0], c.arg[0] + 4096);
    ck_assert_uint_eq(part.arg[1], c.arg[1] + 4096);
    ck_assert_uint_eq(part.arg[2], 8192);
    ck_assert(part.flags == 0 && part.cell == 0 && part.arg[4] == 0);
    part = c;
    vg_work_part(&part, whole - 10, 10, true);
    ck_assert(part.flags == VG_F_REPLY && part.cell == 3 && part.arg[4] == 7);
}
END_TEST

/* ---- Slices ---- */

static struct {
    unsigned calls;
    uint32_t object;
    uint64_t us;
    bool refuses;
} device;

struct control {
    uint32_t client, object, command, flags;
    uint64_t params;
    uint32_t size, status;
};

static int a_device(int fd, unsigned long request, void *arg)
{
    struct control *c = arg;

    (void)fd;
    if (_IOC_NR(request) != 0x2a)
        return 0;
    device.calls++;
    device.object = c->object;
    memcpy(&device.us, (void *)(uintptr_t)c->params, sizeof(device.us));
    c->status = device.refuses ? 0x56 : 0;
    return 0;
}

static void slices_setup(void)
{
    vg_slice_reset();
    memset(&device, 0, sizeof(device));
    vg_slice_set_device(a_device);
}

/* As the driver's library allocates: both forms of the structure. */
static void allocate(uint32_t object, uint32_t class, uint32_t status, bool rights)
{
    uint32_t a[12] = {1, 2, object, class};

    a[rights ? 10 : 7] = status;
    if (rights)
        ioctl(9, _IOWR('F', 0x2b, uint32_t[12]), a);
    else
        ioctl(9, _IOWR('F', 0x2b, uint32_t[8]), a);
}

START_TEST(slices_are_set_on_the_groups_that_are_there)
{
    uint64_t us = 2048;
    struct control c = {.client = 1, .object = 11, .command = 0xa06c0103, .params = (uintptr_t)&us,
                        .size = 8};
    uint32_t freed[4] = {1, 2, 12};

    ck_assert_int_eq(vg_slice_apply(500), VG_GATE_SLICE_UNKNOWN);
    allocate(11, 0xa06c, 0, false);
    ck_assert_int_eq(vg_slice_apply(0), VG_GATE_SLICE_UNKNOWN);
    ck_assert_uint_eq(device.calls, 0);
    allocate(12, 0xa06c, 0, true);
    allocate(13, 0xa06c, 0x1f, true);
    allocate(14, 0xc36f, 0, false);
    ck_assert_uint_eq(vg_slice_seen().groups, 2);
    ioctl(9, _IOWR('F', 0x2a, struct control), &c);
    device.calls = 0;
    ck_assert_int_eq(vg_slice_apply(500), VG_GATE_SLICE_WORKS);
    ck_assert(device.calls == 2 && device.us == 500);
    vg_slice_apply(500);
    ck_assert_uint_eq(device.calls, 2);
    ioctl(9, _IOWR('F', 0x29, uint32_t[4]), freed);
    ck_assert_uint_eq(vg_slice_seen().groups, 1);
    vg_slice_apply(0);
    ck_assert(device.calls == 3 && device.object == 11 && device.us == 2048);
}
END_TEST

START_TEST(groups_that_copy_are_left_alone)
{
    uint32_t params[5] = {[3] = 9}; /* a copy engine */
    uint64_t address = (uintptr_t)params;
    uint32_t a[12] = {1, 2, 11, 0xa06c};

    memcpy(&a[4], &address, sizeof(address));
    ioctl(9, _IOWR('F', 0x2b, uint32_t[12]), a);
    ck_assert(vg_slice_seen().groups == 0 && vg_slice_seen().others == 1);
    params[3] = 1;
    ioctl(9, _IOWR('F', 0x2b, uint32_t[12]), a);
    ck_assert(vg_slice_seen().groups == 1 && vg_slice_seen().others == 1);
}
END_TEST

START_TEST(wanting_does_not_wait)
{
    allocate(11, 0xa06c, 0, false);
    vg_slice_want(300);
    for (unsigned i = 0; i < 10000 && vg_slice_want(300) == VG_GATE_SLICE_UNKNOWN; i++)
        usleep(1000);
    ck_assert_int_eq(vg_slice_want(300), VG_GATE_SLICE_WORKS);
    ck_assert(vg_slice_seen().settings == 1);
}
END_TEST

START_TEST(a_device_without_slices_is_asked_once)
{
    device.refuses = true;
    allocate(11, 0xa06c, 0, false);
    allocate(12, 0xa06c, 0, false);
    ck_assert_int_eq(vg_slice_apply(500), VG_GATE_SLICE_FAILS);
    ck_assert_int_eq(vg_slice_apply(700), VG_GATE_SLICE_FAILS);
    ck_assert_uint_eq(device.calls, 2);
    ck_assert_uint_eq(vg_slice_seen().status, 0x56);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gate");
    TCase *t = tcase_create("meter"), *l = tcase_create("slices");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, work_counts_from_when_it_is_given_until_it_has_ended);
    tcase_add_test(t, what_runs_side_by_side_counts_once);
    tcase_add_test(t, newer_work_covers_the_legacy_stream);
    tcase_add_test(t, the_legacy_stream_is_marked_before_others_go_on);
    tcase_add_test(t, captures_elsewhere_do_not_keep_the_legacy_stream_busy);
    tcase_add_test(t, a_capture_that_the_legacy_stream_would_break_is_left_alone);
    tcase_add_test(t, a_host_function_is_no_work);
    tcase_add_test(t, a_wait_needs_no_mark);
    tcase_add_test(t, what_the_driver_refused_is_none);
    tcase_add_test(t, streams_and_contexts_end_with_work_in_flight);
    tcase_add_test(t, estimates_learn_what_a_call_took);
    tcase_add_test(t, estimates_leave_out_what_waited);
    tcase_add_test(t, a_closed_gate_holds_work_and_nothing_else);
    tcase_add_test(t, a_turn_ends_with_its_budget);
    tcase_add_test(t, a_full_window_lets_one_more_through_in_time);
    tcase_add_test(t, each_beginning_and_each_end_rings);
    tcase_add_test(t, what_waits_on_an_idle_gpu_rings);
    tcase_add_test(t, large_copies_are_given_in_parts);
    tcase_add_checked_fixture(l, slices_setup, vg_slice_reset);
    tcase_add_test(l, slices_are_set_on_the_groups_that_are_there);
    tcase_add_test(l, groups_that_copy_are_left_alone);
    tcase_add_test(l, wanting_does_not_wait);
    tcase_add_test(l, a_device_without_slices_is_asked_once);
    suite_add_tcase(s, t);
    suite_add_tcase(s, l);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
