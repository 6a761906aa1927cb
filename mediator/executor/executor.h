/* SPDX-License-Identifier: MIT */
/*
 * The executor's state and the life of one request in it. One struct per process;
 * everything in it belongs to the serve thread unless a member says otherwise.
 */
#ifndef VG_EXECUTOR_H
#define VG_EXECUTOR_H

#include "mediator/executor/bounce.h"
#include "mediator/executor/callback.h"
#include "mediator/executor/console.h"
#include "mediator/executor/cuda.h"
#include "mediator/executor/fetch.h"
#include "mediator/executor/gate.h"
#include "mediator/executor/guest.h"
#include "mediator/executor/job.h"
#include "mediator/executor/meter.h"
#include "mediator/executor/limit.h"
#include "mediator/executor/obj.h"
#include "mediator/executor/options.h"
#include "mediator/executor/orders.h"
#include "mediator/executor/overhead.h"
#include "mediator/executor/pin.h"
#include "mediator/executor/prints.h"
#include "mediator/executor/quota.h"
#include "mediator/executor/range.h"
#include "mediator/executor/share.h"
#include "mediator/executor/timing.h"
#include "mediator/executor/vmm.h"
#include "mediator/executor/wait.h"
#include "mediator/vg_orders.h"
#include "mediator/vg_stats.h"
#include "vg_codec.h"
#include "vg_ring.h"

#define VG_OUT_MAX (256u << 10) /* bytes of the largest reply */

struct vg_exec {
    struct vg_options opt;
    struct vg_job job;
    struct vg_guest guest;
    struct vg_cuda cuda;
    struct vg_ring_consumer ring;
    struct vg_objset obj;
    struct vg_ranges ranges;
    struct vg_vmm vmm;
    struct vg_shares shares;
    int control_fd;                /* the mediator; -1 before there is one to talk to */
    struct vg_waits waits;
    struct vg_meter meter;
    struct vg_gatekeeper keeper;
    struct vg_console console;     /* shared with the watch thread, see console.h */
    struct vg_prints prints;       /* what kernels may have printed into it */
    struct vg_callbacks callbacks; /* shared with the driver's threads, see callback.h */
    struct vg_timing timing;
    struct vg_stats *stats;        /* mapped from the mediator; never NULL */
    struct vg_account *account;    /* of the VM, shared with its other executors; never NULL */
    struct vg_account *own_account; /* stands in for it where there is none */
    unsigned seat;                 /* in it */
    const struct vg_orders *orders; /* mapped from the mediator, which alone writes; never NULL */
    struct vg_orders own_orders;   /* stands in for it where there is none */
    struct vg_limiter limiter;
    struct vg_quota quota;
    struct vg_overhead overhead;
    struct vg_shelf shelf;         /* of the VM: images that its processes have sent */
    struct vg_fetch fetch;         /* of those, the one that is likely to come next */
    CUcontext ctx;                 /* current context, of the guest thread that spoke last */
    CUcontext home;                /* what owns things made in ctx: itself, or a green one's primary */
    CUcontext registrar;           /* context through which the region is registered, or NULL */
    struct vg_pins pins;           /* and what of it */
    struct vg_bounce bounce;       /* the way of copies where it is not */
    CUcontext warm; /* primary context of device 0, ours until the guest retains it */
    CUcontext fresh; /* the guest holds it since a moment ago; NULL or see register_early */
    struct vg_snapshot *snapshot; /* made ahead of need, or NULL */
    struct {
        uint8_t *bytes;
        uint64_t total, got;
    } upload;              /* image that comes in pieces */
    struct vg_resources {
        CUdevResource *at;
        unsigned count;
    } resources;           /* device resources that the guest has heard of (do_green.c) */
    struct vg_link *links; /* link states of the guest (do_link.c) */
    struct vg_kept *kept;  /* images of its libraries (do_image.c) */
    struct vg_managed *managed; /* variables of libraries (managed.h) */
    struct {
        unsigned count;    /* under way, or done and not finished yet */
        unsigned on_objects, on_graphs; /* of them, those that use these */
        uint64_t bytes;    /* of guests' images that they hold */
    } asides;              /* see aside.h */
    struct {
        unsigned calls;
        bool reserved;     /* what it costs, by the first of them */
    } retaining[VG_DEVICES_MAX]; /* primary contexts that are being made aside */
    bool alone;            /* starts no thread of its own for calls: a fuzzer repeats itself */
    bool no_write_value;   /* the driver refused stream memory operations */
    uint64_t touches;      /* calls that named a stream */
    unsigned captures;     /* streams being captured */
    unsigned thread_captures; /* of them, threads' own default streams, which are no objects */
    uint64_t captured_bytes;    /* in copies for graphs; driver threads take away from it */
    struct vg_captured *untied; /* copies that no graph frees */
    struct vg_callback *of_execs; /* of nodes that were changed in executable graphs */
    uint64_t array_bytes;  /* of live arrays */
    uint64_t module_bytes; /* of live modules and libraries, as far as it was measured */
    bool graph_memory;     /* there may be ranges of kind GRAPH */
    CUkernel graph_copy;   /* copies into and out of them, or NULL (graph_copy.h) */
    CUcontext graph_copy_in; /* where it was loaded last */
    uint64_t graphs;       /* launched, ever */
    uint64_t graphs_over;  /* so many were when last all that was begun in that context was over: */
    CUcontext graphs_over_in;
    const char *breach;    /* of a call that had waited: the guest has to go. Or NULL */
    uint8_t *payload;      /* of the current request, VG_PAYLOAD_MAX, private */
    uint8_t *out;          /* of the current reply, VG_OUT_MAX */
};

