/* SPDX-License-Identifier: MIT */
/* Modules: what loads, what is told about it, how errors name their line, and
 * thousands of damaged texts, loaded and run. */
#include "ptx_harness.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ptx_test t;

static void setup(void) { ptx_test_init(&t, 1); }
static void teardown(void) { ptx_test_fini(&t); }

#define V ".version 8.0\n.target sm_75\n.address_size 64\n"
#define K V ".entry k(.param .u64 p)\n{\n.reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .pred %p<3>;\n"

static const struct {
    const char *text;
    const char *log;
} bad[] = {
    {"", "line 1: unexpected end"},
    {"\n\nhello", "line 3: unexpected 'hello'"},
    {".version 8.0\n.target foo\n", "line 2"},
    {V ".address_size 32\n", "line 4: only .address_size 64"},
    {V ".entry k(", "unexpected end"},
    {V ".entry k() {", "unexpected end"},
    {K "add.s32 %r1, %r2;\n}", "line 7: wrong number of operands in 'add.s32'"},
    {K "\nadd.s32 %r1, %r2, %r3\n}", "line 9: unexpected '}'"},
    {K "add.s32 %r1, %r2, %r99;\n}", "line 7: unknown register '%r99'"},
    {K "add.s32 %r1, %rd2, %r3;\n}", "line 7: register of type .b64 does not fit"},
    {K "\n\nwgmma.mma_async.sync.aligned %r1;\n}", "line 9: unsupported instruction 'wgmma.mma_async"},
    {K "add.q77 %r1, %r2, %r3;\n}", "line 7: unsupported instruction 'add.q77'"},
    {K "istypep.texref %p1, %rd1;\n}", "line 7: unsupported instruction 'istypep"},
    {K "tex.2dms.v4.s32.s32 {%r1, %r2, %r3, %r4}, [%rd1, {%r1, %r2, %r3, %r4}];\n}",
     "line 7: unsupported instruction 'tex.2dms"},
    {K "tex.2d.v4.f32.f32 {%r1, %r2, %r3, %r4}, [%rd1, %rd2, {%r1, %r2}];\n}",
     "line 7: unsupported instruction 'tex.2d"},
    {K "tex.2d.v4.f32.f32 {%r1, %r2, %r3, %r4}, [%rd1, {%r1}];\n}", "number of coordinates"},
    {K "sust.p.2d.v4.b32.trap [%rd1, {%r1, %r2}], {%r1, %r2, %r3, %r4};\n}",
     "line 7: unsupported instruction 'sust.p"},
    {K "sust.b.2d.b32 [%rd1, {%r1, %r2}], %r3;\n}", "line 7: unsupported instruction 'sust.b"},
    {K "add.s32.bogus %r1, %r2, %r3;\n}", "unsupported instruction 'add.s32.bogus'"},
    {K "bra NOWHERE;\n}", "line 7: unknown label 'NOWHERE'"},
    {K "A: A: ret;\n}", "line 7: duplicate definition of 'A'"},
    {K "@%r1 ret;\n}", "line 7: unexpected '%r1', expected a predicate"},
    {K "@%p1 @%p1 ret;\n}", "line 7"},
    {K "call f, ();\n}", "line 7"},
    {V ".extern .func f();\n.entry k()\n{\ncall f, ();\n}", "line 7: unresolved function 'f'"},
    {V ".extern .global .u32 x;\n.entry k()\n{ .reg .b64 %rd<2>;\nmov.u64 %rd1, x; }",
     "line 7: unresolved variable 'x'"},
    {K "ld.param.u32 %r1, [p+8];\n}", "line 7: access beyond the end of 'p'"},
    {K "ld.param.u32 %r1, [p+-4];\n}", "line 7"},
    {K ".local .b8 a[8]; st.local.u64 [a+4], %rd1;\n}", "line 7: access beyond the end of 'a'"},
    {V ".global .u32 a[2] = {1, 2, 3};\n", "line 4: too many initial values"},
    {V ".global .u32 a; .global .u32 a;\n", "duplicate definition"},
    {V ".shared .b8 a[99999999];\n", "too much shared memory"},
    {V ".global .b8 a[99999999999999];\n", "too large"},
    {V ".global .b8 a[4294967296][4294967296];\n", "too large"},
    {V ".global .align 3 .b8 a;\n", "bad alignment"},
    {V ".reg .b32 %r<4>;\n.entry k() { mov.b32 %r1, 0; }", "line 4: unexpected '.reg'"},
    {V ".const .u32 x = \x01;\n", "line 4"},
    {K "mov.b64 {%r1, %r2, %r3}, %rd1;\n}", "bad vector"},
    {K "lop3.b32 %r1, %r2, %r3, %r4, %r5;\n}", "truth table"},
    {K "ld.global.v3.u32 {%r1, %r2, %r3}, [%rd1];\n}", "line 7"},
    {K "atom.global.add.b16 %r1, [%rd1], %r2;\n}", "unsupported instruction"},
    {K "/* never closed", "unexpected end"},
    {V ".func a(); .func b() { call a, (); ret; }\n", "unresolved function 'a'"},
};

