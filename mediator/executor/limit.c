/* SPDX-License-Identifier: MIT */
/* Rate and queue depth; see limit.h. */
#include "mediator/executor/limit.h"

#include "mediator/executor/executor.h"
#include "mediator/limit/account.h"
#include "vg_atomic.h"

#define WAIT_MIN_NS  200000ull  /* tokens are waited for in handfuls, not one by one ... */
#define WAIT_MAX_NS  (VG_BUSY_MAX_US * 1000ull)
#define QUEUE_MIN_NS 50000ull   /* first look at a queue that was too deep; then twice as long */
#define QUEUE_TURNS  6u         /* ... so many times */
#define QUEUE_MAX_NS 5000000000ull  /* then one more goes: what is in flight may be waiting for it */

/* ---- Why not now: ns until it is worth another try, 0: it may go ---- */

static uint64_t queue_wait(struct vg_exec *x, uint64_t now)
{
    struct vg_limiter *l = &x->limiter;
    uint64_t depth = vg_load_relaxed(&x->orders->terms.queue_depth);
    uint64_t queued = x->meter.flight_calls;

    if (queued < x->waits.count)
        queued = x->waits.count;
    vg_store_relaxed(&x->account->seat[x->seat].queued, queued);
    if (depth == 0 || vg_account_queued(x->account) < depth ||
        (l->since && now - l->since >= QUEUE_MAX_NS)) {
        l->turns = 0;
        return 0;
    }
    return QUEUE_MIN_NS << (l->turns < QUEUE_TURNS ? l->turns++ : QUEUE_TURNS);
}

static void learn_rate(struct vg_exec *x)
{
    struct vg_limiter *l = &x->limiter;
    const struct vg_terms *t = &x->orders->terms;
    uint64_t rate = vg_load_relaxed(&t->rate), burst = vg_load_relaxed(&t->burst);

    if (rate == l->per_second && burst == l->burst)
        return;
    l->per_second = rate;
    l->burst = burst;
    vg_rate_init(&l->rate, rate, burst);
}

/* While we wait the bucket fills; it must not overflow, or the rate would be missed. */
static uint64_t rate_wait(struct vg_exec *x, uint64_t now)
{
    struct vg_limiter *l = &x->limiter;
    uint64_t wait, handful;

    learn_rate(x);
    wait = vg_bucket_take(&x->account->bucket, &l->rate, now);
    handful = l->rate.slack / 64 / 2;
    if (handful > WAIT_MIN_NS)
        handful = WAIT_MIN_NS;
    return wait > 0 && wait < handful ? handful : wait;
}

/* ---- The answer ---- */

/* The number last: who sees it finds the rest. */
static void say_busy(struct vg_exec *x, const struct vg_call *call, uint64_t now, uint64_t wait)
{
    struct vg_slot *s = x->guest.slot;
    struct vg_limiter *l = &x->limiter;

    if (wait > WAIT_MAX_NS)
        wait = WAIT_MAX_NS;
    VG_STAT_SET(x, retries, vg_load_relaxed(&s->busy_retries));
    vg_store_relaxed(&s->busy_seq, call->seq);
    vg_store_relaxed(&s->busy_count, x->stats->busy + 1);
    vg_store_release(&s->busy_us, (uint32_t)(wait / 1000 + 1));
    vg_ring_publish(&x->ring);
    VG_STAT_ADD(x, busy, 1);
    if (l->since == 0)
        l->since = now;
    l->until = now + wait;
}

static void end_busy(struct vg_exec *x, uint64_t now)
{
    struct vg_slot *s = x->guest.slot;

    vg_hist_add(&x->stats->busy_wait, now - x->limiter.since, 1);
    VG_STAT_SET(x, retries, vg_load_relaxed(&s->busy_retries));
    vg_store_relaxed(&s->busy_us, 0);
    x->limiter.since = x->limiter.until = 0;
}

static bool admit_limited(struct vg_exec *x, const struct vg_call *call)
{
    struct vg_limiter *l = &x->limiter;
    uint64_t now = vg_now(), wait;

    if (l->since && now < l->until)
        return false;
    wait = queue_wait(x, now);
    if (wait == 0)
        wait = rate_wait(x, now);
    if (wait > 0)
        say_busy(x, call, now, wait);
    else if (l->since)
        end_busy(x, now);
    l->holds = wait > 0;
    return wait == 0;
}

bool vg_limit_admit(struct vg_exec *x, const struct vg_call *call)
{
    const struct vg_terms *t = &x->orders->terms;

    if (!x->limiter.since && !vg_load_relaxed(&t->rate) && !vg_load_relaxed(&t->queue_depth))
        return true;
    return admit_limited(x, call);
}

uint64_t vg_limit_nap(const struct vg_exec *x, uint64_t now)
{
    const struct vg_limiter *l = &x->limiter;

    if (!l->holds)
        return UINT64_MAX;
    return l->until > now ? l->until - now : 0;
}
