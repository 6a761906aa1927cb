/* SPDX-License-Identifier: MIT */
/*
 * The parts of the meter (meter.h): lanes, one for each stream that has been given work, with
 * batches and the marks behind them, and the union of what runs. Serve thread only.
 */
#ifndef VG_LANE_H
#define VG_LANE_H

#include "mediator/executor/meter.h"

struct vg_mark;

struct vg_lane {
    CUcontext ctx, home;    /* current when it was named; whose default streams it waits for */
    CUstream stream;
    bool legacy, blocking;
    bool ended;             /* the guest has destroyed the stream */
    bool runs;              /* the GPU has work of it, as far as known */
    unsigned index;         /* in m->lane */
    uint64_t start;         /* from when the oldest batch could have been running */
    uint64_t covered;       /* a wait tells when calls up to this number have ended */
    struct vg_batch open;   /* no mark behind it yet; no calls: nothing there */
    struct vg_mark *first, **last;
    CUevent ref;            /* the last exact mark that passed, or NULL */
    uint64_t ref_at;
};

/* The stream's lane in the current context, or NULL; vg_lane_of makes one (NULL: no memory). */
struct vg_lane *vg_lane_find(struct vg_exec *x, CUstream stream);
struct vg_lane *vg_lane_of(struct vg_exec *x, CUstream stream);
bool vg_lane_is(const struct vg_exec *x, const struct vg_lane *l, CUstream stream);
bool vg_lane_is_active(const struct vg_meter *m, const struct vg_lane *l);

/* Its open batch gets its first call now. */
void vg_lane_open(struct vg_meter *m, struct vg_lane *l, uint64_t now);
/* The open batch of `from` ends no later than what `to` has open: one mark will tell of both. */
void vg_lane_join(struct vg_exec *x, struct vg_lane *to, struct vg_lane *from);
/* The open batch has turned out to be none. */
void vg_lane_unopen(struct vg_exec *x, struct vg_lane *l);
/* A kind of call in a batch. */
void vg_batch_add(struct vg_batch *b, unsigned place, unsigned calls, uint32_t guess);

/* Puts a mark behind the open batch, if it may. What the driver refuses to mark is forgotten. */
void vg_lane_close(struct vg_exec *x, struct vg_lane *l, bool exact, uint64_t now);
/* Puts a mark behind nothing, which stands for a time that the stream waits for the guest. */
void vg_lane_stall(struct vg_exec *x, struct vg_lane *l, uint64_t now);

/* All calls up to this number have ended. These two may free the lane: false, then. */
bool vg_lane_pass(struct vg_exec *x, struct vg_lane *l, uint64_t serial, uint64_t at);
bool vg_lane_look(struct vg_exec *x, struct vg_lane *l, uint64_t now);

/* Frees one that has nothing in flight. */
void vg_lane_forget(struct vg_exec *x, struct vg_lane *l);

/* Calls and ns in flight, less what the oldest batch has had already. */
void vg_lanes_take_stock(struct vg_meter *m, uint64_t now);
/* Whether the doorbell, or a wait, tells of everything in flight. */
bool vg_lanes_are_heard(const struct vg_meter *m);
bool vg_lanes_have_open(const struct vg_meter *m);
void vg_lanes_fini(struct vg_meter *m);

#endif
