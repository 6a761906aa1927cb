/* SPDX-License-Identifier: MIT */
/* Brings a chosen image to the host's driver. Any thread; waits for the answer. */
#ifndef VG_SHIM_UPLOAD_H
#define VG_SHIM_UPLOAD_H

#include "guest-shim/image.h"
#include "guest-shim/jit.h"
#include "vg_wire.h"

/* Whether a load failed because of the image itself: to try it again is no use. */
bool vg_upload_unfit(CUresult r);

/*
 * Such a failure is logged at level 1, with the first line of the compiler's error log.
 * *ret_handle: the host's CUmodule or CUlibrary. The logs of jit are filled in either way.
 */
CUresult vg_upload(const struct vg_image *image, enum vg_image_kind kind, const struct vg_jit *jit,
                   uint64_t *ret_handle);

/* Memory of the region for a library's managed variables; zeroed: it has none. */
struct vg_placed {
    void *at;
    size_t room, needed;        /* bytes; room is of extents */
};

/* A library whose managed variables are to be seen by both sides: finds memory for them, which the
 * caller gives back (vg_window_put) when the library is gone. */
CUresult vg_upload_placed(const struct vg_image *image, const struct vg_jit *jit,
                          struct vg_placed *placed, uint64_t *ret_handle);

/* For a link of the host's: `link` is its CUlinkState. The logs of jit are the link's. */
struct vg_link_input {
    uint64_t link;
    CUjitInputType type;
    const char *name;           /* for messages */
};
CUresult vg_upload_input(const struct vg_image *image, const struct vg_link_input *input,
                         const struct vg_jit *jit);

#endif
