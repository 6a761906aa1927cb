/* SPDX-License-Identifier: MIT */
/* Host functions and stream callbacks: functions of the application in the GPU's order. */
#ifndef VG_SHIM_CALLBACK_H
#define VG_SHIM_CALLBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "vg_cuda.h"
#include "vg_wire.h"

/*
 * A cookie for VG_CALL_HOST_FUNC: the host posts it when fn(data) is due, and the
 * callback thread runs it, once, or any number of times if `forever` (graphs). The
 * thread is started at the first use. 0: no memory or no thread.
 */
uint64_t vg_callback_new(CUhostFn fn, void *data, bool forever);
uint64_t vg_callback_new_stream(CUstreamCallback fn, CUstream stream, void *data);
/* For a cookie whose call was not sent. */
void vg_callback_drop(uint64_t cookie);

#endif
