/* SPDX-License-Identifier: MIT */
/* Control flow, barriers, warps, memory, calls and faults of the interpreter. */
#include "ptx_harness.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ptx_test t;

static void setup(void) { ptx_test_init(&t, 2); }
static void teardown(void) { ptx_test_fini(&t); }

/* One u32 result per thread: the body computes %r1 from %r2 = tid.x, %rd2 = arg. */
#define HEAD                                                                                      \
    ".visible .entry k(.param .u64 out, .param .u64 arg) {\n"                                     \
    ".reg .pred %p<10>; .reg .b32 %r<40>; .reg .b64 %rd<40>; .reg .f32 %f<9>;\n"                  \
    "ld.param.u64 %rd1, [out]; ld.param.u64 %rd2, [arg]; mov.u32 %r2, %tid.x;\n"                  \
    "mov.u32 %r1, 0;\n"
#define TAIL                                                                                      \
    "mov.u32 %r39, %ctaid.x; mov.u32 %r38, %ntid.x; mad.lo.u32 %r39, %r39, %r38, %r2;\n"          \
    "mul.wide.u32 %rd39, %r39, 4; add.u64 %rd39, %rd1, %rd39; st.global.u32 [%rd39], %r1;\n"      \
    "ret; }\n"

static uint32_t *out;

static enum ptx_fault run2(const char *body, unsigned grid, unsigned block, uint64_t arg)
{
    uint64_t params[2];

    ck_assert_msg(ptx_test_load_body(&t, body) == 0, "%s\n%s", t.log, body);
    out = ptx_test_alloc(&t, (size_t)grid * block * 4);
    params[0] = (uint64_t)(uintptr_t)out;
    params[1] = arg;
    return ptx_test_run(&t, "k", grid, block, 0, params, 2);
}

static void ok2(const char *body, unsigned grid, unsigned block, uint64_t arg)
{
    ck_assert_msg(run2(body, grid, block, arg) == PTX_OK, "%s", t.result.message);
}

START_TEST(test_loops)
{
    unsigned i;

    /* Each lane loops tid times, skipping odd numbers on the way. */
    ok2(HEAD "mov.u32 %r3, 0;\n"
             "LOOP: setp.ge.u32 %p1, %r3, %r2; @%p1 bra DONE;\n"
             "and.b32 %r4, %r3, 1; setp.eq.u32 %p2, %r4, 1; @%p2 bra SKIP;\n"
             "add.u32 %r1, %r1, %r3;\n"
             "SKIP: add.u32 %r3, %r3, 1; bra LOOP;\n"
             "DONE: mad.lo.u32 %r1, %r1, 10, 7;\n" TAIL, 2, 100, 0);
    for (i = 0; i < 200; i++) {
        unsigned n = i % 100, k, s = 0;

        for (k = 0; k < n; k += 2)
            s += k;
        ck_assert_uint_eq(out[i], s * 10 + 7);
    }
}
END_TEST

START_TEST(test_reconverge)
{
    unsigned i;

    /* After if and else the whole warp is together again. */
    ok2(HEAD "setp.lt.u32 %p1, %r2, 11; @%p1 bra A; add.u32 %r1, %r1, 5; bra B;\n"
             "A: add.u32 %r1, %r1, 3;\n"
             "B: activemask.b32 %r3; popc.b32 %r3, %r3; mad.lo.u32 %r1, %r3, 100, %r1;\n" TAIL, 1, 64,
        0);
    for (i = 0; i < 64; i++)
        ck_assert_uint_eq(out[i], 3200 + (i < 11 ? 3 : 5));
}
END_TEST

START_TEST(test_exit_and_guards)
{
    unsigned i;

    ok2(HEAD "rem.u32 %r3, %r2, 3; setp.eq.u32 %p1, %r3, 0; @%p1 exit;\n"
             "setp.eq.u32 %p2, %r3, 1; @!%p2 mov.u32 %r1, 9; @%p2 mov.u32 %r1, 4;\n"
             "bar.sync 0;\n" TAIL, 1, 70, 0);
    for (i = 0; i < 70; i++)
        ck_assert_uint_eq(out[i], i % 3 == 0 ? 0 : i % 3 == 1 ? 4 : 9);
}
END_TEST

