/* SPDX-License-Identifier: MIT */
/* cp.async, mbarrier, alloca, video SIMD. See lower.h. */
#include "lower.h"

#include "newops.h"

#include <string.h>

/* cp.async.{ca,cg}.shared.global [dst], [src], size{, real}; done at once. */
static void copy_async(struct lower *l)
{
    struct lower_addr dst, src;
    const struct ast_opd *size, *real = NULL;
    int64_t *dst_imm;
    uint32_t c = 0;
    struct uop *u;
    int strong;

    lower_memory_mods(l, &strong);
    if (lower_space(l) != SP_GLOBAL || lower_space(l) != SP_SHARED)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 3, 4);
    size = lower_opd(l, 2);
    if (size->kind != OPD_INT || (size->imm != 4 && size->imm != 8 && size->imm != 16))
        lower_fail(l, "bad size");
    if (l->in->n == 4)
        real = lower_opd(l, 3);
    lower_address(l, lower_opd(l, 0), SP_SHARED, &dst);
    lower_address(l, lower_opd(l, 1), SP_GLOBAL, &src);
    if (real)
        c = lower_src(l, real, T_U32);
    dst_imm = lower_keep(l, sizeof(*dst_imm));
    *dst_imm = dst.imm;
    u = lower_emit(l, ptx_op_copy);
    lower_set_address(u, &src);
    u->e = dst.a;
    u->aux = dst_imm;
    u->c = c;
    u->x[2] = (uint8_t)size->imm;
    u->x[4] = dst.wide;
    u->x[5] = real != NULL;
    lower_last_info(l)->e_is_use = 1;
}

static void mbar_address(struct lower *l, uint32_t i, struct lower_addr *addr)
{
    enum ast_space space = lower_space(l);

    if (lower_need_type(l) != T_B64)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_address(l, lower_opd(l, i), space, addr);
}

static struct uop *emit_mbar(struct lower *l, const struct lower_addr *addr, enum mbar_op op,
                             uint32_t b, int has_b)
{
    struct uop *u = lower_emit(l, ptx_op_mbarrier);

    lower_set_address(u, addr);
    u->b = b;
    u->d = PTX_NO_REG;
    u->x[2] = 8;
    u->x[3] = (uint8_t)op;
    u->x[4] = (uint8_t)has_b;
    return u;
}

/* The copies before it are complete, so it arrives at once. */
static void copy_arrive(struct lower *l)
{
    int noinc = lower_mod(l, "noinc");
    struct lower_addr addr;

    lower_mod(l, "arrive");
    lower_count(l, 1, 1);
    mbar_address(l, 0, &addr);
    if (noinc)
        emit_mbar(l, &addr, MBAR_ARRIVE, 0, 0);
    else
        lower_emit(l, ptx_op_nop); /* one more expected, one more arrived */
}

static void copy(struct lower *l)
{
    if (lower_mod(l, "commit_group") || lower_mod(l, "wait_group") || lower_mod(l, "wait_all")) {
        lower_mods_done(l);
        lower_emit(l, ptx_op_nop);
    } else if (lower_mod(l, "mbarrier")) {
        copy_arrive(l);
    } else {
        copy_async(l);
    }
}

/* ------------------------------------------------------------------ mbarrier */

static void mbar_arrive(struct lower *l, enum mbar_op op)
{
    struct lower_addr addr;
    const struct ast_opd *d;
    uint32_t b = 0, dst = PTX_NO_REG;
    int strong;

    lower_mod(l, "noComplete");
    lower_memory_mods(l, &strong);
    lower_count(l, 2, 3);
    mbar_address(l, 1, &addr);
    if (l->in->n == 3)
        b = lower_src(l, lower_opd(l, 2), T_U32);
    d = lower_opd(l, 0);
    if (d->kind != OPD_SINK)
        dst = lower_dst(l, d, T_B64);
    emit_mbar(l, &addr, op, b, l->in->n == 3)->d = dst;
}

static void mbar_wait(struct lower *l)
{
    int parity = lower_mod(l, "parity"), strong;
    struct lower_addr addr;
    struct uop *u;
    uint32_t b;

    lower_memory_mods(l, &strong);
    lower_count(l, 3, 4); /* the fourth is a hint of time */
    mbar_address(l, 1, &addr);
    b = lower_src(l, lower_opd(l, 2), parity ? T_U32 : T_B64);
    u = emit_mbar(l, &addr, parity ? MBAR_PARITY : MBAR_WAIT, b, 1);
    u->d = lower_pred_dst(l, lower_opd(l, 0));
}

static void mbar_pending(struct lower *l)
{
    uint32_t a;
    struct uop *u;

    if (lower_need_type(l) != T_B64)
        lower_unsupported(l);
    lower_mods_done(l);
    lower_count(l, 2, 2);
    a = lower_src(l, lower_opd(l, 1), T_B64);
    u = lower_emit(l, ptx_op_mbar_pending);
    u->a = a;
    u->d = lower_dst(l, lower_opd(l, 0), T_U32);
}

