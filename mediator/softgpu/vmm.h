/* SPDX-License-Identifier: MIT */
/*
 * Memory that the program maps itself: reserved addresses in the arena's open space, physical
 * memory (a memfd each, so that it can be mapped twice and shared), and the mappings that bring
 * them together. Belongs to no context. Any thread.
 */
#ifndef VG_SOFTGPU_VMM_H
#define VG_SOFTGPU_VMM_H

#include "api.h"
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

/* Memory of another process: bytes of a file, and which allocation of whom it is. */
struct vg_foreign {
    uint32_t pid;
    bool pooled;                /* of an imported pool: ends with a free */
    uint64_t id, offset;
    size_t size;
};

/* Maps it at a place of its own; once more, if it is mapped already, at the same. fd stays the
 * caller's. */
CUresult vg_vmm_attach(int fd, const struct vg_foreign *who, int device, CUdeviceptr *ret);
/* Undoes one vg_vmm_attach. -ENOENT: nothing of the sort begins at addr. */
int vg_vmm_detach(CUdeviceptr addr, bool pooled);
bool vg_vmm_is_pooled(CUdeviceptr addr);

/* True if [addr, addr + size) is mapped throughout and some device may read it. */
bool vg_vmm_covers(uint64_t addr, size_t size);

#endif