START_TEST(test_switch)
{
    unsigned i;

    ok2(HEAD "rem.u32 %r3, %r2, 4; T: .branchtargets L0, L1, L2, L3; brx.idx %r3, T;\n"
             "L0: mov.u32 %r1, 10; bra E; L1: mov.u32 %r1, 11; bra E; L2: mov.u32 %r1, 12;\n"
             "L3: add.u32 %r1, %r1, 100; E:\n" TAIL, 1, 64, 0);
    for (i = 0; i < 64; i++)
        ck_assert_uint_eq(out[i], i % 4 == 3 ? 100 : i % 4 == 2 ? 112 : 10 + i % 4);
    ck_assert_int_eq(run2(HEAD "T: .branchtargets L0; brx.idx %r2, T; L0:\n" TAIL, 1, 32, 0),
                     PTX_FAULT_PC);
}
END_TEST

START_TEST(test_barrier)
{
    unsigned i;

    /* Reverse through shared memory, many times. */
    ok2(".shared .align 4 .b8 s[1024];\n" HEAD
        "mov.u32 %r10, s; shl.b32 %r3, %r2, 2; add.u32 %r4, %r10, %r3; mov.u32 %r1, %r2;\n"
        "xor.b32 %r5, %r3, 1020; add.u32 %r5, %r10, %r5; mov.u32 %r6, 0;\n"
        "L: st.shared.u32 [%r4], %r1; bar.sync 0; ld.shared.u32 %r1, [%r5]; bar.sync 0;\n"
        "add.u32 %r6, %r6, 1; setp.lt.u32 %p1, %r6, 9; @%p1 bra L;\n" TAIL, 3, 256, 0);
    for (i = 0; i < 768; i++)
        ck_assert_uint_eq(out[i], 255 - i % 256);
    ck_assert_uint_eq(ptx_module_func(t.module, 0)->static_shared, 1024);
}
END_TEST

START_TEST(test_named_barriers)
{
    unsigned i;

    /* Two halves meet at barriers of their own; a producer arrives and goes on. */
    ok2(".shared .align 4 .u32 v;\n" HEAD
        "setp.ge.u32 %p1, %r2, 64; @%p1 bra CONSUME;\n"
        "setp.eq.u32 %p2, %r2, 5; @%p2 st.shared.u32 [v], 77; bar.sync 2, 64;\n"
        "bar.arrive 1, 128; mov.u32 %r1, 1; bra E;\n"
        "CONSUME: bar.sync 1, 128; ld.shared.u32 %r1, [v]; E:\n" TAIL, 1, 128, 0);
    for (i = 0; i < 128; i++)
        ck_assert_uint_eq(out[i], i < 64 ? 1 : 77);
    ok2(HEAD "setp.lt.u32 %p1, %r2, 40; bar.red.popc.u32 %r3, 0, %p1; bar.red.and.pred %p2, 0, %p1;"
             "bar.red.or.pred %p3, 0, !%p1; selp.u32 %r4, 1000, 0, %p2; selp.u32 %r5, 500, 0, %p3;"
             "add.u32 %r1, %r3, %r4; add.u32 %r1, %r1, %r5;\n" TAIL, 1, 96, 0);
    ck_assert_uint_eq(out[0], 540);
    ck_assert_uint_eq(out[95], 540);
}
END_TEST

START_TEST(test_deadlock)
{
    ck_assert_int_eq(run2(HEAD "setp.lt.u32 %p1, %r2, 32; @%p1 bar.sync 1; @!%p1 bar.sync 2;\n" TAIL,
                          1, 64, 0),
                     PTX_FAULT_DEADLOCK);
}
END_TEST

