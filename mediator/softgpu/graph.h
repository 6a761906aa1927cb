/* SPDX-License-Identifier: MIT */
/*
 * Graphs: nodes (ops) and what each comes after. An executable graph is a private copy in an order
 * that respects the edges. All under the engine's lock.
 */
#ifndef VG_SOFTGPU_GRAPH_H
#define VG_SOFTGPU_GRAPH_H

#include "stream.h"
#include "userobj.h"

struct vg_device;

struct vg_node {
    CUgraphNode handle;
    struct vg_graph *graph;
    struct vg_op op;
    struct vg_node_set deps;            /* comes after these */
    CUgraphNode origin;                 /* what it is a copy of, NULL when it is none */
    void **param_list;                  /* kernels: made when parameters are asked for */
    struct vg_task *task;               /* during a launch: what it became */
    unsigned mark;                      /* scratch of whoever walks the graph */
    bool disabled;                      /* executable graphs only */
};

struct vg_graph {
    CUgraph handle;
    struct vg_node **nodes;
    size_t n, cap;
    struct vg_user_refs objects;
    struct vg_condition *conditions;    /* made for it; see graphcond.h */
    bool inner;                         /* owned by a child-graph node or an executable */
};

struct vg_graph_exec {
    CUgraphExec handle;
    struct vg_graph *graph;             /* nodes in launch order */
    uint64_t flags;
    struct vg_task *last;               /* end of its last launch, referenced */
};

struct vg_graph *vg_graph_new(void);                    /* NULL: no memory */
void vg_graph_free_locked(struct vg_graph *g);          /* NULL is fine */
CUresult vg_graph_clone_locked(const struct vg_graph *g, struct vg_graph **ret);

/* Takes *op over on success. deps may be NULL when n is 0. */
CUresult vg_graph_add_locked(struct vg_graph *g, struct vg_op *op, struct vg_node *const *deps,
                             size_t n, struct vg_node **ret);
void vg_graph_remove_locked(struct vg_node *node);

/* Puts nodes in an order that respects the edges. CUDA_ERROR_INVALID_VALUE: there is a cycle. */
CUresult vg_graph_order_locked(struct vg_graph *g);

/* Sets each node's mark to the number of nodes that come directly after it. */
void vg_graph_count_dependents_locked(struct vg_graph *g);

CUgraphNodeType vg_node_type(const struct vg_node *node);

/* Where the tasks of a launch belong. */
struct vg_graph_run {
    struct vg_ctx *ctx;
    const struct vg_stream *stream;     /* identity only */
    int priority;
};

/* Makes a task of every node, all after entry and before end. */
CUresult vg_graph_run_locked(struct vg_graph *g, const struct vg_graph_run *r,
                             struct vg_task *entry, struct vg_task *end);

/* Handles to objects; NULL when wrong. */
struct vg_graph *vg_graph_get(CUgraph handle);
struct vg_node *vg_node_get(CUgraphNode handle);

/* Memory for an allocation node; one reference is the caller's. */
CUresult vg_graph_mem_new(struct vg_device *dev, size_t size, struct vg_graph_mem **ret);
/* The graph memory at ptr with a new reference, NULL when it is none. */
struct vg_graph_mem *vg_graph_mem_of(CUdeviceptr ptr);

/*
 * Whom memory of a graph's own belongs to outside of graphs. A launch gives it to the program if
 * the graph does not free it as well; until it is freed, copies outside of graphs may name it.
 */
void vg_graph_mem_launched_locked(struct vg_graph *g);
void vg_graph_mem_freed(CUdeviceptr ptr);
bool vg_graph_mem_is_outside(CUdeviceptr ptr);          /* true for all that is no graph's */

#endif
