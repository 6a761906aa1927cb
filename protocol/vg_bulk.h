/* SPDX-License-Identifier: MIT */
/*
 * Copies of the CPU between ordinary memory and staging chunks. Any thread.
 *
 * Past the caches: the written lines are not read first, which is a third of all
 * traffic, and the caches keep what the program has in them. Measured on an H200's
 * host: 14.7 against 11.9 GiB/s to the GPU, 15.1 against 12.6 from it. Not for what
 * the program reads next, if that would fit a cache.
 */
#ifndef VG_BULK_H
#define VG_BULK_H

#include <stddef.h>

void vg_bulk_copy(void *dst, const void *src, size_t bytes);

#endif
