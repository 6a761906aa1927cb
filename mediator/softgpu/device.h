/* SPDX-License-Identifier: MIT */
/*
 * The devices: what they are called, how large they are, and their attributes, made once at cuInit
 * from this machine and the environment:
 *
 *     VGPU_SOFT_DEVICES     how many devices, default 1, at most 16
 *     VGPU_SOFT_CORES       multiprocessors of each, default the processors we may run on
 *     VGPU_SOFT_MEMORY_MIB  memory of each, default half of RAM, at most 4 GiB
 *     VGPU_SOFT_CC          compute capability, default 8.0
 *
 * Immutable after initialisation, so read without a lock.
 */
#ifndef VG_SOFTGPU_DEVICE_H
#define VG_SOFTGPU_DEVICE_H

#include "api.h"

#define VG_DEVICES_MAX 16
#define VG_DEVICE_ATTRS 160

#define VG_WARP 32u
#define VG_BLOCK_THREADS_MAX 1024u
#define VG_SM_THREADS 2048u
#define VG_SM_BLOCKS 32u
#define VG_SM_REGS 65536u
#define VG_SM_SHARED (164u << 10)
#define VG_BLOCK_SHARED (48u << 10)             /* without opting in */
#define VG_BLOCK_SHARED_OPTIN (163u << 10)
#define VG_BLOCK_SHARED_RESERVED 1024u          /* the system's own share of each block */

struct vg_ctx;
struct vg_pool;

struct vg_device {
    int ordinal;
    char name[64];
    CUuuid uuid;
    char pci_id[24];
    size_t memory;
    unsigned cores;
    int cc_major, cc_minor;
    int attr[VG_DEVICE_ATTRS];
    struct vg_ctx *primary;             /* made once; active while it has references */
    uint64_t graph_used, graph_high;    /* bytes of graphs' own memory */
    struct vg_pool *default_pool;
    struct vg_pool *current_pool;
};

/* CUDA_SUCCESS once cuInit has run in this process (a forked child has to exec first). */
CUresult vg_init_check(void);

/* The device of an ordinal, NULL when there is none. */
struct vg_device *vg_device_get(CUdevice ordinal);
unsigned vg_device_count(void);

/* Checks initialisation and ordinal, as every device query starts. */
CUresult vg_device_enter(CUdevice ordinal, struct vg_device **ret);

#endif
