/* SPDX-License-Identifier: MIT */
/* cvt, cvta, mov. See lower.h. */
#include "lower.h"

#include "alu_ops.h"
#include "half.h"

#include <string.h>

struct cvt {
    enum ast_type to, from;
    enum vg_round round;
    int integer, sat, ftz, relu, satfinite;
};

static void take_round(struct lower *l, struct cvt *c)
{
    static const char *const names[] = {"rn", "rz", "rm", "rp", "rna"};
    static const char *const inames[] = {"rni", "rzi", "rmi", "rpi"};
    int i;

    for (i = 0; i < 5; i++)
        if (lower_mod(l, names[i]))
            c->round = (enum vg_round)i;
    for (i = 0; i < 4; i++) {
        if (lower_mod(l, inames[i])) {
            c->round = (enum vg_round)i;
            c->integer = 1;
        }
    }
}

static int is_int(enum ast_type t)
{
    return t >= T_U8 && t <= T_S64;
}

/* A source register may be wider than the type that is read from it. */
static uint32_t cvt_src(struct lower *l, const struct ast_opd *o, enum ast_type t)
{
    uint32_t wide, narrow;

    if (o->kind != OPD_REG || lower_slot_bytes(o->type) <= lower_slot_bytes(t))
        return lower_src(l, o, t);
    wide = lower_src(l, o, T_B64);
    narrow = lower_temp(l, 4);
    lower_alu(l, ALU_cvt_32_u64, narrow, wide, 0, 0);
    return narrow;
}

/* And a destination wider than what is written: sign or zero fills it. */
static enum ast_type cvt_dst_type(const struct ast_opd *o, enum ast_type t)
{
    if (o->kind == OPD_REG && lower_slot_bytes(o->type) == 8 && lower_slot_bytes(t) == 4)
        return T_B64;
    return t;
}

static enum alu_op int_convert(enum ast_type to, enum ast_type from)
{
    /* rows of ALU_LIST: from s8 u8 s16 u16 s32 u32 u64; to s8 u8 s16 u16 32 64 */
    static const int row[T_COUNT] = {[T_S8] = 0,  [T_U8] = 1,  [T_S16] = 2, [T_U16] = 3,
                                     [T_S32] = 4, [T_U32] = 5, [T_S64] = 6, [T_U64] = 6};
    static const int col[T_COUNT] = {[T_S8] = 0,  [T_U8] = 1,  [T_S16] = 2, [T_U16] = 3,
                                     [T_S32] = 4, [T_U32] = 4, [T_S64] = 5, [T_U64] = 5};

    return (enum alu_op)(ALU_cvt_s8_s8 + row[from] * 6 + col[to]);
}

/* A vector handler for the conversion, or ALU_NONE. */
static enum alu_op fast_convert(const struct cvt *c)
{
    if (c->sat || c->ftz || c->relu || c->satfinite)
        return ALU_NONE;
    if (is_int(c->to) && is_int(c->from))
        return int_convert(c->to, c->from);
    if (c->to == T_F64 && c->from == T_F32 && !c->integer)
        return ALU_cvt_f64_f32;
    if (c->to == T_F32 && c->from == T_F16 && !c->integer)
        return ALU_cvt_f32_f16;
    if (c->to == T_S32 && c->from == T_F32 && c->integer && c->round == VG_RZ)
        return ALU_cvt_s32_f32;
    if (c->to == T_F64 && (c->from == T_S32 || c->from == T_U32))
        return c->from == T_S32 ? ALU_cvt_f64_s32 : ALU_cvt_f64_u32;
    if (c->round != VG_RN || c->integer)
        return ALU_NONE;
    if (c->to == T_F32 && (c->from == T_S32 || c->from == T_U32))
        return c->from == T_S32 ? ALU_cvt_f32_s32 : ALU_cvt_f32_u32;
    if (c->to == T_F32 && c->from == T_F64)
        return ALU_cvt_f32_f64;
    if (c->to == T_F16 && c->from == T_F32)
        return ALU_cvt_f16_f32;
    return ALU_NONE;
}

static void fill(struct uop *u, const struct cvt *c)
{
    u->x[0] = (uint8_t)c->to;
    u->x[1] = (uint8_t)c->from;
    u->x[2] = (uint8_t)c->round;
    u->x[3] = (uint8_t)c->integer;
    u->x[4] = (uint8_t)(c->sat | c->satfinite << 1);
    u->x[5] = (uint8_t)c->ftz;
    u->x[6] = (uint8_t)c->relu;
}

