/* SPDX-License-Identifier: MIT */
/* The daemon's life and its peers' arrival, see mediator.h. */
#include "mediator.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "due.h"
#include "keep.h"
#include "mediator/base/file.h"
#include "mediator/base/log.h"
#include "mediator/base/sock.h"
#include "notify.h"
#include "store.h"

#define LOCK_MS    500u     /* for the one before us to go */
#define REMNANT_MS 10000u   /* for what it has left behind to go, on a busy machine */

/* ---- VMs ---- */

struct vg_vm *vg_mediator_admit(struct vg_mediator *m, const char *name, char *why, size_t why_cap)
{
    struct vg_vm *vm = vg_vms_find(&m->vms, name);

    if (vm)
        return vm;
    if (!m->config.auto_register) {
        /* The sentence has to fit into a message, so a long name stands there only once. */
        snprintf(why, why_cap, "VM \"%s\" is not registered (vgpu-admin register-vm --vm-name=%s)",
                 name, strlen(name) <= 40 ? name : "NAME");
        return NULL;
    }
    vm = vg_vms_add(&m->vms, name, &m->config.policy);
    if (!vm)
        snprintf(why, why_cap, "the mediator knows too many VMs already");
    else
        vg_mediator_vm_changed(m, vm);
    return vm;
}

/* A pool that exists nowhere works, and is most likely a slip of the pen. */
static void look_for_pool(struct vg_mediator *m, struct vg_vm *vm)
{
    const char *pool = vm->policy.pool;
    bool known = vg_places_know(&m->config.places, pool) ||
                 strcmp(pool, m->config.policy.pool) == 0;

    if (strcmp(vm->pool_unknown, known ? "" : pool) == 0)
        return;
    strcpy(vm->pool_unknown, known ? "" : pool);
    if (!known)
        vg_event(m, VG_EVENT_VM_POOL, vm, "pool=%s why=\"no setting pool.%s on this host\" gpu=%s",
                 pool, pool, vg_place_of(&m->config.places, pool).gpus);
}

void vg_mediator_vm_changed(struct vg_mediator *m, struct vg_vm *vm)
{
    look_for_pool(m, vm);
    vg_quota_apply(m, vm);
    vg_keep_vm(m, vm, 0);
    vg_turns_policy(m, vm);
}

static void vm_forgotten(void *arg, struct vg_vm *vm)
{
    uint64_t key = vm->key;

    vg_turns_forget(vm);
    vg_keep_forget(arg, &key);
}

/* The keeper keeps it, for the next daemon. */
static void turns_forgotten(void *arg, struct vg_vm *vm)
{
    (void)arg;
    vg_turns_forget(vm);
}

void vg_mediator_usage(struct vg_mediator *m, const struct vg_vm *vm, struct vg_usage *ret_usage)
{
    struct vg_client *c;

    *ret_usage = vm->ended;
    vg_list_for_each(c, &m->clients, link) {
        for (unsigned i = 0; c->vm == vm && i < c->layout.slot_count; i++) {
            if (c->session[i] && vg_session_is_live(c->session[i]))
                vg_usage_add(ret_usage, c->session[i]->stats);
        }
    }
}

/* ---- peers ---- */

static void listen_again(void *arg)
{
    struct vg_mediator *m = arg;

    vg_io_set(&m->loop, &m->listen_io, EPOLLIN);
}

/* Out of descriptors or memory: the connection stays in the queue, so look away for a while. */
static void listen_later(struct vg_mediator *m, int rc)
{
    if (rc == -EAGAIN || rc == -ECONNABORTED || rc == -EINTR)
        return;
    vg_log(VG_LOG_ERROR, "accept-failed", "error=\"%s\"", strerror(-rc));
    vg_io_set(&m->loop, &m->listen_io, 0);
    vg_timer_set(&m->loop, &m->accept_timer, vg_now() + 100 * VG_NS_PER_MS, listen_again, m);
}

static void refuse_full(struct vg_mediator *m, int fd)
{
    struct vg_msg msg = { .type = VG_MSG_REFUSED, .version = VG_PROTOCOL_VERSION };

    m->refused++;
    vg_log(VG_LOG_WARNING, "peers-full", "max_clients=%" PRIu64, m->config.max_clients);
    snprintf(msg.text, sizeof(msg.text), "the mediator has max_clients connections already");
    vg_sock_send(fd, &msg, sizeof(msg), NULL, 0);
    close(fd);
}

void vg_mediator_peer(struct vg_mediator *m, int fd, uint32_t domid)
{
    struct vg_client *c;

    if (m->client_count >= m->config.max_clients && !vg_client_make_room(m)) {
        refuse_full(m, fd);
        return;
    }
    c = vg_client_new(m, fd);
    if (!c)
        return;
    c->domid = domid;
    m->client_count++;
    vg_client_limit_silent(m, c->uid);
}

