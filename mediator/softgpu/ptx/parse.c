/* SPDX-License-Identifier: MIT */
/* Module level of PTX: directives, linkage, functions' headings. See ast.h. */
#include "ast.h"

#include <errno.h>
#include <string.h>

void ast_unexpected(struct ast *a, const char *wanted)
{
    const struct ptx_lexer *lx = &a->lx;

    if (lx->tok == TOK_EOF)
        ast_fail(a, -EINVAL, lx->tok_line, "unexpected end of text, expected %s", wanted);
    ast_fail(a, -EINVAL, lx->tok_line, "unexpected '%.*s', expected %s",
             (int)(lx->len > 60 ? 60 : lx->len), lx->text, wanted);
}

void ast_expect(struct ast *a, char punct)
{
    char wanted[4] = {'\'', punct, '\'', '\0'};

    if (!ptx_lex_is(&a->lx, punct))
        ast_unexpected(a, wanted);
    ptx_lex_next(&a->lx);
}

int ast_accept(struct ast *a, char punct)
{
    if (!ptx_lex_is(&a->lx, punct))
        return 0;
    ptx_lex_next(&a->lx);
    return 1;
}

uint64_t ast_expect_int(struct ast *a)
{
    int neg = ast_accept(a, '-');
    uint64_t v = a->lx.ival;

    if (a->lx.tok != TOK_INT)
        ast_unexpected(a, "a number");
    ptx_lex_next(&a->lx);
    return neg ? -v : v;
}

void ast_expect_ident(struct ast *a)
{
    if (a->lx.tok != TOK_IDENT)
        ast_unexpected(a, "a name");
}

void ast_skip_statement(struct ast *a)
{
    while (!ptx_lex_is(&a->lx, ';')) {
        if (a->lx.tok == TOK_EOF)
            ast_unexpected(a, "';'");
        ptx_lex_next(&a->lx);
    }
    ptx_lex_next(&a->lx);
}

void ast_skip_line(struct ast *a)
{
    uint32_t line = a->lx.tok_line;

    while (a->lx.tok != TOK_EOF && a->lx.tok_line == line)
        ptx_lex_next(&a->lx);
}

static void skip_section(struct ast *a)
{
    while (a->lx.tok != TOK_EOF && !ptx_lex_is(&a->lx, '{'))
        ptx_lex_next(&a->lx);
    ast_expect(a, '{');
    while (a->lx.tok != TOK_EOF && !ptx_lex_is(&a->lx, '}'))
        ptx_lex_next(&a->lx);
    ast_expect(a, '}');
}

static void parse_version(struct ast *a)
{
    const char *p;

    ptx_lex_next(&a->lx);
    if (a->lx.tok != TOK_DBL && a->lx.tok != TOK_INT)
        ast_unexpected(a, "a version");
    a->version_major = a->version_minor = 0;
    for (p = a->lx.text; p < a->lx.text + a->lx.len && *p != '.'; p++)
        a->version_major = (a->version_major * 10 + (unsigned)(*p - '0')) % 1000;
    for (p++; p < a->lx.text + a->lx.len; p++)
        a->version_minor = (a->version_minor * 10 + (unsigned)(*p - '0')) % 1000;
    ptx_lex_next(&a->lx);
}

static void parse_target(struct ast *a)
{
    size_t i;
    unsigned v = 0;

    ptx_lex_next(&a->lx);
    if (a->lx.tok != TOK_IDENT || a->lx.len < 4 || memcmp(a->lx.text, "sm_", 3) != 0)
        ast_unexpected(a, "a target such as sm_75");
    for (i = 3; i < a->lx.len && a->lx.text[i] >= '0' && a->lx.text[i] <= '9'; i++)
        v = (v * 10 + (unsigned)(a->lx.text[i] - '0')) % 10000;
    if (v > a->target)
        a->target = v;
    ptx_lex_next(&a->lx);
    while (ast_accept(a, ',')) {
        ast_expect_ident(a);
        ptx_lex_next(&a->lx);
    }
}

static void parse_address_size(struct ast *a)
{
    uint32_t line = a->lx.tok_line;

    ptx_lex_next(&a->lx);
    if (ast_expect_int(a) != 64)
        ast_fail(a, -EINVAL, line, "only .address_size 64 is supported");
}

static void parse_alias(struct ast *a)
{
    struct ast_sym *to, *y;
    struct ptx_lexer name;

    ptx_lex_next(&a->lx);
    ast_expect_ident(a);
    name = a->lx;
    ptx_lex_next(&a->lx);
    ast_expect(a, ',');
    ast_expect_ident(a);
    to = ast_find_in(a, a->unit, a->lx.text, a->lx.len);
    if (!to || to->kind != SYM_FUNC)
        ast_unexpected(a, "a function");
    ptx_lex_next(&a->lx);
    ast_expect(a, ';');
    y = ast_find_in(a, a->unit, name.text, name.len);
    if (!y)
        y = ast_add(a, a->unit, name.text, name.len, SYM_FUNC);
    if (y->kind != SYM_FUNC || (y->func && y->func->has_body))
        ast_fail(a, -EINVAL, name.tok_line, "bad alias");
    y->func = to->func;
}

