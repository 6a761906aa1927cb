/* SPDX-License-Identifier: MIT */
/* mbarrier, cp.async, alloca, video SIMD and matrix instructions. */
#include "ptx_harness.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ptx_test t;

static void setup(void) { ptx_test_init(&t, 1); }
static void teardown(void) { ptx_test_fini(&t); }

#define HEAD                                                                                      \
    ".visible .entry k(.param .u64 out, .param .u64 arg) {\n"                                     \
    ".reg .pred %p<10>; .reg .b32 %r<40>; .reg .b64 %rd<40>; .reg .f32 %f<20>;\n"                 \
    "ld.param.u64 %rd1, [out]; ld.param.u64 %rd2, [arg]; mov.u32 %r2, %tid.x;\n"                  \
    "mul.wide.u32 %rd9, %r2, 4; add.u64 %rd3, %rd1, %rd9; add.u64 %rd4, %rd2, %rd9;\n"

static uint32_t *run(const char *body, unsigned block, void *arg)
{
    uint32_t *out;
    uint64_t params[2];

    ck_assert_msg(ptx_test_load_body(&t, body) == 0, "%s\n%s", t.log, body);
    out = ptx_test_alloc(&t, 8192);
    params[0] = (uint64_t)(uintptr_t)out;
    params[1] = (uint64_t)(uintptr_t)arg;
    ck_assert_msg(ptx_test_run(&t, "k", 1, block, 0, params, 2) == PTX_OK, "%s", t.result.message);
    return out;
}

START_TEST(test_mbarrier)
{
    uint32_t *out, i;

    /* Three rounds of reversal through shared memory, by state and by parity. */
    out = run(".shared .align 8 .u64 b; .shared .align 4 .b8 s[512];\n" HEAD
        "setp.eq.u32 %p1, %r2, 0; @%p1 mbarrier.init.shared::cta.b64 [b], 128; bar.sync 0;\n"
        "mov.u32 %r5, s; shl.b32 %r6, %r2, 2; add.u32 %r7, %r5, %r6; xor.b32 %r8, %r6, 508;\n"
        "add.u32 %r8, %r5, %r8; mov.u32 %r9, 0; mov.u32 %r10, %r2;\n"
        "L: st.shared.u32 [%r7], %r10; mbarrier.arrive.shared.b64 %rd5, [b];\n"
        "W: mbarrier.test_wait.shared.b64 %p2, [b], %rd5; @!%p2 bra W;\n"
        "ld.shared.u32 %r10, [%r8]; mbarrier.arrive.release.cta.shared::cta.b64 _, [b], 1;\n"
        "V: mbarrier.try_wait.parity.shared.b64 %p3, [b], 1; @!%p3 bra V;\n"
        "add.u32 %r9, %r9, 1; setp.lt.u32 %p4, %r9, 3; @%p4 bra L;\n"
        "mbarrier.pending_count.b64 %r11, %rd5; mad.lo.u32 %r10, %r9, 1000, %r10;\n"
        "setp.gt.u32 %p5, %r11, 128; @%p5 mov.u32 %r10, 0; st.global.u32 [%rd3], %r10; ret; }", 128,
        NULL);
    for (i = 0; i < 128; i++)
        ck_assert_uint_eq(out[i], 3000 + 127 - i);
}
END_TEST

START_TEST(test_cp_async)
{
    uint32_t *a = ptx_test_alloc(&t, 4096), *out, i;

    for (i = 0; i < 128; i++)
        a[i] = i * 7;
    out = run(".shared .align 16 .b8 s[512];\n" HEAD
        "mul.wide.u32 %rd5, %r2, 16; add.u64 %rd5, %rd5, %rd2; shl.b32 %r3, %r2, 4; mov.u32 %r4, s;\n"
        "add.u32 %r3, %r3, %r4; cp.async.cg.shared.global [%r3], [%rd5], 16;\n"
        "setp.eq.u32 %p1, %r2, 3; @%p1 cp.async.ca.shared.global [%r3+8], [%rd5+8], 8, 4;\n"
        "cp.async.commit_group; cp.async.wait_group 0; ld.shared.v4.u32 {%r5, %r6, %r7, %r8}, [%r3];\n"
        "add.u32 %r5, %r5, %r6; add.u32 %r5, %r5, %r7; add.u32 %r5, %r5, %r8;\n"
        "st.global.u32 [%rd3], %r5; ret; }", 32, a);
    for (i = 0; i < 32; i++)
        ck_assert_uint_eq(out[i], 7 * (16 * i + 6) - (i == 3 ? a[15] : 0));
}
END_TEST

