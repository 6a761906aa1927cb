/* SPDX-License-Identifier: MIT */
/*
 * What executors share with others of the same VM: memory, pools, events. The guest
 * process that exports gets a random token; whoever brings it from the same VM gets
 * the driver's handle. Each VM has a list of its own, so a token of another VM is
 * no token. Entries end with the executor that made them, or when it says so.
 */
#ifndef VG_SHARE_H
#define VG_SHARE_H

#include "protocol/vg_sock.h"
#include "session.h"

struct vg_share {
    struct vg_list link;        /* of the VM */
    uint64_t key;               /* in the keeper; 0: not there */
    struct vg_session *owner;
    uint32_t kind;
    uint32_t seq;               /* of the owner's question: asked again, it is the same thing */
    uint64_t token[2], size;
    uint8_t data[sizeof(((struct vg_share_msg *)0)->data)];
    int fd;                     /* -1: the data says it all */
};

/*
 * A message of an executor. Takes *fd (or -1) where it keeps it and leaves -1. False:
 * it is none of ours.
 */
bool vg_share_message(struct vg_session *s, const struct vg_share_msg *msg, int *fd);

/* Takes over a copy of `e`, which an earlier daemon kept; its descriptor, if true. */
bool vg_share_adopt(const struct vg_share *e);

/* Ends all that the session has shared. */
void vg_shares_end(struct vg_session *s);

#endif
