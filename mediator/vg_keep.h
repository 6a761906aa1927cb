/* SPDX-License-Identifier: MIT */
/*
 * Between the daemon and vgpu-keeper, which holds descriptors and bytes for it while
 * there is no daemon: packets on a SOCK_SEQPACKET socket beside the mediator's own.
 * The keeper knows nothing of what it holds: a key, bytes, descriptors in an order.
 *
 *   daemon                        keeper
 *   PUT key, bytes, fds       ->     holds these instead of what it had under the key
 *   SET key, bytes            ->     other bytes, the same descriptors
 *   DROP key                  ->     closes and forgets; so does `drop` of a PUT or SET, with it
 *   LIST                      ->
 *                              <- ITEM key, bytes, fds   for each
 *                              <- END
 *   BYE                       ->     lets everything go and ends
 *
 * No answers but to LIST. What was sent before the daemon died is done before the next
 * one's LIST is answered.
 */
#ifndef VG_KEEP_H
#define VG_KEEP_H

#include <stddef.h>
#include <stdint.h>

#define VG_KEEP_MAGIC    0x5045454bu    /* "KEEP"; another one: another protocol */
#define VG_KEEP_DATA_MAX 32768u         /* bytes under a key */
#define VG_KEEP_FDS_MAX  12u             /* descriptors under a key */

#define VG_KEEP_SUFFIX   ".keeper"      /* of the mediator's socket's path: the keeper's */

/* The keeper's descriptors at its start. */
enum { VG_KEEP_FD_LISTEN = 3, VG_KEEP_FD_DAEMON = 4, VG_KEEP_FDS };

enum vg_keep_type {
    VG_KEEP_PUT = 1,
    VG_KEEP_SET,
    VG_KEEP_DROP,
    VG_KEEP_LIST,
    VG_KEEP_BYE,
    VG_KEEP_ITEM,
    VG_KEEP_END,
};

struct vg_keep_msg {
    uint32_t magic;
    uint32_t type;          /* enum vg_keep_type */
    uint64_t key;           /* 0 is none */
    uint64_t drop;          /* PUT, SET: forget this one in the same moment; 0: none */
    uint32_t len;           /* bytes of data that follow */
    uint32_t reserved;
    uint8_t  data[VG_KEEP_DATA_MAX];    /* only `len` of them travel */
};

#define VG_KEEP_HEAD offsetof(struct vg_keep_msg, data)

#endif
