/* SPDX-License-Identifier: MIT */
/* The named cases of check-sched-table: who shares the simulated GPU, and what each case must keep. */
#ifndef VG_TEST_SCENARIOS_H
#define VG_TEST_SCENARIOS_H

#include "sim.h"

struct world {
    struct sim *m;
    bool lever;
    double fair[SIM_VMS];           /* shares that are right, 0: not compared */
};

/* What a case must keep; 0: not asked. Errors in points, wasted in per cent, waits in us. */
struct limits {
    double error_1s, relative, jain_1s, jain_100ms, wasted, p50, p99, gap_ms, told;
};

struct scenario {
    const char *name;
    void (*make)(struct world *w);
    struct limits gated, sliced;
};

extern const struct scenario scenarios[];
extern const unsigned scenarios_count;

#endif
