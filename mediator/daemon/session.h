/* SPDX-License-Identifier: MIT */
/*
 * One executor process, until it is reaped, and the one use of one slot that it
 * serves. Owns the process, its control socket, its log pipe, its doorbell and the
 * mappings of its counters and its gate. Without a client it belongs to the pool (pool.h), which
 * starts some ahead of need; with one, to that, and the client outlives it.
 *
 * [WARMING -> IDLE ->] STARTING -> SERVING -> STOPPING -> KILLED [-> STUCK] -> ENDED; an executor
 * that ends by itself goes to ENDED from wherever it is.
 */
#ifndef VG_SESSION_H
#define VG_SESSION_H

#include "backend.h"
#include "mediator/base/loop.h"
#include "mediator/base/peer.h"
#include "mediator/health/watchdog.h"
#include "mediator/vg_orders.h"
#include "protocol/vg_region.h"
#include "protocol/vg_sock.h"
#include "turns.h"
#include "usage.h"

#define VG_SESSION_GRACE_MS  500u   /* between SIGTERM and SIGKILL */
#define VG_SESSION_LOG_LINES 50u    /* an executor's log lines in one second, then silence */

struct vg_client;
struct vg_mediator;

enum vg_session_state {
    VG_SESSION_WARMING,     /* the process runs, nobody has asked for it yet */
    VG_SESSION_IDLE,        /* the same, and it has the GPU ready */
    VG_SESSION_STARTING,    /* has been given a slot */
    VG_SESSION_SERVING,     /* said READY */
    VG_SESSION_STOPPING,    /* got SIGTERM */
    VG_SESSION_KILLED,      /* got SIGKILL */
    VG_SESSION_STUCK,       /* that long ago: its driver does not let it end */
    VG_SESSION_ENDED,       /* reaped; waits for the guest's RELEASE */
    VG_SESSION_STATES
};

struct vg_session {
    struct vg_mediator *mediator;
    struct vg_client *client;       /* NULL: in the pool */
    struct vg_list link;            /* in the pool */
    unsigned slot;
    uint32_t token;
    unsigned seat;                  /* in the VM's account, VG_NO_SEAT: none */
    uint32_t user;                  /* whom it becomes for its VM, or is meanwhile, see users.h; 0: nobody else */
    int account_fd;                 /* the VM's quota.fd, which owns it; -1 without a seat */
    enum vg_session_state state;
    enum vg_gone_reason reason;     /* why it is being stopped, or has ended */
    bool ahead;                     /* started before it had a slot */
    bool told;                      /* we told it to end */
    bool blameless;                 /* its end is the GPU's fault */
    struct vg_watchdog watchdog;
    struct vg_pulse pulse, beside;  /* of the executor; of what its second thread is at */
    bool released;                  /* the guest gave the slot back: its state is not ours now */
    uint64_t key;                   /* in the keeper; 0: not there */
    pid_t pid;
    struct vg_child child;          /* not armed when an earlier daemon started it: */
    bool adopted;                   /* then its end is that of its socket and of its process */
    struct vg_peer process;         /* pid again, and what tells it from a later one */
    uint64_t program;               /* vg_backend_id() of what it runs */
    struct vg_timer timer;          /* start timeout, later the grace period and the kernel's */
    struct vg_timer gone_timer;     /* adopted: looks whether the process is gone */
    int control_fd, log_fd, doorbell_fd;
    int stats_fd, gate_fd, orders_fd;   /* memory that is mapped below */
    int bell_fd;                    /* eventfd: the executor wants us to look at its gate */
    struct vg_io control_io, log_io;
    struct vg_stats *stats;         /* read-only */
    struct vg_gate *gate;           /* what the executor says of its turns */
    struct vg_orders *orders;       /* which it can only read */
    uint64_t started, ended;        /* vg_now(); started: its use of the slot, if it has one */
    int exit_code, exit_status;     /* how it ended: si_code, si_status */
    uint64_t ready_ns;              /* from start, later from its slot, to its being ready */
    struct vg_turns_seat turns;     /* its place among those that take turns */
    struct vg_backend backend;
    uint64_t gpu_looked, gpu_seen;  /* vg_now() of the last look at its GPU time, and that, ns */
    unsigned gpu_percent;           /* of the time between the last two */
    char gpus[VG_PLACE_TEXT];       /* that it sees, see place.h; in the guest's order if it has one */
    char device[160];               /* what the executor says it found */
    char failure[160];              /* what it said when it could not start */
    char line[512];                 /* its log, up to the next newline */
    size_t line_len;
    uint64_t log_second;
    unsigned log_lines;
    bool share_lost;                /* it was told no answer once: logged */
};

