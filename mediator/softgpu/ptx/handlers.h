/* SPDX-License-Identifier: MIT */
/*
 * Handlers of the executor by group: what lowering can put into a uop. Which
 * uop fields a handler reads is said here or beside its definition.
 */
#ifndef VG_PTX_HANDLERS_H
#define VG_PTX_HANDLERS_H

#include "exec.h"

#define HANDLER(name) int name(struct warp *w, const struct uop *u, uint32_t mask)

/* ctl.c: imm = target pc; a = index register and aux = targets; aux = code_call */
HANDLER(ptx_op_bra);
HANDLER(ptx_op_brx);
HANDLER(ptx_op_call);
HANDLER(ptx_op_call_indirect); /* a = address register */
HANDLER(ptx_op_ret);
HANDLER(ptx_op_exit);
HANDLER(ptx_op_trap);
HANDLER(ptx_op_nop);
HANDLER(ptx_op_yield);
HANDLER(ptx_op_fence);

/* barrier.c: a = barrier, b = threads (x[0] given), x[1] = enum bar_red,
 * d = result, c = predicate (x[2] negated) */
HANDLER(ptx_op_bar_sync);
HANDLER(ptx_op_bar_arrive);
HANDLER(ptx_op_warp_sync); /* a = members */

/* sreg.c: d, x[0] = SREG, x[1] = wide destination, imm = envreg index */
HANDLER(ptx_op_sreg);
HANDLER(ptx_op_local_addr); /* d = frame's local base + imm + (x[0]: window) */
HANDLER(ptx_op_dyn_shared); /* d = dynamic shared base + imm */

/* mem.c: addresses as ptx_resolve(); x[2] = element bytes, x[3] = signed,
 * x[4] = elements, x[5] = 64-bit registers, x[6] = strong; registers: d when
 * one element, else aux = uint32_t[x[4]], PTX_NO_REG for '_' */
#define PTX_NO_REG UINT32_MAX
HANDLER(ptx_op_ld);
HANDLER(ptx_op_st);
HANDLER(ptx_op_ld_param); /* kernel parameter at imm, same for all lanes */
HANDLER(ptx_op_copy);     /* cp.async: a to address register e, x[2] bytes, imm; c = real bytes */
HANDLER(ptx_op_isspacep); /* predicate d, a (64-bit), x[0] = enum mem_space */

/* atom.c: d (PTX_NO_REG: red), address, b, c; x[2] = bytes, x[3] = enum atom_op,
 * x[4] = enum ast_type */
HANDLER(ptx_op_atom);

/* warpop.c */
HANDLER(ptx_op_shfl);  /* d p(e, 0 none) a b c; aux: members or PTX_NO_REG; x[0] = mode */
HANDLER(ptx_op_vote);  /* d, a = pred (x[1] neg), b = members (x[2] has), x[0] = mode */
HANDLER(ptx_op_match); /* d, e = pred, a value (x[1] wide), b members, x[0] = all */
HANDLER(ptx_op_redux); /* d, a, b members, x[0] = mode */
HANDLER(ptx_op_elect); /* d, e = pred, b members */
HANDLER(ptx_op_activemask);

#endif
