/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device vgpu-stub without its PCI device model: registers, slots, and the
 * conversation with the mediator.  Plain C with no system calls, so that QEMU
 * is one host of it and a unit test or an ioreq server another.
 *
 * The device is deliberately dumb: it hands out slots of the shared region,
 * passes attach and release on, and rings doorbells.  It never reads a ring
 * and believes nothing in the region, which the guest can write.
 *
 * Not thread-safe: the host serialises all calls (QEMU: the big lock).
 */
#ifndef VGPU_STUB_CORE_H
#define VGPU_STUB_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_region.h"
#include "vg_regs.h"
#include "vg_sock.h"

#define VG_STUB_RETRY_MIN_MS 50u
#define VG_STUB_RETRY_MAX_MS 2000u

/* What happened, for the host's tracing; the comment names a and b. */
enum vg_stub_event {
    VG_STUB_EV_READ,        /* offset, value */
    VG_STUB_EV_WRITE,       /* offset, value */
    VG_STUB_EV_CLAIM,       /* token or VG_CLAIM_NONE */
    VG_STUB_EV_ATTACH,      /* token */
    VG_STUB_EV_RELEASE,     /* token */
    VG_STUB_EV_DOORBELL,    /* token, 1: an executor was woken */
    VG_STUB_EV_SLOT,        /* token, new enum vg_stub_slot_state */
    VG_STUB_EV_LINK_UP,     /* epoch */
    VG_STUB_EV_LINK_DOWN,   /* errno or 0, ms until the next attempt */
    VG_STUB_EV_RESET,       /* - */
    VG_STUB_EV_MOVED,       /* new frame of the region */
};

/*
 * What the core needs from its host.  None may block; none may call back into
 * the core.  A core without a socket (link_open NULL) is always offline.
 */
struct vg_stub_host {
    /* Connects to the mediator: 0 or -errno. */
    int (*link_open)(void *opaque);
    void (*link_close)(void *opaque);
    /* Sends with `fd` attached unless it is -1: 0 or -errno. */
    int (*link_send)(void *opaque, const struct vg_msg *msg, int fd);
    /* Calls vg_stub_connect() in `ms` milliseconds. */
    void (*connect_later)(void *opaque, unsigned ms);
    void (*fd_signal)(void *opaque, int eventfd);
    void (*fd_close)(void *opaque, int fd);
    void (*event)(void *opaque, enum vg_stub_event what, uint64_t a,
                  uint64_t b);
    /* The guest did something wrong; `what` is a constant string. */
    void (*guest_error)(void *opaque, const char *what, uint64_t value);
    /* The mediator refused this VM or broke the protocol. */
    void (*complain)(void *opaque, const char *what, const char *detail);
};

enum vg_stub_slot_state {
    VG_STUB_FREE,
    VG_STUB_CLAIMED,    /* a guest process has it, the mediator knows nothing */
    VG_STUB_ATTACHING,  /* ATTACH sent */
    VG_STUB_ATTACHED,   /* an executor serves it; we hold its doorbell */
    VG_STUB_LOST,       /* a guest process has it, no executor will come */
    VG_STUB_RELEASING,  /* RELEASE or RESET sent; its executor may still live */
    VG_STUB_STATES
};

enum vg_stub_link_state {
    VG_STUB_LINK_DOWN,
    VG_STUB_LINK_GREETED,   /* HELLO sent */
    VG_STUB_LINK_UP,        /* WELCOME received */
};

struct vg_stub_slot {
    enum vg_stub_slot_state state;
    uint16_t generation;    /* of the present or next use; never 0 */
    bool rung;              /* doorbell rung before we had the eventfd */
    int doorbell;           /* eventfd of the executor, -1: none */
};

struct vg_stub {
    const struct vg_stub_host *host;
    void *opaque;

    void *region;           /* shared with guest and executors */
    struct vg_region_layout layout;
    struct vg_region_header header;     /* as it must be, to restore it */
    int region_fd;          /* -1: the host has no fd for it */
    uint64_t region_gfn;    /* the guest's frame of it under Xen; 0: fd */
    char name[64];          /* of the VM: a label for logs */

