/* SPDX-License-Identifier: MIT */
/*
 * Answers: result and payload into the cell, then `done`, then a wake-up if the
 * guest thread sleeps. The only writer of cells. Serve thread.
 */
#include <string.h>

#include "mediator/executor/executor.h"
#include "vg_atomic.h"

size_t vg_reply_capacity(const struct vg_call *c)
{
    if (!(c->flags & VG_F_REPLY))
        return VG_OUT_MAX; /* nobody reads it; CUDA wants the room all the same */
    if (!(c->flags & VG_F_BULK))
        return VG_REPLY_MAX;
    return c->arg[7] < VG_OUT_MAX ? (size_t)c->arg[7] : VG_OUT_MAX;
}

/* The end of a context sticks to what was in it, not to the process. */
static void note_sticky(struct vg_exec *x, CUresult result)
{
    if (!vg_cuda_is_sticky(result) || result == CUDA_ERROR_CONTEXT_IS_DESTROYED ||
        vg_load_relaxed(&x->guest.slot->sticky_error) != 0)
        return;
    vg_store_release(&x->guest.slot->sticky_error, (uint32_t)result);
    VG_STAT_ADD(x, gpu_faults, 1);
    vg_log(x, "event=gpu_fault result=%d", (int)result);
}

static bool is_error(CUresult r)
{
    return r != CUDA_SUCCESS && r != CUDA_ERROR_NOT_READY;
}

void vg_latch(struct vg_exec *x, CUresult result)
{
    if (!is_error(result))
        return;
    vg_cas(&x->guest.slot->latched_error, 0, (uint32_t)result);
    note_sticky(x, result);
}

/* Where the payload goes: the cell's own buffer, or the place in the region the guest named. */
static uint8_t *reply_buffer(struct vg_exec *x, const struct vg_req *r)
{
    if (!(r->call.flags & VG_F_BULK))
        return vg_slot_reply(x->guest.slot, r->call.cell);
    return vg_guest_data(&x->guest, r->call.arg[6], r->call.arg[7]);
}

static void publish(struct vg_exec *x, struct vg_req *r, CUresult result)
{
    struct vg_cell *cell = vg_slot_cell(x->guest.slot, r->call.cell);

    r->res.result = (uint16_t)result;
    r->res.seq = (uint16_t)r->call.seq;
    bool payload = result == CUDA_SUCCESS || r->payload_always;
    r->res.payload_len = payload ? (uint32_t)r->enc.len : 0;
    if (r->res.payload_len > 0)
        memcpy(reply_buffer(x, r), x->out, r->res.payload_len);
    if (result != CUDA_SUCCESS)
        memset(r->res.val, 0, sizeof(r->res.val));
    cell->result = r->res;
    vg_store_release(&cell->done, r->call.seq);
    vg_timing_answered(x, r); /* one that spins goes on already; one that sleeps can wait */
    vg_fence(); /* either we see `waiting` or the sleeper sees `done` */
    if (vg_load_relaxed(&cell->waiting))
        vg_futex_wake(&cell->done);
}

void vg_reply(struct vg_exec *x, struct vg_req *r, CUresult result)
{
    if (r->sync && vg_wait_console(x, r, result))
        return;
    /* Bodies check too; but this is the one place where a mistake would write behind the region. */
    if (r->enc.len > r->enc.cap)
        r->enc.overflow = true;
    if (r->enc.overflow)
        r->payload_always = false;
    if (result == CUDA_SUCCESS && r->enc.overflow)
        result = CUDA_ERROR_INVALID_VALUE;
    if (is_error(result))
        VG_STAT_ADD(x, errors, 1);
    if (!(r->call.flags & VG_F_REPLY)) {
        vg_latch(x, result);
        return;
    }
    if (is_error(result))
        note_sticky(x, result);
    publish(x, r, result);
}
