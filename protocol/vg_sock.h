/* SPDX-License-Identifier: MIT */
/*
 * Messages on the mediator's socket (SOCK_SEQPACKET, one struct vg_msg a packet,
 * file descriptors by SCM_RIGHTS). The peers: a device in QEMU, or a process on
 * the host (vgpu-run, containers). The identity of a VM is the listener's or the
 * peer credential's business; the name in HELLO is a label.
 *
 *   peer                          mediator
 *   HELLO [region fd: device] ->
 *                              <- WELCOME [region fd: process, monitor]  or REFUSED
 *   ATTACH token              ->     (guest or process claimed a slot, filled its hello)
 *                              <- ATTACHED token [doorbell eventfd]  or REFUSED token
 *   RELEASE token             ->     (guest process ended)
 *                              <- SLOT_FREE token (executor is gone; slot may be claimed again)
 *   RESET                     ->     (VM reset: every slot released)
 *   MOVED region_gfn          ->     (under Xen: the guest has moved BAR1)
 *
 *   executor                      mediator
 *   READY or FAILED           ->
 *   SHARE kind, data [fd]     ->     (the guest exports something)
 *                              <- SHARED token
 *   FETCH kind, token         ->     (another process of the same VM imports it)
 *                              <- FETCHED data [fd]
 *   UNSHARE token             ->     (what was exported has ended; no answer)
 */
#ifndef VG_SOCK_H
#define VG_SOCK_H

#include <stdint.h>

#define VG_SOCKET_PATH   "/var/vgpu/mediator.sock"
#define VG_CONTROL_PATH  "/var/vgpu/control.sock"

enum vg_msg_type {
    VG_MSG_HELLO     = 1,
    VG_MSG_WELCOME   = 2,
    VG_MSG_REFUSED   = 3,   /* text: why */
    VG_MSG_ATTACH    = 4,
    VG_MSG_ATTACHED  = 5,   /* fd: the executor's doorbell eventfd */
    VG_MSG_RELEASE   = 6,
    VG_MSG_SLOT_FREE = 7,
    VG_MSG_RESET     = 8,
    VG_MSG_READY     = 9,   /* executor -> mediator: serving */
    VG_MSG_FAILED    = 10,  /* executor -> mediator: text says why; it exits */
    VG_MSG_SERVE     = 11,  /* mediator -> executor: token, region_size, slot_count, VM's name, seat,
                               user; fds: the region, the VM's account, its shelf of images if it
                               has one. Sent once, before anything else */
    VG_MSG_IDLE      = 12,  /* executor -> mediator: started without a slot, waits for SERVE */
    VG_MSG_SHARE     = 13,  /* these are struct vg_share_msg */
    VG_MSG_SHARED    = 14,
    VG_MSG_FETCH     = 15,
    VG_MSG_FETCHED   = 16,
    VG_MSG_UNSHARE   = 17,
    VG_MSG_MOVED     = 18,  /* device -> mediator: region_gfn is another one now */
};

enum vg_role {
    VG_ROLE_DEVICE  = 1,
    VG_ROLE_PROCESS = 2,
    VG_ROLE_MONITOR = 3,    /* gets telemetry (vg_telemetry.h) in a memfd; can attach nothing */
};

struct vg_msg {
    uint32_t type;          /* enum vg_msg_type */
    uint32_t version;       /* VG_PROTOCOL_VERSION in HELLO and WELCOME */
    uint32_t role;          /* HELLO: enum vg_role */
    uint32_t token;         /* ATTACH, ATTACHED, RELEASE, SLOT_FREE, REFUSED (0: the whole peer), SERVE */
    uint64_t region_size;   /* HELLO of a device, WELCOME to a process or monitor, SERVE: bytes */
    uint32_t slot_count;
    uint32_t pid;           /* HELLO of a process: for logs only. SERVE: its seat in the account */
    uint64_t region_gfn;    /* all messages of a device under Xen: the guest's first frame of the
                               region, which then is no fd. SERVE: the same, the fd is privcmd */
    char     name[64];      /* HELLO: VM name or process name, NUL-terminated. A monitor's: the VM
                               to watch, "" for all host processes of the peer's user */
    uint32_t domid;         /* SERVE, with region_gfn */
    uint32_t user;          /* SERVE: whom the executor becomes, 0: whoever it is */
    union {
        char     text[144]; /* REFUSED, FAILED: reason; READY, IDLE: device. NUL-terminated */
        uint64_t shelf_size;    /* SERVE: bytes of the shelf */
    };
};

typedef char vg_assert_msg_size[sizeof(struct vg_msg) == 256 ? 1 : -1];

/* What can be shared. The kind of a FETCH must be that of the SHARE. */
enum vg_share_kind {
    VG_SHARE_MEMORY    = 1, /* fd: cuMemExportToShareableHandle */
    VG_SHARE_POOL      = 2, /* fd: cuMemPoolExportToShareableHandle */
    VG_SHARE_POINTER   = 3, /* data: cuMemPoolExportPointer */
    VG_SHARE_IPC_MEM   = 4, /* data: cuIpcGetMemHandle */
    VG_SHARE_IPC_EVENT = 5, /* data: cuIpcGetEventHandle */
    VG_SHARE_KINDS
};

/*
 * The driver's handles and descriptors never reach a guest: it holds a token, which
 * means something only within its VM, and only as long as the executor that shared
 * lives and has not taken it back.
 */
struct vg_share_msg {
    uint32_t type;          /* enum vg_msg_type, SHARE to UNSHARE */
    uint32_t seq;           /* of the question; the answer repeats it */
    uint32_t kind;          /* enum vg_share_kind */
    int32_t  status;        /* of an answer: 0, or -errno and the rest means nothing */
    uint64_t token[2];      /* random; all but SHARE */
    uint64_t size;          /* bytes of memory that is shared, 0 for other things */
    uint8_t  data[64];      /* the driver's own handle */
    uint8_t  reserved[152];
};

typedef char vg_assert_share_size[sizeof(struct vg_share_msg) == 256 ? 1 : -1];

#endif
