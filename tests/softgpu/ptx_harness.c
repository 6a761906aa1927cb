/* SPDX-License-Identifier: MIT */
/* See ptx_harness.h. Runs inside the test programs, one thread. */
#include "ptx_harness.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { THREADS = 512, TEXT = 8192 };

void ptx_test_init(struct ptx_test *t, unsigned threads)
{
    memset(t, 0, sizeof(*t));
    t->arena = mmap(NULL, PTX_TEST_ARENA, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    t->map = calloc(PTX_TEST_ARENA / PTX_TEST_PAGE, 1);
    if (t->arena == MAP_FAILED || !t->map || ptx_pool_new(&t->pool, threads))
        abort();
    t->space.arena_base = (uint64_t)(uintptr_t)t->arena;
    t->space.arena_size = PTX_TEST_ARENA;
    t->space.page_shift = 12;
    t->space.page_map = t->map;
    t->used = PTX_TEST_PAGE;
}

void ptx_test_fini(struct ptx_test *t)
{
    ptx_module_free(t->module);
    ptx_pool_free(t->pool);
    munmap(t->arena, PTX_TEST_ARENA);
    free(t->map);
}

void *ptx_test_alloc(struct ptx_test *t, size_t size)
{
    size_t at = t->used, pages = (size + PTX_TEST_PAGE - 1) / PTX_TEST_PAGE;

    ck_assert(at + (pages + 1) * PTX_TEST_PAGE <= PTX_TEST_ARENA);
    memset(t->map + at / PTX_TEST_PAGE, PTX_PAGE_RW, pages);
    memset(t->arena + at, 0, pages * PTX_TEST_PAGE);
    t->used = at + (pages + 1) * PTX_TEST_PAGE;
    return t->arena + at;
}

void ptx_test_reset(struct ptx_test *t)
{
    memset(t->map, 0, PTX_TEST_ARENA / PTX_TEST_PAGE);
    t->used = PTX_TEST_PAGE;
    t->out_len = 0;
    t->out[0] = '\0';
}

static void place_globals(struct ptx_test *t)
{
    struct ptx_module_info info;
    uint64_t *at;
    uint32_t i;

    ptx_module_get_info(t->module, &info);
    at = calloc(info.nglobals + 1, sizeof(*at));
    for (i = 0; i < info.nglobals; i++) {
        at[i] = (uint64_t)(uintptr_t)ptx_test_alloc(t, ptx_module_global(t->module, i)->size);
        ck_assert_int_eq(ptx_module_bind_global(t->module, i, at[i]), 0);
    }
    ck_assert_int_eq(ptx_module_link(t->module), 0);
    for (i = 0; i < info.nglobals; i++) {
        const void *image = ptx_module_global_image(t->module, i);

        if (image)
            memcpy((void *)(uintptr_t)at[i], image, ptx_module_global(t->module, i)->size);
    }
    free(at);
}

int ptx_test_load(struct ptx_test *t, const char *text)
{
    int err;

    ptx_module_free(t->module);
    t->module = NULL;
    err = ptx_module_new(&t->module, text, strlen(text), t->log, sizeof(t->log));
    if (!err)
        place_globals(t);
    return err;
}

int ptx_test_load_body(struct ptx_test *t, const char *body)
{
    size_t n = strlen(body) + 128;
    char *text = malloc(n);
    int err;

    snprintf(text, n, ".version 9.0\n.target sm_90\n.address_size 64\n%s", body);
    err = ptx_test_load(t, text);
    free(text);
    return err;
}

static void print(void *ctx, const char *text, size_t len)
{
    struct ptx_test *t = ctx;

    if (len > sizeof(t->out) - 1 - t->out_len)
        len = sizeof(t->out) - 1 - t->out_len;
    memcpy(t->out + t->out_len, text, len);
    t->out_len += len;
    t->out[t->out_len] = '\0';
}

enum ptx_fault ptx_test_run(struct ptx_test *t, const char *entry, unsigned grid, unsigned block,
                            unsigned dynamic, const uint64_t *params, unsigned n)
{
    struct ptx_launch l;
    int f = ptx_module_find_func(t->module, entry);

    ck_assert_msg(f >= 0, "no entry %s", entry);
    memset(&l, 0, sizeof(l));
    l.module = t->module;
    l.func = (uint32_t)f;
    l.grid[0] = grid;
    l.block[0] = block;
    l.grid[1] = l.grid[2] = l.block[1] = l.block[2] = 1;
    l.dynamic_shared = dynamic;
    l.params = params;
    l.param_size = n * 8;
    l.space = &t->space;
    l.cancel = &t->cancel;
    l.print = print;
    l.print_ctx = t;
    l.stack_limit = t->stack_limit;
    l.cooperative = t->cooperative;
    l.textures = t->textures;
    ck_assert_int_eq(ptx_launch(t->pool, &l, &t->result), 0);
    return t->result.fault;
}

float ptx_f32(uint64_t bits)
{
    uint32_t b = (uint32_t)bits;
    float f;

    memcpy(&f, &b, 4);
    return f;
}

double ptx_f64(uint64_t bits)
{
    double d;

    memcpy(&d, &bits, 8);
    return d;
}

uint64_t ptx_bits32(float f)
{
    uint32_t b;

    memcpy(&b, &f, 4);
    return b;
}

uint64_t ptx_bits64(double d)
{
    uint64_t b;

    memcpy(&b, &d, 8);
    return b;
}

/* --------------------------------------------------------------------- values */

static uint64_t rng_state;

static uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}

