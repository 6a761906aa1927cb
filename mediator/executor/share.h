/* SPDX-License-Identifier: MIT */
/*
 * Sharing with other processes of the same VM, by way of the mediator: questions
 * under way, and what we have shared. A question puts its request aside; everything
 * else goes on, and the answer is looked at between other work. Serve thread only.
 */
#ifndef VG_EXEC_SHARE_H
#define VG_EXEC_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "vg_cuda.h"
#include "vg_sock.h"

struct vg_exec;
struct vg_req;
struct vg_share_ask;

#define VG_SHARE_ASKS_MAX 128u /* a guest has no more reply cells */

struct vg_share {
    uint32_t kind;          /* enum vg_share_kind */
    uint64_t key;           /* MEMORY: index in struct vg_vmm; IPC_MEM, POINTER: base of the range;
                               else the handle */
    uint64_t token[2];
};

struct vg_shares {
    struct vg_share *at;
    unsigned count, cap;
    struct vg_share_ask *asks;  /* a list, NULL-terminated */
    unsigned asking;
    uint32_t seq;
};

void vg_shares_fini(struct vg_shares *s);

/*
 * Answers r with the token of (kind, key), which `msg` (kind, size, data) and fd
 * describe; asks for one where there is none yet. Takes fd over; -1: none.
 */
CUresult vg_share_offer(struct vg_exec *x, struct vg_req *r, uint64_t key,
                        const struct vg_share_msg *msg, int fd);
/* True if it is shared already; then r is answered with its token. */
bool vg_share_offered(struct vg_exec *x, struct vg_req *r, enum vg_share_kind kind, uint64_t key);

/*
 * Asks for what the guest's token means. When the answer is there, `done` carries the
 * request out in the context it was made in; msg has the exporter's data and size,
 * fd is closed afterwards. `extra` is the body's own.
 */
typedef CUresult vg_share_fetched(struct vg_exec *x, struct vg_req *r, struct vg_share_msg *msg,
                                  int fd, uint64_t extra);
CUresult vg_share_fetch(struct vg_exec *x, struct vg_req *r, enum vg_share_kind kind,
                        const uint64_t token[2], vg_share_fetched *done, uint64_t extra);

/* Takes answers that have come. How many; -1 when the mediator has hung up. */
int vg_shares_poll(struct vg_exec *x);

/* Takes back what belongs to things that have ended. Call after anything ends. */
void vg_shares_sweep(struct vg_exec *x);

#endif