START_TEST(test_alloca)
{
    uint32_t *out, i;

    out = run(HEAD "mov.u64 %rd10, 0; mov.u32 %r9, 0;\n"
        "L: add.u64 %rd11, %rd10, 64; stacksave.u64 %rd14; alloca.u64 %rd12, %rd11, 16;\n"
        "st.local.u32 [%rd12+60], %r2; ld.local.u32 %r3, [%rd12+60]; add.u32 %r9, %r9, %r3;\n"
        "and.b64 %rd13, %rd12, 15; cvt.u32.u64 %r4, %rd13; add.u32 %r9, %r9, %r4;\n"
        "stackrestore.u64 %rd14; add.u64 %rd10, %rd10, 8; setp.lt.u64 %p1, %rd10, 800; @%p1 bra L;\n"
        "st.global.u32 [%rd3], %r9; ret; }", 32, NULL);
    for (i = 0; i < 32; i++)
        ck_assert_uint_eq(out[i], 100 * i);
    ck_assert_int_eq(ptx_test_load_body(&t, HEAD "mov.u64 %rd5, 100000000; alloca.u64 %rd6, %rd5;\n"
                                                 "st.local.u32 [%rd6], 0; ret; }"), 0);
    ck_assert_int_eq(ptx_test_run(&t, "k", 1, 32, 0, (uint64_t[]){0, 0}, 2), PTX_FAULT_STACK);
}
END_TEST

START_TEST(test_video)
{
    uint32_t *a = ptx_test_alloc(&t, 64), *out;

    a[0] = 0x01ff80f0;
    a[1] = 0x02037f20;
    out = run(HEAD "ld.global.v2.u32 {%r3, %r4}, [%rd2];\n"
        "vabsdiff4.u32.u32.u32.add %r5, %r3, %r4, 5; vadd4.u32.u32.u32 %r6, %r3, %r4, 0;\n"
        "vmax2.s32.s32.s32 %r7, %r3, %r4, 0; vadd2.s32.s32.s32.sat %r8, %r3, %r4, 0;\n"
        "vavrg4.u32.u32.u32 %r9, %r3, %r4, 0; st.global.v4.u32 [%rd1], {%r5, %r6, %r7, %r8};\n"
        "st.global.u32 [%rd1+16], %r9; ret; }", 1, a);
    ck_assert_uint_eq(out[0], 5 + 1 + 0xfc + 1 + 0xd0);
    ck_assert_uint_eq(out[1], 0x0302ff10);
    ck_assert_uint_eq(out[2], 0x02037f20);
    ck_assert_uint_eq(out[3], 0x04020010);
    ck_assert_uint_eq(out[4], 0x02818088);
}
END_TEST

/* Elements small enough that every product and sum is exact. */
static float elem(unsigned i, unsigned mod)
{
    return (float)(int)(i % mod) - (float)(mod / 2);
}

static uint16_t half_of(float f)
{
    uint32_t b = (uint32_t)ptx_bits32(f);

    if (f == 0)
        return 0;
    return (uint16_t)((b >> 16 & 0x8000) | (((b >> 23 & 0xff) - 112) << 10) | (b >> 13 & 0x3ff));
}

