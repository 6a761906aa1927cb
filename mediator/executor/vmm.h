/* SPDX-License-Identifier: MIT */
/*
 * Memory that the guest maps itself: which addresses it has reserved, and the
 * physical memory behind its handles and mappings. What is mapped stands in the
 * ranges too, as MAPPED or CLOSED. It belongs to no context. Serve thread only.
 */
#ifndef VG_VMM_H
#define VG_VMM_H

#include "mediator/executor/range.h"
#include "vg_cuda.h"

struct vg_exec;

/* Exists while the guest holds the handle or a mapping. */
struct vg_phys {
    uint64_t size;   /* bytes that count as held, by an importer too: it can outlive the
                        exporter; 0 if another entry counts them */
    uint32_t refs;   /* times the guest must release the handle */
    uint32_t maps;   /* ranges; an entry with neither is free */
    uint32_t next;   /* of a free entry: index + 1 of the next one */
};

struct vg_vmm {
    struct vg_phys *phys;
    uint32_t count, cap, free; /* free: index + 1 */
    uint64_t held;             /* bytes of physical memory */
    struct vg_ranges reserved; /* kind does not matter */
};

#define VG_PHYS_MAX (1u << 20)

void vg_vmm_init(struct vg_vmm *v);
void vg_vmm_fini(struct vg_vmm *v);

/* A new entry with one reference; false: no room. */
bool vg_vmm_add(struct vg_vmm *v, uint64_t size, uint32_t *ret_index);

/* One reference, one mapping less. The entry ends with its last. */
void vg_vmm_unref(struct vg_vmm *v, uint32_t index);
void vg_vmm_unmap(struct vg_vmm *v, uint32_t index);

/* Whether a handle or a mapping holds it; the bytes it counts. */
bool vg_vmm_lives(const struct vg_vmm *v, uint32_t index);
uint64_t vg_vmm_size(const struct vg_vmm *v, uint32_t index);

/* Takes over a handle that the driver gave; gives it back if there is no room (do_vmm.c). */
CUresult vg_vmm_keep(struct vg_exec *x, CUmemGenericAllocationHandle handle, uint64_t size);

#endif
