/* SPDX-License-Identifier: MIT */
/* Bookkeeping of physical memory; see vmm.h. */
#include "mediator/executor/vmm.h"

#include <stdlib.h>
#include <string.h>

void vg_vmm_init(struct vg_vmm *v)
{
    memset(v, 0, sizeof(*v));
    vg_ranges_init(&v->reserved);
}

void vg_vmm_fini(struct vg_vmm *v)
{
    free(v->phys);
    vg_ranges_fini(&v->reserved);
    memset(v, 0, sizeof(*v));
}

static bool grow(struct vg_vmm *v)
{
    uint32_t cap = v->cap ? v->cap * 2 : 64;
    struct vg_phys *bigger = cap > VG_PHYS_MAX ? NULL : realloc(v->phys, cap * sizeof(*bigger));

    if (!bigger)
        return false;
    v->phys = bigger;
    v->cap = cap;
    return true;
}

bool vg_vmm_add(struct vg_vmm *v, uint64_t size, uint32_t *ret_index)
{
    uint32_t i;

    if (v->free) {
        i = v->free - 1;
        v->free = v->phys[i].next;
    } else {
        if (v->count == v->cap && !grow(v))
            return false;
        i = v->count++;
    }
    v->phys[i] = (struct vg_phys){.size = size, .refs = 1};
    v->held += size;
    *ret_index = i;
    return true;
}

static void settle(struct vg_vmm *v, uint32_t index)
{
    struct vg_phys *p = &v->phys[index];

    if (p->refs || p->maps)
        return;
    v->held -= p->size;
    p->next = v->free;
    v->free = index + 1;
}

void vg_vmm_unref(struct vg_vmm *v, uint32_t index)
{
    v->phys[index].refs--;
    settle(v, index);
}

void vg_vmm_unmap(struct vg_vmm *v, uint32_t index)
{
    v->phys[index].maps--;
    settle(v, index);
}

bool vg_vmm_lives(const struct vg_vmm *v, uint32_t index)
{
    return index < v->count && (v->phys[index].refs || v->phys[index].maps);
}

uint64_t vg_vmm_size(const struct vg_vmm *v, uint32_t index)
{
    return v->phys[index].size;
}
