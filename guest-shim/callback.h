/* SPDX-License-Identifier: MIT */
/* Host functions and stream callbacks: functions of the application in the GPU's order. */
#ifndef VG_SHIM_CALLBACK_H
#define VG_SHIM_CALLBACK_H

#include <stdint.h>

#include "vg_cuda.h"
#include "vg_wire.h"

/*
 * A cookie for VG_CALL_HOST_FUNC or a host node: the host posts it when fn(data) is due,
 * and the callback thread runs it, as often as a graph wants it. The thread is started
 * at the first use. 0: no memory or no thread.
 */
uint64_t vg_callback_new(CUhostFn fn, void *data);
/* The same; at_end(data) runs on the callback thread when the host is done with the cookie. */
uint64_t vg_callback_new_owning(CUhostFn fn, void *data, CUhostFn at_end);
uint64_t vg_callback_new_stream(CUstreamCallback fn, CUstream stream, void *data);
/* What a cookie stands for. */
void vg_callback_of(uint64_t cookie, CUhostFn *ret_fn, void **ret_data);
/* For a cookie whose call was not sent; at_end does not run. */
void vg_callback_drop(uint64_t cookie);

#endif
