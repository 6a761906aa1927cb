/* SPDX-License-Identifier: MIT */
/*
 * Instructions in which the lanes of a warp see each other. Those with members
 * (*.sync) first gather the lanes named; see ptx_gather().
 */
#include "warpop.h"
#include "handlers.h"

#include <string.h>

static uint32_t shfl_source(int mode, uint32_t lane, uint32_t b, uint32_t c, int *ok)
{
    uint32_t seg = c >> 8 & 31, clamp = c & 31, max, min, from;

    b &= 31;
    max = (lane & seg) | (clamp & ~seg);
    min = lane & seg;
    switch (mode) {
    case SHFL_UP:
        from = lane - b;
        *ok = (int32_t)from >= (int32_t)max;
        break;
    case SHFL_DOWN:
        from = lane + b;
        *ok = from <= max;
        break;
    case SHFL_BFLY:
        from = lane ^ b;
        *ok = from <= max;
        break;
    default:
        from = min | (b & ~seg);
        *ok = from <= max;
        break;
    }
    return *ok ? from : lane;
}

HANDLER(ptx_op_shfl)
{
    const uint32_t members = *(const uint32_t *)u->aux;
    uint32_t v[PTX_LANES], *d = reg32(w, u->d), in_range = 0;
    const uint32_t *b = reg32(w, u->b), *c = reg32(w, u->c);
    int rc = CTL_NEXT, ok;

    if (members != PTX_NO_REG)
        mask = ptx_gather(w, u, mask, reg32(w, members), &rc);
    if (!mask)
        return rc;
    memcpy(v, reg32(w, u->a), sizeof(v));
    FOR_LANES(i, mask) {
        uint32_t from = shfl_source(u->x[0], i, b[i], c[i], &ok);

        /* What lanes outside hold is undefined; programs sum up over them and count on 0. */
        d[i] = mask >> (from & 31) & 1 ? v[from & 31] : 0;
        in_range |= ok ? 1u << i : 0;
    }
    if (u->e)
        set_pred(w, u->e, mask, in_range);
    return rc;
}

HANDLER(ptx_op_vote)
{
    uint32_t bits = *reg32(w, u->a) ^ (u->x[1] ? FULL_MASK : 0), result = 0;
    const uint32_t *members = reg32(w, u->b);
    int rc = CTL_NEXT;

    if (u->x[2])
        mask = ptx_gather(w, u, mask, members, &rc);
    FOR_LANES(i, mask) {
        uint32_t who = u->x[2] ? members[i] & mask : mask, yes = bits & who;

        if (u->x[0] == VOTE_BALLOT)
            reg32(w, u->d)[i] = yes;
        else if (u->x[0] == VOTE_ALL ? yes == who : u->x[0] == VOTE_ANY ? yes != 0
                                                                     : yes == who || yes == 0)
            result |= 1u << i;
    }
    if (u->x[0] != VOTE_BALLOT)
        set_pred(w, u->d, mask, result);
    return rc;
}

HANDLER(ptx_op_match)
{
    const uint32_t *members = reg32(w, u->b);
    uint32_t r[PTX_LANES], whole = 0;
    uint64_t v[PTX_LANES] = {0};
    int rc;

    mask = ptx_gather(w, u, mask, members, &rc);
    FOR_LANES(i, mask)
        v[i] = u->x[1] ? reg64(w, u->a)[i] : reg32(w, u->a)[i];
    FOR_LANES(i, mask) {
        uint32_t who = members[i] & mask, same = 0;

        FOR_LANES(k, who)
            same |= v[k] == v[i] ? 1u << k : 0;
        if (same == who)
            whole |= 1u << i;
        r[i] = u->x[0] && same != who ? 0 : same;
    }
    FOR_LANES(n, mask)
        reg32(w, u->d)[n] = r[n];
    if (u->e && mask)
        set_pred(w, u->e, mask, whole);
    return rc;
}

static uint32_t reduce(const struct uop *u, uint32_t a, uint32_t b)
{
    int less = u->x[1] ? (int32_t)a < (int32_t)b : a < b;

    switch (u->x[0]) {
    case REDUX_ADD: return a + b;
    case REDUX_MIN: return less ? a : b;
    case REDUX_MAX: return less ? b : a;
    case REDUX_AND: return a & b;
    case REDUX_OR: return a | b;
    default: return a ^ b;
    }
}

HANDLER(ptx_op_redux)
{
    const uint32_t *members = reg32(w, u->b);
    uint32_t v[PTX_LANES];
    int rc;

    mask = ptx_gather(w, u, mask, members, &rc);
    memcpy(v, reg32(w, u->a), sizeof(v));
    FOR_LANES(i, mask) {
        uint32_t who = members[i] & mask, first, r;

        if (!who)
            who = 1u << i;
        first = (uint32_t)__builtin_ctz(who);
        r = v[first];
        FOR_LANES(k, who & ~(1u << first))
            r = reduce(u, r, v[k]);
        reg32(w, u->d)[i] = r;
    }
    return rc;
}

HANDLER(ptx_op_elect)
{
    const uint32_t *members = reg32(w, u->b);
    uint32_t chosen = 0;
    int rc;

    mask = ptx_gather(w, u, mask, members, &rc);
    FOR_LANES(i, mask) {
        uint32_t who = members[i] & mask, leader = who ? (uint32_t)__builtin_ctz(who) : i;

        reg32(w, u->d)[i] = leader;
        chosen |= leader == i ? 1u << i : 0;
    }
    if (mask)
        set_pred(w, u->e, mask, chosen);
    return rc;
}

HANDLER(ptx_op_activemask)
{
    FOR_LANES(i, mask)
        reg32(w, u->d)[i] = mask;
    return CTL_NEXT;
}
