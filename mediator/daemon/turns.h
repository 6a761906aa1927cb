/* SPDX-License-Identifier: MIT */
/*
 * Turns on the GPUs: what the policy core (mediator/sched) decides goes to the executors' gates
 * (mediator/vg_gate.h), and what they tell goes to the core. One scheduler for each set of GPUs
 * that pools share (place.h); an executor has a seat in that of its VM's pool.
 *
 * Runs on the daemon's loop, when an executor rings its bell or the core has named a time. With one
 * VM on a GPU neither happens. Nothing here waits, and what an executor claims is cut to what
 * can be.
 */
#ifndef VG_TURNS_H
#define VG_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "mediator/base/list.h"
#include "mediator/base/loop.h"
#include "mediator/sched/sched.h"

struct vg_mediator;
struct vg_session;
struct vg_vm;
struct vg_turns_gpus;
struct vg_turns_pool;

struct vg_turns {
    struct vg_list gpus;        /* of struct vg_turns_gpus: sets with somebody on them */
};

/* In each session. Zeroed is none. */
struct vg_turns_seat {
    struct vg_turns_gpus *gpus; /* NULL: has no seat */
    struct vg_list link;        /* in gpus */
    struct vg_sched_proc proc;
    struct vg_io bell;
    struct vg_timer quiet;      /* it has rung too often: not heard until then */
    uint64_t second;            /* since when rings are counted, ... */
    unsigned rings;             /* ... and how many */
    uint64_t told;              /* vg_now() of the last report, and what it said in all */
    uint64_t busy, ops;
};

/* In each VM. Zeroed is none. */
struct vg_vm_turns {
    struct vg_turns_pool *pool; /* NULL: none of its executors has a seat, or it owes */
    struct vg_sched_vm sched;
    unsigned seats;
    struct vg_timer owes;       /* it has no seat: what it owes is kept until then */
    uint64_t charged;           /* GPU time of earlier times that it had seats */
};

void vg_turns_init(struct vg_turns *t);

/* The session has a VM now: takes a seat. Its gate opens when the core says so. 0 or -errno. */
int vg_turns_join(struct vg_session *s);
/* It has ended, in the middle of a turn or not. No seat is fine. */
void vg_turns_leave(struct vg_session *s);
/* The VM goes, and what it owes with it. None of its executors has a seat. Idempotent. */
void vg_turns_forget(struct vg_vm *vm);
/* Closes its gate for good: it shall start nothing more until it has ended. Idempotent. */
void vg_turns_close(struct vg_session *s);

/* The VM's pool, priority or weight have changed. */
void vg_turns_policy(struct vg_mediator *m, struct vg_vm *vm);

/* GPU time: measured, what overlapped given out once. Brings a VM's up to date first. */
uint64_t vg_turns_charged(const struct vg_session *s);
uint64_t vg_turns_vm_charged(const struct vg_vm *vm);
/* What the VM may have of its GPUs, in millionths, given who has work; 0: it has no executor. */
unsigned vg_turns_entitled(const struct vg_vm *vm);

#endif
