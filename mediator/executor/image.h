/* SPDX-License-Identifier: MIT */
/* Is a module image as long as it says? The driver is given a pointer without a length. */
#ifndef VG_IMAGE_H
#define VG_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * True for PTX text, a cubin (ELF) or a fatbin whose headers keep all their parts
 * within len bytes. The caller keeps at least 8 zero bytes behind them.
 */
bool vg_image_ok(const void *image, size_t len) __attribute__((warn_unused_result));

#endif
