/* SPDX-License-Identifier: MIT */
/*
 * What VMs are entitled to, for people: the scheduler's answer changes whenever somebody
 * has work or has none, many times in a millisecond, so it is looked at every now and
 * then and smoothed over about a second. Runs on the daemon's loop; nothing acts on it.
 */
#ifndef VG_DUE_H
#define VG_DUE_H

struct vg_mediator;

#define VG_DUE_MS   50u     /* between two looks while there are executors */
#define VG_DUE_LOOK 16u     /* each look counts one part in so many */

void vg_due_start(struct vg_mediator *m);
void vg_due_stop(struct vg_mediator *m);    /* idempotent */

#endif
