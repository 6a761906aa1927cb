/* SPDX-License-Identifier: MIT */
/*
 * The little of a region that the mediator writes, a slot's state, and reads: which devices a
 * guest wants to see. By pwrite (of a
 * domain's pages: mapped for the moment), so that a region that its owner shrinks
 * cannot hurt the daemon, nor the daemon keep a domain's memory.
 */
#ifndef VG_SLOTMEM_H
#define VG_SLOTMEM_H

#include "mediator/base/regmem.h"
#include "protocol/vg_region.h"

/* 0 if `fd` is memory of at least the layout's size that we may write, else -errno. */
int vg_slotmem_check(int fd, const struct vg_region_layout *l);

/* New formatted region of a host process, sealed against a change of size. The fd or -errno. */
int vg_slotmem_new(const struct vg_region_layout *l);

int vg_slotmem_set(const struct vg_regmem *m, const struct vg_region_layout *l, unsigned slot,
                   enum vg_slot_state state);

/* GONE with its reason, unless the slot already says so. */
int vg_slotmem_gone(const struct vg_regmem *m, const struct vg_region_layout *l, unsigned slot,
                    enum vg_gone_reason reason);

/* The devices that the guest of a slot asks for, by their number in its pool; 0: all of them. */
unsigned vg_slotmem_visible(const struct vg_regmem *m, const struct vg_region_layout *l, unsigned slot,
                            uint8_t ret_visible[VG_DEVICES_MAX]);

#endif
