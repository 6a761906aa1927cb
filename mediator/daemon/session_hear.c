/* SPDX-License-Identifier: MIT */
/* What an executor says to the daemon, and what follows; see session.h. Runs on the daemon's loop. */
#include <inttypes.h>
#include <string.h>

#include "client.h"
#include "keep.h"
#include "mediator.h"
#include "mediator/base/log.h"
#include "mediator/base/sock.h"
#include "pool.h"
#include "session.h"
#include "share.h"

#define HEAR_MAX 64     /* messages of one executor before others get their turn */

static const char *vm_name(const struct vg_session *s)
{
    return s->client ? s->client->vm->name : "-";
}

/* Not told to end yet, and not ended by itself. */
static bool is_wanted(const struct vg_session *s)
{
    return s->state <= VG_SESSION_SERVING;
}

static void on_device(struct vg_session *s, const struct vg_msg *msg)
{
    vg_timer_del(&s->timer);
    s->ready_ns = vg_now() - s->started;
    vg_log_clean(s->device, sizeof(s->device), msg->text, sizeof(msg->text));
    strcpy(s->mediator->device, s->device);
    s->mediator->problem[0] = '\0';
}

/* With a slot already, it says READY soon as well. */
static void on_idle(struct vg_session *s, const struct vg_msg *msg)
{
    if (!vg_session_set_state(s, VG_SESSION_IDLE))
        return;
    on_device(s, msg);
    vg_log(VG_LOG_INFO, "executor-idle", "pid=%d ms=%" PRIu64 " device=\"%s\"", (int)s->pid,
           s->ready_ns / VG_NS_PER_MS, s->device);
    vg_quota_measured(s);
    vg_keep_session_values(s);
    vg_pool_session_idle(s->mediator);
}

static void on_ready(struct vg_session *s, const struct vg_msg *msg)
{
    if (s->state != VG_SESSION_STARTING || !vg_session_set_state(s, VG_SESSION_SERVING))
        return;
    on_device(s, msg);
    vg_log(VG_LOG_INFO, "executor-ready", "vm=%s slot=%u pid=%d ms=%" PRIu64 " device=\"%s\"",
           vm_name(s), s->slot, (int)s->pid, s->ready_ns / VG_NS_PER_MS, s->device);
    vg_keep_session_values(s);
}

static void on_failed(struct vg_session *s, const struct vg_msg *msg)
{
    vg_log_clean(s->failure, sizeof(s->failure), msg->text, sizeof(msg->text));
    if (s->reason == VG_GONE_NONE)
        s->reason = msg->token && msg->token < VG_GONE_REASONS ? (enum vg_gone_reason)msg->token
                                                               : VG_GONE_NO_GPU;
    vg_log(VG_LOG_ERROR, "executor-failed", "vm=%s slot=%u pid=%d reason=%s text=\"%s\"",
           vm_name(s), s->slot, (int)s->pid, vg_gone_name(s->reason), s->failure);
    if (s->state < VG_SESSION_SERVING && s->reason == VG_GONE_NO_GPU)
        vg_session_blame_host(s, s->failure);
}

static void hung_up(void *arg)
{
    vg_session_stop(arg, VG_GONE_CRASHED);
}

/* Usually it is exiting; one that lives on without us to talk to must not. */
static void on_control_end(struct vg_session *s)
{
    vg_session_await_gone(s);
    if (is_wanted(s))
        vg_timer_set(&s->mediator->loop, &s->timer, vg_now() + VG_SESSION_GRACE_MS * VG_NS_PER_MS, hung_up,
                     s);
}

union packet {
    struct vg_msg msg;
    struct vg_share_msg share;
};

static bool is_msg(const struct vg_msg *msg, ssize_t n, enum vg_msg_type type)
{
    return n == (ssize_t)sizeof(*msg) && msg->type == type;
}

/* The end, or something that no executor says. */
static void on_other(struct vg_session *s, ssize_t n)
{
    vg_io_del(&s->mediator->loop, &s->control_io);
    if (n <= 0 && n != -EMSGSIZE) {
        on_control_end(s);
        return;
    }
    vg_log(VG_LOG_ERROR, "executor-misbehaves", "vm=%s slot=%u pid=%d length=%zd", vm_name(s),
           s->slot, (int)s->pid, n);
    vg_session_stop(s, VG_GONE_CRASHED);
}

/*
 * True while there may be more. An executor is as suspect as the guest that drives it.
 * What it says is taken off when it has been dealt with: should we die in between, the
 * next daemon hears it again, and each of these may be heard twice.
 */
bool vg_session_take_message(struct vg_session *s)
{
    union packet p;
    vg_auto_fd int fd = -1;
    unsigned nfds = 0;
    ssize_t n = vg_sock_peek(s->control_fd, &p, sizeof(p), &fd, 1, &nfds);

    if (n == -EAGAIN)
        return false;
    /* It ended without having taken its slot; what it said before comes after this. */
    if (n == -ECONNRESET)
        return true;
    if (is_msg(&p.msg, n, VG_MSG_IDLE)) {
        on_idle(s, &p.msg);
    } else if (is_msg(&p.msg, n, VG_MSG_READY)) {
        on_ready(s, &p.msg);
    } else if (is_msg(&p.msg, n, VG_MSG_FAILED)) {
        on_failed(s, &p.msg);
    } else if (n != (ssize_t)sizeof(p) || !vg_share_message(s, &p.share, &fd)) {
        on_other(s, n);
        return false;
    }
    vg_sock_skip(s->control_fd);
    return true;
}

void vg_session_hear(struct vg_session *s)
{
    for (unsigned i = 0; i < HEAR_MAX && s->control_io.fd >= 0 && vg_session_take_message(s); i++)
        ;
}
