/* SPDX-License-Identifier: MIT */
/*
 * Lowering: one function of the parsed module to uops. Operands are encoded
 * while it runs, and become frame offsets when the function is finished:
 * a tag in the two top bits, an id below.
 */
#ifndef VG_PTX_LOWER_H
#define VG_PTX_LOWER_H

#include "alu_list.h"
#include "ast.h"
#include "code.h"
#include "handlers.h"
#include "sreg.h"

#include <string.h>

#define ENC_PRED 0x00000000u  /* id 0: always true */
#define ENC_REG 0x40000000u   /* virtual register */
#define ENC_CONST 0x80000000u /* index of the constant */
#define ENC_TAG 0xc0000000u   /* all ones: PTX_NO_REG */

struct lower_mod {
    const char *s;
    uint32_t len;
    int used;
};

struct lower_list { /* encoded operands outside a uop's fields */
    uint32_t *slots; /* stride apart */
    uint32_t n, stride;
    int is_def;
};

enum { LOWER_LISTS = 4 };

struct lower_info { /* beside each uop, for the register allocator */
    int d_is_use, e_is_use, no_kill;
    struct lower_list list[LOWER_LISTS];
};

struct lower {
    struct ast *a;
    struct ptx_module *m;
    struct ast_func *f;
    struct code_func *fn;
    struct ast_insn *in;
    /* opcode */
    char base[24];
    struct lower_mod mods[AST_MAX_MODS];
    uint32_t nmods;
    /* output, all in the arena until finished */
    struct uop *code;
    struct lower_info *info;
    uint32_t ncode, code_cap, info_cap;
    uint32_t *insn_pc; /* of each ast instruction, and one past the last */
    uint32_t insn_index;
    struct lower_fix {
        uint32_t uop;
        uint32_t *pc; /* a list entry, or NULL: the uop's imm */
        struct ast_name name;
        uint32_t line;
    } *fixes;
    uint32_t nfixes, fixes_cap;
    /* virtual registers: those of the source first, then temporaries */
    uint32_t *reg_enc; /* of source registers, 0: not used yet */
    uint8_t *vreg_wide; /* bytes per lane: 4 or 8 */
    uint32_t nvregs, vregs_cap;
    uint32_t npreds;
    struct code_const *consts;
    uint32_t nconsts, consts_cap;
    uint32_t *const_hash, const_hash_size;
    uint32_t cc; /* predicate that holds the carry flag, 0: none yet */
};

/* lower.c */
void lower_function(struct ast *a, struct ptx_module *m, struct ast_func *f);
__attribute__((noreturn)) void lower_unsupported(struct lower *l);
__attribute__((noreturn, format(printf, 2, 3)))
void lower_fail(struct lower *l, const char *fmt, ...);

/* lower_opd.c: opcode and operands */
void lower_split_opcode(struct lower *l);
int lower_mod(struct lower *l, const char *s);       /* take it if it is there */
enum ast_type lower_type(struct lower *l);           /* take the next type */
enum ast_type lower_need_type(struct lower *l);
void lower_mods_done(struct lower *l);               /* none may be left */
void lower_count(struct lower *l, uint32_t lo, uint32_t hi);
uint32_t lower_temp(struct lower *l, unsigned bytes);
uint32_t lower_second_half(struct lower *l, uint32_t enc);
uint32_t lower_temp_pred(struct lower *l);
uint32_t lower_const(struct lower *l, uint64_t value, int wide, int32_t global);
uint32_t lower_reg(struct lower *l, uint32_t reg, enum ast_type type);
struct ast_opd *lower_opd(struct lower *l, uint32_t i);
uint32_t lower_src(struct lower *l, const struct ast_opd *o, enum ast_type t);
uint32_t lower_dst(struct lower *l, const struct ast_opd *o, enum ast_type t);
uint32_t lower_pred_src(struct lower *l, const struct ast_opd *o, uint8_t *neg);
uint32_t lower_pred_dst(struct lower *l, const struct ast_opd *o);
/* Bytes per lane of the operand's slot: 4 or 8 (or 16); of a constant, the type's. */
unsigned lower_slot_bytes(enum ast_type t);
struct uop *lower_emit(struct lower *l, ptx_fn fn);
struct lower_info *lower_last_info(struct lower *l);
struct uop *lower_alu(struct lower *l, enum alu_op op, uint32_t d, uint32_t a, uint32_t b,
                      uint32_t c);
void *lower_keep(struct lower *l, size_t n); /* memory of the module */
int lower_is_float(enum ast_type t);
int lower_is_signed(enum ast_type t);
/* 0..5: s16 u16 s32 u32 s64 u64, for rows of ALU_SIGNED; bits count as unsigned */
int lower_int_row(struct lower *l, enum ast_type t);
/* Address fields of u (ptx_resolve): from [reg+off], [sym+off], [imm]. Call it
 * before emitting: a runtime address needs a uop of its own. */
struct lower_addr {
    uint32_t a;
    int64_t imm;
    uint8_t wide, space;
};
void lower_address(struct lower *l, const struct ast_opd *o, enum ast_space space,
                   struct lower_addr *r);
void lower_set_address(struct uop *u, const struct lower_addr *r);
enum ast_space lower_space(struct lower *l); /* take .global etc.; SP_NONE: generic */
void lower_memory_mods(struct lower *l, int *strong); /* take .volatile, cache hints... */
uint32_t *lower_vector(struct lower *l, const struct ast_opd *o, enum ast_type t, int dst,
                       uint32_t *n, int *wide);
void lower_list(struct lower *l, uint32_t *slots, uint32_t n, uint32_t stride, int is_def);
uint32_t lower_sym_address(struct lower *l, const struct ast_opd *o, int wide, int generic);
void lower_fix_label(struct lower *l, uint32_t uop, uint32_t *pc, const struct ast_name *n);

/* One per file: 1 when it knew the base opcode. */
int lower_int(struct lower *l);
int lower_bits(struct lower *l);
int lower_float(struct lower *l);
int lower_half(struct lower *l);
int lower_cvt(struct lower *l);
int lower_set(struct lower *l);
int lower_mem(struct lower *l);
int lower_atom(struct lower *l);
int lower_ctl(struct lower *l);
int lower_warp(struct lower *l);
int lower_misc(struct lower *l);
int lower_matrix(struct lower *l);
int lower_tex(struct lower *l);

/* regalloc.c: encoded operands to frame offsets; fills fn's frame fields. */
void lower_allocate(struct lower *l);

static inline int lower_base(const struct lower *l, const char *s)
{
    return strcmp(l->base, s) == 0;
}

#endif
