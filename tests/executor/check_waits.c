/* SPDX-License-Identifier: MIT */
/*
 * What a wait costs besides looking: when the driver is asked to pass on what kernels printed, and
 * that the guest has its answer before anything else is done, but not before a copy is over. On a
 * driver whose events pass when the test says so.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/copy.h"
#include "mediator/executor/executor.h"

#define EVENTS 64u

static unsigned made, asked, drained;
static CUresult no_events;
static CUstream stream_of[EVENTS];
static bool passed[EVENTS];
static struct vg_exec x;
static struct vg_stats stats;
static uint32_t seq;

static const CUcontext ctx = (CUcontext)(uintptr_t)0x10;
static const CUstream some = (CUstream)(uintptr_t)0x1000, other = (CUstream)(uintptr_t)0x2000;

static CUresult event_create(CUevent *event, unsigned flags)
{
    (void)flags;
    ck_assert_uint_lt(made, EVENTS - 1);
    *event = (CUevent)(uintptr_t)++made;
    return CUDA_SUCCESS;
}

static CUresult event_record(CUevent event, CUstream stream)
{
    if (no_events)
        return no_events;
    stream_of[(uintptr_t)event] = stream;
    passed[(uintptr_t)event] = false;
    return CUDA_SUCCESS;
}

static CUresult event_query(CUevent event)
{
    return passed[(uintptr_t)event] ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

static CUresult event_synchronize(CUevent event)
{
    ck_assert(passed[(uintptr_t)event]);
    asked++;
    return CUDA_SUCCESS;
}

static CUresult stream_query(CUstream stream)
{
    (void)stream;
    return CUDA_ERROR_NOT_READY;
}

/* With it goes the memory that copies are carried through (bounce.h). */
static struct vg_bounce_chunk chunk;
static uint8_t through[16], landed[16];

static CUresult ctx_destroy(CUcontext c)
{
    ck_assert_ptr_eq(c, ctx);
    memset(through, 0xdd, sizeof(through));
    return CUDA_SUCCESS;
}

static CUresult stream_synchronize(CUstream stream)
{
    ck_assert_ptr_eq(stream, some);
    drained++;
    return CUDA_SUCCESS;
}

static void all_pass(CUstream stream)
{
    for (unsigned i = 0; i < EVENTS; i++)
        passed[i] = passed[i] || stream_of[i] == stream;
}

static void setup(void)
{
    made = asked = drained = 0;
    no_events = CUDA_SUCCESS;
    memset(passed, 0, sizeof(passed));
    memset(stream_of, 0, sizeof(stream_of));
    memset(&stats, 0, sizeof(stats));
    ck_assert_int_eq(vg_exec_init(&x), 0);
    x.guest.slot = calloc(1, VG_SLOT_STRIDE);
    ck_assert_ptr_nonnull(x.guest.slot);
    x.stats = &stats;
    x.ctx = x.home = ctx;
    x.cuda.cuEventCreate = event_create;
    x.cuda.cuEventRecord = event_record;
    x.cuda.cuEventQuery = event_query;
    x.cuda.cuEventSynchronize = event_synchronize;
    x.cuda.cuStreamSynchronize = stream_synchronize;
    x.cuda.cuStreamQuery = stream_query;
    x.cuda.cuCtxDestroy_v2 = ctx_destroy;
    vg_own_add(&x, VG_OBJ_CUcontext, (uintptr_t)ctx, 0, 0);
    vg_own_add(&x, VG_OBJ_CUstream, (uintptr_t)some, (uintptr_t)ctx, VG_STREAM_NON_BLOCKING);
    vg_own_add(&x, VG_OBJ_CUstream, (uintptr_t)other, (uintptr_t)ctx, VG_STREAM_NON_BLOCKING);
}

static void teardown(void)
{
    free(x.guest.slot);
    vg_exec_fini(&x);
}

/* As dispatch does it. */
static void launch(CUstream stream)
{
    stats.call[VG_CALL_LAUNCH]++;
    vg_meter_begin(&x, 1, 1000000);
    ck_assert_int_eq(vg_own_stream(&x, stream), CUDA_SUCCESS);
    vg_meter_end(&x, true);
}

static bool is_answered(void)
{
    return vg_slot_cell(x.guest.slot, 0)->done == seq;
}

/* A wait for the stream, which comes to it at once. How often the driver was asked meanwhile. */
static unsigned wait_for(CUstream stream)
{
    struct vg_req r = {.call = {.flags = VG_F_REPLY, .seq = ++seq}};
    unsigned before = asked;

    ck_assert_int_eq(vg_wait_stream(&x, &r, stream), CUDA_SUCCESS);
    ck_assert(r.later);
    ck_assert_uint_eq(vg_waits_poll(&x), 0);
    ck_assert(!is_answered());
    all_pass(stream);
    ck_assert_uint_eq(vg_waits_poll(&x), 1);
    ck_assert(is_answered());
    return asked - before;
}

