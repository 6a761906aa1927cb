/* SPDX-License-Identifier: MIT */
/*
 * fork and exec, see proc.h. Between the two the child only makes system calls
 * and opendir, which is safe because its parent has one thread.
 */
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

/* Closes whatever an ancestor left open without close-on-exec. */
static void close_from(int first, int spare)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *e;

    if (!dir)
        return;
    while ((e = readdir(dir)) != NULL) {
        int fd = atoi(e->d_name);

        if (fd >= first && fd != spare && fd != dirfd(dir))
            close(fd);
    }
    closedir(dir);
}

/* First out of the way of the targets, then each to its place: dup2 clears close-on-exec. */
static int place_fds(const struct vg_proc *proc, int *report)
{
    int high[VG_PROC_FDS_MAX];

    *report = fcntl(*report, F_DUPFD_CLOEXEC, (int)VG_PROC_FDS_MAX);
    if (*report < 0)
        return -errno;
    for (unsigned i = 0; i < proc->nfds; i++) {
        int fd = proc->fds[i] >= 0 ? proc->fds[i] : open("/dev/null", O_RDWR | O_CLOEXEC);

        high[i] = fcntl(fd, F_DUPFD_CLOEXEC, (int)VG_PROC_FDS_MAX);
        if (high[i] < 0)
            return -errno;
    }
    for (unsigned i = 0; i < proc->nfds; i++) {
        if (dup2(high[i], (int)i) < 0)
            return -errno;
    }
    close_from((int)proc->nfds, *report);
    return 0;
}

static void default_signals(void)
{
    sigset_t none;

    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become(const struct vg_proc *proc, pid_t parent, int *report)
{
    int rc = place_fds(proc, report);

    if (rc < 0)
        return rc;
    if (proc->session && setsid() < 0)
        return -errno;
    if (proc->no_core && setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) < 0)
        return -errno;
    if (proc->maps_low && personality((unsigned long)personality(0xffffffff) | ADDR_COMPAT_LAYOUT) < 0)
        return -errno;
    if (proc->death_signal && prctl(PR_SET_PDEATHSIG, proc->death_signal) < 0)
        return -errno;
    /* The parent may have died before the prctl. */
    if (proc->death_signal && getppid() != parent)
        return -ESRCH;
    default_signals();
    execve(proc->path, proc->argv, proc->envp);
    return -errno;
}

static void child_main(const struct vg_proc *proc, pid_t parent, int report)
{
    int rc = become(proc, parent, &report);

    if (write(report, &rc, sizeof(rc)) < 0)
        _exit(126);
    _exit(127);
}

/* The child's verdict: nothing arrives when exec worked, as it closed the pipe. */
static int exec_result(int report, pid_t pid)
{
    int rc = 0;
    ssize_t n;

    do {
        n = read(report, &rc, sizeof(rc));
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return 0;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return rc;
}

int vg_proc_spawn(const struct vg_proc *proc, pid_t *ret_pid)
{
    int report[2];
    pid_t parent = getpid(), pid;
    int rc;

    if (proc->nfds > VG_PROC_FDS_MAX)
        return -EINVAL;
    if (pipe2(report, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        child_main(proc, parent, report[1]);
    rc = pid < 0 ? -errno : 0;
    close(report[1]);
    if (rc == 0)
        rc = exec_result(report[0], pid);
    close(report[0]);
    if (rc == 0)
        *ret_pid = pid;
    return rc;
}

static bool kept(const char *const *keep, const char *entry)
{
    for (; *keep; keep++) {
        size_t n = strlen(*keep);

        if ((*keep)[n - 1] == '*' ? strncmp(entry, *keep, n - 1) == 0
                                  : strncmp(entry, *keep, n) == 0 && entry[n] == '=')
            return true;
    }
    return false;
}

static size_t count_of(char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    return n;
}

char **vg_proc_env(const char *const *keep, char *const *extra)
{
    size_t own = count_of(extra), all = count_of(environ), n;
    char **envp = calloc(own + all + 1, sizeof(*envp));

    if (!envp)
        return NULL;
    /* The first of two equal names is the one that counts. */
    for (n = 0; n < own; n++)
        envp[n] = extra[n];
    for (size_t i = 0; i < all; i++) {
        if (kept(keep, environ[i]))
            envp[n++] = environ[i];
    }
    return envp;
}
