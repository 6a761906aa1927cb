/* SPDX-License-Identifier: MIT */
/*
 * How much GPU time this process uses, and what it has in flight. Measured from outside: by
 * events of ours behind the work of each stream, at most one in a millisecond while the process
 * has the GPU for itself, more when turns are counted; and by the events of waits (wait.c), which
 * are there anyway. The time is the union over all streams: from when something is given to an
 * idle GPU until the last of it has ended.
 *
 * A stream's work is a line: batches, each with a mark behind it. A batch can begin when it was
 * given and the one before it has ended. What only waits for the guest (a host function, a value
 * in memory) is a batch that counts for nothing.
 *
 * Marks are recorded where they change nothing for the guest: never in a stream that is being
 * captured, and in the legacy stream only while nothing newer is in the streams that it waits for
 * (the newer work covers the older: such batches are made one).
 *
 * Serve thread only. Times: vg_now().
 */
#ifndef VG_METER_H
#define VG_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mediator/executor/estimate.h"
#include "vg_cuda.h"

struct vg_exec;
struct vg_lane;

#define VG_METER_KINDS 8u

/* Work given to one stream between two marks. */
struct vg_batch {
    uint64_t since;   /* when the first of it was given */
    uint64_t last;    /* number of its last call */
    uint64_t guess;   /* ns, by estimates */
    uint32_t calls;
    uint32_t kinds;   /* of `kind`; more are not learned from */
    struct {
        uint32_t place, calls;
        uint32_t guess; /* ns, of one */
    } kind[VG_METER_KINDS];
    bool stall;       /* no work at all: the stream waits for something of the guest's */
};

struct vg_meter {
    struct vg_lane **lane;   /* those with something in flight come first */
    unsigned lanes, cap, active;
    struct vg_lane *recent;  /* of the last call */
    struct vg_lane *legacy;  /* the legacy stream that was last given work */
    unsigned running;        /* lanes on which the GPU has work */
    uint64_t since, ended;   /* of the present interval (0: none), end of the last */
    uint64_t busy;           /* ns of all that have ended */
    uint64_t serial;         /* number of the last call */
    uint64_t progress, done; /* batches, calls that have ended */
    uint64_t flight_calls, flight_ns; /* since the last look: given to running lanes, not ended */
    uint64_t moved;          /* when something last ended */
    uint64_t next_look;
    uint64_t clock;          /* what time it is, if the serve loop has just looked; else 0 */
    bool fine;               /* turns are counted: marks are close, with exact times */
    bool paced;              /* only what is in flight is limited: marks are less close */
    bool plain;              /* marks have no times: what gives way shall hold nothing else up */
    bool off;                /* nobody asks: calls are not counted any more */
    struct {
        bool on;             /* its stream is not known yet */
        unsigned place;
        struct vg_lane *lane;
        uint32_t ns;
    } call;                  /* being carried out */
    struct vg_estimates estimates;
};

void vg_meter_fini(struct vg_meter *m);

/*
 * Around the carrying out of a call that gives the GPU work like `key`. In between, the
 * check of its stream (vg_own_stream) names it; without one it goes to the legacy stream.
 */
void vg_meter_begin(struct vg_exec *x, uint64_t key, uint64_t first_guess);
void vg_meter_stream(struct vg_exec *x, CUstream stream);
void vg_meter_end(struct vg_exec *x, bool done);

/* Before and after a call that makes the stream wait for something of the guest's. */
void vg_meter_stall_begin(struct vg_exec *x, CUstream stream);
void vg_meter_stall_end(struct vg_exec *x, CUstream stream);

/* The stream is about to end. A capture is about to begin: what is in flight gets marks now. */
void vg_meter_stream_ends(struct vg_exec *x, CUstream stream);
void vg_meter_close_all(struct vg_exec *x);

/*
 * A wait has recorded an event of the current context in the stream. Returns what to tell
 * vg_meter_passed, in that context again, when it has passed; 0: nothing.
 */
uint64_t vg_meter_covered(struct vg_exec *x, CUstream stream);
void vg_meter_passed(struct vg_exec *x, CUstream stream, uint64_t serial);

/* The current context has been found idle. A context has ended, with all that ran in it. */
void vg_meter_idle(struct vg_exec *x);
void vg_meter_drop_context(struct vg_exec *x, CUcontext ctx);

/* Between records: marks what is due, looks at marks. `quiet`: the ring had nothing. */
void vg_meter_look(struct vg_exec *x, uint64_t now, bool quiet);

/* How long the serve thread may sleep without this suffering. */
uint64_t vg_meter_nap(const struct vg_exec *x, uint64_t now);

/* GPU time up to now, with the running interval. */
static inline uint64_t vg_meter_total(const struct vg_meter *m, uint64_t now)
{
    return m->busy + (m->since && now > m->since ? now - m->since : 0);
}

#endif
