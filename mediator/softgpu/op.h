/* SPDX-License-Identifier: MIT */
/*
 * One operation of a stream or one node of a graph: the same description serves both, so an API
 * call builds an op and stream.c decides whether it runs, waits its turn or is recorded.
 *
 * An op owns what it points to (parameters, lists, references to events and graphs) and ends with
 * vg_op_fini_locked(); _locked means under the engine's lock (task.h).
 */
#ifndef VG_SOFTGPU_OP_H
#define VG_SOFTGPU_OP_H

#include "api.h"

struct vg_ctx;
struct vg_event;
struct vg_func;
struct vg_condition;
struct vg_graph;
struct vg_node;
struct vg_stream;
struct vg_task;

enum vg_op_type {
    VG_OP_EMPTY,
    VG_OP_KERNEL,
    VG_OP_COPY,
    VG_OP_MEMSET,
    VG_OP_HOST,                 /* cuLaunchHostFunc: not called after a fault */
    VG_OP_CALLBACK,             /* cuStreamAddCallback: told the fault */
    VG_OP_EVENT_RECORD,
    VG_OP_EVENT_WAIT,
    VG_OP_MEMOPS,               /* write and wait for values, in order */
    VG_OP_ALLOC,                /* graph node only: the address is fixed when it is added */
    VG_OP_FREE,
    VG_OP_CHILD,                /* graph node only */
    VG_OP_CONDITIONAL,          /* graph node only: graphs of which a value chooses */
    VG_OP_BRANCH,               /* task only: where the choice of a conditional node is made */
    VG_OP_RESET,                /* task only: gives the conditions of a graph their defaults */
    VG_OP_TYPE_COUNT
};

/* Who carries an op out. */
enum vg_lane {
    VG_LANE_INSTANT,            /* a few instructions, under the engine's lock */
    VG_LANE_WORKER,
    VG_LANE_HOST,               /* the program's own code: one thread, in order */
    VG_LANE_POLL                /* waits for memory to change */
};

struct vg_op_kernel {
    CUfunction handle;          /* as given: CUfunction or CUkernel */
    struct vg_func *func;       /* resolved for the context it runs in */
    unsigned grid[3], block[3];
    unsigned shared;            /* dynamic bytes per block */
    bool cooperative;
    void *params;               /* packed as the function's layout says */
    size_t param_size;
};

struct vg_op_copy {
    CUDA_MEMCPY3D d;            /* checked; arrays are looked up when it runs */
    void *staged;               /* the source's bytes, taken when the call was made, or NULL */
};

struct vg_op_memset {
    CUdeviceptr dst;
    size_t pitch, width, height;        /* width in elements, pitch in bytes */
    unsigned value, elem;               /* elem 1, 2 or 4 bytes */
};

struct vg_op_host {
    CUhostFn fn;
    CUstreamCallback callback;
    CUstream stream;
    void *data;
};

struct vg_op_memops {
    CUstreamBatchMemOpParams *list;
    unsigned count, done;
    struct vg_event *hold;      /* the list points into this event, or NULL */
};

/* Memory that a graph allocates keeps its address over all launches: it lives as long as the nodes
 * that share it. */
struct vg_graph_mem {
    int refs;
    CUdeviceptr ptr;
    size_t size;
    bool outside;               /* launched, and freed by nothing since: copies may name it */
};

struct vg_op_mem {
    CUdeviceptr ptr;
    struct vg_graph_mem *graph;         /* ALLOC: owned; FREE: NULL, or the memory is a graph's */
};

struct vg_op_conditional {
    struct vg_condition *condition;     /* referenced */
    CUgraphConditionalNodeType type;
    unsigned size;
    struct vg_graph **body;             /* owned, each of them */
    CUgraph *handles;                   /* theirs, for the program to read */
};

/* Owns the task that ends the conditional node: it is submitted when no more turns come. */
struct vg_op_branch {
    struct vg_node *node;               /* of an executable, which outlives its launches */
    struct vg_task *end;
    const struct vg_stream *stream;     /* identity only */
    int priority;
};

struct vg_op {
    enum vg_op_type type;
    bool external;              /* events: a node of its own when captured, not an edge */
    union {
        struct vg_op_kernel kernel;
        struct vg_op_copy copy;
        struct vg_op_memset memset;
        struct vg_op_host host;
        struct vg_event *event;
        struct vg_op_memops memops;
        struct vg_op_mem mem;
        struct vg_graph *child;         /* CHILD: owned; RESET: not */
        struct vg_op_conditional conditional;
        struct vg_op_branch branch;
    } u;
};

/* Deep copy; on failure *dst is VG_OP_EMPTY. */
CUresult vg_op_clone_locked(struct vg_op *dst, const struct vg_op *src);
void vg_op_fini_locked(struct vg_op *op);

enum vg_lane vg_op_lane(const struct vg_op *op);

/* Small enough that running it at once in the calling thread beats handing it to another. */
bool vg_op_is_small(const struct vg_op *op);

/* Carries the op out on this thread. failed: the context's fault, CUDA_SUCCESS when it has none. */
CUresult vg_op_run(struct vg_op *op, struct vg_ctx *ctx, CUresult failed);

/* Carries on with VG_OP_MEMOPS as far as memory allows; true when all of it is done. */
bool vg_op_poll(struct vg_op *op);

#endif
