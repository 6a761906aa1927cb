/* SPDX-License-Identifier: MIT */
/*
 * The path to the host; see call.h. Any thread of the application. The ring lock
 * serialises producers; reply cells are handed out by an atomic bitmap, so that
 * threads that wait never hold anything that others need.
 */
#include "guest-shim/call.h"

#include <string.h>

#include "guest-shim/await.h"
#include "guest-shim/busy.h"
#include "guest-shim/call_private.h"
#include "guest-shim/capture.h"
#include "guest-shim/chan.h"
#include "guest-shim/lock.h"
#include "guest-shim/state.h"
#include "guest-shim/stats.h"
#include "vg_api.h"
#include "vg_atomic.h"
#include "vg_ring.h"

static struct {
    struct vg_lock lock;
    struct vg_ring_producer ring;
    CUcontext context;      /* what the ring was last told by SET_CONTEXT */
    uint32_t seq;
} out;

static uint64_t cells_used[VG_CELLS / 64];
typedef char vg_assert_cells[VG_CELLS % 64 == 0 ? 1 : -1];

void vg_call_init(struct vg_slot *slot)
{
    memset(&out, 0, sizeof(out));
    memset(cells_used, 0, sizeof(cells_used));
    vg_ring_producer_init(&out.ring, slot);
    vg_await_init();
}

/* ---- loss of the executor ---------------------------------------------------- */

/* Says so once. Unless it is we who left: threads may be in calls when the process ends. */
static CUresult lose(void)
{
    struct vg_slot *s = vg_process.slot;
    CUresult r = vg_chan_gone_result(s->reason);

    if (vg_phase() > VG_PHASE_RUNNING)
        return vg_not_running();
    if (vg_cas(&vg_process.lost, 0u, (uint32_t)r))
        vg_log(1, "the GPU is gone: %s", vg_chan_gone_text(s->reason));
    return (CUresult)vg_load_relaxed(&vg_process.lost);
}

/* The error that no call survives: executor lost, or a sticky error of the device. 0: none. */
static CUresult fatal_error(void)
{
    if (VG_UNLIKELY(vg_host_gone()))
        return lose();
    return (CUresult)vg_load_relaxed(&vg_process.slot->sticky_error);
}

static CUresult take_latched(void)
{
    uint32_t *latch = &vg_process.slot->latched_error;

    if (VG_LIKELY(vg_load_relaxed(latch) == 0))
        return CUDA_SUCCESS;
    return (CUresult)vg_exchange(latch, 0u);
}

/* ---- reply cells ------------------------------------------------------------- */

static int cell_try(void)
{
    for (unsigned w = 0; w < VG_CELLS / 64; w++) {
        uint64_t used = vg_load_relaxed(&cells_used[w]);
        while (~used) {
            unsigned bit = (unsigned)__builtin_ctzll(~used);
            if (vg_cas(&cells_used[w], used, used | 1ull << bit))
                return (int)(w * 64 + bit);
            used = vg_load_relaxed(&cells_used[w]);
        }
    }
    return -1;
}

/* More waiting threads than cells is rare, and a cell is soon free again: back off. -1: lost. */
static int cell_get(void)
{
    struct vg_backoff b = {0};
    int cell;

    while ((cell = cell_try()) < 0)
        if (!vg_backoff_step(&b))
            return -1;
    return cell;
}

static void cell_put(int cell)
{
    __atomic_fetch_and(&cells_used[cell / 64], ~(1ull << (cell % 64)), __ATOMIC_RELEASE);
}

/* ---- writing a call ---------------------------------------------------------- */

/*
 * Waking takes the executor tens of microseconds, in which it still counts as asleep:
 * whoever rings says so by clearing the word, so that one bell is rung per sleep.
 */
static void wake_executor(void)
{
    if (vg_exchange(&vg_process.slot->sleeping, 0u))
        vg_process.chan->ops->doorbell(vg_process.chan);
}

/* The ring is full: the executor has work for a while. Keeps the lock, as all would wait anyway. */
static struct vg_call *reserve_wait(size_t payload)
{
    struct vg_backoff b = {0};
    struct vg_call *call;

    while (!(call = vg_ring_reserve(&out.ring, payload)))
        if (!vg_backoff_step(&b))
            return NULL;
    return call;
}

static struct vg_call *reserve(uint32_t id, size_t payload)
{
    struct vg_call *call = vg_ring_reserve(&out.ring, payload);