/* A (16 x k) and B (k x 8) in the documented register layout, "per" in a register. */
static void lay_out(uint32_t *regs, unsigned k, unsigned per, uint32_t (*of)(float))
{
    unsigned lane, r, j, na = 16 * k / per / 32, nb = 8 * k / per / 32;

    for (lane = 0; lane < 32; lane++) {
        for (r = 0; r < na + nb; r++)
            regs[lane * 8 + r] = 0;
        for (r = 0; r < na; r++)
            for (j = 0; j < per; j++) {
                unsigned row = lane / 4 + r % 2 * 8, col = lane % 4 * per + j + r / 2 * 4 * per;

                regs[lane * 8 + r] |= of(elem(row * k + col, 11)) << (32 / per * j);
            }
        for (r = 0; r < nb; r++)
            for (j = 0; j < per; j++) {
                unsigned row = lane % 4 * per + j + r * 4 * per, col = lane / 4;

                regs[lane * 8 + na + r] |= of(elem(row * 8 + col, 7)) << (32 / per * j);
            }
    }
}

static uint32_t as_half(float f) { return half_of(f); }
static uint32_t as_bf16(float f) { return (uint32_t)ptx_bits32(f) >> 16; }
static uint32_t as_f32(float f) { return (uint32_t)ptx_bits32(f); }
static uint32_t as_s8(float f) { return (uint32_t)(int)f & 0xff; }

static const struct {
    const char *shape, *types, *a, *b;
    unsigned k, per;
    uint32_t (*of)(float);
    int is_int;
} mmas[] = {
    {"m16n8k16", "f32.f16.f16.f32", "{%r10,%r11,%r12,%r13}", "{%r14,%r15}", 16, 2, as_half, 0},
    {"m16n8k8", "f32.f16.f16.f32", "{%r10,%r11}", "{%r12}", 8, 2, as_half, 0},
    {"m16n8k16", "f32.bf16.bf16.f32", "{%r10,%r11,%r12,%r13}", "{%r14,%r15}", 16, 2, as_bf16, 0},
    {"m16n8k8", "f32.tf32.tf32.f32", "{%r10,%r11,%r12,%r13}", "{%r14,%r15}", 8, 1, as_f32, 0},
    {"m16n8k4", "f32.tf32.tf32.f32", "{%r10,%r11}", "{%r12}", 4, 1, as_f32, 0},
    {"m16n8k32", "s32.s8.s8.s32", "{%r10,%r11,%r12,%r13}", "{%r14,%r15}", 32, 4, as_s8, 1},
    {"m16n8k16", "s32.s8.s8.s32", "{%r10,%r11}", "{%r12}", 16, 4, as_s8, 1},
};

START_TEST(test_mma)
{
    uint32_t *regs = ptx_test_alloc(&t, 4096), *out, lane, i, j;
    char text[2048];

    lay_out(regs, mmas[_i].k, mmas[_i].per, mmas[_i].of);
    snprintf(text, sizeof(text),
             "%s mul.wide.u32 %%rd5, %%r2, 32; add.u64 %%rd5, %%rd5, %%rd2;\n"
             "ld.global.v4.u32 {%%r10, %%r11, %%r12, %%r13}, [%%rd5];\n"
             "ld.global.v4.u32 {%%r14, %%r15, %%r16, %%r17}, [%%rd5+16];\n"
             "mov.b32 %%r20, %s; mma.sync.aligned.%s.row.col.%s {%%r21,%%r22,%%r23,%%r24}, %s, %s,\n"
             "{%%r20,%%r20,%%r20,%%r20}; mul.wide.u32 %%rd6, %%r2, 16; add.u64 %%rd6, %%rd6, %%rd1;\n"
             "st.global.v4.u32 [%%rd6], {%%r21,%%r22,%%r23,%%r24}; ret; }",
             HEAD, mmas[_i].is_int ? "3" : "0f40400000", mmas[_i].shape, mmas[_i].types, mmas[_i].a,
             mmas[_i].b);
    out = run(text, 32, regs);
    for (lane = 0; lane < 32; lane++)
        for (i = 0; i < 4; i++) {
            unsigned row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
            float want = 3, got;

            for (j = 0; j < mmas[_i].k; j++)
                want += elem(row * mmas[_i].k + j, 11) * elem(j * 8 + col, 7);
            got = mmas[_i].is_int ? (float)(int32_t)out[lane * 4 + i] : ptx_f32(out[lane * 4 + i]);
            ck_assert_msg(got == want, "%s %s row %u col %u: %g, not %g", mmas[_i].shape,
                          mmas[_i].types, row, col, (double)got, (double)want);
        }
}
END_TEST

