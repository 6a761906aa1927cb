/* SPDX-License-Identifier: MIT */
/*
 * How many blocks of a function one multiprocessor would hold, by the rules of the advertised
 * compute capability.
 */
#ifndef VG_SOFTGPU_OCCUPANCY_H
#define VG_SOFTGPU_OCCUPANCY_H

#include "module.h"

/* threads >= 1 of a block, shared: its dynamic bytes. 0 when not even one block fits. */
unsigned vg_occupancy_blocks(const struct vg_func *f, unsigned threads, size_t shared);

#endif
