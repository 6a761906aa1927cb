/* SPDX-License-Identifier: MIT */
/*
 * Images as programs hand them over: PTX text, a fat binary, or the wrapper that a compiler puts
 * around one. Out comes a copy of the PTX that suits the device. Images are hostile input.
 */
#ifndef VG_SOFTGPU_IMAGE_H
#define VG_SOFTGPU_IMAGE_H

#include "api.h"

#define VG_IMAGE_UNITS_MAX 64
#define VG_IMAGE_TEXT_MAX ((size_t)256 << 20)   /* of all units together, decompressed */

struct vg_image_unit {
    char *text;                 /* NUL-terminated */
    size_t len;
};

/* The units to link, owned. */
struct vg_image {
    struct vg_image_unit unit[VG_IMAGE_UNITS_MAX];
    unsigned n;
    size_t total;               /* bytes of text reserved so far */
};

/*
 * cc: compute capability times ten. Takes the PTX for the highest architecture not above cc; entries
 * for the same architecture are units of one program. CUDA_ERROR_INVALID_IMAGE: not an image.
 * CUDA_ERROR_NO_BINARY_FOR_GPU: no suitable PTX in it (only machine code, say).
 */
CUresult vg_image_read(struct vg_image *ret, const void *data, unsigned cc);

/* The same for data whose length is known (a file, cuLinkAddData): nothing behind it is read. */
CUresult vg_image_read_sized(struct vg_image *ret, const void *data, size_t size, unsigned cc);

/* CUDA_ERROR_FILE_NOT_FOUND where the file cannot be read. */
CUresult vg_image_read_file(struct vg_image *ret, const char *path, unsigned cc);

void vg_image_fini(struct vg_image *image);     /* idempotent, zeroed is fine */

/* One container with every unit of an image, uncompressed, to be freed: what a linker hands out. */
CUresult vg_image_write(const struct vg_image *image, unsigned cc, void **ret, size_t *ret_size);

#endif