static void accept_ready(void *arg, uint32_t events)
{
    struct vg_mediator *m = arg;
    int fd = vg_sock_accept(m->listen_fd);

    (void)events;
    if (fd < 0)
        listen_later(m, fd);
    else
        vg_mediator_peer(m, fd, 0);
}

static void pool_timeout(void *arg)
{
    struct vg_mediator *m = arg;

    vg_loop_quit(&m->loop, 0);
}

/* Killed in the middle of a driver's start, some of the pool take their time; nobody needs it. */
static void quit_when_done(struct vg_mediator *m)
{
    if (!m->stopping || m->client_count > 0)
        return;
    if (vg_pool_is_empty(m))
        vg_loop_quit(&m->loop, 0);
    else
        vg_timer_set(&m->loop, &m->stop_timer, vg_now() + VG_STOP_POOL_MS * VG_NS_PER_MS,
                     pool_timeout, m);
}

void vg_mediator_client_gone(struct vg_mediator *m)
{
    m->client_count--;
    quit_when_done(m);
}

void vg_mediator_executor_gone(struct vg_mediator *m)
{
    quit_when_done(m);
}

/* ---- end ---- */

static void stop_timeout(void *arg)
{
    struct vg_mediator *m = arg;

    /* SIGKILL is on its way to all; we need not see its effect. */
    vg_log(VG_LOG_ERROR, "stop-timeout", "executors=%u", m->session_count);
    vg_loop_quit(&m->loop, 1);
}

static void stop_listening(struct vg_mediator *m)
{
    if (m->listen_fd >= 0 && !m->leaving)
        unlink(m->config.socket);
    if (m->control.mediator)
        unlink(m->config.control_socket);
    vg_timer_del(&m->accept_timer);
    vg_io_del(&m->loop, &m->listen_io);
    vg_close(&m->listen_fd);
    if (m->stopping && !m->leaving)
        vg_keep_mediator(m);
    vg_metrics_fini(&m->metrics);
    vg_due_stop(m);
    vg_control_fini(&m->control);
    vg_toolstack_fini(&m->toolstack);
}

/* Of the packages' restart: the next daemon goes on with all of it. */
static bool may_leave(const struct vg_mediator *m, unsigned signo)
{
    return signo == SIGTERM && m->config.keep == VG_KEEP_ALWAYS && vg_keeper_is_up(&m->keeper);
}

static void leave(struct vg_mediator *m)
{
    m->stopping = m->leaving = true;
    vg_notify("STOPPING=1\n");
    vg_keep_all(m);
    vg_log(VG_LOG_INFO, "leaving", "peers=%u executors=%u keep_s=%" PRIu64, m->client_count,
           m->session_count, m->config.keep_s);
    vg_loop_quit(&m->loop, 0);
}

static void stop(struct vg_mediator *m, unsigned signo)
{
    struct vg_client *c, *next;

    if (m->stopping)
        return;
    if (may_leave(m, signo)) {
        leave(m);
        return;
    }
    vg_event(m, VG_EVENT_STOPPING, NULL, "signal=%u peers=%u executors=%u", signo, m->client_count,
             m->session_count);
    m->stopping = true;
    vg_notify("STOPPING=1\n");
    stop_listening(m);
    vg_pool_close(m);
    vg_timer_set(&m->loop, &m->stop_timer, vg_now() + VG_STOP_MS * VG_NS_PER_MS, stop_timeout, m);
    vg_list_for_each_safe(c, next, &m->clients, link)
        vg_client_close(c, VG_GONE_MEDIATOR, "the mediator stops");
    quit_when_done(m);
}

static void on_stop(void *arg, const struct signalfd_siginfo *info)
{
    stop(arg, info->ssi_signo);
}

static void stop_all(void *arg)
{
    stop(arg, SIGINT);
}

static void stop_as_asked(void *arg)
{
    stop(arg, SIGTERM);
}

void vg_mediator_stop_soon(struct vg_mediator *m, bool all)
{
    vg_timer_set(&m->loop, &m->stop_timer, vg_now() + VG_STOP_SOON_MS * VG_NS_PER_MS,
                 all ? stop_all : stop_as_asked, m);
}

/* ---- start ---- */

static void lock_path(const struct vg_mediator *m, char *path, size_t cap)
{
    snprintf(path, cap, "%s.lock", m->config.socket);
}

/*
 * One that was killed may have left a child between fork and exec, which has all its descriptors,
 * the lock among them, and no daemon. The second lock is of the process and passes to no child.
 */
static bool has_daemon(int lock_fd)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    return fcntl(lock_fd, F_GETLK, &l) < 0 || l.l_type != F_UNLCK;
}

