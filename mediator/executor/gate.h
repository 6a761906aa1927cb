/* SPDX-License-Identifier: MIT */
/*
 * The gate: whether a call that gives the GPU work (work.h) may do so now. The daemon grants,
 * on the page that it shares with this process (mediator/vg_gate.h); here the grant is kept to,
 * and what happens is told. Serve thread only.
 *
 * What may not pass stays the one current record, and what is behind it in the ring stays there:
 * the guest's order is kept. Everything else goes on: waits, callbacks, shares, the heartbeat.
 * A capture runs nothing, so nothing in it is held.
 *
 * Nobody waits for ever. The daemon takes a turn away by the clock and not when it is drained, so
 * every process that wants one gets one: also one whose kernel waits for what another process, or
 * a later call of its own, has yet to do. In its turn at least one call passes; and when nothing has
 * ended for a while, one call more, however full the window: a kernel may be waiting for it.
 * What waits behind a host function does not fill the window.
 */
#ifndef VG_EXEC_GATE_H
#define VG_EXEC_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "mediator/vg_gate.h"
#include "vg_wire.h"

struct vg_exec;

struct vg_gatekeeper {
    struct vg_gate *page;        /* mapped, or `own`; never NULL */
    struct vg_gate own;
    int bell_fd;                 /* -1: nobody listens */
    struct vg_gate_grant grant;  /* a copy; seq: which one */
    uint64_t turn_from;          /* GPU time when the turn began */
    uint64_t turn_calls;         /* let through in it */
    uint64_t waits_since, idle_since, used_turn;
    uint64_t waited;             /* ns, in all */
    uint64_t extra_at;           /* when one more was last let through a full window */
    unsigned rung;               /* VG_GATE_ASK_* of this grant that have been told */
    enum vg_gate_slice slice;    /* as told */
    bool told_no_groups;
    bool worked;                 /* since the last tick, work has passed */
    bool held;                   /* `call` is the current record; its payload is in x->payload */
    struct vg_call call;
    uint64_t done;               /* bytes of it, a copy, that have been given to the GPU */
};

void vg_gatekeeper_init(struct vg_gatekeeper *k);

/*
 * Maps the daemon's page and takes its bell. Without them (a test, a fuzzer) the gate is open for
 * good. 0 or -errno.
 */
int vg_gate_open(struct vg_exec *x, int page_fd, int bell_fd);

/* Whether the call may be carried out now. Once true, it must be. */
bool vg_gate_pass(struct vg_exec *x, const struct vg_call *c);

/*
 * What of the held record comes next: all that is left of it (true: it is held no more), or in
 * turns a part of a large copy (false).
 */
bool vg_gate_next(struct vg_exec *x, struct vg_call *ret_call);

/* Once a round of the serve loop: takes new grants, measures, tells. `quiet`: nothing came. */
void vg_gate_tick(struct vg_exec *x, uint64_t now, bool quiet);

/* Somebody of a lower class is about: this one shall begin at once when it has something to do. */
bool vg_gate_is_ahead(const struct vg_exec *x);

/* Whether there is work to look after, for which the loop had better not sleep long. */
bool vg_gate_is_busy(const struct vg_exec *x);

/* Before sleeping: false if a new grant has come. How long it may be, and that it is over. */
bool vg_gate_sleepy(struct vg_exec *x);
uint64_t vg_gate_nap(const struct vg_exec *x, uint64_t now);
void vg_gate_awake(struct vg_exec *x);

#endif
