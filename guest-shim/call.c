/* SPDX-License-Identifier: MIT */
/*
 * The path to the host; see call.h. Any thread of the application. The ring lock
 * serialises producers; reply cells are handed out by an atomic bitmap, so that
 * threads that wait never hold anything that others need.
 */
#include "guest-shim/call.h"

#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

#define SPIN_MIN  500u     /* polls of a reply before the thread sleeps, about 15 us ... */
#define SPIN_MAX  4000u    /* ... or 0.1 ms */
#define SPIN_MANY 8u       /* processors that count as many: there a wait spins ... */
#define SPIN_LONG_US 5000u /* ... so long: natively it does for ever, and waking up takes 50 us */
#define SPIN_YIELD 128u    /* polls between two offers of the processor: the executor may need it */
#define SPIN_TRY  16u      /* waits in vain after which the full limit is tried again */
#define NAP_US    20000u   /* longest sleep on a futex: how soon a lost executor is noticed */
#define PRINT_US  1000u    /* the same while kernels print: their ring is small */
#define EXPECT_MAX_US 5000u /* an answer expected later than this is slept for */
#define CHECK_ROUNDS 8u    /* sleeps between two looks at whether the host still lives */

static struct {
    struct vg_lock lock;
    struct vg_ring_producer ring;
    CUcontext context;      /* what the ring was last told by SET_CONTEXT */
    uint32_t seq;
} out;

static uint64_t cells_used[VG_CELLS / 64];
static bool spins_long;                     /* processors abound */
static uint32_t spin_max;                   /* see most_polls */
static uint32_t spin_limit;                 /* the present one, at most spin_max */
static uint32_t spins_in_vain;

typedef char vg_assert_cells[VG_CELLS % 64 == 0 ? 1 : -1];

