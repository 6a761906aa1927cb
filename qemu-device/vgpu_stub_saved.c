/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device vgpu-stub while its VM is saved or migrated: programs stand still
 * while the region is away.  What is left of it when the VM goes on elsewhere is
 * who has slots, so that he is told what he has lost.  See vgpu_stub_core.c.
 */
#include "vgpu_stub_int.h"

#include <string.h>

#include "vg_atomic.h"

static uint16_t *owners(const struct vg_stub *s)
{
    return (uint16_t *)((char *)s->region + s->layout.owners_off);
}

bool vg_stub_busy(const struct vg_stub *s)
{
    unsigned i;

    for (i = 0; i < s->layout.slot_count; i++) {
        if (s->slot[i].state == VG_STUB_ATTACHING ||
            s->slot[i].state == VG_STUB_ATTACHED) {
            return true;
        }
    }
    return false;
}

/* A slot that is being released has no process any more. */
static bool is_held(const struct vg_stub_slot *slot)
{
    return slot->state != VG_STUB_FREE && slot->state != VG_STUB_RELEASING;
}

void vg_stub_save(const struct vg_stub *s, struct vg_stub_saved *ret_saved,
                  uint8_t *ret_owner)
{
    const struct vg_stub_slot *slot;
    uint32_t e;
    unsigned i;

    memset(ret_saved, 0, sizeof(*ret_saved));
    ret_saved->epoch = s->epoch;
    for (i = 0; i < s->layout.slot_count; i++) {
        slot = &s->slot[i];
        ret_saved->held[i] = is_held(slot);
        ret_saved->generation[i] = slot->generation;
        if (slot->state == VG_STUB_RELEASING) {
            ret_saved->generation[i] = vg_stub_slot_next_generation(slot);
        }
    }
    for (e = 0; e < s->layout.extent_count; e++) {
        i = vg_load_relaxed(&owners(s)[e]) - 1u;
        ret_owner[e] = i < s->layout.slot_count && ret_saved->held[i] ? i + 1
                                                                      : 0;
    }
}

static void restore_slot(struct vg_stub *s, unsigned i, uint16_t generation,
                         bool held)
{
    if (s->slot[i].state != VG_STUB_FREE || generation == 0) {
        return;
    }
    s->slot[i].generation = generation;
    vg_slot_reset(s->region, &s->layout, i, generation);
    if (held) {
        vg_stub_slot_set(s, i, VG_STUB_CLAIMED);
        vg_stub_slot_lose(s, i, VG_GONE_MOVED);
    }
}

void vg_stub_restore(struct vg_stub *s, const struct vg_stub_saved *saved,
                     const uint8_t *owner)
{
    uint32_t e;
    unsigned i;

    vg_stub_reset(s);
    s->epoch += saved->epoch;
    for (i = 0; i < s->layout.slot_count; i++) {
        restore_slot(s, i, saved->generation[i], saved->held[i]);
    }
    for (e = 0; e < s->layout.extent_count; e++) {
        i = owner[e] - 1u;
        if (i < s->layout.slot_count && s->slot[i].state == VG_STUB_LOST) {
            vg_store_relaxed(&owners(s)[e], owner[e]);
        }
    }
}

/* Also in the copy from which a reset restores the header. */
static void set_moving(struct vg_stub *s, bool moving)
{
    struct vg_region_header *header = s->region;

    s->moving = moving;
    s->header.moving = moving;
    vg_store_release(&header->moving, moving);
}

void vg_stub_move_begins(struct vg_stub *s)
{
    unsigned i;

    for (i = 0; i < s->layout.slot_count; i++) {
        vg_store_relaxed(&vg_region_slot(s->region, &s->layout, i)->parked, 0);
    }
    set_moving(s, true);
}

bool vg_stub_is_parked(const struct vg_stub *s)
{
    const struct vg_slot *shared;
    unsigned i;

    for (i = 0; i < s->layout.slot_count; i++) {
        shared = vg_region_slot(s->region, &s->layout, i);
        if (is_held(&s->slot[i]) && vg_load_relaxed(&shared->parks) &&
            !vg_load_acquire(&shared->parked)) {
            return false;
        }
    }
    return true;
}

void vg_stub_move_ends(struct vg_stub *s)
{
    set_moving(s, false);
}
