/* SPDX-License-Identifier: MIT */
/* Declarations of variables and registers, and initial values. See ast.h. */
#include "ast.h"

#include <errno.h>
#include <string.h>

enum { MAX_INIT_NESTING = 16, MAX_ALIGN = 1 << 16 };

enum ast_space ast_space_of(const struct ptx_lexer *lx)
{
    static const struct {
        const char *word;
        enum ast_space space;
    } spaces[] = {{".reg", SP_REG},       {".global", SP_GLOBAL}, {".const", SP_CONST},
                  {".shared", SP_SHARED}, {".local", SP_LOCAL},   {".param", SP_PARAM}};
    size_t i;

    for (i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
        if (ptx_lex_word(lx, spaces[i].word))
            return spaces[i].space;
    return SP_NONE;
}

struct decl {
    enum ast_space space;
    enum ast_link link;
    enum ast_type type;
    unsigned align, vector;
    int is_managed;
};

static void parse_attribute(struct ast *a, struct decl *d)
{
    ptx_lex_next(&a->lx);
    ast_expect(a, '(');
    while (!ast_accept(a, ')')) {
        if (ptx_lex_word(&a->lx, ".managed"))
            d->is_managed = 1;
        if (a->lx.tok == TOK_EOF)
            ast_unexpected(a, "')'");
        ptx_lex_next(&a->lx);
    }
}

static unsigned parse_align(struct ast *a)
{
    uint32_t line = a->lx.tok_line;
    uint64_t v;

    ptx_lex_next(&a->lx);
    v = ast_expect_int(a);
    if (v == 0 || v > MAX_ALIGN || (v & (v - 1)))
        ast_fail(a, -EINVAL, line, "bad alignment");
    return (unsigned)v;
}

/* .ptr .global .align 4 describes what a pointer parameter points to. */
static void skip_ptr(struct ast *a)
{
    ptx_lex_next(&a->lx);
    if (ast_space_of(&a->lx) != SP_NONE || ptx_lex_word(&a->lx, ".generic"))
        ptx_lex_next(&a->lx);
    if (ptx_lex_word(&a->lx, ".align"))
        parse_align(a);
}

static void parse_decl_words(struct ast *a, struct decl *d)
{
    struct ptx_lexer *lx = &a->lx;

    while (lx->tok == TOK_DOT) {
        enum ast_type t = ast_type_of(lx->text + 1, lx->len - 1);

        if (t != T_NONE) {
            d->type = t;
            ptx_lex_next(lx);
        } else if (ptx_lex_word(lx, ".align")) {
            d->align = parse_align(a);
        } else if (ptx_lex_word(lx, ".v2") || ptx_lex_word(lx, ".v4")) {
            d->vector = (unsigned)(lx->text[2] - '0');
            ptx_lex_next(lx);
        } else if (ptx_lex_word(lx, ".attribute")) {
            parse_attribute(a, d);
        } else if (ptx_lex_word(lx, ".ptr")) {
            skip_ptr(a);
        } else {
            ast_fail(a, -EINVAL, lx->tok_line, "unsupported declaration '%.*s'",
                     (int)(lx->len > 60 ? 60 : lx->len), lx->text);
        }
    }
    if (d->type == T_NONE)
        ast_unexpected(a, "a type");
}

static uint64_t parse_dimensions(struct ast *a, struct ast_var *v, uint64_t size)
{
    while (ast_accept(a, '[')) {
        uint64_t n;

        if (ast_accept(a, ']')) {
            v->is_unsized = 1;
            continue;
        }
        n = ast_expect_int(a);
        if (n > AST_MAX_VAR || (size && n > AST_MAX_VAR / size))
            ast_fail(a, -E2BIG, a->lx.tok_line, "variable is too large");
        size *= n;
        ast_expect(a, ']');
    }
    return size;
}

static void declare_register(struct ast *a, const struct decl *d)
{
    struct ptx_lexer name = a->lx;
    struct ast_sym *y;

    if (d->vector > 1)
        ast_fail(a, -EINVAL, name.tok_line, "vector registers are not supported");
    ptx_lex_next(&a->lx);
    if (ast_accept(a, '<')) {
        uint64_t n = ast_expect_int(a);

        ast_expect(a, '>');
        y = ast_add(a, a->scope, name.text, name.len, SYM_FAMILY);
        y->count = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
        y->type = d->type;
        return;
    }
    y = ast_add(a, a->scope, name.text, name.len, SYM_REG);
    y->type = d->type;
    if (!a->func)
        ast_fail(a, -EINVAL, name.tok_line, "register outside a function");
    y->reg = ast_new_reg(a, d->type);
}

/* A module variable may be declared .extern first and defined afterwards. */
static struct ast_sym *enter_variable(struct ast *a, const struct ptx_lexer *name,
                                      enum ast_link link)
{
    struct ast_sym *y = ast_find_in(a, a->scope, name->text, name->len);

