/* SPDX-License-Identifier: MIT */
/* Branches, calls, barriers, fences. See lower.h. */
#include "lower.h"

#include <string.h>

static void bra(struct lower *l)
{
    const struct ast_opd *o;

    lower_mod(l, "uni");
    lower_mods_done(l);
    lower_count(l, 1, 1);
    o = lower_opd(l, 0);
    if (o->kind != OPD_NAME)
        lower_fail(l, "target is not a label");
    lower_emit(l, ptx_op_bra);
    lower_fix_label(l, l->ncode - 1, NULL, &o->name);
}

static void brx(struct lower *l)
{
    const struct ast_opd *o;
    struct ast_sym *y;
    struct code_targets *t;
    struct uop *u;
    uint32_t a, i;

    lower_mod(l, "uni");
    if (!lower_mod(l, "idx"))
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 2, 2);
    a = lower_src(l, lower_opd(l, 0), T_U32);
    o = lower_opd(l, 1);
    y = o->kind == OPD_NAME ? ast_find(l->a, o->name.scope, o->name.name, o->name.len) : NULL;
    if (!y || y->kind != SYM_TARGETS)
        lower_fail(l, "no .branchtargets list");
    t = lower_keep(l, sizeof(*t) + y->list->n * sizeof(t->pc[0]));
    t->n = y->list->n;
    u = lower_emit(l, ptx_op_brx);
    u->a = a;
    u->aux = t;
    for (i = 0; i < t->n; i++)
        lower_fix_label(l, l->ncode - 1, &t->pc[i], &y->list->names[i]);
}

/* -------------------------------------------------------------------- calls */

/* Where one argument or result lives in the caller. */
static void actual(struct lower *l, const struct ast_opd *o, const struct ast_sym *formal, int dst,
                   struct code_param *p)
{
    enum ast_type t = T_NONE;

    memset(p, 0, sizeof(*p));
    if (o->kind == OPD_SYM && o->sym->kind == SYM_VAR && o->sym->var->space == SP_PARAM &&
        !(l->f->is_entry && o->sym->var->index >= 0)) {
        p->offset = (uint32_t)o->sym->var->offset;
        p->size = (uint32_t)o->sym->var->size;
        return;
    }
    if (formal)
        t = formal->kind == SYM_REG ? formal->type : formal->var->type;
    else if (o->kind == OPD_REG)
        t = o->type;
    if (t == T_NONE || t == T_PRED || lower_slot_bytes(t) > 8)
        lower_fail(l, "bad argument");
    p->reg = dst ? lower_dst(l, o, t) : lower_src(l, o, t);
    p->reg_bytes = lower_slot_bytes(t);
}

static struct code_param *actuals(struct lower *l, const struct ast_opd *list,
                                  struct ast_sym **formals, uint32_t nformals, int dst,
                                  uint32_t *n)
{
    uint32_t count = list ? list->n : 0, i;
    struct code_param *p = lower_keep(l, count * sizeof(*p));

    for (i = 0; i < count; i++)
        actual(l, &list->elems[i], i < nformals ? formals[i] : NULL, dst, &p[i]);
    *n = count;
    return p;
}

/* A direct call's function; NULL: the operand is a register. */
static struct ast_func *callee(struct lower *l, const struct ast_opd *o)
{
    struct ast_func *f;

    if (o->kind == OPD_REG)
        return NULL;
    if (o->kind != OPD_SYM || o->sym->kind != SYM_FUNC)
        lower_fail(l, "call of something that is no function");
    f = o->sym->func;
    return f->resolved ? f->resolved : f;
}

/* Tells the allocator about register arguments; memory ones have reg 0. */
static void params_list(struct lower *l, struct code_param *p, uint32_t n, int is_def)
{
    lower_list(l, &p->reg, n, sizeof(*p) / sizeof(uint32_t), is_def);
}

static void finish_call(struct lower *l, struct uop *u, struct code_call *c)
{
    u->aux = c;
    if (c->nargs)
        params_list(l, c->args, c->nargs, 0);
    if (c->nrets)
        params_list(l, c->rets, c->nrets, 1);
}

static void check_counts(struct lower *l, const struct ast_func *f, const struct code_call *c)
{
    if (c->nargs != f->nparams || c->nrets != f->nrets)
        lower_fail(l, "call does not match '%.100s'", f->name);
}

/* Builtins read their arguments from memory, 8 bytes each at most. */
static void check_builtin(struct lower *l, const struct code_call *c)
{
    static const uint32_t nargs[] = {[BUILTIN_VPRINTF] = 2, [BUILTIN_ASSERT] = 5,
                                     [BUILTIN_MALLOC] = 1, [BUILTIN_FREE] = 1,
                                     [BUILTIN_SET_CONDITION] = 2};

    if (c->nargs != nargs[c->builtin])
        lower_fail(l, "builtin with %u arguments", c->nargs);
}

static void direct_call(struct lower *l, struct ast_func *f, struct code_call *c)
{
    struct uop *u;

    check_counts(l, f, c);
    if (f->has_body) {
        if (f->is_entry)
            lower_fail(l, "call of a kernel");
        c->fn = &l->m->funcs[f->index];
    } else {
        c->builtin = ptx_builtin_find(f->name);
        if (!c->builtin)
            lower_fail(l, "unresolved function '%.100s'", f->name);
        check_builtin(l, c);
    }
    u = lower_emit(l, ptx_op_call);
    finish_call(l, u, c);
}

