/* SPDX-License-Identifier: MIT */
/* What the keeper holds: bytes and descriptors by key. Owns both. One thread. */
#ifndef VG_HOARD_H
#define VG_HOARD_H

#include <stdbool.h>

#include "mediator/base/list.h"
#include "mediator/vg_keep.h"

struct vg_hoard {
    struct vg_list items;
    unsigned count;
};

struct vg_hoard_item {
    struct vg_list link;
    uint64_t key;
    uint8_t *data;
    uint32_t len;
    int fds[VG_KEEP_FDS_MAX];
    unsigned nfds;
};

void vg_hoard_init(struct vg_hoard *h);
void vg_hoard_clear(struct vg_hoard *h);

/* Takes the descriptors, whatever happens. False: no memory, then nothing is held under the key. */
bool vg_hoard_put(struct vg_hoard *h, const struct vg_keep_msg *msg, const int *fds, unsigned nfds);

/* Other bytes, the same descriptors; none if there was nothing under the key. */
bool vg_hoard_set(struct vg_hoard *h, const struct vg_keep_msg *msg);

void vg_hoard_drop(struct vg_hoard *h, uint64_t key);

#endif
