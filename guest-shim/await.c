/* SPDX-License-Identifier: MIT */
/* See await.h. Any thread of the application; touches no ring. */
#include "guest-shim/await.h"

#include <sched.h>
#include <time.h>

#include "guest-shim/busy.h"
#include "guest-shim/call.h"
#include "guest-shim/chan.h"
#include "guest-shim/lock.h"

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

static bool spins_long;                     /* processors abound */
static uint32_t spin_max;                   /* see most_polls */
static uint32_t spin_limit;                 /* the present one, at most spin_max */
static uint32_t spins_in_vain;

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

void vg_await_init(void)
{
    spins_long = processors() >= SPIN_MANY;
    spin_max = most_polls(processors());
    spin_limit = spin_max;
}

bool vg_backoff_step(struct vg_backoff *b)
{
    unsigned n = b->round++;

    if (n < spin_max / 16) {
        vg_cpu_relax();
        return true;
    }
    if (vg_host_gone() || vg_phase() > VG_PHASE_RUNNING)
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
        if (vg_cell_done(cell, seq)) {
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

    if (us == 0 || vg_cell_done(cell, seq))
        return us > 0;
    end = now_us() + us;
    do {
        for (unsigned i = 0; i < SPIN_YIELD; i++) {
            if (vg_cell_done(cell, seq))
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

bool vg_await(struct vg_cell *cell, uint32_t seq, uint32_t expect_us)
{
    if (spin_for(cell, seq, poll_us(expect_us)) || spin(cell, seq))
        return true;
    spin_failed();
    unsigned nap_us = NAP_US;
    for (unsigned round = 0; !vg_cell_done(cell, seq); round++) {
        if (vg_host_gone() || vg_phase() > VG_PHASE_RUNNING)
            return vg_cell_done(cell, seq);
        if (console_waits()) {
            vg_console_drain();
            nap_us = PRINT_US;
        }
        sleep_on(cell, seq, round, nap_us);
        if (round % CHECK_ROUNDS == CHECK_ROUNDS - 1 && !vg_cell_done(cell, seq))
            vg_chan_check(vg_process.chan);
    }
    return true;
}
