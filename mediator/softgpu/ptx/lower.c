/* SPDX-License-Identifier: MIT */
/* Lowering of functions: layout, instruction by instruction, labels. See lower.h. */
#include "lower.h"

#include <errno.h>

enum { MAX_UOPS = 1 << 22 };

static uint64_t align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

/* -------------------------------------------------------------------- layout */

static uint64_t place(struct lower *l, struct ast_var *v, uint64_t at, uint64_t limit,
                      const char *what)
{
    at = align_up(at, v->align ? v->align : 1);
    if (v->size > limit || at > limit - v->size)
        ast_fail(l->a, -E2BIG, l->f->line, "function '%s' uses too much %s", l->f->name, what);
    v->offset = at;
    return at + v->size;
}

static void layout_entry_params(struct lower *l)
{
    struct ptx_func_info *info = &l->fn->info;
    struct ptx_param_info *p = lower_keep(l, l->f->nparams * sizeof(*p));
    uint64_t at = 0;
    uint32_t i;

    for (i = 0; i < l->f->nparams; i++) {
        struct ast_sym *y = l->f->params[i];

        if (y->kind != SYM_VAR)
            ast_fail(l->a, -EINVAL, l->f->line, "kernel parameter in a register");
        at = place(l, y->var, at, PTX_MAX_PARAMS, "parameter memory");
        y->var->index = (int)i;
        p[i].offset = (uint32_t)y->var->offset;
        p[i].size = (uint32_t)y->var->size;
        p[i].align = (uint32_t)y->var->align;
    }
    info->nparams = l->f->nparams;
    info->params = p;
    info->param_bytes = (uint32_t)at;
}

/* Parameters and results of a .func are at the start of its local memory. */
static struct code_param *layout_formals(struct lower *l, struct ast_sym **list, uint32_t n,
                                         uint64_t *at)
{
    struct code_param *p = lower_keep(l, n * sizeof(*p));
    uint32_t i;

    for (i = 0; i < n; i++) {
        if (list[i]->kind == SYM_REG) {
            p[i].reg = lower_reg(l, list[i]->reg, list[i]->type);
            p[i].reg_bytes = lower_slot_bytes(list[i]->type);
            if (list[i]->type == T_PRED || p[i].reg_bytes > 8)
                ast_fail(l->a, -EINVAL, l->f->line, "parameter of this type is not supported");
        } else {
            *at = place(l, list[i]->var, *at, PTX_MAX_STACK, "local memory");
            p[i].offset = (uint32_t)list[i]->var->offset;
            p[i].size = (uint32_t)list[i]->var->size;
        }
    }
    return p;
}

static void layout_function(struct lower *l)
{
    struct code_func *fn = l->fn;
    uint64_t local = 0, shared = l->f->is_entry ? ast_shared_end(l->a, l->f) : 0;
    uint32_t i;

    if (l->f->is_entry) {
        layout_entry_params(l);
    } else {
        fn->nparams = l->f->nparams;
        fn->nrets = l->f->nrets;
        fn->params = layout_formals(l, l->f->params, l->f->nparams, &local);
        fn->rets = layout_formals(l, l->f->rets, l->f->nrets, &local);
    }
    for (i = 0; i < l->f->nvars; i++) {
        struct ast_var *v = l->f->vars[i]->var;

        if (v->space == SP_SHARED && !v->is_unsized && l->f->is_entry)
            shared = place(l, v, shared, PTX_MAX_SHARED, "shared memory");
        else if (v->space == SP_LOCAL || v->space == SP_PARAM)
            local = place(l, v, local, PTX_MAX_STACK, "local memory");
    }
    fn->info.static_shared = (uint32_t)shared;
    if (shared > PTX_MAX_SHARED)
        ast_fail(l->a, -E2BIG, l->f->line, "function '%s' uses too much shared memory", l->f->name);
    /* A nominal cost for each activation bounds recursion. */
    fn->local_frame = (uint32_t)align_up(local + (l->f->is_entry ? 0 : 32), 16);
}

/* ------------------------------------------------------------------ functions */

