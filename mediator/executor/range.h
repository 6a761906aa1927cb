/* SPDX-License-Identifier: MIT */
/*
 * Device memory the guest owns: disjoint address ranges, sorted. The only device
 * addresses a copy or memset may name, because the driver would take any address
 * of this process as host memory. Serve thread only.
 */
#ifndef VG_RANGE_H
#define VG_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vg_range_kind {
    VG_RANGE_ALLOC = 1,  /* cuMemAlloc*: ends with a free */
    VG_RANGE_POOL = 2,   /* stream-ordered allocation */
    VG_RANGE_GLOBAL = 3, /* variable of a module: ends with it */
    VG_RANGE_GRAPH = 4,  /* allocated by a node of a graph: comes back at each launch */
    VG_RANGE_ALIAS = 5,  /* region bytes at a second address */
    VG_RANGE_HOLE = 6,   /* was an alias: still mapped, to nothing, and nobody's */
    VG_RANGE_MAPPED = 7, /* by cuMemMap, some device has access */
    VG_RANGE_CLOSED = 8, /* by cuMemMap, no device has access */
    VG_RANGE_IPC = 9,    /* another process's, opened by its handle */
};

#define VG_RANGES_MAX (1u << 20)

/* A driver cuts small allocations out of pages of this size, and frees whole ones only. */
#define VG_RANGE_PAGE      (2ull << 20)
#define VG_RANGE_PAGE_SOFT 512u     /* the software GPU */

struct vg_range {
    uint64_t base, size;
    uint64_t context; /* it ends with this context, 0: with none */
    uint64_t owner;   /* and with this module or library, 0: with none */
    enum vg_range_kind kind;
    uint32_t phys;    /* of MAPPED and CLOSED: index in struct vg_vmm */
    uint32_t opened;  /* of IPC: times it must be closed, but for the last */
};

struct vg_ranges {
    struct vg_range *at; /* sorted by base */
    size_t count, cap;
    uint64_t held;      /* bytes in ALLOC, POOL and IPC ranges */
    uint64_t page;      /* a power of two; changes only while empty */
    uint64_t charged;   /* bytes of the pages that ALLOC and IPC ranges touch: what they cost */
    uint64_t pooled, of_graphs; /* bytes in POOL and in GRAPH ranges */
};

void vg_ranges_init(struct vg_ranges *r);
void vg_ranges_fini(struct vg_ranges *r);

/* 0, -EEXIST if it overlaps another, -EINVAL if empty or wrapping, -ENOMEM, -ENOSPC. */
int vg_range_add(struct vg_ranges *r, const struct vg_range *n);

/* The range that holds addr, or NULL. Valid until the next add or remove. */
const struct vg_range *vg_range_find(const struct vg_ranges *r, uint64_t addr);

/* Where the first range above addr begins; UINT64_MAX: there is none. */
uint64_t vg_range_next(const struct vg_ranges *r, uint64_t addr);

/* True if [addr, addr+len) lies in one range, or in several that touch; HOLE and CLOSED do not
 * count. */
bool vg_range_covers(const struct vg_ranges *r, uint64_t addr, uint64_t len);

/* Removes the range that begins at base; false if there is none. */
bool vg_range_remove(struct vg_ranges *r, uint64_t base);

/* Takes [base, base+size) out of whatever holds a part of it. 0 or as vg_range_add. */
int vg_range_carve(struct vg_ranges *r, uint64_t base, uint64_t size);

/* Removes all that touch [base, base+size). */
void vg_range_remove_overlap(struct vg_ranges *r, uint64_t base, uint64_t size);

/* The ranges of cuMemMap that lie in [base, base+size) become `kind`. */
void vg_range_set_mapped(struct vg_ranges *r, uint64_t base, uint64_t size,
                         enum vg_range_kind kind);

/* One opening more of the IPC range that begins at base; false: there is none. */
bool vg_range_open_again(struct vg_ranges *r, uint64_t base);
/* One less; true: that was the last. */
bool vg_range_close_again(struct vg_ranges *r, uint64_t base);

void vg_range_remove_kind(struct vg_ranges *r, enum vg_range_kind kind);

/* Removes all that end with this context, module or library. */
void vg_range_remove_owner(struct vg_ranges *r, uint64_t owner);

#endif
