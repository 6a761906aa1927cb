/* SPDX-License-Identifier: MIT */
/*
 * VMs that a toolstack starts: xenstore's facts, brought by the program vgpu-xenstore,
 * become registrations by the plan (xenstore-watcher/plan.h). For every domain that
 * may use the GPU there is a socket of its own: who connects there is that domain,
 * whatever it says of itself. Runs on the daemon's loop; nothing here blocks, and
 * while xenstore or its reader are away, everything stays as it was.
 */
#ifndef VG_TOOLSTACK_H
#define VG_TOOLSTACK_H

#include "mediator/base/loop.h"
#include "vm.h"
#include "xenstore-watcher/plan.h"

#define VG_TOOLSTACK_TICK_MS   1000u
#define VG_TOOLSTACK_FORGET_S  600u     /* a VM's account waits so long for its next start */
#define VG_WATCHER_RETRY_MS    1000u    /* between two starts of vgpu-xenstore */
#define VG_WATCHER_USELESS_MS  300000u  /* after one that found nothing to read */

struct vg_mediator;
struct vg_client;

/* One life of a domain. */
struct vg_domain {
    struct vg_list link;
    struct vg_mediator *mediator;
    uint32_t domid;
    char instance[40];
    char uuid[40];
    struct vg_vm *vm;
    bool enabled;
    bool state_due;             /* guest and toolstack have not been told yet */
    bool complained;            /* that there is no socket */
    int listen_fd;              /* -1: none */
    struct vg_io io;
    char path[108];
    char notes[VG_PLAN_NOTES_MAX];      /* of its keys */
    char state[16], reason[VG_PLAN_NOTES_MAX];
};

struct vg_toolstack {
    struct vg_mediator *mediator;
    struct vg_list facts;       /* of every domain there is, by domid */
    unsigned fact_count;
    bool known;                 /* the present reader's first BATCH has come */
    struct vg_plan *plan, *next;        /* in force; room for the next. NULL: never needed */
    struct vg_plan_request *requests;
    struct vg_list domains;
    struct vg_timer timer;
    /* vgpu-xenstore */
    struct vg_child child;
    struct vg_io io;
    int sock;                   /* -1: it does not run */
    uint64_t retry_at, heard_at;
    char problem[200];          /* why nothing is heard of xenstore, "": all is well */
};

void vg_toolstack_init(struct vg_toolstack *ts, struct vg_mediator *m);
void vg_toolstack_start(struct vg_toolstack *ts);   /* the loop is there */
void vg_toolstack_fini(struct vg_toolstack *ts);    /* idempotent */

/* For administrators: "off", "ok", or what is wrong. */
const char *vg_toolstack_status(const struct vg_toolstack *ts);

/* May a peer that came by the common socket be this VM? False: a sentence in `why`. */
bool vg_toolstack_allows(const struct vg_vm *vm, uid_t uid, char *why, size_t cap);

/* ---- facts: toolstack.c, called by watcher.c ---- */

void vg_toolstack_fact(struct vg_toolstack *ts, const struct vg_xen_domain *d);
/* A new reader begins: from here to its first BATCH is what it names. */
void vg_toolstack_unname(struct vg_toolstack *ts);
void vg_toolstack_gone(struct vg_toolstack *ts, uint32_t domid);
/* Acts on what came. `full`: what was not named is gone, unless its device is still connected. */
void vg_toolstack_batch(struct vg_toolstack *ts, bool full);

/* ---- the reader: watcher.c ---- */

/* Starts it where there is a xenstore, replaces it when it hangs. Called every tick. */
void vg_watcher_check(struct vg_toolstack *ts);
void vg_watcher_stop(struct vg_toolstack *ts);      /* and waits until it is gone */
/* False: not now, try again. */
bool vg_watcher_tell(struct vg_toolstack *ts, const struct vg_domain *d);

/* ---- sockets: domain.c ---- */

/* Opens the domain's socket, if it should have one and has none; closes it, if it should not. */
void vg_domain_listen(struct vg_domain *d);
/* Ends the connections that came by it. */
void vg_domain_cut_off(struct vg_domain *d, const char *why);
unsigned vg_domain_peers(const struct vg_mediator *m, uint32_t domid);

/* The VM of a peer that came by a domain's socket; NULL with a sentence in `why`. */
struct vg_vm *vg_domain_admit(struct vg_mediator *m, uint32_t domid, char *why, size_t cap);

#endif
