/* SPDX-License-Identifier: MIT */
/*
 * What this machine has, and what the environment says instead (VGPU_SOFT_*, CUDA_VISIBLE_DEVICES).
 * No state: any thread.
 */
#ifndef VG_SOFTGPU_MACHINE_H
#define VG_SOFTGPU_MACHINE_H

#include <stdint.h>

#include "device.h"

/* A whole number above 0 from the environment, at most max; else the fallback. */
unsigned long vg_machine_number(const char *name, unsigned long fallback, unsigned long max);

unsigned vg_machine_cores(void);                /* that this process may use */
unsigned long vg_machine_memory_mib(void);      /* that a device may offer */
double vg_machine_cpu_mhz(void);                /* 0: not told */
int vg_machine_cache(int which);                /* bytes of a cache of sysconf's */

/* Of the machine's identity: stable over reboots, different between machines and seeds. */
uint64_t vg_machine_hash(uint64_t seed);

/*
 * The machine's devices that this process may see, in the order of CUDA_VISIBLE_DEVICES: numbers;
 * like CUDA's, the list ends at the first entry that is none of them. Returns how many.
 */
unsigned vg_machine_devices(unsigned machine[VG_DEVICES_MAX]);

#endif
