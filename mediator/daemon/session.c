/* SPDX-License-Identifier: MIT */
/*
 * An executor's life as the mediator sees it: what it says, stop, end, start. See
 * session.h. Runs on the daemon's loop; nothing here blocks.
 */
#include "session.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "client.h"
#include "keep.h"
#include "mediator.h"
#include "mediator/base/log.h"
#include "mediator/base/sock.h"
#include "pool.h"
#include "protocol/vg_atomic.h"
#include "share.h"
#include "slotmem.h"
#include "spawn.h"
#include "watch.h"

/* Exit code of an executor that ended for a reason of its own: this plus the reason. */
#define EXIT_REASON 10

#define LAST_WORDS_MAX 4096 /* messages: many more than a socket holds */

static const char *const state_names[VG_SESSION_STATES] = {
    "warming", "idle", "starting", "serving", "stopping", "killed", "stuck",
    "ended",
};

static const unsigned legal[VG_SESSION_STATES] = {
    [VG_SESSION_WARMING] = VG_BIT(VG_SESSION_IDLE) | VG_BIT(VG_SESSION_STARTING) |
                           VG_BIT(VG_SESSION_STOPPING) | VG_BIT(VG_SESSION_ENDED),
    [VG_SESSION_IDLE] = VG_BIT(VG_SESSION_STARTING) | VG_BIT(VG_SESSION_STOPPING) |
                        VG_BIT(VG_SESSION_ENDED),
    [VG_SESSION_STARTING] = VG_BIT(VG_SESSION_SERVING) | VG_BIT(VG_SESSION_STOPPING) |
                            VG_BIT(VG_SESSION_ENDED),
    [VG_SESSION_SERVING] = VG_BIT(VG_SESSION_STOPPING) | VG_BIT(VG_SESSION_ENDED),
    [VG_SESSION_STOPPING] = VG_BIT(VG_SESSION_KILLED) | VG_BIT(VG_SESSION_ENDED),
    [VG_SESSION_KILLED] = VG_BIT(VG_SESSION_STUCK) | VG_BIT(VG_SESSION_ENDED),
    [VG_SESSION_STUCK] = VG_BIT(VG_SESSION_ENDED),
};

bool vg_session_set_state(struct vg_session *s, enum vg_session_state next)
{
    if (!(legal[s->state] & VG_BIT(next)))
        return false;
    s->state = next;
    return true;
}

const char *vg_session_state_name(const struct vg_session *s)
{
    return state_names[s->state];
}

bool vg_session_is_live(const struct vg_session *s)
{
    return s->state != VG_SESSION_ENDED;
}

static struct vg_loop *loop_of(struct vg_session *s)
{
    return &s->mediator->loop;
}

static const struct vg_vm *vm_of(const struct vg_session *s)
{
    return s->client ? s->client->vm : NULL;
}

static const char *vm_name(const struct vg_session *s)
{
    return s->client ? s->client->vm->name : "-";
}

/* ---- what it says ---- */

static void log_ready(void *arg, uint32_t events)
{
    struct vg_session *s = arg;

    (void)events;
    if (!vg_session_log_drain(s))
        vg_io_del(loop_of(s), &s->log_io);
}

static void control_ready(void *arg, uint32_t events)
{
    (void)events;
    vg_session_take_message(arg);
}

/* ---- stop ---- */

static bool has_process(const struct vg_session *s)
{
    return s->child.pid != 0 || s->adopted;
}

/* A child's number is its own until it is reaped; another's is looked at first. */
void vg_session_signal(struct vg_session *s, int sig)
{
    if (s->child.pid != 0 || (s->adopted && vg_peer_lives(&s->process)))
        kill(s->pid, sig);
}

/* The driver does not let it go; what it holds stays its VM's, which gets nothing new. */
static void is_stuck(void *arg)
{
    struct vg_session *s = arg;

    if (vg_session_set_state(s, VG_SESSION_STUCK))
        vg_event(s->mediator, VG_EVENT_STUCK, vm_of(s), "slot=%u pid=%d s=%" PRIu64, s->slot,
                 (int)s->pid, s->mediator->config.stuck_s);
}

