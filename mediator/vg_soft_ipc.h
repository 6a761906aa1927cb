/* SPDX-License-Identifier: MIT */
/*
 * What stands in the 64 bytes of the software GPU's IPC handles. It has no kernel
 * driver, so the descriptor of the memory must travel beside the handle: executors
 * pass it on, and put their own number for it in before they open the handle. Two
 * plain processes of one user find it through /proc.
 */
#ifndef VG_SOFT_IPC_H
#define VG_SOFT_IPC_H

#include <stdint.h>

#define VG_SOFT_IPC_MAGIC 0x63706974666f7376ull

enum { VG_SOFT_IPC_MEMORY = 1, VG_SOFT_IPC_EVENT = 2, VG_SOFT_IPC_POINTER = 3 };

struct vg_soft_ipc {
    uint64_t magic;
    uint32_t kind;      /* VG_SOFT_IPC_MEMORY ... */
    uint32_t pid;       /* of the exporter */
    int32_t  fd;        /* in the exporter, or in this process if adopted */
    uint32_t adopted;   /* fd is valid here */
    uint64_t offset;    /* bytes into the descriptor's memory */
    uint64_t size;      /* bytes */
    uint64_t id;        /* of the allocation or event, in the exporter */
    uint64_t reserved[2];
};

typedef char vg_assert_soft_ipc_size[sizeof(struct vg_soft_ipc) == 64 ? 1 : -1];

#endif
