/* SPDX-License-Identifier: MIT */
/*
 * `vgpu-admin top`: who uses the GPU, looked at again and again. On a terminal the
 * screen is kept up to date, until q; elsewhere, or where the terminal can do nothing,
 * tables follow each other.
 */
#ifndef VG_TOP_H
#define VG_TOP_H

#include "args.h"

/* Exit code as of main.c. */
int vg_top(const struct vg_call *c);

#endif
