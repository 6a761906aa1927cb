/* SPDX-License-Identifier: MIT */
/*
 * Copies of ordinary host memory into and out of memory that a running graph has allocated.
 * Such a copy is a host node to the driver (the guest carries it out meanwhile, see
 * guest-shim/transfer.h), and what the guest asks for comes from outside of the graph. There the
 * driver does not know the graph's memory (INVALID_VALUE), or, where the graph leaves it to the
 * program, waits for the graph, which waits for the copy. The memory is mapped, though, so a
 * kernel of ours moves the bytes. Serve thread.
 */
#ifndef VG_GRAPH_COPY_H
#define VG_GRAPH_COPY_H

#include <stdbool.h>

#include "vg_cuda.h"

struct vg_exec;

struct vg_callback;

/*
 * The callback becomes a node that is a copy. Where there is memory of graphs the kernel is loaded
 * into the current context now: while a graph runs, loading waits for the graph, and the graph for
 * the copy. Without the kernel the driver's answer stands.
 */
void vg_graph_copy_node(struct vg_exec *x, struct vg_callback *cb);

/*
 * Copies between the region, where the GPU sees it, and memory of graphs, while a graph waits for a
 * copy of the guest. True: *ret is the result; false: the driver copies this.
 */
bool vg_graph_copy(struct vg_exec *x, const CUDA_MEMCPY3D *c, CUstream stream, CUresult *ret);
bool vg_graph_copy_in(struct vg_exec *x, CUdeviceptr dst, const void *src, uint64_t bytes,
                      CUstream stream, CUresult *ret);
bool vg_graph_copy_out(struct vg_exec *x, void *dst, CUdeviceptr src, uint64_t bytes,
                       CUstream stream, CUresult *ret);

#endif
