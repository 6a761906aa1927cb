/* SPDX-License-Identifier: MIT */
/* What the word says that held_stage.c and its driver (held.c) share. */
#ifndef VG_TEST_EXECUTOR_HELD_H
#define VG_TEST_EXECUTOR_HELD_H

/* HOLD_LOADS: no call is held, but what loads code waits until the GPU is idle. */
enum hold { HOLD_NONE, HOLD_NEXT, HOLD_INSIDE, HOLD_FAIL, HOLD_LOADS };

#endif
