/* SPDX-License-Identifier: MIT */
/*
 * Decoded PTX: what lowering makes and the executor runs. Immutable once the
 * module is linked, except that ptx_module_link() writes constants' values.
 *
 * Registers of a function's activation ("frame") are one block of memory, the
 * same for all 32 lanes of a warp: an operand is a byte offset into it.
 *   offset 0        predicate "always true"; every predicate is one uint32_t,
 *                   bit i is lane i
 *   4, 8, ...       predicates
 *   then            values, 64-byte aligned: uint32_t[32] for 8..32-bit types
 *                   (only the low bits count), uint64_t[32] for 64-bit types,
 *                   two of these for b128
 *   const_at...     constants, already spread over 32 lanes
 */
#ifndef VG_PTX_CODE_H
#define VG_PTX_CODE_H

#include <stdint.h>

#include "ptx.h"

struct warp;
struct uop;

/* mask: lanes that execute, never 0. Returns enum ctl. */
typedef int (*ptx_fn)(struct warp *w, const struct uop *u, uint32_t mask);

struct uop {
    ptx_fn fn;
    uint32_t guard; /* offset of a predicate */
    uint32_t gxor;  /* all ones: !guard */
    uint32_t d, a, b, c, e;
    uint32_t line;
    int64_t imm;
    const void *aux; /* handler's own, owned by the module */
    uint8_t x[8];    /* handler's own small fields */
};

enum { PTX_LANES = 32, SLOT32 = 4 * PTX_LANES, SLOT64 = 8 * PTX_LANES };

struct code_const {
    uint32_t at; /* offset in the frame */
    uint8_t wide;
    uint64_t value;
    int32_t global; /* >= 0: + address of this module variable */
};

struct code_param { /* of a .func: in local memory; .reg ones: a register */
    uint32_t offset, size;
    uint32_t reg, reg_bytes; /* reg_bytes != 0: register parameter */
};

struct code_func {
    struct ptx_func_info info;
    struct uop *code;
    uint32_t ncode;
    uint32_t frame_bytes; /* registers and constants */
    uint32_t const_at;
    struct code_const *consts;
    uint32_t nconsts;
    uint32_t local_frame; /* local memory of one activation: params, vars */
    struct code_param *params, *rets;
    uint32_t nparams, nrets;
    uint32_t index;
    unsigned char *const_image; /* frame bytes from const_at, after link */
    int is_deep; /* recursion or indirect calls: local memory by the stack limit */
};

struct code_reloc {
    uint64_t at;
    int32_t global, func; /* one of them >= 0 */
    int64_t add;
    uint8_t width, shift;
};

struct code_global {
    struct ptx_global_info info;
    uint64_t addr;
    int bound;
    unsigned char *init; /* NULL: zero */
    struct code_reloc *relocs;
    uint32_t nrelocs;
};

struct mem_block; /* memory owned by the module */

struct ptx_module {
    struct ptx_module_info info;
    struct code_func *funcs; /* entries first, so that they are 0..nentries-1 */
    uint32_t nfuncs, nentries;
    struct code_global *globals;
    uint32_t nglobals;
    int linked;
    struct mem_block *blocks;
};

/* Zeroed memory that lives with the module; NULL: none left. */
void *ptx_module_alloc(struct ptx_module *m, size_t n);

#endif
