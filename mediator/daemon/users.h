/* SPDX-License-Identifier: MIT */
/*
 * Whom executors run as, if the daemon is root: numbers from executor_uid on, which nobody else on
 * the host has. The first is that of executors without a guest; each VM that has executors has
 * one of those after it, as user and as group, for as long as it is known: also where a daemon with
 * another setting takes over, whose numbers are for VMs that have none. A daemon that is not root has
 * executors of its own user.
 */
#ifndef VG_USERS_H
#define VG_USERS_H

#include <stddef.h>
#include <stdint.h>

struct vg_mediator;
struct vg_session;
struct vg_vm;

struct vg_users {
    uint32_t base;      /* 0: executors keep our user, but for VMs that have one */
    char problem[160];  /* why no executor may be started; or "" */
};

/* Decides, and tries whether we can. What is wrong is logged and stays in `problem`. */
void vg_users_init(struct vg_mediator *m);

/* 0, or -EPERM with a sentence for a peer. */
int vg_users_check(const struct vg_mediator *m, char *why, size_t why_cap);

/* The VM's user, chosen now if it has none; 0: ours. */
uint32_t vg_users_of(struct vg_mediator *m, struct vg_vm *vm);

/* With what user an executor is started; 0: ours. What has no VM yet can become any, if not ours. */
uint32_t vg_users_start(const struct vg_session *s);

#endif
