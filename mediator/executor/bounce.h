/* SPDX-License-Identifier: MIT */
/*
 * Copies between the GPU and memory of the region that the driver would not register (foreign
 * pages, or a setting): by way of pinned memory of ours, in chunks, several of them under way,
 * so that the GPU copies one while a processor copies another. The driver's own way for ordinary
 * memory would hold the serve thread until the stream has come to the copy.
 *
 * What the guest waits for with memory that rests meanwhile is copied on this thread; else a thread
 * of ours (mover.h) does it, in order with a stream beside the guest's. Each stream of the guest
 * that copies has a lane of its own: chunks, a stream beside, a lane of the mover. So a copy waits
 * for nothing but what its own stream has to do before it, whatever other streams wait for.
 *
 * Serve thread. One context at a time; captured copies, those of other contexts, those between two
 * places of the region, and those of more than VG_BOUNCE_LANES streams at once go the driver's way.
 */
#ifndef VG_BOUNCE_H
#define VG_BOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "mediator/executor/mover.h"
#include "vg_cuda.h"

struct vg_exec;
struct vg_req;

#define VG_BOUNCE_LANES  16u
#define VG_BOUNCE_CHUNKS 4u         /* of a lane */
#define VG_BOUNCE_BYTES  (1u << 20) /* of a chunk: ten times what it costs to hand one over */
#define VG_BOUNCE_PARTS  4096u      /* a pitched copy of more goes the driver's way */

struct vg_bounce_chunk {
    uint8_t *at;
    CUevent idle;   /* what used it last has passed */
    CUevent filled; /* by the half of the way that comes first */
    void *dst;      /* where bytes from the GPU are to go, of a chunk that is lent ... */
    uint64_t bytes;
    bool lent; /* ... to a wait, until it is over */
};

struct vg_bounce_lane {
    CUstream stream; /* whose copies these are; another's when nothing is under way */
    CUstream beside;
    CUevent here;
    uint8_t *memory;
    struct vg_mover_lane moves;
    unsigned next;
    struct vg_bounce_chunk chunk[VG_BOUNCE_CHUNKS];
};

struct vg_bounce {
    CUcontext ctx; /* of all the below; NULL: there is none of it */
    bool refused;  /* the driver has no memory for it, or no operations on memory in streams */
    unsigned count;
    struct vg_bounce_lane *lane[VG_BOUNCE_LANES];
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
/*
 * A pitched one from or to such memory; the other side is the GPU's. All pitches and heights are
 * told but those of arrays, and no row lies over another.
 */
bool vg_bounce_box(struct vg_exec *x, const CUDA_MEMCPY3D *c, CUstream stream, CUresult *ret);

/* For wait.c: the wait of a lent chunk is over. rc: its result. */
void vg_bounce_landed(struct vg_bounce_chunk *c, CUresult rc);

/* Our memory, at the end; the driver's part of it ends with the process. */
void vg_bounce_fini(struct vg_bounce *b);
/* The context has ended, with what was made in it. */
void vg_bounce_end(struct vg_exec *x, CUcontext ctx);

#endif
