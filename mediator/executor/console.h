/* SPDX-License-Identifier: MIT */
/*
 * What kernels print: the driver writes it to this process's stdout, which is a
 * pipe to ourselves; from there it goes to a backlog and, as the guest makes room,
 * to the slot's console ring. Neither the driver nor we ever block: the watch
 * thread empties the pipe at any time, and what the backlog cannot hold is dropped,
 * with a note.
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
    pthread_mutex_t lock; /* around everything below */
    struct vg_slot *slot;
    int pipe_read;    /* -1: no console */
    uint8_t *backlog; /* VG_BACKLOG_MAX bytes, used as a ring; NULL until needed */
    uint64_t taken;   /* bytes accepted, ever */
    uint64_t head;    /* of these, bytes put into the slot's ring */
    uint64_t dropped; /* bytes lost since the last note */
};

#define VG_BACKLOG_MAX (4u << 20) /* the driver's own print buffer holds 1 MiB */

/* Before the driver is loaded: redirects stdout. 0 or -errno. */
int vg_console_init(struct vg_console *c, struct vg_slot *slot);
void vg_console_fini(struct vg_console *c);

/* Starts the watch thread, which calls `ended` when control_fd hangs up. 0 or -errno. */
int vg_console_watch(struct vg_console *c, int control_fd, void (*ended)(void));

/*
 * Takes all that was printed so far and gives the slot as much as it has room for.
 * Returns the position behind the last byte taken. Any thread.
 */
uint64_t vg_console_drain(struct vg_console *c);

/* Goes on giving. The position given so far; from drain's answer on, all is there. Any thread. */
uint64_t vg_console_give(struct vg_console *c);

#endif
