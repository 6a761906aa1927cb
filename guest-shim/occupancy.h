/* SPDX-License-Identifier: MIT */
/* The cache of occupancy answers, which a function's note carries. */
#ifndef VG_SHIM_OCCUPANCY_H
#define VG_SHIM_OCCUPANCY_H

#include "guest-shim/function.h"

/* Attributes changed, or the note goes. */
void vg_occupancy_forget(struct vg_func *f);

#endif
