/* SPDX-License-Identifier: MIT */
/*
 * The submission ring of one slot: records from many threads of one guest
 * process (which serialise among themselves) to one executor thread.
 *
 * head and tail count bytes ever written and read; a record never wraps, the
 * rest of the ring is filled by a PAD record instead. The consumer copies each
 * record out of shared memory exactly once and validates the copy: nothing the
 * guest changes afterwards is ever looked at (XSA-478 is what happens otherwise).
 *
 * No system calls: sleeping and waking is the caller's, see vg_ring_sleepy.
 */
#ifndef VG_RING_H
#define VG_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "vg_region.h"

/* Guest side. One per process, used under the caller's lock. */
struct vg_ring_producer {
    struct vg_slot *slot;
    uint8_t *bytes;
    uint64_t head;          /* private; published by commit */
    uint64_t tail_seen;     /* last tail read: spares a cache miss per record */
};

void vg_ring_producer_init(struct vg_ring_producer *p, struct vg_slot *slot);

/*
 * Room for a record with payload_len bytes (at most VG_PAYLOAD_MAX), or NULL
 * while the ring is full. The payload goes right behind the returned header;
 * header->payload_len is set. Nothing is visible before vg_ring_commit.
 */
struct vg_call *vg_ring_reserve(struct vg_ring_producer *p, size_t payload_len);

/*
 * Publishes the reserved record; payload_len in the header may have shrunk.
 * True if the consumer sleeps and must be woken (doorbell).
 */
bool vg_ring_commit(struct vg_ring_producer *p, struct vg_call *call)
    __attribute__((warn_unused_result));

/* Host side. One per executor. */
struct vg_ring_consumer {
    struct vg_slot *slot;
    const uint8_t *bytes;
    uint64_t tail;          /* private */
    uint64_t published;     /* what slot->tail says; behind tail by a part of the ring at most */
};

enum vg_ring_verdict {
    VG_RING_EMPTY = 0,
    VG_RING_RECORD = 1,
    VG_RING_BROKEN = 2,     /* the guest broke the ring: head moved back, bad length, ... */
};

void vg_ring_consumer_init(struct vg_ring_consumer *c, struct vg_slot *slot);

/*
 * Copies the next record to *call and its payload to payload[VG_PAYLOAD_MAX] and
 * gives its room back to the guest: soon, and at the latest when the ring is empty. *why
 * names what is wrong when BROKEN.
 */
enum vg_ring_verdict vg_ring_take(struct vg_ring_consumer *c, struct vg_call *call, uint8_t *payload,
                                  const char **why);

/* True if there is something to take, be it nonsense. */
bool vg_ring_waits(const struct vg_ring_consumer *c);

/* Gives back the room of all that was taken, at once. */
void vg_ring_publish(struct vg_ring_consumer *c);

/*
 * Announces that the consumer is about to sleep. True if it may: the ring is
 * still empty. False, and no longer announced, if a record came in between.
 */
bool vg_ring_sleepy(struct vg_ring_consumer *c) __attribute__((warn_unused_result));
void vg_ring_awake(struct vg_ring_consumer *c);

#endif
