/* SPDX-License-Identifier: MIT */
/*
 * A small world for tests of the policy core: up to four VMs of one process each, whose executors
 * tell what a test says. A set-up of Check; one at a time.
 */
#ifndef VG_CORE_WORLD_H
#define VG_CORE_WORLD_H

#include <check.h>

#include "mediator/sched/core.h"

#define US 1000ull
#define MS 1000000ull
#define S  1000000000ull

extern struct vg_sched sched;
extern struct vg_sched_pool pool[2];    /* of equal shares */
extern struct vg_sched_vm vm[4];
extern struct vg_sched_proc proc[6];    /* 4 and 5 are a test's to add */
extern uint64_t now, next;              /* next: what the last decision named */

void setup(void);

/* VM and process i, in the first pool. */
void add_vm(unsigned i, enum vg_sched_class class_, unsigned weight);

/* VMs 0 and 1, medium, which always have work: one of them has a turn. */
void two_share(unsigned w0, unsigned w1);

void decide(void);

/* One process tells at `now` what it did since it last told, and what it has. */
void tell(unsigned i, uint64_t busy, unsigned flight, bool waiting);

/* The same, nothing in flight: its turn is used up. */
void tell_used(unsigned i, uint64_t busy);

/* The process has had the GPU for so long, with more to do, and the others wait. */
void run_for(unsigned i, uint64_t ns, unsigned others);

/* Of the first n. */
unsigned turns_held(unsigned n);

/* Which of the two has the turn. */
unsigned holder(void);

/* A case of the suite, in that world; NULL ends the tests. */
void add_tests(Suite *s, const char *name, const TTest *const *tests);

#define ADD(s, name, ...) add_tests(s, name, (const TTest *const[]){ __VA_ARGS__, NULL })

/* What main() returns. */
int run_suite(Suite *s);

#endif
