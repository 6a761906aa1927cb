/* SPDX-License-Identifier: MIT */
/*
 * Starting a program with exactly the descriptors, environment and signal state
 * given, by fork and exec. Single-threaded callers only.
 */
#ifndef VG_BASE_PROC_H
#define VG_BASE_PROC_H

#include <stdbool.h>
#include <sys/types.h>

#define VG_PROC_FDS_MAX 16u

struct vg_proc {
    const char *path;           /* of the program; not searched in PATH */
    char *const *argv;
    char *const *envp;
    const int *fds;             /* fds[i] becomes descriptor i, -1: /dev/null */
    unsigned nfds;              /* everything from nfds on is closed */
    bool session;               /* in a session of its own: no terminal, no shared signals */
    bool no_core;               /* no core file: it would hold a guest's data */
    bool maps_low;              /* its memory from a third of the address space upwards */
    int death_signal;           /* what it gets when its parent dies, 0: nothing */
};

/* 0 and *ret_pid, or -errno (of exec too, so a started program is the right one). */
int vg_proc_spawn(const struct vg_proc *proc, pid_t *ret_pid);

/*
 * `extra` ("NAME=VALUE", NULL-terminated, or NULL), then what the environment has of
 * the names in `keep` (one that ends in '*' is a prefix). Only the array is
 * allocated: the strings are extra's and environ's. NULL: no memory. The caller frees.
 */
char **vg_proc_env(const char *const *keep, char *const *extra);

#endif
