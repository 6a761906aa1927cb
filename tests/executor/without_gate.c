/* SPDX-License-Identifier: MIT */
/*
 * An executor that nobody schedules or measures: what gate.c and meter.c have, doing nothing. So
 * that what these two cost can be counted (launches.c, cost.sh). The linker then takes neither.
 */
#include <string.h>

#include "mediator/executor/executor.h"

void vg_gatekeeper_init(struct vg_gatekeeper *k)
{
    memset(k, 0, sizeof(*k));
    k->page = &k->own;
}

bool vg_gate_pass(struct vg_exec *x, const struct vg_call *c)
{
    (void)x, (void)c;
    return true;
}

bool vg_gate_next(struct vg_exec *x, struct vg_call *ret_call)
{
    *ret_call = x->keeper.call;
    x->keeper.held = false;
    return true;
}

bool vg_gate_sleepy(struct vg_exec *x)                              { (void)x; return true; }
bool vg_gate_is_ahead(const struct vg_exec *x)                      { (void)x; return false; }
bool vg_gate_is_busy(const struct vg_exec *x)                       { (void)x; return false; }
void vg_gate_awake(struct vg_exec *x)                               { (void)x; }
void vg_gate_tick(struct vg_exec *x, uint64_t now, bool quiet)      { (void)x, (void)now, (void)quiet; }
uint64_t vg_gate_nap(const struct vg_exec *x, uint64_t now)         { (void)x, (void)now; return UINT64_MAX; }

void vg_meter_fini(struct vg_meter *m)                              { (void)m; }
void vg_meter_begin(struct vg_exec *x, uint64_t key, uint64_t ns)   { (void)x, (void)key, (void)ns; }
void vg_meter_stream(struct vg_exec *x, CUstream s)                 { (void)x, (void)s; }
void vg_meter_end(struct vg_exec *x, bool done)                     { (void)x, (void)done; }
void vg_meter_stall_begin(struct vg_exec *x, CUstream s)            { (void)x, (void)s; }
void vg_meter_stall_end(struct vg_exec *x, CUstream s)              { (void)x, (void)s; }
void vg_meter_stream_ends(struct vg_exec *x, CUstream s)            { (void)x, (void)s; }
void vg_meter_close_all(struct vg_exec *x)                          { (void)x; }
uint64_t vg_meter_covered(struct vg_exec *x, CUstream s)            { (void)x, (void)s; return 0; }
void vg_meter_passed(struct vg_exec *x, CUstream s, uint64_t n)     { (void)x, (void)s, (void)n; }
void vg_meter_idle(struct vg_exec *x)                               { (void)x; }
void vg_meter_drop_context(struct vg_exec *x, CUcontext ctx)        { (void)x, (void)ctx; }
