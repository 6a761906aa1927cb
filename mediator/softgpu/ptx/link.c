/* SPDX-License-Identifier: MIT */
/*
 * From parsed units to one module: which definition a name means, where module
 * variables lie, which functions call which. Loading thread only.
 */
#include "ast.h"
#include "lower.h"

#include <errno.h>
#include <string.h>

static int is_shared_name(enum ast_link k)
{
    return k == LINK_VISIBLE || k == LINK_WEAK || k == LINK_COMMON;
}

/* A definition others may use. Weak ones give way to what is there. */
static void publish(struct ast *a, struct ast_sym *y, enum ast_link link)
{
    struct ast_sym *old = ast_find_in(a, &a->module, y->name, y->name_len);
    enum ast_link old_link;

    if (!old) {
        old = ast_add(a, &a->module, y->name, y->name_len, y->kind);
        old->resolved = y->kind == SYM_VAR ? y : NULL;
        old->var = y->var;
        old->func = y->func;
        return;
    }
    if (old->kind != y->kind)
        ast_fail(a, -EINVAL, y->line, "duplicate definition of '%.200s'", y->name);
    old_link = old->kind == SYM_VAR ? old->var->link : old->func->link;
    if (old_link == LINK_VISIBLE && link == LINK_VISIBLE)
        ast_fail(a, -EINVAL, y->line, "duplicate definition of '%.200s'", y->name);
    if (link == LINK_VISIBLE) {
        old->resolved = y->kind == SYM_VAR ? y : NULL;
        old->var = y->var;
        old->func = y->func;
    }
}

static void link_functions(struct ast *a)
{
    struct ast_func *f;

    for (f = a->funcs; f; f = f->next) {
        struct ast_sym y;

        memset(&y, 0, sizeof(y));
        y.name = f->name;
        y.name_len = (uint32_t)strlen(f->name);
        y.kind = SYM_FUNC;
        y.func = f;
        y.line = f->line;
        if (f->has_body && (is_shared_name(f->link) || f->is_entry))
            publish(a, &y, f->link);
    }
    for (f = a->funcs; f; f = f->next) {
        struct ast_sym *y = ast_find_in(a, &a->module, f->name, strlen(f->name));

        if (!f->has_body && y && y->kind == SYM_FUNC && y->func->has_body)
            f->resolved = y->func;
        /* A weak duplicate: everybody uses the published one. */
        if (f->has_body && is_shared_name(f->link) && y && y->func && y->func != f)
            f->resolved = y->func;
    }
}

static void link_variables(struct ast *a)
{
    uint32_t i;

    for (i = 0; i < a->nglobals; i++)
        if (is_shared_name(a->globals[i]->var->link))
            publish(a, a->globals[i], a->globals[i]->var->link);
    for (i = 0; i < a->nglobals; i++) {
        struct ast_sym *y = a->globals[i], *def;

        if (y->var->link == LINK_LOCAL)
            continue;
        def = ast_find_in(a, &a->module, y->name, y->name_len);
        if (def && def->kind == SYM_VAR && def->var != y->var)
            y->resolved = def->resolved;
    }
}

/* Numbers for functions, entries first; weak duplicates get none. */
static void number_functions(struct ast *a, struct ptx_module *m)
{
    struct ast_func *f;
    int entries;

    for (entries = 1; entries >= 0; entries--) {
        for (f = a->funcs; f; f = f->next) {
            if (f->has_body && !f->resolved && f->is_entry == entries)
                f->index = (int)m->nfuncs++;
        }
        if (entries)
            m->nentries = m->nfuncs;
    }
}

static void place_shared(struct ast *a, struct ast_sym *y, uint64_t *at)
{
    struct ast_var *v = y->var;

    if (v->is_unsized || y->resolved)
        return;
    *at = (*at + v->align - 1) & ~(v->align - 1);
    v->offset = *at;
    *at += v->size;
    if (*at > UINT32_MAX)
        ast_fail(a, -E2BIG, y->line, "too much shared memory");
}

/* Shared variables of a .func are at one place for all kernels that call it. */
static void place_function_shared(struct ast *a, uint64_t *at)
{
    struct ast_func *f;
    uint32_t i;

    for (f = a->funcs; f; f = f->next)
        for (i = 0; !f->is_entry && i < f->nvars; i++)
            if (f->vars[i]->var->space == SP_SHARED)
                place_shared(a, f->vars[i], at);
}

static void number_variables(struct ast *a, struct ptx_module *m)
{
    uint64_t shared = 0;
    uint32_t i;

    for (i = 0; i < a->nglobals; i++) {
        struct ast_sym *y = a->globals[i];

        if (y->var->space == SP_SHARED)
            place_shared(a, y, &shared);
        else if (!y->resolved && y->var->link != LINK_EXTERN)
            y->var->index = (int)m->nglobals++;
    }
    place_function_shared(a, &shared);
    m->info.nglobals = m->nglobals;
}

void ast_number(struct ast *a, struct ptx_module *m)
{
    link_functions(a);
    link_variables(a);
    number_functions(a, m);
    number_variables(a, m);
}

/* --------------------------------------------------------- module variables */

static void *keep(struct ast *a, struct ptx_module *m, size_t n)
{
    void *p = ptx_module_alloc(m, n);

    if (!p)
        ast_fail(a, -ENOMEM, 0, "out of memory");
    return p;
}

static void copy_relocs(struct ast *a, struct ptx_module *m, struct ast_var *v,
                        struct code_global *g)
{
    struct ast_reloc *r;
    uint32_t n = 0;

    for (r = v->relocs; r; r = r->next)
        n++;
    g->relocs = keep(a, m, n * sizeof(*g->relocs));
    for (r = v->relocs; r; r = r->next) {
        struct code_reloc *to = &g->relocs[g->nrelocs++];
        struct ast_sym *y = r->sym->resolved ? r->sym->resolved : r->sym;

        to->at = r->at;
        to->add = r->add;
        to->width = (uint8_t)r->width;
        to->shift = (uint8_t)r->shift;
        to->global = to->func = -1;
        if (y->kind == SYM_FUNC)
            to->func = y->func->resolved ? y->func->resolved->index : y->func->index;
        else if (y->var->space == SP_GLOBAL || y->var->space == SP_CONST)
            to->global = y->var->index;
        if (to->func < 0 && to->global < 0)
            ast_fail(a, -EINVAL, r->line, "unresolved symbol '%.200s' in an initial value",
                     y->name);
    }
}

static void copy_variable(struct ast *a, struct ptx_module *m, struct ast_sym *y)
{
    struct code_global *g = &m->globals[y->var->index];
    struct ast_var *v = y->var;
    char *name = keep(a, m, y->name_len + 1);

    memcpy(name, y->name, y->name_len);
    g->info.name = name;
    g->info.size = v->size;
    g->info.align = v->align;
    g->info.is_const = v->space == SP_CONST;
    g->info.is_managed = v->is_managed;
    g->info.is_visible = v->link != LINK_LOCAL;
    if (v->init) {
        g->init = keep(a, m, v->size);
        memcpy(g->init, v->init, v->size);
        copy_relocs(a, m, v, g);
    }
}

void ast_copy_variables(struct ast *a, struct ptx_module *m)
{
    uint32_t i;

    m->globals = keep(a, m, m->nglobals * sizeof(*m->globals));
    for (i = 0; i < a->nglobals; i++)
        if (a->globals[i]->var->index >= 0)
            copy_variable(a, m, a->globals[i]);
}
