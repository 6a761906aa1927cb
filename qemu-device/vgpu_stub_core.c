/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers, slots and mediator link of the device vgpu-stub.  Runs wherever
 * its host serialises it (QEMU: vCPU threads and main loop under the big lock).
 * Must not block, allocate, do I/O of its own, or trust the region.
 */
#include "vgpu_stub_core.h"

#include <errno.h>
#include <string.h>

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

static void event(struct vg_stub *s, enum vg_stub_event what, uint64_t a,
                  uint64_t b)
{
    s->host->event(s->opaque, what, a, b);
}

static void guest_error(struct vg_stub *s, const char *what, uint64_t value)
{
    s->host->guest_error(s->opaque, what, value);
}

/* ---- slots ---- */

static uint32_t slot_token(const struct vg_stub *s, unsigned i)
{
    return VG_TOKEN(i, s->slot[i].generation);
}

static void slot_publish(struct vg_stub *s, unsigned i,
                         enum vg_slot_state state)
{
    vg_store_release(&vg_region_slot(s->region, &s->layout, i)->state, state);
}

static void slot_drop_doorbell(struct vg_stub *s, unsigned i)
{
    struct vg_stub_slot *slot = &s->slot[i];

    if (slot->doorbell >= 0) {
        s->host->fd_close(s->opaque, slot->doorbell);
    }
    slot->doorbell = -1;
    slot->rung = false;
}

/* The only writer of a slot's state.  False: not a legal step, nothing done. */
static bool slot_set(struct vg_stub *s, unsigned i,
                     enum vg_stub_slot_state next)
{
    struct vg_stub_slot *slot = &s->slot[i];

    if (!(legal_next[slot->state] & BIT(next))) {
        return false;
    }
    slot->state = next;
    if (next != VG_STUB_ATTACHING && next != VG_STUB_ATTACHED) {
        slot_drop_doorbell(s, i);
    }
    event(s, VG_STUB_EV_SLOT, slot_token(s, i), next);
    return true;
}

/* A late release with an old token must not hit the slot's next owner. */
static void slot_free(struct vg_stub *s, unsigned i)
{
    struct vg_stub_slot *slot = &s->slot[i];

    if (!slot_set(s, i, VG_STUB_FREE)) {
        return;
    }
    slot->generation = slot->generation == UINT16_MAX ? 1
                                                      : slot->generation + 1;
    vg_slot_reset(s->region, &s->layout, i, slot->generation);
}

/* The mediator may have published a better reason already: keep that one. */
static void slot_lose(struct vg_stub *s, unsigned i, enum vg_gone_reason why)
{
    struct vg_slot *shared = vg_region_slot(s->region, &s->layout, i);

    if (!slot_set(s, i, VG_STUB_LOST)) {
        return;
    }
    if (vg_load_acquire(&shared->state) == VG_SLOT_GONE) {
        return;
    }
    vg_store_relaxed(&shared->reason, why);
    slot_publish(s, i, VG_SLOT_GONE);
}

