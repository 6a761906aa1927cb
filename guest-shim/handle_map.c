/* SPDX-License-Identifier: MIT */
/*
 * Open addressing with linear probing; removal shifts the followers back, so there
 * are no tombstones. Readers notice by the version that slots moved under them and
 * ask again under the lock.
 */
#include "guest-shim/handle_map.h"

#include <stdlib.h>

#define FIRST_BITS 8u

static size_t mask_of(const struct vg_handle_table *t)
{
    return ((size_t)1 << (64 - t->shift)) - 1;
}

/* Who reads a slot changed after this also reads the odd version: see set. */
static void begin_change(struct vg_handle_map *m)
{
    vg_store_relaxed(&m->version, m->version + 1);
}

static void end_change(struct vg_handle_map *m)
{
    vg_store_release(&m->version, m->version + 1);
}

static void set(struct vg_handle_slot *s, uint64_t handle, void *note)
{
    vg_store_release(&s->handle, handle);
    vg_store_release(&s->note, note);
}

/* The slot that holds handle, or the free one where it belongs. */
static struct vg_handle_slot *slot_for(struct vg_handle_table *t, uint64_t handle)
{
    size_t mask = mask_of(t), i = vg_handle_hash(handle, t->shift);

    while (t->slot[i & mask].handle && t->slot[i & mask].handle != handle)
        i++;
    return &t->slot[i & mask];
}

static bool grow(struct vg_handle_map *m)
{
    struct vg_handle_table *old = m->table;
    unsigned bits = old ? 64 - old->shift + 1 : FIRST_BITS;
    struct vg_handle_table *t = calloc(1, sizeof(*t) + sizeof(t->slot[0]) * ((size_t)1 << bits));

    if (!t)
        return false;
    t->shift = 64 - bits;
    t->outgrown = old;
    for (size_t i = 0; old && i <= mask_of(old); i++)
        if (old->slot[i].handle)
            *slot_for(t, old->slot[i].handle) = old->slot[i];
    vg_store_release(&m->table, t);
    return true;
}

static bool put(struct vg_handle_map *m, uint64_t handle, void *note)
{
    if ((!m->table || (m->count + 1) * 2 > mask_of(m->table) + 1) && !grow(m))
        return false;
    struct vg_handle_slot *s = slot_for(m->table, handle);
    if (!s->handle)
        m->count++;
    set(s, handle, note);
    return true;
}

bool vg_handle_map_put(struct vg_handle_map *m, uint64_t handle, void *note)
{
    vg_lock(&m->lock);
    begin_change(m);
    bool ok = put(m, handle, note);
    end_change(m);
    vg_unlock(&m->lock);
    return ok;
}

/* Fills the hole at i with followers that may stand there. */
static void close_hole(struct vg_handle_table *t, size_t hole)
{
    size_t mask = mask_of(t);

    for (size_t i = (hole + 1) & mask; t->slot[i].handle; i = (i + 1) & mask) {
        size_t home = vg_handle_hash(t->slot[i].handle, t->shift);
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        set(&t->slot[hole], t->slot[i].handle, t->slot[i].note);
        hole = i;
    }
    set(&t->slot[hole], 0, NULL);
}

void *vg_handle_map_take(struct vg_handle_map *m, uint64_t handle)
{
    void *note = NULL;

    vg_lock(&m->lock);
    struct vg_handle_slot *s = m->table && handle ? slot_for(m->table, handle) : NULL;
    if (s && s->handle) {
        note = s->note;
        begin_change(m);
        close_hole(m->table, (size_t)(s - m->table->slot));
        end_change(m);
        m->count--;
    }
    vg_unlock(&m->lock);
    return note;
}

void *vg_handle_map_find_slow(struct vg_handle_map *m, uint64_t handle)
{
    vg_lock(&m->lock);
    void *note = m->table ? vg_handle_table_find(m->table, handle) : NULL;
    vg_unlock(&m->lock);
    return note;
}

void vg_handle_map_fini(struct vg_handle_map *m)
{
    while (m->table) {
        struct vg_handle_table *t = m->table;
        m->table = t->outgrown;
        free(t);
    }
    m->count = 0;
}
