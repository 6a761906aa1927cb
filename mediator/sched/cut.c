/* SPDX-License-Identifier: MIT */
/*
 * Rests of turns that the end of a hardware slice cuts. The next turn begins beside the rest of the last; if
 * the present slice of that one ends first, the rest waits for a slice of the next, which costs two
 * switches. Turns are equally long, and slices are counted from when a process comes on: so it would be the
 * same turn after turn, for this process and not for others.
 */
#include "core.h"

/* Somebody else's kernels in flight are so long that a rest waits for them anyway. */
static bool beside_long(const struct vg_sched *s, const struct vg_sched_proc *p)
{
    const struct vg_sched_tuning *t = &s->tuning;
    const struct vg_sched_proc *q;

    vg_list_for_each(q, &s->live, live) {
        if (q != p && q->flight_ops &&
            (q->op_ns >= t->window || q->stuck_ns >= t->quantum_max || vg_sched_overruns(s, q)))
            return true;
    }
    return false;
}

void vg_sched_note_cut(const struct vg_sched *s, struct vg_sched_proc *p, uint64_t now)
{
    if (p->state != VG_PROC_DRAINING || !p->drains_soon || !p->flight_ops ||
        now - p->drain_at < s->tuning.lead_most + 2 * s->tuning.quantum_min ||
        vg_sched_is_cut_short(s, p) || beside_long(s, p))
        return;
    p->drains_soon = false;
    p->cuts++;
}

/* Longer or shorter by a quarter of a slice: virtual time makes up for it. */
uint64_t vg_sched_shifted(const struct vg_sched *s, const struct vg_sched_proc *p, uint64_t budget)
{
    uint64_t by = vg_min64(vg_sched_slice(s, p) * 1000ull / 4, budget / 4);

    return p->cuts % 3 == 1 ? budget + by : p->cuts % 3 == 2 ? budget - by : budget;
}
