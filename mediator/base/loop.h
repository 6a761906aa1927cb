/* SPDX-License-Identifier: MIT */
/*
 * The event loop of a single-threaded program: file descriptors, timers, signals
 * and child processes. Every object is embedded by its user and must stay where
 * it is while it is armed; a callback may disarm or free any object, its own
 * included. Child processes are found by SIGCHLD and waitid per child (Linux 4.19
 * has no pidfd), so children of libraries are left alone.
 *
 * vg_loop_init blocks SIGCHLD and the signals given to vg_loop_on_signal for the
 * process; vg_proc_spawn unblocks them in what it starts.
 */
#ifndef VG_BASE_LOOP_H
#define VG_BASE_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include "list.h"

#define VG_LOOP_BATCH    32
#define VG_LOOP_SIGNALS  32

struct vg_io {
    int fd;                                     /* not owned; -1 when not armed */
    void (*fn)(void *arg, uint32_t events);     /* EPOLLIN and so on, level-triggered */
    void *arg;
};

struct vg_timer {
    uint64_t at;                                /* ns, CLOCK_MONOTONIC */
    bool armed;
    void (*fn)(void *arg);
    void *arg;
    struct vg_list link;
};

struct vg_child {
    pid_t pid;                                  /* 0 when not armed */
    void (*fn)(void *arg, const siginfo_t *how);  /* reaped; si_code, si_status as of waitid */
    void *arg;
    struct vg_list link;
};

struct vg_loop {
    int epoll_fd, signal_fd;
    uint64_t now;                               /* ns, taken once a round */
    bool quit;
    int quit_code;
    sigset_t mask, old_mask;
    struct vg_io signal_io;
    struct vg_list timers;                      /* soonest first */
    struct vg_list children;
    struct {
        void (*fn)(void *arg, const struct signalfd_siginfo *info);
        void *arg;
    } on_signal[VG_LOOP_SIGNALS];
    struct epoll_event *batch;                  /* of the round in progress, else NULL */
    int batch_len;
};

/* What a loop that was never armed looks like: fini and del tolerate it. */
#define VG_IO_NULL { .fd = -1 }

uint64_t vg_now(void);  /* ns, CLOCK_MONOTONIC */

int vg_loop_init(struct vg_loop *loop);     /* 0 or -errno */
void vg_loop_fini(struct vg_loop *loop);    /* restores the signal mask; idempotent */

/* Rounds until vg_loop_quit: its code, or -errno. */
int vg_loop_run(struct vg_loop *loop);
/* One round; waits at most `max_ms` (-1: until something happens). 0 or -errno. */
int vg_loop_step(struct vg_loop *loop, int max_ms);
void vg_loop_quit(struct vg_loop *loop, int code);

int vg_io_add(struct vg_loop *loop, struct vg_io *io, int fd, uint32_t events,
              void (*fn)(void *arg, uint32_t events), void *arg);
int vg_io_set(struct vg_loop *loop, struct vg_io *io, uint32_t events);
void vg_io_del(struct vg_loop *loop, struct vg_io *io);

/* Arms or re-arms. The callback runs once. */
void vg_timer_set(struct vg_loop *loop, struct vg_timer *timer, uint64_t at,
                  void (*fn)(void *arg), void *arg);
void vg_timer_del(struct vg_timer *timer);

void vg_child_add(struct vg_loop *loop, struct vg_child *child, pid_t pid,
                  void (*fn)(void *arg, const siginfo_t *how), void *arg);
void vg_child_del(struct vg_child *child);

/* Blocks the signal and calls `fn` for it from the loop. 0 or -errno. */
int vg_loop_on_signal(struct vg_loop *loop, int signo,
                      void (*fn)(void *arg, const struct signalfd_siginfo *info), void *arg);

#endif
