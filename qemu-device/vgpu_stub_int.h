/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the device's core share: vgpu_stub_core.c (link, life),
 * _slot.c, _regs.c (BAR0), _region.c (BAR1) and _saved.c.
 */
#ifndef VGPU_STUB_INT_H
#define VGPU_STUB_INT_H

#include "vgpu_stub_core.h"

/* ---- vgpu_stub_core.c ---- */

/* For the host's tracing. */
void vg_stub_note(struct vg_stub *s, enum vg_stub_event what, uint64_t a,
                  uint64_t b);
void vg_stub_guest_error(struct vg_stub *s, const char *what, uint64_t value);

/* Sends; where that fails, the mediator is lost, with what follows from it. */
void vg_stub_tell_mediator(struct vg_stub *s, enum vg_msg_type type,
                           uint32_t token);

/* ---- vgpu_stub_slot.c ---- */

uint32_t vg_stub_slot_token(const struct vg_stub *s, unsigned i);

/* The slot of this token, if that is its present use. */
bool vg_stub_slot_find(const struct vg_stub *s, uint32_t token,
                       unsigned *ret_i);

/* The only writer of a slot's state.  False: not a legal step, nothing done. */
bool vg_stub_slot_set(struct vg_stub *s, unsigned i,
                      enum vg_stub_slot_state next);

/* What the guest sees. */
void vg_stub_slot_publish(struct vg_stub *s, unsigned i,
                          enum vg_slot_state state);

uint16_t vg_stub_slot_next_generation(const struct vg_stub_slot *slot);

/* Its use is over, or will never be served; nothing where that is no step. */
void vg_stub_slot_free(struct vg_stub *s, unsigned i);
void vg_stub_slot_lose(struct vg_stub *s, unsigned i, enum vg_gone_reason why);
void vg_stub_slot_drop_doorbell(struct vg_stub *s, unsigned i);

/* ---- vgpu_stub_region.c ---- */

/* As it was formatted, but for slots that an executor may still use. */
void vg_stub_region_restore(struct vg_stub *s);

#endif