static uint64_t special_int(unsigned bytes)
{
    uint64_t top = 1ull << (bytes * 8 - 1);
    const uint64_t v[] = {0, 1, 2, 31, 32, 33, 63, 64, 65, 0x80, 0xff, 0x7f, top, top - 1,
                          top + 1, UINT64_MAX, UINT64_MAX - 1, 0x55555555, 15, 16, 17};

    return v[rng() % (sizeof(v) / sizeof(v[0]))];
}

static uint64_t value_f32(void)
{
    static const uint32_t v[] = {
        0,          0x80000000, 1,          0x80000001, 0x007fffff, 0x00800000, 0x3f800000,
        0xbf800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x3f000000,
        0x3effffff, 0x4f000000, 0xcf000000, 0x4effffff, 0x4f800000, 0x40490fdb, 0x3fc00000,
        0x40200000, 0x5f000000, 0x3f7fffff, 0x00000123, 0x477fe000, 0x477ff000, 0x33800000};

    switch (rng() % 4) {
    case 0: return v[rng() % (sizeof(v) / sizeof(v[0]))];
    case 1: return ptx_bits32((float)(int64_t)(rng() % 4001) / 8 - 250);
    case 2: return (rng() & 0x80ffffff) | (0x3c000000 + (rng() % 8 << 24));
    default: return (uint32_t)rng();
    }
}

static uint64_t value_f64(void)
{
    static const uint64_t v[] = {0, 1ull << 63, 1, 0x000fffffffffffff, 0x0010000000000000,
                                 0x3ff0000000000000, 0xbff0000000000000, 0x7fefffffffffffff,
                                 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
                                 0x41dfffffffc00000, 0xc1e0000000000000, 0x43e0000000000000,
                                 0x3fe0000000000000, 0x3ff8000000000000, 0x380fffffe0000000};

    switch (rng() % 4) {
    case 0: return v[rng() % (sizeof(v) / sizeof(v[0]))];
    case 1: return ptx_bits64((double)(int64_t)(rng() % 4001) / 8 - 250);
    case 2: return (rng() & 0x800fffffffffffff) | (uint64_t)(0x3c0 + rng() % 128) << 52;
    default: return rng();
    }
}

static uint64_t value_16(char kind)
{
    static const uint16_t h[] = {0, 0x8000, 1, 0x03ff, 0x0400, 0x3c00, 0xbc00, 0x7bff, 0x7c00,
                                 0xfc00, 0x7e00, 0x3800, 0x3f80, 0x7f80, 0xff80, 0x7fc0, 0x0080};

    (void)kind;
    return rng() % 3 ? rng() & 0xffff : h[rng() % (sizeof(h) / sizeof(h[0]))];
}

