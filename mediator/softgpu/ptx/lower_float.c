/* SPDX-License-Identifier: MIT */
/* f32 and f64 arithmetic, and halves' (lower_half). See lower.h. */
#include "lower.h"

#include "alu_ops.h"
#include "half.h"

/* What an opcode says beside its type. */
struct fmods {
    int ftz, sat, approx, nan, relu;
    enum vg_round round;
};

static struct fmods take_mods(struct lower *l)
{
    struct fmods f = {0, 0, 0, 0, 0, VG_RN};

    if (lower_mod(l, "rz"))
        f.round = VG_RZ;
    else if (lower_mod(l, "rm"))
        f.round = VG_RM;
    else if (lower_mod(l, "rp"))
        f.round = VG_RP;
    else
        lower_mod(l, "rn");
    f.approx = lower_mod(l, "approx") | lower_mod(l, "full");
    f.ftz = lower_mod(l, "ftz");
    f.sat = lower_mod(l, "sat");
    f.nan = lower_mod(l, "NaN");
    f.relu = lower_mod(l, "relu");
    return f;
}

static uint32_t flush(struct lower *l, uint32_t a)
{
    uint32_t t = lower_temp(l, 4);

    lower_alu(l, ALU_ftz_f32, t, a, 0, 0);
    return t;
}

static uint32_t fsrc(struct lower *l, uint32_t i, enum ast_type t, int ftz)
{
    uint32_t a = lower_src(l, lower_opd(l, i), t);

    return ftz ? flush(l, a) : a;
}

static void finish(struct lower *l, enum ast_type t, uint32_t d, const struct fmods *f)
{
    if (f->sat)
        lower_alu(l, t == T_F64 ? ALU_sat_f64 : ALU_sat_f32, d, d, 0, 0);
    if (f->ftz)
        lower_alu(l, ALU_ftz_f32, d, d, 0, 0);
}

static void rounded(struct lower *l, enum round_op op, uint32_t n, enum ast_type t,
                    const struct fmods *f)
{
    uint32_t s[3] = {0, 0, 0}, d, i;
    struct uop *u;

    for (i = 0; i < n; i++)
        s[i] = fsrc(l, i + 1, t, f->ftz);
    d = lower_dst(l, lower_opd(l, 0), t);
    u = lower_emit(l, ptx_op_round);
    u->d = d;
    u->a = s[0];
    u->b = s[1];
    u->c = s[2];
    u->x[0] = (uint8_t)op;
    u->x[1] = t == T_F64;
    u->x[2] = (uint8_t)f->round;
    finish(l, t, d, f);
}

/* One of add sub mul fma: f32, f32 with ftz, f64 handlers. */
static void arith(struct lower *l, uint32_t n, enum round_op rop, enum alu_op f32, enum alu_op ftz,
                  enum alu_op f64)
{
    struct fmods f = take_mods(l);
    enum ast_type t = lower_need_type(l);
    uint32_t a, b, c = 0, d;

    lower_mods_done(l);
    lower_count(l, n + 1, n + 1);
    if (f.approx || f.nan || f.relu || (t == T_F64 && (f.ftz || f.sat)))
        lower_unsupported(l);
    if (f.round != VG_RN) {
        rounded(l, rop, n, t, &f);
        return;
    }
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), t);
    if (n == 3)
        c = lower_src(l, lower_opd(l, 3), t);
    d = lower_dst(l, lower_opd(l, 0), t);
    lower_alu(l, t == T_F64 ? f64 : f.ftz ? ftz : f32, d, a, b, c);
    if (f.sat)
        lower_alu(l, ALU_sat_f32, d, d, 0, 0);
}

static void divide(struct lower *l)
{
    struct fmods f = take_mods(l);
    enum ast_type t = lower_need_type(l);
    uint32_t a, b, d;

    lower_mods_done(l);
    lower_count(l, 3, 3);
    if (f.round != VG_RN) {
        rounded(l, ROUND_DIV, 2, t, &f);
        return;
    }
    a = fsrc(l, 1, t, f.ftz);
    b = fsrc(l, 2, t, f.ftz);
    d = lower_dst(l, lower_opd(l, 0), t);
    lower_alu(l, t == T_F64 ? ALU_div_f64 : ALU_div_f32, d, a, b, 0);
    finish(l, t, d, &f);
}