    if (VG_UNLIKELY(!call) && !(call = reserve_wait(payload)))
        return NULL;
    uint32_t seq = out.seq + 1 ? out.seq + 1 : 1;  /* 0 is what a fresh cell shows as done */
    vg_store_relaxed(&out.seq, seq);
    call->call = id;
    call->seq = seq;
    memset(call->arg, 0, sizeof(call->arg));
    call->flags = 0;
    call->cell = 0;
    return call;
}

static bool set_context(CUcontext context)
{
    struct vg_call *call = reserve(VG_CALL_SET_CONTEXT, 0);

    if (!call)
        return false;
    call->arg[0] = (uintptr_t)context;
    if (VG_UNLIKELY(vg_stats_on))
        vg_stats_count(call);
    if (vg_ring_commit(&out.ring, call))
        wake_executor();
    out.context = context;
    return true;
}

/* Calls that mean the same under every context; a callback thread must not keep switching. */
static bool needs_context(uint32_t id)
{
    return id != VG_CALL_NOP && id != VG_CALL_SNAPSHOT;
}

static CUresult begin_locked(struct vg_tx *tx, uint32_t id, size_t payload)
{
    struct vg_ctx *ctx = vg_tls.ctx;
    CUcontext context = ctx && vg_ctx_alive(ctx) ? ctx->handle : NULL;

    if (VG_UNLIKELY(payload > VG_PAYLOAD_MAX))
        return CUDA_ERROR_INVALID_VALUE;
    if (VG_UNLIKELY(context != out.context) && needs_context(id) && !set_context(context))
        return lose();
    tx->call = reserve(id, payload);
    if (VG_UNLIKELY(!tx->call))
        return lose();
    tx->seq = tx->call->seq;
    tx->payload = (uint8_t *)(tx->call + 1);
    tx->room = payload;
    return CUDA_SUCCESS;
}

static CUresult begin(struct vg_tx *tx, uint32_t id, size_t payload, int cell, bool quiet)
{
    tx->cell = cell;
    tx->quiet = quiet;
    tx->expect_us = 0;
    if (VG_UNLIKELY(vg_is_busy(vg_process.slot)))
        vg_busy_back_off(vg_process.slot);
    vg_lock(&out.lock);
    CUresult r = begin_locked(tx, id, payload);
    if (VG_UNLIKELY(r))
        vg_unlock(&out.lock);
    return r;
}

void vg_call_forget_context(void)
{
    vg_lock(&out.lock);
    out.context = (CUcontext)-1;
    vg_unlock(&out.lock);
}

/* Contexts are made, waited for and ended whatever the current one is; all else needs it alive. */
static bool survives_context(uint32_t id)
{
    const struct vg_api_row *row = vg_api_by_id(id);

    return row ? row->class == VG_CLASS_CONTEXT || row->class == VG_CLASS_FREE ||
                     row->class == VG_CLASS_GRAPH
               : !needs_context(id);
}

static CUresult may_begin(uint32_t id)
{
    const struct vg_ctx *ctx = vg_tls.ctx;

    if (VG_UNLIKELY(!vg_process.slot || vg_phase() > VG_PHASE_RUNNING))
        return vg_not_running();
    if (VG_UNLIKELY(ctx && !vg_ctx_alive(ctx)) && !survives_context(id))
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    return fatal_error();
}

CUresult vg_call_errors(uint32_t id)
{
    CUresult r = may_begin(id);

    return r ? r : take_latched();
}

uint32_t vg_call_latest(void)
{
    return vg_load_relaxed(&out.seq);
}

CUresult vg_begin(struct vg_tx *tx, uint32_t id, size_t payload)
{
    CUresult r = may_begin(id);

    return VG_UNLIKELY(r) ? r : begin(tx, id, payload, -1, false);
}

static CUresult begin_with_cell(struct vg_tx *tx, uint32_t id, size_t payload, bool quiet)
{
    CUresult r = may_begin(id);

    if (VG_UNLIKELY(r))
        return r;
    int cell = cell_get();
    if (VG_UNLIKELY(cell < 0))
        return lose();
    tx->to = NULL;
    r = begin(tx, id, payload, cell, quiet);
    if (VG_UNLIKELY(r)) {
        cell_put(cell);
        return r;
    }
    tx->call->flags = VG_F_REPLY;
    tx->call->cell = (uint16_t)cell;
    return CUDA_SUCCESS;
}

CUresult vg_begin_reply(struct vg_tx *tx, uint32_t id, size_t payload)
{
    return begin_with_cell(tx, id, payload, false);
}

