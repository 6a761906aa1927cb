/* SPDX-License-Identifier: MIT */
/* Extents of the region for bulk data; see state.h. Any thread, no lock. */
#include "guest-shim/call.h"
#include "guest-shim/state.h"

void *vg_window_get(size_t want, size_t min, size_t *ret_bytes)
{
    size_t count = (want + VG_EXTENT_SIZE - 1) / VG_EXTENT_SIZE;
    size_t least = (min + VG_EXTENT_SIZE - 1) / VG_EXTENT_SIZE;

    if (!vg_process.base || count == 0 || want < min || want > VG_REGION_SIZE_MAX)
        return NULL;
    for (;;) {
        uint64_t off = vg_extent_alloc(vg_process.base, &vg_process.layout, vg_process.slot_index,
                                       (uint32_t)count);
        if (off) {
            *ret_bytes = count * VG_EXTENT_SIZE;
            return vg_process.base + off;
        }
        if (count <= least || count == 1)
            return NULL;
        count = count / 2 > least ? count / 2 : least ? least : 1;
    }
}

void vg_window_put(void *p, size_t bytes)
{
    vg_extent_free(vg_process.base, &vg_process.layout, vg_window_off(p),
                   (uint32_t)(bytes / VG_EXTENT_SIZE));
}

bool vg_window_is_seen(const void *p, size_t bytes)
{
    uint32_t parts = vg_region_parts(vg_window_off(p), bytes);

    return !(vg_process.slot->features & VG_HOST_PINS_PARTS) ||
           (vg_load_relaxed(&vg_process.pinned) & parts) == parts;
}

CUresult vg_window_pin(const void *p, size_t bytes)
{
    uint64_t off = vg_window_off(p);
    struct vg_reply reply;

    if (vg_window_is_seen(p, bytes))
        return CUDA_SUCCESS;
    CUresult r = vg_call_reply(VG_CALL_PIN, VG_WORDS(off, bytes), &reply);
    if (r == CUDA_SUCCESS && reply.val[0])
        __atomic_fetch_or(&vg_process.pinned, vg_region_parts(off, bytes), __ATOMIC_RELAXED);
    return r;
}
