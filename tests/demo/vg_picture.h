/* SPDX-License-Identifier: MIT */
/* A small RGB picture: as a PNG file, and drawn with characters for a terminal. */
#ifndef VG_PICTURE_H
#define VG_PICTURE_H

#include <stdint.h>
#include <stdio.h>

struct vg_picture {
    unsigned width, height;
    uint8_t *rgb;           /* 3 * width * height bytes, rows from the top */
};

enum vg_picture_ink {
    VG_INK_ASCII,           /* brightness as characters, no colour */
    VG_INK_256,             /* half blocks in the 6x6x6 colour cube */
    VG_INK_TRUE             /* half blocks in 24-bit colour */
};

/* Returns 0 or -errno. Without compression: a few hundred KiB, and no library is needed. */
int vg_picture_png(const struct vg_picture *picture, const char *path);

/* Draws `columns` characters wide. */
void vg_picture_draw(const struct vg_picture *picture, enum vg_picture_ink ink, unsigned columns,
                     FILE *out);

#endif
