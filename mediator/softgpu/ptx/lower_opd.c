/* SPDX-License-Identifier: MIT */
/* Opcodes taken apart, operands encoded, uops emitted. See lower.h. */
#include "lower.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void lower_unsupported(struct lower *l)
{
    ast_fail(l->a, -EINVAL, l->in->line, "unsupported instruction '%.*s'",
             (int)(l->in->text_len > 120 ? 120 : l->in->text_len), l->in->text);
}

void lower_fail(struct lower *l, const char *fmt, ...)
{
    char what[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    ast_fail(l->a, -EINVAL, l->in->line, "%s in '%.*s'", what,
             (int)(l->in->text_len > 120 ? 120 : l->in->text_len), l->in->text);
}

/* ------------------------------------------------------------------- opcode */

void lower_split_opcode(struct lower *l)
{
    const char *p = l->in->text, *end = p + l->in->text_len, *dot = p;

    while (dot < end && *dot != '.')
        dot++;
    if ((size_t)(dot - p) >= sizeof(l->base))
        lower_unsupported(l);
    memcpy(l->base, p, (size_t)(dot - p));
    l->base[dot - p] = '\0';
    l->nmods = 0;
    while (dot < end) {
        struct lower_mod *m = &l->mods[l->nmods];

        if (l->nmods++ == AST_MAX_MODS)
            lower_unsupported(l);
        m->s = dot + 1;
        m->used = 0;
        for (dot++; dot < end && *dot != '.'; dot++)
            ;
        m->len = (uint32_t)(dot - m->s);
    }
}

int lower_mod(struct lower *l, const char *s)
{
    size_t n = strlen(s);
    uint32_t i;

    for (i = 0; i < l->nmods; i++) {
        struct lower_mod *m = &l->mods[i];

        if (!m->used && m->len == n && memcmp(m->s, s, n) == 0)
            return m->used = 1;
    }
    return 0;
}

enum ast_type lower_type(struct lower *l)
{
    uint32_t i;

    for (i = 0; i < l->nmods; i++) {
        enum ast_type t = l->mods[i].used ? T_NONE : ast_type_of(l->mods[i].s, l->mods[i].len);

        if (t != T_NONE) {
            l->mods[i].used = 1;
            return t;
        }
    }
    return T_NONE;
}

enum ast_type lower_need_type(struct lower *l)
{
    enum ast_type t = lower_type(l);

    if (t == T_NONE)
        lower_fail(l, "no type");
    return t;
}

void lower_mods_done(struct lower *l)
{
    uint32_t i;

    for (i = 0; i < l->nmods; i++)
        if (!l->mods[i].used)
            lower_unsupported(l);
}

void lower_count(struct lower *l, uint32_t lo, uint32_t hi)
{
    if (l->in->n < lo || l->in->n > hi)
        lower_fail(l, "wrong number of operands");
}

int lower_is_float(enum ast_type t)
{
    return t == T_F32 || t == T_F64 || t == T_F16 || t == T_BF16 || t == T_F16X2 || t == T_BF16X2;
}

int lower_is_signed(enum ast_type t)
{
    return t == T_S8 || t == T_S16 || t == T_S32 || t == T_S64;
}

int lower_int_row(struct lower *l, enum ast_type t)
{
    switch (t) {
    case T_S16: return 0;
    case T_U16: case T_B16: return 1;
    case T_S32: return 2;
    case T_U32: case T_B32: return 3;
    case T_S64: return 4;
    case T_U64: case T_B64: return 5;
    default: lower_unsupported(l);
    }
}

unsigned lower_slot_bytes(enum ast_type t)
{
    unsigned n = ast_type_size(t);

    return n <= 4 ? 4 : n;
}

/* ---------------------------------------------------------------- registers */

/* 128 bits are two 64-bit registers with adjacent numbers. */
uint32_t lower_second_half(struct lower *l, uint32_t enc)
{
    (void)l;
    return enc + 1;
}

uint32_t lower_temp(struct lower *l, unsigned bytes)
{
    if (bytes == 16) {
        uint32_t first = lower_temp(l, 8);

        lower_temp(l, 8);
        return first;
    }
    l->vreg_wide = ast_grow(l->a, l->vreg_wide, &l->vregs_cap, l->nvregs, 1);
    l->vreg_wide[l->nvregs] = (uint8_t)bytes;
    return ENC_REG | l->nvregs++;
}

uint32_t lower_temp_pred(struct lower *l)
{
    return ENC_PRED | ++l->npreds;
}

uint32_t lower_reg(struct lower *l, uint32_t reg, enum ast_type type)
{
    uint32_t *enc = &l->reg_enc[reg];

    if (*enc == 0)
        *enc = type == T_PRED ? lower_temp_pred(l) : lower_temp(l, lower_slot_bytes(type));
    return *enc;
}

static uint32_t const_hash(uint64_t value, int wide, int32_t global)
{
    uint64_t h = (value ^ (uint64_t)wide << 62 ^ (uint64_t)(uint32_t)global << 32) *
                 0x9e3779b97f4a7c15ull;

    return (uint32_t)(h >> 32);
}

static void grow_const_hash(struct lower *l)
{
    uint32_t size = l->const_hash_size ? l->const_hash_size * 2 : 256, i;

    l->const_hash = ast_alloc(l->a, size * sizeof(uint32_t));
    l->const_hash_size = size;
    for (i = 0; i < l->nconsts; i++) {
        uint32_t k = const_hash(l->consts[i].value, l->consts[i].wide, l->consts[i].global);

        while (l->const_hash[k & (size - 1)])
            k++;
        l->const_hash[k & (size - 1)] = i + 1;
    }
}

uint32_t lower_const(struct lower *l, uint64_t value, int wide, int32_t global)
{
    uint32_t k = const_hash(value, wide, global), i;

    if (l->nconsts * 2 >= l->const_hash_size)
        grow_const_hash(l);
    for (; (i = l->const_hash[k & (l->const_hash_size - 1)]) != 0; k++) {
        struct code_const *c = &l->consts[i - 1];

        if (c->value == value && c->wide == wide && c->global == global)
            return ENC_CONST | (i - 1);
    }
    l->consts = ast_grow(l->a, l->consts, &l->consts_cap, l->nconsts, sizeof(*l->consts));
    l->consts[l->nconsts].value = value;
    l->consts[l->nconsts].wide = (uint8_t)wide;
    l->consts[l->nconsts].global = global;
    l->const_hash[k & (l->const_hash_size - 1)] = l->nconsts + 1;
    return ENC_CONST | l->nconsts++;
}

/* --------------------------------------------------------------------- uops */

struct uop *lower_emit(struct lower *l, ptx_fn fn)
{
    struct uop *u;

    l->code = ast_grow(l->a, l->code, &l->code_cap, l->ncode, sizeof(*l->code));
    l->info = ast_grow(l->a, l->info, &l->info_cap, l->ncode, sizeof(*l->info));
    u = &l->code[l->ncode];
    memset(u, 0, sizeof(*u));
    memset(&l->info[l->ncode], 0, sizeof(*l->info));
    l->ncode++;
    u->fn = fn;
    u->line = l->in ? l->in->line : l->f->line;
    if (l->in && l->in->has_guard) {
        u->guard = lower_reg(l, l->in->guard, T_PRED);
        u->gxor = l->in->guard_neg ? FULL_MASK : 0;
    }
    return u;
}

struct lower_info *lower_last_info(struct lower *l)
{
    return &l->info[l->ncode - 1];
}

struct uop *lower_alu(struct lower *l, enum alu_op op, uint32_t d, uint32_t a, uint32_t b,
                      uint32_t c)
{
    struct uop *u = lower_emit(l, ptx_alu(op));

    u->d = d;
    u->a = a;
    u->b = b;
    u->c = c;
    return u;
}

void *lower_keep(struct lower *l, size_t n)
{
    void *p = ptx_module_alloc(l->m, n);

    if (!p)
        ast_fail(l->a, -ENOMEM, l->in ? l->in->line : 0, "out of memory");
    return p;
}

/* ----------------------------------------------------------------- operands */

struct ast_opd *lower_opd(struct lower *l, uint32_t i)
{
    if (i >= l->in->n)
        lower_fail(l, "missing operand");
    return &l->in->opds[i];
}

static uint64_t literal(struct lower *l, const struct ast_opd *o, enum ast_type t)
{
    uint32_t b = (uint32_t)o->imm;
    uint64_t v;
    double d;
    float f;

    if (o->kind == OPD_INT)
        return o->imm;
    memcpy(&f, &b, 4);
    if (o->kind == OPD_DBL)
        memcpy(&d, &o->imm, 8);
    else
        d = (double)f;
    if (ast_type_size(t) == 8) {
        memcpy(&v, &d, 8);
        return o->kind == OPD_FLT && !lower_is_float(t) ? b : v;
    }
    if (o->kind == OPD_FLT)
        return b;
    if (ast_type_size(t) != 4)
        lower_fail(l, "floating literal of this type");
    f = (float)d;
    memcpy(&b, &f, 4);
    return b;
}

static uint32_t special(struct lower *l, const struct ast_opd *o, int wide)
{
    uint32_t t = lower_temp(l, wide ? 8 : 4);
    struct uop *u = lower_emit(l, ptx_op_sreg);

    u->d = t;
    u->x[0] = (uint8_t)(o->special & 0xff);
    u->x[1] = (uint8_t)wide;
    u->imm = o->special >> 8;
    return t;
}

/* An address that is the same for all lanes but not known before the launch. */
static uint32_t runtime_address(struct lower *l, ptx_fn fn, int64_t imm, int wide, int window)
{
    uint32_t t = lower_temp(l, wide ? 8 : 4);
    struct uop *u = lower_emit(l, fn);

    u->d = t;
    u->imm = imm;
    u->x[0] = (uint8_t)window;
    u->x[1] = (uint8_t)wide;
    return t;
}

static uint32_t shared_address(struct lower *l, struct ast_sym *y, int64_t off, int wide,
                               int generic)
{
    struct ast_var *v = y->var;

    if (v->is_unsized) {
        uint64_t window = generic ? PTX_WINDOW_SHARED : 0;

        return runtime_address(l, ptx_op_dyn_shared, (int64_t)(window + (uint64_t)off), wide, 0);
    }
    return lower_const(l, v->offset + (uint64_t)off + (generic ? PTX_WINDOW_SHARED : 0), wide, -1);
}

static uint32_t function_address(struct lower *l, struct ast_sym *y, int wide)
{
    struct ast_func *f = y->func->resolved ? y->func->resolved : y->func;

    if (f->index < 0)
        lower_fail(l, "unresolved function '%.100s'", f->name);
    return lower_const(l, PTX_WINDOW_CODE + (uint64_t)f->index * 16, wide, -1);
}

/* generic: the generic address of a window space, not the space's own. */
uint32_t lower_sym_address(struct lower *l, const struct ast_opd *o, int wide, int generic)
{
    struct ast_sym *y = o->sym->resolved ? o->sym->resolved : o->sym;
    struct ast_var *v = y->var;

    if (y->kind == SYM_FUNC)
        return function_address(l, y, wide);
    switch (v->space) {
    case SP_GLOBAL:
    case SP_CONST:
        if (v->index < 0)
            lower_fail(l, "unresolved variable '%.100s'", y->name);
        return lower_const(l, (uint64_t)o->off, wide, v->index);
    case SP_SHARED:
        return shared_address(l, y, o->off, wide, generic);
    case SP_LOCAL:
        return runtime_address(l, ptx_op_local_addr, (int64_t)v->offset + o->off, wide, generic);
    default:
        if (!l->f->is_entry) /* parameters of functions are in local memory */
            return runtime_address(l, ptx_op_local_addr, (int64_t)v->offset + o->off, wide,
                                   generic);
        return lower_const(l, v->offset + (uint64_t)o->off + (generic ? PTX_WINDOW_PARAM : 0), wide,
                           -1);
    }
}

uint32_t lower_src(struct lower *l, const struct ast_opd *o, enum ast_type t)
{
    unsigned bytes = lower_slot_bytes(t);
    int wide = bytes == 8;

    if (o->negated || o->second)
        lower_fail(l, "operand is not a predicate");
    switch (o->kind) {
    case OPD_REG:
        if (o->type == T_PRED || lower_slot_bytes(o->type) != bytes)
            lower_fail(l, "register of type .%s does not fit", ast_type_name(o->type));
        return lower_reg(l, o->reg, o->type);
    case OPD_INT:
    case OPD_FLT:
    case OPD_DBL:
        if (bytes == 16)
            lower_unsupported(l);
        return lower_const(l, wide ? literal(l, o, t) : (uint32_t)literal(l, o, t), wide, -1);
    case OPD_SPECIAL:
        return special(l, o, wide);
    case OPD_SYM:
        return lower_sym_address(l, o, wide, 0);
    default:
        lower_fail(l, "bad operand");
    }
}

uint32_t lower_dst(struct lower *l, const struct ast_opd *o, enum ast_type t)
{
    unsigned bytes = lower_slot_bytes(t);

    if (o->kind == OPD_SINK)
        return lower_temp(l, bytes);
    if (o->kind != OPD_REG || o->type == T_PRED || o->negated)
        lower_fail(l, "destination is not a register");
    if (lower_slot_bytes(o->type) != bytes)
        lower_fail(l, "register of type .%s does not fit", ast_type_name(o->type));
    return lower_reg(l, o->reg, o->type);
}

uint32_t lower_pred_src(struct lower *l, const struct ast_opd *o, uint8_t *neg)
{
    *neg = (uint8_t)(o->negated != 0);
    if (o->kind == OPD_INT) { /* a literal: 0 or not */
        *neg = (uint8_t)((o->imm == 0) != *neg);
        return ENC_PRED;
    }
    if (o->kind != OPD_REG || o->type != T_PRED)
        lower_fail(l, "operand is not a predicate");
    return lower_reg(l, o->reg, T_PRED);
}

uint32_t lower_pred_dst(struct lower *l, const struct ast_opd *o)
{
    if (o->kind == OPD_SINK)
        return lower_temp_pred(l);
    if (o->kind != OPD_REG || o->type != T_PRED || o->negated)
        lower_fail(l, "destination is not a predicate");
    return lower_reg(l, o->reg, T_PRED);
}

void lower_fix_label(struct lower *l, uint32_t uop, uint32_t *pc, const struct ast_name *n)
{
    struct lower_fix *x;

    l->fixes = ast_grow(l->a, l->fixes, &l->fixes_cap, l->nfixes, sizeof(*l->fixes));
    x = &l->fixes[l->nfixes++];
    x->uop = uop;
    x->pc = pc;
    x->name = *n;
    x->line = l->in->line;
}
