/* SPDX-License-Identifier: MIT */
/*
 * What kernels print: the driver writes it to this process's stdout, which is a
 * pipe to ourselves; from there it goes to the slot's console ring. Neither the
 * driver nor we ever block: the watch thread empties the pipe at any time, and
 * what the guest does not fetch in time is dropped, with a note.
 *
 * The watch thread also notices that the mediator goes away, even if the serve
 * thread is stuck in the driver.
 */
#ifndef VG_CONSOLE_H
#define VG_CONSOLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vg_region.h"

struct vg_console {
    pthread_mutex_t lock;       /* around everything below */
    struct vg_slot *slot;
    int pipe_read;              /* -1: no console */
    uint64_t head;              /* bytes put into the ring */
    uint64_t dropped;           /* bytes lost since the last note */
};

/* Before the driver is loaded: redirects stdout. 0 or -errno. */
int vg_console_init(struct vg_console *c, struct vg_slot *slot);
void vg_console_fini(struct vg_console *c);

/* Starts the watch thread, which calls `ended` when control_fd hangs up. 0 or -errno. */
int vg_console_watch(struct vg_console *c, int control_fd, void (*ended)(void));

/* Moves all that was printed so far to the slot. Any thread. */
void vg_console_drain(struct vg_console *c);

/* Appends bytes to the ring, or drops them. Any thread. */
void vg_console_put(struct vg_console *c, const void *bytes, uint64_t len);

#endif
