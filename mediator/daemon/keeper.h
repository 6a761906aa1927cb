/* SPDX-License-Identifier: MIT */
/*
 * The daemon's line to vgpu-keeper (mediator/vg_keep.h): finds or starts it, takes over
 * what it holds, hands it what the next daemon will need. What that is, keep.c knows.
 * Where there is no keeper, by the settings or by accident, all of this does nothing.
 */
#ifndef VG_KEEPER_H
#define VG_KEEPER_H

#include "mediator/base/loop.h"
#include "mediator/vg_keep.h"

#define VG_KEEPER_SEND_MS  1000u    /* one that takes nothing for so long is replaced */
#define VG_KEEPER_LIST_MS  5000u    /* for all it holds */
#define VG_KEEPER_RETRY_MS 1000u    /* between two starts */

struct vg_mediator;

struct vg_keeper {
    struct vg_mediator *mediator;   /* NULL: never opened */
    int sock;                       /* -1: there is none */
    struct vg_io io;
    struct vg_child child;          /* armed while one runs that this daemon started */
    struct vg_timer timer;          /* the next attempt to start one */
    uint64_t started_at;
};

/* An item of the last daemon's. Who takes descriptors leaves -1. */
struct vg_kept {
    struct vg_kept *next;
    uint64_t key;
    uint32_t len;
    int fds[VG_KEEP_FDS_MAX];
    unsigned nfds;
    uint8_t data[];
};

void vg_keeper_init(struct vg_keeper *k, struct vg_mediator *m);

/* Connects to one that a daemon has left, if there is one: what it holds, oldest first, or NULL. */
struct vg_kept *vg_keeper_take(struct vg_keeper *k);
void vg_kept_free(struct vg_kept *list);    /* closes what nobody took */

/* Starts one if there is none yet and fills it. */
void vg_keeper_start(struct vg_keeper *k);

/* As the messages in vg_keep.h; nothing without a keeper. `drop`: a key to forget with it, or 0. */
void vg_keeper_put(struct vg_keeper *k, uint64_t key, const void *data, size_t len, const int *fds,
                   unsigned nfds);
void vg_keeper_set(struct vg_keeper *k, uint64_t key, uint64_t drop, const void *data, size_t len);
void vg_keeper_drop(struct vg_keeper *k, uint64_t key);

static inline bool vg_keeper_is_up(const struct vg_keeper *k)
{
    return k->sock >= 0;
}

/* Ends it with all it holds; returns when it is gone, or soon. */
void vg_keeper_bye(struct vg_keeper *k);

/* Closes our end only. Idempotent. */
void vg_keeper_fini(struct vg_keeper *k);

#endif
