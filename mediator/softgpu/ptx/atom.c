/* SPDX-License-Identifier: MIT */
/*
 * Atomic operations: really atomic against other CTAs' threads, other kernels
 * and the host. Lanes of one instruction go one after the other.
 */
#include "atom.h"
#include "ast.h"
#include "half.h"
#include "handlers.h"

static uint32_t add_f32(uint32_t a, uint32_t b)
{
    float x, y;

    memcpy(&x, &a, 4);
    memcpy(&y, &b, 4);
    x += y;
    memcpy(&a, &x, 4);
    return a;
}

static uint64_t add_f64(uint64_t a, uint64_t b)
{
    double x, y;

    memcpy(&x, &a, 8);
    memcpy(&y, &b, 8);
    x += y;
    memcpy(&a, &x, 8);
    return a;
}

static uint16_t half_update(int op, int bf, uint16_t a, uint16_t b)
{
    float x = bf ? vg_bf16_to_float(a) : vg_half_to_float(a);
    float y = bf ? vg_bf16_to_float(b) : vg_half_to_float(b);
    float r = op == ATOM_ADD ? x + y : 0;

    if (op == ATOM_MIN)
        return x != x ? b : y != y ? a : x < y ? a : b;
    if (op == ATOM_MAX)
        return x != x ? b : y != y ? a : x > y ? a : b;
    return bf ? vg_float_to_bf16(r) : vg_float_to_half(r);
}

static uint32_t halves(int op, int bf, uint32_t a, uint32_t b)
{
    return half_update(op, bf, (uint16_t)a, (uint16_t)b) |
           (uint32_t)half_update(op, bf, (uint16_t)(a >> 16), (uint16_t)(b >> 16)) << 16;
}

static uint64_t bitwise(int op, uint64_t a, uint64_t b)
{
    return op == ATOM_AND ? a & b : op == ATOM_OR ? a | b : op == ATOM_XOR ? a ^ b : b;
}

static uint32_t update32(int op, int type, uint32_t a, uint32_t b)
{
    if (type == T_F16X2 || type == T_BF16X2)
        return halves(op, type == T_BF16X2, a, b);
    switch (op) {
    case ATOM_ADD: return type == T_F32 ? add_f32(a, b) : a + b;
    case ATOM_MIN: return type == T_S32 ? ((int32_t)a < (int32_t)b ? a : b) : a < b ? a : b;
    case ATOM_MAX: return type == T_S32 ? ((int32_t)a > (int32_t)b ? a : b) : a > b ? a : b;
    case ATOM_INC: return a >= b ? 0 : a + 1;
    case ATOM_DEC: return a == 0 || a > b ? b : a - 1;
    default: return (uint32_t)bitwise(op, a, b);
    }
}

static uint64_t update64(int op, int type, uint64_t a, uint64_t b)
{
    switch (op) {
    case ATOM_ADD: return type == T_F64 ? add_f64(a, b) : a + b;
    case ATOM_MIN: return type == T_S64 ? ((int64_t)a < (int64_t)b ? a : b) : a < b ? a : b;
    case ATOM_MAX: return type == T_S64 ? ((int64_t)a > (int64_t)b ? a : b) : a > b ? a : b;
    default: return bitwise(op, a, b);
    }
}

static uint32_t atom32(const struct uop *u, uint32_t *p, uint32_t b, uint32_t c)
{
    uint32_t old = __atomic_load_n(p, __ATOMIC_RELAXED), next;

    if (u->x[3] == ATOM_CAS) {
        old = b;
        __atomic_compare_exchange_n(p, &old, c, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        return old;
    }
    if (u->x[3] == ATOM_ADD && u->x[4] != T_F32 && ast_type_size((enum ast_type)u->x[4]) == 4 &&
        u->x[4] != T_F16X2 && u->x[4] != T_BF16X2)
        return __atomic_fetch_add(p, b, __ATOMIC_SEQ_CST);
    do {
        next = update32(u->x[3], u->x[4], old, b);
    } while (!__atomic_compare_exchange_n(p, &old, next, 1, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return old;
}

static uint64_t atom64(const struct uop *u, uint64_t *p, uint64_t b, uint64_t c)
{
    uint64_t old = __atomic_load_n(p, __ATOMIC_RELAXED), next;

    if (u->x[3] == ATOM_CAS) {
        old = b;
        __atomic_compare_exchange_n(p, &old, c, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        return old;
    }
    do {
        next = update64(u->x[3], u->x[4], old, b);
    } while (!__atomic_compare_exchange_n(p, &old, next, 1, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return old;
}

static uint16_t atom16(const struct uop *u, uint16_t *p, uint16_t b, uint16_t c)
{
    uint16_t old = __atomic_load_n(p, __ATOMIC_RELAXED), next;

    if (u->x[3] == ATOM_CAS) {
        old = b;
        __atomic_compare_exchange_n(p, &old, c, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        return old;
    }
    do {
        next = half_update(u->x[3], u->x[4] == T_BF16, old, b);
    } while (!__atomic_compare_exchange_n(p, &old, next, 1, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return old;
}

HANDLER(ptx_op_atom)
{
    unsigned char *p[PTX_LANES];
    int has_c = u->x[3] == ATOM_CAS;

    count_cost(w, ATOMIC_COST);
    if (ptx_resolve(w, u, mask, u->x[2], u->x[2], 1, p))
        return CTL_FAULT;
    FOR_LANES(i, mask) {
        uint64_t r;

        if (u->x[2] == 8)
            r = atom64(u, (uint64_t *)(void *)p[i], reg64(w, u->b)[i],
                       has_c ? reg64(w, u->c)[i] : 0);
        else if (u->x[2] == 4)
            r = atom32(u, (uint32_t *)(void *)p[i], reg32(w, u->b)[i],
                       has_c ? reg32(w, u->c)[i] : 0);
        else
            r = atom16(u, (uint16_t *)(void *)p[i], (uint16_t)reg32(w, u->b)[i],
                       has_c ? (uint16_t)reg32(w, u->c)[i] : 0);
        if (u->d == PTX_NO_REG)
            continue;
        if (u->x[2] == 8)
            reg64(w, u->d)[i] = r;
        else
            reg32(w, u->d)[i] = (uint32_t)r;
    }
    return CTL_NEXT;
}