/* sqrt, rcp: also with directed rounding */
static void root(struct lower *l, int is_rcp)
{
    struct fmods f = take_mods(l);
    enum ast_type t = lower_need_type(l);
    uint32_t a, d;
    struct uop *u;

    lower_mods_done(l);
    lower_count(l, 2, 2);
    if (f.round != VG_RN || (is_rcp && !(f.approx && t == T_F64))) {
        rounded(l, is_rcp ? ROUND_RCP : ROUND_SQRT, 1, t, &f);
        return;
    }
    if (!is_rcp) {
        a = fsrc(l, 1, t, f.ftz);
        d = lower_dst(l, lower_opd(l, 0), t);
        lower_alu(l, t == T_F64 ? ALU_sqrt_f64 : ALU_sqrt_f32, d, a, 0, 0);
        finish(l, t, d, &f);
        return;
    }
    /* rcp.approx.ftz.f64: the upper half of the result */
    a = lower_src(l, lower_opd(l, 1), t);
    d = lower_dst(l, lower_opd(l, 0), t);
    u = lower_emit(l, ptx_op_sfu);
    u->d = d;
    u->a = a;
    u->x[0] = SFU_RCP_HI;
    u->x[1] = 1;
}

static void sfu(struct lower *l, enum sfu_op op)
{
    struct fmods f = take_mods(l);
    enum ast_type t = lower_need_type(l);
    uint32_t a, d;
    struct uop *u;

    lower_mods_done(l);
    lower_count(l, 2, 2);
    if (t == T_F64 && op != SFU_RSQRT)
        lower_unsupported(l);
    a = fsrc(l, 1, t, f.ftz && t == T_F32);
    d = lower_dst(l, lower_opd(l, 0), t);
    u = lower_emit(l, ptx_op_sfu);
    u->d = d;
    u->a = a;
    u->x[0] = (uint8_t)(t == T_F64 && f.ftz ? SFU_RSQRT_HI : op);
    u->x[1] = t == T_F64;
    if (t == T_F32)
        finish(l, t, d, &f);
}

static void sign_op(struct lower *l, enum alu_op f32, enum alu_op f64)
{
    struct fmods f = take_mods(l);
    enum ast_type t = lower_need_type(l);
    uint32_t a, d;

    lower_mods_done(l);
    lower_count(l, 2, 2);
    a = fsrc(l, 1, t, f.ftz);
    d = lower_dst(l, lower_opd(l, 0), t);
    lower_alu(l, t == T_F64 ? f64 : f32, d, a, 0, 0);
}

static void min_max(struct lower *l, enum alu_op f32, enum alu_op f64)
{
    struct fmods f = take_mods(l);
    enum ast_type t = lower_need_type(l);
    uint32_t a, b, d;

    if (lower_mod(l, "xorsign"))
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 3, 3);
    a = fsrc(l, 1, t, f.ftz);
    b = fsrc(l, 2, t, f.ftz);
    d = lower_dst(l, lower_opd(l, 0), t);
    if (f.nan) { /* NaN + x is NaN: d = unordered ? a + b : min(a, b) */
        uint32_t sum = lower_temp(l, lower_slot_bytes(t)), p = lower_temp_pred(l), r;

        r = lower_temp(l, lower_slot_bytes(t));
        lower_alu(l, t == T_F64 ? ALU_add_f64 : ALU_add_f32, sum, a, b, 0);
        lower_alu(l, t == T_F64 ? ALU_nan_f64 : ALU_nan_f32, p, a, b, 0);
        lower_alu(l, t == T_F64 ? f64 : f32, r, a, b, 0);
        lower_alu(l, t == T_F64 ? ALU_selp_64 : ALU_selp_32, d, sum, r, p);
    } else {
        lower_alu(l, t == T_F64 ? f64 : f32, d, a, b, 0);
    }
    finish(l, t, d, &f);
}

static void copysign_op(struct lower *l)
{
    enum ast_type t = lower_need_type(l);
    uint32_t a, b, d;
    struct uop *u;

    lower_mods_done(l);
    lower_count(l, 3, 3);
    a = lower_src(l, lower_opd(l, 1), t);
    b = lower_src(l, lower_opd(l, 2), t);
    d = lower_dst(l, lower_opd(l, 0), t);
    u = lower_emit(l, ptx_op_sfu);
    u->d = d;
    u->a = a;
    u->b = b;
    u->x[0] = SFU_COPYSIGN;
    u->x[1] = t == T_F64;
}

static void testp(struct lower *l)
{
    static const char *const tests[] = {"finite", "infinite", "number",
                                        "notanumber", "normal", "subnormal"};
    struct uop *u;
    enum ast_type t;
    uint32_t a;
    int i;

    for (i = 0; i < 6 && !lower_mod(l, tests[i]); i++)
        ;
    t = lower_need_type(l);
    lower_mods_done(l);
    lower_count(l, 2, 2);
    if (i == 6)
        lower_unsupported(l);
    a = lower_src(l, lower_opd(l, 1), t);
    u = lower_emit(l, ptx_op_testp);
    u->d = lower_pred_dst(l, lower_opd(l, 0));
    u->a = a;
    u->x[0] = (uint8_t)i;
    u->x[1] = t == T_F64;
}

