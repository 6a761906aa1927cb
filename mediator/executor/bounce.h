/* SPDX-License-Identifier: MIT */
/*
 * Copies between the GPU and memory of the region that the driver would not register (foreign
 * pages, or a setting): by way of pinned memory of ours, in chunks, several of them under way,
 * so that the GPU copies one while a processor copies another. The driver's own way for ordinary
 * memory would hold the serve thread until the stream has come to the copy.
 *
 * What the guest waits for with memory that rests meanwhile is copied on this thread; else a
 * host function of a stream beside the guest's does it, in order with both.
 * Serve thread. Linear copies of one context at a time: pitched and captured ones, and those of
 * other contexts, go the driver's way.
 */
#ifndef VG_BOUNCE_H
#define VG_BOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "vg_cuda.h"

struct vg_exec;
struct vg_req;

#define VG_BOUNCE_CHUNKS 8u
#define VG_BOUNCE_BYTES  (1u << 20) /* of a chunk: ten times what a host function costs */

struct vg_bounce_chunk {
    uint8_t *at;
    CUevent idle;   /* what used it last has passed */
    CUevent filled; /* by the half of the way that comes first */
    void *dst;      /* where bytes from the GPU are to go, of a chunk that is lent ... */
    uint64_t bytes;
    bool lent; /* ... to a wait, until it is over */
};

struct vg_bounce {
    CUcontext ctx; /* of all the below; NULL: there is none of it */
    bool refused;  /* the driver has no memory for it */
    CUstream beside;
    CUevent here;
    unsigned next;
    struct vg_bounce_chunk chunk[VG_BOUNCE_CHUNKS];
};

/* True if a copy from or to this memory goes this way, which no captured one can. */
bool vg_bounce_applies(const struct vg_exec *x, const void *p, uint64_t bytes, CUstream stream);

/*
 * All of them true if the copy was made, or has failed with *ret; false if it cannot be made
 * this way at this moment. vg_bounce_at_once reads the source now and is done with it, and
 * vg_bounce_answer answers the request (r->later), or may be answered if it did not.
 */
bool vg_bounce_at_once(struct vg_exec *x, CUdeviceptr dst, const void *src, uint64_t bytes,
                       CUstream stream, CUresult *ret);
bool vg_bounce_answer(struct vg_exec *x, struct vg_req *r, void *dst, CUdeviceptr src,
                      uint64_t bytes, CUstream stream, CUresult *ret);
bool vg_bounce_in(struct vg_exec *x, CUdeviceptr dst, const void *src, uint64_t bytes,
                  CUstream stream, CUresult *ret);
bool vg_bounce_out(struct vg_exec *x, void *dst, CUdeviceptr src, uint64_t bytes, CUstream stream,
                   CUresult *ret);

/* For wait.c: the wait of a lent chunk is over. rc: its result. */
void vg_bounce_landed(struct vg_bounce_chunk *c, CUresult rc);

/* The context has ended, with what was made in it. */
void vg_bounce_end(struct vg_exec *x, CUcontext ctx);

#endif
