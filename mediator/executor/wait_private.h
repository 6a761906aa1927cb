/* SPDX-License-Identifier: MIT */
/*
 * A wait, for the files that make them: wait.c, which also looks at them and ends them, and
 * wait_context.c. Serve thread.
 */
#ifndef VG_WAIT_PRIVATE_H
#define VG_WAIT_PRIVATE_H

#include "mediator/executor/executor.h"

enum wait_kind { WAIT_REPLY, WAIT_REDO, WAIT_STAGE, WAIT_CONSOLE, WAIT_ASIDE };

struct wait_event {
    CUevent event;
    CUstream stream;
    uint64_t serial; /* for the meter; with this, the stream */
    uint64_t touched; /* the last call to the stream before it */
    bool ours; /* from the pool; else the guest's, which may end meanwhile */
};

struct vg_wait {
    struct vg_wait *next; /* first, see vg_wait_chunk */
    CUcontext ctx;
    enum wait_kind kind;
    bool rings; /* the doorbell tells of each of its events */
    bool mute;  /* shall ring, and has not been given its bell yet */
    bool after_asides; /* REDO: when nothing is done aside any more */
    CUstream stream; /* of a mute one: nothing came behind its event */
    struct {
        uint64_t target, head, since;
        CUresult result;
    } console;              /* CONSOLE: wanted and last seen position, when it moved, the answer */
    unsigned stage;         /* STAGE */
    struct vg_aside *aside; /* ASIDE */
    struct vg_bounce_chunk *chunk; /* REPLY: lent to it, or NULL */
    unsigned cap;           /* places for events */
    unsigned count, passed; /* events, and how many of them are known to have passed */
    unsigned settled;       /* of these, such as the meter has been told of */
    uint64_t given;         /* kernels, when the driver was asked for their output; 0: it was not */
    struct vg_req req;      /* REPLY, REDO */
    uint8_t *payload;       /* REDO: copy of the request's payload */
    struct wait_event event[];
};

/* One without events yet and in no list; the current context's. NULL: no memory. */
struct vg_wait *vg_wait_new(struct vg_exec *x, enum wait_kind kind, unsigned events);

/* Tells the meter what has passed, gives its events back and frees it. Returns rc. */
CUresult vg_wait_drop(struct vg_exec *x, struct vg_wait *w, CUresult rc);

/* Adds "the stream has come here" to the wait, with a bell where that is better than looking. */
CUresult vg_wait_mark(struct vg_exec *x, struct vg_wait *w, CUstream stream);

/* NOT_READY while an event has not passed; else the result of the wait. */
CUresult vg_wait_look(struct vg_exec *x, struct vg_wait *w);

/* Puts it into the list: the request is answered when it has passed, or made again (REDO). */
void vg_wait_answer_later(struct vg_exec *x, struct vg_wait *w, struct vg_req *r);
/* The second, with a copy of the payload. False: no memory for that; the wait has gone. */
bool vg_wait_redo_later(struct vg_exec *x, struct vg_wait *w, struct vg_req *r);

/* Whether what is done aside (aside.h) at this moment changes the object. */
bool vg_waits_have_aside_on(const struct vg_exec *x, uint64_t object);

#endif