static void call(struct lower *l)
{
    const struct ast_opd *rets = NULL, *args = NULL, *target;
    struct code_call *c = lower_keep(l, sizeof(*c));
    uint32_t at = 0, a;
    struct ast_func *f;
    struct uop *u;

    lower_mod(l, "uni");
    lower_mods_done(l);
    if (lower_opd(l, 0)->kind == OPD_LIST)
        rets = lower_opd(l, at++);
    target = lower_opd(l, at++);
    if (at < l->in->n && l->in->opds[at].kind == OPD_LIST)
        args = lower_opd(l, at++);
    f = callee(l, target);
    c->args = actuals(l, args, f ? f->params : NULL, f ? f->nparams : 0, 0, &c->nargs);
    c->rets = actuals(l, rets, f ? f->rets : NULL, f ? f->nrets : 0, 1, &c->nrets);
    if (f) {
        direct_call(l, f, c);
        return;
    }
    a = lower_src(l, target, T_B64);
    u = lower_emit(l, ptx_op_call_indirect);
    u->a = a;
    finish_call(l, u, c);
}

/* ----------------------------------------------------------------- barriers */

static void take_barrier_mods(struct lower *l)
{
    lower_mod(l, "cta");
    lower_mod(l, "aligned");
}

static void bar_red(struct lower *l)
{
    int kind = lower_mod(l, "popc") ? BAR_POPC : lower_mod(l, "and") ? BAR_AND : BAR_OR;
    uint32_t id, n = 0, p;
    const struct ast_opd *d;
    struct uop *u;
    uint8_t neg;

    if (kind == BAR_OR && !lower_mod(l, "or"))
        lower_unsupported(l);
    if (lower_need_type(l) != (kind == BAR_POPC ? T_U32 : T_PRED))
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 3, 4);
    id = lower_src(l, lower_opd(l, 1), T_U32);
    if (l->in->n == 4)
        n = lower_src(l, lower_opd(l, 2), T_U32);
    p = lower_pred_src(l, lower_opd(l, l->in->n - 1), &neg);
    d = lower_opd(l, 0);
    u = lower_emit(l, ptx_op_bar_sync);
    u->a = id;
    u->b = n;
    u->c = p;
    u->x[0] = l->in->n == 4;
    u->x[1] = (uint8_t)kind;
    u->x[2] = neg;
    u->d = kind == BAR_POPC ? lower_dst(l, d, T_U32) : lower_pred_dst(l, d);
    lower_last_info(l)->no_kill = 1; /* written when the barrier opens */
}

static void warp_sync(struct lower *l)
{
    uint32_t a;

    lower_mods_done(l);
    lower_count(l, 1, 1);
    a = lower_src(l, lower_opd(l, 0), T_B32);
    lower_emit(l, ptx_op_warp_sync)->a = a;
}

/* A cluster is one CTA here: waiting for it is the CTA's own last barrier. */
static void cluster_barrier(struct lower *l)
{
    struct uop *u;
    uint32_t id = lower_const(l, MAX_BARRIERS - 1, 0, -1);

    if (!lower_mod(l, "wait")) {
        lower_emit(l, ptx_op_nop);
        return;
    }
    u = lower_emit(l, ptx_op_bar_sync);
    u->a = id;
}

static void bar(struct lower *l)
{
    int arrive;
    uint32_t id, n = 0;
    struct uop *u;

    if (lower_mod(l, "warp")) {
        if (!lower_mod(l, "sync"))
            lower_unsupported(l);
        warp_sync(l);
        return;
    }
    if (lower_mod(l, "cluster")) {
        cluster_barrier(l);
        return;
    }
    take_barrier_mods(l);
    if (lower_mod(l, "red")) {
        bar_red(l);
        return;
    }
    arrive = lower_mod(l, "arrive");
    if (!arrive && !lower_mod(l, "sync"))
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 1, 2);
    id = lower_src(l, lower_opd(l, 0), T_U32);
    if (l->in->n == 2)
        n = lower_src(l, lower_opd(l, 1), T_U32);
    u = lower_emit(l, arrive ? ptx_op_bar_arrive : ptx_op_bar_sync);
    u->a = id;
    u->b = n;
    u->x[0] = l->in->n == 2;
}

/* ------------------------------------------------------------------- others */

static int is_one_of(const struct lower *l, const char *const *names, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (lower_base(l, names[i]))
            return 1;
    return 0;
}

static int simple(struct lower *l)
{
    static const char *const nops[] = {"pmevent", "griddepcontrol", "setmaxnreg"};
    static const char *const fences[] = {"membar", "fence"};
    static const char *const traps[] = {"trap", "brkpt"};

    if (lower_base(l, "ret")) {
        lower_mod(l, "uni");
        lower_mods_done(l);
        lower_emit(l, ptx_op_ret);
    } else if (lower_base(l, "exit")) {
        lower_mods_done(l);
        lower_emit(l, ptx_op_exit);
    } else if (is_one_of(l, nops, 3)) {
        lower_emit(l, ptx_op_nop);
    } else if (is_one_of(l, fences, 2)) {
        lower_emit(l, ptx_op_fence);
    } else if (is_one_of(l, traps, 2)) {
        lower_emit(l, ptx_op_trap);
    } else if (lower_base(l, "nanosleep")) {
        lower_emit(l, ptx_op_yield);
    } else {
        return 0;
    }
    return 1;
}

int lower_ctl(struct lower *l)
{
    if (lower_base(l, "bra"))
        bra(l);
    else if (lower_base(l, "brx"))
        brx(l);
    else if (lower_base(l, "call"))
        call(l);
    else if (lower_base(l, "bar") || lower_base(l, "barrier"))
        bar(l);
    else
        return simple(l);
    return 1;
}
