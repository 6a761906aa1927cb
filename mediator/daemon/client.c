/* SPDX-License-Identifier: MIT */
/*
 * A peer's messages, one row of a table each; see client.h. Handlers return 0, or
 * a sentence: then the peer has broken the protocol and is cut off.
 */
#include "client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "keep.h"
#include "mediator.h"
#include "mediator/base/file.h"
#include "mediator/base/log.h"
#include "mediator/base/number.h"
#include "mediator/base/sock.h"
#include "pool.h"
#include "protocol/vg_regs.h"
#include "slotmem.h"

static const unsigned legal[VG_CLIENT_STATES] = {
    [VG_CLIENT_NEW] = VG_BIT(VG_CLIENT_UP) | VG_BIT(VG_CLIENT_CLOSING),
    [VG_CLIENT_UP] = VG_BIT(VG_CLIENT_CLOSING),
    [VG_CLIENT_CLOSING] = VG_BIT(VG_CLIENT_DEAD),
};

static bool set_state(struct vg_client *c, enum vg_client_state next)
{
    if (!(legal[c->state] & VG_BIT(next)))
        return false;
    c->state = next;
    return true;
}

const char *vg_client_role_name(const struct vg_client *c)
{
    static const char *const names[] = {
        [VG_ROLE_DEVICE] = "device", [VG_ROLE_PROCESS] = "process", [VG_ROLE_MONITOR] = "monitor",
    };

    return c->role && c->role < VG_ARRAY_LEN(names) ? names[c->role] : "new";
}

/* ---- end ---- */

static bool has_sessions(const struct vg_client *c)
{
    for (unsigned i = 0; i < VG_SLOTS_MAX; i++) {
        if (c->session[i])
            return true;
    }
    return false;
}

static void free_when_done(struct vg_client *c)
{
    struct vg_mediator *m = c->mediator;

    if (c->held || has_sessions(c) || !set_state(c, VG_CLIENT_DEAD))
        return;
    vg_log(VG_LOG_INFO, "peer-gone", "peer=%u vm=%s", c->id, c->vm ? c->vm->name : "-");
    if (c->vm) {
        c->vm->peers--;
        vg_images_trim(c->mediator);
    }
    vg_keep_forget(m, &c->key);
    vg_close(&c->mem.fd);
    vg_list_remove(&c->link);
    free(c);
    vg_mediator_client_gone(m);
}

static void drop_session(struct vg_client *c, unsigned slot)
{
    c->session[slot] = vg_session_free(c->session[slot]);
}

void vg_client_close(struct vg_client *c, enum vg_gone_reason reason, const char *why)
{
    if (!set_state(c, VG_CLIENT_CLOSING))
        return;
    vg_event(c->mediator, VG_EVENT_PEER_DOWN, c->vm, "peer=%u why=\"%s\"", c->id, why);
    vg_timer_del(&c->timer);
    vg_io_del(&c->mediator->loop, &c->io);
    vg_close(&c->sock);
    for (unsigned i = 0; i < VG_SLOTS_MAX; i++) {
        if (c->session[i] && vg_session_is_live(c->session[i]))
            vg_session_stop(c->session[i], reason);
        else
            drop_session(c, i);
    }
    /* Without its socket, which the keeper would hold open. */
    if (c->key)
        vg_keep_client(c);
    free_when_done(c);
}

/* ---- what it is told ---- */

/* A peer that does not read what it is sent is as good as gone; the caller closes. */
static const char *tell(struct vg_client *c, const struct vg_msg *msg, int fd)
{
    int rc = vg_sock_send(c->sock, msg, sizeof(*msg), &fd, fd >= 0 ? 1 : 0);

    return rc < 0 ? "does not take messages" : NULL;
}

static const char *tell_slot(struct vg_client *c, enum vg_msg_type type, uint32_t token, int fd)
{
    struct vg_msg msg = { .type = type, .version = VG_PROTOCOL_VERSION, .token = token };

    return tell(c, &msg, fd);
}

