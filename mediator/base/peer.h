/* SPDX-License-Identifier: MIT */
/*
 * Whether the process behind a connection still lives. The end of its socket does
 * not say so when a forked child holds a copy.
 */
#ifndef VG_BASE_PEER_H
#define VG_BASE_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct vg_peer {
    pid_t pid;              /* 0: not visible from here, then it counts as living */
    uint64_t start_time;    /* tells it from a later process of the same number */
};

void vg_peer_init(struct vg_peer *p, pid_t pid);
bool vg_peer_lives(const struct vg_peer *p);

#endif