START_TEST(test_errors)
{
    struct ptx_module *m = NULL;
    char log[256];
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int err = ptx_module_new(&m, bad[i].text, strlen(bad[i].text), log, sizeof(log));

        ck_assert_msg(err == -EINVAL || err == -E2BIG, "%s\nloaded (%d)", bad[i].text, err);
        ck_assert_msg(strstr(log, bad[i].log) != NULL, "%s\nlog '%s' lacks '%s'", bad[i].text, log,
                      bad[i].log);
        ck_assert_ptr_null(m);
        ck_assert_int_eq(ptx_module_new(&m, bad[i].text, strlen(bad[i].text), NULL, 0), err);
    }
}
END_TEST

START_TEST(test_info)
{
    const struct ptx_func_info *f;
    const struct ptx_global_info *g;
    struct ptx_module_info info;

    ck_assert_int_eq(
        ptx_test_load(&t, ".version 8.3\n.target sm_80, debug\n.address_size 64\n.file 1 \"x.cu\"\n"
            ".visible .global .align 8 .b8 table[24];\n.const .align 4 .f32 c = 0f3F800000;\n"
            ".weak .global .attribute(.managed) .align 4 .u32 m = 7;\n"
            ".visible .entry big(.param .u8 a, .param .align 8 .b8 b[20], .param .u64 .ptr .global"
            " .align 16 c, .param .f32 d) .maxntid 128, 2, 1 .minnctapersm 3 {\n"
            ".shared .align 16 .b8 s[100]; .local .align 8 .b8 l[40]; .loc 1 2 3\n ret; }\n"
            ".func helper() { ret; }\n.entry two() .reqntid 64 { ret; }\n"
            ".section .debug_abbrev { .b8 1, 2\n .b32 label }\n"), 0);
    ptx_module_get_info(t.module, &info);
    ck_assert_uint_eq(info.version_major * 10 + info.version_minor, 83);
    ck_assert_uint_eq(info.target, 80);
    ck_assert_uint_eq(info.nfuncs, 3);
    ck_assert_uint_eq(info.nglobals, 3);
    f = ptx_module_func(t.module, (uint32_t)ptx_module_find_func(t.module, "big"));
    ck_assert_uint_eq(f->nparams, 4);
    ck_assert_uint_eq(f->params[1].offset, 8);
    ck_assert_uint_eq(f->params[1].size, 20);
    ck_assert_uint_eq(f->params[2].offset, 32);
    ck_assert_uint_eq(f->params[3].offset, 40);
    ck_assert_uint_eq(f->param_bytes, 44);
    ck_assert_uint_eq(f->static_shared, 100);
    ck_assert_uint_ge(f->local_bytes, 40);
    ck_assert_uint_eq(f->max_threads, 256);
    ck_assert_uint_eq(f->minnctapersm, 3);
    ck_assert_uint_eq(ptx_module_func(t.module, (uint32_t)ptx_module_find_func(t.module, "two"))
                          ->reqntid[0], 64);
    ck_assert_int_eq(ptx_module_find_func(t.module, "helper"), -ENOENT);
    ck_assert_int_eq(ptx_module_find_global(t.module, "c"), -ENOENT);
    g = ptx_module_global(t.module, (uint32_t)ptx_module_find_global(t.module, "table"));
    ck_assert_uint_eq(g->size, 24);
    g = ptx_module_global(t.module, (uint32_t)ptx_module_find_global(t.module, "m"));
    ck_assert(g->is_managed && !g->is_const);
    ck_assert_ptr_null(ptx_module_func(t.module, 99));
    ck_assert_ptr_null(ptx_module_global(t.module, 99));
}
END_TEST

