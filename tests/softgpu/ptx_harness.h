/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the PTX interpreter share: device memory, modules from
 * text, launches, and rows of "instruction against a C function".
 */
#ifndef VG_TEST_PTX_HARNESS_H
#define VG_TEST_PTX_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#include "mediator/softgpu/ptx/ptx.h"

enum { PTX_TEST_ARENA = 64 << 20, PTX_TEST_PAGE = 4096 };

struct ptx_test {
    struct ptx_pool *pool;
    unsigned char *arena;
    unsigned char *map; /* one byte per page */
    size_t used;
    struct ptx_space space;
    struct ptx_module *module;
    struct ptx_result result;
    char log[512];
    volatile int cancel;
    char out[1 << 16]; /* what kernels printed */
    size_t out_len;
    uint32_t stack_limit;
    int cooperative;
    struct ptx_textures textures;
};

/* Aborts the test program when the machine has no memory. */
void ptx_test_init(struct ptx_test *t, unsigned threads);
void ptx_test_fini(struct ptx_test *t);
/* Valid device memory, zeroed, with an invalid page before and behind it. */
void *ptx_test_alloc(struct ptx_test *t, size_t size);
/* Everything from ptx_test_alloc is gone. */
void ptx_test_reset(struct ptx_test *t);

/* Loads and links; globals get memory. 0 or what ptx_module_new said, log in t->log. */
int ptx_test_load(struct ptx_test *t, const char *text);
/* The same behind a heading for sm_90. */
int ptx_test_load_body(struct ptx_test *t, const char *body);
/* Parameters are n 64-bit words. Returns the fault; a bad launch fails the test. */
enum ptx_fault ptx_test_run(struct ptx_test *t, const char *entry, unsigned grid, unsigned block,
                            unsigned dynamic, const uint64_t *params, unsigned n);

/*
 * One instruction and its meaning. sig: result, then sources. 2 4 8: integers
 * of so many bytes; f d h b: f32 f64 f16 bf16 (as bits); H B: pairs of halves;
 * p: a predicate, as 0 or 1.
 * ulp: how far a float result may be off, 0 exact (any NaN equals any NaN).
 */
struct ptx_row {
    const char *insn; /* "add.s32", or a whole line with $d $a $b $c in it */
    const char *sig;
    uint64_t (*fn)(uint64_t a, uint64_t b, uint64_t c);
    double ulp;
};
void ptx_test_rows(struct ptx_test *t, const struct ptx_row *rows, size_t n, unsigned seed);

/* Helpers for oracles. */
float ptx_f32(uint64_t bits);
double ptx_f64(uint64_t bits);
uint64_t ptx_bits32(float f);
uint64_t ptx_bits64(double d);

#endif