START_TEST(test_shuffle)
{
    unsigned i;

    ok2(HEAD "shfl.sync.down.b32 %r3|%p1, %r2, 3, 31, -1; shfl.sync.up.b32 %r4|%p2, %r2, 2, 0, -1;\n"
             "shfl.sync.bfly.b32 %r5, %r2, 5, 31, -1; shfl.sync.idx.b32 %r6, %r2, 7, 0x181f, -1;\n"
             "shl.b32 %r4, %r4, 6; shl.b32 %r5, %r5, 12; shl.b32 %r6, %r6, 18;\n"
             "or.b32 %r1, %r3, %r4; or.b32 %r1, %r1, %r5; or.b32 %r1, %r1, %r6;\n"
             "selp.u32 %r7, 0x40000000, 0, %p1; selp.u32 %r8, 0x80000000, 0, %p2;\n"
             "or.b32 %r1, %r1, %r7; or.b32 %r1, %r1, %r8;\n" TAIL, 1, 32, 0);
    for (i = 0; i < 32; i++) {
        unsigned down = i + 3 < 32 ? i + 3 : i, up = i >= 2 ? i - 2 : i;

        ck_assert_uint_eq(out[i], down | up << 6 | (i ^ 5) << 12 | ((i & 24) + 7) << 18 |
                                      (i + 3 < 32 ? 0x40000000u : 0) | (i >= 2 ? 0x80000000u : 0));
    }
}
END_TEST

/* Lanes that take no part give 0, as sums over a part of a warp expect. */
START_TEST(test_shuffle_from_outside)
{
    unsigned i;

    ok2(HEAD "mov.u32 %r1, 77; setp.lt.u32 %p1, %r2, 8; @!%p1 bra A;\n"
             "shfl.sync.down.b32 %r1, %r2, 4, 31, 0xff;\n"
             "A: add.u32 %r1, %r1, 1;\n" TAIL, 1, 32, 0);
    for (i = 0; i < 32; i++)
        ck_assert_uint_eq(out[i], i < 4 ? i + 5 : i < 8 ? 1 : 78);
}
END_TEST

START_TEST(test_diverged_sync)
{
    unsigned i;

    /* Lanes come to the same shuffle on different ways: they wait for each other.
     * Two halves of the warp then use masks of their own. */
    ok2(HEAD "and.b32 %r3, %r2, 1; setp.eq.u32 %p1, %r3, 0; mov.u32 %r9, %r2; @%p1 bra A;\n"
             "add.u32 %r9, %r9, 100; A: shfl.sync.bfly.b32 %r1, %r9, 1, 31, -1;\n"
             "setp.lt.u32 %p2, %r2, 16; selp.b32 %r4, 0xffff, 0xffff0000, %p2; @%p2 bra B;\n"
             "add.u32 %r1, %r1, 1000; B: vote.sync.ballot.b32 %r5, %p1, %r4;\n"
             "popc.b32 %r5, %r5; mad.lo.u32 %r1, %r5, 10000, %r1;\n" TAIL, 1, 32, 0);
    for (i = 0; i < 32; i++)
        ck_assert_uint_eq(out[i], (i ^ 1) + (i % 2 ? 0 : 100) + (i < 16 ? 0 : 1000) + 80000);
}
END_TEST

START_TEST(test_votes)
{
    unsigned i;

    ok2(HEAD "setp.lt.u32 %p1, %r2, 5; vote.sync.ballot.b32 %r3, %p1, -1;\n"
             "vote.sync.any.pred %p2, %p1, -1; vote.sync.all.pred %p3, %p1, -1;\n"
             "vote.sync.uni.pred %p4, %p1, -1; rem.u32 %r4, %r2, 3;\n"
             "match.any.sync.b32 %r5, %r4, -1; match.all.sync.b32 %r6|%p5, %r4, -1;\n"
             "redux.sync.add.u32 %r7, %r2, -1; redux.sync.max.s32 %r8, %r2, -1;\n"
             "selp.u32 %r10, 1, 0, %p2; selp.u32 %r11, 2, 0, %p3; selp.u32 %r12, 4, 0, %p4;\n"
             "selp.u32 %r13, 8, 0, %p5; add.u32 %r1, %r10, %r11; add.u32 %r1, %r1, %r12;\n"
             "add.u32 %r1, %r1, %r13; popc.b32 %r5, %r5; mad.lo.u32 %r1, %r5, 16, %r1;\n"
             "mad.lo.u32 %r1, %r3, 1024, %r1; mad.lo.u32 %r1, %r7, 65536, %r1;\n"
             "mad.lo.u32 %r1, %r8, 0x2000000, %r1; add.u32 %r1, %r1, %r6;\n" TAIL, 1, 32, 0);
    for (i = 0; i < 32; i++)
        ck_assert_uint_eq(out[i], 1u + (i % 3 < 2 ? 11u : 10u) * 16 + 31u * 1024 + 496u * 65536 +
                                      31u * 0x2000000u);
}
END_TEST

