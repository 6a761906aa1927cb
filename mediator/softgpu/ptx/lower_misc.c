/* SPDX-License-Identifier: MIT */
/* cp.async and other instructions of newer architectures. See lower.h. */
#include "lower.h"

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
    if (lower_space(l) != SP_SHARED || lower_space(l) != SP_GLOBAL)
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

int lower_misc(struct lower *l)
{
    if (!lower_base(l, "cp") || !lower_mod(l, "async"))
        return 0;
    if (lower_mod(l, "commit_group") || lower_mod(l, "wait_group") || lower_mod(l, "wait_all")) {
        lower_mods_done(l);
        lower_emit(l, ptx_op_nop);
        return 1;
    }
    copy_async(l);
    return 1;
}
