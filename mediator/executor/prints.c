/* SPDX-License-Identifier: MIT */
/* See prints.h. Counts what the counters of calls count anyway, so that a launch costs nothing more. */
#include "mediator/executor/prints.h"

#include "mediator/executor/executor.h"
#include "vg_api.h"

#define RUNNING_MAX 16u

/* Places in vg_stats.call of the calls that run the guest's kernels. */
static uint16_t running[RUNNING_MAX];
static unsigned runnings;

__attribute__((constructor)) static void find_running(void)
{
    running[runnings++] = VG_CALL_LAUNCH;
    for (unsigned i = 0; i < VG_API_COUNT && runnings < RUNNING_MAX; i++) {
        const struct vg_api_row *r = &vg_api_rows[i];
        if (r->crosses && (r->class == VG_CLASS_LAUNCH || r->id == VG_CALL_cuGraphLaunch))
            running[runnings++] = (uint16_t)(VG_STATS_INTERNAL + i);
    }
}

uint64_t vg_prints_given(const struct vg_exec *x)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < runnings; i++)
        n += x->stats->call[running[i]];
    return n;
}

bool vg_prints_due(const struct vg_exec *x)
{
    return x->prints.unsure || x->prints.passed_on != vg_prints_given(x);
}

void vg_prints_passed_on(struct vg_exec *x, uint64_t given)
{
    if (x->meter.active == 0)
        x->prints.passed_on = given;
}
