/* SPDX-License-Identifier: MIT */
/*
 * The host's GPUs and how they are. A GPU that needs a reset (mediator/health/xid.h) takes nobody
 * new; whoever is on it stays. New processes of a pool go to those of its GPUs that are well; with
 * none left they are refused. An administrator says when one is well again, or the host starts anew.
 *
 * Xids come from two sources that say the same: the kernel log (kernel_log.h) and NVML
 * (gpu_watch.h); each counts once. NVML also says which GPU has which number; without it, one that
 * is sick may be anybody's, so everybody is refused.
 */
#ifndef VG_GPUS_H
#define VG_GPUS_H

#include <json-c/json.h>
#include <stdint.h>

#include "mediator/health/xid.h"
#include "place.h"

#define VG_GPUS_MAX 16u
#define VG_GPU_RECENT 8u            /* Xids that the other source may still say */
#define VG_GPU_TWICE_S 10u          /* and how much later */

struct vg_mediator;
struct vg_vm;

enum vg_xid_source { VG_XID_BY_KERNEL, VG_XID_BY_NVML };

struct vg_gpu {
    char name[VG_XID_GPU_MAX];      /* PCI address */
    int index;                      /* as pools count GPUs; -1: not known */
    enum vg_gpu_state state;
    unsigned xid;                   /* that brought it there */
    uint64_t xids;                  /* seen in all */
    int64_t since;                  /* s since 1970; 0: it has always been so */
    struct {
        unsigned xid;               /* 0: none, or both have said it */
        enum vg_xid_source by;
        uint64_t at;                /* vg_now() */
    } recent[VG_GPU_RECENT];
    unsigned next;                  /* of `recent` */
};

struct vg_gpus {
    struct vg_gpu gpu[VG_GPUS_MAX]; /* that NVML has named, or of which something was said */
    unsigned count;
};

/* The one of that name, a new one if need be. NULL: too many. */
struct vg_gpu *vg_gpus_find(struct vg_gpus *g, const char *name);

/* NVML's number for it. */
void vg_gpus_name(struct vg_mediator *m, const char *name, unsigned index);

/* One of the sources has said something. */
void vg_gpus_xid(struct vg_mediator *m, const struct vg_xid *x, enum vg_xid_source by);

/*
 * The GPUs of a pool that take somebody: its place, less those that are sick. NULL; or the sick one
 * because of which there are none, and the place is all of the pool.
 */
const struct vg_gpu *vg_gpus_place(const struct vg_mediator *m, const char *pool,
                                   struct vg_place *ret_place);

/* Whether one of the VM's is sick: what happens on it is not the VM's fault. */
bool vg_gpus_ail(const struct vg_mediator *m, const struct vg_vm *vm);

/* An administrator says that it is well. 0, or < 0 with the reason. */
int vg_gpu_clear(struct vg_mediator *m, const char *name, char *why, size_t why_cap);

/* A list of all that are known. */
json_object *vg_gpus_to(const struct vg_gpus *g);

#endif
