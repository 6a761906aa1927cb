/* SPDX-License-Identifier: MIT */
/*
 * What an application hands over as a module: a wrapper made by the compiler, a fat
 * binary, a cubin or PTX text; and which part of it this GPU needs. The bytes stay
 * where they are, compressed or not. No calls, no state; any thread.
 */
#ifndef VG_SHIM_IMAGE_H
#define VG_SHIM_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_cuda.h"

#define VG_IMAGE_PIECES 256u

/* What to choose for. */
struct vg_image_target {
    unsigned cc;                /* compute capability, 10 * major + minor */
    bool software;              /* runs PTX only */
    bool plain;                 /* takes machine code only where it is not compressed */
};

/* The chosen bytes: `header` first, if there is one, then the pieces. */
struct vg_image {
    size_t size;                /* of all */
    unsigned header_size;       /* 0 or 16: of a fat binary made for the pieces */
    unsigned pieces;
    bool units;                 /* the pieces are to be linked with each other first */
    uint8_t header[16];
    struct { const uint8_t *bytes; size_t size; } piece[VG_IMAGE_PIECES];
};

/*
 * Chooses from an image whose length only its own headers tell (as CUDA takes it).
 * CUDA_ERROR_INVALID_IMAGE: not an image; CUDA_ERROR_NO_BINARY_FOR_GPU: nothing in it
 * that the target can run.
 */
CUresult vg_image_select(const void *image, const struct vg_image_target *target,
                         struct vg_image *ret_image);

/* The same; nothing behind bytes[size] is read. PTX text may lack its NUL only with one to follow. */
CUresult vg_image_select_sized(const void *bytes, size_t size, const struct vg_image_target *target,
                               struct vg_image *ret_image);

/*
 * What code an image has, for an error message: "sm_90a, compute_80", "a cubin", or "" where
 * there is none or it does not tell. size: as for vg_image_select_sized, or SIZE_MAX as for vg_image_select. A list that is
 * too long for `room` bytes (at least 8) ends in "...".
 */
void vg_image_list(const void *image, size_t size, char *text, size_t room);

/* Copies [pos, pos+n) of the chosen bytes. */
void vg_image_read(const struct vg_image *image, size_t pos, void *dst, size_t n);

#endif