static enum ast_type first_type(const struct lower *l)
{
    uint32_t i;

    for (i = 0; i < l->nmods; i++) {
        enum ast_type t = ast_type_of(l->mods[i].s, l->mods[i].len);

        if (t != T_NONE)
            return t;
    }
    return T_NONE;
}

static int basic(struct lower *l)
{
    if (lower_base(l, "add"))
        arith(l, 2, ROUND_ADD, ALU_add_f32, ALU_add_ftz, ALU_add_f64);
    else if (lower_base(l, "sub"))
        arith(l, 2, ROUND_SUB, ALU_sub_f32, ALU_sub_ftz, ALU_sub_f64);
    else if (lower_base(l, "mul"))
        arith(l, 2, ROUND_MUL, ALU_mul_f32, ALU_mul_ftz, ALU_mul_f64);
    else if (lower_base(l, "fma") || lower_base(l, "mad"))
        arith(l, 3, ROUND_FMA, ALU_fma_f32, ALU_fma_ftz, ALU_fma_f64);
    else if (lower_base(l, "div"))
        divide(l);
    else if (lower_base(l, "neg"))
        sign_op(l, ALU_neg_f32, ALU_neg_f64);
    else if (lower_base(l, "abs"))
        sign_op(l, ALU_abs_f32, ALU_abs_f64);
    else if (lower_base(l, "min"))
        min_max(l, ALU_min_f32, ALU_min_f64);
    else if (lower_base(l, "max"))
        min_max(l, ALU_max_f32, ALU_max_f64);
    else
        return 0;
    return 1;
}

int lower_float(struct lower *l)
{
    enum ast_type t = first_type(l);

    if (t != T_F32 && t != T_F64)
        return 0;
    if (basic(l))
        return 1;
    if (lower_base(l, "sqrt") || lower_base(l, "rcp"))
        root(l, l->base[0] == 'r');
    else if (lower_base(l, "rsqrt"))
        sfu(l, SFU_RSQRT);
    else if (lower_base(l, "sin"))
        sfu(l, SFU_SIN);
    else if (lower_base(l, "cos"))
        sfu(l, SFU_COS);
    else if (lower_base(l, "lg2"))
        sfu(l, SFU_LG2);
    else if (lower_base(l, "ex2"))
        sfu(l, SFU_EX2);
    else if (lower_base(l, "tanh"))
        sfu(l, SFU_TANH);
    else if (lower_base(l, "copysign"))
        copysign_op(l);
    else if (lower_base(l, "testp"))
        testp(l);
    else
        return 0;
    return 1;
}

/* ------------------------------------------------------------------- halves */

static void half_op(struct lower *l, enum half_op op, uint32_t n)
{
    struct fmods f = take_mods(l);
    enum ast_type t = lower_need_type(l);
    uint32_t s[3] = {0, 0, 0}, i, d;
    struct uop *u;

    if (f.round != VG_RN || lower_mod(l, "xorsign"))
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, n + 1, n + 1);
    for (i = 0; i < n; i++)
        s[i] = lower_src(l, lower_opd(l, i + 1), t);
    d = lower_dst(l, lower_opd(l, 0), t);
    u = lower_emit(l, ptx_op_half);
    u->d = d;
    u->a = s[0];
    u->b = s[1];
    u->c = s[2];
    if (f.nan)
        op = op == HALF_MIN ? HALF_MIN_NAN : HALF_MAX_NAN;
    u->x[0] = (uint8_t)op;
    u->x[1] = t == T_BF16 || t == T_BF16X2;
    u->x[2] = t == T_F16X2 || t == T_BF16X2;
    u->x[3] = (uint8_t)f.ftz;
    u->x[4] = (uint8_t)f.sat;
    u->x[5] = (uint8_t)f.relu;
}

int lower_half(struct lower *l)
{
    static const struct {
        const char *base;
        enum half_op op;
        uint32_t n;
    } ops[] = {{"add", HALF_ADD, 2}, {"sub", HALF_SUB, 2},   {"mul", HALF_MUL, 2},
               {"fma", HALF_FMA, 3}, {"neg", HALF_NEG, 1},   {"abs", HALF_ABS, 1},
               {"min", HALF_MIN, 2}, {"max", HALF_MAX, 2},   {"tanh", HALF_TANH, 1},
               {"ex2", HALF_EX2, 1}};
    enum ast_type t = first_type(l);
    size_t i;

    if (t != T_F16 && t != T_BF16 && t != T_F16X2 && t != T_BF16X2)
        return 0;
    for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (lower_base(l, ops[i].base)) {
            half_op(l, ops[i].op, ops[i].n);
            return 1;
        }
    }
    return 0;
}
