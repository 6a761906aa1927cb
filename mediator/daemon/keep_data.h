/* SPDX-License-Identifier: MIT */
/*
 * The bytes under a key: what one daemon writes (keep.c) and the next reads (restore.c),
 * which may be an older or a newer build. So: members are only added at an end, with 0
 * as "not said"; structs of other headers travel with their size, and one of another
 * size is not taken; the bits of `fds` are places in a table that only grows.
 */
#ifndef VG_KEEP_DATA_H
#define VG_KEEP_DATA_H

#include "client.h"
#include "mediator/vg_keep.h"
#include "session.h"
#include "share.h"
#include "vm.h"

#define VG_KEEP_VERSION 1u  /* another one: the bytes mean something else, nothing is taken over */

enum vg_keep_kind {         /* in the order in which they are restored */
    VG_KIND_MEDIATOR = 1,
    VG_KIND_VM,
    VG_KIND_CLIENT,
    VG_KIND_SESSION,
    VG_KIND_SHARE,
    VG_KIND_END
};

#define VG_KEY(kind, n)  ((uint64_t)(kind) << 56 | (n))
#define VG_KEY_KIND(key) ((unsigned)((key) >> 56))
#define VG_KEY_N(key)    ((key) & 0xffffffffffffffull)

/* Descriptors of a kind: where its object has them. */
struct vg_keep_fds {
    const size_t *at;
    unsigned count;         /* at most VG_KEEP_FDS_MAX */
};

extern const struct vg_keep_fds vg_keep_fds[VG_KIND_END];

struct vg_kept_head {
    uint32_t version;
    uint32_t fds;           /* bit i: the i-th of the table came along */
};

struct vg_kept_mediator {
    struct vg_kept_head head;
    uint64_t next_key;
    uint32_t next_client, reserved;
    uint64_t refused, misbehaved;
};

struct vg_kept_vm {
    struct vg_kept_head head;
    char name[VG_VM_NAME_MAX];
    uint32_t policy_size, usage_size;
    uint64_t since;
    uint64_t gone[32];
    uint8_t policy[512];    /* struct vg_policy; of a registered VM the file on disk counts */
    uint8_t usage[sizeof(struct vg_usage)];
    uint32_t registered;    /* counts where no file keeps it */
    uint32_t reserved;
};

struct vg_kept_client {
    struct vg_kept_head head;
    uint32_t id, state, role, uid;
    int32_t pid;
    uint32_t watched;       /* 1: peer_start is valid */
    uint64_t peer_start;
    char claimed[64], vm[VG_VM_NAME_MAX];
    uint64_t region_size, region_gfn;
    uint32_t slot_count, domid;
    uint8_t used[VG_SLOTS_MAX];
    uint32_t last_token[VG_SLOTS_MAX];
};

struct vg_kept_session {
    struct vg_kept_head head;
    uint64_t client;        /* its key, 0: in the pool */
    uint32_t slot, token, state, reason;
    uint8_t ahead, released, software, reserved[5];
    int32_t pid;
    uint32_t user;          /* that it became for its VM, 0: none of its own */
    uint64_t pid_start;     /* tells the process from a later one of its number */
    uint64_t started, ready_ns;
    uint64_t program;       /* vg_backend_id() of what it runs */
    char device[160], failure[160];
    char library[1024];     /* "": its path is longer */
    uint32_t seat;          /* in its VM's account, plus 1 */
    uint32_t reserved2;
    uint64_t context_bytes; /* the daemon's context_measured when this was written */
    char gpus[192];
};

struct vg_kept_share {
    struct vg_kept_head head;
    uint64_t owner;         /* key of the session */
    uint32_t kind, seq;
    uint64_t token[2], size;
    uint8_t data[64];
};

typedef char vg_assert_kept_vm[sizeof(struct vg_kept_vm) <= VG_KEEP_DATA_MAX &&
                               sizeof(struct vg_policy) <= 512 && VG_GONE_REASONS <= 32 ? 1 : -1];

#endif
