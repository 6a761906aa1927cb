/* SPDX-License-Identifier: MIT */
/*
 * Calls in which the driver computes for long on this thread (the JIT, contexts, large
 * graphs) are made by a thread beside the serve thread, so that other threads of the
 * guest go on. The guest thread that made the call waits for its answer anyway.
 *
 * `work` makes driver calls and writes only what lies in its own vg_aside; `finish`
 * runs on the serve thread, takes note of what was made, and frees it. Of the request,
 * finish has the call and the reply: payload and decoded arguments are gone by then.
 *
 * Meanwhile the guest's records go on in their order, but for such as would end or change
 * under the driver's hands what `uses` says: the first of these waits in the ring, and all
 * behind it, as if the call were made on the serve thread. So do launches of graphs, once the guest
 * carries out copies of graphs.
 */
#ifndef VG_ASIDE_H
#define VG_ASIDE_H

#include "mediator/executor/executor.h"

enum vg_aside_uses {
    VG_ASIDE_CONTEXT,   /* its context, `object`, and what nobody else can name yet */
    VG_ASIDE_OBJECTS,   /* the same, and objects of the guest: none may end */
    VG_ASIDE_GRAPHS,    /* the same, and graphs: none may be changed */
};

/*
 * What must all be done by one thread, with nothing of the kind by that thread in between, has a
 * thread to itself; the one beside waits for it meanwhile, so that no more is computed at a time.
 */
struct vg_aside_thread;

struct vg_aside {
    struct vg_aside *next;
    struct vg_aside_thread *by;     /* or NULL: any */
    enum vg_aside_uses uses;
    uint64_t object;                /* 0, or the link state or graph that nobody may use meanwhile */
    uint64_t bytes;                 /* of the image that it holds until it is done, or 0 */
    CUcontext ctx;                  /* current for work() */
    void (*work)(struct vg_exec *x, struct vg_aside *a);
    /* Makes the reply; of a call that the table decodes it sets r->answered. */
    CUresult (*finish)(struct vg_exec *x, struct vg_req *r, struct vg_aside *a);
    uint32_t done;                  /* set last, with release */
};

/* Carries it out beside; the request is answered later. Or at once, where no thread can be had. */
CUresult vg_aside_run(struct vg_exec *x, struct vg_req *r, struct vg_aside *a);

/* NULL: no more are to be had, or the process is to have no others. */
struct vg_aside_thread *vg_aside_thread_new(struct vg_exec *x);

/* Carries out a's work by its thread, or where it has none by this one, and waits for it. */
void vg_aside_do(struct vg_exec *x, struct vg_aside *a);

/* It is not used any more, and frees itself. NULL is fine. */
void vg_aside_thread_end(struct vg_aside_thread *t);

/* ---- for serve.c and wait.c ---- */

/* They hold so much that no record is taken until one is done: Dom0's memory is not the guest's. */
bool vg_asides_are_full(const struct vg_exec *x);

/* True if the record must wait until what is done aside is done. */
bool vg_aside_bars(const struct vg_exec *x, const struct vg_call *call);

/* It is done: what it used is free again. */
void vg_aside_over(struct vg_exec *x, const struct vg_aside *a);

/* Hands it to the thread. False: there is none. */
bool vg_aside_queue(struct vg_exec *x, struct vg_aside *a);

static inline bool vg_aside_is_done(const struct vg_aside *a)
{
    return __atomic_load_n(&a->done, __ATOMIC_ACQUIRE) != 0;
}

#endif
