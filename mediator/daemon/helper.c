/* SPDX-License-Identifier: MIT */
/*
 * vgpu-telemetry as a child process: started, asked, replaced when it hangs. What it
 * says is checked as far as the daemon relies on it: counts, not values.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "client.h"
#include "mediator.h"
#include "mediator/base/log.h"
#include "mediator/base/proc.h"
#include "mediator/base/sock.h"
#include "telemetry.h"

static struct vg_loop *loop_of(struct vg_telemetry_service *t)
{
    return &t->mediator->loop;
}

static void hang_up(struct vg_telemetry_service *t)
{
    vg_io_del(loop_of(t), &t->io);
    vg_close(&t->sock);
    t->waiting = false;
}

void vg_helper_stop(struct vg_telemetry_service *t)
{
    hang_up(t);
    if (t->child.pid)
        kill(t->child.pid, SIGKILL);
}

void vg_helper_end(struct vg_telemetry_service *t)
{
    vg_helper_stop(t);
    if (t->child.pid)
        waitpid(t->child.pid, NULL, 0);
    vg_child_del(&t->child);
}

static void helper_ended(void *arg, const siginfo_t *how)
{
    struct vg_telemetry_service *t = arg;

    vg_log(t->sock >= 0 ? VG_LOG_WARNING : VG_LOG_INFO, "telemetry-end", "%s=%d",
           how->si_code == CLD_EXITED ? "exit" : "signal", how->si_status);
    hang_up(t);
}

/* ---- answers ---- */

static bool is_sound(const struct vg_gauges *g)
{
    return g->magic == VG_GAUGES_MAGIC && g->device_count <= VG_DEVICES_MAX &&
           g->process_count <= VG_GAUGES_PROCESSES;
}

static void end_texts(struct vg_gauges *g)
{
    g->driver_version[sizeof(g->driver_version) - 1] = '\0';
    g->nvml_version[sizeof(g->nvml_version) - 1] = '\0';
    g->failure[sizeof(g->failure) - 1] = '\0';
}

static void take(struct vg_telemetry_service *t, struct vg_gauges *g)
{
    end_texts(g);
    if (g->failure[0] && (!t->gauges || strcmp(t->gauges->failure, g->failure) != 0)) {
        char text[sizeof(g->failure)];

        vg_log_clean(text, sizeof(text), g->failure, sizeof(g->failure));
        vg_log(VG_LOG_WARNING, "telemetry-no-gpu", "why=\"%s\"", text);
    }
    free(t->gauges);
    t->gauges = g;
    t->gauges_at = vg_now();
    t->waiting = false;
    vg_telemetry_fresh(t);
}

static void answer_ready(void *arg, uint32_t events)
{
    struct vg_telemetry_service *t = arg;
    struct vg_gauges *g = malloc(sizeof(*g));
    unsigned nfds;
    ssize_t n = g ? vg_sock_recv(t->sock, g, sizeof(*g), NULL, 0, &nfds) : -ENOMEM;

    (void)events;
    if (n == (ssize_t)sizeof(*g) && is_sound(g)) {
        take(t, g);
        return;
    }
    free(g);
    if (n == -EAGAIN)
        return;
    if (n > 0)
        vg_log(VG_LOG_ERROR, "telemetry-misbehaves", "length=%zd", n);
    vg_helper_stop(t);
}

/* ---- asking ---- */

static void add_executor(struct vg_gauges_ask *ask, const struct vg_session *s)
{
    ask->executor[ask->count].pid = (uint32_t)s->pid;
    ask->executor[ask->count++].device = (uint32_t)strtoul(s->gpus, NULL, 10);
}

static void add_executors(struct vg_telemetry_service *t, struct vg_gauges_ask *ask)
{
    struct vg_client *c;

    vg_list_for_each(c, &t->mediator->clients, link) {
        for (unsigned i = 0; i < c->layout.slot_count && ask->count < VG_GAUGES_PIDS; i++) {
            if (c->session[i] && vg_session_is_live(c->session[i]))
                add_executor(ask, c->session[i]);
        }
    }
}

