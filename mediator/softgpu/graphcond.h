/* SPDX-License-Identifier: MIT */
/*
 * Conditional nodes: graphs that run or do not, or run again, as a value says that kernels set.
 * What is a graph's is under the engine's lock; the value itself is set by kernels at any time.
 */
#ifndef VG_SOFTGPU_GRAPHCOND_H
#define VG_SOFTGPU_GRAPHCOND_H

#include "graph.h"

/* Makes the op of a conditional node with empty branches; p->phGraph_out then names them. */
CUresult vg_conditional_make(struct vg_op *op, CUDA_CONDITIONAL_NODE_PARAMS *p);
CUresult vg_conditional_clone_locked(struct vg_op_conditional *dst,
                                     const struct vg_op_conditional *src);
void vg_conditional_fini_locked(struct vg_op_conditional *c);

/* Every value must have its node, and only work that the device starts itself may depend on one. */
CUresult vg_conditions_check_locked(const struct vg_graph *g);
void vg_conditions_clear_locked(struct vg_graph *g);
void vg_conditions_reset_locked(const struct vg_graph *g);

/* In a launch: leaves in node->task what comes after the node waits for. */
CUresult vg_conditional_launch_locked(struct vg_node *node, const struct vg_graph_run *r,
                                      struct vg_task *entry);
CUresult vg_branch_run_locked(struct vg_op_branch *b, struct vg_ctx *ctx);
void vg_branch_fini_locked(struct vg_op_branch *b);

/* What cudaGraphSetConditional does. -EINVAL: the handle is none. */
int vg_condition_set(uint64_t handle, uint32_t value);

#endif
