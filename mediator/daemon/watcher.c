/* SPDX-License-Identifier: MIT */
/*
 * vgpu-xenstore as a child process: started where there is a xenstore, replaced when
 * it ends or says nothing for too long. See toolstack.h.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "backend.h"
#include "event.h"
#include "mediator.h"
#include "mediator/base/proc.h"
#include "mediator/base/sock.h"
#include "toolstack.h"

#define EXIT_USELESS 4      /* as in xenstore-watcher/main.c */
#define BATCH_MAX 256u      /* packets in one round of the loop; others wait their turn */

static struct vg_loop *loop_of(struct vg_toolstack *ts)
{
    return &ts->mediator->loop;
}

const char *vg_toolstack_status(const struct vg_toolstack *ts)
{
    if (ts->problem[0])
        return ts->problem;
    return ts->sock >= 0 && ts->known ? "ok" : "off";
}

static void hang_up(struct vg_toolstack *ts)
{
    vg_io_del(loop_of(ts), &ts->io);
    vg_close(&ts->sock);
}

static void end(struct vg_toolstack *ts)
{
    hang_up(ts);
    if (ts->child.pid)
        kill(ts->child.pid, SIGKILL);
}

void vg_watcher_stop(struct vg_toolstack *ts)
{
    end(ts);
    if (ts->child.pid)
        waitpid(ts->child.pid, NULL, 0);
    vg_child_del(&ts->child);
}

/* ---- what it says ---- */

static void set_problem(struct vg_toolstack *ts, const char *text)
{
    char clean[sizeof(ts->problem)];

    vg_log_clean(clean, sizeof(clean), text, sizeof(clean) - 1);
    if (strcmp(clean, ts->problem) == 0)
        return;
    if (clean[0])
        vg_event(ts->mediator, VG_EVENT_XENSTORE_LOST, NULL, "why=\"%s\"", clean);
    else
        vg_event(ts->mediator, VG_EVENT_XENSTORE_BACK, NULL, "domains=%u", ts->fact_count);
    strcpy(ts->problem, clean);
}

static void child_ended(void *arg, const siginfo_t *how)
{
    struct vg_toolstack *ts = arg;
    bool useless = how->si_code == CLD_EXITED && how->si_status == EXIT_USELESS;

    ts->retry_at = vg_now() + (useless ? VG_WATCHER_USELESS_MS : VG_WATCHER_RETRY_MS) *
                   VG_NS_PER_MS;
    /* Its last words may still lie in the socket. */
    while (ts->sock >= 0) {
        struct vg_xen_note note;
        unsigned nfds;

        if (vg_sock_recv(ts->sock, &note, sizeof(note), NULL, 0, &nfds) <= 0)
            break;
        note.text[sizeof(note.text) - 1] = '\0';
        if (note.type == VG_XEN_PROBLEM)
            set_problem(ts, note.text);
    }
    if (!ts->problem[0])
        set_problem(ts, "vgpu-xenstore has ended");
    hang_up(ts);
}

static void end_texts(struct vg_xen_domain *d)
{
    d->instance[sizeof(d->instance) - 1] = d->uuid[sizeof(d->uuid) - 1] = '\0';
    d->final_uuid[sizeof(d->final_uuid) - 1] = d->label[sizeof(d->label) - 1] = '\0';
    d->identity[sizeof(d->identity) - 1] = '\0';
    for (uint32_t i = 0; i < d->count; i++) {
        d->key[i].name[sizeof(d->key[i].name) - 1] = '\0';
        d->key[i].value[sizeof(d->key[i].value) - 1] = '\0';
    }
}

static bool take_domain(struct vg_toolstack *ts, struct vg_xen_domain *d)
{
    if (d->count > VG_XEN_KEYS_MAX || d->domid == 0)
        return false;
    end_texts(d);
    vg_toolstack_fact(ts, d);
    return true;
}

static bool take_note(struct vg_toolstack *ts, struct vg_xen_note *note)
{
    note->text[sizeof(note->text) - 1] = '\0';
    switch ((enum vg_xen_type)note->type) {
    case VG_XEN_GONE:    vg_toolstack_gone(ts, note->value); return true;
    case VG_XEN_BATCH:   vg_toolstack_batch(ts, note->value & VG_XEN_FULL); return true;
    case VG_XEN_PROBLEM: set_problem(ts, note->text); return true;
    case VG_XEN_ALIVE:   return true;
    default:             return false;
    }
}

