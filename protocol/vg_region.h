/* SPDX-License-Identifier: MIT */
/*
 * The shared region (BAR1 of the device, or a memfd): where everything lies.
 *
 *   0            struct vg_region_header, one page
 *   owners_off   uint16_t owner[extent_count]: 0 free, else slot + 1
 *   telemetry_off  struct vg_telemetry (vg_telemetry.h)
 *   slots_off    slot_count blocks of VG_SLOT_STRIDE bytes
 *   data_off     extent_count extents of VG_EXTENT_SIZE bytes
 *
 * Offsets follow from (size, slot_count) alone, so the host computes them from
 * numbers it knows and never from the header, which the guest can overwrite.
 */
#ifndef VG_REGION_H
#define VG_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_limits.h"
#include "vg_wire.h"

#define VG_REGION_MAGIC 0x314e4f4947455256ull  /* "VREGION1" */
#define VG_PAGE         4096u
#define VG_TELEMETRY_SIZE (64u << 10)           /* bytes of the telemetry area */

/*
 * Where a guest process maps the region if it can, first choice first: far below the
 * shared libraries and far above the heap on x86-64, with and without ASLR. The executor
 * must have it at the same address, so it keeps these free, VG_REGION_SIZE_MAX bytes each.
 */
#ifdef __SANITIZE_THREAD__
#define VG_REGION_PLACES 0x7ea000000000u    /* the sanitizer keeps the rest for itself */
#else
#define VG_REGION_PLACES 0x6f0000000000u, 0x6d0000000000u, 0x690000000000u, 0x650000000000u
#endif

struct vg_region_header {
    uint64_t magic;
    uint32_t version;
    uint32_t slot_count;
    uint64_t size;
    uint32_t moving;             /* 1: the VM is being saved or migrated; wardens hold their processes */
};

/* Life of a slot. The guest reads it; device, mediator and executor write it. */
enum vg_slot_state {
    VG_SLOT_FREE      = 0,
    VG_SLOT_CLAIMED   = 1,  /* a guest process owns it, no executor yet */
    VG_SLOT_ATTACHING = 2,  /* the mediator is starting an executor */
    VG_SLOT_READY     = 3,  /* an executor serves it */
    VG_SLOT_GONE      = 4,  /* the executor ended or was refused; see `reason` */
};

enum vg_gone_reason {
    VG_GONE_NONE       = 0,
    VG_GONE_REFUSED    = 1,  /* not admitted (policy, limits) */
    VG_GONE_MEDIATOR   = 2,  /* the mediator went away */
    VG_GONE_CRASHED    = 3,  /* the executor died */
    VG_GONE_PROTOCOL   = 4,  /* this process broke the protocol */
    VG_GONE_TIMEOUT    = 5,  /* a kernel ran too long */
    VG_GONE_NO_GPU     = 6,  /* the executor found no usable GPU or driver */
    VG_GONE_LEASE      = 7,  /* no heartbeat */
    VG_GONE_VERSION    = 8,  /* guest and host builds do not fit together */
    VG_GONE_QUARANTINED = 9, /* the VM is shut out until an administrator clears it */
    VG_GONE_GPU_SICK   = 10, /* the GPU needs a reset; the host takes nobody on it */
    VG_GONE_MOVED      = 11, /* the VM was suspended or migrated; its GPU state did not come along */
};

/* The slot's control page. Each writer has cache lines of its own. */
/* What a host may offer besides. */
#define VG_HOST_PINS_PARTS 4u    /* VG_CALL_PIN */
#define VG_HOST_MARKS_STREAMS 2u /* VG_CALL_MARK */
#define VG_HOST_KEEPS_IMAGES 1u  /* images may be named instead of sent, see VG_IMAGE_KNOWN */

struct vg_slot {
    /* host writes */
    uint32_t state;              /* enum vg_slot_state, release */
    uint32_t reason;             /* enum vg_gone_reason, valid in GONE */
    uint32_t generation;
    uint32_t sleeping;           /* 1: executor sleeps; who takes the 1 (exchange with 0) after
                                    publishing `head` rings the doorbell, once per sleep */
    uint32_t sticky_error;       /* CUresult that every later call of the process returns, 0: none */
    uint32_t features;           /* VG_HOST_*, before READY */
    uint64_t tail;               /* ring bytes consumed, ever */
    uint64_t console_head;       /* console bytes produced, ever */
    uint64_t callback_head;      /* callbacks posted, ever */
    uint32_t busy_us;            /* BUSY: not 0 while the host refuses the next record, which may
                                    succeed after so many microseconds; release */
    uint32_t busy_seq;           /* vg_call.seq of the record it refused last */
    uint64_t busy_count;         /* times it has said so, ever */
    uint8_t  pad0[64];

    /* both write: host sets when 0, guest takes by exchange with 0 */
    uint32_t latched_error;      /* CUresult of a failed call that had no reply */
    uint8_t  pad1[124];

    /* guest writes */
    uint64_t head;               /* ring bytes produced, ever; release */
    uint64_t console_tail;
    uint64_t callback_tail;      /* callbacks that have run, ever; futex on a host */
    uint32_t heartbeat;          /* VM: the warden counts it up */
    uint32_t callback_waiting;   /* 1: the callback thread sleeps on callback_head (futex) */
    uint64_t busy_retries;       /* times a thread has backed off because of BUSY, ever */
    uint32_t parks;              /* 1: the warden can hold the process while the region is moving */
    uint32_t parked;             /* 1: and holds it now */
    uint8_t  pad2[80];

