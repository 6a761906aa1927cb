/* SPDX-License-Identifier: MIT */
/*
 * Parts of the region on a driver that takes some and refuses others, and that has the rule of
 * every driver: one copy or fill does not leave one registration.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mediator/executor/executor.h"
#include "mediator/executor/node.h"

#define MIB   (1ull << 20)
#define SIZE  (256 * MIB) /* parts begin at 0, 16, 32, 64, 128 MiB */
#define PARTS 5u
#define REGISTERED_MAX 32u

static struct vg_exec x;
static struct vg_stats stats;
static uint8_t *base;

static const CUcontext ctx = (CUcontext)(uintptr_t)0x10, later_ctx = (CUcontext)(uintptr_t)0x20;
static const CUarray array = (CUarray)(uintptr_t)0x30;

/* ---- The driver ---- */

static struct {
    uintptr_t base, end;
} registered[REGISTERED_MAX];
static unsigned count, asked;
static uintptr_t bad; /* what holds this byte is refused */

static CUresult host_register(void *p, size_t n, unsigned flags)
{
    uintptr_t from = (uintptr_t)p, to = from + n;

    (void)flags;
    asked++;
    if (bad >= from && bad < to)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (unsigned i = 0; i < count; i++)
        if (from < registered[i].end && to > registered[i].base)
            return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    ck_assert_uint_lt(count, REGISTERED_MAX);
    registered[count].base = from;
    registered[count++].end = to;
    return CUDA_SUCCESS;
}