static void mbarrier(struct lower *l)
{
    struct lower_addr addr;
    uint32_t b;

    if (lower_mod(l, "init")) {
        lower_count(l, 2, 2);
        mbar_address(l, 0, &addr);
        b = lower_src(l, lower_opd(l, 1), T_U32);
        emit_mbar(l, &addr, MBAR_INIT, b, 1);
    } else if (lower_mod(l, "inval")) {
        lower_count(l, 1, 1);
        mbar_address(l, 0, &addr);
        emit_mbar(l, &addr, MBAR_INVAL, 0, 0);
    } else if (lower_mod(l, "arrive")) {
        mbar_arrive(l, MBAR_ARRIVE);
    } else if (lower_mod(l, "arrive_drop")) {
        mbar_arrive(l, MBAR_DROP);
    } else if (lower_mod(l, "test_wait") || lower_mod(l, "try_wait")) {
        mbar_wait(l);
    } else if (lower_mod(l, "pending_count")) {
        mbar_pending(l);
    } else {
        lower_unsupported(l);
    }
}

/* --------------------------------------------------------------------- stack */

static void stack(struct lower *l, ptx_fn fn, int is_dst)
{
    enum ast_type t = lower_need_type(l);
    uint32_t r;
    struct uop *u;

    lower_mods_done(l);
    lower_count(l, 1, 1);
    r = is_dst ? lower_dst(l, lower_opd(l, 0), t) : lower_src(l, lower_opd(l, 0), t);
    u = lower_emit(l, fn);
    u->x[1] = ast_type_size(t) == 8;
    if (is_dst)
        u->d = r;
    else
        u->a = r;
}

static void alloc(struct lower *l)
{
    enum ast_type t = lower_need_type(l);
    uint64_t align = 8;
    uint32_t a;
    struct uop *u;

    lower_mods_done(l);
    lower_count(l, 2, 3);
    if (l->in->n == 3)
        align = lower_opd(l, 2)->imm;
    if (align < 8)
        align = 8;
    if (align > 4096 || (align & (align - 1)))
        lower_fail(l, "bad alignment");
    a = lower_src(l, lower_opd(l, 1), t);
    u = lower_emit(l, ptx_op_alloca);
    u->a = a;
    u->imm = (int64_t)align;
    u->d = lower_dst(l, lower_opd(l, 0), t);
    u->x[1] = u->x[2] = ast_type_size(t) == 8;
}

/* --------------------------------------------------------------------- video */

static int video_op(const struct lower *l, unsigned *lanes)
{
    static const char *const names[] = {"vadd", "vsub", "vabsdiff", "vmin", "vmax", "vavrg"};
    size_t n = strlen(l->base);
    int i;

    *lanes = n ? (unsigned)(l->base[n - 1] - '0') : 0;
    for (i = 0; i < 6; i++)
        if (n == strlen(names[i]) + 1 && memcmp(l->base, names[i], n - 1) == 0)
            return *lanes == 2 || *lanes == 4 ? i : -1;
    return -1;
}

static int video(struct lower *l)
{
    unsigned lanes;
    int op = video_op(l, &lanes), sat, add;
    enum ast_type dt, at, bt;
    uint32_t a, b, c;
    struct uop *u;

    if (op < 0)
        return 0;
    dt = lower_need_type(l);
    at = lower_need_type(l);
    bt = lower_need_type(l);
    sat = lower_mod(l, "sat");
    add = lower_mod(l, "add");
    lower_mods_done(l);
    lower_count(l, 4, 4);
    a = lower_src(l, lower_opd(l, 1), at);
    b = lower_src(l, lower_opd(l, 2), bt);
    c = lower_src(l, lower_opd(l, 3), T_U32);
    u = lower_emit(l, ptx_op_video);
    u->a = a;
    u->b = b;
    u->c = c;
    u->d = lower_dst(l, lower_opd(l, 0), dt);
    u->x[0] = (uint8_t)op;
    u->x[1] = (uint8_t)lanes;
    u->x[2] = at == T_S32;
    u->x[3] = bt == T_S32;
    u->x[4] = (uint8_t)(!sat ? 0 : dt == T_S32 ? 2 : 1);
    u->x[5] = (uint8_t)add;
    return 1;
}

int lower_misc(struct lower *l)
{
    if (lower_base(l, "cp") && lower_mod(l, "async"))
        copy(l);
    else if (lower_base(l, "mbarrier"))
        mbarrier(l);
    else if (lower_base(l, "alloca"))
        alloc(l);
    else if (lower_base(l, "stacksave"))
        stack(l, ptx_op_stacksave, 1);
    else if (lower_base(l, "stackrestore"))
        stack(l, ptx_op_stackrestore, 0);
    else
        return video(l);
    return 1;
}