static void kill_now(struct vg_session *s)
{
    uint64_t ns = s->mediator->config.stuck_s * VG_NS_PER_S;

    vg_session_signal(s, SIGKILL);
    vg_timer_set(loop_of(s), &s->timer, vg_now() + ns, is_stuck, s);
}

static void grace_over(void *arg)
{
    struct vg_session *s = arg;

    if (!vg_session_set_state(s, VG_SESSION_KILLED))
        return;
    vg_event(s->mediator, VG_EVENT_KILLED, vm_of(s), "slot=%u pid=%d reason=%s", s->slot,
             (int)s->pid, vg_gone_name(s->reason));
    kill_now(s);
}

/* Before the executor hears of its end, which knows less about why. */
static void tell_guest(struct vg_session *s)
{
    struct vg_client *c = s->client;

    if (c && !s->released && s->reason != VG_GONE_NONE)
        vg_slotmem_gone(&c->mem, &c->layout, s->slot, s->reason);
}

void vg_session_stop(struct vg_session *s, enum vg_gone_reason reason)
{
    if (!has_process(s) || !vg_session_set_state(s, VG_SESSION_STOPPING))
        return;
    if (s->reason == VG_GONE_NONE)
        s->reason = reason;
    s->told = true;
    vg_turns_close(s);
    tell_guest(s);
    vg_quota_leaving(s);
    vg_keep_session_values(s);
    vg_session_signal(s, SIGTERM);
    vg_session_await_gone(s);
    vg_timer_set(loop_of(s), &s->timer, vg_now() + VG_SESSION_GRACE_MS * VG_NS_PER_MS, grace_over,
                 s);
}

void vg_session_kill(struct vg_session *s)
{
    vg_session_set_state(s, VG_SESSION_STOPPING);
    if (has_process(s) && vg_session_set_state(s, VG_SESSION_KILLED))
        kill_now(s);
    vg_session_await_gone(s);
}

/* By numbers of GPUs that are not there a guest can make its own executors fail, and nothing else. */
void vg_session_blame_host(struct vg_session *s, const char *why)
{
    struct vg_mediator *m = s->mediator;
    struct vg_place place;

    vg_gpus_place(m, s->client ? s->client->vm->grant.pool : m->config.policy.pool, &place);
    if (strcmp(s->gpus, place.gpus) == 0)
        snprintf(m->problem, sizeof(m->problem), "%s", why);
}

static void start_timeout(void *arg)
{
    struct vg_session *s = arg;

    vg_log(VG_LOG_ERROR, "executor-start-timeout", "vm=%s slot=%u pid=%d", vm_name(s), s->slot,
           (int)s->pid);
    vg_session_blame_host(s, "it was not ready within start_timeout_s");
    vg_session_stop(s, VG_GONE_NO_GPU);
}

/* ---- end ---- */

static enum vg_gone_reason reason_of(const siginfo_t *how)
{
    int reason = how->si_code == CLD_EXITED ? how->si_status - EXIT_REASON : -1;

    if (how->si_code == CLD_EXITED && how->si_status == 0)
        return VG_GONE_NONE;
    return reason > 0 && reason < (int)VG_GONE_REASONS ? (enum vg_gone_reason)reason
                                                       : VG_GONE_CRASHED;
}

static void log_end(const struct vg_session *s)
{
    bool fault = s->reason == VG_GONE_CRASHED || s->reason == VG_GONE_PROTOCOL ||
                 s->reason == VG_GONE_TIMEOUT || s->reason == VG_GONE_NO_GPU;

    vg_event(s->mediator, fault ? VG_EVENT_FAULT : VG_EVENT_DETACHED, vm_of(s),
             "slot=%u pid=%d reason=%s %s=%d released=%d calls=%" PRIu64 " s=%" PRIu64, s->slot,
             (int)s->pid, vg_gone_name(s->reason), s->exit_code == 0 ? "unseen" : s->exit_code == CLD_EXITED ? "exit" : "signal",
             s->exit_status, s->released, vg_load_relaxed(&s->stats->calls),
             (s->ended - s->started) / VG_NS_PER_S);
}

