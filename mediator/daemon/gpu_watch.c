/* SPDX-License-Identifier: MIT */
/* The process that waits for NVML's events, see gpu_watch.h. */
#include "gpu_watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "mediator.h"
#include "mediator/base/log.h"
#include "mediator/base/proc.h"
#include "mediator/base/sock.h"
#include "mediator/vg_gauges.h"

static void start(void *arg);

static void hang_up(struct vg_mediator *m)
{
    struct vg_gpu_watch *w = &m->health.gpu_watch;

    if (!w->armed)
        return;
    vg_io_del(&m->loop, &w->io);
    vg_close(&w->sock);
    w->armed = false;
}

static void start_later(struct vg_mediator *m)
{
    vg_timer_set(&m->loop, &m->health.gpu_watch.timer,
                 vg_now() + VG_GPU_WATCH_RETRY_MS * VG_NS_PER_MS, start, m);
}

/* Exit code 0: there is nothing to wait for. */
static void child_ended(void *arg, const siginfo_t *how)
{
    struct vg_mediator *m = arg;
    bool done = how->si_code == CLD_EXITED && how->si_status == 0;

    hang_up(m);
    vg_log(done ? VG_LOG_INFO : VG_LOG_WARNING, "gpu-watch-end", "%s=%d",
           how->si_code == CLD_EXITED ? "exit" : "signal", how->si_status);
    if (!done && !m->stopping)
        start_later(m);
}

/* ---- what it says ---- */

static bool is_sound(const struct vg_gpu_notice *n, ssize_t len)
{
    return len == (ssize_t)sizeof(*n) && n->magic == VG_GAUGES_MAGIC &&
           memchr(n->gpu, '\0', sizeof(n->gpu)) &&
           strspn(n->gpu, "0123456789abcdef:") == strlen(n->gpu);
}

static void take(struct vg_mediator *m, const struct vg_gpu_notice *n)
{
    struct vg_xid x = { .number = n->xid, .text = "by NVML" };

    if (n->kind == VG_GPU_NOTICE_DEVICE)
        vg_gpus_name(m, n->gpu, n->index);
    if (n->kind != VG_GPU_NOTICE_XID)
        return;
    snprintf(x.gpu, sizeof(x.gpu), "%s", n->gpu);
    vg_gpus_xid(m, &x, VG_XID_BY_NVML);
}

static void notice_ready(void *arg, uint32_t events)
{
    struct vg_mediator *m = arg;
    struct vg_gpu_watch *w = &m->health.gpu_watch;
    struct vg_gpu_notice n;
    unsigned nfds;
    ssize_t len = vg_sock_recv(w->sock, &n, sizeof(n), NULL, 0, &nfds);

    (void)events;
    if (len == -EAGAIN)
        return;
    if (is_sound(&n, len)) {
        take(m, &n);
        return;
    }
    hang_up(m);
    if (w->child.pid && len > 0)
        kill(w->child.pid, SIGKILL);
}

/* ---- life ---- */

static int spawn(struct vg_mediator *m, const struct vg_backend *b, int theirs)
{
    char program[PATH_MAX], nvml[PATH_MAX];
    char *argv[] = { (char *)"vgpu-telemetry", (char *)"--nvml", nvml, (char *)"--events", NULL };
    const int fds[] = { -1, -1, STDERR_FILENO, theirs };
    vg_auto_free char **envp = vg_proc_env(vg_backend_env, NULL);
    struct vg_proc proc = { .path = program, .argv = argv, .envp = envp, .fds = fds,
                            .nfds = VG_ARRAY_LEN(fds), .session = true, .no_core = true,
                            .death_signal = SIGKILL };
    pid_t pid;
    int rc = vg_backend_telemetry(&m->config, program, sizeof(program));

    vg_backend_nvml(&m->config, b, nvml, sizeof(nvml));
    if (rc == 0)
        rc = envp ? vg_proc_spawn(&proc, &pid) : -ENOMEM;
    if (rc == 0)
        vg_child_add(&m->loop, &m->health.gpu_watch.child, pid, child_ended, m);
    return rc;
}

static int open_and_spawn(struct vg_mediator *m, const struct vg_backend *b)
{
    struct vg_gpu_watch *w = &m->health.gpu_watch;
    vg_auto_fd int theirs = -1;
    int pair[2], rc;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    w->sock = pair[0];
    theirs = pair[1];
    rc = vg_io_add(&m->loop, &w->io, w->sock, EPOLLIN, notice_ready, m);
    if (rc < 0) {
        vg_close(&w->sock);
        return rc;
    }
    w->armed = true;
    return spawn(m, b, theirs);
}

static void start(void *arg)
{
    struct vg_mediator *m = arg;
    struct vg_backend backend;
    char why[160];
    int rc;

    if (vg_backend_find(&m->config, &backend, why, sizeof(why)) < 0 || backend.software)
        return;
    rc = open_and_spawn(m, &backend);
    if (rc == 0)
        return;
    hang_up(m);
    vg_log(VG_LOG_WARNING, "gpu-watch-failed", "error=\"%s\"", strerror(-rc));
    start_later(m);
}

void vg_gpu_watch_start(struct vg_mediator *m)
{
    if (m->config.gpu_events)
        start(m);
}

void vg_gpu_watch_stop(struct vg_mediator *m)
{
    struct vg_gpu_watch *w = &m->health.gpu_watch;

    vg_timer_del(&w->timer);
    hang_up(m);
    if (w->child.pid) {
        kill(w->child.pid, SIGKILL);
        waitpid(w->child.pid, NULL, 0);
        vg_child_del(&w->child);
    }
}