static void convert_packed(struct lower *l, const struct cvt *c)
{
    uint32_t a, b = 0, d;
    struct uop *u;

    if (c->from == T_F32) { /* d = {a upper, b lower} */
        lower_count(l, 3, 3);
        a = lower_src(l, lower_opd(l, 1), T_F32);
        b = lower_src(l, lower_opd(l, 2), T_F32);
        d = lower_dst(l, lower_opd(l, 0), c->to);
        u = lower_emit(l, ptx_op_cvt_pack);
    } else if (c->from == T_F16X2 && ast_type_size(c->to) == 2) {
        lower_count(l, 2, 2);
        a = lower_src(l, lower_opd(l, 1), T_F16X2);
        d = lower_dst(l, lower_opd(l, 0), c->to);
        u = lower_emit(l, ptx_op_cvt_pack);
    } else if (c->to == T_F16X2 && ast_type_size(c->from) == 2) {
        lower_count(l, 2, 2);
        a = lower_src(l, lower_opd(l, 1), T_B16);
        d = lower_dst(l, lower_opd(l, 0), T_F16X2);
        u = lower_emit(l, ptx_op_cvt_unpack);
    } else {
        lower_unsupported(l);
    }
    fill(u, c);
    u->d = d;
    u->a = a;
    u->b = b;
    u->imm = ast_type_size(c->to) == 2 ? 8 : 16;
}

static int is_small_pair(enum ast_type t)
{
    return t == T_F16X2 || t == T_BF16X2 || t == T_E4M3X2 || t == T_E5M2X2;
}

static int is_scalar(enum ast_type t)
{
    return is_int(t) || t == T_F16 || t == T_BF16 || t == T_F32 || t == T_F64 || t == T_TF32;
}

static void cvt(struct lower *l)
{
    struct cvt c = {T_NONE, T_NONE, VG_RN, 0, 0, 0, 0, 0};
    enum alu_op op;
    enum ast_type dt;
    uint32_t a, d;
    struct uop *u;

    take_round(l, &c);
    c.ftz = lower_mod(l, "ftz");
    c.satfinite = lower_mod(l, "satfinite");
    c.sat = lower_mod(l, "sat");
    c.relu = lower_mod(l, "relu");
    c.to = lower_need_type(l);
    c.from = lower_need_type(l);
    lower_mods_done(l);
    if (is_small_pair(c.to) || is_small_pair(c.from)) {
        convert_packed(l, &c);
        return;
    }
    if (!is_scalar(c.to) || !is_scalar(c.from))
        lower_unsupported(l);
    lower_count(l, 2, 2);
    if (is_int(c.to) && lower_is_float(c.from) && !c.integer)
        c.integer = 1; /* the rounding of a conversion to integer is one */
    a = cvt_src(l, lower_opd(l, 1), c.from);
    dt = cvt_dst_type(lower_opd(l, 0), c.to);
    d = lower_dst(l, lower_opd(l, 0), dt);
    op = fast_convert(&c);
    if (op != ALU_NONE && dt == c.to) {
        lower_alu(l, op, d, a, 0, 0);
        return;
    }
    u = lower_emit(l, ptx_op_cvt);
    fill(u, &c);
    u->d = d;
    u->a = a;
    u->x[7] = lower_slot_bytes(dt) == 8;
}

/* -------------------------------------------------------------------- cvta */

static uint64_t window_of(struct lower *l)
{
    if (lower_mod(l, "shared::cta") || lower_mod(l, "shared") || lower_mod(l, "shared::cluster"))
        return PTX_WINDOW_SHARED;
    if (lower_mod(l, "local"))
        return PTX_WINDOW_LOCAL;
    if (lower_mod(l, "param::entry") || lower_mod(l, "param"))
        return l->f->is_entry ? PTX_WINDOW_PARAM : PTX_WINDOW_LOCAL;
    if (lower_mod(l, "global") || lower_mod(l, "const"))
        return 0;
    lower_unsupported(l);
}

static void cvta(struct lower *l)
{
    int to = lower_mod(l, "to"), wide;
    uint64_t window = window_of(l);
    enum ast_type t = lower_need_type(l);
    uint32_t a, d;

    lower_mods_done(l);
    lower_count(l, 2, 2);
    wide = ast_type_size(t) == 8;
    a = lower_src(l, lower_opd(l, 1), t);
    d = lower_dst(l, lower_opd(l, 0), t);
    if (window == 0 || !wide)
        lower_alu(l, wide ? ALU_mov_64 : ALU_mov_32, d, a, 0, 0);
    else
        lower_alu(l, to ? ALU_sub_64 : ALU_add_64, d, a, lower_const(l, window, 1, -1), 0);
}

/* --------------------------------------------------------------------- mov */

static void shift_into(struct lower *l, uint32_t d, uint32_t part, unsigned bits, int wide)
{
    uint32_t t = lower_temp(l, wide ? 8 : 4);

    lower_alu(l, wide ? ALU_shl_64 : ALU_shl_32, t, part, lower_const(l, bits, 0, -1), 0);
    lower_alu(l, wide ? ALU_or_64 : ALU_or_32, d, d, t, 0);
}

static enum ast_type bits_type(struct lower *l, unsigned bytes)
{
    switch (bytes) {
    case 1: return T_U8;
    case 2: return T_U16;
    case 4: return T_U32;
    case 8: return T_U64;
    default: lower_unsupported(l);
    }
}

/* d = {a, b, ...}, the first in the low bits; through a temporary, as the
 * destination may be one of the parts. */
