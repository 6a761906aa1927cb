/* SPDX-License-Identifier: MIT */
/*
 * Starts vgpu-warden without the application noticing: clone() with exit signal 0,
 * so that there is no SIGCHLD and no wait() of the application's sees the child.
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
#include <sys/wait.h>
#include <unistd.h>

#include "guest-shim/state.h"

#define CHILD_STACK (64 << 10)

struct child {
    const char *path;
    char *const *argv;
    int pipe_read;
    int error;      /* the child runs in our memory until exec, so it can tell */
};

/*
 * Between clone and exec: other threads run on, so no malloc and no locks here. All
 * signals stay blocked, lest a handler of the application runs; the warden unblocks.
 */
static int child_main(void *arg)
{
    struct child *c = arg;
    static char *const no_env[] = {NULL};

    if (dup2(c->pipe_read, STDIN_FILENO) >= 0)
        execve(c->path, c->argv, no_env);
    c->error = errno;
    _exit(127);
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

/* Runs c->argv; the program forks itself away and its first process ends at once. */
static int run_child(struct child *c)
{
    char *stack = malloc(CHILD_STACK);
    sigset_t all, old;
    int status = 0;

    if (!stack)
        return -ENOMEM;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = clone(child_main, stack + CHILD_STACK, CLONE_VM | CLONE_VFORK, c);
    int e = pid < 0 ? -errno : -c->error;
    if (pid > 0)
        while (waitpid(pid, &status, __WCLONE) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    free(stack);
    return e ? e : status == 0 ? 0 : -ECHILD;
}

int vg_warden_spawn(const char *device, uint32_t token, uint64_t slot_off)
{
    char path[PATH_MAX], word[16], off[24], dir[PATH_MAX];
    char name[] = "vgpu-warden";
    char *const argv[] = {name, dir, word, off, NULL};
    int ends[2];

    int e = find_warden(path, sizeof(path));
    if (e)
        return e;
    snprintf(dir, sizeof(dir), "%s", device);
    snprintf(word, sizeof(word), "%u", token);
    snprintf(off, sizeof(off), "%llu", (unsigned long long)slot_off);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    struct child c = {.path = path, .argv = argv, .pipe_read = ends[0]};
    e = run_child(&c);
    close(ends[0]);
    if (e) {
        close(ends[1]);
        return e;
    }
    return ends[1];
}
