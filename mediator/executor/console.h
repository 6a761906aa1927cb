/* SPDX-License-Identifier: MIT */
/*
 * What kernels print: the driver writes it to this process's stdout, which is a
 * stream of ours into a backlog; from there it goes, as the guest makes room,
 * to the slot's console ring. So a wait learns without a system call that nothing was
 * printed. The descriptor behind stdout is a pipe to ourselves, for a driver that should write
 * there itself; that it does is known from its first bytes on. Neither the driver nor we ever
 * block: the watch thread empties the pipe at any time, and what the backlog cannot hold is
 * dropped, with a note.
 *
 * The watch thread also notices that the mediator goes away, even if the serve
 * thread is stuck in the driver.
 */
#ifndef VG_CONSOLE_H
#define VG_CONSOLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vg_region.h"

struct vg_console {
    pthread_mutex_t lock; /* around everything below but for reads of `taken`, `head` and `piped` */
    struct vg_slot *slot;
    FILE *first;      /* what stdout was; NULL: no console */
    FILE *own;        /* what it is */
    int pipe_read;    /* -1: no console */
    uint32_t piped;   /* something has come by the pipe: it is read at every drain */
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