/* Starts an executor for a slot of the client. 0, or -errno with a sentence for it in `why`. */
int vg_session_new(struct vg_client *client, unsigned slot, uint32_t token,
                   struct vg_session **ret_session, char *why, size_t why_cap);

/* The same for nobody yet, WARMING, with a context if the settings say so. */
int vg_session_new_ahead(struct vg_mediator *m, struct vg_session **ret_session, char *why,
                         size_t why_cap);

/* Gives such a one, WARMING or IDLE, a slot. 0, or -errno: it is as good as dead. */
int vg_session_give(struct vg_session *s, struct vg_client *client, unsigned slot, uint32_t token);

/*
 * Asks it to end, soon enforced. Then vg_client_session_ended() or vg_pool_session_ended() is
 * called, never from here.
 */
void vg_session_stop(struct vg_session *s, enum vg_gone_reason reason);

/* Ends it at once; for one that holds nothing of anybody's. */
void vg_session_kill(struct vg_session *s);

/* Only in ENDED, or never started. NULL is fine; returns NULL. */
struct vg_session *vg_session_free(struct vg_session *s);

/* A signal, if the process is still the one that was started. */
void vg_session_signal(struct vg_session *s, int sig);

/* ---- what an earlier daemon started (restore.c) ---- */

/* Without values, and with descriptors -1. NULL: no memory. */
struct vg_session *vg_session_alloc(struct vg_mediator *m);
/* Has all its values and descriptors: goes on where it was. 0 or -errno. */
int vg_session_adopt(struct vg_session *s);
/* Not adopted after all: closes its descriptors, at which the process ends. */
void vg_session_discard(struct vg_session *s);
/* Is in its place: ends if its process has; goes on ending if it was being ended. */
void vg_session_catch_up(struct vg_session *s);

/* ---- session.c, session_adopt.c and session_hear.c for each other ---- */

/* False: it does not go there from where it is. */
bool vg_session_set_state(struct vg_session *s, enum vg_session_state next);
/* It failed to start, for that reason: the host is told, unless a guest chose the GPUs. */
void vg_session_blame_host(struct vg_session *s, const char *why);
/* Deals with one message of the executor. True while there may be more. */
bool vg_session_take_message(struct vg_session *s);

int vg_session_watch(struct vg_session *s);
int vg_session_send_slot(struct vg_session *s);
/* Closes all but its counters, which stay for the tables until the slot is released. */
void vg_session_let_go(struct vg_session *s);
/* Its gate is the scheduler's from now on. */
void vg_session_take_seat(struct vg_session *s);
/* The process is gone; `how` is NULL if it was no child. May free the session. */
void vg_session_has_ended(struct vg_session *s, const siginfo_t *how);
/* Adopted: looks now and then, from now on, whether the process is gone. */
void vg_session_await_gone(struct vg_session *s);

/* Takes what it has said so far, because another one's question is about it. */
void vg_session_hear(struct vg_session *s);

bool vg_session_is_live(const struct vg_session *s);
const char *vg_session_state_name(const struct vg_session *s);

/* ---- session_log.c ---- */

/* Logs what is in the pipe, a bounded amount. True while it may say more later. */
bool vg_session_log_drain(struct vg_session *s);
/* And a last line without an end. */
void vg_session_log_flush(struct vg_session *s);

#endif
