/* SPDX-License-Identifier: MIT */
/* The PCI device vgpu-stub, as the kernel shows it to every process. Any thread. */
#ifndef VG_SHIM_PCI_H
#define VG_SHIM_PCI_H

#include <stdbool.h>
#include <stddef.h>

/* Its directory in sysfs; the first one, should there be several. False: there is none. */
bool vg_pci_find(char *device, size_t size);

#endif
