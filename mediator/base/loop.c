/* SPDX-License-Identifier: MIT */
/*
 * The event loop: epoll for fds and one signalfd, a sorted list of timers, waitid
 * per registered child. Runs in the program's only thread. Holds no other state
 * than struct vg_loop and the process's signal mask.
 */
#include "loop.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

uint64_t vg_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * VG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- signals and children ---- */

static bool reap_one(struct vg_loop *loop)
{
    struct vg_child *child;
    siginfo_t how;

    vg_list_for_each(child, &loop->children, link) {
        memset(&how, 0, sizeof(how));
        if (waitid(P_PID, (id_t)child->pid, &how, WEXITED | WNOHANG) < 0 || how.si_pid == 0)
            continue;
        vg_child_del(child);
        child->fn(child->arg, &how);
        return true;
    }
    return false;
}

/* A callback may change the list, so each search starts afresh. */
static void reap_children(struct vg_loop *loop)
{
    while (reap_one(loop))
        ;
}

static void signal_ready(void *arg, uint32_t events)
{
    struct vg_loop *loop = arg;
    struct signalfd_siginfo info;

    (void)events;
    while (read(loop->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        unsigned signo = info.ssi_signo;

        if (signo == SIGCHLD)
            reap_children(loop);
        else if (signo < VG_LOOP_SIGNALS && loop->on_signal[signo].fn)
            loop->on_signal[signo].fn(loop->on_signal[signo].arg, &info);
    }
}

int vg_loop_on_signal(struct vg_loop *loop, int signo,
                      void (*fn)(void *arg, const struct signalfd_siginfo *info), void *arg)
{
    if (signo <= 0 || signo >= VG_LOOP_SIGNALS)
        return -EINVAL;
    loop->on_signal[signo].fn = fn;
    loop->on_signal[signo].arg = arg;
    sigaddset(&loop->mask, signo);
    if (sigprocmask(SIG_BLOCK, &loop->mask, NULL) < 0 ||
        signalfd(loop->signal_fd, &loop->mask, SFD_CLOEXEC | SFD_NONBLOCK) < 0)
        return -errno;
    return 0;
}

void vg_child_add(struct vg_loop *loop, struct vg_child *child, pid_t pid,
                  void (*fn)(void *arg, const siginfo_t *how), void *arg)
{
    child->pid = pid;
    child->fn = fn;
    child->arg = arg;
    vg_list_append(&loop->children, &child->link);
}

void vg_child_del(struct vg_child *child)
{
    if (child->pid == 0)
        return;
    child->pid = 0;
    vg_list_remove(&child->link);
}

/* ---- life ---- */

int vg_loop_init(struct vg_loop *loop)
{
    int rc;

    memset(loop, 0, sizeof(*loop));
    loop->signal_io.fd = -1;
    vg_list_init(&loop->timers);
    vg_list_init(&loop->children);
    sigemptyset(&loop->mask);
    sigaddset(&loop->mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &loop->mask, &loop->old_mask);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->signal_fd = signalfd(-1, &loop->mask, SFD_CLOEXEC | SFD_NONBLOCK);
    rc = loop->epoll_fd < 0 || loop->signal_fd < 0 ? -errno : 0;
    if (rc == 0)
        rc = vg_io_add(loop, &loop->signal_io, loop->signal_fd, EPOLLIN, signal_ready, loop);
    if (rc < 0)
        vg_loop_fini(loop);
    else
        loop->now = vg_now();
    return rc;
}

void vg_loop_fini(struct vg_loop *loop)
{
    if (loop->epoll_fd < 0)
        return;
    vg_close(&loop->epoll_fd);
    vg_close(&loop->signal_fd);
    sigprocmask(SIG_SETMASK, &loop->old_mask, NULL);
}

void vg_loop_quit(struct vg_loop *loop, int code)
{
    loop->quit = true;
    loop->quit_code = code;
}

/* ---- file descriptors ---- */

int vg_io_add(struct vg_loop *loop, struct vg_io *io, int fd, uint32_t events,
              void (*fn)(void *arg, uint32_t events), void *arg)
{
    struct epoll_event ev = { .events = events, .data = { .ptr = io } };

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
        return -errno;
    io->fd = fd;
    io->fn = fn;
    io->arg = arg;
    return 0;
}

int vg_io_set(struct vg_loop *loop, struct vg_io *io, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data = { .ptr = io } };

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &ev) < 0 ? -errno : 0;
}

/* Also takes the object out of the round in progress: its memory may go away. */
void vg_io_del(struct vg_loop *loop, struct vg_io *io)
{
    if (io->fd < 0)
        return;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    io->fd = -1;
    for (int i = 0; loop->batch && i < loop->batch_len; i++) {
        if (loop->batch[i].data.ptr == io)
            loop->batch[i].data.ptr = NULL;
    }
}

/* ---- timers ---- */

void vg_timer_set(struct vg_loop *loop, struct vg_timer *timer, uint64_t at,
                  void (*fn)(void *arg), void *arg)
{
    struct vg_timer *other;

    vg_timer_del(timer);
    timer->at = at;
    timer->fn = fn;
    timer->arg = arg;
    timer->armed = true;
    vg_list_for_each(other, &loop->timers, link) {
        if (other->at > at)
            break;
    }
    /* Before `other`, which is the list's head when this is the latest. */
    vg_list_append(&other->link, &timer->link);
}

void vg_timer_del(struct vg_timer *timer)
{
    if (!timer->armed)
        return;
    timer->armed = false;
    vg_list_remove(&timer->link);
}

static void run_timers(struct vg_loop *loop)
{
    while (!vg_list_empty(&loop->timers)) {
        struct vg_timer *timer = vg_list_entry(loop->timers.next, struct vg_timer, link);

        if (timer->at > loop->now)
            return;
        vg_timer_del(timer);
        timer->fn(timer->arg);
    }
}

/* In ms, rounded up so that a timer is never early. */
static int wait_ms(const struct vg_loop *loop, int max_ms)
{
    const struct vg_timer *first;
    uint64_t now = vg_now(), ms;

    if (vg_list_empty(&loop->timers))
        return max_ms;
    first = vg_list_entry(loop->timers.next, struct vg_timer, link);
    ms = first->at <= now ? 0 : (first->at - now + VG_NS_PER_MS - 1) / VG_NS_PER_MS;
    if (max_ms >= 0 && ms > (uint64_t)max_ms)
        return max_ms;
    return ms > 3600000 ? 3600000 : (int)ms;
}

/* ---- rounds ---- */

int vg_loop_step(struct vg_loop *loop, int max_ms)
{
    struct epoll_event batch[VG_LOOP_BATCH];
    int n = epoll_wait(loop->epoll_fd, batch, VG_LOOP_BATCH, wait_ms(loop, max_ms));

    if (n < 0 && errno != EINTR)
        return -errno;
    loop->now = vg_now();
    loop->batch = batch;
    loop->batch_len = n;
    for (int i = 0; i < n; i++) {
        struct vg_io *io = batch[i].data.ptr;

        if (io)
            io->fn(io->arg, batch[i].events);
    }
    loop->batch = NULL;
    run_timers(loop);
    return 0;
}

int vg_loop_run(struct vg_loop *loop)
{
    int rc = 0;

    loop->quit = false;
    while (!loop->quit && rc == 0)
        rc = vg_loop_step(loop, -1);
    return rc < 0 ? rc : loop->quit_code;
}
