/* SPDX-License-Identifier: MIT */
/*
 * What the parser makes of PTX text, and what lowering turns into code. All of
 * it lives in one arena that dies when the module has been decoded (variables
 * and functions are copied out by then).
 */
#ifndef VG_PTX_AST_H
#define VG_PTX_AST_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include "lex.h"
#include "ptx.h"

/* Caps on hostile input. */
enum {
    AST_MAX_TEXT = 256 << 20,
    AST_MAX_DEPTH = 64,     /* nested { } */
    AST_MAX_REGS = 1 << 18, /* distinct registers used by one function */
    AST_MAX_PARAMS = 4096,
    AST_MAX_OPERANDS = 320, /* in one list */
    AST_MAX_MODS = 12
};
#define AST_MAX_VAR (1ull << 32) /* bytes of one variable */
#define AST_MAX_INIT (256ull << 20)
#define AST_MAX_MEMORY (2ull << 30)

enum ast_type {
    T_NONE,
    T_B8, T_B16, T_B32, T_B64, T_B128,
    T_U8, T_U16, T_U32, T_U64,
    T_S8, T_S16, T_S32, T_S64,
    T_F16, T_F16X2, T_BF16, T_BF16X2, T_F32, T_F64,
    T_TF32, T_E4M3X2, T_E5M2X2, T_F32X2,
    T_U16X2, T_S16X2, T_U8X4, T_S8X4,
    T_PRED,
    T_COUNT
};

enum ast_space { SP_NONE, SP_REG, SP_GLOBAL, SP_CONST, SP_SHARED, SP_LOCAL, SP_PARAM };

enum ast_link { LINK_LOCAL, LINK_VISIBLE, LINK_WEAK, LINK_COMMON, LINK_EXTERN };

enum sym_kind { SYM_FAMILY, SYM_REG, SYM_VAR, SYM_FUNC, SYM_LABEL, SYM_TARGETS, SYM_PROTO };

struct ast_scope {
    struct ast_scope *up;
    unsigned depth;
};

struct ast_reloc {
    struct ast_reloc *next;
    uint64_t at;         /* byte in the image */
    struct ast_sym *sym; /* variable or function */
    int64_t add;
    unsigned width, shift; /* bytes stored, right shift (mask() syntax) */
    uint32_t line;
};

struct ast_var {
    enum ast_space space;
    enum ast_type type;
    enum ast_link link;
    uint64_t size, align;
    int is_unsized; /* name[]: dynamic shared memory, or size from elsewhere */
    int is_managed;
    int index;      /* global: in the module; param: position; -1 none */
    uint64_t offset; /* shared, local, param: where it lies */
    int placed;
    unsigned char *init; /* NULL: zero */
    struct ast_reloc *relocs;
};

struct ast_list { /* names: branch targets, call targets */
    struct ast_name *names;
    uint32_t n;
};

struct ast_sym {
    struct ast_sym *chain; /* hash */
    const char *name;
    uint32_t name_len;
    const struct ast_scope *scope;
    enum sym_kind kind;
    enum ast_type type; /* register */
    uint32_t count;     /* family */
    uint32_t reg;       /* register: id in its function */
    uint32_t pc;        /* label: instruction index */
    uint32_t line;
    struct ast_var *var;
    struct ast_func *func;
    struct ast_list *list;
    struct ast_sym *resolved; /* variable: the definition an .extern means */
    int unit;
};

struct ast_name { /* use of a name that may be declared later */
    const char *name;
    uint32_t len;
    const struct ast_scope *scope;
};

enum opd_kind {
    OPD_REG,
    OPD_INT,
    OPD_FLT,
    OPD_DBL,
    OPD_SYM,     /* variable or function, + off */
    OPD_NAME,    /* label or something declared later */
    OPD_SPECIAL, /* %tid.x */
    OPD_MEM,     /* [elems[0] + off] */
    OPD_VEC,     /* {a, b} */
    OPD_LIST,    /* (a, b) of a call */
    OPD_SINK     /* _ */
};

struct ast_opd {
    enum opd_kind kind;
    int negated; /* !p */
    int special; /* enum sreg */
    enum ast_type type; /* register */
    uint32_t reg;
    uint64_t imm;
    int64_t off;
    struct ast_sym *sym;
    struct ast_name name;
    struct ast_opd *elems;
    uint32_t n;
    struct ast_opd *second; /* p|q */
};

struct ast_insn {
    struct ast_insn *next;
    uint32_t line;
    int has_guard, guard_neg;
    uint32_t guard;
    const char *text; /* whole opcode, "ld.global.u32" */
    uint32_t text_len;
    struct ast_opd *opds;
    uint32_t n;
    const struct ast_scope *scope;
};

