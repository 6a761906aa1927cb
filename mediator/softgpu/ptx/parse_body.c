/* SPDX-License-Identifier: MIT */
/* Function bodies: blocks, labels, instructions, operands. See ast.h. */
#include "ast.h"
#include "sreg.h"

#include <errno.h>
#include <string.h>

enum { MAX_OPD_NESTING = 3 };

static void parse_operand(struct ast *a, struct ast_opd *o, int depth);

/* The next word of the text after an identifier is part of the opcode: ld.global */
static void parse_opcode(struct ast *a, struct ast_insn *in)
{
    struct ptx_lexer *lx = &a->lx;

    in->text = lx->text;
    while (lx->at < lx->end) {
        char c = *lx->at;
        int word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '_' || c == '.';

        if (!word && !(c == ':' && lx->end - lx->at > 1 &&
                       (lx->at[1] == ':' || lx->at[-1] == ':')))
            break;
        lx->at++;
    }
    in->text_len = (uint32_t)(lx->at - in->text);
    in->text = ast_string(a, in->text, in->text_len);
    ptx_lex_next(lx);
}

static void name_operand(struct ast *a, struct ast_opd *o, const char *text, size_t len)
{
    struct ast_sym *y = ast_find(a, a->scope, text, len);

    if (y && y->kind == SYM_REG) {
        o->kind = OPD_REG;
        o->reg = y->reg;
        o->type = y->type;
    } else if (y && (y->kind == SYM_VAR || y->kind == SYM_FUNC)) {
        o->kind = OPD_SYM;
        o->sym = y;
    } else {
        o->kind = OPD_NAME;
        o->name.name = ast_string(a, text, len);
        o->name.len = (uint32_t)len;
        o->name.scope = a->scope;
    }
}

static void parse_name(struct ast *a, struct ast_opd *o)
{
    struct ptx_lexer *lx = &a->lx;
    const char *text = lx->text;
    size_t len = lx->len;

    if (len == 1 && *text == '_') {
        o->kind = OPD_SINK;
        ptx_lex_next(lx);
        return;
    }
    if (*text == '%') {
        /* %tid.x is two tokens side by side */
        if (lx->end - lx->at > 1 && *lx->at == '.' &&
            (lx->at[1] == 'x' || lx->at[1] == 'y' || lx->at[1] == 'z'))
            len += 2;
        o->special = ptx_sreg_find(text, len);
        if (o->special >= 0) {
            o->kind = OPD_SPECIAL;
            if (len > lx->len)
                ptx_lex_next(lx);
            ptx_lex_next(lx);
            return;
        }
        len = lx->len;
    }
    name_operand(a, o, text, len);
    if (o->kind == OPD_NAME && *text == '%')
        ast_fail(a, -EINVAL, lx->tok_line, "unknown register '%.*s'", (int)(len > 80 ? 80 : len),
                 text);
    if (o->kind == OPD_NAME && ptx_lex_word(lx, "WARP_SZ")) {
        o->kind = OPD_INT;
        o->imm = 32;
    }
    ptx_lex_next(lx);
}

static void parse_offset(struct ast *a, struct ast_opd *o)
{
    if (ast_accept(a, '+') || ptx_lex_is(&a->lx, '-'))
        o->off = (int64_t)ast_expect_int(a);
}

static void parse_address(struct ast *a, struct ast_opd *o, int depth)
{
    struct ast_opd *parts = ast_alloc(a, 8 * sizeof(*parts));

    o->kind = OPD_MEM;
    o->elems = parts;
    do {
        if (o->n == 8)
            ast_unexpected(a, "']'");
        parse_operand(a, &parts[o->n], depth + 1);
        o->n++;
        if (o->n == 1)
            parse_offset(a, o);
    } while (ast_accept(a, ','));
    if (parts[0].kind == OPD_SYM) { /* parse_operand took sym+off */
        o->off = (int64_t)((uint64_t)o->off + (uint64_t)parts[0].off);
        parts[0].off = 0;
    }
    ast_expect(a, ']');
}

static void parse_group(struct ast *a, struct ast_opd *o, enum opd_kind kind, char close, int depth)
{
    uint32_t cap = 0;

    o->kind = kind;
    while (!ptx_lex_is(&a->lx, close)) {
        if (o->n)
            ast_expect(a, ',');
        if (o->n >= AST_MAX_OPERANDS)
            ast_fail(a, -E2BIG, a->lx.tok_line, "too many operands");
        o->elems = ast_grow(a, o->elems, &cap, o->n, sizeof(*o->elems));
        parse_operand(a, &o->elems[o->n], depth + 1);
        o->n++;
    }
    ast_expect(a, close);
}

static void parse_literal(struct ast *a, struct ast_opd *o, int neg)
{
    struct ptx_lexer *lx = &a->lx;

    o->imm = lx->ival;
    if (lx->tok == TOK_INT) {
        o->kind = OPD_INT;
        if (neg)
            o->imm = -o->imm;
    } else if (lx->tok == TOK_FLT) {
        o->kind = OPD_FLT;
        o->imm ^= neg ? 0x80000000u : 0;
    } else if (lx->tok == TOK_DBL) {
        o->kind = OPD_DBL;
        o->imm ^= neg ? 1ull << 63 : 0;
    } else {
        ast_unexpected(a, "an operand");
    }
    ptx_lex_next(lx);
}