    enum vg_stub_link_state link;
    bool refused;
    bool disabled;          /* for good: the region is lost */
    bool withdrawn;         /* for good: only programs that run can use it */
    bool moving;            /* for now: the VM is being saved, nobody can */
    unsigned retry_ms;
    uint32_t epoch;         /* connections to a mediator so far */
    uint32_t traps;
    uint32_t region_traps;  /* accesses to BAR1 that had to be served here */
    struct vg_stub_slot slot[VG_SLOTS_MAX];
};

/*
 * Takes over `region` (zeroed, at least page-aligned, `size` bytes) and formats
 * it.  False if size or slots are outside vg_limits.h.
 */
bool vg_stub_init(struct vg_stub *s, const struct vg_stub_host *host,
                  void *opaque, void *region, uint64_t size, uint32_t slots)
    __attribute__((warn_unused_result));

/* Closes the link and every doorbell.  The region stays the host's. */
void vg_stub_fini(struct vg_stub *s);

/* VM reset: all slots come back, those with an executor once it is gone. */
void vg_stub_reset(struct vg_stub *s);

/* True while a program of the guest has, or waits for, an executor. */
bool vg_stub_busy(const struct vg_stub *s);

/* What of the device outlives it, in a suspended or migrated VM. */
struct vg_stub_saved {
    uint32_t epoch;
    uint16_t generation[VG_SLOTS_MAX];
    uint8_t held[VG_SLOTS_MAX];     /* 1: a guest process has the slot */
};

/*
 * `owner` has a byte for each extent: 0, or 1 + the slot that holds it.  Saving
 * changes nothing.  After a restore the processes which had slots have lost
 * their executors, may give them back, and keep their extents until then.
 */
void vg_stub_save(const struct vg_stub *s, struct vg_stub_saved *ret_saved,
                  uint8_t *ret_owner);
void vg_stub_restore(struct vg_stub *s, const struct vg_stub_saved *saved,
                     const uint8_t *owner);

/* BAR0.  `size` is the width of the access in bytes, any value. */
uint64_t vg_stub_read(struct vg_stub *s, uint64_t offset, unsigned size);
void vg_stub_write(struct vg_stub *s, uint64_t offset, uint64_t value,
                   unsigned size);

/*
 * BAR1, where an access is not the guest's own: counted, and slow.  `offset` and
 * `size` (at most 8) lie in the region.
 */
uint64_t vg_stub_region_read(struct vg_stub *s, uint64_t offset, unsigned size);
void vg_stub_region_write(struct vg_stub *s, uint64_t offset, uint64_t value,
                          unsigned size);

/* The region is at another frame of the guest's. */
void vg_stub_moved(struct vg_stub *s, uint64_t gfn);

/* The region cannot be used any more: no link, no slots, for good. */
void vg_stub_disable(struct vg_stub *s, const char *what, const char *detail);

/*
 * The region is no longer at any frame of the guest's (it is being saved).  What
 * uses it goes on, by way of vg_stub_region_read and _write; nobody else gets it.
 */
void vg_stub_withdraw(struct vg_stub *s);

/*
 * The region is about to leave the guest's frames for a while, because the VM is
 * being saved or migrated: new programs are refused, and those that have wardens
 * are held by them.  vg_stub_is_parked is true once all of them are.  That is the
 * guest's word: to be waited for in patience, but not for ever.
 */
void vg_stub_move_begins(struct vg_stub *s);
bool vg_stub_is_parked(const struct vg_stub *s);

/* The region is back where the guest looks for it: everything goes on. */
void vg_stub_move_ends(struct vg_stub *s);

/* Makes an attempt to reach the mediator, if there is no link. */
void vg_stub_connect(struct vg_stub *s);

/* The link ended (or must end, `error` < 0): reconnects later. */
void vg_stub_link_lost(struct vg_stub *s, int error);

/* A packet of `len` bytes arrived.  Takes `fd` over (-1: none came with it). */
void vg_stub_message(struct vg_stub *s, const struct vg_msg *msg, size_t len,
                     int fd);

#endif