static const char *refuse(struct vg_client *c, uint32_t token, const char *why)
{
    struct vg_msg msg = { .type = VG_MSG_REFUSED, .version = VG_PROTOCOL_VERSION,
                          .token = token };

    vg_event(c->mediator, VG_EVENT_ATTACH_REFUSED, c->vm, "peer=%u token=%#x why=\"%s\"", c->id,
             token, why);
    snprintf(msg.text, sizeof(msg.text), "%s", why);
    return tell(c, &msg, -1);
}

/* The verdict for a peer that did nothing wrong but may not stay. */
static const char turned_away[] = "refused";

static const char *refuse_peer(struct vg_client *c, const char *why)
{
    struct vg_msg msg = { .type = VG_MSG_REFUSED, .version = VG_PROTOCOL_VERSION };
    char clean[sizeof(msg.text)];

    c->mediator->refused++;
    vg_log_clean(clean, sizeof(clean), why, sizeof(clean));
    vg_event(c->mediator, VG_EVENT_PEER_REFUSED, NULL,
             "peer=%u uid=%u pid=%d claims=\"%s\" why=\"%s\"", c->id, (unsigned)c->uid, (int)c->pid,
             c->claimed, clean);
    snprintf(msg.text, sizeof(msg.text), "%s", why);
    tell(c, &msg, -1);
    return turned_away;
}

/* ---- HELLO ---- */

static void watch_process(struct vg_client *c);

/* A forked child may hold the socket open after its parent's death, but cannot use it. */
static void check_process(void *arg)
{
    struct vg_client *c = arg;

    if (vg_peer_lives(&c->peer))
        watch_process(c);
    else
        vg_client_close(c, VG_GONE_NONE, "the process is dead");
}

static void watch_process(struct vg_client *c)
{
    vg_timer_set(&c->mediator->loop, &c->timer, vg_now() + VG_CLIENT_CHECK_MS * VG_NS_PER_MS,
                 check_process, c);
}

static const char *welcome(struct vg_client *c)
{
    struct vg_msg msg = { .type = VG_MSG_WELCOME, .version = VG_PROTOCOL_VERSION,
                          .role = c->role, .region_size = c->layout.size,
                          .slot_count = c->layout.slot_count };

    snprintf(msg.name, sizeof(msg.name), "%s", c->vm ? c->vm->name : c->claimed);
    return tell(c, &msg, c->role == VG_ROLE_DEVICE ? -1 : c->mem.fd);
}

static const char *on_hello(struct vg_client *c, struct vg_msg *msg, int *fd)
{
    char buf[sizeof(msg->text)];
    const char *why;

    if (msg->version != VG_PROTOCOL_VERSION)
        return refuse_peer(c, "another protocol version; guest and host builds differ");
    if (msg->role < VG_ROLE_DEVICE || msg->role > VG_ROLE_MONITOR)
        return refuse_peer(c, "neither device nor process nor monitor");
    if (c->domid && msg->role != VG_ROLE_DEVICE)
        return refuse_peer(c, "a domain's socket is for its device only");
    c->role = (enum vg_role)msg->role;
    why = vg_client_identify(c, msg, fd, buf, sizeof(buf));
    if (why)
        return refuse_peer(c, why);
    vg_timer_del(&c->timer);
    set_state(c, VG_CLIENT_UP);
    if (c->role == VG_ROLE_PROCESS)
        watch_process(c);
    vg_event(c->mediator, VG_EVENT_PEER_UP, c->vm,
             "peer=%u role=%s claims=\"%s\" pid=%d uid=%u region_mib=%" PRIu64 " slots=%u", c->id,
             vg_client_role_name(c), c->claimed, (int)c->pid, (unsigned)c->uid,
             c->layout.size >> 20, c->layout.slot_count);
    why = welcome(c);
    if (!why && c->role != VG_ROLE_PROCESS)
        vg_telemetry_watch(&c->mediator->telemetry, c);
    /* Should we die before this, it has to come again, and has nothing yet that it could lose. */
    if (!why)
        vg_keep_client(c);
    return why;
}

/* ---- slots ---- */

