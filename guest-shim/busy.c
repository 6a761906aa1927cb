/* SPDX-License-Identifier: MIT */
/* Backing off, see busy.h. */
#include "guest-shim/busy.h"

#include <time.h>

#include "guest-shim/chan.h"
#include "guest-shim/state.h"

#define SLEEP_MIN_US 20u    /* less is no sleep */
#define CHECK_ROUNDS 8u     /* sleeps between two looks at whether the host still lives */

/* Any good enough number: what matters is that threads and processes differ. */
static uint32_t jitter(void)
{
    static uint32_t state;
    uint32_t x = vg_fetch_add(&state, 0x9e3779b9u) + (uint32_t)(uintptr_t)&vg_tls;
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    x ^= (uint32_t)t.tv_nsec;
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

/* Between nothing and the retry time, doubled with every round. */
uint32_t vg_busy_sleep_us(uint32_t retry_us, unsigned round)
{
    uint64_t most = (uint64_t)retry_us << (round < 16 ? round : 16);

    if (most > VG_BUSY_MAX_US)
        most = VG_BUSY_MAX_US;
    uint32_t us = (uint32_t)(jitter() % (most + 1));
    return us > SLEEP_MIN_US ? us : SLEEP_MIN_US;
}

static void sleep_us(uint32_t us)
{
    const struct timespec t = {us / 1000000, (long)(us % 1000000) * 1000};

    nanosleep(&t, NULL);
}

static bool has_enough(const struct vg_slot *slot)
{
    return vg_load_relaxed(&slot->head) - vg_load_acquire(&slot->tail) >= VG_BUSY_CREDIT;
}

static bool is_served(const struct vg_slot *slot)
{
    return vg_load_acquire(&slot->state) == VG_SLOT_READY && vg_phase() == VG_PHASE_RUNNING;
}

void vg_busy_back_off(struct vg_slot *slot)
{
    uint32_t retry_us;

    for (unsigned round = 0; is_served(slot); round++) {
        retry_us = vg_load_acquire(&slot->busy_us);
        if (retry_us == 0 || !has_enough(slot))
            return;
        vg_fetch_add(&slot->busy_retries, 1);
        sleep_us(vg_busy_sleep_us(retry_us, round));
        if (round % CHECK_ROUNDS == CHECK_ROUNDS - 1)
            vg_chan_check(vg_process.chan);
    }
}
