/* SPDX-License-Identifier: MIT */
/* The life of the process as a user of the GPU; see process.c. */
#ifndef VG_SHIM_PROCESS_H
#define VG_SHIM_PROCESS_H

#include "vg_cuda.h"

/* Claims a slot and learns about the devices, unless that has been done. Any thread. */
CUresult vg_attach(void);

/* What cuDriverGetVersion reports: the host's version, at most CUDA_VERSION. */
int vg_driver_version(void);

#endif
