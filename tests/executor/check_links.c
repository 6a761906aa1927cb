/* SPDX-License-Identifier: MIT */
/*
 * The linker, on a driver of the test's own that does with options what CUDA allows: it keeps the
 * arrays that it is given as long as the state lives, and writes the messages and how long they
 * are again in every call, the last time when the state is destroyed.
 */
#include <check.h>
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mediator/executor/serve.h"
#include "vg_atomic.h"
#include "vg_wire.h"

#define STATE 0x77u
#define KEPT  8u

static const char ptx[] = ".version 8.0 .target sm_90";

struct kept {
    unsigned n;
    const CUjit_option *option;
    void **value;
    CUjit_option was[VG_JIT_OPTIONS_MAX];
    uintptr_t had[VG_JIT_OPTIONS_MAX];
};

static struct vg_exec x;
static struct vg_stats stats;
static struct vg_slot *slot;
static uint32_t seq;
static uint32_t held;   /* 1: the driver stays in the end of a state */
static unsigned looks;  /* at the event */
static struct {
    struct kept kept[KEPT];
    unsigned count, created, added, destroyed;
    bool broken;    /* it completes nothing */
    char image[64];
} driver;

/* ---- The driver ---- */

/* Where there is nothing it is not told where, as by an application that gives no options. */
static void keep(unsigned n, const CUjit_option *option, void **value)
{
    struct kept *k = &driver.kept[driver.count];

    if (n == 0) {
        ck_assert_ptr_null(option);
        ck_assert_ptr_null(value);
        return;
    }
    ck_assert_uint_lt(driver.count, KEPT);
    ck_assert_uint_le(n, VG_JIT_OPTIONS_MAX);
    *k = (struct kept){.n = n, .option = option, .value = value};
    memcpy(k->was, option, n * sizeof(*option));
    for (unsigned i = 0; i < n; i++)
        k->had[i] = (uintptr_t)value[i];
    driver.count++;
}

/* All of the room for messages, and behind the last byte there is a NUL of the executor's. */
static void write_one(const struct kept *k, unsigned i)
{
    char *log = k->value[i];

    switch (k->option[i]) {
    case CU_JIT_INFO_LOG_BUFFER:
    case CU_JIT_ERROR_LOG_BUFFER:
        memset(log, 'm', k->had[i + 1]);
        ck_assert_int_eq(log[k->had[i + 1]], '\0');
        break;
    case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
    case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
        k->value[i] = (void *)k->had[i];
        break;
    default:
        ck_assert_uint_eq((uintptr_t)k->value[i], k->had[i]);
    }
}

static void write_back(CUlinkState state)
{
    ck_assert_uint_eq((uintptr_t)state, STATE);
    for (unsigned a = 0; a < driver.count; a++)
        for (unsigned i = 0; i < driver.kept[a].n; i++) {
            ck_assert_msg(driver.kept[a].option[i] == driver.kept[a].was[i],
                          "option %u of array %u of %u is not there any more", i, a, driver.count);
            write_one(&driver.kept[a], i);
        }
}

static CUresult link_create(unsigned n, CUjit_option *option, void **value, CUlinkState *state)
{
    driver.created++;
    driver.count = 0;
    keep(n, option, value);
    *state = (CUlinkState)(uintptr_t)STATE;
    return CUDA_SUCCESS;
}

static CUresult link_add(CUlinkState state, CUjitInputType type, void *data, size_t size,
                         const char *name, unsigned n, CUjit_option *option, void **value)
{
    (void)name;
    ck_assert_int_eq(type, CU_JIT_INPUT_PTX);
    ck_assert(size == sizeof(ptx) && memcmp(data, ptx, size) == 0);
    keep(n, option, value);
    write_back(state);
    driver.added++;
    return CUDA_SUCCESS;
}

static CUresult link_complete(CUlinkState state, void **image, size_t *size)
{
    write_back(state);
    if (driver.broken)
        return CUDA_ERROR_INVALID_VALUE;
    *image = driver.image;
    *size = sizeof(driver.image);
    return CUDA_SUCCESS;
}

static CUresult link_destroy(CUlinkState state)
{
    while (vg_load_acquire(&held))
        sched_yield();
    write_back(state);
    driver.destroyed++;
    driver.count = 0;
    return CUDA_SUCCESS;
}

/* The executor's thread beside rings when it has done something. */
static void await_rings(unsigned count)
{
    uint64_t rings;

    for (uint64_t heard = 0; heard < count; heard += rings)
        ck_assert_int_eq(read(VG_FD_DOORBELL, &rings, sizeof(rings)), sizeof(rings));
}

