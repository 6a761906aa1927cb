/* SPDX-License-Identifier: MIT */
/* The daemon's look at executors, see watch.h. */
#include "watch.h"

#include <inttypes.h>

#include "mediator.h"
#include "mediator/base/log.h"
#include "protocol/vg_atomic.h"

/* The shorter limit that is set; 0: none is. */
static uint64_t limit_s(const struct vg_config *c)
{
    if (c->watchdog_s == 0 || c->compile_s == 0)
        return c->watchdog_s + c->compile_s;
    return c->watchdog_s < c->compile_s ? c->watchdog_s : c->compile_s;
}

/* Eight looks in the limit, but not more than 20 a second and at least one. */
static uint64_t period_ns(const struct vg_mediator *m)
{
    uint64_t ns = limit_s(&m->config) * VG_NS_PER_S / 8;
    const uint64_t least = 50 * VG_NS_PER_MS;

    return ns < least ? least : ns > VG_NS_PER_S ? VG_NS_PER_S : ns;
}

static bool is_served(const struct vg_session *s)
{
    return s && s->state == VG_SESSION_SERVING;
}

static bool is_busy(const struct vg_session *s)
{
    return vg_load_relaxed(&s->gate->now.in_flight) > 0;
}

static void for_each_served(struct vg_mediator *m, void (*fn)(struct vg_session *s, void *arg),
                            void *arg)
{
    struct vg_client *c, *next;

    vg_list_for_each_safe(c, next, &m->clients, link) {
        for (unsigned i = 0; i < c->layout.slot_count; i++) {
            if (is_served(c->session[i]))
                fn(c->session[i], arg);
        }
    }
}

static void count_busy(struct vg_session *s, void *arg)
{
    unsigned *busy = arg;

    *busy += is_busy(s);
}

/* ---- the GPU ---- */

/* By what the scheduler charged for it; the VM's is brought up to date by asking. */
static uint64_t charged_ns(const struct vg_session *s)
{
    vg_turns_vm_charged(s->client->vm);
    return vg_turns_charged(s);
}

static bool is_hung(struct vg_session *s, unsigned sharers)
{
    const struct vg_gate *g = s->gate;
    const struct vg_watchdog_sight sight = {
        .now = vg_now(),
        .busy = is_busy(s),
        .progress = vg_load_relaxed(&g->sum.progress),
        .metered = s->turns.gpus != NULL,
        .charged_ns = charged_ns(s),
        .sharers = sharers,
    };

    return vg_watchdog_look(&s->watchdog, &sight, s->mediator->config.watchdog_s * VG_NS_PER_S);
}

/* ---- the executor itself ---- */

static bool is_silent(struct vg_session *s)
{
    uint64_t limit = 2 * s->mediator->config.watchdog_s;

    if (limit == 0)
        return false;
    if (limit < VG_WATCH_BEAT_S)
        limit = VG_WATCH_BEAT_S;
    return vg_pulse_look(&s->pulse, vg_now(), vg_load_relaxed(&s->stats->beat), limit * VG_NS_PER_S);
}

/* At one and the same call: when it began tells it from the next. */
static bool is_compiling(struct vg_session *s)
{
    uint64_t limit = s->mediator->config.compile_s;

    return limit && vg_pulse_look(&s->beside, vg_now(), vg_load_relaxed(&s->gate->beside.since),
                                  limit * VG_NS_PER_S);
}

static void end(struct vg_session *s, const char *what, uint64_t limit, unsigned sharers)
{
    vg_event(s->mediator, VG_EVENT_WATCHDOG, s->client->vm,
             "slot=%u pid=%d hung=\"%s\" limit_s=%" PRIu64 " sharers=%u", s->slot, (int)s->pid, what,
             limit, sharers);
    vg_session_stop(s, VG_GONE_TIMEOUT);
}

static void look_at(struct vg_session *s, void *arg)
{
    const struct vg_config *c = &s->mediator->config;
    const unsigned *sharers = arg;

    if (is_hung(s, *sharers))
        end(s, "work on the GPU", c->watchdog_s, *sharers);
    else if (is_silent(s))
        end(s, "executor", c->watchdog_s, *sharers);
    else if (is_compiling(s))
        end(s, "a compilation", c->compile_s, *sharers);
}

static void look(void *arg)
{
    struct vg_mediator *m = arg;
    unsigned busy = 0;

    for_each_served(m, count_busy, &busy);
    for_each_served(m, look_at, &busy);
    vg_watch_wake(m);
}

void vg_watch_wake(struct vg_mediator *m)
{
    struct vg_timer *t = &m->health.look_timer;

    if (limit_s(&m->config) == 0 || m->session_count == 0 || t->armed)
        return;
    vg_timer_set(&m->loop, t, vg_now() + period_ns(m), look, m);
}