START_TEST(waits_behind_kernels_ask_for_prints)
{
    ck_assert_uint_eq(wait_for(some), 0);
    launch(some);
    launch(some);
    ck_assert_uint_eq(wait_for(some), 1);
    ck_assert_uint_eq(wait_for(some), 0);
    ck_assert_uint_eq(wait_for(other), 0);
    stats.call[VG_CALL_COPY_OUT]++;
    ck_assert_uint_eq(wait_for(some), 0);
    launch(other);
    ck_assert_uint_eq(wait_for(other), 1);
    ck_assert_uint_eq(wait_for(some), 0);
}
END_TEST

/* Whatever a kernel prints that still runs, a later wait has to ask for. */
START_TEST(a_kernel_that_runs_may_print_yet)
{
    launch(some);
    launch(other);
    ck_assert_uint_eq(wait_for(some), 1);
    ck_assert_uint_eq(wait_for(some), 1);
    ck_assert_uint_eq(wait_for(other), 1);
    ck_assert_uint_eq(wait_for(other), 0);
}
END_TEST

START_TEST(who_does_not_measure_always_asks)
{
    x.own_orders.grant.seq = 2;
    x.own_orders.grant.unmeasured = 1;
    vg_gate_tick(&x, vg_now(), true);
    launch(some);
    ck_assert_uint_eq(wait_for(some), 1);
    ck_assert_uint_eq(wait_for(some), 1);
    x.own_orders.grant.seq = 4;
    x.own_orders.grant.unmeasured = 0;
    vg_gate_tick(&x, vg_now(), true);
    ck_assert_uint_eq(wait_for(some), 1);
}
END_TEST

/* The meter has heard of the end, too, when the round is over. */
START_TEST(what_was_waited_for_runs_no_more)
{
    launch(some);
    ck_assert_uint_eq(x.meter.running, 1);
    wait_for(some);
    ck_assert_uint_eq(x.meter.running, 0);
    ck_assert_uint_eq(x.meter.done, 1);
    ck_assert_uint_eq(vg_own_stream_touched(&x, some), 0);
    ck_assert_uint_eq(x.waits.count, 0);
    ck_assert_uint_eq(x.waits.pool.count, made);
}
END_TEST

/* The guest reads the next number into the same place as soon as it has the answer. */
START_TEST(a_copy_that_cannot_be_watched_is_over_before_its_answer)
{
    struct vg_req r = {.call = {.flags = VG_F_REPLY, .seq = ++seq}};

    no_events = CUDA_ERROR_OUT_OF_MEMORY;
    ck_assert_int_eq(vg_copy_answer(&x, &r, CUDA_SUCCESS, some), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert(!r.later);
    ck_assert_uint_eq(drained, 1);
    no_events = CUDA_SUCCESS;
    ck_assert_int_eq(vg_copy_answer(&x, &r, CUDA_SUCCESS, some), CUDA_SUCCESS);
    ck_assert(r.later);
    ck_assert_uint_eq(drained, 1);
    all_pass(some);
    ck_assert_uint_eq(vg_waits_poll(&x), 1);
}
END_TEST

/* A thread of the guest ends the context while another waits in it, and both come to it at once. */
START_TEST(what_is_over_ends_with_its_context)
{
    const struct vg_cell *cell = vg_slot_cell(x.guest.slot, 0);
    struct vg_req ends = {.payload = x.payload}, r = {.call = {.flags = VG_F_REPLY, .seq = ++seq}};

    ends.call = (struct vg_call){.call = VG_CALL_cuCtxDestroy_v2, .flags = VG_F_REPLY, .cell = 1,
                                 .seq = ++seq, .arg = {(uintptr_t)ctx}};
    chunk = (struct vg_bounce_chunk){.at = through, .dst = landed, .bytes = sizeof(landed),
                                     .lent = true};
    memset(landed, 0, sizeof(landed));
    ck_assert(vg_dispatch(&x, &ends));
    ck_assert(ends.later);
    ck_assert_int_eq(vg_wait_chunk(&x, &r, some, &chunk), CUDA_SUCCESS);
    ck_assert(r.later);
    all_pass(CU_STREAM_LEGACY);
    all_pass(some);
    ck_assert_uint_ge(vg_waits_poll(&x), 1);
    ck_assert_uint_eq(vg_slot_cell(x.guest.slot, 1)->done, ends.call.seq);
    ck_assert_int_eq(vg_slot_cell(x.guest.slot, 1)->result.result, CUDA_SUCCESS);
    ck_assert_uint_eq(cell->done, r.call.seq);
    ck_assert_int_eq(cell->result.result, CUDA_ERROR_CONTEXT_IS_DESTROYED);
    ck_assert_uint_eq(landed[0], 0);
    ck_assert(!chunk.lent);
    ck_assert_uint_eq(x.waits.count, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("waits");
    TCase *t = tcase_create("all");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, waits_behind_kernels_ask_for_prints);
    tcase_add_test(t, a_kernel_that_runs_may_print_yet);
    tcase_add_test(t, who_does_not_measure_always_asks);
    tcase_add_test(t, what_was_waited_for_runs_no_more);
    tcase_add_test(t, a_copy_that_cannot_be_watched_is_over_before_its_answer);
    tcase_add_test(t, what_is_over_ends_with_its_context);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