static bool slot_find(const struct vg_stub *s, uint32_t token,
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

/* ---- the link ---- */

static int send_msg(struct vg_stub *s, enum vg_msg_type type, uint32_t token)
{
    struct vg_msg msg;

    memset(&msg, 0, sizeof(msg));
    msg.type = type;
    msg.token = token;
    msg.region_gfn = s->region_gfn;
    return s->host->link_send(s->opaque, &msg, -1);
}

static int send_hello(struct vg_stub *s)
{
    struct vg_msg msg;

    memset(&msg, 0, sizeof(msg));
    msg.type = VG_MSG_HELLO;
    msg.version = VG_PROTOCOL_VERSION;
    msg.role = VG_ROLE_DEVICE;
    msg.region_size = s->layout.size;
    msg.region_gfn = s->region_gfn;
    msg.slot_count = s->layout.slot_count;
    memcpy(msg.name, s->name, sizeof(msg.name));
    return s->host->link_send(s->opaque, &msg, s->region_fd);
}

static void connect_later(struct vg_stub *s, int error)
{
    if (s->disabled) {
        return;
    }
    event(s, VG_STUB_EV_LINK_DOWN, (uint64_t)-error, s->retry_ms);
    s->host->connect_later(s->opaque, s->retry_ms);
    s->retry_ms = s->retry_ms * 2 < VG_STUB_RETRY_MAX_MS
                      ? s->retry_ms * 2 : VG_STUB_RETRY_MAX_MS;
}

void vg_stub_connect(struct vg_stub *s)
{
    int rc;

    if (s->link != VG_STUB_LINK_DOWN || s->disabled || !s->host->link_open) {
        return;
    }
    rc = s->host->link_open(s->opaque);
    if (rc < 0) {
        s->refused = false;
        connect_later(s, rc);
        return;
    }
    s->link = VG_STUB_LINK_GREETED;
    rc = send_hello(s);
    if (rc < 0) {
        vg_stub_link_lost(s, rc);
    }
}

/* Executors end with their mediator, so no slot waits for a SLOT_FREE now. */
static void forget_executors(struct vg_stub *s)
{
    unsigned i;

    for (i = 0; i < s->layout.slot_count; i++) {
        switch (s->slot[i].state) {
        case VG_STUB_ATTACHING:
        case VG_STUB_ATTACHED:
            slot_lose(s, i, VG_GONE_MEDIATOR);
            break;
        case VG_STUB_RELEASING:
            slot_free(s, i);
            break;
        default:
            break;
        }
    }
}

void vg_stub_link_lost(struct vg_stub *s, int error)
{
    if (s->link == VG_STUB_LINK_DOWN) {
        return;
    }
    s->link = VG_STUB_LINK_DOWN;
    s->host->link_close(s->opaque);
    forget_executors(s);
    connect_later(s, error);
}

/* Nothing can wait for room in the socket: a mediator that does not read it
 * (there are at most two messages a slot) is as good as gone. */
static void tell_mediator(struct vg_stub *s, enum vg_msg_type type,
                          uint32_t token)
{
    int rc = send_msg(s, type, token);

    if (rc < 0) {
        vg_stub_link_lost(s, rc);
    }
}

/* ---- messages of the mediator ---- */

static void on_refused_vm(struct vg_stub *s, const char *why)
{
    if (!s->refused) {
        s->host->complain(s->opaque, "the mediator refuses this VM", why);
    }
    s->refused = true;
    s->retry_ms = VG_STUB_RETRY_MAX_MS;
    vg_stub_link_lost(s, -EACCES);
}

static void on_welcome(struct vg_stub *s, const struct vg_msg *msg)
{
    if (s->link != VG_STUB_LINK_GREETED) {
        vg_stub_link_lost(s, -EPROTO);
        return;
    }
    if (msg->version != VG_PROTOCOL_VERSION) {
        on_refused_vm(s, "it speaks another protocol version");
        return;
    }
    s->link = VG_STUB_LINK_UP;
    s->refused = false;
    s->retry_ms = VG_STUB_RETRY_MIN_MS;
    s->epoch++;
    event(s, VG_STUB_EV_LINK_UP, s->epoch, 0);
}

/* True if it keeps `fd`.  The guest may have released the slot meanwhile. */
static bool on_attached(struct vg_stub *s, unsigned i, int fd)
{
    struct vg_stub_slot *slot = &s->slot[i];

    if (slot->state != VG_STUB_ATTACHING || fd < 0 ||
        !slot_set(s, i, VG_STUB_ATTACHED)) {
        return false;
    }
    slot->doorbell = fd;
    if (slot->rung) {
        s->host->fd_signal(s->opaque, fd);
    }
    slot->rung = false;
    return true;
}

/* About one slot; an unknown token is about a use that is over: no news. */
static bool on_slot_message(struct vg_stub *s, const struct vg_msg *msg,
                            int fd)
{
    unsigned i;

    if (!slot_find(s, msg->token, &i)) {
        return false;
    }
    switch (msg->type) {
    case VG_MSG_ATTACHED:
        return on_attached(s, i, fd);
    case VG_MSG_REFUSED:
        if (s->slot[i].state == VG_STUB_ATTACHING) {
            slot_lose(s, i, VG_GONE_REFUSED);
        } else if (s->slot[i].state == VG_STUB_RELEASING) {
            /* Sent before our RESET arrived: there never was an executor. */
            slot_free(s, i);
        }
        return false;
    default: /* SLOT_FREE; from CLAIMED and LOST only the guest can free */
        if (s->slot[i].state != VG_STUB_CLAIMED &&
            s->slot[i].state != VG_STUB_LOST) {
            slot_free(s, i);
        }
        return false;
    }
}

static bool on_message(struct vg_stub *s, const struct vg_msg *msg, int fd)
{
    char why[sizeof(msg->text)];

    switch (msg->type) {
    case VG_MSG_WELCOME:
        on_welcome(s, msg);
        return false;
    case VG_MSG_REFUSED:
        if (msg->token == 0) {
            memcpy(why, msg->text, sizeof(why));
            why[sizeof(why) - 1] = '\0';
            on_refused_vm(s, why);
            return false;
        }
        return on_slot_message(s, msg, fd);
    case VG_MSG_ATTACHED:
    case VG_MSG_SLOT_FREE:
        return on_slot_message(s, msg, fd);
    default:
        s->host->complain(s->opaque, "unknown message of the mediator", "");
        vg_stub_link_lost(s, -EPROTO);
        return false;
    }
}

void vg_stub_message(struct vg_stub *s, const struct vg_msg *msg, size_t len,
                     int fd)
{
    bool kept = false;

    if (len == sizeof(*msg)) {
        kept = on_message(s, msg, fd);
    } else {
        s->host->complain(s->opaque, "the mediator sent a broken packet", "");
        vg_stub_link_lost(s, -EPROTO);
    }
    if (fd >= 0 && !kept) {
        s->host->fd_close(s->opaque, fd);
    }
}

/* ---- registers ---- */

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

static uint32_t read_status(struct vg_stub *s)
{
    return (s->link == VG_STUB_LINK_UP ? VG_STATUS_MEDIATOR : 0) |
           (s->refused || s->disabled ? VG_STATUS_REFUSED : 0);
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
            slot_set(s, i, VG_STUB_CLAIMED)) {
            slot_publish(s, i, VG_SLOT_CLAIMED);
            token = slot_token(s, i);
            break;
        }
    }
    event(s, VG_STUB_EV_CLAIM, token, 0);
    return token;
}

