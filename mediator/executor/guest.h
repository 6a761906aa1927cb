/* SPDX-License-Identifier: MIT */
/*
 * The guest process this executor serves, seen through shared memory: its hello,
 * its slot, its region. The only file that maps shared memory; what the guest
 * wrote is copied once and judged as a copy.
 */
#ifndef VG_GUEST_H
#define VG_GUEST_H

#include "mediator/executor/job.h"
#include "vg_region.h"

/* Where a guest may ask to have shared memory: above what a program at a fixed address owns. */
#define VG_GUEST_ADDRESS_MIN 0x10000000ull
#define VG_GUEST_ADDRESS_MAX 0x7ffffffff000ull

struct vg_guest {
    struct vg_region_layout layout;
    uint8_t *base; /* the region, at the guest's own address; NULL: not mapped */
    struct vg_slot *slot;
    uint64_t data, end; /* addresses of the data extents: [data, end) */
    uint32_t pid;       /* as the guest says, for logs */
    char comm[32];      /* printable */
    bool has_warden;
    bool says_pins;   /* which memory the GPU is to see, by VG_CALL_PIN */
    uint32_t beat;    /* last heartbeat seen */
    uint64_t beat_ns; /* and when */
};

/*
 * Keeps VG_REGION_PLACES free for vg_guest_open. Once, before the driver is loaded:
 * what it maps, it maps anywhere.
 */
void vg_guest_reserve(void);

/*
 * Reads the hello and maps the region where the guest has it. 0, -errno, or
 * > 0: an enum vg_gone_reason (the guest's fault); *ret_why says what is wrong.
 */
int vg_guest_open(struct vg_guest *g, const struct vg_job *j, const char **ret_why);
void vg_guest_close(struct vg_guest *g);

void vg_guest_ready(struct vg_guest *g);

/* Says that nobody serves the slot any more and wakes whoever sleeps on it. Any thread, and signal
 * handlers: it only stores and wakes. */
void vg_guest_gone(struct vg_guest *g, enum vg_gone_reason reason);

/* Sleeps until the word is not `value`, somebody wakes its sleepers, or so many microseconds. */
void vg_futex_wait(void *word, uint32_t value, unsigned us);

/* Wakes all sleepers on a word (its first 32 bits) of shared memory. */
void vg_futex_wake(void *word);

/* True while the guest's warden beats (or there is none). now in ns. Serve thread. */
bool vg_guest_alive(struct vg_guest *g, uint64_t now);

/* The bytes [off, off+len) of the data extents, or NULL if they do not all lie there. */
void *vg_guest_data(const struct vg_guest *g, uint64_t off, uint64_t len);

/* True if [addr, addr+len) lies in the data extents. */
bool vg_guest_owns(const struct vg_guest *g, uint64_t addr, uint64_t len);

#endif
