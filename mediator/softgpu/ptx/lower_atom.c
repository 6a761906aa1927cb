/* SPDX-License-Identifier: MIT */
/* atom and red. See lower.h. */
#include "lower.h"

#include "atom.h"

#include <string.h>

static int take_op(struct lower *l)
{
    static const char *const names[] = {"add", "min", "max", "inc", "dec",
                                        "and", "or",  "xor", "exch", "cas"};
    int i;

    for (i = 0; i < 10; i++)
        if (lower_mod(l, names[i]))
            return i;
    lower_unsupported(l);
}

static int supported(int op, enum ast_type t)
{
    int bits = t == T_B32 || t == T_B64 || t == T_U32 || t == T_U64 || t == T_S32 || t == T_S64;
    int ints = t == T_U32 || t == T_S32 || t == T_U64 || t == T_S64;

    switch (op) {
    case ATOM_ADD: return ints || lower_is_float(t);
    case ATOM_MIN: case ATOM_MAX:
        return ints || t == T_F16 || t == T_F16X2 || t == T_BF16 || t == T_BF16X2;
    case ATOM_INC: case ATOM_DEC: return t == T_U32;
    case ATOM_AND: case ATOM_OR: case ATOM_XOR: return bits;
    case ATOM_CAS: return bits || t == T_B16;
    default: return bits || t == T_F32 || t == T_F64;
    }
}

static int vector_count(struct lower *l)
{
    return lower_mod(l, "v2") ? 2 : lower_mod(l, "v4") ? 4 : lower_mod(l, "v8") ? 8 : 1;
}

/* One element of a vector red/atom is an atom of its own: that is all PTX promises. */
static void emit_atom(struct lower *l, const struct lower_addr *addr, int op, enum ast_type t,
                      uint32_t d, uint32_t b, uint32_t c, uint32_t offset)
{
    struct uop *u = lower_emit(l, ptx_op_atom);

    lower_set_address(u, addr);
    u->imm += offset;
    u->d = d;
    u->b = b;
    u->c = c;
    u->x[2] = (uint8_t)ast_type_size(t);
    u->x[3] = (uint8_t)op;
    u->x[4] = (uint8_t)t;
}

static void vector_atom(struct lower *l, const struct lower_addr *addr, int op, enum ast_type t,
                        const struct ast_opd *d, const struct ast_opd *b, int vec)
{
    int i;

    if (!b || b->kind != OPD_VEC || b->n != (uint32_t)vec ||
        (d && (d->kind != OPD_VEC || d->n != (uint32_t)vec)))
        lower_fail(l, "bad vector");
    for (i = 0; i < vec; i++)
        emit_atom(l, addr, op, t, d ? lower_dst(l, &d->elems[i], t) : PTX_NO_REG,
                  lower_src(l, &b->elems[i], t), 0, (uint32_t)i * ast_type_size(t));
}

static void atom(struct lower *l, int is_red)
{
    enum ast_space space = lower_space(l);
    int strong, vec = vector_count(l), op;
    uint32_t first = is_red ? 0 : 1, b, c = 0, d = PTX_NO_REG;
    struct lower_addr addr;
    enum ast_type t;

    lower_memory_mods(l, &strong);
    lower_mod(l, "noftz");
    op = take_op(l);
    t = lower_need_type(l);
    lower_mods_done(l);
    if (!supported(op, t) || space == SP_LOCAL || space == SP_PARAM || space == SP_CONST)
        lower_unsupported(l);
    lower_count(l, first + 2, first + 2 + (op == ATOM_CAS));
    lower_address(l, lower_opd(l, first), space, &addr);
    if (vec > 1) {
        vector_atom(l, &addr, op, t, is_red ? NULL : lower_opd(l, 0), lower_opd(l, first + 1), vec);
        return;
    }
    b = lower_src(l, lower_opd(l, first + 1), t);
    if (op == ATOM_CAS)
        c = lower_src(l, lower_opd(l, first + 2), t);
    if (!is_red)
        d = lower_dst(l, lower_opd(l, 0), t);
    emit_atom(l, &addr, op, t, d, b, c, 0);
}

int lower_atom(struct lower *l)
{
    if (!lower_base(l, "atom") && !lower_base(l, "red"))
        return 0;
    atom(l, l->base[0] == 'r');
    return 1;
}
