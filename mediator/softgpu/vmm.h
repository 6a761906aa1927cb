/* SPDX-License-Identifier: MIT */
/*
 * Memory that the program maps itself: reserved addresses in the arena's open space, physical
 * memory (a memfd each, so that it can be mapped twice and shared), and the mappings that bring
 * them together. Belongs to no context. Any thread.
 */
#ifndef VG_SOFTGPU_VMM_H
#define VG_SOFTGPU_VMM_H

#include "arena.h"

#define VG_VMM_GRANULARITY ((size_t)2 << 20)

/* What cuMemGetAddressRange and pointer attributes tell of a mapped address. */
struct vg_vmm_info {
    uint64_t reserved_base;     /* of the reservation around the mapping */
    size_t reserved_size;
    uint64_t handle_types;      /* asked for at cuMemCreate */
    uint64_t block_id;          /* the same for all mappings of one physical memory */
};

/* The mapping that holds addr, as a block of kind MAPPED; -ENOENT: nothing is mapped there.
 * ret_info may be NULL. */
int vg_vmm_find(uint64_t addr, struct vg_block_info *ret_block, struct vg_vmm_info *ret_info);

/* True if [addr, addr + size) is mapped throughout and some device may read it. */
bool vg_vmm_covers(uint64_t addr, size_t size);

#endif
