/* SPDX-License-Identifier: MIT */
/* Hash set of handles with linear probing and deletion by shifting back; see obj.h. */
#include "mediator/executor/obj.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE      256u
#define ORPHANS_AT_ONCE 1024u

void vg_objset_init(struct vg_objset *s)
{
    memset(s, 0, sizeof(*s));
}

void vg_objset_fini(struct vg_objset *s)
{
    free(s->table);
    memset(s, 0, sizeof(*s));
}

static size_t home(const struct vg_objset *s, uint64_t handle, uint32_t type)
{
    uint64_t h = (handle ^ (uint64_t)type << 56) * 0x9e3779b97f4a7c15ull;

    return (size_t)(h >> 32) & (s->size - 1);
}

/* The object's place, or the empty one where it would go. The table is never full. */
static struct vg_obj *place(const struct vg_objset *s, enum vg_obj_type type, uint64_t handle)
{
    size_t i = home(s, handle, type);

    while (s->table[i].type != VG_OBJ_NONE &&
           (s->table[i].handle != handle || s->table[i].type != (uint32_t)type))
        i = (i + 1) & (s->size - 1);
    return &s->table[i];
}

struct vg_obj *vg_obj_find(const struct vg_objset *s, enum vg_obj_type type, uint64_t handle)
{
    if (!s->used || !handle)
        return NULL;
    struct vg_obj *o = place(s, type, handle);
    return o->type == VG_OBJ_NONE ? NULL : o;
}

static int grow(struct vg_objset *s)
{
    struct vg_objset bigger = *s;

    bigger.size = s->size ? s->size * 2 : FIRST_SIZE;
    bigger.table = calloc(bigger.size, sizeof(*bigger.table));
    if (!bigger.table)
        return -ENOMEM;
    for (size_t i = 0; i < s->size; i++)
        if (s->table[i].type != VG_OBJ_NONE)
            *place(&bigger, s->table[i].type, s->table[i].handle) = s->table[i];
    free(s->table);
    *s = bigger;
    return 0;
}

int vg_obj_add(struct vg_objset *s, const struct vg_obj *o)
{
    if (s->used >= VG_OBJECTS_MAX)
        return -ENOSPC;
    if ((s->used + 1) * 4 > s->size * 3 && grow(s) < 0)
        return -ENOMEM;
    if (o->type == VG_OBJ_CUevent)
        vg_obj_remove(s, VG_OBJ_DEAD_EVENT, o->handle);
    struct vg_obj *p = place(s, o->type, o->handle);
    if (p->type == VG_OBJ_NONE) {
        s->used++;
        s->count[o->type]++;
    }
    *p = *o;
    return 0;
}

/* Empties place i and moves back whatever probed past it. */
static void erase(struct vg_objset *s, size_t i)
{
    size_t mask = s->size - 1;

    s->count[s->table[i].type]--;
    for (size_t j = (i + 1) & mask; s->table[j].type != VG_OBJ_NONE; j = (j + 1) & mask) {
        size_t h = home(s, s->table[j].handle, s->table[j].type);
        if (((j - h) & mask) >= ((j - i) & mask)) {
            s->table[i] = s->table[j];
            i = j;
        }
    }
    s->table[i].type = VG_OBJ_NONE;
    s->used--;
}

/* Graphs have many nodes, and few of those own graphs: only these are worth a search. */
static bool has_children(const struct vg_obj *o)
{
    return o->type == VG_OBJ_CUcontext || o->type == VG_OBJ_CUmodule ||
           o->type == VG_OBJ_CUlibrary || o->type == VG_OBJ_CUgraph ||
           o->type == VG_OBJ_CUgreenCtx ||
           o->type == VG_OBJ_CUarray || o->type == VG_OBJ_CUmipmappedArray ||
           (o->type == VG_OBJ_CUgraphNode && (o->info & VG_GRAPH_INNER));
}

void vg_obj_remove(struct vg_objset *s, enum vg_obj_type type, uint64_t handle)
{
    struct vg_obj *o = vg_obj_find(s, type, handle);

    if (!o)
        return;
    bool children = has_children(o);
    erase(s, (size_t)(o - s->table));
    if (children)
        vg_obj_orphan(s, handle);
}

/* Up to `max` children. Erasing shifts entries, so they are collected before any is removed. */
static size_t children_of(const struct vg_objset *s, uint64_t parent, struct vg_obj *child,
                          size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < s->size && n < max; i++)
        if (s->table[i].type != VG_OBJ_NONE && s->table[i].parent == parent)
            child[n++] = s->table[i];
    return n;
}

/* Without room for the note it is a wrong handle like any other. */
static void bury(struct vg_objset *s, uint64_t event)
{
    const struct vg_obj o = {.handle = event, .type = VG_OBJ_DEAD_EVENT};

    (void)!vg_obj_add(s, &o);
}

void vg_obj_orphan(struct vg_objset *s, uint64_t parent)
{
    struct vg_obj child[ORPHANS_AT_ONCE];
    size_t n;

    while (parent && (n = children_of(s, parent, child, ORPHANS_AT_ONCE)) > 0)
        for (size_t i = 0; i < n; i++) {
            vg_obj_remove(s, child[i].type, child[i].handle);
            if (child[i].type == VG_OBJ_CUevent)
                bury(s, child[i].handle);
        }
}

void vg_obj_each(struct vg_objset *s, enum vg_obj_type type,
                 void (*fn)(struct vg_obj *o, void *arg), void *arg)
{
    for (size_t i = 0; i < s->size; i++)
        if (s->table[i].type == (uint32_t)type)
            fn(&s->table[i], arg);
}