static void forget_process(struct vg_session *s)
{
    vg_io_del(loop_of(s), &s->control_io);
    vg_io_del(loop_of(s), &s->log_io);
    vg_timer_del(&s->timer);
    vg_timer_del(&s->gone_timer);
    vg_close(&s->control_fd);
    vg_close(&s->log_fd);
    vg_close(&s->stats_fd);
    vg_close(&s->gate_fd);
    vg_close(&s->orders_fd);
}

/* Descriptors go at once, the counters stay for the tables until the slot is released. */
void vg_session_let_go(struct vg_session *s)
{
    vg_turns_leave(s);
    forget_process(s);
    vg_close(&s->doorbell_fd);
    vg_close(&s->bell_fd);
    s->adopted = false;
}

/* Its last words may still be in the sockets: SIGCHLD overtakes them. */
static void last_words(struct vg_session *s)
{
    /* No more than its socket holds: what it may have left behind could go on for ever. */
    for (unsigned i = 0; i < LAST_WORDS_MAX && s->control_io.fd >= 0 && vg_session_take_message(s); i++)
        ;
    vg_session_log_drain(s);
    vg_session_log_flush(s);
}

static const unsigned asked_to_end = VG_BIT(VG_SESSION_STOPPING) | VG_BIT(VG_SESSION_KILLED) |
                                     VG_BIT(VG_SESSION_STUCK);

/*
 * To the next daemon it ends when it has moved into the VM's totals. Before that, a peer
 * that still listens is told; a peer that is closed lasts until then.
 */
static void tell_client(struct vg_session *s)
{
    struct vg_client *c = s->client;
    struct vg_mediator *m = s->mediator;
    struct vg_vm *vm = c->vm;
    bool closing = c->state == VG_CLIENT_CLOSING;
    uint64_t key = s->key;

    s->key = 0;
    if (closing)
        vg_keep_vm(m, vm, key);
    vg_client_session_ended(c, s);
    if (!closing)
        vg_keep_vm(m, vm, key);
}

static void end_for_client(struct vg_session *s)
{
    struct vg_client *c = s->client;

    vg_shares_end(s);
    vg_quota_leave(s);
    /* Nobody told it to end, but to the guest its slot is as gone as after a crash. */
    if (!s->released)
        vg_slotmem_gone(&c->mem, &c->layout, s->slot,
                        s->reason == VG_GONE_NONE ? VG_GONE_CRASHED : s->reason);
    log_end(s);
    vg_usage_add_ended(&c->vm->ended, s->stats);
    c->vm->gone[s->reason]++;
    vg_health_session_ended(s);
    s->mediator->session_count--;
    tell_client(s);
}

/* ---- start ---- */

static void set_start_timeout(struct vg_session *s)
{
    uint64_t ns = s->mediator->config.start_timeout_s * VG_NS_PER_S;

    vg_timer_set(loop_of(s), &s->timer, s->started + ns, start_timeout, s);
}

int vg_session_watch(struct vg_session *s)
{
    struct vg_loop *loop = loop_of(s);
    int rc = vg_io_add(loop, &s->control_io, s->control_fd, EPOLLIN, control_ready, s);

    if (rc == 0)
        rc = vg_io_add(loop, &s->log_io, s->log_fd, EPOLLIN, log_ready, s);
    if (rc == 0)
        set_start_timeout(s);
    return rc;
}

