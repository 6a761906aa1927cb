/* SPDX-License-Identifier: MIT */
/*
 * Before a live migration: xenopsd, unlike libxl, does not tell QEMU that one begins.
 * The device has to know, because the shared region's pages are in the guest's memory,
 * and the host that receives them has no room for them.
 */
#ifndef VG_MIGRATE_H
#define VG_MIGRATE_H

#include "xapi-plugin/xs.h"

/*
 * Tells the QEMU of a VM that has the device; others are left alone.
 * 0, or -1 with the reason in `why`: a program of the VM uses the GPU, too. Blocks as long as QEMU takes.
 */
int vg_migrate_announce(struct vg_xs *xs, const char *uuid, char *why, size_t cap);

#endif
