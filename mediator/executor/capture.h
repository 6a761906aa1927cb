/* SPDX-License-Identifier: MIT */
/* Memory of ours that a captured graph refers to. Serve thread. */
#ifndef VG_CAPTURE_H
#define VG_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "vg_cuda.h"

#define VG_CAPTURED_MAX (1ull << 30) /* bytes */

struct vg_exec;
struct vg_callback;

/*
 * A private copy of bytes that lives as long as the graph the stream is captured
 * into, and all graphs instantiated from it. NULL without memory, or where all
 * copies together would exceed VG_CAPTURED_MAX.
 */
void *vg_capture_copy(struct vg_exec *x, CUstream stream, const void *bytes, size_t len);

/*
 * The callback lives as long as the graph and all graphs made of it; then the guest is told
 * that its cookie has served. Where the driver refuses, it lives as long as the process.
 */
void vg_callback_tie(struct vg_exec *x, struct vg_callback *cb, CUgraph graph);
/* The same for an executable graph, until vg_callback_end_exec. */
void vg_callback_tie_exec(struct vg_exec *x, struct vg_callback *cb, CUgraphExec exec);
void vg_callback_end_exec(struct vg_exec *x, CUgraphExec exec);
bool vg_callback_has_exec(const struct vg_exec *x, CUgraphExec exec);

/* The graph that the stream is captured into, or NULL. */
CUgraph vg_capture_graph(struct vg_exec *x, CUstream stream);

/* Frees the copies that no graph took over (a driver without user objects). */
void vg_capture_fini(struct vg_exec *x);

#endif