static bool is_patient(int lock_fd, unsigned *waited_ms)
{
    if (*waited_ms >= (has_daemon(lock_fd) ? LOCK_MS : REMNANT_MS))
        return false;
    poll(NULL, 0, 10);
    *waited_ms += 10;
    return true;
}

static void say_it_is_ours(int lock_fd)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    if (fcntl(lock_fd, F_SETLK, &l) < 0)
        vg_log(VG_LOG_WARNING, "no-second-lock", "error=\"%s\"", strerror(errno));
}

/*
 * One daemon a socket. The file is removed at the end, so after taking the lock it
 * must still be the file at that path: else another daemon has just left.
 */
static int take_lock(struct vg_mediator *m)
{
    char path[PATH_MAX];
    struct stat ours, there;
    unsigned waited = 0;
    bool patient;

    lock_path(m, path, sizeof(path));
    for (;;) {
        m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (m->lock_fd < 0)
            return -errno;
        if (flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0) {
            patient = is_patient(m->lock_fd, &waited);
            vg_close(&m->lock_fd);
            if (!patient)
                return -EADDRINUSE;
            continue;
        }
        if (fstat(m->lock_fd, &ours) == 0 && stat(path, &there) == 0 &&
            ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
            say_it_is_ours(m->lock_fd);
            return 0;
        }
        vg_close(&m->lock_fd);
    }
}

static int group_id(const struct vg_config *c, gid_t *ret_gid, char *why, size_t why_cap)
{
    struct group *g;

    *ret_gid = (gid_t)-1;
    if (!c->group[0])
        return 0;
    g = getgrnam(c->group);
    if (!g) {
        snprintf(why, why_cap, "group: there is no group \"%s\"", c->group);
        return -ENOENT;
    }
    *ret_gid = g->gr_gid;
    return 0;
}

/* The kernel has one error for all of these. */
void vg_mediator_explain_listen(int rc, const char *path, char *why, size_t why_cap)
{
    struct stat st;

    if (rc == -EADDRINUSE && lstat(path, &st) == 0)
        snprintf(why, why_cap, "%s: %s", path,
                 S_ISDIR(st.st_mode)    ? "is a directory, not a place for a socket"
                 : S_ISSOCK(st.st_mode) ? "another program listens there"
                                        : "exists, and is no socket");
    else
        snprintf(why, why_cap, "%s: %s", path, strerror(-rc));
}

/* The last daemon's socket, in which some may wait already, or a new one. */
static int listen_for_peers(struct vg_mediator *m, gid_t gid)
{
    if (m->listen_fd < 0)
        m->listen_fd = vg_sock_listen(SOCK_SEQPACKET, m->config.socket, 0660, gid);
    else if (gid != (gid_t)-1 && chown(m->config.socket, (uid_t)-1, gid) < 0)
        return -errno;
    return m->listen_fd < 0 ? m->listen_fd
                            : vg_io_add(&m->loop, &m->listen_io, m->listen_fd, EPOLLIN,
                                        accept_ready, m);
}

static int listen_at(struct vg_mediator *m, gid_t gid, char *why, size_t why_cap)
{
    int rc = vg_control_init(&m->control, m, why, why_cap);

    if (rc < 0)
        return rc;
    rc = listen_for_peers(m, gid);
    if (rc < 0)
        vg_mediator_explain_listen(rc, m->config.socket, why, why_cap);
    return rc;
}

static int make_directories(struct vg_mediator *m, char *why, size_t why_cap)
{
    const char *paths[] = { m->config.socket, m->config.control_socket };

    for (unsigned i = 0; i < VG_ARRAY_LEN(paths); i++) {
        int rc = vg_file_make_parent(paths[i], 0755);

        if (rc < 0) {
            snprintf(why, why_cap, "directory of %s: %s", paths[i], strerror(-rc));
            return rc;
        }
    }
    return 0;
}

static int lock(struct vg_mediator *m, char *why, size_t why_cap)
{
    int rc = take_lock(m);

    if (rc == -EADDRINUSE)
        snprintf(why, why_cap, "%s: another vgpu-mediator serves it", m->config.socket);
    else if (rc < 0)
        snprintf(why, why_cap, "%s.lock: %s", m->config.socket, strerror(-rc));
    return rc;
}

/* What no single setting shows; found now, not when the first guest comes. */
static int check_config(const struct vg_config *c, char *why, size_t why_cap)
{
    char program[PATH_MAX];
    int rc;

    if (strcmp(c->socket, c->control_socket) == 0) {
        snprintf(why, why_cap, "socket and control_socket are both %s", c->socket);
        return -EINVAL;
    }
    rc = vg_places_check(&c->places, why, why_cap);
    if (rc < 0 || !c->executor[0])
        return rc;
    rc = vg_backend_executor(c, program, sizeof(program));
    if (rc < 0)
        snprintf(why, why_cap, "executor: %s: %s", c->executor, strerror(-rc));
    return rc;
}

