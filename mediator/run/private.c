/* SPDX-License-Identifier: MIT */
/* Starting and ending a mediator for one command, see private.h. */
#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mediator/base/proc.h"
#include "place.h"

#define START_TIMEOUT_MS 10000u
#define STOP_TIMEOUT_MS  3000u

static int say(int rc, const char *what)
{
    fprintf(stderr, "vgpu-run: %s: %s\n", what, strerror(-rc));
    return rc;
}

/* ---- its directory ---- */

static int make_dir(struct vg_private *p)
{
    const char *base = getenv("XDG_RUNTIME_DIR");

    if (!base || strlen(base) > 48 || access(base, W_OK) < 0)
        base = "/tmp";
    snprintf(p->dir, sizeof(p->dir), "%s/vgpu-run-XXXXXX", base);
    if (!mkdtemp(p->dir)) {
        p->dir[0] = '\0';
        return -errno;
    }
    snprintf(p->socket, sizeof(p->socket), "%s/mediator.sock", p->dir);
    return 0;
}

static void remove_dir(struct vg_private *p)
{
    DIR *dir = opendir(p->dir);
    struct dirent *e;

    while (dir && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] != '.')
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir)
        closedir(dir);
    rmdir(p->dir);
    p->dir[0] = '\0';
}

/* ---- what it tells us: the service manager's protocol, with us as the manager ---- */

static void notified(void *arg, uint32_t events)
{
    struct vg_private *p = arg;
    char text[64] = "";

    (void)events;
    if (recv(p->notify_fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0 &&
        strncmp(text, "READY=1", 7) == 0)
        p->ready = true;
}

static int listen_to_it(struct vg_private *p)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };

    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/notify", p->dir);
    p->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->notify_fd < 0 || bind(p->notify_fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
        return -errno;
    return vg_io_add(p->loop, &p->notify_io, p->notify_fd, EPOLLIN, notified, p);
}

/* Harmless to the command: its next GPU call returns an error. */
static void ended(void *arg, const siginfo_t *how)
{
    struct vg_private *p = arg;

    if (how->si_code != CLD_EXITED || how->si_status != 0)
        fprintf(stderr, "vgpu-run: the mediator has ended (%s %d)\n",
                how->si_code == CLD_EXITED ? "exit code" : "signal", how->si_status);
    vg_timer_del(&p->timer);
}

static void timed_out(void *arg)
{
    struct vg_private *p = arg;

    fprintf(stderr, "vgpu-run: the mediator does not %s\n", p->ready ? "end" : "get ready");
    kill(p->child.pid, SIGKILL);
}

static void set_timeout(struct vg_private *p, unsigned ms)
{
    vg_timer_set(p->loop, &p->timer, vg_now() + ms * VG_NS_PER_MS, timed_out, p);
}

/* ---- start ---- */

/* Not LD_LIBRARY_PATH: its driver must never be the guest's library. */
static const char *const kept_env[] = {
    "PATH", "HOME", "LANG", "TZ", "CUDA_*", "NVIDIA_*", "VG*", "ASAN_OPTIONS", "UBSAN_OPTIONS",
    NULL,
};

/* Which devices the command wants to see its library tells the mediator, which knows them all. */
static void show_all_devices(char **envp)
{
    static const char name[] = "CUDA_VISIBLE_DEVICES=";
    char **to = envp;

    for (; *envp; envp++) {
        if (strncmp(*envp, name, sizeof(name) - 1) != 0)
            *to++ = *envp;
    }
    *to = NULL;
}

static int spawn(struct vg_private *p, const struct vg_private_options *o, const char *program)
{
    char control[VG_PRIVATE_DIR_MAX + 32], notify[VG_PRIVATE_DIR_MAX + 32], memory[64];
    char *extra[] = { notify, o->memory_mib ? memory : NULL, NULL };
    char *argv[] = { (char *)"vgpu-mediator", (char *)"--foreground",
                     (char *)"--config", (char *)"/dev/null", (char *)"--socket", p->socket,
                     (char *)"--control-socket", control,
                     (char *)"--backend", (char *)(uintptr_t)o->backend,
                     (char *)"--set", (char *)"state_dir=",
                     /* One executor starts beside the command; few commands want a second. */
                     (char *)"--set", (char *)"prestart_refill=no",
                     /* It ends with the command, whatever ends it. */
                     (char *)"--set", (char *)"keep=never",
                     /* Each start of NVML holds up those of all others, on every GPU of the host. */
                     (char *)"--set", (char *)"gpu_events=no",
                     (char *)"--set", (char *)"measure_context=no",
                     (char *)"--set", (char *)"region_mib=1024", (char *)"--set",
                     (char *)(o->verbose ? "log_level=info" : "log_level=warning"), NULL };
    const int fds[] = { -1, -1, STDERR_FILENO };
    vg_auto_free char **envp = NULL;
    struct vg_proc proc = { .path = program, .argv = argv, .fds = fds,
                            .nfds = VG_ARRAY_LEN(fds), .session = true,
                            .death_signal = SIGTERM };
    pid_t pid;
    int rc;

    snprintf(control, sizeof(control), "%s/control.sock", p->dir);
    snprintf(notify, sizeof(notify), "NOTIFY_SOCKET=%s/notify", p->dir);
    snprintf(memory, sizeof(memory), "VGPU_SOFT_MEMORY_MIB=%s", o->memory_mib ? o->memory_mib : "");
    envp = vg_proc_env(kept_env, extra);
    if (!envp)
        return -ENOMEM;
    show_all_devices(envp);
    proc.envp = envp;
    rc = vg_proc_spawn(&proc, &pid);
    if (rc == 0)
        vg_child_add(p->loop, &p->child, pid, ended, p);
    return rc;
}

static int wait_until_ready(struct vg_private *p)
{
    int rc = 0;

    set_timeout(p, START_TIMEOUT_MS);
    while (rc == 0 && !p->ready && p->child.pid)
        rc = vg_loop_step(p->loop, -1);
    vg_timer_del(&p->timer);
    if (rc == 0 && !p->ready)
        rc = -ECONNREFUSED;
    return rc;
}

int vg_private_start(struct vg_private *p, struct vg_loop *loop,
                     const struct vg_private_options *o)
{
    char program[PATH_MAX];
    int rc;

    memset(p, 0, sizeof(*p));
    p->loop = loop;
    p->notify_fd = p->notify_io.fd = -1;
    rc = vg_place_mediator(program, sizeof(program));
    if (rc < 0) {
        fputs("vgpu-run: vgpu-mediator is not beside vgpu-run, nor in ../sbin, /usr/sbin or "
              "/usr/bin\n", stderr);
        return rc;
    }
    rc = make_dir(p);
    if (rc == 0)
        rc = listen_to_it(p);
    if (rc == 0)
        rc = spawn(p, o, program);
    if (rc == 0)
        rc = wait_until_ready(p);
    if (rc < 0) {
        say(rc, "cannot start a private mediator");
        vg_private_stop(p);
    }
    return rc;
}

void vg_private_stop(struct vg_private *p)
{
    if (!p->dir[0])
        return;
    if (p->child.pid) {
        kill(p->child.pid, SIGTERM);
        set_timeout(p, STOP_TIMEOUT_MS);
        while (p->child.pid && vg_loop_step(p->loop, -1) == 0)
            ;
    }
    vg_timer_del(&p->timer);
    vg_io_del(p->loop, &p->notify_io);
    vg_close(&p->notify_fd);
    remove_dir(p);
}