/* One of the parameters of a heading, or of its results. */
static struct ast_sym *parse_param(struct ast *a)
{
    struct ast_sym *y;

    if (ptx_lex_word(&a->lx, ".reg")) {
        ptx_lex_next(&a->lx);
        return ast_parse_declarator(a, SP_REG, LINK_LOCAL);
    }
    if (!ptx_lex_word(&a->lx, ".param"))
        ast_unexpected(a, "a parameter");
    ptx_lex_next(&a->lx);
    y = ast_parse_declarator(a, SP_PARAM, LINK_LOCAL);
    if (y->var->is_unsized)
        ast_fail(a, -EINVAL, y->line, "parameter of unknown size is not supported");
    return y;
}

static struct ast_sym **parse_param_list(struct ast *a, uint32_t *n)
{
    struct ast_sym **list = NULL;
    uint32_t cap = 0;

    *n = 0;
    ast_expect(a, '(');
    while (!ptx_lex_is(&a->lx, ')')) {
        if (*n)
            ast_expect(a, ',');
        if (*n >= AST_MAX_PARAMS)
            ast_fail(a, -E2BIG, a->lx.tok_line, "too many parameters");
        list = ast_grow(a, list, &cap, *n, sizeof(*list));
        list[(*n)++] = parse_param(a);
    }
    ast_expect(a, ')');
    return list;
}

static void parse_dims(struct ast *a, uint32_t dims[3])
{
    int i;

    ptx_lex_next(&a->lx);
    dims[1] = dims[2] = 1;
    for (i = 0; i < 3; i++) {
        uint64_t v = ast_expect_int(a);

        dims[i] = v > 65535 ? 65535 : (uint32_t)v;
        if (!ast_accept(a, ','))
            return;
    }
}

static void parse_attribute_list(struct ast *a)
{
    int depth = 0;

    ptx_lex_next(&a->lx);
    do {
        depth += ptx_lex_is(&a->lx, '(') - ptx_lex_is(&a->lx, ')');
        if (a->lx.tok == TOK_EOF)
            ast_unexpected(a, "')'");
        ptx_lex_next(&a->lx);
    } while (depth > 0);
}

/* .maxntid and friends, between heading and body. 0 when the token is none. */
static int parse_tuning(struct ast *a, struct ast_func *f)
{
    struct ptx_lexer *lx = &a->lx;
    static const struct {
        const char *word;
        size_t at;
    } one[] = {{".minnctapersm", offsetof(struct ast_func, minnctapersm)},
               {".maxnreg", offsetof(struct ast_func, maxnreg)}};
    uint32_t dummy[3];
    size_t i;

    if (ptx_lex_word(lx, ".maxntid")) {
        parse_dims(a, f->maxntid);
    } else if (ptx_lex_word(lx, ".reqntid")) {
        parse_dims(a, f->reqntid);
    } else if (ptx_lex_word(lx, ".reqnctapercluster")) {
        parse_dims(a, f->cluster);
    } else if (ptx_lex_word(lx, ".maxnctapersm") || ptx_lex_word(lx, ".maxclusterrank") ||
               ptx_lex_word(lx, ".abi_preserve") || ptx_lex_word(lx, ".abi_preserve_control")) {
        parse_dims(a, dummy);
    } else if (ptx_lex_word(lx, ".explicitcluster") || ptx_lex_word(lx, ".blocksareclusters")) {
        ptx_lex_next(lx);
    } else if (ptx_lex_word(lx, ".noreturn")) {
        f->is_noreturn = 1;
        ptx_lex_next(lx);
    } else if (ptx_lex_word(lx, ".pragma")) {
        ast_skip_statement(a);
    } else if (ptx_lex_word(lx, ".attribute")) {
        parse_attribute_list(a);
    } else {
        for (i = 0; i < sizeof(one) / sizeof(one[0]) && !ptx_lex_word(lx, one[i].word); i++)
            ;
        if (i == sizeof(one) / sizeof(one[0]))
            return 0;
        ptx_lex_next(lx);
        *(uint32_t *)((char *)f + one[i].at) = (uint32_t)ast_expect_int(a);
    }
    return 1;
}

static struct ast_func *declare_function(struct ast *a, int is_entry)
{
    struct ast_sym *y;
    struct ast_func *f;

