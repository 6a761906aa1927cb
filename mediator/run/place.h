/* SPDX-License-Identifier: MIT */
/* Where the parts lie, from the running program's own place: build tree or installation. */
#ifndef VG_PLACE_H
#define VG_PLACE_H

#include <stddef.h>

/* The directory with the guest's libcuda.so.1. 0 or -ENOENT. */
int vg_place_guest(char *ret_dir, size_t cap);

/* The program vgpu-mediator. 0 or -ENOENT. */
int vg_place_mediator(char *ret_path, size_t cap);

#endif