static void pack(struct lower *l, enum ast_type t, const struct ast_opd *v)
{
    unsigned part = ast_type_size(t) / v->n, i;
    enum ast_type pt = bits_type(l, part), full = bits_type(l, ast_type_size(t));
    int wide = ast_type_size(t) == 8;
    uint32_t acc = lower_temp(l, wide ? 8 : 4);

    for (i = 0; i < v->n; i++) {
        uint32_t s = lower_src(l, &v->elems[i], pt), x = i ? lower_temp(l, wide ? 8 : 4) : acc;

        lower_alu(l, int_convert(full, pt), x, s, 0, 0);
        if (i)
            shift_into(l, acc, x, i * part * 8, wide);
    }
    lower_alu(l, wide ? ALU_mov_64 : ALU_mov_32, lower_dst(l, lower_opd(l, 0), t), acc, 0, 0);
}

static void unpack(struct lower *l, enum ast_type t, const struct ast_opd *v)
{
    unsigned part = ast_type_size(t) / v->n, i;
    enum ast_type pt = bits_type(l, part), full = bits_type(l, ast_type_size(t));
    int wide = ast_type_size(t) == 8;
    uint32_t s = lower_src(l, lower_opd(l, 1), t), copy = lower_temp(l, wide ? 8 : 4);

    lower_alu(l, wide ? ALU_mov_64 : ALU_mov_32, copy, s, 0, 0);
    for (i = 0; i < v->n; i++) {
        uint32_t x = copy;

        if (v->elems[i].kind == OPD_SINK)
            continue;
        if (i) {
            x = lower_temp(l, wide ? 8 : 4);
            lower_alu(l, wide ? ALU_shr_u64 : ALU_shr_u32, x, copy,
                      lower_const(l, i * part * 8, 0, -1), 0);
        }
        lower_alu(l, int_convert(pt, full), lower_dst(l, &v->elems[i], pt), x, 0, 0);
    }
}

static int vector_fits(enum ast_type t, const struct ast_opd *v)
{
    unsigned size = ast_type_size(t);

    return (v->n == 2 || v->n == 4) && size <= 8 && size >= v->n;
}

/* mov.b128 and its parts {lo, hi}: two 64-bit slots side by side. */
static uint32_t half_of_128(struct lower *l, const struct ast_opd *o, int hi, int dst)
{
    uint32_t base = dst ? lower_dst(l, o, T_B128) : lower_src(l, o, T_B128);

    return hi ? lower_second_half(l, base) : base;
}

static void mov128(struct lower *l, const struct ast_opd *d, const struct ast_opd *s)
{
    uint32_t t[2];
    int i;

    for (i = 0; i < 2; i++) {
        uint32_t from = s->kind == OPD_VEC ? lower_src(l, &s->elems[i], T_B64)
                                           : half_of_128(l, s, i, 0);

        t[i] = lower_temp(l, 8);
        lower_alu(l, ALU_mov_64, t[i], from, 0, 0);
    }
    for (i = 0; i < 2; i++) {
        uint32_t to = d->kind == OPD_VEC ? lower_dst(l, &d->elems[i], T_B64)
                                         : half_of_128(l, d, i, 1);

        lower_alu(l, ALU_mov_64, to, t[i], 0, 0);
    }
}

static void mov_pred(struct lower *l)
{
    uint8_t neg;
    uint32_t a = lower_pred_src(l, lower_opd(l, 1), &neg);
    struct uop *u = lower_emit(l, ptx_op_pred_logic);

    u->d = lower_pred_dst(l, lower_opd(l, 0));
    u->a = a;
    u->x[0] = PRED_MOV;
    u->x[1] = neg;
}

static void mov(struct lower *l)
{
    enum ast_type t = lower_need_type(l);
    const struct ast_opd *d, *s;
    uint32_t a;

    lower_mods_done(l);
    lower_count(l, 2, 2);
    d = lower_opd(l, 0);
    s = lower_opd(l, 1);
    if (t == T_PRED) {
        mov_pred(l);
    } else if (t == T_B128) {
        if ((d->kind == OPD_VEC && d->n != 2) || (s->kind == OPD_VEC && s->n != 2))
            lower_unsupported(l);
        mov128(l, d, s);
    } else if (s->kind == OPD_VEC || d->kind == OPD_VEC) {
        const struct ast_opd *v = s->kind == OPD_VEC ? s : d;

        if (!vector_fits(t, v) || (s->kind == OPD_VEC && d->kind == OPD_VEC))
            lower_fail(l, "bad vector");
        if (v == s)
            pack(l, t, v);
        else
            unpack(l, t, v);
    } else {
        a = lower_src(l, s, t);
        lower_alu(l, lower_slot_bytes(t) == 8 ? ALU_mov_64 : ALU_mov_32, lower_dst(l, d, t), a, 0,
                  0);
    }
}

int lower_cvt(struct lower *l)
{
    if (lower_base(l, "cvt"))
        cvt(l);
    else if (lower_base(l, "cvta"))
        cvta(l);
    else if (lower_base(l, "mov"))
        mov(l);
    else
        return 0;
    return 1;
}
