/* SPDX-License-Identifier: MIT */
/*
 * What the next daemon needs to go on where this one ends, whenever that is: for each
 * executor, peer, VM and shared thing some plain values and its descriptors, which the
 * keeper holds (keeper.h). keep.c has one struct and one table of descriptors for each
 * kind: both only ever grow at their end, so that a newer daemon understands an older
 * one's, and what is missing is 0 or -1.
 *
 * Each of these is called after a change; the order of the calls is what a daemon that
 * is killed between two of them leaves behind.
 */
#ifndef VG_KEEP_DAEMON_H
#define VG_KEEP_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

struct vg_client;
struct vg_kept;
struct vg_mediator;
struct vg_session;
struct vg_share;
struct vg_vm;

/* Values and descriptors: of a new one, or one whose descriptors have changed. */
void vg_keep_session(struct vg_session *s);
void vg_keep_client(struct vg_client *c);
void vg_keep_share(struct vg_mediator *m, struct vg_share *e);
/* The daemon's own: counters, the socket it listens on. */
void vg_keep_mediator(struct vg_mediator *m);

/* Values only. */
void vg_keep_session_values(struct vg_session *s);
void vg_keep_client_values(struct vg_client *c);

/* A VM has few changes; all of it. `ended`: key of an executor that its totals now include, or 0. */
void vg_keep_vm(struct vg_mediator *m, struct vg_vm *vm, uint64_t ended);

/* It has ended. `*key` is its member `key`, which becomes 0. */
void vg_keep_forget(struct vg_mediator *m, uint64_t *key);

/* All of it, for a new keeper. */
void vg_keep_all(struct vg_mediator *m);

/* Takes over what the last daemon has left. Before anything else is made; takes the list. */
void vg_keep_restore(struct vg_mediator *m, struct vg_kept *list);

#endif
