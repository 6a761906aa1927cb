/* SPDX-License-Identifier: MIT */
/* What the application has reserved by cuMemAddressReserve. Any thread. */
#ifndef VG_SHIM_VMM_H
#define VG_SHIM_VMM_H

#include <stdbool.h>
#include <stddef.h>

#include "vg_cuda.h"

/* The reservation that holds p; false: none does. */
bool vg_vmm_reservation(CUdeviceptr p, CUdeviceptr *ret_base, size_t *ret_size);

/* A handle that came from another process: notes what pointers must tell of its memory. */
void vg_vmm_imported(CUmemGenericAllocationHandle handle);

#endif
