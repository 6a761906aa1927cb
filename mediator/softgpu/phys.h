/* SPDX-License-Identifier: MIT */
/*
 * Physical memory of programs: a file each, so that it can be mapped twice and shared. One lock for
 * it and for what is mapped where (vmm.c); _locked means under it.
 */
#ifndef VG_SOFTGPU_PHYS_H
#define VG_SOFTGPU_PHYS_H

#include <stdbool.h>

#include "vmm.h"

/* Physical memory: lives while a handle or a mapping holds it. */
struct vg_phys {
    void *handle;               /* NULL once the program has released it */
    unsigned refs;              /* of the handle */
    unsigned maps;
    int fd;                     /* -1: foreign */
    bool charged;               /* against the device's limit: not what another process made */
    size_t size;
    uint64_t id;
    CUmemAllocationProp prop;
    struct vg_foreign foreign;  /* of memory opened by cuIpcOpenMemHandle */
    unsigned opened;            /* times it must be closed */
};

static inline bool vg_is_granular(uint64_t n)
{
    return n % VG_VMM_GRANULARITY == 0;
}

void vg_vmm_lock(void);
void vg_vmm_unlock(void);

/* Never the same twice. */
uint64_t vg_phys_next_id(void);

/* NULL: not a handle. */
struct vg_phys *vg_phys_get_locked(CUmemGenericAllocationHandle handle);

/* Ends the handle, then the memory, when nothing holds them any more. */
void vg_phys_settle_locked(struct vg_phys *p);

/* One reference more, with a new handle if the last one is gone. */
CUresult vg_phys_retain_locked(struct vg_phys *p, CUmemGenericAllocationHandle *ret);

#endif
