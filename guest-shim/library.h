/* SPDX-License-Identifier: MIT */
/*
 * Libraries: images that belong to no context. The application's handle is our note,
 * since the image is brought to the host only when something in it is first used: from
 * where the application keeps it, or from a copy if it does not promise to.
 */
#ifndef VG_SHIM_LIBRARY_H
#define VG_SHIM_LIBRARY_H

#include "guest-shim/function.h"

struct vg_library;

/* What the application holds. */
CUlibrary vg_library_handle(const struct vg_library *library);

/* The host's handle, loading the library if that was put off. */
CUresult vg_library_host(struct vg_library *library, uint64_t *ret_host);

#endif
