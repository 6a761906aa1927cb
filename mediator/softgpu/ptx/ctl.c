/* SPDX-License-Identifier: MIT */
/* Branches, calls, returns, exits. Handlers run on the CTA's thread. */
#include "handlers.h"

#include <string.h>

static uint32_t pc_of(const struct warp *w, const struct uop *u)
{
    return (uint32_t)(u - w->cur->fr->fn->code);
}

/* The current fragment keeps mask; its other lanes go on at pc. */
static void keep_only(struct warp *w, uint32_t mask, uint32_t pc)
{
    struct frag *f = w->cur;

    if (f->mask & ~mask)
        ptx_frag_split(w, pc, f->mask & ~mask, f->fr);
    f->mask = mask;
}

HANDLER(ptx_op_bra)
{
    w->target = (uint32_t)u->imm;
    if (mask == w->cur->mask)
        return CTL_JUMP;
    keep_only(w, mask, pc_of(w, u) + 1);
    w->cur->pc = w->target;
    return CTL_SWITCH;
}

/* Lanes that agree with the first one about where to go. */
static uint32_t same_as_first(const uint32_t *v, uint32_t mask)
{
    uint32_t first = v[__builtin_ctz(mask)], same = 0;

    FOR_LANES(i, mask)
        if (v[i] == first)
            same |= 1u << i;
    return same;
}

HANDLER(ptx_op_brx)
{
    const struct code_targets *t = u->aux;
    const uint32_t *index = reg32(w, u->a);
    uint32_t first = index[__builtin_ctz(mask)], same = same_as_first(index, mask);

    if (first >= t->n)
        return ptx_fault(w, u, __builtin_ctz(mask), PTX_FAULT_PC, first,
                         "brx.idx: index %u of %u targets", first, t->n);
    w->target = t->pc[first];
    if (same == w->cur->mask)
        return CTL_JUMP;
    keep_only(w, same, pc_of(w, u)); /* the others come back here */
    w->cur->pc = w->target;
    return CTL_SWITCH;
}

/* -------------------------------------------------------------------- calls */

/* One parameter of one lane: from memory or a register of one activation. */
static void load_arg(const struct warp *w, const struct frame *fr, const struct code_param *p,
                     uint32_t lane, void *to, uint32_t size)
{
    if (p->reg_bytes == 0)
        memcpy(to, lane_frame(w, fr, lane) + p->offset, size < p->size ? size : p->size);
    else
        memcpy(to, fr->regs + p->reg + (size_t)p->reg_bytes * lane,
               size < p->reg_bytes ? size : p->reg_bytes);
}

static void store_arg(const struct warp *w, const struct frame *fr, const struct code_param *p,
                      uint32_t lane, const void *from, uint32_t size)
{
    if (p->reg_bytes == 0)
        memcpy(lane_frame(w, fr, lane) + p->offset, from, size < p->size ? size : p->size);
    else
        memcpy(fr->regs + p->reg + (size_t)p->reg_bytes * lane, from,
               size < p->reg_bytes ? size : p->reg_bytes);
}

static uint32_t arg_size(const struct code_param *p)
{
    return p->reg_bytes ? p->reg_bytes : p->size;
}

static void copy_args(const struct warp *w, uint32_t mask, const struct frame *from_frame,
                      const struct code_param *from, uint32_t nfrom, const struct frame *to_frame,
                      const struct code_param *to, uint32_t nto)
{
    uint32_t k, n = nfrom < nto ? nfrom : nto;

    for (k = 0; k < n; k++) {
        uint32_t size = arg_size(&from[k]) < arg_size(&to[k]) ? arg_size(&from[k])
                                                              : arg_size(&to[k]);
        unsigned char small[8];

        FOR_LANES(i, mask) {
            if (from[k].reg_bytes == 0) {
                store_arg(w, to_frame, &to[k], i, lane_frame(w, from_frame, i) + from[k].offset,
                          size);
            } else {
                load_arg(w, from_frame, &from[k], i, small, size);
                store_arg(w, to_frame, &to[k], i, small, size);
            }
        }
    }
}

