/* SPDX-License-Identifier: MIT */
/* Within check-shim: contexts, streams, symbols and tables, which the shim mostly answers itself. */
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/state.h"
#include "tests/protocol/vg_test.h"
#include "tests/shim/check_shim.h"
#include "vg_api.h"
#include "vg_atomic.h"

START_TEST(primary_context_counts_its_users)
{
    CUcontext a, b, current;
    unsigned flags;
    int active;
    CUdevice dev;

    ck_assert_int_eq(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
    ck_assert_int_eq(active, 0);
    ck_assert_int_eq(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
    a = retain();
    ck_assert_int_eq(cuDevicePrimaryCtxRetain(&b, 0), CUDA_SUCCESS);
    ck_assert_ptr_eq(a, b);
    ck_assert_int_eq(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    ck_assert_int_eq(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
    ck_assert_int_eq(active, 1);
    ck_assert_int_eq(cuCtxGetDevice(&dev), CUDA_SUCCESS);
    ck_assert_int_eq(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    ck_assert_int_eq(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
    ck_assert_int_eq(active, 0);
    ck_assert_int_eq(cuCtxGetCurrent(&current), CUDA_SUCCESS);
    ck_assert_ptr_eq(current, a);
    ck_assert_int_eq(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    ck_assert_int_eq(cuDevicePrimaryCtxRetain(&b, 0), CUDA_SUCCESS);
    ck_assert_int_eq(cuCtxGetDevice(&dev), CUDA_SUCCESS);
}
END_TEST

START_TEST(contexts_stack_per_thread)
{
    CUcontext a = retain(), c;

    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(cuCtxPushCurrent_v2(a), CUDA_SUCCESS);
    for (int i = 0; i < 21; i++)
        ck_assert_int_eq(cuCtxPopCurrent_v2(&c), CUDA_SUCCESS);
    ck_assert_int_eq(cuCtxPopCurrent_v2(&c), CUDA_ERROR_INVALID_CONTEXT);
    ck_assert_int_eq(cuCtxGetCurrent(&c), CUDA_SUCCESS);
    ck_assert_ptr_null(c);
    ck_assert_int_eq(cuCtxSetCurrent((CUcontext)0x1234), CUDA_ERROR_INVALID_CONTEXT);
    ck_assert_int_eq(cuCtxSetCurrent(NULL), CUDA_SUCCESS);
}
END_TEST

START_TEST(the_ring_follows_the_threads_context)
{
    CUcontext ctx = retain();

    ck_assert_int_eq(cuCtxSynchronize(), CUDA_SUCCESS);
    ck_assert_uint_eq(fake_host_context(host), (uintptr_t)ctx);
    uint64_t before = fake_host_records(host);
    ck_assert_int_eq(cuStreamSynchronize(NULL), CUDA_SUCCESS);
    ck_assert_uint_eq(fake_host_records(host), before + 1);
}
END_TEST

START_TEST(what_is_idle_is_waited_for_every_other_time)
{
    static const uint64_t crossed[] = {2, 2, 3, 3, 5, 5, 5};   /* the first brings the context */
    retain();
    uint64_t before = fake_host_records(host);

    for (unsigned i = 0; i < 7; i++) {
        if (i == 4) /* something new since: no longer idle */
            ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(0), NULL), CUDA_SUCCESS);
        if (i == 6)
            vg_store_release(&fake_host_slot(host)->sticky_error, CUDA_ERROR_ILLEGAL_ADDRESS);
        ck_assert_int_eq(cuCtxSynchronize(), i < 6 ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS);
        ck_assert_uint_eq(fake_host_records(host) - before, crossed[i]);
    }
}
END_TEST

/* A fat binary of compressed machine code for sm_90 and, if wanted, PTX. */
static void compressed_image(uint8_t image[16 + 2 * 72], bool ptx)
{
    const uint32_t magic = 0xba55ed50u, version = 1 | 16 << 16, header = 64, arch = 90;
    const uint64_t body = 8, flags = 0x8011, payload = ptx ? 2 * 72 : 72;

    memset(image, 0, 16 + 2 * 72);
    memcpy(image, &magic, 4);
    memcpy(image + 4, &version, 4);
    memcpy(image + 8, &payload, 8);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *entry = image + 16 + i * 72;
        entry[0] = i ? 1 : 2;
        memcpy(entry + 4, &header, 4);
        memcpy(entry + 8, &body, 8);
        memcpy(entry + 28, &arch, 4);
        memcpy(entry + 40, &flags, 8);
    }
}

START_TEST(managed_variables_are_seen_by_the_ptx)
{
    CUlibraryOption preserved = CU_LIBRARY_BINARY_IS_PRESERVED;
    uint8_t image[16 + 2 * 72];
    CUlibrary l;
    size_t bytes;

    retain();
    compressed_image(image, true);
    ck_assert_int_eq(cuLibraryLoadData(&l, image, NULL, NULL, 0, &preserved, NULL, 1), CUDA_SUCCESS);
    ck_assert_int_eq(cuLibraryGetManaged(NULL, &bytes, l, "v"), CUDA_SUCCESS);
    compressed_image(image, false);
    ck_assert_int_eq(cuLibraryLoadData(&l, image, NULL, NULL, 0, &preserved, NULL, 1), CUDA_SUCCESS);
    ck_assert_int_eq(cuLibraryGetManaged(NULL, &bytes, l, "v"), CUDA_ERROR_NOT_SUPPORTED);
    ck_assert_int_eq(cuLibraryGetManaged(NULL, &bytes, l, "v"), CUDA_ERROR_NOT_SUPPORTED);
}
END_TEST

START_TEST(streams_are_described_locally)
{
    CUstream s;
    CUcontext ctx = retain(), c;
    unsigned flags;
    int priority;

    ck_assert_int_eq(cuStreamCreateWithPriority(&s, CU_STREAM_NON_BLOCKING, -9), CUDA_SUCCESS);
    uint64_t before = fake_host_records(host);
    ck_assert_int_eq(cuStreamGetFlags(s, &flags), CUDA_SUCCESS);
    ck_assert_uint_eq(flags, CU_STREAM_NON_BLOCKING);
    ck_assert_int_eq(cuStreamGetPriority(s, &priority), CUDA_SUCCESS);
    ck_assert_int_eq(priority, -5);
    ck_assert_int_eq(cuStreamGetCtx(s, &c), CUDA_SUCCESS);
    ck_assert_ptr_eq(c, ctx);
    ck_assert_uint_eq(fake_host_records(host), before);
    ck_assert_int_eq(cuStreamDestroy_v2(s), CUDA_SUCCESS);
    ck_assert_int_eq(cuStreamGetFlags(s, &flags), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(cuStreamDestroy_v2(NULL), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(cuStreamSynchronize_ptsz(NULL), CUDA_SUCCESS);
}
END_TEST

#ifndef __SANITIZE_THREAD__     /* which forbids the address that device memory would have */
START_TEST(memsets_are_checked_at_the_call)
{
    CUdeviceptr p;

    retain();
    ck_assert_int_eq(cuMemAlloc_v2(&p, 4096), CUDA_SUCCESS);
    uint64_t before = fake_host_records(host);
    ck_assert_int_eq(cuMemsetD8_v2(p, 1, 4097), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemsetD8_v2(p - 1, 1, 1), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemsetD32_v2(p, 1, 1025), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemsetD32_v2(p + 2, 1, 1), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemsetD32_v2(p, 1, (size_t)1 << 62), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemsetD2D8_v2(p, 64, 1, 65, 2), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemsetD2D8_v2(p, 64, 1, 64, 65), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemsetD2D8_v2(p, (size_t)1 << 47, 1, 1, (size_t)1 << 47),
                     CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(cuMemsetD8_v2(0, 1, 0), CUDA_SUCCESS);
    ck_assert_int_eq(cuEventRecord(NULL, NULL), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_uint_eq(fake_host_records(host), before);
    ck_assert_int_eq(cuMemsetD8_v2(p, 1, 4096), CUDA_SUCCESS);
    ck_assert_int_eq(cuMemsetD2D8_v2(p, 64, 1, 64, 64), CUDA_SUCCESS);
    ck_assert_int_eq(vg_call_reply(VG_CALL_NOP, VG_WORDS(0), NULL), CUDA_SUCCESS);
    ck_assert_uint_eq(fake_host_records(host), before + 3);
}
END_TEST
#endif

START_TEST(symbols_are_found_by_name_version_and_stream)
{
    CUdriverProcAddressQueryResult status;
    void *p;

    ck_assert_int_eq(cuGetProcAddress_v2("cuMemAlloc", &p, 12000, 0, &status), CUDA_SUCCESS);
    ck_assert(p == (void *)(uintptr_t)cuMemAlloc_v2 && status == CU_GET_PROC_ADDRESS_SUCCESS);
    ck_assert_int_eq(cuGetProcAddress_v2("cuStreamSynchronize", &p, 12000,
                                         CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &status),
                     CUDA_SUCCESS);
    ck_assert(p == (void *)(uintptr_t)cuStreamSynchronize_ptsz);
    ck_assert_int_eq(cuGetProcAddress_v2("cuNoSuchThing", &p, 12000, 0, &status), CUDA_SUCCESS);
    ck_assert(p == NULL && status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
    ck_assert_int_eq(cuGetProcAddress("cuNoSuchThing", &p, 12000, 0), CUDA_ERROR_NOT_FOUND);
    ck_assert_int_eq(cuGetProcAddress_v2("cuInit", &p, 99000, 0, &status), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

static int dtor_calls;
static void count_dtor(CUcontext ctx, void *key, void *value)
{
    (void)ctx;
    if (key == &dtor_calls && value == host)
        dtor_calls++;
}

START_TEST(context_local_storage_ends_with_the_context)
{
    static const uint8_t id[16] = "\xc6\x93\x33\x6e\x11\x21\xdf\x11\xa8\xc3\x68\xf3\x55\xd8\x95\x93";
    struct table {
        CUresult (*put)(CUcontext, void *, void *, void (*)(CUcontext, void *, void *));
        CUresult (*drop)(CUcontext, void *);
        CUresult (*get)(void **, CUcontext, void *);
    } const *t;
    void *value = NULL;

    ck_assert_int_eq(cuGetExportTable((const void **)&t, (const CUuuid *)id), CUDA_SUCCESS);
    ck_assert_int_eq(t->get(&value, NULL, &dtor_calls), CUDA_ERROR_INVALID_HANDLE);
    CUcontext ctx = retain();
    ck_assert_int_eq(t->get(&value, ctx, &dtor_calls), CUDA_ERROR_INVALID_HANDLE);
    ck_assert_int_eq(t->put(ctx, &dtor_calls, host, count_dtor), CUDA_SUCCESS);
    ck_assert_int_eq(t->put(NULL, &value, host, count_dtor), CUDA_SUCCESS);
    ck_assert_int_eq(t->get(&value, NULL, &dtor_calls), CUDA_SUCCESS);
    ck_assert_ptr_eq(value, host);
    ck_assert_int_eq(t->drop(ctx, &value), CUDA_SUCCESS);
    ck_assert_int_eq(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    ck_assert_int_eq(dtor_calls, 1);
    retain();
    ck_assert_int_eq(t->get(&value, NULL, &dtor_calls), CUDA_ERROR_INVALID_HANDLE);
}
END_TEST

/*
 * A table that this library cannot honour is refused, so that profilers give up at the
 * start (CUPTI: "unknown error") and the program goes on without them.
 */
START_TEST(private_tables_are_whole_or_refused)
{
    static const struct {
        uint8_t id[16];
        size_t slots;       /* 0: refused */
    } asked[] = {
        {"\x6b\xd5\xfb\x6c\x5b\xf4\xe7\x4a\x89\x87\xd9\x39\x12\xfd\x9d\xf9", 13},
        {"\xf8\xcf\xf9\x51\x21\x46\x8b\x4e\xb9\xe2\xfb\x46\x9e\x7c\x0d\xd9", 3},
        {"\x21\x31\x8c\x60\x97\x14\x32\x48\x8c\xa6\x41\xff\x73\x24\xc8\xf2", 93},
        {"\x6e\x16\x3f\xbe\xb9\x58\x44\x4d\x83\x5c\xe1\x82\xaf\xf1\x99\x1e", 99},
        {"\x2c\x8e\x0a\xd8\x07\x10\xab\x4e\x90\xdd\x54\x71\x9f\xe5\xf7\x4b", 0},
        {"no such table at", 0},
    };
    for (unsigned i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        const struct { size_t size; CUresult (*slot[])(void); } *t = NULL;
        CUresult r = cuGetExportTable((const void **)&t, (const CUuuid *)asked[i].id);
        ck_assert_int_eq(r, asked[i].slots ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
        if (!asked[i].slots)
            ck_assert_ptr_eq(t, NULL);
        else
            ck_assert_uint_eq(t->size, asked[i].slots * sizeof(void *));
        for (size_t s = 0; s + 1 < asked[i].slots; s++)
            ck_assert(t->slot[s] != NULL);
    }
}
END_TEST

void add_api_tests(TCase *core)
{
    tcase_add_test(core, primary_context_counts_its_users);
    tcase_add_test(core, contexts_stack_per_thread);
    tcase_add_test(core, the_ring_follows_the_threads_context);
    tcase_add_test(core, what_is_idle_is_waited_for_every_other_time);
    tcase_add_test(core, managed_variables_are_seen_by_the_ptx);
    tcase_add_test(core, streams_are_described_locally);
#ifndef __SANITIZE_THREAD__
    tcase_add_test(core, memsets_are_checked_at_the_call);
#endif
    tcase_add_test(core, symbols_are_found_by_name_version_and_stream);
    tcase_add_test(core, private_tables_are_whole_or_refused);
    tcase_add_test(core, context_local_storage_ends_with_the_context);
}