static void send_ask(struct vg_telemetry_service *t)
{
    struct vg_gauges_ask ask = { .magic = VG_GAUGES_MAGIC };
    size_t len;

    add_executors(t, &ask);
    len = offsetof(struct vg_gauges_ask, executor) + ask.count * sizeof(ask.executor[0]);
    t->sent_at = t->used_at = vg_now();
    t->waiting = vg_sock_send(t->sock, &ask, len, NULL, 0) == 0;
    if (!t->waiting)
        vg_helper_stop(t);
}

/* ---- start ---- */

static int spawn(struct vg_telemetry_service *t, const struct vg_backend *b, int their_end)
{
    char program[PATH_MAX], nvml[PATH_MAX];
    char *argv[] = { (char *)"vgpu-telemetry", (char *)"--driver", (char *)(uintptr_t)b->library,
                     b->software ? NULL : (char *)"--nvml", nvml, NULL };
    const int fds[] = { -1, -1, STDERR_FILENO, their_end };
    char *extra[] = { vg_backend_order(), NULL };
    vg_auto_free char **envp = vg_proc_env(vg_backend_env, extra);
    struct vg_proc proc = { .path = program, .argv = argv, .envp = envp, .fds = fds,
                            .nfds = VG_ARRAY_LEN(fds), .session = true, .no_core = true,
                            .death_signal = SIGKILL };
    pid_t pid;
    int rc = vg_backend_telemetry(&t->mediator->config, program, sizeof(program));

    vg_backend_nvml(&t->mediator->config, b, nvml, sizeof(nvml));
    if (rc == 0)
        rc = envp ? vg_proc_spawn(&proc, &pid) : -ENOMEM;
    if (rc < 0)
        return rc;
    vg_child_add(loop_of(t), &t->child, pid, helper_ended, t);
    return 0;
}

static int start(struct vg_telemetry_service *t, const struct vg_backend *b)
{
    vg_auto_fd int theirs = -1;
    int pair[2], rc;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    t->sock = pair[0];
    theirs = pair[1];
    rc = vg_io_add(loop_of(t), &t->io, t->sock, EPOLLIN, answer_ready, t);
    return rc < 0 ? rc : spawn(t, b, theirs);
}

static void start_helper(struct vg_telemetry_service *t)
{
    struct vg_backend backend;
    char why[160] = "";
    int rc;

    /* The one before must be reaped, and a start that fails is not repeated in a hurry. */
    if (t->child.pid || (t->started_at && vg_now() - t->started_at <
                                              VG_HELPER_RETRY_MS * VG_NS_PER_MS))
        return;
    t->started_at = vg_now();
    rc = vg_backend_find(&t->mediator->config, &backend, why, sizeof(why));
    if (rc == 0)
        rc = start(t, &backend);
    if (rc == 0)
        return;
    hang_up(t);
    vg_log(VG_LOG_WARNING, "telemetry-start-failed", "error=\"%s\" why=\"%s\"", strerror(-rc),
           why);
}

void vg_helper_ask(struct vg_telemetry_service *t)
{
    if (t->sock < 0)
        start_helper(t);
    if (t->sock >= 0 && !t->waiting)
        send_ask(t);
}

void vg_helper_check(struct vg_telemetry_service *t)
{
    uint64_t now = vg_now();

    if (t->sock < 0)
        return;
    if (t->waiting && now - t->sent_at > VG_HELPER_ANSWER_MS * VG_NS_PER_MS) {
        vg_log(VG_LOG_WARNING, "telemetry-hangs", "pid=%d", (int)t->child.pid);
        vg_helper_stop(t);
    } else if (now - t->used_at > VG_HELPER_IDLE_MS * VG_NS_PER_MS) {
        vg_helper_stop(t);
    }
}
