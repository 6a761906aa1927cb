/* SPDX-License-Identifier: MIT */
/* printf of device code. */
#ifndef VG_PTX_PRINT_H
#define VG_PTX_PRINT_H

#include "exec.h"

enum { PRINT_FORMAT = 4096, PRINT_TEXT = 16384 };

/*
 * Formats with arguments at a generic address, each aligned to its size as
 * CUDA's vprintf expects. Returns the number of arguments used, or -1 for an
 * argument in memory that is not there. text is always terminated.
 */
int ptx_print_format(struct warp *w, int lane, const char *format, uint64_t args, char *text,
                     size_t size);

#endif
