/* SPDX-License-Identifier: MIT */
/* What the files of check-mediator share: one daemon a test, and questions to it. */
#ifndef VG_SUITE_H
#define VG_SUITE_H

#include <check.h>

#include "fixture.h"
#include "protocol/vg_regs.h"

#define TOKEN(slot, gen) VG_TOKEN(slot, gen)

extern struct daemon d;

void start(const char *mode);

/* Every test's end: the daemon obeys in time and leaves neither process nor socket. */
void finish(void);

int64_t vm_number(const char *vm, const char *key);
int64_t health_fault(const char *key);

void suite_add_cases(Suite *s, const char *name, const TTest *const *tests, unsigned count);

#define ADD(suite, name, ...)                                              \
    do {                                                                   \
        const TTest *const tests_[] = { __VA_ARGS__ };                     \
        suite_add_cases(suite, name, tests_, VG_ARRAY_LEN(tests_));        \
    } while (0)

void add_course(Suite *s);
void add_executors(Suite *s);
void add_pool(Suite *s);
void add_restart(Suite *s);
void add_keeper(Suite *s);
void add_peers(Suite *s);
void add_administrators(Suite *s);
void add_health(Suite *s);

#endif