    ast_expect_ident(a);
    y = ast_find_in(a, a->unit, a->lx.text, a->lx.len);
    if (y && y->kind != SYM_FUNC)
        ast_fail(a, -EINVAL, a->lx.tok_line, "duplicate definition of '%s'", y->name);
    if (!y) {
        y = ast_add(a, a->unit, a->lx.text, a->lx.len, SYM_FUNC);
        f = y->func = ast_alloc(a, sizeof(*f));
        f->name = y->name;
        f->is_entry = is_entry;
        f->tail = &f->first;
        f->index = -1;
        f->unit = a->unit_index;
        *a->funcs_tail = f;
        a->funcs_tail = &f->next;
    }
    ptx_lex_next(&a->lx);
    return y->func;
}

static void parse_function_body(struct ast *a, struct ast_func *f, uint32_t line)
{
    if (f->has_body)
        ast_fail(a, -EINVAL, line, "duplicate definition of '%s'", f->name);
    f->has_body = 1;
    f->line = line;
    ast_parse_body(a);
}

void ast_parse_function(struct ast *a, enum ast_link link)
{
    int is_entry = ptx_lex_word(&a->lx, ".entry");
    uint32_t line = a->lx.tok_line, nrets = 0, nparams = 0;
    struct ast_func scratch, *f;
    struct ast_scope *outer = a->scope;
    struct ast_sym **rets = NULL, **params = NULL;

    /* Registers of .reg parameters must have a function to belong to. */
    memset(&scratch, 0, sizeof(scratch));
    ptx_lex_next(&a->lx);
    while (ptx_lex_word(&a->lx, ".attribute"))
        parse_attribute_list(a);
    a->scope = ast_scope_push(a, line);
    a->func = &scratch;
    if (ptx_lex_is(&a->lx, '('))
        rets = parse_param_list(a, &nrets);
    f = declare_function(a, is_entry);
    if (ptx_lex_is(&a->lx, '('))
        params = parse_param_list(a, &nparams);
    if (!f->has_body) {
        f->rets = rets;
        f->nrets = nrets;
        f->params = params;
        f->nparams = nparams;
        f->nregs = scratch.nregs;
        f->reg_types = scratch.reg_types;
        f->reg_types_cap = scratch.reg_types_cap;
        if (link != LINK_EXTERN || f->link == LINK_LOCAL)
            f->link = link;
    }
    a->func = f;
    while (parse_tuning(a, f))
        ;
    if (ptx_lex_is(&a->lx, '{'))
        parse_function_body(a, f, line);
    else
        ast_expect(a, ';');
    a->func = NULL;
    a->scope = outer;
}

static int is_variable_space(struct ast *a)
{
    enum ast_space s = ast_space_of(&a->lx);

    return s == SP_GLOBAL || s == SP_CONST || s == SP_SHARED;
}

static enum ast_link parse_linkage(struct ast *a)
{
    static const char *const words[] = {
        [LINK_VISIBLE] = ".visible", [LINK_WEAK] = ".weak", [LINK_COMMON] = ".common",
        [LINK_EXTERN] = ".extern"};
    enum ast_link link = LINK_LOCAL;
    int i;

    for (i = LINK_VISIBLE; i <= LINK_EXTERN; i++) {
        if (ptx_lex_word(&a->lx, words[i])) {
            link = (enum ast_link)i;
            ptx_lex_next(&a->lx);
            break;
        }
    }
    return link;
}

static void parse_directive(struct ast *a)
{
    struct ptx_lexer *lx = &a->lx;
    enum ast_link link;

    if (ptx_lex_word(lx, ".version")) {
        parse_version(a);
    } else if (ptx_lex_word(lx, ".target")) {
        parse_target(a);
    } else if (ptx_lex_word(lx, ".address_size")) {
        parse_address_size(a);
    } else if (ptx_lex_word(lx, ".file") || ptx_lex_word(lx, ".loc")) {
        ast_skip_line(a);
    } else if (ptx_lex_word(lx, ".section")) {
        skip_section(a);
    } else if (ptx_lex_word(lx, ".pragma")) {
        ast_skip_statement(a);
    } else if (ptx_lex_word(lx, ".alias")) {
        parse_alias(a);
    } else {
        link = parse_linkage(a);
        if (ptx_lex_word(lx, ".func") || ptx_lex_word(lx, ".entry"))
            ast_parse_function(a, link);
        else if (is_variable_space(a))
            ast_parse_variable(a, link);
        else
            ast_unexpected(a, "a directive");
    }
}

void ast_parse_unit(struct ast *a, const struct ptx_source *src)
{
    a->unit_name = src->name ? src->name : "";
    a->func = NULL;
    a->scope = &a->module;
    a->unit = ast_scope_push(a, 0);
    a->scope = a->unit;
    ptx_lex_init(&a->lx, src->text, src->len);
    ptx_lex_next(&a->lx);
    if (!ptx_lex_word(&a->lx, ".version"))
        ast_unexpected(a, ".version");
    while (a->lx.tok != TOK_EOF)
        parse_directive(a);
}
