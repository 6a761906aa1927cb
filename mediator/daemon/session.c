/* SPDX-License-Identifier: MIT */
/*
 * An executor's life as the mediator sees it, in order: start, what it says, stop,
 * end. See session.h. Runs on the daemon's loop; nothing here blocks.
 */
#include "session.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "client.h"
#include "mediator.h"
#include "mediator/base/file.h"
#include "mediator/base/log.h"
#include "mediator/base/proc.h"
#include "mediator/base/sock.h"
#include "protocol/vg_atomic.h"
#include "slotmem.h"

#define STATS_SIZE ((sizeof(struct vg_stats) + VG_PAGE - 1) / VG_PAGE * VG_PAGE)

/* Exit code of an executor that ended for a reason of its own: this plus the reason. */
#define EXIT_REASON 10

static const char *const state_names[VG_SESSION_STATES] = {
    "starting", "serving", "stopping", "killed", "ended",
};

static const unsigned legal[VG_SESSION_STATES] = {
    [VG_SESSION_STARTING] = VG_BIT(VG_SESSION_SERVING) | VG_BIT(VG_SESSION_STOPPING) |
                            VG_BIT(VG_SESSION_ENDED),
    [VG_SESSION_SERVING] = VG_BIT(VG_SESSION_STOPPING) | VG_BIT(VG_SESSION_ENDED),
    [VG_SESSION_STOPPING] = VG_BIT(VG_SESSION_KILLED) | VG_BIT(VG_SESSION_ENDED),
    [VG_SESSION_KILLED] = VG_BIT(VG_SESSION_ENDED),
};

static bool set_state(struct vg_session *s, enum vg_session_state next)
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
    return &s->client->mediator->loop;
}

static const char *vm_name(const struct vg_session *s)
{
    return s->client->vm->name;
}

/* ---- what it says ---- */

static void log_line(struct vg_session *s)
{
    char text[sizeof(s->line)];
    uint64_t second = loop_of(s)->now / VG_NS_PER_S;

    if (second != s->log_second) {
        s->log_second = second;
        s->log_lines = 0;
    }
    /* A guest may be able to provoke lines; it must not fill the disk. */
    if (++s->log_lines > VG_SESSION_LOG_LINES)
        return;
    vg_log_clean(text, sizeof(text), s->line, s->line_len);
    vg_log(s->log_lines == VG_SESSION_LOG_LINES ? VG_LOG_WARNING : VG_LOG_INFO, "executor-says",
           "vm=%s slot=%u pid=%d text=\"%s\"%s", vm_name(s), s->slot, (int)s->pid, text,
           s->log_lines == VG_SESSION_LOG_LINES ? " more=dropped" : "");
}

static void take_log(struct vg_session *s, const char *buf, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (buf[i] != '\n' && s->line_len < sizeof(s->line) - 1) {
            s->line[s->line_len++] = buf[i];
            continue;
        }
        log_line(s);
        s->line_len = 0;
        if (buf[i] != '\n')
            s->line[s->line_len++] = buf[i];
    }
}

/* True while the pipe may say more later. Reads a bounded amount, so others get their turn. */
static bool drain_log(struct vg_session *s)
{
    char buf[2048];

    for (int i = 0; i < 16; i++) {
        ssize_t n = read(s->log_fd, buf, sizeof(buf));

        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        take_log(s, buf, (size_t)n);
    }
    return true;
}

static void log_ready(void *arg, uint32_t events)
{
    struct vg_session *s = arg;

    (void)events;
    if (!drain_log(s))
        vg_io_del(loop_of(s), &s->log_io);
}

static void on_ready(struct vg_session *s, const struct vg_msg *msg)
{
    if (!set_state(s, VG_SESSION_SERVING))
        return;
    vg_timer_del(&s->timer);
    s->ready_ns = vg_now() - s->started;
    vg_log_clean(s->device, sizeof(s->device), msg->text, sizeof(msg->text));
    strcpy(s->client->mediator->device, s->device);
    s->client->mediator->problem[0] = '\0';
    vg_log(VG_LOG_INFO, "executor-ready", "vm=%s slot=%u pid=%d ms=%" PRIu64 " device=\"%s\"",
           vm_name(s), s->slot, (int)s->pid, s->ready_ns / VG_NS_PER_MS, s->device);
}