START_TEST(test_wmma)
{
    uint16_t *m = ptx_test_alloc(&t, 4096);
    uint32_t *out, i, j, k;

    for (i = 0; i < 256; i++) {
        m[i] = half_of(elem(i, 11));
        m[256 + i] = half_of(elem(i, 7));
    }
    /* B is read by columns, the result stored with a leading dimension of 20. */
    out = run(HEAD "mov.f32 %f1, 0f3F800000; mov.u32 %r30, 16; mov.u32 %r31, 20;\n"
        "wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {%r10,%r11,%r12,%r13,%r14,%r15,%r16,%r17},\n"
        "[%rd2], %r30; wmma.load.b.sync.aligned.col.m16n16k16.f16\n"
        "{%r18,%r19,%r20,%r21,%r22,%r23,%r24,%r25}, [%rd2+512], %r30;\n"
        "wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%f2,%f3,%f4,%f5,%f6,%f7,%f8,%f9},\n"
        "{%r10,%r11,%r12,%r13,%r14,%r15,%r16,%r17}, {%r18,%r19,%r20,%r21,%r22,%r23,%r24,%r25},\n"
        "{%f1,%f1,%f1,%f1,%f1,%f1,%f1,%f1};\n"
        "wmma.store.d.sync.aligned.row.m16n16k16.global.f32 [%rd1], {%f2,%f3,%f4,%f5,%f6,%f7,%f8,%f9},\n"
        "%r31; ret; }", 32, m);
    for (i = 0; i < 16; i++)
        for (j = 0; j < 16; j++) {
            float want = 1;

            for (k = 0; k < 16; k++)
                want += elem(i * 16 + k, 11) * elem(j * 16 + k, 7);
            ck_assert(ptx_f32(out[i * 20 + j]) == want);
        }
}
END_TEST

START_TEST(test_ldmatrix)
{
    uint32_t *out, lane, h;

    /* Element e of matrix m is 64 m + e. */
    out = run(".shared .align 16 .b8 s[512];\n" HEAD
        ".reg .b16 %rs; mov.u32 %r5, s; shl.b32 %r6, %r2, 4; add.u32 %r6, %r6, %r5; shl.b32 %r7, %r2, 3;\n"
        "mov.u32 %r8, 0; L: add.u32 %r9, %r7, %r8; cvt.u16.u32 %rs, %r9; shl.b32 %r10, %r8, 1;\n"
        "add.u32 %r10, %r10, %r6; st.shared.u16 [%r10], %rs; add.u32 %r8, %r8, 1;\n"
        "setp.lt.u32 %p1, %r8, 8; @%p1 bra L; bar.warp.sync -1;\n"
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r11,%r12,%r13,%r14}, [%r6];\n"
        "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%r15,%r16}, [%r6];\n"
        "mul.wide.u32 %rd6, %r2, 16; add.u64 %rd6, %rd6, %rd1;\n"
        "st.global.v4.u32 [%rd6], {%r11,%r14,%r15,%r16}; ret; }", 32, NULL);
    for (lane = 0; lane < 32; lane++)
        for (h = 0; h < 2; h++) {
            uint32_t e = lane / 4 * 8 + lane % 4 * 2 + h, tr = (lane % 4 * 2 + h) * 8 + lane / 4;

            ck_assert_uint_eq(out[lane * 4] >> 16 * h & 0xffff, e);
            ck_assert_uint_eq(out[lane * 4 + 1] >> 16 * h & 0xffff, 192 + e);
            ck_assert_uint_eq(out[lane * 4 + 2] >> 16 * h & 0xffff, tr);
            ck_assert_uint_eq(out[lane * 4 + 3] >> 16 * h & 0xffff, 64 + tr);
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ptx newer instructions");
    TCase *c = tcase_create("instructions");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_mbarrier);
    tcase_add_test(c, test_cp_async);
    tcase_add_test(c, test_alloca);
    tcase_add_test(c, test_video);
    tcase_add_loop_test(c, test_mma, 0, (int)(sizeof(mmas) / sizeof(mmas[0])));
    tcase_add_test(c, test_wmma);
    tcase_add_test(c, test_ldmatrix);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
