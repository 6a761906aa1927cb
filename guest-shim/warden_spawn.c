/* SPDX-License-Identifier: MIT */
/*
 * Starts vgpu-warden without the application noticing. A first child, made by
 * clone() with exit signal 0 (no SIGCHLD, no wait() of the application's sees it),
 * starts the warden as its own child and ends: the warden belongs to init. The first
 * child must not exec, because exec restores SIGCHLD.
 */
#include "guest-shim/warden_spawn.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-shim/state.h"

#define CHILD_STACK (64 << 10)

struct child {
    const char *path;
    char *const *argv;
    char *stack;    /* of the second child; the first one's lies above */
    int pipe_read;
    int warden;     /* its process */
    int error;      /* the children run in our memory until exec, so they can tell */
};

/*
 * In both children other threads of the application run on, so no malloc and no
 * locks here. All signals stay blocked, lest a handler of the application runs; the
 * warden unblocks them.
 */
static int warden_main(void *arg)
{
    struct child *c = arg;
    static char *const no_env[] = {NULL};

    if (dup2(c->pipe_read, STDIN_FILENO) >= 0)
        execve(c->path, c->argv, no_env);
    c->error = errno;
    _exit(127);
}

static int first_main(void *arg)
{
    struct child *c = arg;

    c->warden = clone(warden_main, c->stack + CHILD_STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, c);
    if (c->warden < 0)
        c->error = errno;
    _exit(0);
}

/* Beside this library, beside its directory's bin, or where VGPU_WARDEN says. */
static int find_warden(char *path, size_t size)
{
    static const char *const places[] = {"vgpu-warden", "../bin/vgpu-warden",
                                         "../../bin/vgpu-warden", "../libexec/vgpu-warden"};
    const char *set = getenv("VGPU_WARDEN");
    Dl_info me;

    if (set && *set)
        return snprintf(path, size, "%s", set) < (int)size ? 0 : -ENAMETOOLONG;
    if (!dladdr((void *)&vg_warden_spawn, &me) || !me.dli_fname)
        return -ENOENT;
    const char *slash = strrchr(me.dli_fname, '/');
    int dir = slash ? (int)(slash - me.dli_fname) : 1;
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        int n = snprintf(path, size, "%.*s/%s", dir, slash ? me.dli_fname : ".", places[i]);
        if (n < (int)size && access(path, X_OK) == 0)
            return 0;
    }
    if (snprintf(path, size, "/usr/libexec/vgpu-warden") < (int)size && access(path, X_OK) == 0)
        return 0;
    return -ENOENT;
}

static int run_children(struct child *c)
{
    sigset_t all, old;

    c->stack = malloc(2 * CHILD_STACK);
    if (!c->stack)
        return -ENOMEM;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = clone(first_main, c->stack + 2 * CHILD_STACK, CLONE_VM | CLONE_VFORK, c);
    int e = pid < 0 ? -errno : -c->error;
    if (pid > 0)
        while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    free(c->stack);
    return e;
}

int vg_warden_spawn(const char *device, uint32_t token, uint64_t slot_off)
{
    char path[PATH_MAX], word[16], off[24], pid[16], dir[PATH_MAX];
    char name[] = "vgpu-warden";
    char *const argv[] = {name, dir, word, off, pid, NULL};
    int ends[2];

    int e = find_warden(path, sizeof(path));
    if (e)
        return e;
    snprintf(dir, sizeof(dir), "%s", device);
    snprintf(word, sizeof(word), "%u", token);
    snprintf(off, sizeof(off), "%llu", (unsigned long long)slot_off);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    struct child c = {.path = path, .argv = argv, .pipe_read = ends[0]};
    e = run_children(&c);
    close(ends[0]);
    if (e) {
        close(ends[1]);
        return e;
    }
    /* It may hold us; where Yama guards processes it is nobody's parent. Fails without Yama. */
    prctl(PR_SET_PTRACER, (unsigned long)c.warden, 0, 0, 0);
    return ends[1];
}
