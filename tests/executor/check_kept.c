/* SPDX-License-Identifier: MIT */
/*
 * What the driver has made and the executor cannot take note of, because the guest owns all the
 * handles it may: the driver gets it back, or it would cost the GPU what nobody counts.
 */
#include <check.h>
#include <stdlib.h>

#include "mediator/executor/args.h"

static struct vg_exec x;
static struct vg_stats stats;
static struct vg_req r;
static CUcontext given;     /* that the driver got back */
static CUstream given_stream;
static CUgreenCtx given_green;
static unsigned released;

static const CUcontext ctx = (CUcontext)(uintptr_t)0x10, fresh = (CUcontext)(uintptr_t)0x20;
static const CUstream stream = (CUstream)(uintptr_t)0x30;
static const CUgreenCtx green = (CUgreenCtx)(uintptr_t)0x40, other = (CUgreenCtx)(uintptr_t)0x50;

/* ---- The driver ---- */

static CUresult set_current(CUcontext c)
{
    (void)c;
    return CUDA_SUCCESS;
}

static CUresult pop(CUcontext *c)
{
    (void)c;
    return CUDA_SUCCESS;
}

static CUresult create(CUcontext *c, unsigned flags, CUdevice dev)
{
    (void)flags, (void)dev;
    *c = fresh;
    return CUDA_SUCCESS;
}

static CUresult destroy(CUcontext c)
{
    given = c;
    return CUDA_SUCCESS;
}

static CUresult retain(CUcontext *c, CUdevice dev)
{
    (void)dev;
    *c = fresh;
    return CUDA_SUCCESS;
}

static CUresult release(CUdevice dev)
{
    ck_assert_int_eq(dev, 1);
    released++;
    return CUDA_SUCCESS;
}

static CUresult stream_create(CUstream *s, unsigned flags)
{
    (void)flags;
    *s = stream;
    return CUDA_SUCCESS;
}

static CUresult stream_create_at(CUstream *s, unsigned flags, int priority)
{
    (void)priority;
    return stream_create(s, flags);
}

static CUresult stream_destroy(CUstream s)
{
    given_stream = s;
    return CUDA_SUCCESS;
}

static CUresult green_create(CUgreenCtx *g, CUdevResourceDesc desc, CUdevice dev, unsigned flags)
{
    (void)desc, (void)dev, (void)flags;
    *g = green;
    return CUDA_SUCCESS;
}

static CUresult green_destroy(CUgreenCtx g)
{
    given_green = g;
    return CUDA_SUCCESS;
}

static CUresult green_stream(CUstream *s, CUgreenCtx g, unsigned flags, int priority)
{
    (void)g;
    return stream_create_at(s, flags, priority);
}

/* ---- A guest that owns all it may ---- */

static void connect(void)
{
    x.cuda.cuCtxSetCurrent = set_current;
    x.cuda.cuCtxPopCurrent_v2 = pop;
    x.cuda.cuCtxCreate_v2 = create;
    x.cuda.cuCtxDestroy_v2 = destroy;
    x.cuda.cuDevicePrimaryCtxRetain = retain;
    x.cuda.cuDevicePrimaryCtxRelease_v2 = release;
    x.cuda.cuStreamCreate = stream_create;
    x.cuda.cuStreamCreateWithPriority = stream_create_at;
    x.cuda.cuStreamDestroy_v2 = stream_destroy;
    x.cuda.cuGreenCtxCreate = green_create;
    x.cuda.cuGreenCtxDestroy = green_destroy;
    x.cuda.cuGreenCtxStreamCreate = green_stream;
}

static void fill(uint64_t node)
{
    for (; x.obj.used < VG_OBJECTS_MAX; node++)
        ck_assert_int_eq(vg_own_add(&x, VG_OBJ_CUgraphNode, node, 0, 0), CUDA_SUCCESS);
}

/* Once: each test is a copy of this process. */
static void setup(void)
{
    ck_assert_int_eq(vg_exec_init(&x), 0);
    x.stats = &stats;
    x.alone = true;
    x.ctx = x.home = ctx;
    connect();
    vg_own_add(&x, VG_OBJ_CUcontext, (uintptr_t)ctx, 0, VG_CTX_PRIMARY);
    vg_own_add(&x, VG_OBJ_CUgreenCtx, (uintptr_t)other, (uintptr_t)ctx, 0);
    fill(1);
}

static void teardown(void)
{
    vg_exec_fini(&x);
}

START_TEST(contexts)
{
    struct vg_args_cuCtxCreate_v2 a = {.dev = 0};
    struct vg_args_cuDevicePrimaryCtxRetain p = {.dev = 1};

    ck_assert_int_eq(vg_do_cuCtxCreate_v2(&x, &r, &a), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_ptr_eq(given, fresh);
    ck_assert_int_eq(vg_do_cuDevicePrimaryCtxRetain(&x, &r, &p), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_uint_eq(released, 1);
}
END_TEST

START_TEST(the_one_made_ahead_of_need_stays_so)
{
    struct vg_args_cuDevicePrimaryCtxRetain p = {.dev = 0};

    vg_obj_remove(&x.obj, VG_OBJ_CUcontext, (uintptr_t)ctx);
    fill(1ull << 40);
    x.warm = fresh;
    ck_assert_int_eq(vg_do_cuDevicePrimaryCtxRetain(&x, &r, &p), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_ptr_eq(x.warm, fresh);
}
END_TEST

START_TEST(streams)
{
    struct vg_args_cuStreamCreate a = {.Flags = 0};
    struct vg_args_cuStreamCreateWithPriority p = {.flags = 0};
    struct vg_args_cuGreenCtxStreamCreate g = {.greenCtx = other};

    ck_assert_int_eq(vg_do_cuStreamCreate(&x, &r, &a), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_ptr_eq(given_stream, stream);
    given_stream = NULL;
    ck_assert_int_eq(vg_do_cuStreamCreateWithPriority(&x, &r, &p), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_ptr_eq(given_stream, stream);
    given_stream = NULL;
    ck_assert_int_eq(vg_do_cuGreenCtxStreamCreate(&x, &r, &g), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_ptr_eq(given_stream, stream);
}
END_TEST

START_TEST(green_contexts)
{
    struct vg_args_cuGreenCtxCreate a = {.dev = 0};

    ck_assert_int_eq(vg_do_cuGreenCtxCreate(&x, &r, &a), CUDA_ERROR_OUT_OF_MEMORY);
    ck_assert_ptr_eq(given_green, green);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kept");
    TCase *t = tcase_create("all");

    tcase_add_unchecked_fixture(t, setup, teardown);
    tcase_add_test(t, contexts);
    tcase_add_test(t, the_one_made_ahead_of_need_stays_so);
    tcase_add_test(t, streams);
    tcase_add_test(t, green_contexts);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