static CUresult event_create(CUevent *event, unsigned flags)
{
    (void)flags;
    *event = (CUevent)(uintptr_t)0x99;
    return CUDA_SUCCESS;
}

static CUresult event_record(CUevent event, CUstream stream)
{
    (void)event, (void)stream;
    return CUDA_SUCCESS;
}

/* While it is looked at for the second time, the end of one state and the next one are done. */
static CUresult event_query(CUevent event)
{
    (void)event;
    if (looks++ == 0)
        return CUDA_ERROR_NOT_READY;
    if (looks == 2) {
        vg_store_release(&held, 0);
        await_rings(2);
    }
    return CUDA_SUCCESS;
}

/* ---- The executor ---- */

static void setup(void)
{
    mallopt(M_PERTURB, 0x5a);   /* what has been freed looks like that */
    memset(&driver, 0, sizeof(driver));
    memset(&stats, 0, sizeof(stats));
    slot = calloc(1, VG_SLOT_STRIDE);
    ck_assert(slot && vg_exec_init(&x) == 0);
    x.stats = &stats;
    x.alone = true;
    x.guest.slot = slot;
    x.cuda.cuLinkCreate_v2 = link_create;
    x.cuda.cuLinkAddData_v2 = link_add;
    x.cuda.cuLinkComplete = link_complete;
    x.cuda.cuLinkDestroy = link_destroy;
    x.cuda.cuEventCreate = event_create;
    x.cuda.cuEventRecord = event_record;
    x.cuda.cuEventQuery = event_query;
    x.ctx = x.home = (CUcontext)(uintptr_t)0x10;
    vg_own_add(&x, VG_OBJ_CUcontext, 0x10, 0, 0);
}

static void teardown(void)
{
    vg_exec_fini(&x);
    free(slot);
}

static void send(struct vg_req *r, uint32_t call)
{
    r->call.call = (uint16_t)call;
    r->call.seq = ++seq;
    r->call.flags = VG_F_REPLY;
    ck_assert_msg(vg_serve_record(&x, r), "%s", r->breach);
}

static CUresult answer(const struct vg_req *r)
{
    const struct vg_cell *cell = vg_slot_cell(slot, r->call.cell);

    while (cell->done != r->call.seq)
        vg_waits_poll(&x);
    return (CUresult)cell->result.result;
}

static CUresult ask(struct vg_req *r, uint32_t call)
{
    send(r, call);
    return answer(r);
}

/* So many numbers, and one option that is none and stays here. */
static size_t put_options(size_t at, unsigned count)
{
    static const CUjit_option option[] = {CU_JIT_MAX_REGISTERS, CU_JIT_OPTIMIZATION_LEVEL,
                                          CU_JIT_GENERATE_LINE_INFO};
    struct vg_jit_option o = {.option = CU_JIT_WALL_TIME};

    for (unsigned i = 0; i < count; i++, at += sizeof(o)) {
        if (i > 0)
            o = (struct vg_jit_option){.option = option[i - 1], .value = i};
        memcpy(x.payload + at, &o, sizeof(o));
    }
    return at;
}

static void create(unsigned options)
{
    struct vg_req r = {.call.arg = {options}};

    r.call.payload_len = (uint32_t)put_options(0, options);
    ck_assert_int_eq(ask(&r, VG_CALL_cuLinkCreate_v2), CUDA_SUCCESS);
    ck_assert_uint_eq(vg_slot_cell(slot, 0)->result.val[0], STATE);
}

static CUresult add_to(uint64_t state, unsigned options)
{
    struct vg_req r = {.call.arg = {VG_IMAGE_LINK_INPUT, 0, sizeof(ptx), options, state,
                                    CU_JIT_INPUT_PTX}};

    memset(x.payload, 0, sizeof(ptx) + 8);
    memcpy(x.payload, ptx, sizeof(ptx));
    r.call.payload_len = (uint32_t)put_options((sizeof(ptx) + 7) & ~(size_t)7, options);
    return ask(&r, VG_CALL_IMAGE_LOAD);
}

static CUresult about_state(uint32_t call)
{
    struct vg_req r = {.call.arg = {STATE}};

    return ask(&r, call);
}

static void end(uint32_t call)
{
    ck_assert_int_eq(about_state(call), CUDA_SUCCESS);
}

