/* SPDX-License-Identifier: MIT */
/*
 * From a handle to our note about it. A lookup takes no lock and no system call
 * (a launch makes one); changes are rare and serialise among themselves. Any thread.
 *
 * The map does not own the notes. Whoever frees one removes it first; that nobody
 * still uses the handle then is the application's duty, as with CUDA itself.
 */
#ifndef VG_SHIM_HANDLE_MAP_H
#define VG_SHIM_HANDLE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest-shim/lock.h"
#include "vg_atomic.h"

struct vg_handle_slot {
    uint64_t handle;            /* 0: free */
    void *note;
};

/* Tables that were outgrown stay allocated, since readers may be in them: together they are
   smaller than the present one. */
struct vg_handle_table {
    struct vg_handle_table *outgrown;
    unsigned shift;             /* 64 - log2(slots) */
    struct vg_handle_slot slot[];
};

/* Zeroed is empty. */
struct vg_handle_map {
    struct vg_lock lock;        /* of writers */
    uint32_t version;           /* odd while a writer moves slots */
    struct vg_handle_table *table;
    size_t count;
};

/* Replaces what was there. False: out of memory. */
bool vg_handle_map_put(struct vg_handle_map *m, uint64_t handle, void *note)
    __attribute__((warn_unused_result));
/* The note that was there, or NULL. */
void *vg_handle_map_take(struct vg_handle_map *m, uint64_t handle);
void vg_handle_map_fini(struct vg_handle_map *m);

void *vg_handle_map_find_slow(struct vg_handle_map *m, uint64_t handle);

static inline size_t vg_handle_hash(uint64_t handle, unsigned shift)
{
    return (size_t)(handle * 0x9e3779b97f4a7c15ull >> shift);
}

/* The table is never more than half full, so the walk ends. */
static inline void *vg_handle_table_find(struct vg_handle_table *t, uint64_t handle)
{
    size_t mask = ((size_t)1 << (64 - t->shift)) - 1;

    for (size_t i = vg_handle_hash(handle, t->shift), n = 0; n <= mask; i++, n++) {
        struct vg_handle_slot *s = &t->slot[i & mask];
        uint64_t h = vg_load_acquire(&s->handle);
        if (h == handle)
            return vg_load_acquire(&s->note);
        if (h == 0)
            return NULL;
    }
    return NULL;
}

/* The note of a handle, or NULL. handle 0 is nobody's. */
static inline void *vg_handle_map_find(struct vg_handle_map *m, uint64_t handle)
{
    uint32_t version = vg_load_acquire(&m->version);
    struct vg_handle_table *t = vg_load_acquire(&m->table);

    if (!t || handle == 0)
        return NULL;
    void *note = vg_handle_table_find(t, handle);
    if (version & 1 || vg_load_relaxed(&m->version) != version)
        return vg_handle_map_find_slow(m, handle);
    return note;
}

#endif