START_TEST(test_atomics)
{
    uint32_t *a = ptx_test_alloc(&t, 64);
    uint64_t *b = (uint64_t *)(void *)(a + 4);
    float *f = (float *)(void *)(a + 8);
    double *d = (double *)(void *)(a + 10);
    const unsigned n = 64 * 200;

    a[1] = 1000000;
    ok2(HEAD "atom.global.add.u32 %r3, [%rd2], 1; red.global.min.u32 [%rd2+4], %r2;\n"
             "red.global.max.s32 [%rd2+8], %r2; atom.global.inc.u32 %r4, [%rd2+12], 6;\n"
             "red.global.add.u64 [%rd2+16], 3; atom.add.f32 %f1, [%rd2+32], 0f3f800000;\n"
             "red.relaxed.gpu.global.add.f64 [%rd2+40], 0d3FE0000000000000;\n"
             "L: ld.relaxed.gpu.global.u32 %r5, [%rd2+48]; add.u32 %r6, %r5, 2;\n"
             "atom.global.cas.b32 %r7, [%rd2+48], %r5, %r6; setp.ne.u32 %p1, %r5, %r7; @%p1 bra L;\n"
             TAIL, 64, 200, (uint64_t)(uintptr_t)a);
    ck_assert_uint_eq(a[0], n);
    ck_assert_uint_eq(a[1], 0);
    ck_assert_uint_eq(a[2], 199);
    ck_assert_uint_eq(a[3], n % 7);
    ck_assert_uint_eq(b[0], 3ull * n);
    ck_assert(f[0] == (float)n);
    ck_assert(d[0] == n / 2);
    ck_assert_uint_eq(a[12], 2 * n);
}
END_TEST

START_TEST(test_spins)
{
    uint32_t *a = ptx_test_alloc(&t, 64);

    /* A lock that every lane of every warp takes in turn. */
    ok2(HEAD "L: atom.global.cas.b32 %r3, [%rd2], 0, 1; setp.ne.u32 %p1, %r3, 0; @%p1 bra L;\n"
             "ld.volatile.global.u32 %r4, [%rd2+4]; add.u32 %r4, %r4, 1;\n"
             "st.volatile.global.u32 [%rd2+4], %r4; membar.gl; atom.global.exch.b32 %r5, [%rd2], 0;\n"
             TAIL, 4, 64, (uint64_t)(uintptr_t)a);
    ck_assert_uint_eq(a[1], 256);
    /* CTA n waits for CTA n + 1: more CTAs than threads, in the wrong order. */
    memset(a, 0, 64);
    ok2(HEAD "mov.u32 %r3, %ctaid.x; sub.u32 %r4, 7, %r3;\n"
             "L: ld.acquire.gpu.global.u32 %r5, [%rd2]; setp.ne.u32 %p1, %r5, %r4; @%p1 bra L;\n"
             "st.release.gpu.global.u32 [%rd2+8], %r4; add.u32 %r5, %r5, 1;\n"
             "st.release.gpu.global.u32 [%rd2], %r5; mov.u32 %r1, %r4;\n" TAIL, 8, 1,
        (uint64_t)(uintptr_t)a);
    ck_assert_uint_eq(a[0], 8);
    ck_assert_uint_eq(out[0], 7);
}
END_TEST