struct ast_func {
    struct ast_func *next;
    const char *name; /* NUL-terminated */
    enum ast_link link;
    int is_entry, has_body, is_noreturn, unit;
    uint32_t line;
    struct ast_sym **params, **rets; /* SYM_VAR in SP_PARAM, or SYM_REG */
    uint32_t nparams, nrets;
    uint32_t maxntid[3], reqntid[3], minnctapersm, maxnreg, cluster[3];
    struct ast_insn *first, **tail;
    uint32_t ninsns, nregs;
    enum ast_type *reg_types;
    uint32_t reg_types_cap;
    struct ast_sym **vars; /* declared in the body: local, shared, param */
    uint32_t nvars, vars_cap;
    uint64_t frame_bytes; /* local memory of one activation */
    int index;            /* in the module, -1: no body */
    struct ast_func *resolved;
    /* callgraph.c */
    struct ast_func **callees;
    uint32_t ncallees, callees_cap;
    int calls_indirect, uses_alloca;
    uint64_t shared_end; /* of module-level shared memory it names */
    uint32_t mark;
};

/* One whole load. Errors leave by longjmp to jb with the log written. */
struct ast {
    jmp_buf jb;
    int err;
    char *log;
    size_t log_size;
    /* arena */
    struct ast_chunk *chunks;
    uint64_t used;
    /* symbols */
    struct ast_sym **hash;
    uint32_t hash_size, hash_used;
    struct ast_scope module; /* names every unit sees */
    struct ast_scope *unit;  /* names of this unit only */
    /* what there is */
    struct ast_func *funcs, **funcs_tail;
    struct ast_sym **globals; /* SP_GLOBAL, SP_CONST and module-level SP_SHARED */
    uint32_t nglobals, globals_cap;
    unsigned version_major, version_minor, target;
    int unit_index, nunits;
    uint32_t mark; /* of the last walk over the call graph */
    const char *unit_name;
    /* where the parser is */
    struct ptx_lexer lx;
    struct ast_scope *scope;
    struct ast_func *func;
};

/* scope.c */
void *ast_alloc(struct ast *a, size_t n); /* zeroed, never NULL */
void *ast_grow(struct ast *a, void *old, uint32_t *cap, uint32_t n, size_t elem);
char *ast_string(struct ast *a, const char *text, size_t len);
void ast_fini(struct ast *a);
__attribute__((noreturn, format(printf, 4, 5)))
void ast_fail(struct ast *a, int err, uint32_t line, const char *fmt, ...);
struct ast_scope *ast_scope_push(struct ast *a, uint32_t line);
struct ast_sym *ast_find_in(struct ast *a, const struct ast_scope *s, const char *name,
                            size_t len);
struct ast_sym *ast_find(struct ast *a, const struct ast_scope *s, const char *name, size_t len);
struct ast_sym *ast_add(struct ast *a, const struct ast_scope *s, const char *name, size_t len,
                        enum sym_kind kind);
uint32_t ast_new_reg(struct ast *a, enum ast_type type);

/* types.c */
enum ast_type ast_type_of(const char *name, size_t len); /* without the dot */
unsigned ast_type_size(enum ast_type t);
const char *ast_type_name(enum ast_type t);

/* parse.c, parse_decl.c, parse_body.c */
void ast_parse_unit(struct ast *a, const struct ptx_source *src);
void ast_parse_variable(struct ast *a, enum ast_link link);
void ast_parse_function(struct ast *a, enum ast_link link);
void ast_parse_body(struct ast *a);
void ast_parse_init(struct ast *a, struct ast_var *v);
void ast_expect(struct ast *a, char punct);
int ast_accept(struct ast *a, char punct);
uint64_t ast_expect_int(struct ast *a); /* optional sign */
void ast_expect_ident(struct ast *a);
enum ast_space ast_space_of(const struct ptx_lexer *lx);
/* Type and attributes, name, dimensions: enters the symbol into scope. */
struct ast_sym *ast_parse_declarator(struct ast *a, enum ast_space space, enum ast_link link);
void ast_skip_statement(struct ast *a); /* to ';' inclusive */
void ast_skip_line(struct ast *a);      /* .loc and .file end with their line */
void ast_unexpected(struct ast *a, const char *wanted) __attribute__((noreturn));

/* link.c: .extern to definitions over all units; numbers and places */
void ast_number(struct ast *a, struct ptx_module *m);
void ast_copy_variables(struct ast *a, struct ptx_module *m);

/* callgraph.c */
void ast_call_graph(struct ast *a);
/* End of the module-level shared memory that f or what it calls may name. */
uint64_t ast_shared_end(struct ast *a, struct ast_func *f);
/* Local memory of kernels, once all functions are lowered. */
void ast_local_bytes(struct ast *a, struct ptx_module *m);

#endif