static bool slot_of(const struct vg_client *c, uint32_t token, unsigned *ret_slot)
{
    if (VG_TOKEN_SLOT(token) >= c->layout.slot_count)
        return false;
    *ret_slot = VG_TOKEN_SLOT(token);
    return true;
}

static const char *refuse_slot(struct vg_client *c, unsigned slot, uint32_t token,
                               enum vg_gone_reason reason, const char *why)
{
    vg_slotmem_gone(&c->mem, &c->layout, slot, reason);
    return refuse(c, token, why);
}

/* The guest has moved the BAR; only those who map it from now on need to know. */
static const char *on_moved(struct vg_client *c, struct vg_msg *msg, int *fd)
{
    (void)fd;
    if (!c->mem.gfn || !msg->region_gfn)
        return "MOVED of a region that cannot move";
    c->mem.gfn = msg->region_gfn;
    vg_keep_client_values(c);
    return NULL;
}

static const char *on_attach(struct vg_client *c, struct vg_msg *msg, int *fd)
{
    struct vg_mediator *m = c->mediator;
    enum vg_gone_reason reason;
    char why[160];
    unsigned slot;

    (void)fd;
    if (!slot_of(c, msg->token, &slot))
        return "ATTACH of a slot that does not exist";
    if (c->replay && c->session[slot] && c->session[slot]->token == msg->token)
        return tell_slot(c, VG_MSG_ATTACHED, msg->token, c->session[slot]->doorbell_fd);
    /* A second client on the slot: the first one keeps it, its state is not touched. */
    if (c->session[slot])
        return refuse(c, msg->token, "the slot is in use");
    if (c->used[slot] && c->last_token[slot] == msg->token)
        return refuse(c, msg->token, "the slot has been released");
    reason = vg_health_refuses(m, c->vm, why, sizeof(why));
    if (reason != VG_GONE_NONE)
        return refuse_slot(c, slot, msg->token, reason, why);
    if (m->session_count >= m->config.max_executors) {
        snprintf(why, sizeof(why), "the limit max_executors (%" PRIu64 ") is reached",
                 m->config.max_executors);
        return refuse_slot(c, slot, msg->token, VG_GONE_REFUSED, why);
    }
    if (vg_quota_check(m, c->vm, why, sizeof(why)) < 0)
        return refuse_slot(c, slot, msg->token, VG_GONE_REFUSED, why);
    vg_slotmem_set(&c->mem, &c->layout, slot, VG_SLOT_ATTACHING);
    if (vg_pool_attach(c, slot, msg->token, &c->session[slot], why, sizeof(why)) < 0)
        return refuse_slot(c, slot, msg->token, VG_GONE_REFUSED, why);
    c->used[slot] = true;
    c->last_token[slot] = msg->token;
    vg_keep_client_values(c);
    return tell_slot(c, VG_MSG_ATTACHED, msg->token, c->session[slot]->doorbell_fd);
}

static void release(struct vg_session *s)
{
    s->released = true;
    vg_keep_session_values(s);
    vg_session_stop(s, VG_GONE_NONE);
}

static const char *on_release(struct vg_client *c, struct vg_msg *msg, int *fd)
{
    struct vg_session *s;
    unsigned slot;

    (void)fd;
    if (!slot_of(c, msg->token, &slot))
        return "RELEASE of a slot that does not exist";
    s = c->session[slot];
    if (s && s->token != msg->token) {
        vg_log(VG_LOG_INFO, "late-release", "peer=%u vm=%s token=%#x", c->id, c->vm->name,
               msg->token);
        return NULL;
    }
    if (s && vg_session_is_live(s)) {
        release(s);
        return NULL;
    }
    drop_session(c, slot);
    return tell_slot(c, VG_MSG_SLOT_FREE, msg->token, -1);
}

