/* SPDX-License-Identifier: MIT */
/* What the files of check-executor share. Each test runs in a process of its own. */
#ifndef VG_TEST_EXECUTOR_CASES_H
#define VG_TEST_EXECUTOR_CASES_H

#include <check.h>

#include "tests/executor/harness.h"

extern struct host h;

/* The executor is told to end and does so without complaint. */
void stop_cleanly(void);

/* The executor must end by itself, with this reason, published to the guest. */
void expect_gone(enum vg_gone_reason reason);

/* What a well-behaved guest wants done (check_work.c). */
TCase *work_cases(void);

/* Arrays, textures, surfaces, tensor maps (check_array.c). */
TCase *array_cases(void);

/* Started before there is a guest (check_ahead.c). */
TCase *ahead_cases(void);

/* Nodes of graphs and what graphs own (check_graph.c). */
TCase *graph_cases(void);

/* Under the limits of a VM (check_limits.c). */
TCase *limit_cases(void);

/* Calls that take long (check_aside.c). */
TCase *aside_cases(void);

/* Beside calls that take as long as the test wants (check_held.c). */
TCase *held_cases(void);

/* Copies of graphs, which the guest carries out (check_copying.c). */
TCase *copying_cases(void);

/* Images that are named instead of sent (check_images.c). */
TCase *image_cases(void);

#endif