/* Its socket may have lost its name, if somebody has tidied up: then there will be a new one. */
static void take_over(struct vg_mediator *m)
{
    vg_keep_restore(m, vg_keeper_take(&m->keeper));
    vg_health_resume(m);
    if (m->listen_fd >= 0 && access(m->config.socket, F_OK) < 0)
        vg_close(&m->listen_fd);
}

/*
 * A damaged file must not keep a host's VMs from their GPUs: it is put aside for people
 * to look at, and what made sense in it goes on.
 */
static int load_vms(struct vg_mediator *m, char *why, size_t why_cap)
{
    const char *dir = m->config.state_dir;
    char aside[PATH_MAX] = "";
    int rc = vg_store_load(dir, &m->vms, &m->config.policy, why, why_cap), moved;

    if (rc != -EINVAL)
        return rc;
    vg_log_clean(m->state_problem, sizeof(m->state_problem), why, why_cap);
    moved = vg_store_set_aside(dir, aside, sizeof(aside));
    if (moved == 0)
        moved = vg_store_save(dir, &m->vms);
    vg_event(m, VG_EVENT_STATE_DAMAGED, NULL, "why=\"%s\" vms_left=%u aside=%s%s%s",
             m->state_problem, m->vms.count, aside, moved < 0 ? " error=" : "",
             moved < 0 ? strerror(-moved) : "");
    return 0;
}

static int start(struct vg_mediator *m, char *why, size_t why_cap)
{
    gid_t gid;
    int rc = check_config(&m->config, why, why_cap);

    if (rc == 0)
        rc = group_id(&m->config, &gid, why, why_cap);
    if (rc == 0)
        rc = make_directories(m, why, why_cap);
    if (rc == 0)
        rc = lock(m, why, why_cap);
    if (rc == 0)
        rc = load_vms(m, why, why_cap);
    if (rc == 0)
        vg_users_init(m);
    if (rc == 0)
        rc = vg_health_init(m, why, why_cap);
    if (rc == 0)
        rc = vg_loop_on_signal(&m->loop, SIGTERM, on_stop, m);
    if (rc == 0)
        rc = vg_loop_on_signal(&m->loop, SIGINT, on_stop, m);
    if (rc == 0)
        take_over(m);
    if (rc == 0)
        rc = listen_at(m, gid, why, why_cap);
    if (rc == 0)
        rc = vg_metrics_init(&m->metrics, m, why, why_cap);
    if (rc == 0) {
        vg_quota_apply_all(m);
        vg_keeper_start(&m->keeper);
        vg_pool_init(m);
        vg_due_start(m);
        vg_toolstack_start(&m->toolstack);
    }
    return rc;
}

int vg_mediator_init(struct vg_mediator *m, char *why, size_t why_cap)
{
    int rc;

    vg_list_init(&m->clients);
    vg_list_init(&m->pool.sessions);
    vg_turns_init(&m->turns);
    vg_vms_init(&m->vms);
    m->vms.forgotten = vm_forgotten;
    m->vms.arg = m;
    vg_keeper_init(&m->keeper, m);
    vg_events_init(&m->events);
    m->lock_fd = m->listen_fd = m->health.kernel_log.fd = -1;
    m->listen_io.fd = -1;
    m->started = vg_now();
    vg_telemetry_init(&m->telemetry, m);
    vg_toolstack_init(&m->toolstack, m);
    snprintf(why, why_cap, "event loop");
    rc = vg_loop_init(&m->loop);
    if (rc == 0)
        rc = start(m, why, why_cap);
    if (rc < 0) {
        m->leaving = vg_keeper_is_up(&m->keeper);   /* what runs may have better luck with another */
        vg_mediator_fini(m);
    }
    return rc;
}

int vg_mediator_run(struct vg_mediator *m)
{
    int rc = vg_loop_run(&m->loop);

    vg_log(VG_LOG_INFO, "stopped", "ms_up=%" PRIu64, (vg_now() - m->started) / VG_NS_PER_MS);
    return rc < 0 ? 1 : rc;
}

void vg_mediator_fini(struct vg_mediator *m)
{
    char path[PATH_MAX];

    stop_listening(m);
    if (m->stopping && !m->leaving)
        vg_keeper_bye(&m->keeper);
    vg_keeper_fini(&m->keeper);
    m->vms.forgotten = turns_forgotten;
    vg_telemetry_fini(&m->telemetry);
    vg_health_fini(m);
    vg_vms_fini(&m->vms);
    vg_events_fini(&m->events);
    vg_loop_fini(&m->loop);
    if (m->lock_fd >= 0) {
        lock_path(m, path, sizeof(path));
        unlink(path);
        vg_close(&m->lock_fd);
    }
}
