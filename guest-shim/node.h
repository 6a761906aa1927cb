/* SPDX-License-Identifier: MIT */
/*
 * Nodes of graphs on their way to the host. All calls that make or change a node pass
 * through the one struct that can describe any; what its pointers name is taken along,
 * as CUDA copies it at the call. Any thread.
 *
 * Nodes are the host's handles. A note is kept only of those about which the driver
 * promises memory that lives as long as the node: parameters that were asked for, the
 * graphs of a conditional node.
 */
#ifndef VG_SHIM_NODE_H
#define VG_SHIM_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_cuda.h"

/* Where a new node goes. deps may be NULL when count is 0. */
struct vg_node_place {
    CUgraph graph;
    const CUgraphNode *deps;
    const CUgraphEdgeData *edges;       /* NULL: plain order */
    size_t count;
};

/* Adds the node that *p describes by the call `id`; fills what p gives back. */
CUresult vg_node_add(uint32_t id, CUgraphNode *ret_node, const struct vg_node_place *place,
                     CUgraphNodeParams *p);

/* Changes a node; exec NULL: in its graph, else in that executable graph. */
CUresult vg_node_set(uint32_t id, CUgraphExec exec, CUgraphNode node, const CUgraphNodeParams *p);

/*
 * What the host says of a node, asked by the call `id`. The application's pointers in it are
 * made by node_get.c.
 */
struct vg_node_facts {
    CUgraph root;
    bool transfer;
    CUgraphNodeParams p;
    void *extra;                        /* freed by vg_node_facts_fini */
    size_t extra_bytes;
    uint32_t *param;                    /* pairs of offset and size; in extra's memory */
    size_t param_count;
};
CUresult vg_node_ask(uint32_t id, CUgraphNode node, struct vg_node_facts *ret_facts);
void vg_node_facts_fini(struct vg_node_facts *facts);

/* ---- copies of ordinary memory in executable graphs (node_switch.c) ---- */

/* An executable graph was made; was updated from a graph; is gone. */
void vg_switch_made(CUgraphExec exec);
void vg_switch_updated(CUgraphExec exec);
void vg_switch_gone(CUgraphExec exec);

/* A copy was changed in its graph; in an executable one. */
void vg_switch_changed(CUgraphNode node);
void vg_switch_set(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY_NODE_PARAMS *copy);

/* Switched off: this copy, and any of them. */
bool vg_switch_is_off(CUgraphExec exec, CUgraphNode node);
bool vg_switch_any_off(CUgraphExec exec);

/* ---- notes (node_note.c) ---- */

/*
 * Memory that lives as long as the node: the same block again for the same size, so that
 * pointers which the application has stay good. NULL: none left. root: the graph that the
 * node belongs to in the end.
 */
void *vg_node_hold(CUgraphNode node, CUgraph root, size_t bytes);

/* The copy that a copy node was given, where it is not what the host was told. */
void vg_node_note_copy(CUgraphNode node, CUgraph root, const CUDA_MEMCPY3D *copy);
bool vg_node_noted_copy(CUgraphNode node, CUDA_MEMCPY3D *ret_copy);
void vg_node_drop_copy(CUgraphNode node);

/* Forgets a node, and all nodes of a graph, which are about to end. */
void vg_node_forget(CUgraphNode node);
void vg_node_forget_graph(CUgraph root);

#endif