START_TEST(test_initial_values)
{
    const unsigned char *p;
    const uint64_t *q;
    int i;

    ck_assert_int_eq(ptx_test_load(&t, V
        ".global .u32 x = 5;\n.visible .global .u64 ptr[2] = {generic(x), x+8};\n"
        ".visible .const .f64 d[3] = {1.5, 0d4000000000000000, -2.0};\n"
        ".visible .global .align 8 .b8 split[8] = {0xFF(x), 0xFF00(x), 0xFF0000(x), 0xFF000000(x),\n"
        "0xFF00000000(x), 0xFF0000000000(x), 0xFF000000000000(x), 0xFF00000000000000(x)};\n"
        ".visible .global .s16 two[2][2] = {{1, -2}, {3, 4}};\n"), 0);
    q = ptx_module_global_image(t.module, (uint32_t)ptx_module_find_global(t.module, "ptr"));
    ck_assert_uint_eq(q[1], q[0] + 8);
    ck_assert_uint_eq(*(uint32_t *)(uintptr_t)q[0], 5);
    p = ptx_module_global_image(t.module, (uint32_t)ptx_module_find_global(t.module, "split"));
    ck_assert_mem_eq(p, q, 8);
    q = ptx_module_global_image(t.module, (uint32_t)ptx_module_find_global(t.module, "d"));
    ck_assert(ptx_f64(q[0]) == 1.5 && ptx_f64(q[1]) == 2.0 && ptx_f64(q[2]) == -2.0);
    i = ptx_module_find_global(t.module, "two");
    ck_assert_int_eq(((const int16_t *)ptx_module_global_image(t.module, (uint32_t)i))[1], -2);
}
END_TEST

START_TEST(test_units)
{
    static const char *const one =
        V ".extern .func (.param .b32 r) twice(.param .b32 x);\n.extern .global .u32 base;\n"
          ".func (.param .b32 r) own(.param .b32 x) { .reg .b32 %r<2>; ld.param.u32 %r1, [x];\n"
          "add.u32 %r1, %r1, 1; st.param.b32 [r], %r1; ret; }\n"
          ".visible .entry k(.param .u64 p) { .reg .b32 %r<9>; .reg .b64 %rd<9>;\n"
          "ld.param.u64 %rd1, [p]; ld.global.u32 %r1, [base];\n"
          "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call (b), twice, (a);\n"
          "ld.param.b32 %r2, [b]; }\n"
          "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r2; call (b), own, (a);\n"
          "ld.param.b32 %r2, [b]; } st.global.u32 [%rd1], %r2; ret; }\n";
    static const char *const two =
        V ".visible .global .u32 base = 20;\n"
          ".func (.param .b32 r) own(.param .b32 x) { .reg .b32 %r<2>; ld.param.u32 %r1, [x];\n"
          "shl.b32 %r1, %r1, 1; st.param.b32 [r], %r1; ret; }\n"
          ".visible .func (.param .b32 r) twice(.param .b32 x) { .reg .b32 %r<2>;\n"
          "ld.param.u32 %r1, [x]; { .param .b32 a; .param .b32 b; st.param.b32 [a], %r1;\n"
          "call (b), own, (a); ld.param.b32 %r1, [b]; } st.param.b32 [r], %r1; ret; }\n";
    struct ptx_source src[2] = {{"one", one, strlen(one)}, {"two", two, strlen(two)}};
    uint64_t params[1];
    uint32_t *out;

    ptx_module_free(t.module);
    t.module = NULL;
    ck_assert_int_eq(ptx_module_new_linked(&t.module, src, 1, t.log, sizeof(t.log)), -EINVAL);
    ck_assert_ptr_nonnull(strstr(t.log, "'base'"));
    ck_assert_msg(ptx_module_new_linked(&t.module, src, 2, t.log, sizeof(t.log)) == 0, "%s", t.log);
    out = ptx_test_alloc(&t, 64);
    out[1] = 20;
    ck_assert_int_eq(ptx_module_link(t.module), -EINVAL);
    ck_assert_int_eq(ptx_module_bind_global(t.module, 0, (uint64_t)(uintptr_t)(out + 1) + 1),
                     -EINVAL);
    ck_assert_int_eq(ptx_module_bind_global(t.module, 0, (uint64_t)(uintptr_t)(out + 1)), 0);
    ck_assert_int_eq(ptx_module_link(t.module), 0);
    params[0] = (uint64_t)(uintptr_t)out;
    ck_assert_int_eq(ptx_test_run(&t, "k", 1, 1, 0, params, 1), PTX_OK);
    ck_assert_uint_eq(out[0], 41);
    src[0] = src[1];
    ck_assert_int_eq(ptx_module_new_linked(&t.module, src, 2, t.log, sizeof(t.log)), -EINVAL);
    ck_assert_ptr_nonnull(strstr(t.log, "duplicate definition"));
}
END_TEST

