/* SPDX-License-Identifier: MIT */
/* How kernel parameters are packed; no state, no calls. */
#ifndef VG_SHIM_LAUNCH_PACK_H
#define VG_SHIM_LAUNCH_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "guest-shim/function.h"
#include "vg_cuda.h"

/* Puts each value at its offset; `bytes` at `to` are written, gaps with 0. */
void vg_launch_pack(const struct vg_param *param, unsigned count, void *const *values, uint8_t *to,
                    size_t bytes);

/* The buffer that `extra` names; NULL and 0 if it names none. */
CUresult vg_launch_extra(void *const *extra, const void **ret_bytes, size_t *ret_size);

#endif
