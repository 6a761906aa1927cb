/* SPDX-License-Identifier: MIT */
/*
 * Executors that are started before anybody asks for one, with the driver loaded,
 * the GPU initialised and, if the settings say so, a context made: a guest's first
 * call then waits for none of that. They belong to no VM and count for none.
 *
 * One is started at a time, some time after the last one was taken, so that a guest
 * that starts has the processors for itself. One that fails is replaced after a
 * pause that doubles; meanwhile, and when the pool is empty, a guest gets an
 * executor of its own.
 */
#ifndef VG_POOL_H
#define VG_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mediator/base/list.h"
#include "mediator/base/loop.h"

struct vg_client;
struct vg_mediator;
struct vg_session;

#define VG_POOL_QUIET_MS     300u   /* after one was taken, before the next is started */
#define VG_POOL_RETRY_MS     1000u  /* after a failure; doubles with each ... */
#define VG_POOL_RETRY_MAX_MS 60000u /* ... up to this */

struct vg_pool {
    struct vg_list sessions;    /* WARMING or IDLE, and those that are being ended */
    struct vg_timer timer;      /* the next start */
    unsigned failures;          /* in a row */
    unsigned started;           /* ever */
    bool closed;                /* the daemon stops */
};

/* Starts the first, and ends what an earlier daemon's settings or build have left. prestart = 0 means an empty pool. */
void vg_pool_init(struct vg_mediator *m);
/* Ends those that nobody has taken, at once; they disappear when they are reaped. */
void vg_pool_close(struct vg_mediator *m);
/* Takes one that an earlier daemon started; vg_pool_init ends it if it is outdated. */
void vg_pool_adopt(struct vg_session *s);
/* Ends those that nobody should be given any more, and starts others in their place. */
void vg_pool_refresh(struct vg_mediator *m);
bool vg_pool_is_empty(const struct vg_mediator *m);
/* Those that have the GPU ready. */
unsigned vg_pool_idle(const struct vg_mediator *m);

/*
 * An executor for the client's slot: one of the pool, or a new one. 0, or -errno with
 * a sentence for the peer in `why`.
 */
int vg_pool_attach(struct vg_client *client, unsigned slot, uint32_t token,
                   struct vg_session **ret_session, char *why, size_t why_cap);

/* ---- for session.c ---- */

/* One of the pool has become IDLE. */
void vg_pool_session_idle(struct vg_mediator *m);
/* One of the pool has reached ENDED; frees it. */
void vg_pool_session_ended(struct vg_session *s);

#endif