START_TEST(test_launch_arguments)
{
    struct ptx_launch l;
    struct ptx_result r;
    uint64_t p = 0;

    ck_assert_int_eq(ptx_test_load(&t, K "ret;\n}\n"), 0);
    memset(&l, 0, sizeof(l));
    l.module = t.module;
    l.grid[0] = l.grid[1] = l.grid[2] = l.block[0] = l.block[1] = l.block[2] = 1;
    l.params = &p;
    l.param_size = 8;
    l.space = &t.space;
    ck_assert_int_eq(ptx_launch(t.pool, &l, &r), 0);
    l.block[0] = 1025;
    ck_assert_int_eq(ptx_launch(t.pool, &l, &r), -EINVAL);
    l.block[0] = 0;
    ck_assert_int_eq(ptx_launch(t.pool, &l, &r), -EINVAL);
    l.block[0] = 1;
    l.param_size = 4;
    ck_assert_int_eq(ptx_launch(t.pool, &l, &r), -EINVAL);
    l.param_size = 8;
    l.dynamic_shared = 300000;
    ck_assert_int_eq(ptx_launch(t.pool, &l, &r), -EINVAL);
    l.dynamic_shared = 0;
    l.func = 5;
    ck_assert_int_eq(ptx_launch(t.pool, &l, &r), -EINVAL);
}
END_TEST

/* ------------------------------------------------------------- damaged texts */

static const char sample[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
    ".global .align 4 .u32 g[4] = {1, 2, 3, 4};\n.const .f32 c = 0f40490FDB;\n"
    ".extern .shared .align 16 .b8 dyn[];\n.shared .align 8 .b8 st[64];\n"
    ".func (.param .b32 r) add1(.param .b32 x) { .reg .b32 %r<4>; .reg .pred %p<2>;\n"
    "ld.param.u32 %r1, [x]; add.u32 %r1, %r1, 1; setp.gt.u32 %p1, %r1, 40; @%p1 bra E;\n"
    "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call (b), add1, (a);\n"
    "ld.param.b32 %r1, [b]; } E: st.param.b32 [r], %r1; ret; }\n"
    ".global .u64 fp = add1;\n.visible .entry k(.param .u64 out, .param .align 8 .b8 s[16]) {\n"
    ".reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<30>; .reg .b64 %rd<30>; .reg .f32 %f<9>;\n"
    ".local .align 8 .b8 depot[32];\n"
    "ld.param.u64 %rd1, [out]; ld.param.v2.u32 {%r20, %r21}, [s]; mov.u32 %r1, %tid.x;\n"
    "mov.u32 %r2, 0; mov.u64 %rd3, depot; cvta.local.u64 %rd4, %rd3; mov.u32 %r5, st;\n"
    "L: add.u32 %r2, %r2, 1; setp.lt.u32 %p1, %r2, %r1; @%p1 bra L;\n"
    "and.b32 %r3, %r1, 3; T: .branchtargets A, B, A, C; brx.idx %r3, T;\n"
    "A: mul.wide.u32 %rd5, %r1, 4; add.u64 %rd5, %rd5, %rd1; st.global.u32 [%rd5], %r2; bra C;\n"
    "B: shl.b32 %r6, %r1, 1; and.b32 %r6, %r6, 60; add.u32 %r6, %r6, %r5;\n"
    "atom.shared.add.u32 %r7, [%r6], 1; C: bar.sync 0;\n"
    "shfl.sync.down.b32 %r8|%p2, %r2, 1, 31, -1; vote.sync.ballot.b32 %r9, %p2, -1;\n"
    "cvt.rn.f32.u32 %f1, %r8; ld.const.f32 %f2, [c]; fma.rn.f32 %f3, %f1, %f2, %f1;\n"
    "cvt.rn.f16.f32 %h1, %f3; sin.approx.f32 %f4, %f3; mov.b64 %rd6, {%r8, %r9};\n"
    "st.local.v2.u32 [%rd3+8], {%r8, %r9}; ld.u64 %rd7, [%rd4+8]; popc.b64 %r10, %rd7;\n"
    "ld.global.u64 %rd8, [fp]; { .param .b32 a; .param .b32 b; st.param.b32 [a], %r3;\n"
    "P: .callprototype (.param .b32 _) _ (.param .b32 _); call (b), %rd8, (a), P;\n"
    "ld.param.b32 %r11, [b]; } mov.u64 %rd9, g; ld.global.v4.u32 {%r12, %r13, _, %r14}, [%rd9];\n"
    "lop3.b32 %r15, %r11, %r12, %r13, 0x96; div.s32 %r16, %r15, %r14; prmt.b32 %r17, %r16, %r15, 0x123;\n"
    "@!%p2 st.global.u32 [%rd1], %r17; exit; }\n";

static uint64_t state;

static uint32_t rng(void)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33);
}