static void write_attach(struct vg_stub *s, uint32_t token)
{
    unsigned i;

    if (!slot_find(s, token, &i) || s->slot[i].state != VG_STUB_CLAIMED) {
        guest_error(s, "attach of a slot that is not claimed", token);
        return;
    }
    event(s, VG_STUB_EV_ATTACH, token, 0);
    if (s->link != VG_STUB_LINK_UP) {
        slot_lose(s, i, s->refused ? VG_GONE_REFUSED : VG_GONE_MEDIATOR);
        return;
    }
    slot_set(s, i, VG_STUB_ATTACHING);
    slot_publish(s, i, VG_SLOT_ATTACHING);
    tell_mediator(s, VG_MSG_ATTACH, token);
}

static void write_release(struct vg_stub *s, uint32_t token)
{
    unsigned i;

    if (!slot_find(s, token, &i) || s->slot[i].state == VG_STUB_RELEASING) {
        guest_error(s, "release of a slot that is not held", token);
        return;
    }
    event(s, VG_STUB_EV_RELEASE, token, 0);
    if (slot_set(s, i, VG_STUB_RELEASING)) {
        tell_mediator(s, VG_MSG_RELEASE, token);
    } else {
        slot_free(s, i);
    }
}

/* The executor may ask for a doorbell before its eventfd has reached us. */
static void write_doorbell(struct vg_stub *s, uint32_t token)
{
    struct vg_stub_slot *slot;
    unsigned i;

    if (!slot_find(s, token, &i)) {
        guest_error(s, "doorbell of a slot that is not held", token);
        return;
    }
    slot = &s->slot[i];
    if (slot->state == VG_STUB_ATTACHED) {
        s->host->fd_signal(s->opaque, slot->doorbell);
    }
    slot->rung = slot->state == VG_STUB_ATTACHING;
    event(s, VG_STUB_EV_DOORBELL, token, slot->state == VG_STUB_ATTACHED);
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
        guest_error(s, "bad register read", offset);
    }
    event(s, VG_STUB_EV_READ, offset, value);
    return value;
}

