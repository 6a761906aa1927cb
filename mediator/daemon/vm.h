/* SPDX-License-Identifier: MIT */
/*
 * The VMs the mediator knows: registered by an administrator, or met. Several
 * peers (a device, host processes) may share one name and so one VM. Owns policy
 * and the totals of executors that have ended.
 */
#ifndef VG_VM_H
#define VG_VM_H

#include <stdbool.h>

#include "health.h"
#include "images.h"
#include "mediator/base/list.h"
#include "policy.h"
#include "quota.h"
#include "protocol/vg_region.h"
#include "turns.h"
#include "usage.h"

#define VG_VM_NAME_MAX   64u
#define VG_VMS_MAX       1024u
#define VG_GONE_REASONS  (VG_GONE_GPU_SICK + 1u)

/* What a toolstack says of a VM; the toolstack's part (toolstack.h) writes it. */
struct vg_vm_toolstack {
    unsigned domains;                   /* of this VM that live: 0: none, and then nothing else counts */
    uint32_t domid;                     /* of the one whose policy holds */
    bool enabled;
    char uuid[40], label[64];           /* label: the name for people */
    char notes[512];                    /* keys that were not taken as written, joined by "; " */
    uint64_t left;                      /* vg_now() when the last domain went, 0: never had one */
};

struct vg_vm {
    struct vg_list link;
    char name[VG_VM_NAME_MAX];
    bool registered;                    /* by an administrator; else met and forgotten at exit */
    struct vg_policy policy;            /* as the administrator wants it */
    struct vg_policy grant;             /* the same within the host's caps: what counts */
    char pool_unknown[VG_POOL_MAX];     /* its pool, if no setting names it; else "" */
    unsigned clamped;                   /* fields that the caps have changed, vg_policy_clamp */
    struct vg_vm_quota quota;
    struct vg_vm_images images;         /* that its processes have sent */
    uint32_t user;                      /* of its executors, see users.h; 0: none yet */
    unsigned peers;                     /* connections that hold on to it */
    uint64_t since;                     /* vg_now() at registration or first sight */
    struct vg_usage ended;
    struct vg_vm_turns turns;           /* on its pool's GPUs */
    uint64_t gone[VG_GONE_REASONS];     /* executors that ended for a reason, by reason */
    struct vg_list shares;              /* what its executors share, see share.h */
    struct vg_vm_health health;
    struct vg_vm_toolstack toolstack;
    int due_ppm;                        /* entitlement, smoothed: see due.h */
    unsigned share_count, share_fds;    /* entries, and those with a descriptor */
    uint64_t key;                       /* in the keeper; 0: not there */
};

struct vg_vms {
    struct vg_list list;                /* sorted by name */
    unsigned count;
    void (*forgotten)(void *arg, struct vg_vm *vm);   /* one is about to be freed; or NULL */
    void *arg;
};

void vg_vms_init(struct vg_vms *vms);
void vg_vms_fini(struct vg_vms *vms);

struct vg_vm *vg_vms_find(struct vg_vms *vms, const char *name);

/*
 * A new VM; the name must be new and pass vg_name_ok. When VG_VMS_MAX are known,
 * one that was only met, has no peer and is not in quarantine makes room. NULL: no room or no memory.
 */
struct vg_vm *vg_vms_add(struct vg_vms *vms, const char *name, const struct vg_policy *policy);

/* Nobody would miss it: no peer, no domain, no quarantine. */
bool vg_vm_is_idle(const struct vg_vm *vm);

/* Forgets the VM. It must have no peers. */
void vg_vms_remove(struct vg_vms *vms, struct vg_vm *vm);

/* Whether an executor that ended for it counts as a fault; vgpu-admin(8) lists these. */
bool vg_gone_is_fault(unsigned reason);

/* Executors that ended by a fault. */
uint64_t vg_vm_faults(const struct vg_vm *vm);

const char *vg_gone_name(unsigned reason);  /* "crashed", "timeout" */

#endif
