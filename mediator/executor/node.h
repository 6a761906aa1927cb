/* SPDX-License-Identifier: MIT */
/*
 * A node of a graph as a guest describes it: one encoding for all calls that make a
 * node or change one.
 *
 *   add       words graph, block dependencies, block edges, word count, description
 *   set       word node, description
 *   exec set  words graph exec, node, description
 *
 * A description is a block CUgraphNodeParams without pointers, a block with what a
 * pointer in it would name (packed kernel parameters, operations, access rights), and
 * a word: 1 if a host node is a transfer, which is a copy from or to ordinary memory
 * of the guest. Serve thread.
 */
#ifndef VG_NODE_H
#define VG_NODE_H

#include "mediator/executor/executor.h"

#define VG_BATCH_MAX 256u        /* memory operations of a batch, as the driver has it */
#define VG_BODIES_MAX 64u        /* graphs of a conditional node: what a reply holds */
#define VG_ACCESS_MAX 64u        /* devices with access to an allocation */

struct vg_node {
    CUgraph graph;
    CUgraphExec exec;
    CUgraphNode node;
    const CUgraphNode *deps;
    const CUgraphEdgeData *edges;
    uint64_t count;
    CUgraphNodeParams p;         /* after the check: as the driver wants it */
    const void *extra;
    size_t extra_bytes;
    bool transfer;
    struct vg_callback *callback; /* of a host node */
    void *launch[5];             /* kernels: what p.kernel.extra names */
};

/* Looks at everything the description names and completes n->p. What the driver would say. */
CUresult vg_node_check(struct vg_exec *x, struct vg_node *n);

/* The graph that a node or an inner graph belongs to in the end, or 0. */
uint64_t vg_node_root(const struct vg_exec *x, CUgraphNode node);

/* The callback behind a host node, or NULL. */
struct vg_callback *vg_node_callback(struct vg_exec *x, CUgraphNode node);

/* Checks of other areas that nodes share. */
CUresult vg_copy_check(struct vg_exec *x, const CUDA_MEMCPY3D *c);
/* The driver takes it as it is: it crosses no seam of the region (pin.h). */
bool vg_copy_is_whole(const struct vg_exec *x, const CUDA_MEMCPY3D *c);
CUresult vg_memop_check(struct vg_exec *x, const CUstreamBatchMemOpParams *op);
CUresult vg_attribute_check(struct vg_exec *x, const CUlaunchAttribute *a);
CUresult vg_memset_check(struct vg_exec *x, CUdeviceptr dst, uint64_t pitch, unsigned element,
                         uint64_t width, uint64_t height);

#endif