static const char *on_reset(struct vg_client *c, struct vg_msg *msg, int *fd)
{
    const char *why = NULL;

    (void)msg, (void)fd;
    vg_log(VG_LOG_INFO, "vm-reset", "peer=%u vm=%s", c->id, c->vm->name);
    for (unsigned i = 0; i < c->layout.slot_count && !why; i++) {
        struct vg_session *s = c->session[i];

        c->used[i] = false;
        if (s && vg_session_is_live(s)) {
            release(s);
        } else if (s) {
            uint32_t token = s->token;

            drop_session(c, i);
            why = tell_slot(c, VG_MSG_SLOT_FREE, token, -1);
        }
    }
    return why;
}

void vg_client_session_ended(struct vg_client *c, struct vg_session *s)
{
    const char *why = NULL;
    unsigned slot = s->slot;

    if (c->state == VG_CLIENT_CLOSING) {
        drop_session(c, slot);
        free_when_done(c);
        return;
    }
    /* Without a heartbeat for so long there is nobody left in the VM to release it. */
    if (!s->released && s->reason != VG_GONE_LEASE)
        return;
    why = tell_slot(c, VG_MSG_SLOT_FREE, s->token, -1);
    drop_session(c, slot);
    if (why)
        vg_client_close(c, VG_GONE_NONE, why);
}

/* ---- messages ---- */

struct row {
    const char *(*handle)(struct vg_client *c, struct vg_msg *msg, int *fd);
    enum vg_client_state state;     /* in which it is allowed */
    unsigned roles;                 /* bits of enum vg_role */
    unsigned max_fds;
};

/* Role 0 has a peer before its HELLO. */
#define NO_ROLE   VG_BIT(0)
#define USER_ROLE (VG_BIT(VG_ROLE_DEVICE) | VG_BIT(VG_ROLE_PROCESS))

static const struct row rows[] = {
    [VG_MSG_HELLO] = { on_hello, VG_CLIENT_NEW, NO_ROLE, 1 },
    [VG_MSG_ATTACH] = { on_attach, VG_CLIENT_UP, USER_ROLE, 0 },
    [VG_MSG_RELEASE] = { on_release, VG_CLIENT_UP, USER_ROLE, 0 },
    [VG_MSG_MOVED] = { on_moved, VG_CLIENT_UP, VG_BIT(VG_ROLE_DEVICE), 0 },
    [VG_MSG_RESET] = { on_reset, VG_CLIENT_UP, VG_BIT(VG_ROLE_DEVICE), 0 },
};

static const char *dispatch(struct vg_client *c, struct vg_msg *msg, ssize_t len, int *fd)
{
    const struct row *row = NULL;

    if (len != (ssize_t)sizeof(*msg))
        return "a packet of the wrong length";
    if (msg->type < VG_ARRAY_LEN(rows))
        row = &rows[msg->type];
    if (!row || !row->handle)
        return "a message of unknown type";
    if (row->state != c->state || !(row->roles & VG_BIT(c->role)))
        return "a message out of turn";
    if (*fd >= 0 && row->max_fds == 0)
        return "a file descriptor where none belongs";
    return row->handle(c, msg, fd);
}

static void cut_off(struct vg_client *c, const char *why)
{
    c->mediator->misbehaved++;
    if (c->vm)
        vg_health_peer_misbehaved(c->mediator, c->vm);
    vg_event(c->mediator, VG_EVENT_PEER_MISBEHAVES, c->vm, "peer=%u why=\"%s\"", c->id, why);
    vg_client_close(c, VG_GONE_PROTOCOL, why);
}

/*
 * HELLO is taken off before, the others after they have been dealt with: so whenever we
 * die, the next daemon knows the peer and hears what we have not done, or knows nothing.
 */
static const char *take(struct vg_client *c, struct vg_msg *msg, ssize_t n, int *fd)
{
    bool is_known = c->key != 0;
    const char *why;

    if (!is_known)
        vg_sock_skip(c->sock);
    why = dispatch(c, msg, n, fd);
    if (is_known)
        vg_sock_skip(c->sock);
    c->replay = false;
    return why;
}