static void parse_operand(struct ast *a, struct ast_opd *o, int depth)
{
    if (depth > MAX_OPD_NESTING)
        ast_fail(a, -EINVAL, a->lx.tok_line, "operand nested too deeply");
    if (ast_accept(a, '[')) {
        parse_address(a, o, depth);
    } else if (ast_accept(a, '{')) {
        parse_group(a, o, OPD_VEC, '}', depth);
    } else if (ast_accept(a, '(')) {
        parse_group(a, o, OPD_LIST, ')', depth);
    } else if (ast_accept(a, '!')) {
        ast_expect_ident(a);
        parse_name(a, o);
        o->negated = 1;
    } else if (ast_accept(a, '-')) {
        parse_literal(a, o, 1);
    } else if (a->lx.tok == TOK_IDENT) {
        parse_name(a, o);
        if (o->kind == OPD_SYM)
            parse_offset(a, o);
    } else {
        parse_literal(a, o, 0);
    }
    if (ast_accept(a, '|')) {
        o->second = ast_alloc(a, sizeof(*o->second));
        parse_operand(a, o->second, depth + 1);
    }
}

static void parse_guard(struct ast *a, struct ast_insn *in)
{
    struct ast_sym *y;

    in->guard_neg = ast_accept(a, '!');
    ast_expect_ident(a);
    y = ast_find(a, a->scope, a->lx.text, a->lx.len);
    if (!y || y->kind != SYM_REG || y->type != T_PRED)
        ast_unexpected(a, "a predicate");
    in->has_guard = 1;
    in->guard = y->reg;
    ptx_lex_next(&a->lx);
    ast_expect_ident(a);
}

static void parse_operands(struct ast *a, struct ast_insn *in)
{
    uint32_t cap = 0;

    while (!ptx_lex_is(&a->lx, ';')) {
        if (in->n)
            ast_expect(a, ',');
        if (in->n >= AST_MAX_OPERANDS)
            ast_fail(a, -E2BIG, in->line, "too many operands");
        in->opds = ast_grow(a, in->opds, &cap, in->n, sizeof(*in->opds));
        parse_operand(a, &in->opds[in->n], 0);
        in->n++;
    }
    ptx_lex_next(&a->lx);
}

static void parse_instruction(struct ast *a, int guarded)
{
    struct ast_func *f = a->func;
    struct ast_insn *in = ast_alloc(a, sizeof(*in));

    in->line = a->lx.tok_line;
    in->scope = a->scope;
    if (guarded)
        parse_guard(a, in);
    in->line = a->lx.tok_line;
    parse_opcode(a, in);
    parse_operands(a, in);
    *f->tail = in;
    f->tail = &in->next;
    f->ninsns++;
}

/* L: .branchtargets L1, L2;  and the like */
static void parse_label_list(struct ast *a, struct ast_sym *label)
{
    struct ast_list *list = ast_alloc(a, sizeof(*list));
    uint32_t cap = 0;

    ptx_lex_next(&a->lx);
    label->kind = SYM_TARGETS;
    label->list = list;
    do {
        struct ast_name *n;

        ast_expect_ident(a);
        list->names = ast_grow(a, list->names, &cap, list->n, sizeof(*list->names));
        n = &list->names[list->n++];
        n->name = ast_string(a, a->lx.text, a->lx.len);
        n->len = (uint32_t)a->lx.len;
        n->scope = a->scope;
        ptx_lex_next(&a->lx);
    } while (ast_accept(a, ','));
    ast_expect(a, ';');
}

static void parse_label(struct ast *a)
{
    struct ast_sym *y = ast_add(a, a->scope, a->lx.text, a->lx.len, SYM_LABEL);

    y->pc = a->func->ninsns;
    ptx_lex_next(&a->lx);
    ast_expect(a, ':');
    if (ptx_lex_word(&a->lx, ".branchtargets")) {
        parse_label_list(a, y);
    } else if (ptx_lex_word(&a->lx, ".calltargets")) {
        parse_label_list(a, y);
        y->kind = SYM_PROTO;
    } else if (ptx_lex_word(&a->lx, ".callprototype")) {
        y->kind = SYM_PROTO;
        ast_skip_statement(a);
    }
}

static int at_label(const struct ptx_lexer *lx)
{
    const char *p = lx->at;

    while (p < lx->end && (*p == ' ' || *p == '\t'))
        p++;
    return p < lx->end && *p == ':' && !(lx->end - p > 1 && p[1] == ':');
}

static void parse_statement(struct ast *a)
{
    struct ptx_lexer *lx = &a->lx;

    if (lx->tok == TOK_IDENT && at_label(lx)) {
        parse_label(a);
    } else if (lx->tok == TOK_IDENT) {
        parse_instruction(a, 0);
    } else if (ast_accept(a, '@')) {
        parse_instruction(a, 1);
    } else if (ast_accept(a, ';')) {
        return;
    } else if (ptx_lex_word(lx, ".loc") || ptx_lex_word(lx, ".file")) {
        ast_skip_line(a);
    } else if (ptx_lex_word(lx, ".pragma")) {
        ast_skip_statement(a);
    } else if (ptx_lex_word(lx, ".extern")) {
        ptx_lex_next(lx);
        ast_parse_variable(a, LINK_EXTERN);
    } else if (ast_space_of(lx) != SP_NONE) {
        ast_parse_variable(a, LINK_LOCAL);
    } else {
        ast_unexpected(a, "a statement");
    }
}

/* At '{' of a function. Blocks are not recursion: depth is the scope chain. */
void ast_parse_body(struct ast *a)
{
    struct ast_scope *heading = a->scope;

    do {
        if (ast_accept(a, '{')) {
            a->scope = ast_scope_push(a, a->lx.tok_line);
        } else if (ptx_lex_is(&a->lx, '}')) {
            a->scope = a->scope->up;
            ptx_lex_next(&a->lx);
        } else {
            parse_statement(a);
        }
    } while (a->scope != heading);
}