START_TEST(test_calls)
{
    static const unsigned fib[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55};
    unsigned i;

    ok2(".func (.param .b32 r) fib(.param .b32 n) { .reg .pred %p<3>; .reg .b32 %r<9>;\n"
        "ld.param.u32 %r1, [n]; setp.lt.u32 %p1, %r1, 2; @%p1 bra D;\n"
        "{ .param .b32 a; .param .b32 b; add.s32 %r2, %r1, -1; st.param.b32 [a], %r2;\n"
        "call.uni (b), fib, (a); ld.param.b32 %r3, [b]; }\n"
        "{ .param .b32 a; .param .b32 b; add.s32 %r2, %r1, -2; st.param.b32 [a], %r2;\n"
        "call.uni (b), fib, (a); ld.param.b32 %r4, [b]; }\n"
        "add.u32 %r1, %r3, %r4; D: st.param.b32 [r], %r1; ret; }\n" HEAD
        "rem.u32 %r3, %r2, 11; { .param .b32 a; .param .b32 b; st.param.b32 [a], %r3;\n"
        "call (b), fib, (a); ld.param.b32 %r1, [b]; }\n" TAIL, 1, 64, 0);
    for (i = 0; i < 64; i++)
        ck_assert_uint_eq(out[i], fib[i % 11]);
    /* Register parameters, and addresses of functions in a table. */
    ok2(".func (.reg .b32 o) f1(.reg .b32 x) { add.u32 o, x, 1; ret; }\n"
        ".func (.reg .b32 o) f2(.reg .b32 x) { mul.lo.u32 o, x, 3; ret; }\n"
        ".global .u64 table[2] = {f1, f2};\n" HEAD
        "and.b32 %r3, %r2, 1; mul.wide.u32 %rd3, %r3, 8; mov.u64 %rd4, table;\n"
        "add.u64 %rd4, %rd4, %rd3; ld.global.u64 %rd5, [%rd4];\n"
        "P: .callprototype (.reg .b32 _) _ (.reg .b32 _); call (%r1), %rd5, (%r2), P;\n" TAIL, 1, 40,
        0);
    for (i = 0; i < 40; i++)
        ck_assert_uint_eq(out[i], i % 2 ? i * 3 : i + 1);
}
END_TEST

START_TEST(test_bad_calls)
{
    ck_assert_int_eq(run2(HEAD "P: .callprototype _ (); mov.u64 %rd5, 64; call %rd5, (), P;\n" TAIL, 1,
                          32, 0),
                     PTX_FAULT_PC);
    ck_assert_int_eq(run2(".func f() { .local .b8 big[256]; call f, (); ret; }\n" HEAD
                          "call f, ();\n" TAIL, 1, 32, 0),
                     PTX_FAULT_STACK);
}
END_TEST

START_TEST(test_local_memory)
{
    unsigned i;

    ok2(HEAD ".local .align 8 .b8 depot[64]; mov.u64 %rd3, depot; cvta.local.u64 %rd4, %rd3;\n"
             "and.b32 %r3, %r2, 7; mul.wide.u32 %rd5, %r3, 8; add.u64 %rd6, %rd3, %rd5;\n"
             "st.local.v2.u32 [%rd6], {%r2, %r3}; add.u64 %rd7, %rd4, %rd5; ld.u32 %r1, [%rd7];\n"
             "isspacep.local %p1, %rd7; isspacep.global %p2, %rd7; @%p1 add.u32 %r1, %r1, 1000;\n"
             "@%p2 add.u32 %r1, %r1, 5000; ld.local.u8 %r4, [%rd6+4]; add.u32 %r1, %r1, %r4;\n" TAIL,
        1, 64, 0);
    for (i = 0; i < 64; i++)
        ck_assert_uint_eq(out[i], i + 1000 + (i & 7));
}
END_TEST

