/* SPDX-License-Identifier: MIT */
/*
 * The gate: whether a call that gives the GPU work may do so now. The daemon grants,
 * on the page that it shares with this process (mediator/vg_gate.h). Serve thread only.
 */
#ifndef VG_EXEC_GATE_H
#define VG_EXEC_GATE_H

struct vg_exec;

/*
 * Maps the daemon's page; without one (a test, a fuzzer) a page of our own, on which the
 * gate is open for good.
 */
int vg_gate_open(struct vg_exec *x, int fd);

#endif
