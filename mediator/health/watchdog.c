/* SPDX-License-Identifier: MIT */
/* Residency without progress, see watchdog.h. */
#include "watchdog.h"

/* How much of the time since the last look the process had the GPU, at most. */
static uint64_t resident(const struct vg_watchdog *w, const struct vg_watchdog_sight *s)
{
    uint64_t passed = s->now > w->looked ? s->now - w->looked : 0;
    uint64_t charged = s->charged_ns > w->charged ? s->charged_ns - w->charged : 0;

    if (passed > VG_WATCHDOG_STEP_NS)
        passed = VG_WATCHDOG_STEP_NS;
    if (!s->metered)
        return passed / (s->sharers > 1 ? s->sharers : 1);
    return charged < passed ? charged : passed;
}

static void remember(struct vg_watchdog *w, const struct vg_watchdog_sight *s)
{
    w->looked = s->now;
    w->busy = s->busy;
    w->progress = s->progress;
    w->charged = s->charged_ns;
}

bool vg_watchdog_look(struct vg_watchdog *w, const struct vg_watchdog_sight *s, uint64_t limit_ns)
{
    bool same_work = w->looked && w->busy && s->busy && s->progress == w->progress;

    w->stalled_ns = same_work ? w->stalled_ns + resident(w, s) : 0;
    remember(w, s);
    if (limit_ns == 0 || w->stalled_ns < limit_ns)
        return false;
    w->stalled_ns = 0;
    return true;
}

bool vg_pulse_look(struct vg_pulse *p, uint64_t now, uint64_t beat, uint64_t limit_ns)
{
    if (beat != p->beat || p->since == 0) {
        p->beat = beat;
        p->since = now;
    }
    return beat && now > p->since && now - p->since > limit_ns;
}
