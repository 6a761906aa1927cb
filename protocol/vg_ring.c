/* SPDX-License-Identifier: MIT */
/* The ring's two ends; see vg_ring.h for the contract. Touches shared memory, calls nobody. */
#include "vg_ring.h"

#include <string.h>

#include "vg_atomic.h"

#define RING_MASK (VG_RING_SIZE - 1u)

static uint64_t record_size(uint64_t payload_len)
{
    return (sizeof(struct vg_call) + payload_len + VG_RECORD_ALIGN - 1) & ~(uint64_t)(VG_RECORD_ALIGN - 1);
}

void vg_ring_producer_init(struct vg_ring_producer *p, struct vg_slot *slot)
{
    p->slot = slot;
    p->bytes = vg_slot_ring(slot);
    p->head = slot->head;
    p->tail_seen = vg_load_acquire(&slot->tail);
}

static bool has_room(struct vg_ring_producer *p, uint64_t bytes)
{
    if (p->head + bytes - p->tail_seen <= VG_RING_SIZE)
        return true;
    p->tail_seen = vg_load_acquire(&p->slot->tail);
    return p->head + bytes - p->tail_seen <= VG_RING_SIZE;
}

/* Fills the ring's end. It needs no header if not even one fits: the consumer knows that too. */
static void pad_to_start(struct vg_ring_producer *p, uint64_t rest)
{
    struct vg_call *pad = (struct vg_call *)(p->bytes + (p->head & RING_MASK));

    if (rest >= sizeof(*pad)) {
        memset(pad, 0, sizeof(*pad));
        pad->call = VG_CALL_PAD;
        pad->payload_len = (uint32_t)(rest - sizeof(*pad));
    }
    p->head += rest;
}

struct vg_call *vg_ring_reserve(struct vg_ring_producer *p, size_t payload_len)
{
    if (payload_len > VG_PAYLOAD_MAX)
        return NULL;
    uint64_t need = record_size(payload_len);
    uint64_t rest = VG_RING_SIZE - (p->head & RING_MASK);

    if (rest < need) {
        if (!has_room(p, rest + need))
            return NULL;
        pad_to_start(p, rest);
    } else if (!has_room(p, need)) {
        return NULL;
    }
    struct vg_call *call = (struct vg_call *)(p->bytes + (p->head & RING_MASK));
    call->payload_len = (uint32_t)payload_len;
    return call;
}

bool vg_ring_commit(struct vg_ring_producer *p, struct vg_call *call)
{
    p->head += record_size(call->payload_len);
    vg_store_release(&p->slot->head, p->head);
    /* Pairs with the fence in vg_ring_sleepy: either we see `sleeping` or it sees our head. */
    vg_fence();
    return vg_load_relaxed(&p->slot->sleeping) != 0;
}

void vg_ring_consumer_init(struct vg_ring_consumer *c, struct vg_slot *slot)
{
    c->slot = slot;
    c->bytes = vg_slot_ring(slot);
    c->tail = c->published = vg_load_relaxed(&slot->tail);
}

static enum vg_ring_verdict broken(const char **why, const char *what)
{
    *why = what;
    return VG_RING_BROKEN;
}

void vg_ring_publish(struct vg_ring_consumer *c)
{
    if (c->published != c->tail)
        vg_store_release(&c->slot->tail, c->tail);
    c->published = c->tail;
}

/* The guest looks at the tail's cache line with every call: it is not taken from it each time. */
static void consume(struct vg_ring_consumer *c, uint64_t bytes)
{
    c->tail += bytes;
    if (c->tail - c->published >= VG_RING_SIZE / 32)
        vg_ring_publish(c);
}

/* The next record comes from the guest's cache: meanwhile this one is served. */
static void fetch_next(const struct vg_ring_consumer *c)
{
    const uint8_t *next = c->bytes + (c->tail & RING_MASK);

    for (unsigned line = 0; line < 3; line++)
        __builtin_prefetch(next + line * 64);
}

enum vg_ring_verdict vg_ring_take(struct vg_ring_consumer *c, struct vg_call *call, uint8_t *payload,
                                  const char **why)
{
    for (;;) {
        uint64_t used = vg_load_acquire(&c->slot->head) - c->tail;
        uint64_t rest = VG_RING_SIZE - (c->tail & RING_MASK);

        if (used == 0) {
            vg_ring_publish(c);
            return VG_RING_EMPTY;
        }
        if (used > VG_RING_SIZE || used % VG_RECORD_ALIGN != 0)
            return broken(why, "ring head out of range");
        if (rest < sizeof(*call)) {
            if (used < rest)
                return broken(why, "ring head inside the tail gap");
            consume(c, rest);
            continue;
        }
        if (used < sizeof(*call))
            return broken(why, "record shorter than its header");
        const uint8_t *at = c->bytes + (c->tail & RING_MASK);
        memcpy(call, at, sizeof(*call));
        __asm__ __volatile__("" ::: "memory"); /* no second look at shared memory */
        uint64_t size = record_size(call->payload_len);
        if (size > used || size > rest)
            return broken(why, "record longer than the ring's content");
        if (call->call == VG_CALL_PAD) {
            consume(c, size);
            continue;
        }
        if (call->payload_len > VG_PAYLOAD_MAX)
            return broken(why, "payload over the limit");
        memcpy(payload, at + sizeof(*call), call->payload_len);
        consume(c, size);
        /* Else the guest has yet to write there, and would have to take the lines back first. */
        if (used > size)
            fetch_next(c);
        return VG_RING_RECORD;
    }
}

bool vg_ring_waits(const struct vg_ring_consumer *c)
{
    return vg_load_acquire(&c->slot->head) != c->tail;
}

bool vg_ring_sleepy(struct vg_ring_consumer *c)
{
    vg_store_relaxed(&c->slot->sleeping, 1);
    vg_fence();
    if (vg_load_acquire(&c->slot->head) == c->tail)
        return true;
    vg_ring_awake(c);
    return false;
}

void vg_ring_awake(struct vg_ring_consumer *c)
{
    vg_store_relaxed(&c->slot->sleeping, 0);
}
