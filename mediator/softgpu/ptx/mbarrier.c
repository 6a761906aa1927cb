/* SPDX-License-Identifier: MIT */
/*
 * mbarrier objects: 64 bits in shared memory, laid out as 20 bits pending, 20
 * bits expected, then the phase. One thread runs a CTA, so plain accesses do.
 */
#include "newops.h"

#include <string.h>

enum { COUNT_BITS = 20, PHASE_SHIFT = 40 };
#define COUNT_MASK ((1ull << COUNT_BITS) - 1)

static uint64_t make(uint64_t phase, uint64_t expected, uint64_t pending)
{
    return phase << PHASE_SHIFT | (expected & COUNT_MASK) << COUNT_BITS | (pending & COUNT_MASK);
}

static uint64_t arrive(uint64_t obj, uint64_t n, int drop)
{
    uint64_t phase = obj >> PHASE_SHIFT, expected = obj >> COUNT_BITS & COUNT_MASK;
    uint64_t pending = obj & COUNT_MASK;

    n &= COUNT_MASK;
    if (drop)
        expected -= n < expected ? n : expected;
    if (n >= pending)
        return make(phase + 1, expected, expected);
    return make(phase, expected, pending - n);
}

static int completed(const struct uop *u, uint64_t obj, uint64_t state)
{
    uint64_t phase = obj >> PHASE_SHIFT;

    return u->x[3] == MBAR_PARITY ? (phase & 1) != (state & 1) : phase != state >> PHASE_SHIFT;
}

static uint64_t operand(const struct warp *w, const struct uop *u, uint32_t lane)
{
    if (!u->x[4])
        return 1;
    return u->x[3] == MBAR_WAIT ? reg64(w, u->b)[lane] : reg32(w, u->b)[lane];
}

HANDLER(ptx_op_mbarrier)
{
    unsigned char *p[PTX_LANES];
    uint32_t done = 0;

    if (ptx_resolve(w, u, mask, 8, 8, 1, p))
        return CTL_FAULT;
    FOR_LANES(i, mask) {
        uint64_t obj, n = operand(w, u, i);

        memcpy(&obj, p[i], 8);
        if ((u->x[3] == MBAR_ARRIVE || u->x[3] == MBAR_DROP) && u->d != PTX_NO_REG)
            reg64(w, u->d)[i] = obj;
        switch (u->x[3]) {
        case MBAR_INIT: obj = make(0, n, n); break;
        case MBAR_INVAL: obj = 0; break;
        case MBAR_ARRIVE: obj = arrive(obj, n, 0); break;
        case MBAR_DROP: obj = arrive(obj, n, 1); break;
        default: done |= completed(u, obj, n) ? 1u << i : 0; break;
        }
        memcpy(p[i], &obj, 8);
    }
    if (u->x[3] == MBAR_WAIT || u->x[3] == MBAR_PARITY) {
        set_pred(w, u->d, mask, done);
        return look_around(w, u);
    }
    return CTL_NEXT;
}

HANDLER(ptx_op_mbar_pending)
{
    FOR_LANES(i, mask)
        reg32(w, u->d)[i] = (uint32_t)(reg64(w, u->a)[i] & COUNT_MASK);
    return CTL_NEXT;
}
