/* SPDX-License-Identifier: MIT */
/* alloca: local memory behind an activation's own, the same for all its lanes. */
#include "newops.h"

HANDLER(ptx_op_alloca)
{
    struct frame *fr = w->cur->fr;
    uint64_t size = 0, at = (uint64_t)fr->local_base + fr->fn->local_frame + fr->extra;

    FOR_LANES(i, mask) {
        uint64_t n = u->x[2] ? reg64(w, u->a)[i] : reg32(w, u->a)[i];

        size = n > size ? n : size;
    }
    at = (at + (uint64_t)u->imm - 1) & ~((uint64_t)u->imm - 1);
    if (at > w->local_size || size > w->local_size - at)
        return ptx_fault(w, u, __builtin_ctz(mask), PTX_FAULT_STACK, 0,
                         "alloca of %llu bytes: stack of %u bytes per thread is used up",
                         (unsigned long long)size, w->local_size);
    fr->extra = (uint32_t)(at + size - fr->local_base - fr->fn->local_frame);
    FOR_LANES(k, mask) {
        if (u->x[1])
            reg64(w, u->d)[k] = at;
        else
            reg32(w, u->d)[k] = (uint32_t)at;
    }
    return CTL_NEXT;
}

HANDLER(ptx_op_stacksave)
{
    FOR_LANES(i, mask) {
        if (u->x[1])
            reg64(w, u->d)[i] = w->cur->fr->extra;
        else
            reg32(w, u->d)[i] = w->cur->fr->extra;
    }
    return CTL_NEXT;
}

/* Only when no other lane of the activation may still use what lies behind. */
HANDLER(ptx_op_stackrestore)
{
    struct frame *fr = w->cur->fr;
    uint32_t lane = (uint32_t)__builtin_ctz(mask);
    uint64_t v = u->x[1] ? reg64(w, u->a)[lane] : reg32(w, u->a)[lane];

    if (mask == fr->live && v < fr->extra)
        fr->extra = (uint32_t)v;
    return CTL_NEXT;
}
