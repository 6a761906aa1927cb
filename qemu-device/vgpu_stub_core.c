/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mediator link and life of the device vgpu-stub.  Runs wherever its host
 * serialises it (QEMU: vCPU threads and main loop under the big lock), as
 * vgpu_stub_slot.c, _regs.c and _region.c do, which belong to it.
 * None of them must block, allocate, do I/O of its own, or trust the region.
 */
#include "vgpu_stub_int.h"

#include <errno.h>
#include <string.h>

void vg_stub_note(struct vg_stub *s, enum vg_stub_event what, uint64_t a,
                  uint64_t b)
{
    s->host->event(s->opaque, what, a, b);
}

void vg_stub_guest_error(struct vg_stub *s, const char *what, uint64_t value)
{
    s->host->guest_error(s->opaque, what, value);
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
    if (s->disabled || s->withdrawn) {
        return;
    }
    vg_stub_note(s, VG_STUB_EV_LINK_DOWN, (uint64_t)-error, s->retry_ms);
    s->host->connect_later(s->opaque, s->retry_ms);
    s->retry_ms = s->retry_ms * 2 < VG_STUB_RETRY_MAX_MS
                      ? s->retry_ms * 2 : VG_STUB_RETRY_MAX_MS;
}

void vg_stub_connect(struct vg_stub *s)
{
    int rc;

    if (s->link != VG_STUB_LINK_DOWN || s->disabled || s->withdrawn ||
        !s->host->link_open) {
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
            vg_stub_slot_lose(s, i, VG_GONE_MEDIATOR);
            break;
        case VG_STUB_RELEASING:
            vg_stub_slot_free(s, i);
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
void vg_stub_tell_mediator(struct vg_stub *s, enum vg_msg_type type,
                           uint32_t token)
{
    int rc = send_msg(s, type, token);

    if (rc < 0) {
        vg_stub_link_lost(s, rc);
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
    vg_stub_note(s, VG_STUB_EV_LINK_UP, s->epoch, 0);
}

/* True if it keeps `fd`.  The guest may have released the slot meanwhile. */
static bool on_attached(struct vg_stub *s, unsigned i, int fd)
{
    struct vg_stub_slot *slot = &s->slot[i];

    if (slot->state != VG_STUB_ATTACHING || fd < 0 ||
        !vg_stub_slot_set(s, i, VG_STUB_ATTACHED)) {
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

    if (!vg_stub_slot_find(s, msg->token, &i)) {
        return false;
    }
    switch (msg->type) {
    case VG_MSG_ATTACHED:
        return on_attached(s, i, fd);
    case VG_MSG_REFUSED:
        if (s->slot[i].state == VG_STUB_ATTACHING) {
            vg_stub_slot_lose(s, i, VG_GONE_REFUSED);
        } else if (s->slot[i].state == VG_STUB_RELEASING) {
            /* Sent before our RESET arrived: there never was an executor. */
            vg_stub_slot_free(s, i);
        }
        return false;
    default: /* SLOT_FREE; from CLAIMED and LOST only the guest can free */
        if (s->slot[i].state != VG_STUB_CLAIMED &&
            s->slot[i].state != VG_STUB_LOST) {
            vg_stub_slot_free(s, i);
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
        vg_stub_slot_drop_doorbell(s, i);
    }
}

void vg_stub_reset(struct vg_stub *s)
{
    bool busy = false;
    unsigned i;

    vg_stub_note(s, VG_STUB_EV_RESET, 0, 0);
    for (i = 0; i < s->layout.slot_count; i++) {
        if (s->slot[i].state == VG_STUB_RELEASING) {
            continue;
        }
        if (vg_stub_slot_set(s, i, VG_STUB_RELEASING)) {
            busy = true;
        } else {
            vg_stub_slot_free(s, i);
        }
    }
    s->traps = 0;
    s->region_traps = 0;
    if (busy) {
        vg_stub_tell_mediator(s, VG_MSG_RESET, 0);
    }
    vg_stub_region_restore(s);
}