static void on_failed(struct vg_session *s, const struct vg_msg *msg)
{
    vg_log_clean(s->failure, sizeof(s->failure), msg->text, sizeof(msg->text));
    if (s->reason == VG_GONE_NONE)
        s->reason = msg->token && msg->token < VG_GONE_REASONS ? (enum vg_gone_reason)msg->token
                                                               : VG_GONE_NO_GPU;
    vg_log(VG_LOG_ERROR, "executor-failed", "vm=%s slot=%u pid=%d reason=%s text=\"%s\"",
           vm_name(s), s->slot, (int)s->pid, vg_gone_name(s->reason), s->failure);
    if (s->state == VG_SESSION_STARTING && s->reason == VG_GONE_NO_GPU)
        strcpy(s->client->mediator->problem, s->failure);
}

static void hung_up(void *arg)
{
    vg_session_stop(arg, VG_GONE_CRASHED);
}

/* Usually it is exiting; one that lives on without us to talk to must not. */
static void on_control_end(struct vg_session *s)
{
    if (s->state == VG_SESSION_STARTING || s->state == VG_SESSION_SERVING)
        vg_timer_set(loop_of(s), &s->timer, vg_now() + VG_SESSION_GRACE_MS * VG_NS_PER_MS, hung_up,
                     s);
}

/* True while there may be more. An executor is as suspect as the guest that drives it. */
static bool take_message(struct vg_session *s)
{
    struct vg_msg msg;
    unsigned nfds;
    ssize_t n = vg_sock_recv(s->control_fd, &msg, sizeof(msg), NULL, 0, &nfds);

    if (n == -EAGAIN)
        return false;
    if (n == (ssize_t)sizeof(msg) && msg.type == VG_MSG_READY) {
        on_ready(s, &msg);
        return true;
    }
    if (n == (ssize_t)sizeof(msg) && msg.type == VG_MSG_FAILED) {
        on_failed(s, &msg);
        return true;
    }
    vg_io_del(loop_of(s), &s->control_io);
    if (n > 0 || n == -EMSGSIZE) {
        vg_log(VG_LOG_ERROR, "executor-misbehaves", "vm=%s slot=%u pid=%d length=%zd", vm_name(s),
               s->slot, (int)s->pid, n);
        vg_session_stop(s, VG_GONE_CRASHED);
    } else {
        on_control_end(s);
    }
    return false;
}

static void control_ready(void *arg, uint32_t events)
{
    (void)events;
    take_message(arg);
}

/* ---- stop ---- */

static void grace_over(void *arg)
{
    struct vg_session *s = arg;

    if (!set_state(s, VG_SESSION_KILLED))
        return;
    vg_log(VG_LOG_WARNING, "executor-kill", "vm=%s slot=%u pid=%d", vm_name(s), s->slot,
           (int)s->pid);
    kill(s->pid, SIGKILL);
}

void vg_session_stop(struct vg_session *s, enum vg_gone_reason reason)
{
    /* Once it is reaped its pid is somebody else's. */
    if (s->child.pid == 0 || !set_state(s, VG_SESSION_STOPPING))
        return;
    if (s->reason == VG_GONE_NONE)
        s->reason = reason;
    kill(s->pid, SIGTERM);
    vg_timer_set(loop_of(s), &s->timer, vg_now() + VG_SESSION_GRACE_MS * VG_NS_PER_MS, grace_over,
                 s);
}

