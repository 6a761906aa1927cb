/* SPDX-License-Identifier: MIT */
/*
 * A VM's limits, as its executors see them: the page (mediator/limit/account.h) that the
 * daemon shares with them, and who sits where in it. Runs on the daemon's loop.
 */
#ifndef VG_DAEMON_QUOTA_H
#define VG_DAEMON_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mediator/limit/account.h"

struct vg_client;
struct vg_config;
struct vg_mediator;
struct vg_session;
struct vg_vm;

/* A VM's part, in struct vg_vm. There is an account while there are executors. */
struct vg_vm_quota {
    int fd;                         /* of the account, -1: none */
    struct vg_account *account;     /* mapped */
    uint64_t taken[VG_SEATS / 64];  /* seats in use */
    unsigned processes;             /* of these */
    uint64_t bucket;                /* what it was when the last one went */
    uint64_t refused;               /* processes that were one too many */
    uint64_t told;                  /* minute of the latest line about that, 0: none */
};

void vg_quota_init(struct vg_vm *vm);
void vg_quota_fini(struct vg_vm *vm);

/* Puts the VM's limits into the session's orders; without a VM, what a context costs. */
void vg_quota_tell(struct vg_session *s);

/* Whether the VM may have one more process. 0, or -EDQUOT with a sentence in `why`. */
int vg_quota_check(struct vg_mediator *m, struct vg_vm *vm, char *why, size_t why_cap);

/*
 * Bytes of regions that the VM's peers have: pinned and managed memory lies in them, and executors
 * pin them whole. And whether there may be so many more; false with a sentence in `why`.
 */
uint64_t vg_quota_pinned(const struct vg_mediator *m, const struct vg_vm *vm);
bool vg_quota_may_pin(struct vg_mediator *m, const struct vg_vm *vm, uint64_t bytes, char *why,
                      size_t why_cap);

/* A seat for the session, s->seat, unless it has one. 0 or -errno. */
int vg_quota_sit(struct vg_session *s);
/* Bytes that a context counts, and where that is from: "measured", "setting", "assumed". */
uint64_t vg_quota_context(const struct vg_mediator *m, const char **ret_from);
/* Whether a new executor should measure it, and: one that has not served anybody may have. */
bool vg_quota_wants_measure(const struct vg_mediator *m, const struct vg_session *s);
void vg_quota_measured(struct vg_session *s);
/* For a daemon that takes over: what an earlier one knew when it wrote about the session. */
void vg_quota_recall(struct vg_session *s, uint64_t measured);

/* Its executor has been started, so it is known what a context of its costs. */
void vg_quota_begun(struct vg_session *s);
/* Its executor is being ended: who asks for what it holds had better wait. */
void vg_quota_leaving(struct vg_session *s);
/* Its executor has ended: what it held is free again. Idempotent. */
void vg_quota_leave(struct vg_session *s);

/*
 * For a daemon that takes over from a dead one: the session's seat, as it is in s->seat, and
 * with the VM's first one the account; s->account_fd is the session's own before and the VM's
 * afterwards. What makes no sense is no seat.
 */
void vg_quota_adopt(struct vg_session *s);

/* The VM's policy has changed; its executors feel it with their next call. */
void vg_quota_apply(struct vg_mediator *m, struct vg_vm *vm);
/* The same for all VMs: a limit of the configuration, or what a context costs. */
void vg_quota_apply_all(struct vg_mediator *m);

/* Things of all its executors, by their own count. */
uint64_t vg_quota_things(const struct vg_vm *vm, enum vg_quota_kind kind);

/* Bytes of GPU memory that the VM has, what its contexts cost included; calls in flight. */
uint64_t vg_quota_memory(const struct vg_vm *vm);
uint64_t vg_quota_queued(const struct vg_vm *vm);

#endif
