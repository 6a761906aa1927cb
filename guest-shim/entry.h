/* SPDX-License-Identifier: MIT */
/* The addresses of the exported symbols, parallel to vg_api_rows. */
#ifndef VG_SHIM_ENTRY_H
#define VG_SHIM_ENTRY_H

#include "vg_api.h"

typedef void vg_function(void);
extern vg_function *const vg_entry[VG_API_COUNT];

#endif