/* False: nothing there, or it ends here. */
static bool take_packet(struct vg_toolstack *ts)
{
    union {
        uint32_t type;
        struct vg_xen_domain domain;
        struct vg_xen_note note;
    } packet;
    unsigned nfds;
    ssize_t n = ts->sock < 0 ? 0 : vg_sock_recv(ts->sock, &packet, sizeof(packet), NULL, 0, &nfds);
    bool ok = false;

    if (n == -EAGAIN || ts->sock < 0)
        return false;
    if (n == (ssize_t)sizeof(packet.domain) && packet.type == VG_XEN_DOMAIN)
        ok = take_domain(ts, &packet.domain);
    else if (n == (ssize_t)sizeof(packet.note))
        ok = take_note(ts, &packet.note);
    else if (n > 0)
        vg_log(VG_LOG_ERROR, "xenstore-misbehaves", "length=%zd", n);
    if (ok)
        ts->heard_at = vg_now();
    else
        end(ts);
    return ok;
}

static void packets_ready(void *arg, uint32_t events)
{
    struct vg_toolstack *ts = arg;

    (void)events;
    for (unsigned i = 0; i < BATCH_MAX && take_packet(ts); i++)
        ;
}

/* ---- what it is told ---- */

bool vg_watcher_tell(struct vg_toolstack *ts, const struct vg_domain *d)
{
    struct vg_xen_state st = { .type = VG_XEN_STATE, .domid = d->domid };

    if (ts->sock < 0)
        return false;
    strcpy(st.instance, d->instance);
    strcpy(st.uuid, d->uuid);
    strcpy(st.state, d->state);
    strcpy(st.reason, d->reason);
    return vg_sock_send(ts->sock, &st, sizeof(st), NULL, 0) == 0;
}

/* ---- start ---- */

static bool is_xen_host(const struct vg_config *c)
{
    static const char *const places[] = { "/run/xenstored/socket", "/var/run/xenstored/socket",
                                          "/dev/xen/xenbus", "/proc/xen/xenbus" };
    const char *named = getenv("XENSTORED_PATH");

    if (c->xenstore == VG_XENSTORE_YES || (named && access(named, F_OK) == 0))
        return true;
    for (unsigned i = 0; i < VG_ARRAY_LEN(places); i++) {
        if (access(places[i], F_OK) == 0)
            return true;
    }
    return false;
}

static int spawn(struct vg_toolstack *ts, int their_end)
{
    static const char *const keep[] = { "PATH", "LANG", "TZ", "XENSTORED_PATH", "XENSTORED_RUNDIR",
                                        "VG_*", "JOURNAL_STREAM", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                                        "TSAN_OPTIONS", NULL };
    char program[PATH_MAX];
    char *argv[] = { (char *)"vgpu-xenstore", NULL };
    const int fds[] = { -1, -1, STDERR_FILENO, their_end };
    vg_auto_free char **envp = vg_proc_env(keep, NULL);
    struct vg_proc proc = { .path = program, .argv = argv, .envp = envp, .fds = fds,
                            .nfds = VG_ARRAY_LEN(fds), .session = true, .no_core = true,
                            .death_signal = SIGKILL };
    pid_t pid;
    int rc = vg_backend_watcher(&ts->mediator->config, program, sizeof(program));

    if (rc == 0)
        rc = envp ? vg_proc_spawn(&proc, &pid) : -ENOMEM;
    if (rc == 0)
        vg_child_add(loop_of(ts), &ts->child, pid, child_ended, ts);
    return rc;
}

static int start(struct vg_toolstack *ts)
{
    vg_auto_fd int theirs = -1;
    int pair[2], rc;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    ts->sock = pair[0];
    theirs = pair[1];
    rc = vg_io_add(loop_of(ts), &ts->io, ts->sock, EPOLLIN, packets_ready, ts);
    return rc < 0 ? rc : spawn(ts, theirs);
}

static void try_start(struct vg_toolstack *ts, uint64_t now)
{
    char why[128];
    int rc;

    if (ts->child.pid || now < ts->retry_at || !is_xen_host(&ts->mediator->config))
        return;
    ts->retry_at = now + VG_WATCHER_RETRY_MS * VG_NS_PER_MS;
    ts->heard_at = now;
    vg_toolstack_unname(ts);
    rc = start(ts);
    if (rc == 0)
        return;
    hang_up(ts);
    snprintf(why, sizeof(why), "cannot start vgpu-xenstore: %s", strerror(-rc));
    set_problem(ts, why);
}

void vg_watcher_check(struct vg_toolstack *ts)
{
    uint64_t now = vg_now();

    if (ts->sock < 0) {
        try_start(ts, now);
    } else if (now - ts->heard_at > VG_XEN_HANG_MS * VG_NS_PER_MS) {
        set_problem(ts, "xenstored does not answer");
        end(ts);
    }
}