static void ready(void *arg, uint32_t events)
{
    struct vg_client *c = arg;
    vg_auto_fd int fd = -1;
    struct vg_msg msg;
    unsigned nfds = 0;
    const char *why;
    ssize_t n = vg_sock_peek(c->sock, &msg, sizeof(msg), &fd, 1, &nfds);

    (void)events;
    if (n == -EAGAIN)
        return;
    if (n == 0 || n == -ECONNRESET) {
        vg_client_close(c, VG_GONE_NONE, "end of connection");
        return;
    }
    why = n < 0 ? "a packet too long or with too many descriptors" : take(c, &msg, n, &fd);
    if (why == turned_away)
        vg_client_close(c, VG_GONE_REFUSED, why);
    else if (why)
        cut_off(c, why);
}

static void hello_timeout(void *arg)
{
    cut_off(arg, "no HELLO");
}

/* ---- those that say nothing: they must not keep others out ---- */

/* The list is in order of arrival, so the first is the oldest. NULL: there is none. */
static struct vg_client *oldest_silent(struct vg_mediator *m, const uid_t *uid, unsigned *ret_count)
{
    struct vg_client *c, *oldest = NULL;

    *ret_count = 0;
    vg_list_for_each(c, &m->clients, link) {
        if (c->state != VG_CLIENT_NEW || (uid && c->uid != *uid))
            continue;
        if (!oldest)
            oldest = c;
        ++*ret_count;
    }
    return oldest;
}

static void turn_away(struct vg_client *c, const char *why)
{
    vg_client_close(c, VG_GONE_REFUSED, refuse_peer(c, why));
}

void vg_client_limit_silent(struct vg_mediator *m, uid_t uid)
{
    unsigned count;
    struct vg_client *c = oldest_silent(m, &uid, &count);

    if (c && count > VG_CLIENT_SILENT_MAX)
        turn_away(c, "this user has too many connections that have not said HELLO");
}

bool vg_client_make_room(struct vg_mediator *m)
{
    unsigned count;
    struct vg_client *c = oldest_silent(m, NULL, &count);

    if (c)
        turn_away(c, "no HELLO, and all max_clients connections are in use");
    return c != NULL;
}

/* ---- start ---- */

struct vg_client *vg_client_new(struct vg_mediator *m, int sock)
{
    struct vg_client *c = calloc(1, sizeof(*c));
    struct ucred cred = { .pid = 0, .uid = (uid_t)-1 };
    socklen_t len = sizeof(cred);

    if (c)
        c->io.fd = -1;
    if (!c || vg_io_add(&m->loop, &c->io, sock, EPOLLIN, ready, c) < 0) {
        close(sock);
        free(c);
        return NULL;
    }
    c->mediator = m;
    c->id = ++m->next_client;
    c->sock = sock;
    c->mem.fd = -1;
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
        c->pid = cred.pid;
        c->uid = cred.uid;
    }
    vg_peer_init(&c->peer, c->pid);
    vg_list_append(&m->clients, &c->link);
    vg_timer_set(&m->loop, &c->timer, vg_now() + VG_CLIENT_HELLO_MS * VG_NS_PER_MS,
                 hello_timeout, c);
    return c;
}

/* ---- taking over ---- */

int vg_client_adopt(struct vg_client *c)
{
    struct vg_mediator *m = c->mediator;
    int rc = c->state == VG_CLIENT_UP ? vg_io_add(&m->loop, &c->io, c->sock, EPOLLIN, ready, c) : 0;

    if (rc < 0)
        return rc;
    c->replay = true;
    if (c->vm)
        c->vm->peers++;
    m->client_count++;
    vg_list_append(&m->clients, &c->link);
    return 0;
}

void vg_client_catch_up(struct vg_client *c)
{
    c->held = true;
    for (unsigned i = 0; i < VG_SLOTS_MAX; i++) {
        if (c->session[i] && c->state == VG_CLIENT_CLOSING)
            vg_session_stop(c->session[i], VG_GONE_NONE);
        if (c->session[i])
            vg_session_catch_up(c->session[i]);
    }
    c->held = false;
    if (c->state == VG_CLIENT_CLOSING)
        free_when_done(c);
    else if (c->role == VG_ROLE_PROCESS)
        watch_process(c);
    else
        vg_telemetry_watch(&c->mediator->telemetry, c);
}