int vg_session_send_slot(struct vg_session *s)
{
    const struct vg_client *c = s->client;
    struct vg_msg msg = { .type = VG_MSG_SERVE, .version = VG_PROTOCOL_VERSION, .token = s->token,
                          .region_size = c->layout.size, .slot_count = c->layout.slot_count,
                          .region_gfn = c->mem.gfn, .domid = c->mem.domid };

    int shelf = vg_images_of(s->mediator, c->vm);

    msg.pid = s->seat;
    msg.user = s->user;
    msg.shelf_size = vg_images_bytes(s->mediator);
    snprintf(msg.name, sizeof(msg.name), "%s", c->vm->name);
    return vg_sock_send(s->control_fd, &msg, sizeof(msg),
                        (const int[]){ c->mem.fd, s->account_fd, shelf }, shelf < 0 ? 2 : 3);
}

static void child_ended(void *arg, const siginfo_t *how);

static int start(struct vg_session *s, char *why, size_t why_cap)
{
    struct vg_spawn sp;
    int rc = vg_spawn_init(&sp, s, why, why_cap);

    if (rc == 0)
        rc = vg_session_watch(s);
    if (rc == 0)
        rc = vg_spawn_run(&sp, s, why, why_cap);
    vg_spawn_fini(&sp);
    if (rc < 0)
        return rc;
    vg_child_add(loop_of(s), &s->child, s->pid, child_ended, s);
    vg_peer_init(&s->process, s->pid);
    /* First the keeper knows it, then it knows its guest: so no daemon's end costs a guest its slot. */
    vg_keep_session(s);
    /* One that has ended already says why, in a moment. */
    if (s->client)
        (void)vg_session_send_slot(s);
    return 0;
}

struct vg_session *vg_session_alloc(struct vg_mediator *m)
{
    struct vg_session *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->mediator = m;
    vg_list_init(&s->link);
    s->seat = VG_NO_SEAT;
    s->control_fd = s->log_fd = s->doorbell_fd = s->bell_fd = -1;
    s->stats_fd = s->gate_fd = s->orders_fd = s->account_fd = -1;
    s->control_io.fd = s->log_io.fd = -1;
    s->started = vg_now();
    return s;
}

/* Takes the session: it is freed unless all went well. */
static int run(struct vg_session *s, struct vg_session **ret_session, char *why, size_t why_cap)
{
    int rc;

    snprintf(why, why_cap, "out of memory");
    if (!s)
        return -ENOMEM;
    rc = start(s, why, why_cap);
    if (rc < 0) {
        vg_quota_leave(s);
        vg_session_let_go(s);
        vg_session_free(s);
        return rc;
    }
    vg_log(VG_LOG_INFO, "executor-start", "pid=%d backend=%s library=%s", (int)s->pid,
           vg_backend_name(&s->backend), s->backend.library);
    *ret_session = s;
    return 0;
}

static int serves(struct vg_session *s, struct vg_client *client, unsigned slot, uint32_t token)
{
    int rc;

    s->client = client;
    s->slot = slot;
    s->token = token;
    s->user = vg_users_of(s->mediator, client->vm);
    rc = vg_quota_sit(s);
    if (rc < 0)
        s->client = NULL;
    return rc;
}

void vg_session_take_seat(struct vg_session *s)
{
    int rc = vg_turns_join(s);

    if (rc < 0)
        vg_log(VG_LOG_ERROR, "not-scheduled", "vm=%s slot=%u pid=%d error=\"%s\"", vm_name(s),
               s->slot, (int)s->pid, strerror(-rc));
}

static void has_begun(struct vg_session *s)
{
    s->mediator->session_count++;
    vg_quota_begun(s);
    vg_event(s->mediator, VG_EVENT_ATTACHED, vm_of(s), "slot=%u pid=%d was=%s", s->slot,
             (int)s->pid, s->ahead ? state_names[s->state] : "new");
    vg_session_set_state(s, VG_SESSION_STARTING);
    vg_session_take_seat(s);
    vg_watch_wake(s->mediator);
}

