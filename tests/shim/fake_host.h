/* SPDX-License-Identifier: MIT */
/*
 * A host that fits into the test's own process: a mediator's socket and an
 * executor's loop in two threads, without any CUDA behind. It answers what the
 * tests of the shim's core need and lets them break things on purpose.
 */
#ifndef VG_FAKE_HOST_H
#define VG_FAKE_HOST_H

#include <stdint.h>

#include "vg_region.h"

struct fake_host;

/* Listens at path. Serves one client at a time until fake_host_stop. */
struct fake_host *fake_host_start(const char *path);
void fake_host_stop(struct fake_host *h);

/* The present client's slot, in our mapping; NULL before it has attached. */
struct vg_slot *fake_host_slot(struct fake_host *h);

/* The next NOPs and PINs are left unanswered while held. */
void fake_host_hold(struct fake_host *h, int held);

/* Dies as by SIGKILL: no answer to anything, the socket closes. */
void fake_host_hang_up(struct fake_host *h);

/* Records taken so far, and the sum of arg[0] of all NOPs. */
uint64_t fake_host_records(struct fake_host *h);
uint64_t fake_host_sum(struct fake_host *h);
/* The argument of the last SET_CONTEXT. */
uint64_t fake_host_context(struct fake_host *h);

#endif