START_TEST(test_address_faults)
{
    unsigned char *a = ptx_test_alloc(&t, 4096);
    uint64_t at = (uint64_t)(uintptr_t)a;

    ck_assert_int_eq(run2(HEAD "setp.eq.u32 %p1, %r2, 9; @%p1 ld.global.u32 %r1, [%rd2];\n" TAIL, 1, 32,
                          0x1000),
                     PTX_FAULT_ADDRESS);
    ck_assert_uint_eq(t.result.address, 0x1000);
    ck_assert_uint_eq(t.result.thread[0], 9);
    ck_assert_uint_eq(t.result.line, 8);
    ck_assert_str_eq(t.result.func_name, "k");
    ck_assert_int_eq(run2(HEAD "ld.global.u32 %r1, [%rd2+4092];\n" TAIL, 1, 32, at), PTX_OK);
    ck_assert_int_eq(run2(HEAD "ld.global.u32 %r1, [%rd2+4096];\n" TAIL, 1, 32, at),
                     PTX_FAULT_ADDRESS);
    ck_assert_int_eq(run2(HEAD "st.global.u32 [%rd2+2], %r1;\n" TAIL, 1, 32, at),
                     PTX_FAULT_MISALIGNED);
    ck_assert_int_eq(run2(HEAD "ld.global.v4.u32 {%r3, %r4, %r5, %r6}, [%rd2+8];\n" TAIL, 1, 32, at),
                     PTX_FAULT_MISALIGNED);
    ck_assert_int_eq(run2(HEAD "st.u32 [%rd2], %r1;\n" TAIL, 1, 32, UINT64_MAX - 3),
                     PTX_FAULT_ADDRESS);
    ck_assert_int_eq(run2(HEAD "ld.shared.u32 %r1, [%r2];\n" TAIL, 1, 1, 0), PTX_FAULT_ADDRESS);
    ck_assert_int_eq(run2(HEAD "ld.local.u32 %r1, [%rd2];\n" TAIL, 1, 1, 1 << 20),
                     PTX_FAULT_ADDRESS);
    t.map[(a - t.arena) / PTX_TEST_PAGE] = PTX_PAGE_RO;
    ck_assert_int_eq(run2(HEAD "ld.global.u32 %r1, [%rd2];\n" TAIL, 1, 32, at), PTX_OK);
    ck_assert_int_eq(run2(HEAD "st.global.u32 [%rd2], %r1;\n" TAIL, 1, 32, at), PTX_FAULT_ADDRESS);
    ck_assert_int_eq(run2(HEAD "atom.global.add.u32 %r1, [%rd2], 1;\n" TAIL, 1, 32, at),
                     PTX_FAULT_ADDRESS);
}
END_TEST

START_TEST(test_host_range)
{
    uint32_t host[64];
    struct ptx_range r = {(uint64_t)(uintptr_t)host, (uint64_t)(uintptr_t)(host + 64)};

    t.space.ranges = &r;
    t.space.nranges = 1;
    memset(host, 0, sizeof(host));
    ok2(HEAD "mul.wide.u32 %rd3, %r2, 4; add.u64 %rd3, %rd3, %rd2; st.global.u32 [%rd3], %r2;\n" TAIL,
        1, 64, r.lo);
    ck_assert_uint_eq(host[63], 63);
    ck_assert_int_eq(run2(HEAD "st.global.u32 [%rd2], %r2;\n" TAIL, 1, 1, r.hi), PTX_FAULT_ADDRESS);
}
END_TEST

#define PRINTF ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"

START_TEST(test_printf)
{
    ok2(PRINTF
        ".global .align 1 .b8 fmt[40] = {37, 100, 32, 37, 53, 46, 50, 102, 124, 37, 45, 52, 115, 124,\n"
        " 37, 35, 108, 108, 120, 32, 37, 99, 37, 37, 32, 37, 48, 51, 117, 10, 0};\n"
        ".global .align 1 .b8 str[4] = {97, 98, 0};\n" HEAD
        ".local .align 8 .b8 a[48]; mov.u64 %rd3, a; cvta.local.u64 %rd4, %rd3;\n"
        "add.s32 %r3, %r2, -3; st.local.u32 [%rd3], %r3; st.local.f64 [%rd3+8], 0d400A000000000000;\n"
        "mov.u64 %rd5, str; cvta.global.u64 %rd5, %rd5; st.local.u64 [%rd3+16], %rd5;\n"
        "st.local.u64 [%rd3+24], 0x123456789ab; mov.u32 %r4, 90; st.local.u32 [%rd3+32], %r4;\n"
        "st.local.u32 [%rd3+36], %r2; mov.u64 %rd6, fmt; cvta.global.u64 %rd6, %rd6;\n"
        "{ .param .b64 p0; .param .b64 p1; .param .b32 q; st.param.b64 [p0], %rd6;\n"
        "st.param.b64 [p1], %rd4; call.uni (q), vprintf, (p0, p1); ld.param.b32 %r1, [q]; }\n" TAIL,
        1, 2, 0);
    ck_assert_str_eq(t.out, "-3  3.25|ab  |0x123456789ab Z% 000\n-2  3.25|ab  |0x123456789ab Z% 001\n");
    ck_assert_uint_eq(out[0], 6);
}
END_TEST