int vg_session_new_ahead(struct vg_mediator *m, struct vg_session **ret_session, char *why,
                         size_t why_cap)
{
    struct vg_session *s = vg_session_alloc(m);

    if (s) {
        s->ahead = true;
        s->user = m->users.base;
    }
    return run(s, ret_session, why, why_cap);
}

int vg_session_new(struct vg_client *client, unsigned slot, uint32_t token,
                   struct vg_session **ret_session, char *why, size_t why_cap)
{
    struct vg_session *s = vg_session_alloc(client->mediator);
    int rc;

    if (s && serves(s, client, slot, token) < 0)
        s = vg_session_free(s);
    rc = run(s, ret_session, why, why_cap);
    if (rc == 0)
        has_begun(s);
    return rc;
}

int vg_session_give(struct vg_session *s, struct vg_client *client, unsigned slot, uint32_t token)
{
    int rc = serves(s, client, slot, token);

    if (rc < 0)
        return rc;
    vg_keep_session(s);
    rc = vg_session_send_slot(s);
    if (rc < 0) {
        vg_quota_leave(s);
        s->client = NULL;
        return rc;
    }
    s->started = vg_now();
    set_start_timeout(s);
    has_begun(s);
    return 0;
}

/*
 * One of the pool may have been dying already when it got its slot, of which the
 * guest should not hear: its place is taken by a new one, with the same doorbell.
 */
static int start_again(struct vg_session *s)
{
    struct vg_stats *stats = s->stats;
    struct vg_gate *gate = s->gate;
    struct vg_orders *orders = s->orders;
    char why[160];
    int rc;

    vg_log(VG_LOG_WARNING, "executor-replaced", "vm=%s slot=%u pid=%d", vm_name(s), s->slot,
           (int)s->pid);
    vg_turns_leave(s);
    forget_process(s);
    s->stats = NULL;
    s->gate = NULL;
    s->orders = NULL;
    s->ahead = s->adopted = false;
    rc = start(s, why, sizeof(why));
    if (s->stats)
        munmap(stats, VG_STATS_SIZE);
    else
        s->stats = stats;
    if (s->gate)
        munmap(gate, VG_GATE_SIZE);
    else
        s->gate = gate;
    if (s->orders)
        munmap(orders, VG_ORDERS_SIZE);
    else
        s->orders = orders;
    if (rc == 0)
        vg_session_take_seat(s);
    return rc;
}

/* `how` is NULL for one that was no child of ours: nobody tells us. */
void vg_session_has_ended(struct vg_session *s, const siginfo_t *how)
{
    enum vg_gone_reason reason = how ? reason_of(how) : VG_GONE_CRASHED;

    last_words(s);
    if (s->ahead && s->state == VG_SESSION_STARTING && s->reason == VG_GONE_NONE &&
        reason == VG_GONE_CRASHED && start_again(s) == 0)
        return;
    /* One that was told to end has done nothing wrong, however it obeyed. */
    if (s->reason == VG_GONE_NONE && !(VG_BIT(s->state) & asked_to_end))
        s->reason = reason;
    s->exit_code = how ? how->si_code : 0;
    s->exit_status = how ? how->si_status : 0;
    s->ended = vg_now();
    vg_session_set_state(s, VG_SESSION_ENDED);
    vg_session_let_go(s);
    if (s->client) {
        end_for_client(s);
        return;
    }
    log_end(s);
    vg_keep_forget(s->mediator, &s->key);
    vg_pool_session_ended(s);
}

static void child_ended(void *arg, const siginfo_t *how)
{
    vg_session_has_ended(arg, how);
}

struct vg_session *vg_session_free(struct vg_session *s)
{
    if (s && s->stats)
        munmap(s->stats, VG_STATS_SIZE);
    if (s && s->gate)
        munmap(s->gate, VG_GATE_SIZE);
    if (s && s->orders)
        munmap(s->orders, VG_ORDERS_SIZE);
    free(s);
    return NULL;
}
