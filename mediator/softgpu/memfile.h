/* SPDX-License-Identifier: MIT */
/*
 * Memory that other processes can be given: a file without a name, of a size that never changes, so
 * that nobody who maps it can be hurt by another who has it.
 */
#ifndef VG_SOFTGPU_MEMFILE_H
#define VG_SOFTGPU_MEMFILE_H

#include <stddef.h>
#include <stdint.h>

/* A descriptor, or -errno. */
int vg_memfile_new(const char *name, size_t size);

/* The size of one that somebody gave us; 0: it is not of that sort. */
size_t vg_memfile_size(int fd);

#endif
