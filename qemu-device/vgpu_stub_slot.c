/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slots of the device vgpu-stub: their states, which only this file
 * changes, and what of it the guest sees in the region.
 */
#include "vgpu_stub_int.h"

#include "vg_atomic.h"

#define BIT(state) (1u << (state))

static const uint8_t legal_next[VG_STUB_STATES] = {
    [VG_STUB_FREE]      = BIT(VG_STUB_CLAIMED),
    [VG_STUB_CLAIMED]   = BIT(VG_STUB_ATTACHING) | BIT(VG_STUB_LOST) |
                          BIT(VG_STUB_FREE),
    [VG_STUB_ATTACHING] = BIT(VG_STUB_ATTACHED) | BIT(VG_STUB_LOST) |
                          BIT(VG_STUB_RELEASING) | BIT(VG_STUB_FREE),
    [VG_STUB_ATTACHED]  = BIT(VG_STUB_LOST) | BIT(VG_STUB_RELEASING) |
                          BIT(VG_STUB_FREE),
    [VG_STUB_LOST]      = BIT(VG_STUB_FREE),
    [VG_STUB_RELEASING] = BIT(VG_STUB_FREE),
};

uint32_t vg_stub_slot_token(const struct vg_stub *s, unsigned i)
{
    return VG_TOKEN(i, s->slot[i].generation);
}

void vg_stub_slot_publish(struct vg_stub *s, unsigned i,
                          enum vg_slot_state state)
{
    vg_store_release(&vg_region_slot(s->region, &s->layout, i)->state, state);
}

void vg_stub_slot_drop_doorbell(struct vg_stub *s, unsigned i)
{
    struct vg_stub_slot *slot = &s->slot[i];

    if (slot->doorbell >= 0) {
        s->host->fd_close(s->opaque, slot->doorbell);
    }
    slot->doorbell = -1;
    slot->rung = false;
}

/* The only writer of a slot's state.  False: not a legal step, nothing done. */
bool vg_stub_slot_set(struct vg_stub *s, unsigned i,
                      enum vg_stub_slot_state next)
{
    struct vg_stub_slot *slot = &s->slot[i];

    if (!(legal_next[slot->state] & BIT(next))) {
        return false;
    }
    slot->state = next;
    if (next != VG_STUB_ATTACHING && next != VG_STUB_ATTACHED) {
        vg_stub_slot_drop_doorbell(s, i);
    }
    vg_stub_note(s, VG_STUB_EV_SLOT, vg_stub_slot_token(s, i), next);
    return true;
}

uint16_t vg_stub_slot_next_generation(const struct vg_stub_slot *slot)
{
    return slot->generation == UINT16_MAX ? 1 : slot->generation + 1;
}

/* A late release with an old token must not hit the slot's next owner. */
void vg_stub_slot_free(struct vg_stub *s, unsigned i)
{
    struct vg_stub_slot *slot = &s->slot[i];

    if (!vg_stub_slot_set(s, i, VG_STUB_FREE)) {
        return;
    }
    slot->generation = vg_stub_slot_next_generation(slot);
    vg_slot_reset(s->region, &s->layout, i, slot->generation);
}

/* The mediator may have published a better reason already: keep that one. */
void vg_stub_slot_lose(struct vg_stub *s, unsigned i, enum vg_gone_reason why)
{
    struct vg_slot *shared = vg_region_slot(s->region, &s->layout, i);

    if (!vg_stub_slot_set(s, i, VG_STUB_LOST)) {
        return;
    }
    if (vg_load_acquire(&shared->state) == VG_SLOT_GONE) {
        return;
    }
    vg_store_relaxed(&shared->reason, why);
    vg_stub_slot_publish(s, i, VG_SLOT_GONE);
}

bool vg_stub_slot_find(const struct vg_stub *s, uint32_t token,
                       unsigned *ret_i)
{
    unsigned i = VG_TOKEN_SLOT(token);

    if (i >= s->layout.slot_count || s->slot[i].state == VG_STUB_FREE ||
        s->slot[i].generation != VG_TOKEN_GEN(token)) {
        return false;
    }
    *ret_i = i;
    return true;
}
