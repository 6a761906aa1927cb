/* SPDX-License-Identifier: MIT */
/*
 * What executors do wrong and what follows: faults are entered for their VM, too many
 * put it in quarantine, which only an administrator ends. Kept in state_dir/health.json
 * (health_store.c), so that no restart of anything clears it; a VM is known there by the
 * name it has here. Judging is mediator/health's; this file carries it out. Runs on the
 * daemon's loop.
 */
#ifndef VG_HEALTH_H
#define VG_HEALTH_H

#include <json-c/json.h>
#include <stddef.h>

#include "gpu_watch.h"
#include "gpus.h"
#include "kernel_log.h"
#include "mediator/base/loop.h"
#include "mediator/health/ledger.h"
#include "protocol/vg_region.h"
#include "verbs.h"

#define VG_HEALTH_SAVE_MS  1000u    /* between two writes for faults; quarantine is written at once */
#define VG_HEALTH_RETRY_MS 5000u   /* after a failure to write */
#define VG_HEALTH_TEXT     VG_REASON_MAX

struct vg_mediator;
struct vg_session;
struct vg_vm;

/* Of one VM, in struct vg_vm. */
struct vg_vm_health {
    struct vg_ledger ledger;
    bool quarantined;
    char reason[VG_HEALTH_TEXT];    /* "3 fault(s) within 600 s, the last one a kernel that hung" */
    bool by_admin;                  /* who put it there; else its faults did */
    int64_t since;                  /* s since 1970 */
};

/* Of the daemon. */
struct vg_health {
    uint64_t saved_at;              /* vg_now() of the last write, or try */
    struct vg_timer save_timer, look_timer;
    bool unsaved;                   /* something is not on disk yet */
    char save_problem[VG_HEALTH_TEXT];  /* why the last attempt to write failed; "": it did not */
    struct vg_gpus gpus;
    struct vg_kernel_log kernel_log;
    struct vg_gpu_watch gpu_watch;
};

/* Reads what is on disk, after the VMs. 0, or -errno with what is wrong in `why`. */
int vg_health_init(struct vg_mediator *m, char *why, size_t why_cap);
/* The executors that an earlier daemon left are known now. */
void vg_health_resume(struct vg_mediator *m);
void vg_health_fini(struct vg_mediator *m);     /* writes what is not on disk yet; idempotent */

/* ---- faults ---- */

/* An executor that served a VM has been reaped: was it a fault? */
void vg_health_session_ended(struct vg_session *s);

/* A peer of the VM broke the protocol; one fault, however many executors end with it. */
void vg_health_peer_misbehaved(struct vg_mediator *m, struct vg_vm *vm);

/*
 * Whether the VM may start another executor. VG_GONE_NONE, or why not, with a sentence
 * for its log.
 */
enum vg_gone_reason vg_health_refuses(struct vg_mediator *m, const struct vg_vm *vm, char *why,
                                      size_t why_cap);

/* ---- quarantine ---- */

/* The reason while the VM is in quarantine, else NULL. */
const char *vg_quarantine_of(const struct vg_vm *vm);

/*
 * By an administrator. Its executors end, and it is shut out, even if that cannot be
 * written: then < 0, and `why` says that it will not survive the daemon.
 */
int vg_quarantine_set(struct vg_mediator *m, struct vg_vm *vm, const char *reason, char *why,
                      size_t why_cap);

/* Its faults are forgotten too. 0, or < 0 with the reason: then nothing has changed. */
int vg_quarantine_clear(struct vg_mediator *m, struct vg_vm *vm, char *why, size_t why_cap);

/* ---- what administrators see ---- */

/* "state", and while it is in quarantine "quarantine". */
void vg_health_vm_to(json_object *o, const struct vg_vm *vm);
/* "alerts", "gpus", "quarantined". */
unsigned vg_health_alerts(struct vg_mediator *m);   /* how many sentences show-health has */
void vg_health_to(json_object *o, struct vg_mediator *m);
/* "fault_log": what is remembered, oldest first. */
void vg_health_log_to(json_object *o, const struct vg_vm *vm);

/* A GPU's state has changed. */
void vg_health_gpu_changed(struct vg_mediator *m);

/* ---- health_store.c ---- */

/* 0 (also if there is no file yet), or -errno with what is wrong. Unknown VMs are made known. */
int vg_health_load(struct vg_mediator *m, char *why, size_t why_cap);
int vg_health_save(struct vg_mediator *m);

#endif
