/* SPDX-License-Identifier: MIT */
/* Packing of kernel parameters, what `extra` means, and the options of a JIT. */
#include <string.h>

#include "guest-shim/jit.h"
#include "guest-shim/launch_pack.h"
#include "tests/protocol/vg_test.h"

START_TEST(pack_fills_gaps)
{
    struct { uint8_t b; uint32_t w; uint64_t q; uint16_t h; struct { char c[24]; } s; } in;
    const struct vg_param param[] = {{0, 1}, {4, 4}, {8, 8}, {16, 2}, {24, 24}};
    void *values[] = {&in.b, &in.w, &in.q, &in.h, &in.s};
    uint8_t out[56], want[56];

    memset(&in, 0x5a, sizeof(in));
    memset(out, 0xff, sizeof(out));
    memset(want, 0, sizeof(want));
    for (unsigned i = 0; i < 5; i++)
        memset(want + param[i].offset, 0x5a, param[i].size);
    memset(want + 48, 0xff, 8);             /* behind the block: not ours */
    vg_launch_pack(param, 5, values, out, 48);
    ck_assert_mem_eq(out, want, sizeof(out));
}
END_TEST

START_TEST(pack_random)
{
    uint64_t seed = vg_test_seed();

    for (int round = 0; round < 2000; round++) {
        struct vg_param param[40];
        uint8_t source[40][64], out[4096], want[4096];
        void *values[40];
        unsigned n = (unsigned)(vg_test_random(&seed) % 40), at = 0;
        memset(want, 0, sizeof(want));
        for (unsigned i = 0; i < n; i++) {
            unsigned size = 1 + (unsigned)(vg_test_random(&seed) % 64);
            at += (unsigned)(vg_test_random(&seed) % 16);
            param[i] = (struct vg_param){(uint16_t)at, (uint16_t)size};
            memset(source[i], (int)vg_test_random(&seed), size);
            memcpy(want + at, source[i], size);
            values[i] = source[i];
            at += size;
        }
        memset(out, 0xff, sizeof(out));
        vg_launch_pack(param, n, values, out, at);
        ck_assert_mem_eq(out, want, at);
    }
}
END_TEST

START_TEST(extra)
{
    size_t size = 12, large = 40000, got;
    char buffer[12];
    const void *bytes;
    void *both[] = {CU_LAUNCH_PARAM_BUFFER_SIZE, &size, CU_LAUNCH_PARAM_BUFFER_POINTER, buffer,
                    CU_LAUNCH_PARAM_END};
    void *one[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer, CU_LAUNCH_PARAM_END};
    void *none[] = {CU_LAUNCH_PARAM_END};
    void *odd[] = {(void *)7, buffer, CU_LAUNCH_PARAM_END};
    void *much[] = {CU_LAUNCH_PARAM_BUFFER_SIZE, &large, CU_LAUNCH_PARAM_BUFFER_POINTER, buffer,
                    CU_LAUNCH_PARAM_END};

    ck_assert_int_eq(vg_launch_extra(both, &bytes, &got), CUDA_SUCCESS);
    ck_assert_ptr_eq(bytes, buffer);
    ck_assert_uint_eq(got, 12);
    ck_assert_int_eq(vg_launch_extra(none, &bytes, &got), CUDA_SUCCESS);
    ck_assert_ptr_null(bytes);
    ck_assert_uint_eq(got, 0);
    ck_assert_int_eq(vg_launch_extra(one, &bytes, &got), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(vg_launch_extra(odd, &bytes, &got), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(vg_launch_extra(much, &bytes, &got), CUDA_ERROR_INVALID_VALUE);
}
END_TEST

START_TEST(jit_options)
{
    char error[8], info[64];
    CUjit_option option[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
                             CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
                             CU_JIT_MAX_REGISTERS, CU_JIT_WALL_TIME, CU_JIT_GLOBAL_SYMBOL_NAMES};
    void *value[] = {error, (void *)sizeof(error), info, (void *)sizeof(info), (void *)32, NULL,
                     error};
    struct vg_jit jit;

    ck_assert_int_eq(vg_jit_init(&jit, 7, option, value), CUDA_SUCCESS);
    ck_assert(vg_jit_wants_log(&jit));
    ck_assert_uint_eq(jit.count, 1);        /* pointers do not cross */
    ck_assert_uint_eq(jit.option[0].option, CU_JIT_MAX_REGISTERS);
    ck_assert_uint_eq(jit.option[0].value, 32);
    vg_jit_report(&jit, "something long\0note", 20);
    ck_assert_str_eq(error, "somethi");
    ck_assert_uint_eq((uintptr_t)value[1], 7);
    ck_assert_str_eq(info, "note");
    ck_assert_uint_eq((uintptr_t)value[3], 4);
    vg_jit_took(&jit, 1.5);
    float ms;
    memcpy(&ms, &value[5], sizeof(ms));
    ck_assert(ms == 1.5f);
}
END_TEST

START_TEST(jit_garbage)
{
    char error[8] = "x";
    CUjit_option option[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    CUjit_option unknown = (CUjit_option)CU_JIT_NUM_OPTIONS;
    void *value[] = {error, (void *)sizeof(error)};
    struct vg_jit jit;

    ck_assert_int_eq(vg_jit_init(&jit, 1, &unknown, value), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(vg_jit_init(&jit, 1, NULL, value), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(vg_jit_init(&jit, 1, option, NULL), CUDA_ERROR_INVALID_VALUE);
    ck_assert_int_eq(vg_jit_init(&jit, 0, NULL, NULL), CUDA_SUCCESS);
    ck_assert(!vg_jit_wants_log(&jit));
    ck_assert_int_eq(vg_jit_init(&jit, 2, option, value), CUDA_SUCCESS);
    vg_jit_report(&jit, "no end", 6);
    ck_assert_str_eq(error, "");
    vg_jit_report(&jit, "one\0no end", 10);
    ck_assert_str_eq(error, "one");
    vg_jit_report(&jit, "", 0);
    ck_assert_str_eq(error, "");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("launch");
    TCase *t = tcase_create("launch");

    tcase_add_test(t, pack_fills_gaps);
    tcase_add_test(t, pack_random);
    tcase_add_test(t, extra);
    tcase_add_test(t, jit_options);
    tcase_add_test(t, jit_garbage);
    suite_add_tcase(s, t);
    return vg_test_main(s);
}