static uint32_t label_pc(struct lower *l, const struct ast_name *n, uint32_t line)
{
    struct ast_sym *y = ast_find(l->a, n->scope, n->name, n->len);

    if (!y || y->kind != SYM_LABEL)
        ast_fail(l->a, -EINVAL, line, "unknown label '%.100s'", n->name);
    return l->insn_pc[y->pc];
}

static void fix_labels(struct lower *l)
{
    uint32_t i;

    for (i = 0; i < l->nfixes; i++) {
        struct lower_fix *x = &l->fixes[i];
        uint32_t pc = label_pc(l, &x->name, x->line);

        if (x->pc)
            *x->pc = pc;
        else
            l->code[x->uop].imm = pc;
    }
}

static void lower_instruction(struct lower *l)
{
    static int (*const groups[])(struct lower *) = {
        lower_mem, lower_float, lower_int,  lower_set,  lower_cvt,  lower_ctl,
        lower_half, lower_bits, lower_atom, lower_warp, lower_misc, lower_matrix,
        lower_tex};
    size_t i;

    lower_split_opcode(l);
    for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        if (groups[i](l))
            return;
    lower_unsupported(l);
}

static void *keep_copy(struct lower *l, const void *from, size_t n)
{
    void *p = lower_keep(l, n);

    if (n)
        memcpy(p, from, n);
    return p;
}

/* Code that goes only forward runs each instruction at most once. */
static uint32_t steps_of(const struct lower *l)
{
    for (uint32_t i = 0; i < l->ncode; i++) {
        ptx_fn fn = l->code[i].fn;

        if (fn == ptx_op_brx || fn == ptx_op_call || fn == ptx_op_call_indirect ||
            (fn == ptx_op_bra && l->code[i].imm <= (int64_t)i))
            return 0;
    }
    return l->ncode;
}

static void finish_function(struct lower *l)
{
    struct code_func *fn = l->fn;

    l->in = NULL;
    l->insn_pc[l->insn_index] = l->ncode;
    lower_emit(l, ptx_op_ret); /* off the end */
    fix_labels(l);
    fn->info.steps = steps_of(l);
    lower_allocate(l);
    fn->ncode = l->ncode;
    fn->code = keep_copy(l, l->code, l->ncode * sizeof(*fn->code));
    fn->consts = keep_copy(l, l->consts, l->nconsts * sizeof(*fn->consts));
    fn->nconsts = l->nconsts;
}

static void copy_info(struct lower *l)
{
    struct ptx_func_info *info = &l->fn->info;
    struct ast_func *f = l->f;
    char *name = lower_keep(l, strlen(f->name) + 1);
    const uint32_t *n = f->reqntid[0] ? f->reqntid : f->maxntid;
    uint64_t threads = (uint64_t)n[0] * n[1] * n[2];

    memcpy(name, f->name, strlen(f->name) + 1);
    info->name = name;
    info->is_entry = f->is_entry;
    info->max_threads = threads && threads < PTX_MAX_THREADS ? (uint32_t)threads : PTX_MAX_THREADS;
    memcpy(info->maxntid, f->maxntid, sizeof(info->maxntid));
    memcpy(info->reqntid, f->reqntid, sizeof(info->reqntid));
    memcpy(info->cluster, f->cluster, sizeof(info->cluster));
    info->minnctapersm = f->minnctapersm;
    info->maxnreg = f->maxnreg;
}

void lower_function(struct ast *a, struct ptx_module *m, struct ast_func *f)
{
    struct lower *l = ast_alloc(a, sizeof(*l));
    struct ast_insn *in;

    l->a = a;
    l->m = m;
    l->f = f;
    l->fn = &m->funcs[f->index];
    l->reg_enc = ast_alloc(a, ((size_t)f->nregs + 1) * sizeof(*l->reg_enc));
    l->insn_pc = ast_alloc(a, ((size_t)f->ninsns + 1) * sizeof(*l->insn_pc));
    copy_info(l);
    layout_function(l);
    for (in = f->first; in; in = in->next) {
        l->in = in;
        l->insn_pc[l->insn_index++] = l->ncode;
        lower_instruction(l);
        if (l->ncode > MAX_UOPS)
            ast_fail(a, -E2BIG, in->line, "function '%s' is too long", f->name);
    }
    finish_function(l);
}
