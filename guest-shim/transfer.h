/* SPDX-License-Identifier: MIT */
/*
 * Copies in graphs between the GPU and ordinary memory of the application. CUDA reads
 * and writes that memory whenever the graph runs, which only this process can: such a
 * copy is a host node, and its function here, on the callback thread, copies as any
 * other copy does, on a stream of its own. To the application it is a copy node.
 */
#ifndef VG_SHIM_TRANSFER_H
#define VG_SHIM_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "vg_cuda.h"

/*
 * Looks at both ends of a copy node. Host memory that the executor reaches is renamed
 * to the region's address (*ret_moved); ordinary memory makes it a transfer.
 */
CUresult vg_transfer_place(CUDA_MEMCPY3D *c, bool *ret_moved, bool *ret_transfer);

/* Makes *p the host node that carries out the copy; the cookie is as vg_callback_new's. */
CUresult vg_transfer_describe(CUgraphNodeParams *p, const CUDA_MEMCPY_NODE_PARAMS *copy,
                              uint64_t *ret_cookie);

/* Takes one back whose cookie was not sent, or refused. */
void vg_transfer_drop(uint64_t cookie);

/* Whether the host runs this node as a transfer. */
bool vg_transfer_is(CUgraphNode node);

/* Whether there ever was one in this process. */
bool vg_transfer_any(void);

/* The copy behind a transfer's cookie, alone and with its context. */
const CUDA_MEMCPY3D *vg_transfer_copy(uint64_t cookie);
void vg_transfer_params(uint64_t cookie, CUDA_MEMCPY_NODE_PARAMS *ret_params);

/*
 * For a copy that a stream should carry out: if the stream is being captured, makes the
 * copy a node of the graph. False: it is not, copy now.
 */
bool vg_transfer_capture(const CUDA_MEMCPY3D *c, uint64_t stream, CUresult *ret_result);
bool vg_transfer_capture_linear(uintptr_t dst, uintptr_t src, size_t bytes, uint64_t stream,
                                CUresult *ret_result);

#endif