    /* guest writes once, before ATTACH ("hello") */
    uint32_t version;            /* VG_PROTOCOL_VERSION */
    uint32_t pid;                /* as the guest sees it; for logs */
    uint64_t address;            /* where the guest has mapped the region */
    uint64_t api_hash;           /* vg_api_hash() */
    uint32_t has_warden;         /* 1: heartbeat is kept and its absence means death */
    uint32_t pins;               /* 1: says by VG_CALL_PIN what the GPU is to see; 0: all of it */
    char     comm[32];           /* process name, for logs; NUL-terminated */
    uint32_t visible_count;      /* devices that the process wants to see; 0: all it may */
    uint8_t  visible[VG_DEVICES_MAX];   /* them, counted within those, in its order */
    uint8_t  pad3[44];

    /* guest sets to 1, host clears: bytes of a staging chunk still in use */
    uint32_t stage_busy[VG_STAGES];
    /* host writes: posted callbacks, index callback_head % VG_CALLBACKS */
    struct { uint64_t cookie; uint32_t status; uint32_t kind; } callback[VG_CALLBACKS];
};

#define VG_SLOT_CELLS_OFF    VG_PAGE
#define VG_SLOT_REPLIES_OFF  (VG_SLOT_CELLS_OFF + VG_CELLS * 64u)
#define VG_SLOT_CONSOLE_OFF  (VG_SLOT_REPLIES_OFF + VG_CELLS * VG_REPLY_MAX)
#define VG_SLOT_RING_OFF     (128u << 10)
#define VG_SLOT_STRIDE       (VG_SLOT_RING_OFF + VG_RING_SIZE)

typedef char vg_assert_slot_page[sizeof(struct vg_slot) <= VG_PAGE ? 1 : -1];
typedef char vg_assert_slot_lines[offsetof(struct vg_slot, latched_error) % 64 == 0 &&
                                  offsetof(struct vg_slot, head) % 64 == 0 ? 1 : -1];
typedef char vg_assert_slot_block[VG_SLOT_CONSOLE_OFF + VG_CONSOLE_SIZE <= VG_SLOT_RING_OFF ? 1 : -1];

struct vg_region_layout {
    uint64_t size;
    uint32_t slot_count;
    uint32_t extent_count;
    uint64_t owners_off, telemetry_off, slots_off, data_off;
};

/* False if size or slot_count is outside vg_limits.h or leaves no data extents. */
bool vg_region_layout_init(struct vg_region_layout *l, uint64_t size, uint32_t slot_count)
    __attribute__((warn_unused_result));

/* Writes header and free slots. Not while anybody uses the region. */
void vg_region_format(void *base, const struct vg_region_layout *l);

/* Host: makes slot FREE with its generation advanced; returns its extents. */
void vg_slot_reset(void *base, const struct vg_region_layout *l, unsigned slot, uint32_t generation);

struct vg_slot *vg_region_slot(void *base, const struct vg_region_layout *l, unsigned slot);

static inline struct vg_cell *vg_slot_cell(struct vg_slot *s, unsigned cell)
{
    return (struct vg_cell *)((char *)s + VG_SLOT_CELLS_OFF) + cell;
}

static inline uint8_t *vg_slot_reply(struct vg_slot *s, unsigned cell)
{
    return (uint8_t *)s + VG_SLOT_REPLIES_OFF + (size_t)cell * VG_REPLY_MAX;
}

static inline uint8_t *vg_slot_console(struct vg_slot *s)
{
    return (uint8_t *)s + VG_SLOT_CONSOLE_OFF;
}

static inline uint8_t *vg_slot_ring(struct vg_slot *s)
{
    return (uint8_t *)s + VG_SLOT_RING_OFF;
}

/*
 * Parts of the region, which the host pins one by one as they come into use: the first ends at
 * VG_PART_FIRST, each other one is as long as all before it. One copy of the driver must not
 * reach over the seam of two, so runs of extents lie within one where they can.
 */
#define VG_PART_FIRST (16ull << 20)
#define VG_PARTS_MAX  13u           /* of VG_REGION_SIZE_MAX */

static inline unsigned vg_region_part(uint64_t off)
{
    return off < VG_PART_FIRST ? 0 : 64 - (unsigned)__builtin_clzll(off / VG_PART_FIRST);
}

/* Where the part begins; that of the next one is its end, in a region that is as long. */
static inline uint64_t vg_region_part_begin(unsigned part)
{
    return part == 0 ? 0 : VG_PART_FIRST << (part - 1);
}

/* The parts of [off, off+len), len not 0, a bit each. */
static inline uint32_t vg_region_parts(uint64_t off, uint64_t len)
{
    return (2u << vg_region_part(off + len - 1)) - (1u << vg_region_part(off));
}

typedef char vg_assert_parts[VG_PART_FIRST << (VG_PARTS_MAX - 1) >= VG_REGION_SIZE_MAX ? 1 : -1];

/*
 * Data extents. Guests of one region share the owner table and take runs of
 * extents from it without a lock; the host only ever frees what a slot held.
 * vg_extent_alloc returns the region offset of `count` consecutive extents, 0 if
 * there is no such run. Any thread, any process.
 */
uint64_t vg_extent_alloc(void *base, const struct vg_region_layout *l, unsigned slot, uint32_t count);
void vg_extent_free(void *base, const struct vg_region_layout *l, uint64_t off, uint32_t count);
void vg_extent_free_slot(void *base, const struct vg_region_layout *l, unsigned slot);

/* True if [off, off+len) lies in the data extents: the only memory a call may name. */
bool vg_region_data_ok(const struct vg_region_layout *l, uint64_t off, uint64_t len)
    __attribute__((warn_unused_result));

#endif
