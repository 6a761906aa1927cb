/* SPDX-License-Identifier: MIT */
/*
 * The one path from the application to the host: write a call into the ring, and
 * perhaps wait for its answer. Any thread of the process; no other file touches
 * ring or reply cells.
 *
 *     struct vg_tx tx;                                     fire and forget
 *     CUresult r = vg_begin(&tx, VG_CALL_X, bytes);
 *     if (r)
 *         return r;
 *     tx.call->arg[0] = ...;  memcpy(tx.payload, ...);
 *     return vg_post(&tx);
 *
 *     struct vg_reply reply;                               with an answer
 *     r = vg_begin_reply(&tx, VG_CALL_X, bytes);
 *     ...
 *     r = vg_finish(&tx, &reply);
 *
 * From vg_begin* until vg_post, vg_send, vg_finish or vg_drop the caller holds
 * the ring: fill in, do nothing else (no second vg_begin, no lock, no system call).
 *
 * Errors. A failure that the host finds in a call without answer is latched; it
 * comes out of a later vg_post (whose own call is sent all the same) or vg_finish
 * (if its own result is CUDA_SUCCESS and the call was not begun by vg_begin_quiet).
 * A sticky error comes out of every vg_begin*, until the process ends. When the
 * executor is lost, so does the error that tells why; see vg_lost_result.
 */
#ifndef VG_SHIM_CALL_H
#define VG_SHIM_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_codec.h"
#include "vg_cuda.h"
#include "vg_wire.h"

/* A call being made. On the caller's stack; all fields but those named are private. */
struct vg_tx {
    struct vg_call *call;   /* the record: args and flags are zero; NULL once sent */
    uint8_t *payload;       /* its payload; set call->payload_len lower to send less */
    size_t room;            /* bytes at payload, as asked for */
    uint32_t seq;
    int cell;               /* reply cell, -1: none */
    bool quiet;
    bool bulk;              /* VG_F_BULK was set: the answer's bytes lie in the window */
    uint32_t expect_us;     /* set before vg_wait: the answer is likely to take so long; 0: unknown */
    void *to;               /* set before vg_wait: so many bytes are copied there ... */
    const uint8_t *from;    /* ... from here after success, while the cell is still ours; NULL: none */
    size_t bytes;
};

/* An answer, copied out of shared memory. */
struct vg_reply {
    uint64_t val[4];
    uint32_t len;           /* bytes of payload (with VG_F_BULK: bytes written at arg[6]) */
    uint8_t data[VG_REPLY_MAX] __attribute__((aligned(8)));
};

/*
 * Takes the ring and a record with `payload` bytes (at most VG_PAYLOAD_MAX) of
 * room, preceded by SET_CONTEXT if the thread's current context is not the ring's.
 * Waits while the ring is full. On failure nothing is held.
 */
CUresult vg_begin(struct vg_tx *tx, uint32_t id, size_t payload) __attribute__((warn_unused_result));

/* The same, and reserves a reply cell. */
CUresult vg_begin_reply(struct vg_tx *tx, uint32_t id, size_t payload)
    __attribute__((warn_unused_result));

/* The same, for calls that create something: leaves latched errors to others. */
CUresult vg_begin_quiet(struct vg_tx *tx, uint32_t id, size_t payload)
    __attribute__((warn_unused_result));

/* Publishes a call begun by vg_begin. Returns and clears a latched error, if there is one. */
CUresult vg_post(struct vg_tx *tx);

/* The same where nothing speaks against it that the host takes the call, be it a part of a capture. */
CUresult vg_post_trusted(struct vg_tx *tx);

/* Asks what the host has said to everything posted so far. */
CUresult vg_verdict(void);

/* Gives the ring back without a call (the encoder overflowed, say). */
void vg_drop(struct vg_tx *tx);

/*
 * Publishes a call begun by vg_begin_reply; the ring is free again. Each sent tx
 * must be waited for exactly once. Several may be under way per thread.
 */
void vg_send(struct vg_tx *tx);
CUresult vg_wait(struct vg_tx *tx, struct vg_reply *ret_reply);    /* reply may be NULL */
bool vg_wait_ready(const struct vg_tx *tx);                        /* vg_wait would not block */

static inline CUresult vg_finish(struct vg_tx *tx, struct vg_reply *ret_reply)
{
    vg_send(tx);
    return vg_wait(tx, ret_reply);
}

/*
 * Shorthands for calls that consist of words. count: at most 8. Who takes the reply
 * creates something, so such a call is quiet (vg_begin_quiet).
 */
CUresult vg_call_post(uint32_t id, const uint64_t *arg, unsigned count);
CUresult vg_call_reply(uint32_t id, const uint64_t *arg, unsigned count, struct vg_reply *ret_reply);
#define VG_WORDS(...) (const uint64_t[]){__VA_ARGS__}, \
                      (unsigned)(sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* To encode by vg_codec.h straight into the record; vg_tx_encoded ends it (false: overflow). */
void vg_tx_encoder(struct vg_tx *tx, struct vg_enc *e);
bool vg_tx_encoded(struct vg_tx *tx, const struct vg_enc *e) __attribute__((warn_unused_result));
void vg_reply_decoder(const struct vg_reply *reply, struct vg_dec *d);

/*
 * Waits until the GPU has finished `kind`'s work, then drains the console. enum vg_sync_kind.
 * Answered here if the thread has just waited for the same and nothing was sent since.
 */
CUresult vg_sync(unsigned kind, uint64_t handle);

/* tx, which has just been answered well, was a wait for all of the stream: a copy to the program, say. */
void vg_sync_found_idle(uint64_t stream, const struct vg_tx *tx);

/* Prints what device printf has produced so far. After everything that synchronizes. */
void vg_console_drain(void);

/*
 * One step of a wait for another process: spins at first, then sleeps longer and
 * longer up to a millisecond. False when the executor is lost: give up.
 */
struct vg_backoff { unsigned round; };
bool vg_backoff_step(struct vg_backoff *b) __attribute__((warn_unused_result));

#endif
