/* SPDX-License-Identifier: MIT */
/* Starts vgpu-warden, which outlives this process by a moment and gives its slot back. */
#ifndef VG_SHIM_WARDEN_SPAWN_H
#define VG_SHIM_WARDEN_SPAWN_H

#include <stdint.h>

/*
 * device: the PCI device's directory in sysfs. slot_off: the slot's control page in
 * BAR1. Returns the pipe's write end (close-on-exec): the warden acts when its last
 * copy is closed. Or -errno.
 */
int vg_warden_spawn(const char *device, uint32_t token, uint64_t slot_off);

#endif
