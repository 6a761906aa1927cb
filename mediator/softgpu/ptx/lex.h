/* SPDX-License-Identifier: MIT */
/*
 * PTX tokens. The text is a guest's: any bytes at all. A lexer only reads
 * inside [at, end), and hands out tokens that point into the text.
 */
#ifndef VG_PTX_LEX_H
#define VG_PTX_LEX_H

#include <stddef.h>
#include <stdint.h>

enum ptx_tok {
    TOK_EOF,
    TOK_IDENT,  /* foo  $L1  %r12  _ */
    TOK_DOT,    /* .word, with everything up to a non-word character: .b32 .x */
    TOK_INT,    /* value in ival */
    TOK_FLT,    /* 0fXXXXXXXX: ival holds the 32 bits */
    TOK_DBL,    /* 0dXXXXXXXXXXXXXXXX or 1.5: ival holds the 64 bits */
    TOK_STRING, /* text without the quotes, escapes untouched */
    TOK_PUNCT,  /* one character, in punct */
    TOK_BAD
};

struct ptx_lexer {
    const char *at, *end;
    uint32_t line;
    /* current token */
    enum ptx_tok tok;
    char punct;
    int is_unsigned; /* TOK_INT written with U */
    uint32_t tok_line;
    const char *text;
    size_t len;
    uint64_t ival;
};

void ptx_lex_init(struct ptx_lexer *lx, const char *text, size_t len);
void ptx_lex_next(struct ptx_lexer *lx);
int ptx_lex_is(const struct ptx_lexer *lx, char punct);
/* The token is exactly this word (an identifier, or a dotted word with its dot). */
int ptx_lex_word(const struct ptx_lexer *lx, const char *word);

#endif
