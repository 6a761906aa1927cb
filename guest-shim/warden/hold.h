/* SPDX-License-Identifier: MIT */
/*
 * Stops a process with all its threads, and lets it go. By ptrace: unlike a SIGSTOP it is noticed
 * by neither its parent nor its terminal, and ends if we do.
 */
#ifndef VG_WARDEN_HOLD_H
#define VG_WARDEN_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct vg_held {
    struct vg_held_thread { pid_t tid; int signal; } *thread;   /* signal: to be delivered yet */
    size_t count;
};

/* False: we may not, or it is being debugged; then it runs on. Blocks until its threads have stopped. */
bool vg_hold(struct vg_held *h, pid_t pid);

/* Nothing if it is not held. */
void vg_unhold(struct vg_held *h);

#endif
