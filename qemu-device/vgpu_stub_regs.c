/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BAR0 of the device vgpu-stub: one row for each register.  Called by vCPUs;
 * see vgpu_stub_core.c.
 */
#include "vgpu_stub_int.h"

static uint32_t read_magic(struct vg_stub *s)
{
    (void)s;
    return VG_REG_MAGIC_VALUE;
}

static uint32_t read_version(struct vg_stub *s)
{
    (void)s;
    return VG_PROTOCOL_VERSION;
}

/* No optional feature is defined in this protocol version. */
static uint32_t read_features(struct vg_stub *s)
{
    (void)s;
    return 0;
}

/* To programs that would like to begin. */
static bool is_closed(const struct vg_stub *s)
{
    return s->refused || s->disabled || s->withdrawn || s->moving;
}

static uint32_t read_status(struct vg_stub *s)
{
    return (s->link == VG_STUB_LINK_UP ? VG_STATUS_MEDIATOR : 0) |
           (is_closed(s) ? VG_STATUS_REFUSED : 0);
}

static uint32_t read_epoch(struct vg_stub *s)
{
    return s->epoch;
}

static uint32_t read_slot_count(struct vg_stub *s)
{
    return s->layout.slot_count;
}

static uint32_t read_region_lo(struct vg_stub *s)
{
    return (uint32_t)s->layout.size;
}

static uint32_t read_region_hi(struct vg_stub *s)
{
    return (uint32_t)(s->layout.size >> 32);
}

static uint32_t read_traps(struct vg_stub *s)
{
    return s->traps;
}

static uint32_t read_region_traps(struct vg_stub *s)
{
    return s->region_traps;
}

static uint32_t read_claim(struct vg_stub *s)
{
    uint32_t token = VG_CLAIM_NONE;
    unsigned i;

    for (i = 0; i < s->layout.slot_count; i++) {
        if (s->slot[i].state == VG_STUB_FREE &&
            vg_stub_slot_set(s, i, VG_STUB_CLAIMED)) {
            vg_stub_slot_publish(s, i, VG_SLOT_CLAIMED);
            token = vg_stub_slot_token(s, i);
            break;
        }
    }
    vg_stub_note(s, VG_STUB_EV_CLAIM, token, 0);
    return token;
}

static void write_attach(struct vg_stub *s, uint32_t token)
{
    unsigned i;

    if (!vg_stub_slot_find(s, token, &i) ||
        s->slot[i].state != VG_STUB_CLAIMED) {
        vg_stub_guest_error(s, "attach of a slot that is not claimed", token);
        return;
    }
    vg_stub_note(s, VG_STUB_EV_ATTACH, token, 0);
    if (s->link != VG_STUB_LINK_UP || is_closed(s)) {
        vg_stub_slot_lose(s, i, is_closed(s) ? VG_GONE_REFUSED
                                             : VG_GONE_MEDIATOR);
        return;
    }
    vg_stub_slot_set(s, i, VG_STUB_ATTACHING);
    vg_stub_slot_publish(s, i, VG_SLOT_ATTACHING);
    vg_stub_tell_mediator(s, VG_MSG_ATTACH, token);
}

static void write_release(struct vg_stub *s, uint32_t token)
{
    unsigned i;

    if (!vg_stub_slot_find(s, token, &i) ||
        s->slot[i].state == VG_STUB_RELEASING) {
        vg_stub_guest_error(s, "release of a slot that is not held", token);
        return;
    }
    vg_stub_note(s, VG_STUB_EV_RELEASE, token, 0);
    if (vg_stub_slot_set(s, i, VG_STUB_RELEASING)) {
        vg_stub_tell_mediator(s, VG_MSG_RELEASE, token);
    } else {
        vg_stub_slot_free(s, i);
    }
}

/* The executor may ask for a doorbell before its eventfd has reached us. */
static void write_doorbell(struct vg_stub *s, uint32_t token)
{
    struct vg_stub_slot *slot;
    unsigned i;

    if (!vg_stub_slot_find(s, token, &i)) {
        vg_stub_guest_error(s, "doorbell of a slot that is not held", token);
        return;
    }
    slot = &s->slot[i];
    if (slot->state == VG_STUB_ATTACHED) {
        s->host->fd_signal(s->opaque, slot->doorbell);
    }
    slot->rung = slot->state == VG_STUB_ATTACHING;
    vg_stub_note(s, VG_STUB_EV_DOORBELL, token,
                 slot->state == VG_STUB_ATTACHED);
}

static const struct vg_stub_reg {
    uint32_t (*read)(struct vg_stub *s);
    void (*write)(struct vg_stub *s, uint32_t value);
} regs[VG_REG_END / 4] = {
    [VG_REG_MAGIC / 4]      = { read_magic, NULL },
    [VG_REG_VERSION / 4]    = { read_version, NULL },
    [VG_REG_FEATURES / 4]   = { read_features, NULL },
    [VG_REG_STATUS / 4]     = { read_status, NULL },
    [VG_REG_EPOCH / 4]      = { read_epoch, NULL },
    [VG_REG_SLOT_COUNT / 4] = { read_slot_count, NULL },
    [VG_REG_REGION_LO / 4]  = { read_region_lo, NULL },
    [VG_REG_REGION_HI / 4]  = { read_region_hi, NULL },
    [VG_REG_CLAIM / 4]      = { read_claim, NULL },
    [VG_REG_ATTACH / 4]     = { NULL, write_attach },
    [VG_REG_RELEASE / 4]    = { NULL, write_release },
    [VG_REG_DOORBELL / 4]   = { NULL, write_doorbell },
    [VG_REG_TRAPS / 4]      = { read_traps, NULL },
    [VG_REG_REGION_TRAPS / 4] = { read_region_traps, NULL },
};

/* Whoever looks at the counters must not change them. */
static bool is_counter(uint64_t offset)
{
    return offset == VG_REG_TRAPS || offset == VG_REG_REGION_TRAPS;
}

static const struct vg_stub_reg *reg_at(uint64_t offset, unsigned size)
{
    if (size != 4 || offset % 4 != 0 || offset >= VG_REG_END) {
        return NULL;
    }
    return &regs[offset / 4];
}

uint64_t vg_stub_read(struct vg_stub *s, uint64_t offset, unsigned size)
{
    const struct vg_stub_reg *reg = reg_at(offset, size);
    uint64_t value = UINT64_MAX;

    s->traps += !is_counter(offset);
    if (reg && reg->read) {
        value = reg->read(s);
    } else {
        vg_stub_guest_error(s, "bad register read", offset);
    }
    vg_stub_note(s, VG_STUB_EV_READ, offset, value);
    return value;
}

void vg_stub_write(struct vg_stub *s, uint64_t offset, uint64_t value,
                   unsigned size)
{
    const struct vg_stub_reg *reg = reg_at(offset, size);

    s->traps += !is_counter(offset);
    vg_stub_note(s, VG_STUB_EV_WRITE, offset, value);
    if (reg && reg->write) {
        reg->write(s, (uint32_t)value);
    } else {
        vg_stub_guest_error(s, "bad register write", offset);
    }
}
