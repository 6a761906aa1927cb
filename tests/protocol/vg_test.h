/* SPDX-License-Identifier: MIT */
/* What the unit tests share: a seeded generator and the usual main of a Check suite. */
#ifndef VG_TEST_H
#define VG_TEST_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* xorshift64*: the same sequence everywhere, so a failing seed can be run again. */
static inline uint64_t vg_test_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

/* The seed of this run: VG_TEST_SEED, else a fixed one. Printed when a suite fails. */
static inline uint64_t vg_test_seed(void)
{
    const char *s = getenv("VG_TEST_SEED");

    return s && *s ? strtoull(s, NULL, 0) | 1 : 0x9e3779b97f4a7c15ull;
}

static inline int vg_test_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    if (failed)
        printf("seed: VG_TEST_SEED=%#llx\n", (unsigned long long)vg_test_seed());
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
