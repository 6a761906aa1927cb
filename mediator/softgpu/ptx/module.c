/* SPDX-License-Identifier: MIT */
/* Modules: loading, asking, linking; see ptx.h. A module is one thread's until linked. */
#include "ast.h"
#include "code.h"
#include "lower.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mem_block {
    struct mem_block *next;
    size_t used, size;
    _Alignas(64) unsigned char data[];
};

enum { BLOCK = 64 << 10 };

void *ptx_module_alloc(struct ptx_module *m, size_t n)
{
    struct mem_block *b = m->blocks;
    size_t size;
    void *p;

    n = (n + 15) & ~(size_t)15;
    if (!b || b->size - b->used < n) {
        size = n > BLOCK ? n : BLOCK;
        if (posix_memalign(&p, 64, sizeof(*b) + size))
            return NULL;
        memset(p, 0, sizeof(*b) + size);
        b = p;
        b->size = size;
        b->next = m->blocks;
        m->blocks = b;
    }
    p = b->data + b->used;
    b->used += n;
    return p;
}

void ptx_module_free(struct ptx_module *m)
{
    if (!m)
        return;
    while (m->blocks) {
        struct mem_block *b = m->blocks;

        m->blocks = b->next;
        free(b);
    }
    free(m);
}

static void load(struct ast *a, struct ptx_module *m, const struct ptx_source *src, size_t n)
{
    struct ast_func *f;
    size_t i;

    for (i = 0; i < n; i++) {
        if (src[i].len > AST_MAX_TEXT)
            ast_fail(a, -E2BIG, 0, "text is too long");
        a->unit_index = (int)i;
        ast_parse_unit(a, &src[i]);
    }
    ast_number(a, m);
    ast_call_graph(a);
    m->funcs = ptx_module_alloc(m, (m->nfuncs + 1) * sizeof(*m->funcs));
    if (!m->funcs)
        ast_fail(a, -ENOMEM, 0, "out of memory");
    for (f = a->funcs; f; f = f->next) {
        if (f->index < 0)
            continue;
        a->unit_name = src[f->unit].name ? src[f->unit].name : "";
        m->funcs[f->index].index = (uint32_t)f->index;
        lower_function(a, m, f);
    }
    ast_local_bytes(a, m);
    ast_copy_variables(a, m);
    m->info.version_major = a->version_major;
    m->info.version_minor = a->version_minor;
    m->info.target = a->target;
    m->info.nfuncs = m->nfuncs;
}

int ptx_module_new_linked(struct ptx_module **ret, const struct ptx_source *src, size_t n,
                          char *log, size_t log_size)
{
    struct ptx_module *m = calloc(1, sizeof(*m));
    struct ast *a = calloc(1, sizeof(*a));
    int err = -ENOMEM;

    if (log_size)
        log[0] = '\0';
    if (m && a && n) {
        a->log = log;
        a->log_size = log_size;
        a->nunits = (int)n;
        a->funcs_tail = &a->funcs;
        if (setjmp(a->jb) == 0) {
            load(a, m, src, n);
            err = 0;
        } else {
            err = a->err;
        }
        ast_fini(a);
    }
    free(a);
    if (err)
        ptx_module_free(m);
    else
        *ret = m;
    return err;
}

int ptx_module_new(struct ptx_module **ret, const char *text, size_t len, char *log,
                   size_t log_size)
{
    struct ptx_source src = {NULL, text, len};

    return ptx_module_new_linked(ret, &src, 1, log, log_size);
}

/* ------------------------------------------------------------------- asking */

void ptx_module_get_info(const struct ptx_module *m, struct ptx_module_info *ret)
{
    *ret = m->info;
}

const struct ptx_func_info *ptx_module_func(const struct ptx_module *m, uint32_t i)
{
    return i < m->nfuncs ? &m->funcs[i].info : NULL;
}

const struct ptx_global_info *ptx_module_global(const struct ptx_module *m, uint32_t i)
{
    return i < m->nglobals ? &m->globals[i].info : NULL;
}

int ptx_module_find_func(const struct ptx_module *m, const char *name)
{
    uint32_t i;

    for (i = 0; i < m->nentries; i++)
        if (strcmp(m->funcs[i].info.name, name) == 0)
            return (int)i;
    return -ENOENT;
}

int ptx_module_find_global(const struct ptx_module *m, const char *name)
{
    uint32_t i;

    for (i = 0; i < m->nglobals; i++)
        if (m->globals[i].info.is_visible && strcmp(m->globals[i].info.name, name) == 0)
            return (int)i;
    return -ENOENT;
}

/* ------------------------------------------------------------------ linking */

int ptx_module_bind_global(struct ptx_module *m, uint32_t i, uint64_t addr)
{
    struct code_global *g = i < m->nglobals ? &m->globals[i] : NULL;

    if (!g || (addr & (g->info.align - 1)) || addr >= PTX_WINDOW_SHARED ||
        g->info.size > PTX_WINDOW_SHARED - addr)
        return -EINVAL;
    g->addr = addr;
    g->bound = 1;
    return 0;
}

static void relocate(struct ptx_module *m, struct code_global *g)
{
    uint32_t i;

    for (i = 0; i < g->nrelocs; i++) {
        const struct code_reloc *r = &g->relocs[i];
        uint64_t v = r->func >= 0 ? PTX_WINDOW_CODE + (uint64_t)r->func * 16
                                  : m->globals[r->global].addr;

        v = (v + (uint64_t)r->add) >> r->shift;
        memcpy(g->init + r->at, &v, r->width);
    }
}

static void spread_const(unsigned char *at, const struct code_const *c, uint64_t v)
{
    uint32_t lane;

    for (lane = 0; lane < PTX_LANES; lane++)
        memcpy(at + (size_t)lane * (c->wide ? 8 : 4), &v, c->wide ? 8 : 4);
}

static int link_function(struct ptx_module *m, struct code_func *fn)
{
    uint32_t i;

    if (!fn->const_image)
        fn->const_image = ptx_module_alloc(m, fn->frame_bytes - fn->const_at + 1);
    if (!fn->const_image)
        return -ENOMEM;
    for (i = 0; i < fn->nconsts; i++) {
        const struct code_const *c = &fn->consts[i];
        uint64_t v = c->value + (c->global >= 0 ? m->globals[c->global].addr : 0);

        spread_const(fn->const_image + (c->at - fn->const_at), c, v);
    }
    return 0;
}

int ptx_module_link(struct ptx_module *m)
{
    uint32_t i;
    int err = 0;

    for (i = 0; i < m->nglobals; i++)
        if (!m->globals[i].bound)
            return -EINVAL;
    for (i = 0; i < m->nglobals; i++)
        relocate(m, &m->globals[i]);
    for (i = 0; i < m->nfuncs && !err; i++)
        err = link_function(m, &m->funcs[i]);
    m->linked = !err;
    return err;
}

const void *ptx_module_global_image(const struct ptx_module *m, uint32_t i)
{
    return i < m->nglobals ? m->globals[i].init : NULL;
}