static const char *const words[] = {
    "%r1", "%rd1", "%p1", "%h1", "0", "-1", "4294967295", "0x7fffffffffffffff", "[%rd1]", "{", "}",
    "(", ")", ";", ",", ".b8", ".b64", ".f64", ".u8", ".v4", "bra L;", "ret;", "call (b), add1, (a);",
    "bar.sync 0;", "bar.sync 1, 32;", "@%p1", "@!%p2", "[depot+28]", "[st]", "[dyn]", "%tid.x", "g", "add1",
    ".shared", ".local", ".param", "st.u32 [%rd4], %r1;", "ld.u32 %r1, [%rd4+-4];", "|", "!", "_", "%laneid",
    "shfl.sync.idx.b32 %r1, %r2, %r3, %r4, %r5;", "match.any.sync.b32 %r1, %r2, %r3;", "exit;", "\"", "/*",
    "0f7F800000", "st.param.b32 [a], %r1;", "brx.idx %r1, T;", "vote.sync.all.pred %p1, %p2, %r1;",
    "bar.red.popc.u32 %r1, 0, %p1;", "nanosleep.u32 1;", ".reg .b32 z;", "trap;", "bar.warp.sync %r1;",
    "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%r1,%r2,%r3,%r6},{%r7,%r8},{%r9},{%r1,%r2,%r3,%r6};",
    "wmma.store.d.sync.aligned.row.m16n16k16.f16 [%rd4], {%r1,%r2,%r3,%r6}, %r7;",
    "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r1,%r2}, [%r5];", "alloca.u64 %rd3, %rd7;",
    "mbarrier.init.shared.b64 [%r5], %r1;", "mbarrier.arrive.shared.b64 %rd6, [%r5];",
    "mbarrier.try_wait.shared.b64 %p1, [%r5], %rd6;", "cp.async.ca.shared.global [%r6], [%rd9], 8, %r1;",
    "redux.sync.add.u32 %r1, %r2, %r3;", "vadd4.u32.s32.u32.sat %r1, %r2, %r3, %r6;",
    "st.global.v4.u32 [%rd1+16], {%r1, %r2, %r3, %r6};", "atom.cas.b64 %rd6, [%rd4+8], %rd7, %rd8;"};

static int is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '%' ||
           c == '_' || c == '.';
}

/* The word at or after a random place: its start, and its length. */
static size_t pick_word(const char *text, size_t n, size_t *len)
{
    size_t at = 60 + rng() % (n - 100), end;

    while (at > 0 && is_word(text[at - 1]))
        at--;
    while (at < n && !is_word(text[at]))
        at++;
    for (end = at; end < n && is_word(text[end]); end++)
        ;
    *len = end - at;
    return at;
}

static size_t replace(char *text, size_t n, size_t cap, size_t at, size_t old, const char *with,
                      size_t len)
{
    char copy[128];

    if (len > sizeof(copy) || n - old + len > cap)
        return n;
    memcpy(copy, with, len);
    memmove(text + at + len, text + at + old, n - at - old);
    memcpy(text + at, copy, len);
    return n - old + len;
}

/* A word becomes another of its kind, mostly: a text that may load and go wrong. */
static size_t damage_word(char *text, size_t n, size_t cap)
{
    size_t len, from_len, at = pick_word(text, n, &len), from = 0, w;
    int tries;

    if (text[at] >= '0' && text[at] <= '9') {
        text[at] = (char)('0' + rng() % 10);
        return n;
    }
    for (tries = 0; tries < 200; tries++) {
        from = pick_word(text, n, &from_len);
        if (text[from] == text[at] && (text[at] != '%' || text[from + 1] == text[at + 1]))
            return replace(text, n, cap, at, len, text + from, from_len);
    }
    w = rng() % (sizeof(words) / sizeof(words[0]));
    return replace(text, n, cap, at, len, words[w], strlen(words[w]));
}

