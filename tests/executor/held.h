/* SPDX-License-Identifier: MIT */
/* What the word says that check_held.c and its driver (held.c) share. */
#ifndef VG_TEST_EXECUTOR_HELD_H
#define VG_TEST_EXECUTOR_HELD_H

enum hold { HOLD_NONE, HOLD_NEXT, HOLD_INSIDE, HOLD_FAIL };

#endif
