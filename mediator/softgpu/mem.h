/* SPDX-License-Identifier: MIT */
/*
 * What an address is: device memory, host memory the device can reach, or any other memory of the
 * process.
 */
#ifndef VG_SOFTGPU_MEM_H
#define VG_SOFTGPU_MEM_H

#include "api.h"

enum vg_mem_kind {
    VG_MEM_DEVICE,
    VG_MEM_PINNED,
    VG_MEM_PAGEABLE
};

/* CUDA_ERROR_INVALID_VALUE when [addr, addr + size) leaves the allocation it starts in, lies in
 * device memory that is not allocated, or is not memory at all. */
CUresult vg_mem_classify(uint64_t addr, size_t size, enum vg_mem_kind *ret);

/* Legal as a device pointer: not pageable. */
CUresult vg_mem_check_device(uint64_t addr, size_t size);

#endif