static size_t damage_bytes(char *text, size_t n, size_t cap)
{
    size_t at = rng() % n, len = rng() % 12 + 1, w;

    if (at + len > n)
        len = n - at;
    switch (rng() % 4) {
    case 0:
        text[at] = (char)rng();
        return n;
    case 1:
        return replace(text, n, cap, at, len, "", 0);
    case 2: /* a statement more, behind another one */
        w = rng() % (sizeof(words) / sizeof(words[0]));
        while (at < n && text[at] != ';')
            at++;
        return at < n ? replace(text, n, cap, at + 1, 0, words[w], strlen(words[w])) : n;
    default:
        memmove(text + at, text + rng() % (n - len + 1), len);
        return n;
    }
}

static size_t damage(char *text, size_t n, size_t cap)
{
    int k = 1 + (int)(rng() % 3);

    while (k-- > 0 && n > 200)
        n = rng() % 8 ? damage_word(text, n, cap) : damage_bytes(text, n, cap);
    return n;
}

static volatile int stop_watch, tick;

static void *watch(void *arg)
{
    (void)arg;
    while (!stop_watch) { /* ends what runs across two ticks */
        usleep(20000);
        if (tick++ & 1)
            t.cancel = 1;
    }
    return NULL;
}

static void run_damaged(const char *text, size_t n)
{
    struct ptx_module_info info;
    struct ptx_launch l;
    struct ptx_result r;
    uint64_t params[64] = {0};
    uint32_t i;

    if (ptx_module_new(&t.module, text, n, t.log, sizeof(t.log)))
        return;
    ptx_module_get_info(t.module, &info);
    memset(&l, 0, sizeof(l));
    params[0] = (uint64_t)(uintptr_t)ptx_test_alloc(&t, 4096);
    for (i = 0; i < info.nglobals; i++) {
        if (ptx_module_global(t.module, i)->size > 65536)
            goto out;
        params[1] = (uint64_t)(uintptr_t)ptx_test_alloc(
            &t, ptx_module_global(t.module, i)->size + 1);
        if (ptx_module_bind_global(t.module, i, params[1]))
            goto out;
    }
    if (ptx_module_link(t.module) || info.nfuncs == 0)
        goto out;
    l.module = t.module;
    l.grid[0] = 2;
    l.block[0] = 40;
    l.grid[1] = l.grid[2] = l.block[1] = l.block[2] = 1;
    l.params = params;
    l.param_size = sizeof(params);
    l.space = &t.space;
    l.dynamic_shared = 64;
    l.stack_limit = 4096;
    l.cancel = &t.cancel;
    t.cancel = 0;
    tick = 0;
    ptx_launch(t.pool, &l, &r);
out:
    ptx_module_free(t.module);
    t.module = NULL;
}

START_TEST(test_damaged)
{
    const char *rounds = getenv("VG_FUZZ_ROUNDS");
    int n = rounds ? atoi(rounds) : 3000, i, loaded = 0;
    char text[sizeof(sample) + 512];
    pthread_t thread;

    stop_watch = 0;
    pthread_create(&thread, NULL, watch, NULL);
    ck_assert_msg(ptx_test_load(&t, sample) == 0, "%s", t.log);
    ptx_module_free(t.module);
    t.module = NULL;
    for (i = 0; i < n; i++) {
        size_t len = sizeof(sample) - 1;

        state = 12345u + (unsigned)i + (rounds ? (unsigned)getpid() * 1000003u : 0);
        memcpy(text, sample, sizeof(sample));
        len = damage(text, len, sizeof(text) - 1);
        ptx_test_reset(&t);
        run_damaged(text, len);
        loaded += t.log[0] == '\0';
    }
    stop_watch = 1;
    pthread_join(thread, NULL);
    ck_assert_msg(loaded > n / 10, "only %d of %d damaged texts load: the test is blind", loaded, n);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ptx modules");
    TCase *c = tcase_create("modules");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 600);
    tcase_add_test(c, test_errors);
    tcase_add_test(c, test_info);
    tcase_add_test(c, test_initial_values);
    tcase_add_test(c, test_units);
    tcase_add_test(c, test_launch_arguments);
    tcase_add_test(c, test_damaged);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