    if (y && a->scope == a->unit && y->kind == SYM_VAR &&
        (y->var->link == LINK_EXTERN || link == LINK_EXTERN))
        return y;
    y = ast_add(a, a->scope, name->text, name->len, SYM_VAR);
    y->unit = a->unit_index;
    y->var = ast_alloc(a, sizeof(*y->var));
    y->var->link = LINK_EXTERN;
    y->var->index = -1;
    return y;
}

static struct ast_sym *declare_variable(struct ast *a, const struct decl *d)
{
    struct ptx_lexer name = a->lx;
    struct ast_var v, *old;
    struct ast_sym *y;
    unsigned elem = ast_type_size(d->type) * (d->vector ? d->vector : 1);

    if (d->type == T_PRED)
        ast_fail(a, -EINVAL, name.tok_line, "predicate in memory");
    memset(&v, 0, sizeof(v));
    v.index = -1;
    v.space = d->space;
    v.type = d->type;
    v.link = d->link;
    v.is_managed = d->is_managed;
    v.align = d->align > elem ? d->align : elem;
    if (d->align && d->space == SP_PARAM)
        v.align = d->align;
    ptx_lex_next(&a->lx);
    v.size = parse_dimensions(a, &v, elem);
    y = enter_variable(a, &name, d->link);
    old = y->var;
    if (old->link != LINK_EXTERN || (d->link == LINK_EXTERN && old->space != SP_NONE))
        return y; /* a declaration after the definition */
    v.placed = old->placed;
    *old = v;
    return y;
}

struct ast_sym *ast_parse_declarator(struct ast *a, enum ast_space space, enum ast_link link)
{
    struct decl d;

