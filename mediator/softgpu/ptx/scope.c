/* SPDX-License-Identifier: MIT */
/* Arena, symbols and errors of one load (see ast.h). One thread per load. */
#include "ast.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ast_chunk {
    struct ast_chunk *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
};

enum { CHUNK = 256 << 10 };

void ast_fail(struct ast *a, int err, uint32_t line, const char *fmt, ...)
{
    char what[512], where[160] = "";
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    if (a->nunits > 1)
        snprintf(where, sizeof(where), "%.120s: ", a->unit_name);
    if (a->log_size && line)
        snprintf(a->log, a->log_size, "ptx: %sline %u: %s", where, line, what);
    else if (a->log_size)
        snprintf(a->log, a->log_size, "ptx: %s%s", where, what);
    a->err = err;
    longjmp(a->jb, 1);
}

static struct ast_chunk *new_chunk(struct ast *a, size_t n)
{
    size_t size = n > CHUNK ? n : CHUNK;
    struct ast_chunk *c;

    if (size > AST_MAX_MEMORY - a->used)
        ast_fail(a, -E2BIG, a->lx.tok_line, "module needs too much memory to load");
    c = calloc(1, sizeof(*c) + size);
    if (!c)
        ast_fail(a, -ENOMEM, a->lx.tok_line, "out of memory");
    a->used += size;
    c->size = size;
    c->next = a->chunks;
    a->chunks = c;
    return c;
}

void *ast_alloc(struct ast *a, size_t n)
{
    struct ast_chunk *c = a->chunks;
    void *p;

    n = (n + 15) & ~(size_t)15;
    if (!c || c->size - c->used < n)
        c = new_chunk(a, n);
    p = c->data + c->used;
    c->used += n;
    return p;
}

/* Room for element n of an array; grows by doubling, old copies stay in the arena. */
void *ast_grow(struct ast *a, void *old, uint32_t *cap, uint32_t n, size_t elem)
{
    uint32_t want = *cap ? *cap * 2 : 16;
    void *p;

    if (n < *cap)
        return old;
    p = ast_alloc(a, (size_t)want * elem);
    if (*cap)
        memcpy(p, old, (size_t)*cap * elem);
    *cap = want;
    return p;
}

char *ast_string(struct ast *a, const char *text, size_t len)
{
    char *s = ast_alloc(a, len + 1);

    memcpy(s, text, len);
    return s;
}

void ast_fini(struct ast *a)
{
    while (a->chunks) {
        struct ast_chunk *c = a->chunks;

        a->chunks = c->next;
        free(c);
    }
    free(a->hash);
    a->hash = NULL;
}

struct ast_scope *ast_scope_push(struct ast *a, uint32_t line)
{
    struct ast_scope *s = ast_alloc(a, sizeof(*s));

    s->up = a->scope;
    s->depth = a->scope->depth + 1;
    if (s->depth > AST_MAX_DEPTH)
        ast_fail(a, -E2BIG, line, "blocks nested too deeply");
    return s;
}

static uint32_t hash_of(const struct ast_scope *s, const char *name, size_t len)
{
    uint64_t h = (uintptr_t)s * 0x9e3779b97f4a7c15ull;
    size_t i;

    for (i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * 0x100000001b3ull;
    return (uint32_t)(h ^ (h >> 32));
}

struct ast_sym *ast_find_in(struct ast *a, const struct ast_scope *s, const char *name, size_t len)
{
    struct ast_sym *y;

    if (!a->hash)
        return NULL;
    for (y = a->hash[hash_of(s, name, len) & (a->hash_size - 1)]; y; y = y->chain)
        if (y->scope == s && y->name_len == len && memcmp(y->name, name, len) == 0)
            return y;
    return NULL;
}

/* %r57 of a family %r<100>: the register is made when it is first used. */
static struct ast_sym *find_member(struct ast *a, const struct ast_scope *s, const char *name,
                                   size_t len)
{
    size_t base = len;
    uint64_t number = 0, scale = 1;
    struct ast_sym *family, *y;

    while (base > 1 && name[base - 1] >= '0' && name[base - 1] <= '9' && len - base < 9) {
        number += scale * (uint64_t)(name[--base] - '0');
        scale *= 10;
        if (name[base] == '0' && len - base > 1)
            continue; /* leading zero: not a member's name at this length */
        family = ast_find_in(a, s, name, base);
        if (!family || family->kind != SYM_FAMILY || number >= family->count)
            continue;
        y = ast_add(a, s, name, len, SYM_REG);
        y->type = family->type;
        y->reg = ast_new_reg(a, family->type);
        return y;
    }
    return NULL;
}

struct ast_sym *ast_find(struct ast *a, const struct ast_scope *s, const char *name, size_t len)
{
    int may_be_member = len && name[len - 1] >= '0' && name[len - 1] <= '9';

    for (; s; s = s->up) {
        struct ast_sym *y = ast_find_in(a, s, name, len);

        if (!y && may_be_member && a->func && s->depth > a->unit->depth)
            y = find_member(a, s, name, len);
        if (y)
            return y;
    }
    return NULL;
}

static void rehash(struct ast *a)
{
    uint32_t size = a->hash_size ? a->hash_size * 2 : 1024, i;
    struct ast_sym **h = calloc(size, sizeof(*h));

    if (!h)
        ast_fail(a, -ENOMEM, a->lx.tok_line, "out of memory");
    for (i = 0; i < a->hash_size; i++) {
        while (a->hash[i]) {
            struct ast_sym *y = a->hash[i];
            uint32_t k = hash_of(y->scope, y->name, y->name_len) & (size - 1);

            a->hash[i] = y->chain;
            y->chain = h[k];
            h[k] = y;
        }
    }
    free(a->hash);
    a->hash = h;
    a->hash_size = size;
}

struct ast_sym *ast_add(struct ast *a, const struct ast_scope *s, const char *name, size_t len,
                        enum sym_kind kind)
{
    struct ast_sym *y;
    uint32_t k;

    if (ast_find_in(a, s, name, len))
        ast_fail(a, -EINVAL, a->lx.tok_line, "duplicate definition of '%.*s'",
                 (int)(len > 200 ? 200 : len), name);
    if (a->hash_used >= a->hash_size)
        rehash(a);
    y = ast_alloc(a, sizeof(*y));
    y->name = ast_string(a, name, len);
    y->name_len = (uint32_t)len;
    y->scope = s;
    y->kind = kind;
    y->line = a->lx.tok_line;
    k = hash_of(s, name, len) & (a->hash_size - 1);
    y->chain = a->hash[k];
    a->hash[k] = y;
    a->hash_used++;
    return y;
}

uint32_t ast_new_reg(struct ast *a, enum ast_type type)
{
    struct ast_func *f = a->func;

    if (f->nregs >= AST_MAX_REGS)
        ast_fail(a, -E2BIG, a->lx.tok_line, "function uses more than %d registers", AST_MAX_REGS);
    f->reg_types = ast_grow(a, f->reg_types, &f->reg_types_cap, f->nregs, sizeof(*f->reg_types));
    f->reg_types[f->nregs] = type;
    return f->nregs++;
}
