/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BAR1 of the device vgpu-stub: where the guest cannot reach it by itself, when
 * it moves, and what is right again after a reset.
 */
#include "vgpu_stub_int.h"

#include <string.h>

#include "vg_atomic.h"

static bool region_has(const struct vg_stub *s, uint64_t offset, unsigned size)
{
    return size <= 8 && offset <= s->layout.size &&
           size <= s->layout.size - offset;
}

uint64_t vg_stub_region_read(struct vg_stub *s, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    s->region_traps++;
    if (!region_has(s, offset, size)) {
        return UINT64_MAX;
    }
    memcpy(&value, (char *)s->region + offset, size);
    return value;
}

void vg_stub_region_write(struct vg_stub *s, uint64_t offset, uint64_t value,
                          unsigned size)
{
    s->region_traps++;
    if (region_has(s, offset, size)) {
        memcpy((char *)s->region + offset, &value, size);
    }
}

void vg_stub_moved(struct vg_stub *s, uint64_t gfn)
{
    s->region_gfn = gfn;
    vg_stub_note(s, VG_STUB_EV_MOVED, gfn, 0);
    if (s->link != VG_STUB_LINK_DOWN) {
        vg_stub_tell_mediator(s, VG_MSG_MOVED, 0);
    }
}

void vg_stub_withdraw(struct vg_stub *s)
{
    s->withdrawn = true;
    s->region_gfn = 0;
}

/* Extents of slots with a living executor come back when it is gone. */
void vg_stub_region_restore(struct vg_stub *s)
{
    uint16_t *owner = (uint16_t *)((char *)s->region + s->layout.owners_off);
    uint32_t e;
    unsigned i;

    memcpy(s->region, &s->header, sizeof(s->header));
    for (i = 0; i < s->layout.slot_count; i++) {
        if (s->slot[i].state == VG_STUB_FREE) {
            vg_slot_reset(s->region, &s->layout, i, s->slot[i].generation);
        }
    }
    for (e = 0; e < s->layout.extent_count; e++) {
        i = vg_load_relaxed(&owner[e]) - 1u;
        if (i >= s->layout.slot_count || s->slot[i].state == VG_STUB_FREE) {
            vg_store_relaxed(&owner[e], 0);
        }
    }
}
