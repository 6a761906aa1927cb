/* SPDX-License-Identifier: MIT */
/* Stops the threads of a process, see hold.h. */
#include "guest-shim/warden/hold.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#ifndef PTRACE_SEIZE        /* Linux 3.4; enumerators in the C library */
#define PTRACE_SEIZE     0x4206
#define PTRACE_INTERRUPT 0x4207
#endif
#define EVENT_STOP 128      /* a stop that we asked for, and no signal on its way */

static bool is_held(const struct vg_held *h, pid_t tid)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->thread[i].tid == tid)
            return true;
    return false;
}

static bool note(struct vg_held *h, pid_t tid, int signal)
{
    struct vg_held_thread *more = realloc(h->thread, (h->count + 1) * sizeof(*more));

    if (!more)
        return false;
    h->thread = more;
    h->thread[h->count++] = (struct vg_held_thread){.tid = tid, .signal = signal};
    return true;
}

/* 1: it stands still; 0: it has ended, or we may not (EPERM says either); -1: it cannot be stopped. */
static int stop(struct vg_held *h, pid_t tid)
{
    int status;

    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0)
        return errno == ESRCH || errno == EPERM ? 0 : -1;
    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
    while (waitpid(tid, &status, __WALL) < 0)
        if (errno != EINTR)
            return 0;
    if (!WIFSTOPPED(status))
        return 0;
    if (!note(h, tid, status >> 16 == EVENT_STOP ? 0 : WSTOPSIG(status))) {
        ptrace(PTRACE_DETACH, tid, NULL, NULL);
        return -1;
    }
    return 1;
}

/* How many more threads stand still, or -1. */
static int stop_others(struct vg_held *h, DIR *tasks)
{
    struct dirent *e;
    int more = 0;

    rewinddir(tasks);
    while ((e = readdir(tasks))) {
        pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);
        int n = tid > 0 && !is_held(h, tid) ? stop(h, tid) : 0;
        if (n < 0)
            return -1;
        more += n;
    }
    return more;
}

/* A thread that still runs may start others: until there are no new ones. */
bool vg_hold(struct vg_held *h, pid_t pid)
{
    char path[40];
    int more;

    *h = (struct vg_held){0};
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return false;
    while ((more = stop_others(h, tasks)) > 0)
        ;
    closedir(tasks);
    if (more < 0)
        vg_unhold(h);
    return more == 0 && h->count > 0;
}

/*
 * Who cannot be let go has been killed, and nobody hears of its process's end before we have
 * heard of all such threads; of the process's first one last.
 */
void vg_unhold(struct vg_held *h)
{
    for (size_t i = 0; i < h->count; i++)
        if (ptrace(PTRACE_DETACH, h->thread[i].tid, NULL, (void *)(long)h->thread[i].signal) == 0)
            h->thread[i].tid = 0;
    for (size_t i = h->count; i-- > 0;)
        while (h->thread[i].tid && waitpid(h->thread[i].tid, NULL, __WALL) < 0 && errno == EINTR)
            ;
    free(h->thread);
    *h = (struct vg_held){0};
}