START_TEST(test_printf_hostile)
{
    /* Formats full of nonsense, and pointers to nowhere. */
    ck_assert_int_eq(run2(PRINTF ".global .align 1 .b8 fmt[5] = {37, 115, 0};\n" HEAD
                          ".local .align 8 .b8 a[8]; mov.u64 %rd3, a; cvta.local.u64 %rd4, %rd3;\n"
                          "st.local.u64 [%rd3], 4096; mov.u64 %rd6, fmt;\n"
                          "{ .param .b64 p0; .param .b64 p1; .param .b32 q; st.param.b64 [p0], %rd6;\n"
                          "st.param.b64 [p1], %rd4; call (q), vprintf, (p0, p1); }\n" TAIL, 1, 1, 0),
                     PTX_FAULT_ADDRESS);
    ok2(PRINTF ".global .align 1 .b8 fmt[40] = {37, 57, 57, 57, 57, 57, 57, 57, 57, 57, 57, 57, 46, 57,\n"
        "57, 57, 57, 57, 57, 102, 37, 110, 37, 35, 35, 43, 45, 48, 104, 104, 108, 113, 122, 37, 0};\n"
        HEAD ".local .align 8 .b8 a[64]; mov.u64 %rd3, a; cvta.local.u64 %rd4, %rd3;\n"
        "mov.u64 %rd6, fmt; { .param .b64 p0; .param .b64 p1; .param .b32 q; st.param.b64 [p0], %rd6;\n"
        "st.param.b64 [p1], %rd4; call (q), vprintf, (p0, p1); }\n" TAIL, 1, 1, 0);
}
END_TEST

START_TEST(test_traps)
{
    ck_assert_int_eq(run2(HEAD "setp.eq.u32 %p1, %r2, 33; @%p1 trap;\n" TAIL, 1, 64, 0),
                     PTX_FAULT_TRAP);
    ck_assert_uint_eq(t.result.thread[0], 33);
    ck_assert_int_eq(
        run2(".extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d,"
             ".param .b64 e);\n.global .align 1 .b8 m[4] = {120, 61, 49, 0};\n" HEAD
             "mov.u64 %rd3, m; { .param .b64 a; .param .b64 b; .param .b32 c; .param .b64 d;\n"
             ".param .b64 e; st.param.b64 [a], %rd3; st.param.b64 [b], %rd3; st.param.b32 [c], 7;\n"
             "st.param.b64 [d], %rd3; st.param.b64 [e], 1; call __assertfail, (a, b, c, d, e); }\n" TAIL,
             1, 1, 0),
        PTX_FAULT_ASSERT);
    ck_assert_ptr_nonnull(strstr(t.result.message, "x=1"));
    ck_assert_ptr_nonnull(strstr(t.out, "Assertion `x=1` failed"));
}
END_TEST

static void *cancel_soon(void *arg)
{
    usleep(50000);
    *(volatile int *)arg = 1;
    return NULL;
}

