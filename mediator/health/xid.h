/* SPDX-License-Identifier: MIT */
/*
 * What NVIDIA's driver says in the kernel log about a GPU: "Xid" lines, and what each
 * number means for us. After docs.nvidia.com/deploy/xid-errors, for data-centre GPUs.
 * Pure: no I/O.
 */
#ifndef VG_XID_H
#define VG_XID_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define VG_XID_GPU_MAX 16u  /* bytes of a GPU's name: "0000:17:00" */

struct vg_xid {
    char gpu[VG_XID_GPU_MAX];   /* PCI address as in the line, lower case */
    unsigned number;
    pid_t pid;                  /* the process it blames, 0: none */
    char text[96];              /* the rest, for people; printable */
};

enum vg_xid_class {
    VG_XID_NOTE,    /* follows another, or is a warning: logged */
    VG_XID_APP,     /* the process's own fault; its context is dead */
    VG_XID_MEMORY,  /* the process is dead, by no fault of its own: contained memory error */
    VG_XID_DRAIN,   /* the GPU needs a reset or a look: nobody new on it */
    VG_XID_LOST,    /* it is gone from the bus */
};

/* Ordered: a GPU only gets worse until an administrator says that it is well. */
enum vg_gpu_state { VG_GPU_OK, VG_GPU_DRAIN, VG_GPU_LOST };

/*
 * Takes one line of the kernel log, without its prefix or with that of /dev/kmsg. False:
 * it is no Xid line, or was written by a program and not by the kernel.
 */
bool vg_xid_parse(const char *line, size_t len, struct vg_xid *ret_xid);

enum vg_xid_class vg_xid_class(unsigned number);
const char *vg_xid_meaning(unsigned number);    /* "GPU has fallen off the bus"; "" if unknown */

/* The state of a GPU after it. */
enum vg_gpu_state vg_xid_state(enum vg_gpu_state before, enum vg_xid_class class);
const char *vg_gpu_state_name(enum vg_gpu_state state);     /* "ok", "drain", "lost" */

#endif
