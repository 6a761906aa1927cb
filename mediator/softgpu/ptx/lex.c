/* SPDX-License-Identifier: MIT */
/* PTX tokens; see lex.h. Pure, any thread. */
#include "lex.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_NUMBER = 64 };

static int is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '%';
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
           c == '$';
}

void ptx_lex_init(struct ptx_lexer *lx, const char *text, size_t len)
{
    memset(lx, 0, sizeof(*lx));
    lx->at = text;
    lx->end = text + len;
    lx->line = 1;
}

/* Past a comment that starts at lx->at; 0 when there is none. */
static int skip_comment(struct ptx_lexer *lx)
{
    if (lx->end - lx->at < 2 || lx->at[0] != '/')
        return 0;
    if (lx->at[1] == '/') {
        while (lx->at < lx->end && *lx->at != '\n')
            lx->at++;
        return 1;
    }
    if (lx->at[1] != '*')
        return 0;
    for (lx->at += 2; lx->at < lx->end; lx->at++) {
        if (*lx->at == '\n')
            lx->line++;
        if (*lx->at == '*' && lx->end - lx->at > 1 && lx->at[1] == '/') {
            lx->at += 2;
            break;
        }
    }
    return 1;
}

static void skip_space(struct ptx_lexer *lx)
{
    while (lx->at < lx->end) {
        char c = *lx->at;

        if (c == '\n')
            lx->line++;
        /* NUL: some images keep the terminator, and padding, in their length. */
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v' || c == '\0')
            lx->at++;
        else if (!skip_comment(lx))
            return;
    }
}

static void lex_word(struct ptx_lexer *lx, enum ptx_tok tok)
{
    lx->tok = tok;
    lx->at++;
    while (lx->at < lx->end && is_word(*lx->at))
        lx->at++;
    lx->len = (size_t)(lx->at - lx->text);
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Digits of a base up to a non-digit. 0 when there was none or too many. */
static int lex_digits(struct ptx_lexer *lx, unsigned base)
{
    const char *start = lx->at;
    uint64_t v = 0;

    for (; lx->at < lx->end; lx->at++) {
        int d = hex_value(*lx->at);

        if (d < 0 || (unsigned)d >= base)
            break;
        if (v > (UINT64_MAX - (unsigned)d) / base)
            return 0;
        v = v * base + (unsigned)d;
    }
    lx->ival = v;
    return lx->at > start;
}

static int lex_bits(struct ptx_lexer *lx, enum ptx_tok tok, int digits)
{
    const char *start;

    lx->at += 2;
    start = lx->at;
    lx->tok = tok;
    return lex_digits(lx, 16) && lx->at - start == digits;
}

/* A decimal floating literal, from its first character. */
static int lex_decimal_float(struct ptx_lexer *lx)
{
    char buf[MAX_NUMBER], *stop;
    size_t n = 0;
    double d;

    lx->at = lx->text;
    while (lx->at < lx->end && n < sizeof(buf) - 1 &&
           (is_digit(*lx->at) || *lx->at == '.' || *lx->at == 'e' || *lx->at == 'E' ||
            (n && (buf[n - 1] == 'e' || buf[n - 1] == 'E') &&
             (*lx->at == '-' || *lx->at == '+'))))
        buf[n++] = *lx->at++;
    buf[n] = '\0';
    d = strtod(buf, &stop);
    memcpy(&lx->ival, &d, sizeof(d));
    lx->tok = TOK_DBL;
    return *stop == '\0';
}

static int lex_integer(struct ptx_lexer *lx)
{
    char second = lx->end - lx->at > 1 ? lx->at[1] : '\0';
    unsigned base = 10;

    if (*lx->at == '0' && (second == 'x' || second == 'X')) {
        base = 16;
        lx->at += 2;
    } else if (*lx->at == '0' && (second == 'b' || second == 'B')) {
        base = 2;
        lx->at += 2;
    } else if (*lx->at == '0' && is_digit(second)) {
        base = 8;
    }
    if (!lex_digits(lx, base))
        return 0;
    lx->tok = TOK_INT;
    if (lx->at < lx->end && *lx->at == 'U') {
        lx->is_unsigned = 1;
        lx->at++;
    }
    return 1;
}

static void lex_number(struct ptx_lexer *lx)
{
    char second = lx->end - lx->at > 1 ? lx->at[1] : '\0';
    int ok;

    if (*lx->at == '0' && (second == 'f' || second == 'F')) {
        ok = lex_bits(lx, TOK_FLT, 8);
    } else if (*lx->at == '0' && (second == 'd' || second == 'D')) {
        ok = lex_bits(lx, TOK_DBL, 16);
    } else {
        ok = lex_integer(lx);
        if (lx->at < lx->end && (*lx->at == '.' || *lx->at == 'e' || *lx->at == 'E'))
            ok = lex_decimal_float(lx);
    }
    lx->len = (size_t)(lx->at - lx->text);
    if (!ok || (lx->at < lx->end && is_word(*lx->at)))
        lx->tok = TOK_BAD;
}

static void lex_string(struct ptx_lexer *lx)
{
    lx->text = ++lx->at;
    while (lx->at < lx->end && *lx->at != '"' && *lx->at != '\n')
        lx->at += (*lx->at == '\\' && lx->end - lx->at > 1 && lx->at[1] != '\n') ? 2 : 1;
    lx->len = (size_t)(lx->at - lx->text);
    lx->tok = TOK_STRING;
    if (lx->at < lx->end && *lx->at == '"')
        lx->at++;
    else
        lx->tok = TOK_BAD;
}

void ptx_lex_next(struct ptx_lexer *lx)
{
    skip_space(lx);
    lx->text = lx->at;
    lx->len = 0;
    lx->tok_line = lx->line;
    lx->is_unsigned = 0;
    lx->punct = '\0';
    lx->ival = 0;
    if (lx->at >= lx->end) {
        lx->tok = TOK_EOF;
        return;
    }
    if (is_word_start(*lx->at)) {
        lex_word(lx, TOK_IDENT);
    } else if (*lx->at == '.' && lx->end - lx->at > 1 && is_word(lx->at[1])) {
        lex_word(lx, TOK_DOT);
    } else if (is_digit(*lx->at)) {
        lex_number(lx);
    } else if (*lx->at == '"') {
        lex_string(lx);
    } else {
        lx->tok = TOK_PUNCT;
        lx->punct = *lx->at++;
        lx->len = 1;
    }
}

int ptx_lex_is(const struct ptx_lexer *lx, char punct)
{
    return lx->tok == TOK_PUNCT && lx->punct == punct;
}

int ptx_lex_word(const struct ptx_lexer *lx, const char *word)
{
    return (lx->tok == TOK_IDENT || lx->tok == TOK_DOT) && strlen(word) == lx->len &&
           memcmp(lx->text, word, lx->len) == 0;
}