static int enter(struct warp *w, const struct uop *u, uint32_t mask, const struct code_func *fn,
                 uint32_t others_pc)
{
    const struct code_call *call = u->aux;
    struct frame *up = w->cur->fr, *fr = ptx_frame_push(w, fn, up, mask, u);

    if (!fr)
        return ptx_fault(w, u, __builtin_ctz(mask), PTX_FAULT_STACK, 0,
                         "call of %s: stack of %u bytes per thread is used up", fn->info.name,
                         w->local_size);
    fr->ret_pc = pc_of(w, u) + 1;
    copy_args(w, mask, up, call->args, call->nargs, fr, fn->params, fn->nparams);
    keep_only(w, mask, others_pc);
    w->cur->fr = fr;
    w->cur->pc = 0;
    return CTL_SWITCH;
}

HANDLER(ptx_op_call)
{
    const struct code_call *call = u->aux;

    if (call->builtin)
        return ptx_builtin_call(w, u, mask);
    return enter(w, u, mask, call->fn, pc_of(w, u) + 1);
}

HANDLER(ptx_op_call_indirect)
{
    const struct ptx_module *m = w->cta->grid->m;
    const uint64_t *addr = reg64(w, u->a);
    uint32_t lane = (uint32_t)__builtin_ctz(mask), same = 0;
    uint64_t first = addr[lane], index = (first - PTX_WINDOW_CODE) / 16;

    if (first < PTX_WINDOW_CODE || first % 16 || index >= m->nfuncs ||
        m->funcs[index].info.is_entry)
        return ptx_fault(w, u, (int)lane, PTX_FAULT_PC, first,
                         "call to 0x%llx, which is no function", (unsigned long long)first);
    FOR_LANES(i, mask)
        if (addr[i] == first)
            same |= 1u << i;
    /* The others (also those whose guard is false) come back to this call. */
    return enter(w, u, same, &m->funcs[index], pc_of(w, u) + (same == mask));
}

/* From any depth of calls. Activations that nobody will return to are free. */
HANDLER(ptx_op_exit)
{
    struct frag *f = w->cur;
    struct frame *fr = f->fr;

    keep_only(w, mask, pc_of(w, u) + 1);
    while (fr) {
        struct frame *up = fr->up;

        fr->live &= ~mask;
        if (fr->live == 0)
            ptx_frame_pop(w, fr);
        fr = up;
    }
    ptx_frag_remove(w, f);
    ptx_lanes_exit(w, mask);
    return CTL_SWITCH;
}

HANDLER(ptx_op_ret)
{
    struct frame *fr = w->cur->fr, *up = fr->up;
    const struct code_call *call;

    if (!up)
        return ptx_op_exit(w, u, mask);
    call = fr->call->aux;
    copy_args(w, mask, fr, fr->fn->rets, fr->fn->nrets, up, call->rets, call->nrets);
    keep_only(w, mask, pc_of(w, u) + 1);
    w->cur->fr = up;
    w->cur->pc = fr->ret_pc;
    fr->live &= ~mask;
    if (fr->live == 0)
        ptx_frame_pop(w, fr);
    return CTL_SWITCH;
}

/* -------------------------------------------------------------------- others */

HANDLER(ptx_op_trap)
{
    return ptx_fault(w, u, __builtin_ctz(mask), PTX_FAULT_TRAP, 0, "trap instruction");
}

HANDLER(ptx_op_nop)
{
    (void)w;
    (void)u;
    (void)mask;
    return CTL_NEXT;
}

/* nanosleep: somebody else's turn. */
HANDLER(ptx_op_yield)
{
    (void)mask;
    return look_around(w, u);
}

HANDLER(ptx_op_fence)
{
    (void)w;
    (void)u;
    (void)mask;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return CTL_NEXT;
}