static uint64_t value(char kind)
{
    switch (kind) {
    case '2': return (rng() % 2 ? rng() : special_int(2)) & 0xffff;
    case '4': return (rng() % 2 ? rng() : special_int(4)) & 0xffffffff;
    case '8': return rng() % 2 ? rng() : special_int(8);
    case 'f': return value_f32();
    case 'd': return value_f64();
    case 'h': case 'b': return value_16(kind);
    default: return value_16(kind) | value_16(kind) << 16;
    }
}

/* ----------------------------------------------------------------------- rows */

static unsigned bytes_of(char kind)
{
    return kind == '2' || kind == 'h' || kind == 'b' ? 2 : kind == '8' || kind == 'd' ? 8 : 4;
}

static const char *reg_of(char kind)
{
    return kind == 'p' ? "%q" : bytes_of(kind) == 2 ? "%rs" : bytes_of(kind) == 8 ? "%rd" : "%r";
}

/* insn with $d $a $b $c replaced, or made of the plain opcode */
static void write_insn(char *to, size_t size, const struct ptx_row *r, const char *guard)
{
    static const char names[] = "dabc";
    char line[256];
    size_t n = 0, i;
    const char *p;

    if (strchr(r->insn, '$')) {
        snprintf(line, sizeof(line), "%s", r->insn);
    } else {
        size_t k = (size_t)snprintf(line, sizeof(line), "%s ", r->insn);

        for (i = 0; r->sig[i]; i++)
            k += (size_t)snprintf(line + k, sizeof(line) - k, "%s$%c", i ? ", " : "", names[i]);
        snprintf(line + k, sizeof(line) - k, ";");
    }
    n += (size_t)snprintf(to, size, "%s ", guard);
    for (p = line; *p; p++) {
        const char *which = *p == '$' ? strchr(names, p[1]) : NULL;

        if (which && p[1]) {
            n += (size_t)snprintf(to + n, size - n, "%s%d", reg_of(r->sig[which - names]),
                                  (int)(which - names) + 10);
            p++;
        } else {
            to[n++] = *p;
            to[n] = '\0';
        }
    }
}

/* Loads a b c, preset result, the instruction under a guard, store. */
static void write_kernel(char *to, size_t size, const struct ptx_row *r)
{
    char insn[512];
    size_t n, i;

    /* A block holds its own guards. */
    write_insn(insn, sizeof(insn), r, r->insn[0] == '{' ? "" : "@%p1");
    n = (size_t)snprintf(
        to, size,
        ".visible .entry k(.param .u64 in, .param .u64 out, .param .u64 every) {\n"
        ".reg .pred %%p<9>; .reg .pred %%q<20>; .reg .b16 %%rs<20>; .reg .b32 %%r<20>;\n"
        ".reg .b64 %%rd<40>;\n"
        "ld.param.u64 %%rd1, [in]; ld.param.u64 %%rd2, [out]; ld.param.u32 %%r1, [every];\n"
        "mov.u32 %%r2, %%tid.x; mul.wide.u32 %%rd3, %%r2, 24; add.u64 %%rd1, %%rd1, %%rd3;\n"
        "mul.wide.u32 %%rd4, %%r2, 8; add.u64 %%rd2, %%rd2, %%rd4;\n"
        "rem.u32 %%r3, %%r2, %%r1; setp.eq.u32 %%p1, %%r3, 0;\n"
        "setp.ne.u32 %%q10, %%r2, %%r2; mov.b64 %%rd10, 0x5555555555555555;\n"
        "mov.b32 %%r10, 0x55555555; mov.b16 %%rs10, 0x5555;\n");
    for (i = 1; r->sig[i]; i++)
        n += (size_t)snprintf(to + n, size - n, "ld.global.b%u %s%u, [%%rd1+%u];\n",
                              bytes_of(r->sig[i]) * 8, reg_of(r->sig[i]), (unsigned)i + 10,
                              (unsigned)(i - 1) * 8);
    n += (size_t)snprintf(to + n, size - n, "%s\n", insn);
    if (r->sig[0] == 'p')
        n += (size_t)snprintf(to + n, size - n,
                              "selp.u32 %%r10, 1, 0, %%q10; st.global.b32 [%%rd2], %%r10;\n");
    else
        n += (size_t)snprintf(to + n, size - n, "st.global.b%u [%%rd2], %s10;\n",
                              bytes_of(r->sig[0]) * 8, reg_of(r->sig[0]));
    snprintf(to + n, size - n, "ret; }\n");
}

