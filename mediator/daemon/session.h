/* SPDX-License-Identifier: MIT */
/*
 * One use of one slot: the executor process that serves it, from ATTACH until it
 * is reaped. Owns the process, its control socket, its log pipe, its doorbell and
 * the mapping of its counters. Its client outlives it.
 *
 * STARTING -> SERVING -> STOPPING -> KILLED -> ENDED; an executor that ends by
 * itself goes to ENDED from wherever it is.
 */
#ifndef VG_SESSION_H
#define VG_SESSION_H

#include "backend.h"
#include "mediator/base/loop.h"
#include "protocol/vg_region.h"
#include "protocol/vg_sock.h"
#include "usage.h"

#define VG_SESSION_GRACE_MS  500u   /* between SIGTERM and SIGKILL */
#define VG_SESSION_LOG_LINES 50u    /* an executor's log lines in one second, then silence */

struct vg_client;

enum vg_session_state {
    VG_SESSION_STARTING,    /* the process runs, the GPU is not ready */
    VG_SESSION_SERVING,     /* said READY */
    VG_SESSION_STOPPING,    /* got SIGTERM */
    VG_SESSION_KILLED,      /* got SIGKILL */
    VG_SESSION_ENDED,       /* reaped; waits for the guest's RELEASE */
    VG_SESSION_STATES
};

struct vg_session {
    struct vg_client *client;
    unsigned slot;
    uint32_t token;
    enum vg_session_state state;
    enum vg_gone_reason reason;     /* why it is being stopped, or has ended */
    bool released;                  /* the guest gave the slot back: its state is not ours now */
    pid_t pid;
    struct vg_child child;
    struct vg_timer timer;          /* start timeout, later the grace period */
    int control_fd, log_fd, doorbell_fd;
    struct vg_io control_io, log_io;
    struct vg_stats *stats;         /* read-only */
    uint64_t started, ended;        /* vg_now() */
    uint64_t ready_ns;              /* from start to READY */
    struct vg_backend backend;
    char device[160];               /* what the executor says it found */
    char failure[160];              /* what it said when it could not start */
    char line[512];                 /* its log, up to the next newline */
    size_t line_len;
    uint64_t log_second;
    unsigned log_lines;
};

/* Starts an executor. 0, or -errno with a sentence for the peer in `why`. */
int vg_session_new(struct vg_client *client, unsigned slot, uint32_t token,
                   struct vg_session **ret_session, char *why, size_t why_cap);

/* Asks it to end, soon enforced. Then vg_client_session_ended() is called, never from here. */
void vg_session_stop(struct vg_session *s, enum vg_gone_reason reason);

/* Only in ENDED, or never started. NULL is fine; returns NULL. */
struct vg_session *vg_session_free(struct vg_session *s);

bool vg_session_is_live(const struct vg_session *s);
const char *vg_session_state_name(const struct vg_session *s);

#endif