void vg_stub_write(struct vg_stub *s, uint64_t offset, uint64_t value,
                   unsigned size)
{
    const struct vg_stub_reg *reg = reg_at(offset, size);

    s->traps += !is_counter(offset);
    event(s, VG_STUB_EV_WRITE, offset, value);
    if (reg && reg->write) {
        reg->write(s, (uint32_t)value);
    } else {
        guest_error(s, "bad register write", offset);
    }
}

/* ---- the region, where the guest cannot reach it by itself ---- */

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
    event(s, VG_STUB_EV_MOVED, gfn, 0);
    if (s->link != VG_STUB_LINK_DOWN) {
        tell_mediator(s, VG_MSG_MOVED, 0);
    }
}

void vg_stub_disable(struct vg_stub *s, const char *what, const char *detail)
{
    if (s->disabled) {
        return;
    }
    s->disabled = true;
    s->host->complain(s->opaque, what, detail);
    vg_stub_link_lost(s, -EIO);
}

/* ---- life ---- */

bool vg_stub_init(struct vg_stub *s, const struct vg_stub_host *host,
                  void *opaque, void *region, uint64_t size, uint32_t slots)
{
    unsigned i;

    memset(s, 0, sizeof(*s));
    if (!vg_region_layout_init(&s->layout, size, slots)) {
        return false;
    }
    s->host = host;
    s->opaque = opaque;
    s->region = region;
    s->region_fd = -1;
    s->retry_ms = VG_STUB_RETRY_MIN_MS;
    vg_region_format(region, &s->layout);
    memcpy(&s->header, region, sizeof(s->header));
    for (i = 0; i < slots; i++) {
        s->slot[i].doorbell = -1;
        /* Not 0: token 0 in a REFUSED means the whole VM. */
        s->slot[i].generation = 1;
        vg_slot_reset(region, &s->layout, i, 1);
    }
    return true;
}

void vg_stub_fini(struct vg_stub *s)
{
    unsigned i;

    if (s->link != VG_STUB_LINK_DOWN) {
        s->host->link_close(s->opaque);
    }
    s->link = VG_STUB_LINK_DOWN;
    for (i = 0; i < s->layout.slot_count; i++) {
        slot_drop_doorbell(s, i);
    }
}

/* Extents of slots with a living executor come back when it is gone. */
static void region_restore(struct vg_stub *s)
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

void vg_stub_reset(struct vg_stub *s)
{
    bool busy = false;
    unsigned i;

    event(s, VG_STUB_EV_RESET, 0, 0);
    for (i = 0; i < s->layout.slot_count; i++) {
        if (s->slot[i].state == VG_STUB_RELEASING) {
            continue;
        }
        if (slot_set(s, i, VG_STUB_RELEASING)) {
            busy = true;
        } else {
            slot_free(s, i);
        }
    }
    s->traps = 0;
    s->region_traps = 0;
    if (busy) {
        tell_mediator(s, VG_MSG_RESET, 0);
    }
    region_restore(s);
}