struct vg_req {
    struct vg_call call; /* private copies: the guest cannot change them any more */
    const uint8_t *payload;
    struct vg_dec dec;
    struct vg_enc enc;
    struct vg_result res;
    const char *breach;  /* what is malformed: the guest broke the protocol */
    unsigned class;      /* enum vg_api_class, for counters */
    uint64_t taken;      /* ns, see timing.h; only of a call with an answer */
    CUgraph graph;       /* last graph named: parent of nodes in the answer */
    uint64_t graphs;     /* launched when it last waited (vg_wait_drained), ... */
    bool captures;       /* ... and there were captures: not for what such streams had to do */
    bool drained;        /* comes again, its context was idle meanwhile */
    bool later;          /* a wait answers it */
    bool answered;       /* the reply is made, by hand */
    bool sync;           /* answered after a wait: what kernels printed goes first */
    bool payload_always; /* the payload goes with a failure too (a log) */
};

int vg_exec_init(struct vg_exec *x);
void vg_exec_fini(struct vg_exec *x);

/* ---- Replies (reply.c) ---- */

/* Result of the request, to its cell or, without one, to the latch. Drains the console first. */
void vg_reply(struct vg_exec *x, struct vg_req *r, CUresult result);

/* Remembers a failure that no reply carries; the guest's next eligible call returns it. */
void vg_latch(struct vg_exec *x, CUresult result);

/* Bytes a reply to this call may have. */
size_t vg_reply_capacity(const struct vg_call *c);

/* ---- Requests (dispatch.c) ---- */

/* Decodes, checks and carries out. False if the guest broke the protocol (r->breach). */
bool vg_dispatch(struct vg_exec *x, struct vg_req *r);

/* ---- Ownership (own.c): each returns CUDA_SUCCESS or what the driver would say ---- */

CUresult vg_own_handle(struct vg_exec *x, enum vg_obj_type type, uint64_t handle);
/* None of them may be NULL. */
CUresult vg_own_nodes(struct vg_exec *x, const CUgraphNode *node, uint64_t count);
CUresult vg_own_stream(struct vg_exec *x, CUstream stream);

/*
 * The number of the last call that named this stream, if one did since it was seen to be idle;
 * else 0. And: what it was given up to that call has ended.
 */
uint64_t vg_own_stream_touched(const struct vg_exec *x, CUstream stream);
void vg_own_stream_idle(struct vg_exec *x, CUstream stream, uint64_t touched);
CUresult vg_own_range(struct vg_exec *x, uint64_t addr, uint64_t len);
CUresult vg_own_add(struct vg_exec *x, enum vg_obj_type type, uint64_t handle, uint64_t parent,
                    uint32_t info);
CUresult vg_own_add_range(struct vg_exec *x, uint64_t base, uint64_t size, enum vg_range_kind kind,
                          uint64_t owner);
void vg_own_remove(struct vg_exec *x, enum vg_obj_type type, uint64_t handle);
bool vg_own_is_capturing(const struct vg_exec *x, CUstream stream);
/*
 * Whether a blocking stream of that context is being captured: then nothing may be given to the
 * legacy stream, which would have to wait for it and so breaks the capture.
 */
bool vg_own_legacy_is_barred(struct vg_exec *x, CUcontext home);
/* Counts x->captures anew, after streams have ended. */
void vg_own_count_captures(struct vg_exec *x);
void vg_own_remove_range(struct vg_exec *x, uint64_t base);
/* Tells the mediator how much memory the guest holds, after a change. */
void vg_own_account(struct vg_exec *x);

/* Ends what ALIAS has mapped in this context (do_alias.c). */
void vg_alias_drop(struct vg_exec *x, CUcontext ctx);

/* ---- Context (context.c) ---- */

/*
 * Does what the first guest would have to wait for: the primary context of device 0
 * and the snapshot. What fails here fails again, with its reason, when it is needed.
 */
void vg_context_warm_up(struct vg_exec *x);
/*
 * Registers what is in use of the region with a context that the guest has just got and not
 * used yet: it takes milliseconds, in which the guest goes its way.
 */
void vg_context_register_early(struct vg_exec *x);

/* Makes ctx current on the serve thread. */
CUresult vg_context_set(struct vg_exec *x, CUcontext ctx);
/* The device's primary context if the guest holds it, else NULL. */
CUcontext vg_context_primary(struct vg_exec *x, CUdevice dev);
/* The context has ended: forgets all that died with it. */
void vg_context_gone(struct vg_exec *x, CUcontext ctx);

/* Single writer: a plain addition, readable at any moment. */
#define VG_STAT_ADD(x, field, n)                                                                   \
    __atomic_store_n(&(x)->stats->field, (x)->stats->field + (n), __ATOMIC_RELAXED)
#define VG_STAT_SET(x, field, n) __atomic_store_n(&(x)->stats->field, (n), __ATOMIC_RELAXED)

/* Wakes the serve thread; for cuLaunchHostFunc, arg is not used. Any thread. */
void vg_doorbell_ring(void *arg);

/* CLOCK_MONOTONIC in ns. */
uint64_t vg_now(void);

/* One line to the mediator's log; no newline in the format. Rate-limited nowhere: callers exit or
 * speak once. */
void vg_log(const struct vg_exec *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
