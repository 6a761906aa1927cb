/* SPDX-License-Identifier: MIT */
/*
 * Handles: the opaque pointers a program holds. A handle is the address of a slot in one table, so
 * any value, however wild, can be checked without touching it: range, alignment, kind.
 *
 * Lookups are lock-free. Using a handle in one thread while another destroys it stays a program's
 * own mistake, as with the real driver.
 */
#ifndef VG_SOFTGPU_HANDLE_H
#define VG_SOFTGPU_HANDLE_H

enum vg_handle_kind {
    VG_HANDLE_FREE,
    VG_HANDLE_CTX,
    VG_HANDLE_STREAM,
    VG_HANDLE_EVENT,
    VG_HANDLE_MODULE,
    VG_HANDLE_LIBRARY,
    VG_HANDLE_FUNC,
    VG_HANDLE_KERNEL,
    VG_HANDLE_POOL,
    VG_HANDLE_GRAPH,
    VG_HANDLE_NODE,
    VG_HANDLE_GRAPH_EXEC,
    VG_HANDLE_LINK,
    VG_HANDLE_GREEN,
    VG_HANDLE_DESC,
    VG_HANDLE_PHYS,
    VG_HANDLE_USER_OBJECT,
    VG_HANDLE_CONDITION,
    VG_HANDLE_ARRAY,
    VG_HANDLE_MIPMAP,
    VG_HANDLE_TEXTURE,
    VG_HANDLE_SURFACE,
    VG_HANDLE_TEXREF,
    VG_HANDLE_COUNT
};

/* Returns a handle for obj, or NULL when the table (4 Mi slots) is full. */
void *vg_handle_new(enum vg_handle_kind kind, void *obj);

/* The object behind handle, or NULL when it is not a live handle of that kind. */
void *vg_handle_get(const void *handle, enum vg_handle_kind kind);

/* Ends the handle; NULL is fine. Slots are reused oldest first, so stale handles stay wrong long. */
void vg_handle_end(void *handle);

#endif
