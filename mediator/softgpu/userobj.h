/* SPDX-License-Identifier: MIT */
/*
 * User objects: destructors of the program that run when the last reference is gone. Graphs hold
 * references, and so does everything made of them.
 */
#ifndef VG_SOFTGPU_USEROBJ_H
#define VG_SOFTGPU_USEROBJ_H

#include <stddef.h>

struct vg_user_object;

struct vg_user_refs {
    struct vg_user_ref { struct vg_user_object *object; unsigned count; } *list;
    size_t n;
};

/* 0 or -ENOMEM. */
int vg_user_refs_copy_locked(struct vg_user_refs *to, const struct vg_user_refs *from);
void vg_user_refs_clear_locked(struct vg_user_refs *refs);

/* Calls the destructors that are due. Without the engine's lock; who drops references calls it. */
void vg_user_objects_flush(void);

#endif
