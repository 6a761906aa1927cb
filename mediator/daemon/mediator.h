/* SPDX-License-Identifier: MIT */
/*
 * The daemon as an object: settings, VMs, peers, and the administrators' socket,
 * on one loop in one thread. It never loads a driver, maps a region or reads what
 * a guest wrote.
 */
#ifndef VG_MEDIATOR_H
#define VG_MEDIATOR_H

#include "client.h"
#include "config.h"
#include "control.h"
#include "event.h"
#include "health.h"
#include "keeper.h"
#include "mediator/base/loop.h"
#include "metrics.h"
#include "pool.h"
#include "toolstack.h"
#include "users.h"
#include "vm.h"

#define VG_STOP_MS 2000u    /* a shutdown takes no longer */
#define VG_STOP_SOON_MS 50u     /* for the answer to who asked for it */
#define VG_STOP_POOL_MS 100u    /* of this, for executors that were killed and served nobody */

struct vg_mediator {
    struct vg_config config;
    struct vg_loop loop;
    struct vg_vms vms;
    struct vg_events events;
    struct vg_health health;
    struct vg_list clients;
    struct vg_pool pool;
    struct vg_users users;
    struct vg_keeper keeper;
    uint64_t next_key;              /* of things in the keeper */
    struct vg_turns turns;
    unsigned client_count, session_count, next_client;
    int lock_fd, listen_fd;
    struct vg_io listen_io;
    struct vg_control control;
    struct vg_metrics metrics;
    struct vg_telemetry_service telemetry;
    struct vg_toolstack toolstack;
    struct vg_timer due_timer;
    struct vg_timer stop_timer, accept_timer;
    uint64_t started;               /* vg_now() */
    uint64_t refused;               /* peers turned away */
    uint64_t misbehaved;            /* peers cut off for breaking the protocol */
    uint64_t context_usual;         /* GPU memory that a context is taken to cost, 0: nothing */
    uint64_t context_measured;      /* what one does cost, 0: not known yet */
    char device[160];               /* that the latest executor reported */
    char state_problem[256];        /* what was wrong with the state on disk at the start; or "" */
    char problem[160];              /* why the latest executor found no GPU; "": it found one */
    bool stopping;
    bool leaving;                   /* and what runs stays with the keeper */
};

/*
 * Takes the lock, reads the registrations, and listens. `m->config` must be set.
 * 0, or -errno with the reason in `why`; then nothing is left behind.
 */
int vg_mediator_init(struct vg_mediator *m, char *why, size_t why_cap);

/* Serves until SIGTERM or SIGINT. The exit code. */
int vg_mediator_run(struct vg_mediator *m);
void vg_mediator_fini(struct vg_mediator *m);

/* The VM a peer belongs to; NULL with a sentence in `why`. */
struct vg_vm *vg_mediator_admit(struct vg_mediator *m, const char *name, char *why,
                                size_t why_cap);

/*
 * The policy of a VM has changed, or the VM is new: it acts from now on. Here those
 * who act on policies are told; it is called after the change is on disk.
 */
void vg_mediator_vm_changed(struct vg_mediator *m, struct vg_vm *vm);

/* Why listening at a path failed, in words of the settings; rc is -errno. */
void vg_mediator_explain_listen(int rc, const char *path, char *why, size_t why_cap);

/*
 * Ends the daemon a moment from now: with `all` as SIGINT does, and what runs with it; else as
 * SIGTERM does, after which what runs may go on (setting keep).
 */
void vg_mediator_stop_soon(struct vg_mediator *m, bool all);

/* A connection: by the common socket, or (domid not 0) by a domain's. Takes the fd. */
void vg_mediator_peer(struct vg_mediator *m, int fd, uint32_t domid);

/* A peer object has been freed. */
void vg_mediator_client_gone(struct vg_mediator *m);
/* An executor of the pool has been reaped while the daemon stops. */
void vg_mediator_executor_gone(struct vg_mediator *m);

/* What a VM used: executors that ended and those that run. */
void vg_mediator_usage(struct vg_mediator *m, const struct vg_vm *vm, struct vg_usage *ret_usage);

#endif
