/* SPDX-License-Identifier: MIT */
/*
 * Looks at executors while any serves: one whose work on the GPU is hung is ended
 * (mediator/health/watchdog.h, setting watchdog_s), and so is one that does not look at
 * its guest any more, or that has computed on the host for compile_s in one call. Runs on
 * the daemon's loop.
 */
#ifndef VG_WATCH_H
#define VG_WATCH_H

struct vg_mediator;

/*
 * An executor that has not looked for so long is hung itself, whatever its GPU does; or
 * for twice watchdog_s, if that is longer: it waits on a host that is busy.
 */
#define VG_WATCH_BEAT_S 60u

/* An executor has begun to serve. */
void vg_watch_wake(struct vg_mediator *m);

#endif