static int is_nan(char kind, uint64_t v)
{
    switch (kind) {
    case 'f': return (v & 0x7fffffff) > 0x7f800000;
    case 'd': return (v & 0x7fffffffffffffff) > 0x7ff0000000000000;
    case 'h': return (v & 0x7fff) > 0x7c00;
    case 'b': return (v & 0x7fff) > 0x7f80;
    default: return 0;
    }
}

static int close_enough(const struct ptx_row *r, uint64_t got, uint64_t want)
{
    char kind = r->sig[0];
    double g, w, unit;

    if (kind == 'H' || kind == 'B') {
        struct ptx_row half = *r;

        half.sig = kind == 'H' ? "h" : "b";
        return close_enough(&half, got & 0xffff, want & 0xffff) &&
               close_enough(&half, got >> 16 & 0xffff, want >> 16 & 0xffff);
    }
    if (got == want || (is_nan(kind, got) && is_nan(kind, want)))
        return 1;
    if (r->ulp == 0 || (kind != 'f' && kind != 'd') || is_nan(kind, got) || is_nan(kind, want))
        return 0;
    g = kind == 'f' ? (double)ptx_f32(got) : ptx_f64(got);
    w = kind == 'f' ? (double)ptx_f32(want) : ptx_f64(want);
    if (isinf(g) || isinf(w))
        return 0;
    unit = kind == 'f' ? fmax(ldexp(1, ilogb(w ? w : 1e-45) - 23), 0x1p-149)
                       : fmax(ldexp(1, ilogb(w ? w : 5e-324) - 52), 0x1p-1074);
    return fabs(g - w) <= r->ulp * unit;
}

static uint64_t cut(char kind, uint64_t v)
{
    unsigned bytes = bytes_of(kind);

    return bytes == 8 ? v : v & ((1ull << bytes * 8) - 1);
}

static void run_row(struct ptx_test *t, const struct ptx_row *r, uint64_t every)
{
    uint64_t *in = ptx_test_alloc(t, THREADS * 24), *out = ptx_test_alloc(t, THREADS * 8);
    uint64_t params[3] = {(uint64_t)(uintptr_t)in, (uint64_t)(uintptr_t)out, every};
    uint64_t preset = r->sig[0] == 'p' ? 0 : cut(r->sig[0], 0x5555555555555555);
    size_t ns = strlen(r->sig) - 1, i, k;

    for (i = 0; i < THREADS; i++)
        for (k = 0; k < 3; k++)
            in[i * 3 + k] = k < ns ? value(r->sig[k + 1]) : 0;
    ck_assert_msg(ptx_test_run(t, "k", 1, THREADS, 0, params, 3) == PTX_OK, "%s: %s", r->insn,
                  t->result.message);
    for (i = 0; i < THREADS; i++) {
        const uint64_t *v = in + i * 3;
        uint64_t want = i % every ? preset : cut(r->sig[0], r->fn(v[0], v[1], v[2]));

        ck_assert_msg(i % every ? out[i] == want : close_enough(r, out[i], want),
                      "%s (%llx, %llx, %llx) gave %llx, not %llx (lane %zu, every %llu)", r->insn,
                      (unsigned long long)v[0], (unsigned long long)v[1],
                      (unsigned long long)v[2], (unsigned long long)out[i],
                      (unsigned long long)want, i, (unsigned long long)every);
    }
}

void ptx_test_rows(struct ptx_test *t, const struct ptx_row *rows, size_t n, unsigned seed)
{
    char text[TEXT];
    size_t i;

    for (i = 0; i < n; i++) {
        rng_state = 0x9e3779b97f4a7c15ull * (seed + 1) + i;
        ptx_test_reset(t);
        write_kernel(text, sizeof(text), &rows[i]);
        ck_assert_msg(ptx_test_load_body(t, text) == 0, "%s: %s\n%s", rows[i].insn, t->log, text);
        run_row(t, &rows[i], 1);
        run_row(t, &rows[i], 3);
        run_row(t, &rows[i], 1);
    }
}