static unsigned processors(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* On a host the executor, and a software GPU's threads, want the same few processors. */
static uint32_t most_polls(unsigned n)
{
    if (n >= SPIN_MANY)
        return SPIN_MAX * 5;
    if (!vg_process.chan->ops->futex || n >= SPIN_MANY / 2)
        return SPIN_MAX;
    return n > 1 ? SPIN_MIN : 0;
}

void vg_call_init(struct vg_slot *slot)
{
    memset(&out, 0, sizeof(out));
    memset(cells_used, 0, sizeof(cells_used));
    vg_ring_producer_init(&out.ring, slot);
    spins_long = processors() >= SPIN_MANY;
    spin_max = most_polls(processors());
    spin_limit = spin_max;
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

static bool is_gone(void)
{
    return vg_load_relaxed(&vg_process.lost) ||
           vg_load_acquire(&vg_process.slot->state) != VG_SLOT_READY;
}

/* The error that no call survives: executor lost, or a sticky error of the device. 0: none. */
static CUresult fatal_error(void)
{
    if (VG_UNLIKELY(is_gone()))
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

bool vg_backoff_step(struct vg_backoff *b)
{
    unsigned n = b->round++;

    if (n < spin_max / 16) {
        vg_cpu_relax();
        return true;
    }
    if (is_gone() || vg_phase() > VG_PHASE_RUNNING)
        return false;
    unsigned over = n - spin_max / 16;
    if (over % 64 == 63)
        vg_chan_check(vg_process.chan);
    struct timespec t = {0, over < 8 ? 0 : 10000l << (over < 50 ? (over - 8) / 6 : 7)};
    if (t.tv_nsec == 0)
        sched_yield();
    else
        nanosleep(&t, NULL);
    return true;
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

/* ---- waiting for an answer --------------------------------------------------- */

static bool is_done(const struct vg_cell *cell, uint32_t seq)
{
    return vg_load_acquire(&cell->done) == seq;
}

bool vg_wait_ready(const struct vg_tx *tx)
{
    return is_done(vg_slot_cell(vg_process.slot, (unsigned)tx->cell), tx->seq) || is_gone();
}

/*
 * A context whose user asked for blocking waits wants the processor for other things, and
 * a host that is busy answers later.
 */
static bool may_spin_long(void)
{
    const struct vg_ctx *ctx = vg_tls.ctx;

    if (VG_UNLIKELY(vg_is_busy(vg_process.slot)))
        return false;
    return !ctx || !(ctx->flags & (CU_CTX_SCHED_YIELD | CU_CTX_SCHED_BLOCKING_SYNC));
}

static bool console_waits(void)
{
    const struct vg_slot *s = vg_process.slot;

    return vg_load_relaxed(&s->console_head) != vg_load_relaxed(&s->console_tail);
}

/*
 * The limit doubles with every answer that came in time and shrinks by a quarter with
 * every wait in vain, so that waits for long kernels soon sleep at once, and mixed
 * ones keep spinning.
 */
static bool spin(const struct vg_cell *cell, uint32_t seq)
{
    uint32_t limit = may_spin_long() ? vg_load_relaxed(&spin_limit) : 0;

    for (uint32_t i = 0; i <= limit; i++) {
        if (is_done(cell, seq)) {
            if (i > 0 && limit < spin_max)
                vg_store_relaxed(&spin_limit, limit < spin_max / 2 ? limit * 2 : spin_max);
            return true;
        }
        if (i % SPIN_YIELD == SPIN_YIELD - 1)
            sched_yield();
        else
            vg_cpu_relax();
    }
    return false;
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/*
 * How long to poll by the clock: until somewhat after the answer is due, as waking up late would
 * cost a copy its rate; and anyway for long where processors abound and the GPU is none of them:
 * a program that waits for 2 ms again and again, for a token each, would wake up late each time.
 */
static uint64_t poll_us(uint32_t expect_us)
{
    const struct vg_snapshot *s = vg_process.snapshot;
    uint32_t us = expect_us <= EXPECT_MAX_US && spin_max >= SPIN_MAX ? expect_us + expect_us / 4 : 0;

    if (!may_spin_long())
        return 0;
    return spins_long && s && !s->software && us < SPIN_LONG_US ? SPIN_LONG_US : us;
}

static bool spin_for(const struct vg_cell *cell, uint32_t seq, uint64_t us)
{
    uint64_t end;

    if (us == 0 || is_done(cell, seq))
        return us > 0;
    end = now_us() + us;
    do {
        for (unsigned i = 0; i < SPIN_YIELD; i++) {
            if (is_done(cell, seq))
                return true;
            vg_cpu_relax();
        }
        sched_yield();
    } while (!console_waits() && now_us() < end);
    return false;
}

/* Kernels may have become shorter than the limit allows to notice: try the full one at times. */
static void spin_failed(void)
{
    uint32_t limit = vg_load_relaxed(&spin_limit);

    limit -= limit / 4;
    if (limit < SPIN_MIN)
        limit = SPIN_MIN;
    if (vg_fetch_add(&spins_in_vain, 1) % SPIN_TRY == SPIN_TRY - 1 || limit > spin_max)
        limit = spin_max;
    vg_store_relaxed(&spin_limit, limit);
}

static void sleep_on(struct vg_cell *cell, uint32_t seq, unsigned round, unsigned nap_us)
{
    if (!vg_process.chan->ops->futex) {
        unsigned us = round < 40 ? 20u << (round / 8) : 1000;
        const struct timespec t = {0, (long)us * 1000};
        nanosleep(&t, NULL);
        return;
    }
    vg_store_relaxed(&cell->waiting, 1);
    vg_fence();     /* pairs with the executor's between `done` and `waiting` */
    uint32_t now = vg_load_acquire(&cell->done);
    if (now != seq)
        vg_futex_wait(&cell->done, now, nap_us);
    vg_store_relaxed(&cell->waiting, 0);
}

/* False: the executor is gone and did not answer. */
static bool wait_done(struct vg_cell *cell, uint32_t seq, uint32_t expect_us)
{
    if (spin_for(cell, seq, poll_us(expect_us)) || spin(cell, seq))
        return true;
    spin_failed();
    unsigned nap_us = NAP_US;
    for (unsigned round = 0; !is_done(cell, seq); round++) {
        if (is_gone() || vg_phase() > VG_PHASE_RUNNING)
            return is_done(cell, seq);
        if (console_waits()) {
            vg_console_drain();
            nap_us = PRINT_US;
        }
        sleep_on(cell, seq, round, nap_us);
        if (round % CHECK_ROUNDS == CHECK_ROUNDS - 1 && !is_done(cell, seq))
            vg_chan_check(vg_process.chan);
    }
    return true;
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

    if (VG_LIKELY(wait_done(cell, tx->seq, tx->expect_us))) {
        r = (CUresult)cell->result.result;
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