static void start_timeout(void *arg)
{
    struct vg_session *s = arg;

    vg_log(VG_LOG_ERROR, "executor-start-timeout", "vm=%s slot=%u pid=%d", vm_name(s), s->slot,
           (int)s->pid);
    strcpy(s->client->mediator->problem, "it was not ready within start_timeout_s");
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

static void log_end(const struct vg_session *s, const siginfo_t *how)
{
    bool fault = s->reason == VG_GONE_CRASHED || s->reason == VG_GONE_PROTOCOL ||
                 s->reason == VG_GONE_TIMEOUT || s->reason == VG_GONE_NO_GPU;

    vg_log(fault ? VG_LOG_WARNING : VG_LOG_INFO, "executor-end",
           "vm=%s slot=%u pid=%d reason=%s %s=%d released=%d calls=%" PRIu64 " s=%" PRIu64,
           vm_name(s), s->slot, (int)s->pid, vg_gone_name(s->reason),
           how->si_code == CLD_EXITED ? "exit" : "signal", how->si_status, s->released,
           vg_load_relaxed(&s->stats->calls), (s->ended - s->started) / VG_NS_PER_S);
}

/* Descriptors go at once, the counters stay for the tables until the slot is released. */
static void let_go(struct vg_session *s)
{
    vg_io_del(loop_of(s), &s->control_io);
    vg_io_del(loop_of(s), &s->log_io);
    vg_timer_del(&s->timer);
    vg_close(&s->control_fd);
    vg_close(&s->log_fd);
    vg_close(&s->doorbell_fd);
}

/* Its last words may still be in the sockets: SIGCHLD overtakes them. */
static void last_words(struct vg_session *s)
{
    while (s->control_io.fd >= 0 && take_message(s))
        ;
    drain_log(s);
    if (s->line_len > 0)
        log_line(s);
}

static const unsigned asked_to_end = VG_BIT(VG_SESSION_STOPPING) | VG_BIT(VG_SESSION_KILLED);

static void child_ended(void *arg, const siginfo_t *how)
{
    struct vg_session *s = arg;
    struct vg_client *c = s->client;

    last_words(s);
    /* One that was told to end has done nothing wrong, however it obeyed. */
    if (s->reason == VG_GONE_NONE && !(VG_BIT(s->state) & asked_to_end))
        s->reason = reason_of(how);
    s->ended = vg_now();
    set_state(s, VG_SESSION_ENDED);
    let_go(s);
    /* Nobody told it to end, but to the guest its slot is as gone as after a crash. */
    if (!s->released)
        vg_slotmem_gone(c->region_fd, &c->layout, s->slot,
                        s->reason == VG_GONE_NONE ? VG_GONE_CRASHED : s->reason);
    log_end(s, how);
    vg_usage_add_ended(&c->vm->ended, s->stats);
    c->vm->gone[s->reason]++;
    c->mediator->session_count--;
    vg_client_session_ended(c, s);
}

/* ---- start ---- */

struct start {      /* what only the child keeps */
    int control, log, stats;
};

static void start_fini(struct start *st)
{
    vg_close(&st->control);
    vg_close(&st->log);
    vg_close(&st->stats);
}

static int open_channels(struct vg_session *s, struct start *st)
{
    int pair[2], log_pipe[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    s->control_fd = pair[0];
    st->control = pair[1];
    if (pipe2(log_pipe, O_CLOEXEC) < 0)
        return -errno;
    s->log_fd = log_pipe[0];
    st->log = log_pipe[1];
    s->doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->doorbell_fd < 0 || fcntl(s->log_fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

static int open_stats(struct vg_session *s, struct start *st)
{
    void *map;

    st->stats = vg_memfd_new("vgpu-stats", STATS_SIZE);
    if (st->stats < 0)
        return st->stats;
    map = mmap(NULL, STATS_SIZE, PROT_READ, MAP_SHARED, st->stats, 0);
    if (map == MAP_FAILED)
        return -errno;
    s->stats = map;
    return 0;
}

/* What a driver and its user may need; nothing that changes which code is loaded. */
static const char *const kept_env[] = {
    "PATH", "HOME", "LANG", "TZ", "CUDA_*", "NVIDIA_*", "VG_*", "VGPU_*", "ASAN_OPTIONS",
    "UBSAN_OPTIONS", "TSAN_OPTIONS", NULL,
};

static int spawn(struct vg_session *s, const struct start *st, const char *program)
{
    struct vg_client *c = s->client;
    uint64_t spin_us = c->mediator->config.spin_us;
    char slot[16], generation[16], slots[16], size[24], spin[24];
    char *argv[] = { (char *)"vgpu-executor", (char *)"--vm", c->vm->name,
                     (char *)"--slot", slot, (char *)"--generation", generation,
                     (char *)"--slot-count", slots, (char *)"--region-size", size,
                     (char *)"--backend", (char *)vg_backend_name(&s->backend),
                     (char *)"--driver", s->backend.library,
                     spin_us != VG_SPIN_DEFAULT ? (char *)"--spin-us" : NULL, spin, NULL };
    const int fds[] = { -1, -1, st->log, st->control, c->region_fd, s->doorbell_fd, st->stats };
    vg_auto_free char **envp = vg_proc_env(kept_env, NULL);
    /* No death signal: at the end of its control socket it tells its guest, then goes. */
    struct vg_proc proc = { .path = program, .argv = argv, .envp = envp, .fds = fds,
                            .nfds = VG_ARRAY_LEN(fds), .session = true, .no_core = true };

    snprintf(slot, sizeof(slot), "%u", s->slot);
    snprintf(generation, sizeof(generation), "%u", s->token >> 16);
    snprintf(slots, sizeof(slots), "%u", c->layout.slot_count);
    snprintf(size, sizeof(size), "%" PRIu64, c->layout.size);
    snprintf(spin, sizeof(spin), "%" PRIu64, spin_us);
    return envp ? vg_proc_spawn(&proc, &s->pid) : -ENOMEM;
}

static int watch(struct vg_session *s)
{
    struct vg_loop *loop = loop_of(s);
    uint64_t timeout = s->client->mediator->config.start_timeout_s * VG_NS_PER_S;
    int rc = vg_io_add(loop, &s->control_io, s->control_fd, EPOLLIN, control_ready, s);

    if (rc == 0)
        rc = vg_io_add(loop, &s->log_io, s->log_fd, EPOLLIN, log_ready, s);
    if (rc == 0)
        vg_timer_set(loop, &s->timer, s->started + timeout, start_timeout, s);
    return rc;
}

static int start(struct vg_session *s, char *why, size_t why_cap)
{
    struct start st = { -1, -1, -1 };
    char program[PATH_MAX];
    const struct vg_config *config = &s->client->mediator->config;
    int rc = vg_backend_find(config, &s->backend, why, why_cap);

    if (rc < 0)
        return rc;
    snprintf(program, sizeof(program), "vgpu-executor");
    rc = vg_backend_executor(config, program, sizeof(program));
    if (rc == 0)
        rc = open_channels(s, &st);
    if (rc == 0)
        rc = open_stats(s, &st);
    if (rc == 0)
        rc = watch(s);
    if (rc == 0)
        rc = spawn(s, &st, program);
    start_fini(&st);
    if (rc < 0)
        snprintf(why, why_cap, "cannot start %.100s: %s", program, strerror(-rc));
    return rc;
}

int vg_session_new(struct vg_client *client, unsigned slot, uint32_t token,
                   struct vg_session **ret_session, char *why, size_t why_cap)
{
    struct vg_session *s = calloc(1, sizeof(*s));
    int rc;

    snprintf(why, why_cap, "out of memory");
    if (!s)
        return -ENOMEM;
    s->client = client;
    s->slot = slot;
    s->token = token;
    s->control_fd = s->log_fd = s->doorbell_fd = -1;
    s->control_io.fd = s->log_io.fd = -1;
    s->started = vg_now();
    rc = start(s, why, why_cap);
    if (rc < 0) {
        let_go(s);
        vg_session_free(s);
        return rc;
    }
    vg_child_add(loop_of(s), &s->child, s->pid, child_ended, s);
    client->mediator->session_count++;
    vg_log(VG_LOG_INFO, "executor-start", "vm=%s slot=%u pid=%d backend=%s library=%s",
           vm_name(s), slot, (int)s->pid, vg_backend_name(&s->backend), s->backend.library);
    *ret_session = s;
    return 0;
}

struct vg_session *vg_session_free(struct vg_session *s)
{
    if (s && s->stats)
        munmap(s->stats, STATS_SIZE);
    free(s);
    return NULL;
}
