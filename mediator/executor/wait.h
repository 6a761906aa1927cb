/* SPDX-License-Identifier: MIT */
/*
 * What the guest waits for and the GPU has not finished: synchronizations, copies
 * with an answer, calls that may only run on an idle context, staging chunks. The
 * serve thread never blocks on the GPU; it polls these between requests, so that
 * one guest thread's wait never delays another thread's calls.
 */
#ifndef VG_WAIT_H
#define VG_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mediator/executor/event_pool.h"
#include "vg_cuda.h"

struct vg_exec;
struct vg_req;
struct vg_wait;

#define VG_WAITS_MAX 512u /* beyond this the ring is not read until one completes */

struct vg_waits {
    struct vg_wait *first, **last;
    struct vg_wait *over; /* not in the list any more, to be answered in this round */
    unsigned count;
    unsigned unheard; /* waits of which no doorbell tells: they must be polled */
    unsigned mute;    /* of these, such as get a bell before anything can come behind them */
    struct vg_event_pool pool;
};

void vg_waits_init(struct vg_waits *w);
void vg_waits_fini(struct vg_waits *w);

/*
 * These return CUDA_SUCCESS at once when there is nothing to wait for. Otherwise
 * they set r->later and the request is answered when the GPU gets there. Other
 * results are failures, to be answered.
 */
CUresult vg_wait_stream(struct vg_exec *x, struct vg_req *r, CUstream stream);
CUresult vg_wait_event(struct vg_exec *x, struct vg_req *r, CUevent event);
CUresult vg_wait_context(struct vg_exec *x, struct vg_req *r);

/*
 * For calls in which the driver would block until the current context is idle.
 * True: go on. False: the request is put aside and dispatched again, with
 * r->drained, when all that was submitted before it is done; where the guest carries out copies
 * of graphs, as often as it takes until no graph has been launched meanwhile: in the driver, this
 * thread could not serve the copy that the next such graph waits for.
 */
bool vg_wait_drained(struct vg_exec *x, struct vg_req *r);

/*
 * The same for calls in which the driver may load code (work.h): it waits until the context is
 * idle. That keeps the guest's other threads waiting, as natively; only where the guest carries out
 * copies of graphs must it not be. Mostly it need not wait, and what runs may wait for this call:
 * so none does here when no graph has been launched since all of them were over.
 */
bool vg_wait_to_load(struct vg_exec *x, struct vg_req *r);

/*
 * The same for calls that end a context; they wait for what is done aside as well, which
 * has the context current or has been made in it.
 */
bool vg_wait_context_end(struct vg_exec *x, struct vg_req *r);

/*
 * Passes on what kernels printed. True if the guest must fetch some of it first:
 * then the answer, with this result, comes later.
 */
bool vg_wait_console(struct vg_exec *x, struct vg_req *r, CUresult result);

struct vg_bounce_chunk;
/* The same as vg_wait_stream, and when it is over so is the loan of the chunk. */
CUresult vg_wait_chunk(struct vg_exec *x, struct vg_req *r, CUstream stream,
                       struct vg_bounce_chunk *chunk);

struct vg_aside;
/* Answers when what is done aside (aside.h) is done. False: it cannot be done aside. */
bool vg_wait_aside(struct vg_exec *x, struct vg_req *r, struct vg_aside *a);

/* Clears stage_busy[stage] when the stream has come here. */
CUresult vg_wait_stage(struct vg_exec *x, CUstream stream, unsigned stage);

/* Rings our doorbell when the stream has come here, where that is better than looking (wait.c). */
bool vg_wait_bell(struct vg_exec *x, CUstream stream);

/* Before a record is served, and before sleeping: most waits end sooner, and need no bell. */
void vg_waits_give_bells(struct vg_exec *x);

/* Learns of a fault that no call has met yet, so that the guest's next one tells it. */
void vg_waits_look_for_fault(struct vg_exec *x);

/* Looks at every wait once; answers what is complete. Returns how many were. */
unsigned vg_waits_poll(struct vg_exec *x);

/* Answers all waits of a context that has ended. */
void vg_waits_drop_context(struct vg_exec *x, CUcontext ctx);

#endif