CUresult vg_begin_quiet(struct vg_tx *tx, uint32_t id, size_t payload)
{
    return begin_with_cell(tx, id, payload, true);
}

static void publish(struct vg_tx *tx)
{
    if (VG_UNLIKELY(vg_log_level >= 3))
        vg_call_trace(tx->call);
    if (VG_UNLIKELY(vg_stats_on))
        vg_stats_count(tx->call);
    tx->bulk = tx->call->flags & VG_F_BULK;
    bool asleep = vg_ring_commit(&out.ring, tx->call);
    vg_unlock(&out.lock);
    tx->call = NULL;
    if (asleep)
        wake_executor();
}

CUresult vg_verdict(void)
{
    CUresult r = vg_call_reply(VG_CALL_NOP, NULL, 0, NULL);

    return r ? r : take_latched();
}

CUresult vg_post_trusted(struct vg_tx *tx)
{
    publish(tx);
    CUresult r = fatal_error();
    return VG_UNLIKELY(r) ? r : take_latched();
}

/* A capture ends by a rejected call, so the program must learn of it from that call. */
CUresult vg_post(struct vg_tx *tx)
{
    CUresult r = vg_post_trusted(tx);

    return VG_UNLIKELY(vg_capture_possible()) && !r ? vg_verdict() : r;
}

/* The reserved record was never published: the next one is written over it. */
void vg_drop(struct vg_tx *tx)
{
    tx->call = NULL;
    vg_unlock(&out.lock);
    if (tx->cell >= 0)
        cell_put(tx->cell);
}

void vg_send(struct vg_tx *tx)
{
    publish(tx);
}

/* ---- its answer ------------------------------------------------------------- */

bool vg_wait_ready(const struct vg_tx *tx)
{
    return vg_cell_done(vg_slot_cell(vg_process.slot, (unsigned)tx->cell), tx->seq) ||
           vg_host_gone();
}

static void copy_reply(const struct vg_cell *cell, unsigned index, bool bulk,
                       struct vg_reply *reply)
{
    memcpy(reply->val, cell->result.val, sizeof(reply->val));
    reply->len = cell->result.payload_len;
    if (bulk)
        return;
    if (reply->len > VG_REPLY_MAX)
        reply->len = VG_REPLY_MAX;
    memcpy(reply->data, vg_slot_reply(vg_process.slot, index), reply->len);
}

CUresult vg_wait(struct vg_tx *tx, struct vg_reply *ret_reply)
{
    struct vg_cell *cell = vg_slot_cell(vg_process.slot, (unsigned)tx->cell);
    CUresult r;

    if (VG_LIKELY(vg_await(cell, tx->seq, tx->expect_us))) {
        r = (CUresult)cell->result.result;
        if (tx->to && r == CUDA_SUCCESS)
            memcpy(tx->to, tx->from, tx->bytes);
        if (ret_reply)
            copy_reply(cell, (unsigned)tx->cell, tx->bulk, ret_reply);
        cell_put(tx->cell);
    } else {
        /* The cell stays taken: whoever wrote to it late would answer somebody else. */
        r = lose();
    }
    return r || tx->quiet ? r : take_latched();
}

/* ---- shorthands -------------------------------------------------------------- */

CUresult vg_call_post(uint32_t id, const uint64_t *arg, unsigned count)
{
    struct vg_tx tx;
    CUresult r = vg_begin(&tx, id, 0);

    if (r)
        return r;
    memcpy(tx.call->arg, arg, count * sizeof(*arg));
    return vg_post(&tx);
}

CUresult vg_call_reply(uint32_t id, const uint64_t *arg, unsigned count, struct vg_reply *ret_reply)
{
    struct vg_tx tx;
    CUresult r = begin_with_cell(&tx, id, 0, ret_reply != NULL);

    if (r)
        return r;
    if (count)
        memcpy(tx.call->arg, arg, count * sizeof(*arg));
    return vg_finish(&tx, ret_reply);
}

void vg_tx_encoder(struct vg_tx *tx, struct vg_enc *e)
{
    vg_enc_init_call(e, tx->call, tx->payload, tx->room);
}

bool vg_tx_encoded(struct vg_tx *tx, const struct vg_enc *e)
{
    if (e->overflow)
        return false;
    tx->call->payload_len = (uint32_t)e->len;
    return true;
}

void vg_reply_decoder(const struct vg_reply *reply, struct vg_dec *d)
{
    *d = (struct vg_dec){.word = reply->val, .word_max = 4, .payload = reply->data,
                         .len = reply->len};
}
