/* SPDX-License-Identifier: MIT */
/* Who calls whom, for memory that callees need. Loading thread only. */
#include "ast.h"
#include "code.h"

#include <errno.h>
#include <string.h>

enum { MAX_CHAIN = 64 }; /* calls deeper than this count as recursion */

static struct ast_func *target(struct ast_func *f)
{
    return f->resolved ? f->resolved : f;
}

static void add_callee(struct ast *a, struct ast_func *f, struct ast_func *to)
{
    f->callees = ast_grow(a, f->callees, &f->callees_cap, f->ncallees, sizeof(*f->callees));
    f->callees[f->ncallees++] = target(to);
}

static void see_symbol(struct ast *a, struct ast_func *f, struct ast_sym *y)
{
    struct ast_var *v;

    if (y->kind == SYM_FUNC) {
        add_callee(a, f, y->func);
        return;
    }
    v = y->resolved ? y->resolved->var : y->var;
    if (v->space == SP_SHARED && !v->is_unsized && v->link != LINK_EXTERN && v->placed &&
        v->offset + v->size > f->shared_end)
        f->shared_end = v->offset + v->size;
}

/* Operands nest three deep at most (parse_body.c). */
static void see_operand(struct ast *a, struct ast_func *f, const struct ast_opd *o)
{
    uint32_t i;

    if (o->kind == OPD_SYM)
        see_symbol(a, f, o->sym);
    for (i = 0; o->elems && i < o->n; i++)
        see_operand(a, f, &o->elems[i]);
}

static void see_function(struct ast *a, struct ast_func *f)
{
    struct ast_insn *in;
    uint32_t i;

    for (i = 0; !f->is_entry && i < f->nvars; i++) {
        struct ast_var *v = f->vars[i]->var;

        if (v->space == SP_SHARED && v->offset + v->size > f->shared_end)
            f->shared_end = v->offset + v->size;
    }
    for (in = f->first; in; in = in->next) {
        for (i = 0; i < in->n; i++)
            see_operand(a, f, &in->opds[i]);
        f->uses_alloca |= in->text_len >= 6 && memcmp(in->text, "alloca", 6) == 0;
        if (in->text_len >= 4 && memcmp(in->text, "call", 4) == 0)
            for (i = 0; i < in->n && i < 2; i++)
                f->calls_indirect |= in->opds[i].kind == OPD_REG;
    }
}

void ast_call_graph(struct ast *a)
{
    struct ast_func *f;

    for (f = a->funcs; f; f = f->next)
        if (f->index >= 0)
            see_function(a, f);
}

struct walk {
    struct ast_func **stack;
    uint32_t n, cap, mark;
    uint64_t end;
    int all; /* an indirect call: every function may be the target */
};

static void visit(struct ast *a, struct walk *w, struct ast_func *f)
{
    if (f->mark == w->mark)
        return;
    f->mark = w->mark;
    w->stack = ast_grow(a, w->stack, &w->cap, w->n, sizeof(*w->stack));
    w->stack[w->n++] = f;
}

static void visit_all(struct ast *a, struct walk *w)
{
    struct ast_func *f;

    if (w->all)
        return;
    w->all = 1;
    for (f = a->funcs; f; f = f->next)
        if (f->index >= 0 && !f->is_entry)
            visit(a, w, f);
}

uint64_t ast_shared_end(struct ast *a, struct ast_func *f)
{
    struct walk w;
    uint32_t i;

    memset(&w, 0, sizeof(w));
    w.mark = ++a->mark;
    visit(a, &w, f);
    while (w.n) {
        struct ast_func *g = w.stack[--w.n];

        if (g->shared_end > w.end)
            w.end = g->shared_end;
        for (i = 0; i < g->ncallees; i++)
            visit(a, &w, g->callees[i]);
        if (g->calls_indirect)
            visit_all(a, &w);
    }
    return w.end;
}

/* One more level of calls into need[]; 0 when nothing changed. */
static int deepen(struct ast *a, const struct ptx_module *m, uint64_t *need)
{
    struct ast_func *f;
    int changed = 0;
    uint32_t i;

    for (f = a->funcs; f; f = f->next) {
        uint64_t below = 0;

        if (f->index < 0)
            continue;
        for (i = 0; i < f->ncallees; i++)
            if (f->callees[i]->index >= 0 && need[f->callees[i]->index] > below)
                below = need[f->callees[i]->index];
        below += m->funcs[f->index].local_frame;
        if (below > need[f->index] && below <= PTX_MAX_STACK) {
            need[f->index] = below;
            changed = 1;
        }
    }
    return changed;
}

/* Indirect calls and recursion reach their callers. */
static int spread_deep(struct ast *a, struct ptx_module *m)
{
    struct ast_func *f;
    int changed = 0;
    uint32_t i;

    for (f = a->funcs; f; f = f->next) {
        int deep = f->calls_indirect || f->uses_alloca;

        if (f->index < 0 || m->funcs[f->index].is_deep)
            continue;
        for (i = 0; i < f->ncallees; i++)
            deep |= f->callees[i]->index >= 0 && m->funcs[f->callees[i]->index].is_deep;
        m->funcs[f->index].is_deep = deep;
        changed |= deep;
    }
    return changed;
}

void ast_local_bytes(struct ast *a, struct ptx_module *m)
{
    uint64_t *need = ast_alloc(a, (m->nfuncs + 1) * sizeof(*need));
    uint32_t i;
    int round;

    for (round = 0; round < MAX_CHAIN && deepen(a, m, need); round++)
        ;
    if (round == MAX_CHAIN)
        for (i = 0; i < m->nfuncs; i++)
            m->funcs[i].is_deep = 1;
    for (round = 0; round < MAX_CHAIN && spread_deep(a, m); round++)
        ;
    for (i = 0; i < m->nfuncs; i++) {
        const struct code_func *fn = &m->funcs[i];

        m->funcs[i].info.local_bytes =
            (uint32_t)(fn->is_deep || need[i] < fn->local_frame ? fn->local_frame : need[i]);
    }
}