START_TEST(test_cancel)
{
    pthread_t thread;

    pthread_create(&thread, NULL, cancel_soon, (void *)(uintptr_t)&t.cancel);
    ck_assert_int_eq(run2(HEAD "L: bra L;\n" TAIL, 16, 64, 0), PTX_FAULT_CANCELLED);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(test_grid_barrier)
{
    uint32_t *a = ptx_test_alloc(&t, 64);
    unsigned i;

    /* Every CTA waits until all have come: they must all be there. */
    t.cooperative = 1;
    ok2(HEAD "setp.ne.u32 %p1, %r2, 0; @%p1 bra W; atom.global.add.u32 %r3, [%rd2], 1;\n"
             "L: ld.volatile.global.u32 %r4, [%rd2]; setp.lt.u32 %p2, %r4, 200; @%p2 bra L;\n"
             "W: bar.sync 0; ld.global.u32 %r1, [%rd2];\n" TAIL, 200, 64, (uint64_t)(uintptr_t)a);
    for (i = 0; i < 200 * 64; i++)
        ck_assert_uint_eq(out[i], 200);
}
END_TEST

START_TEST(test_dynamic_shared)
{
    uint64_t params[1];

    ck_assert_int_eq(ptx_test_load_body(&t,
        ".extern .shared .align 16 .b8 dyn[];\n"
        ".visible .entry k(.param .u64 out) { .reg .b32 %r<9>; .reg .b64 %rd<9>;\n"
        ".shared .align 4 .b8 fixed[20]; mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2;\n"
        "mov.u32 %r3, dyn; add.u32 %r4, %r3, %r2; st.shared.u32 [%r4], %r1; bar.sync 0;\n"
        "xor.b32 %r5, %r2, 124; add.u32 %r5, %r3, %r5; ld.shared.u32 %r6, [%r5];\n"
        "mov.u32 %r7, %dynamic_smem_size; mad.lo.u32 %r6, %r3, 100, %r6; mad.lo.u32 %r6, %r7, 10000,\n"
        "%r6; ld.param.u64 %rd1, [out]; mul.wide.u32 %rd2, %r1, 4; add.u64 %rd1, %rd1, %rd2;\n"
        "st.global.u32 [%rd1], %r6; ret; }"), 0);
    out = ptx_test_alloc(&t, 128);
    params[0] = (uint64_t)(uintptr_t)out;
    ck_assert_int_eq(ptx_test_run(&t, "k", 1, 32, 128, params, 1), PTX_OK);
    ck_assert_uint_eq(out[0], 1280000 + 3200 + 31);
    ck_assert_int_eq(ptx_test_run(&t, "k", 1, 32, 64, params, 1), PTX_FAULT_ADDRESS);
}
END_TEST

static void *launch_many(void *arg)
{
    struct ptx_test *mine = arg;
    uint64_t params[2] = {(uint64_t)(uintptr_t)out, (uint64_t)(uintptr_t)out};
    struct ptx_launch l;
    struct ptx_result r;
    int i;

    memset(&l, 0, sizeof(l));
    l.module = mine->module;
    l.grid[0] = 8;
    l.block[0] = 128;
    l.grid[1] = l.grid[2] = l.block[1] = l.block[2] = 1;
    l.params = params;
    l.param_size = 16;
    l.space = &mine->space;
    for (i = 0; i < 50; i++)
        if (ptx_launch(mine->pool, &l, &r) || r.fault != PTX_OK)
            return arg;
    return NULL;
}

START_TEST(test_concurrent_launches)
{
    pthread_t threads[4];
    void *bad;
    int i;

    ck_assert_int_eq(ptx_test_load_body(&t, HEAD "atom.global.add.u32 %r3, [%rd2], 1; ret; }"), 0);
    out = ptx_test_alloc(&t, 4096);
    for (i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, launch_many, &t);
    for (i = 0; i < 4; i++) {
        pthread_join(threads[i], &bad);
        ck_assert_ptr_null(bad);
    }
    ck_assert_uint_eq(out[0], 4 * 50 * 8 * 128);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_loops, test_reconverge, test_exit_and_guards, test_switch, test_barrier,
        test_named_barriers, test_deadlock, test_shuffle, test_shuffle_from_outside,
        test_diverged_sync, test_votes, test_atomics, test_spins, test_calls, test_bad_calls, test_local_memory,
        test_address_faults, test_host_range, test_printf, test_printf_hostile, test_traps,
        test_cancel, test_grid_barrier, test_dynamic_shared, test_concurrent_launches};
    Suite *s = suite_create("ptx execution");
    TCase *c = tcase_create("kernels");
    SRunner *r;
    size_t i;
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(c, tests[i]);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