START_TEST(options_stay_as_long_as_the_state)
{
    for (unsigned round = 1; round <= 3; round++) {
        create(3);
        ck_assert_int_eq(add_to(STATE, 3), CUDA_SUCCESS);
        ck_assert_int_eq(add_to(STATE, 0), CUDA_SUCCESS);
        ck_assert_int_eq(add_to(STATE, 4), CUDA_SUCCESS);
        ck_assert_uint_eq(driver.count, 3);
        ck_assert_uint_eq(driver.kept[1].n, 2);
        ck_assert_uint_eq(driver.kept[2].n, 3);
        end(VG_CALL_cuLinkComplete);
        end(VG_CALL_cuLinkDestroy);
        ck_assert_uint_eq(driver.destroyed, round);
    }
    ck_assert_uint_eq(driver.created, 3);
    ck_assert_uint_eq(driver.added, 9);
}
END_TEST

/* WALL_TIME stays here: then there is nothing to tell the driver. */
START_TEST(no_options_are_no_arrays)
{
    create(0);
    ck_assert_int_eq(add_to(STATE, 1), CUDA_SUCCESS);
    ck_assert_int_eq(add_to(STATE, 0), CUDA_SUCCESS);
    ck_assert_uint_eq(driver.count, 1);
    ck_assert_int_eq(add_to(0x55, 3), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_uint_eq(driver.added, 2);
    end(VG_CALL_cuLinkDestroy);
}
END_TEST

/* The end of the context is the end of its states; the driver is not asked about them again. */
START_TEST(a_state_ends_with_its_context)
{
    create(2);
    ck_assert_int_eq(add_to(STATE, 2), CUDA_SUCCESS);
    vg_own_remove(&x, VG_OBJ_CUcontext, 0x10);
    ck_assert_int_eq(add_to(STATE, 2), CUDA_ERROR_INVALID_HANDLE);
    create(2);
    end(VG_CALL_cuLinkDestroy);
    ck_assert_uint_eq(driver.destroyed, 1);
}
END_TEST

START_TEST(what_was_made_is_read_as_long_as_it_is_there)
{
    create(0);
    ck_assert_int_eq(add_to(STATE, 0), CUDA_SUCCESS);
    ck_assert_int_eq(about_state(VG_CALL_LINK_READ), CUDA_ERROR_INVALID_VALUE);
    end(VG_CALL_cuLinkComplete);
    end(VG_CALL_LINK_READ);
    driver.broken = true;
    ck_assert_int_eq(about_state(VG_CALL_cuLinkComplete), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(about_state(VG_CALL_LINK_READ), CUDA_ERROR_INVALID_VALUE);
    end(VG_CALL_cuLinkDestroy);
    ck_assert_int_eq(about_state(VG_CALL_LINK_READ), CUDA_ERROR_INVALID_HANDLE);
}
END_TEST

/* Two threads of the guest: the next state gets the handle of the one that has ended. */
START_TEST(a_state_is_over_before_the_next_one_is_there)
{
    struct vg_req end_it = {.call = {.cell = 1, .arg = {STATE}}}, next = {.call.cell = 2};
    struct vg_req waits = {.call = {.cell = 3, .flags = VG_F_REPLY, .seq = UINT32_MAX}};

    x.alone = false;
    create(0);
    await_rings(1);
    vg_store_release(&held, 1);
    send(&end_it, VG_CALL_cuLinkDestroy);
    ck_assert_int_eq(vg_wait_stream(&x, &waits, (CUstream)(uintptr_t)0x1000), CUDA_SUCCESS);
    ck_assert(waits.later);
    send(&next, VG_CALL_cuLinkCreate_v2);
    ck_assert_int_eq(answer(&end_it), CUDA_SUCCESS);
    ck_assert_int_eq(answer(&next), CUDA_SUCCESS);
    ck_assert_uint_eq(vg_slot_cell(slot, 2)->result.val[0], STATE);
    ck_assert_uint_eq(driver.destroyed, 1);
    ck_assert_int_eq(add_to(STATE, 0), CUDA_SUCCESS);
    end(VG_CALL_cuLinkDestroy);
    ck_assert_uint_eq(driver.destroyed, 2);
}
END_TEST

/* The doorbell comes before anything else takes its number. */
int main(void)
{
    int bell = eventfd(0, 0);

    if (bell < 0 || dup2(bell, VG_FD_DOORBELL) < 0)
        return 1;
    Suite *s = suite_create("links");
    TCase *c = tcase_create("options");
    SRunner *r = srunner_create(s);

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, options_stay_as_long_as_the_state);
    tcase_add_test(c, no_options_are_no_arrays);
    tcase_add_test(c, a_state_ends_with_its_context);
    tcase_add_test(c, what_was_made_is_read_as_long_as_it_is_there);
    tcase_add_test(c, a_state_is_over_before_the_next_one_is_there);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