    memset(&d, 0, sizeof(d));
    d.space = space;
    d.link = link;
    parse_decl_words(a, &d);
    ast_expect_ident(a);
    if (space == SP_REG) {
        struct ptx_lexer name = a->lx;

        declare_register(a, &d);
        return ast_find_in(a, a->scope, name.text, name.len);
    }
    return declare_variable(a, &d);
}

static void keep_variable(struct ast *a, struct ast_sym *y)
{
    struct ast_func *f = a->func;

    if (f) {
        f->vars = ast_grow(a, f->vars, &f->vars_cap, f->nvars, sizeof(*f->vars));
        f->vars[f->nvars++] = y;
        return;
    }
    if (y->var->placed)
        return;
    y->var->placed = 1;
    a->globals = ast_grow(a, a->globals, &a->globals_cap, a->nglobals, sizeof(*a->globals));
    a->globals[a->nglobals++] = y;
}

static void check_variable(struct ast *a, const struct ast_sym *y)
{
    const struct ast_var *v = y->var;

    if (v->is_unsized && !v->init && v->link != LINK_EXTERN)
        ast_fail(a, -EINVAL, y->line, "'%s' has no size", y->name);
    if (a->func && v->link == LINK_EXTERN && v->space != SP_SHARED)
        ast_fail(a, -EINVAL, y->line, ".extern in a function");
    if (v->space == SP_LOCAL && v->size > PTX_MAX_STACK)
        ast_fail(a, -E2BIG, y->line, "'%s': too much local memory", y->name);
    if (v->space == SP_SHARED && v->size > PTX_MAX_SHARED)
        ast_fail(a, -E2BIG, y->line, "'%s': too much shared memory", y->name);
    if (v->space == SP_PARAM && v->size > PTX_MAX_PARAMS)
        ast_fail(a, -E2BIG, y->line, "'%s': parameter is too large", y->name);
}

/* At .space: the rest of a variable or register statement. */
void ast_parse_variable(struct ast *a, enum ast_link link)
{
    struct decl d;

    memset(&d, 0, sizeof(d));
    d.space = ast_space_of(&a->lx);
    d.link = link;
    ptx_lex_next(&a->lx);
    if (d.space == SP_CONST && a->lx.tok == TOK_PUNCT && ast_accept(a, '[')) {
        ast_expect_int(a); /* .const[bank] of old PTX */
        ast_expect(a, ']');
    }
    parse_decl_words(a, &d);
    do {
        struct ast_sym *y;

        ast_expect_ident(a);
        if (d.space == SP_REG) {
            declare_register(a, &d);
            continue;
        }
        y = declare_variable(a, &d);
        if (ast_accept(a, '='))
            ast_parse_init(a, y->var);
        check_variable(a, y);
        keep_variable(a, y);
    } while (ast_accept(a, ','));
    ast_expect(a, ';');
}

/* ------------------------------------------------------------ initial values */

struct init {
    struct ast_var *v;
    uint64_t at, cap;
    unsigned width;
};

static void init_store(struct ast *a, struct init *in, uint64_t value)
{
    struct ast_var *v = in->v;

    if (v->is_unsized && in->at + in->width > in->cap) {
        unsigned char *old = v->init;
        uint64_t cap = in->cap ? in->cap * 2 : 256;

        if (cap > AST_MAX_INIT)
            ast_fail(a, -E2BIG, a->lx.tok_line, "initial value is too large");
        v->init = ast_alloc(a, cap);
        if (old)
            memcpy(v->init, old, in->cap);
        in->cap = cap;
    }
    if (in->at + in->width > in->cap)
        ast_fail(a, -EINVAL, a->lx.tok_line, "too many initial values");
    memcpy(v->init + in->at, &value, in->width); /* little-endian hosts only */
    in->at += in->width;
}

static void init_reloc(struct ast *a, struct init *in, struct ast_sym *y, int64_t add,
                       unsigned shift)
{
    struct ast_reloc *r = ast_alloc(a, sizeof(*r));

    r->at = in->at;
    r->sym = y;
    r->add = add;
    r->width = in->width;
    r->shift = shift;
    r->line = a->lx.tok_line;
    r->next = in->v->relocs;
    in->v->relocs = r;
    init_store(a, in, 0);
}

/* name, name+4, generic(name), generic(name)+4 */
static void init_symbol(struct ast *a, struct init *in, unsigned shift)
{
    int generic = ptx_lex_word(&a->lx, "generic");
    struct ast_sym *y;
    int64_t add = 0;

    if (generic) {
        ptx_lex_next(&a->lx);
        ast_expect(a, '(');
    }
    ast_expect_ident(a);
    y = ast_find(a, a->scope, a->lx.text, a->lx.len);
    if (!y || (y->kind != SYM_VAR && y->kind != SYM_FUNC))
        ast_unexpected(a, "a variable or function");
    ptx_lex_next(&a->lx);
    if (generic && !ptx_lex_is(&a->lx, ')')) {
        ast_accept(a, '+');
        add = (int64_t)ast_expect_int(a);
    }
    if (generic)
        ast_expect(a, ')');
    if (ast_accept(a, '+') || ptx_lex_is(&a->lx, '-'))
        add = (int64_t)((uint64_t)add + ast_expect_int(a));
    init_reloc(a, in, y, add, shift);
}

/* 0xFF00(name): one byte of an address */
static void init_masked(struct ast *a, struct init *in, uint64_t mask)
{
    unsigned shift = 0;

    ast_expect(a, '(');
    while (mask && shift < 56 && !(mask & 0xff)) {
        mask >>= 8;
        shift += 8;
    }
    init_symbol(a, in, shift);
    ast_expect(a, ')');
}

static uint64_t init_float(struct ast *a, enum ast_type type)
{
    uint64_t bits = a->lx.ival;
    double d;
    float f;

    if (a->lx.tok == TOK_FLT) {
        uint32_t b = (uint32_t)bits;

        if (type != T_F64)
            return bits;
        memcpy(&f, &b, 4);
        d = f;
        memcpy(&bits, &d, 8);
        return bits;
    }
    memcpy(&d, &bits, 8);
    if (type == T_F32) {
        uint32_t b;

        f = (float)d;
        memcpy(&b, &f, 4);
        return b;
    }
    if (type != T_F64 && type != T_B64)
        return (uint64_t)(int64_t)(d > -9e18 && d < 9e18 ? d : 0);
    return bits;
}

static uint64_t init_from_int(uint64_t v, enum ast_type type)
{
    double d = (double)(int64_t)v;
    float f = (float)d;
    uint32_t b;

    if (type == T_F64) {
        memcpy(&v, &d, 8);
    } else if (type == T_F32) {
        memcpy(&b, &f, 4);
        v = b;
    }
    return v;
}

static void init_one(struct ast *a, struct init *in)
{
    int neg = ast_accept(a, '-');
    enum ast_type type = in->v->type;

    if (a->lx.tok == TOK_INT) {
        uint64_t v = a->lx.ival;

        ptx_lex_next(&a->lx);
        if (ptx_lex_is(&a->lx, '('))
            init_masked(a, in, v);
        else
            init_store(a, in, init_from_int(neg ? -v : v, type));
    } else if (a->lx.tok == TOK_FLT || a->lx.tok == TOK_DBL) {
        uint64_t v = init_float(a, type);

        if (neg)
            v ^= 1ull << (in->width * 8 - 1);
        ptx_lex_next(&a->lx);
        init_store(a, in, v);
    } else {
        init_symbol(a, in, 0);
    }
}

static void init_list(struct ast *a, struct init *in, int depth)
{
    if (depth > MAX_INIT_NESTING)
        ast_fail(a, -E2BIG, a->lx.tok_line, "initial value nested too deeply");
    if (!ast_accept(a, '{')) {
        init_one(a, in);
        return;
    }
    while (!ast_accept(a, '}')) {
        init_list(a, in, depth + 1);
        if (!ptx_lex_is(&a->lx, '}'))
            ast_expect(a, ',');
    }
}

void ast_parse_init(struct ast *a, struct ast_var *v)
{
    struct init in = {v, 0, 0, ast_type_size(v->type)};

    if (v->space != SP_GLOBAL && v->space != SP_CONST)
        ast_fail(a, -EINVAL, a->lx.tok_line, "initial value in this space");
    if (in.width > 8)
        ast_fail(a, -EINVAL, a->lx.tok_line, "initial value of this type is not supported");
    if (!v->is_unsized) {
        if (v->size > AST_MAX_INIT)
            ast_fail(a, -E2BIG, a->lx.tok_line, "initial value is too large");
        v->init = ast_alloc(a, v->size);
        in.cap = v->size;
    }
    init_list(a, &in, 0);
    if (v->is_unsized) {
        v->size = in.at;
        v->is_unsized = 0;
    }
}
