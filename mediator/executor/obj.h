/* SPDX-License-Identifier: MIT */
/*
 * Which handles the guest owns: a set of (type, value) with what we must remember
 * of each. Values are the driver's own; the set is what makes a forged one harmless.
 *
 * An object may have a parent (a function its module, a stream its context): it
 * dies with it. Serve thread only.
 */
#ifndef VG_OBJ_H
#define VG_OBJ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Named after the C types in the API table, so that its macros can paste them. */
enum vg_obj_type {
    VG_OBJ_NONE = 0,
    VG_OBJ_CUcontext,
    VG_OBJ_CUmodule,
    VG_OBJ_CUlibrary,
    VG_OBJ_CUfunction,
    VG_OBJ_CUkernel,
    VG_OBJ_CUstream,
    VG_OBJ_CUevent,
    VG_OBJ_DEAD_EVENT,  /* ended with its context: the driver still tells it from a wrong handle */
    VG_OBJ_CUgraph,
    VG_OBJ_CUgraphNode,
    VG_OBJ_CUgraphExec,
    VG_OBJ_CUgraphConditionalHandle,
    VG_OBJ_CUuserObject,
    VG_OBJ_CUmemoryPool,
    VG_OBJ_CUarray,
    VG_OBJ_CUmemGenericAllocationHandle,
    VG_OBJ_CUlinkState,
    VG_OBJ_CUgreenCtx,
    VG_OBJ_CUdevResourceDesc,
    VG_OBJ_CUmipmappedArray,
    VG_OBJ_CUtexObject,
    VG_OBJ_CUsurfObject,
    VG_OBJ_CUtexref,
    VG_OBJ_CUsurfref,
    VG_OBJ_TYPES
};

#define VG_OBJECTS_MAX (1u << 20) /* handles one guest process may own */

struct vg_obj {
    uint64_t handle;
    uint64_t parent; /* handle whose end ends this one, 0: none */
    uint32_t type;   /* enum vg_obj_type; NONE: empty place */
    uint32_t info;   /* function, kernel: parameter bytes; stream: VG_STREAM_*;
                        context: device ordinal, VG_CTX_PRIMARY; memory handle: index in
                        struct vg_vmm; graph, node: VG_GRAPH_INNER;
                        executable graph: its nodes; array, mipmapped array: KiB of memory */
    uint64_t touched; /* stream: number of the last call that named it, 0: none since all
                         that it had been given was seen to have ended */
};

#define VG_STREAM_NON_BLOCKING 1u /* does not synchronise with the legacy stream */
#define VG_STREAM_CAPTURING    2u
#define VG_CTX_PRIMARY         (1u << 31)
#define VG_CTX_GREEN           (1u << 30) /* of a green context, its parent */
#define VG_GRAPH_INNER         1u /* graph: a node owns it; node: it owns graphs */

struct vg_objset {
    struct vg_obj *table; /* open addressing */
    size_t size, used;    /* places (a power of two), places taken */
    size_t count[VG_OBJ_TYPES]; /* objects of each type */
};

void vg_objset_init(struct vg_objset *s);
void vg_objset_fini(struct vg_objset *s);

/* The object, or NULL. Valid until the next add or remove. */
struct vg_obj *vg_obj_find(const struct vg_objset *s, enum vg_obj_type type, uint64_t handle);

/* Adds or replaces. 0, -ENOMEM, or -ENOSPC at VG_OBJECTS_MAX. */
int vg_obj_add(struct vg_objset *s, const struct vg_obj *o);

/* Removes it with everything below it. */
void vg_obj_remove(struct vg_objset *s, enum vg_obj_type type, uint64_t handle);

/* Removes everything below it and leaves it. */
void vg_obj_orphan(struct vg_objset *s, uint64_t parent);

/* Calls fn for every object of the type; fn must not add or remove. */
void vg_obj_each(struct vg_objset *s, enum vg_obj_type type,
                 void (*fn)(struct vg_obj *o, void *arg), void *arg);

#endif