static CUresult within_one(uint64_t at, uint64_t bytes)
{
    for (unsigned i = 0; i < count; i++)
        if (at < registered[i].end && at + bytes > registered[i].base &&
            (at < registered[i].base || at + bytes > registered[i].end))
            return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

static CUresult fill(uint64_t dst, uint64_t pitch, const void *value, unsigned element,
                     uint64_t width, uint64_t height)
{
    uint64_t bytes = height > 1 ? pitch * height : width * element;

    if (dst % element || (height > 1 && pitch < width * element) || within_one(dst, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    for (uint64_t y = 0; y < height; y++)
        for (uint64_t i = 0; i < width; i++)
            memcpy((uint8_t *)(uintptr_t)(dst + y * pitch) + i * element, value, element);
    return CUDA_SUCCESS;
}

static CUresult fill_words(CUdeviceptr dst, unsigned value, size_t n, CUstream stream)
{
    (void)stream;
    return fill(dst, 0, &value, 4, n, 1);
}

static CUresult fill_rows(CUdeviceptr dst, size_t pitch, unsigned short value, size_t width,
                          size_t height, CUstream stream)
{
    (void)stream;
    return fill(dst, pitch, &value, 2, width, height);
}

/* Bytes that went into the array; a pitch of its own would mean nothing. */
static uint64_t arrived;

static CUresult copy_3d(const CUDA_MEMCPY3D *c, CUstream stream)
{
    (void)stream;
    arrived += c->WidthInBytes * c->Height * c->Depth;
    return within_one((uintptr_t)c->srcHost + c->srcXInBytes + c->srcY * c->srcPitch,
                      c->Height > 1 ? c->srcPitch * c->Height : c->WidthInBytes);
}

static CUresult set_current(CUcontext c)
{
    (void)c;
    return CUDA_SUCCESS;
}

static bool slow, under_way; /* slow: what was recorded since does not pass */

static CUresult record(CUevent event, CUstream stream)
{
    (void)event, (void)stream;
    under_way = slow;
    return CUDA_SUCCESS;
}

static CUresult query(CUevent event)
{
    (void)event;
    return under_way ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

static CUresult copy_out(void *dst, CUdeviceptr src, size_t n, CUstream stream)
{
    (void)src, (void)stream;
    memset(dst, 0x77, n);
    return CUDA_SUCCESS;
}

static CUresult stream_create(CUstream *stream, unsigned flags)
{
    (void)flags;
    *stream = (CUstream)(uintptr_t)0x1000;
    return CUDA_SUCCESS;
}

static CUresult memops(CUstream stream, unsigned n, CUstreamBatchMemOpParams *op, unsigned flags)
{
    (void)stream, (void)n, (void)op, (void)flags;
    return CUDA_SUCCESS;
}

static CUresult create(CUevent *event, unsigned flags)
{
    static uintptr_t n = 0x100;

    (void)flags;
    *event = (CUevent)n++;
    return CUDA_SUCCESS;
}

static void setup(void)
{
    ck_assert_int_eq(vg_exec_init(&x), 0);
    memset(&stats, 0, sizeof(stats));
    x.stats = &stats;
    x.alone = true;
    base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert(base != MAP_FAILED);
    ck_assert(vg_region_layout_init(&x.guest.layout, SIZE, 1));
    x.guest.base = base;
    x.guest.slot = vg_region_slot(base, &x.guest.layout, 0);
    x.guest.data = (uintptr_t)base + x.guest.layout.data_off;
    x.guest.end = (uintptr_t)base + SIZE;
    vg_callbacks_init(&x.callbacks, x.guest.slot);
    x.cuda.cuMemHostRegister_v2 = host_register;
    x.cuda.cuMemsetD32Async = fill_words;
    x.cuda.cuMemsetD2D16Async = fill_rows;
    x.cuda.cuMemcpy3DAsync_v2 = copy_3d;
    x.cuda.cuMemcpyDtoHAsync_v2 = copy_out;
    x.cuda.cuStreamCreate = stream_create;
    x.cuda.cuStreamBatchMemOp_v2 = memops;
    x.cuda.cuCtxSetCurrent = set_current;
    x.cuda.cuEventCreate = create;
    x.cuda.cuEventRecord = record;
    x.cuda.cuEventQuery = x.cuda.cuEventSynchronize = query;
    x.ctx = x.home = ctx;
    vg_own_add(&x, VG_OBJ_CUcontext, (uintptr_t)ctx, 0, 0);
    vg_own_add(&x, VG_OBJ_CUarray, (uintptr_t)array, (uintptr_t)ctx, 0);
    count = asked = 0;
    arrived = 0;
    bad = 0;
    slow = under_way = false;
}

static void teardown(void)
{
    vg_exec_fini(&x);
    munmap(base, SIZE);
}

/* ---- The guest ---- */

static CUresult ask(uint32_t call, const uint64_t *arg, const void *payload, uint32_t bytes)
{
    struct vg_req r = {.call = {.call = call, .seq = 1, .flags = VG_F_REPLY, .payload_len = bytes},
                       .payload = payload};
    struct vg_cell *cell = vg_slot_cell(x.guest.slot, 0);

    memcpy(r.call.arg, arg, sizeof(r.call.arg));
    cell->done = 0;
    ck_assert_msg(vg_dispatch(&x, &r), "breach: %s", r.breach);
    for (unsigned i = 0; !cell->done && i < 1000; i++)
        vg_waits_poll(&x);
    ck_assert_uint_eq(cell->done, 1);
    return (CUresult)cell->result.result;
}

static bool pin(unsigned part)
{
    const uint64_t arg[8] = {vg_region_part_begin(part) + MIB, VG_EXTENT_SIZE};

    ck_assert_int_eq(ask(VG_CALL_PIN, arg, NULL, 0), CUDA_SUCCESS);
    return vg_slot_cell(x.guest.slot, 0)->result.val[0] != 0;
}

static uint64_t inside(unsigned part)
{
    return (uintptr_t)base + vg_region_part_begin(part) + MIB;
}

static bool goes_round(unsigned part)
{
    return vg_bounce_applies(&x, (const void *)(uintptr_t)inside(part), 4096, NULL);
}

/* ---- Registration ---- */

START_TEST(what_is_refused_of_all_is_one_part)
{
    vg_pins_init(&x.pins, false);
    bad = inside(2);
    vg_pins_begin(&x, ctx);
    for (unsigned i = 0; i < PARTS; i++) {
        ck_assert_int_eq(vg_pins_is_seen(&x, inside(i), 4096), i != 2);
        ck_assert_int_eq(goes_round(i), i == 2);
    }
    uint64_t seam = (uintptr_t)base + vg_region_part_begin(2) - 2048;
    ck_assert(vg_bounce_applies(&x, (const void *)(uintptr_t)seam, 4096, NULL));
    ck_assert(x.registrar == ctx);
}
END_TEST

START_TEST(a_refused_part_is_nobody_elses)
{
    vg_pins_init(&x.pins, true);
    bad = inside(2);
    vg_pins_begin(&x, ctx);
    ck_assert(pin(1) && !pin(2) && pin(3) && pin(4) && pin(0));
    ck_assert(goes_round(2) && !goes_round(3) && !goes_round(1));
    /* Not asked again while the context lives, and neither by others' end. */
    unsigned before = asked;
    ck_assert(!pin(2));
    vg_pins_end(&x, later_ctx);
    ck_assert(!pin(2) && goes_round(2));
    ck_assert_uint_eq(asked, before);
    /* The next context may have more luck. */
    vg_pins_end(&x, ctx);
    bad = 0;
    count = 0;
    vg_pins_begin(&x, later_ctx);
    ck_assert(pin(2) && !goes_round(2));
    for (unsigned i = 0; i < PARTS; i++)
        ck_assert(vg_pins_is_seen(&x, inside(i), 4096));
}
END_TEST

START_TEST(where_nothing_is_seen_all_goes_round)
{
    vg_pins_init(&x.pins, true);
    x.opt.unregistered = true;
    vg_pins_begin(&x, ctx);
    ck_assert(!x.registrar && !pin(1) && goes_round(0) && goes_round(1) && goes_round(4));
    ck_assert_uint_eq(asked, 0);
}
END_TEST

/* A green context may end while something waits for a copy in it; the copy may end later. */
START_TEST(a_chunk_comes_back_from_a_context_that_ended)
{
    struct vg_req r = {.call = {.call = VG_CALL_COPY_OUT, .seq = 7, .flags = VG_F_REPLY}};
    uint8_t *dst = (uint8_t *)(uintptr_t)inside(1);
    CUresult rc = CUDA_ERROR_UNKNOWN;

    vg_pins_init(&x.pins, true);
    x.ctx = later_ctx;
    slow = true;
    for (unsigned i = 0; i < 3 * VG_BOUNCE_CHUNKS; i++) {
        under_way = r.later = false;
        ck_assert(vg_bounce_answer(&x, &r, dst, 0x1000, 4096, NULL, &rc));
        ck_assert_int_eq(rc, CUDA_SUCCESS);
        ck_assert(r.later && x.bounce.lane[0]->chunk[i % VG_BOUNCE_CHUNKS].lent);
        vg_waits_drop_context(&x, later_ctx);
        ck_assert(!x.bounce.lane[0]->chunk[i % VG_BOUNCE_CHUNKS].lent);
        ck_assert_int_eq(vg_slot_cell(x.guest.slot, 0)->result.result,
                         CUDA_ERROR_CONTEXT_IS_DESTROYED);
    }
    /* It is not used again before the copy has passed. */
    ck_assert(!vg_bounce_answer(&x, &r, dst, 0x1000, 4096, NULL, &rc));
    ck_assert_uint_eq(dst[0], 0);
    vg_bounce_end(&x, ctx);
    ck_assert_uint_eq(x.bounce.count, 0);
}
END_TEST

/* ---- Seams ---- */

/* All parts, each a registration of its own. */
static void see_all(void)
{
    vg_pins_init(&x.pins, true);
    vg_pins_begin(&x, ctx);
    for (unsigned i = 1; i < PARTS; i++)
        ck_assert(pin(i));
}

START_TEST(a_fill_is_divided_at_seams)
{
    const uint64_t from = (uintptr_t)base + 16 * MIB - 4000, bytes = 16 * MIB + 8000;
    uint64_t others = 0;
    const uint64_t arg[8] = {from, 0x01020304, bytes / 4};

    see_all();
    ck_assert_int_eq(ask(VG_CALL_cuMemsetD32Async, arg, NULL, 0), CUDA_SUCCESS);
    for (uint64_t i = 0; i < bytes; i += 4)
        others += *(uint32_t *)(uintptr_t)(from + i) != 0x01020304;
    ck_assert_uint_eq(others, 0);
    ck_assert_uint_eq(*(uint32_t *)(uintptr_t)(from - 4), 0);
    ck_assert_uint_eq(*(uint32_t *)(uintptr_t)(from + bytes), 0);
}
END_TEST

/* The seam in a row, between rows, in a gap; and what the driver refuses anyway. */
START_TEST(a_pitched_fill_is_divided_at_seams)
{
    const uint64_t seam = (uintptr_t)base + 16 * MIB;

    see_all();
    for (uint64_t shift = 0; shift < 1200; shift += 100) {
        const uint64_t from = seam - 4000 - shift, pitch = 1000, width = 300, height = 9;
        const uint64_t arg[8] = {from, pitch, 0x1234, width, height};
        memset((void *)(uintptr_t)(from - 8), 0, pitch * height + 16);
        ck_assert_int_eq(ask(VG_CALL_cuMemsetD2D16Async, arg, NULL, 0), CUDA_SUCCESS);
        uint64_t others = 0;
        for (uint64_t i = 0; i < pitch * height; i += 2)
            others += *(uint16_t *)(uintptr_t)(from + i) != (i % pitch < width * 2 ? 0x1234 : 0);
        ck_assert_uint_eq(others, 0);
        ck_assert_uint_eq(*(uint16_t *)(uintptr_t)(from - 2), 0);
    }
    const uint64_t narrow[8] = {seam - 1000, 100, 0x1234, 300, 9};
    ck_assert_int_eq(ask(VG_CALL_cuMemsetD2D16Async, narrow, NULL, 0), CUDA_ERROR_INVALID_VALUE);
    const uint64_t odd[8] = {seam - 1001, 1000, 0x1234, 300, 9};
    ck_assert_int_eq(ask(VG_CALL_cuMemsetD2D16Async, odd, NULL, 0), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

/* An array has no pitch: what stands there is not looked at. */
START_TEST(an_arrays_pitch_means_nothing)
{
    const uint64_t seam = (uintptr_t)base + 16 * MIB;
    CUDA_MEMCPY3D c = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                       .srcHost = (const void *)(uintptr_t)(seam - 1000), .srcPitch = 300,
                       .srcHeight = 10, .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = array,
                       .dstPitch = 7, .dstHeight = 1, .WidthInBytes = 256, .Height = 10,
                       .Depth = 1};
    const uint64_t arg[8] = {0};

    see_all();
    ck_assert_int_eq(ask(VG_CALL_COPY_3D, arg, &c, sizeof(c)), CUDA_SUCCESS);
    ck_assert_uint_eq(arrived, 256 * 10);
    c.dstPitch = c.dstHeight = SIZE_MAX;
    ck_assert_int_eq(vg_copy_check(&x, &c), CUDA_SUCCESS);
    c.srcPitch = 100; /* rows that overlap are another matter */
    ck_assert_int_eq(ask(VG_CALL_COPY_3D, arg, &c, sizeof(c)), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pins");
    TCase *t = tcase_create("parts");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_is_refused_of_all_is_one_part);
    tcase_add_test(t, a_refused_part_is_nobody_elses);
    tcase_add_test(t, where_nothing_is_seen_all_goes_round);
    tcase_add_test(t, a_chunk_comes_back_from_a_context_that_ended);
    tcase_add_test(t, a_fill_is_divided_at_seams);
    tcase_add_test(t, a_pitched_fill_is_divided_at_seams);
    tcase_add_test(t, an_arrays_pitch_means_nothing);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
