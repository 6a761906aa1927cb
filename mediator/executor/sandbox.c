/* SPDX-License-Identifier: MIT */
/*
 * Restrictions that hold for every driver: no new privileges, no core dumps with
 * guest data, few files. The system call filter comes last, because it would
 * refuse the others.
 */
#include "mediator/executor/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mediator/executor/filter.h"

#define FILES_MAX   8192    /* on the software GPU each cuMemCreate is one */
#define THREADS_MAX 16384   /* of all executors of a VM: the kernel counts them by user */

static int limit(int resource, rlim_t most)
{
    struct rlimit r;

    if (getrlimit((__rlimit_resource_t)resource, &r) < 0)
        return -errno;
    if (r.rlim_max == RLIM_INFINITY || r.rlim_max > most)
        r.rlim_max = most;
    r.rlim_cur = r.rlim_max;
    return setrlimit((__rlimit_resource_t)resource, &r) < 0 ? -errno : 0;
}

/* Where there is no such file, nobody chooses. */
void vg_sandbox_offer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, "1000", 4) != 4)
        fprintf(stderr, "executor: oom_score_adj: %s\n", strerror(errno));
    close(fd);
}

/* No library has these; the kernel's interface for capabilities below 32 and above. */
int vg_sandbox_drop(void)
{
    const uint32_t drop = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER |
                          1u << CAP_SYS_PTRACE;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &head, set) < 0)
        return -errno;
    set[0].effective &= ~drop;
    set[0].permitted &= ~drop;
    set[0].inheritable &= ~drop;
    return syscall(SYS_capset, &head, set) < 0 ? -errno : 0;
}

int vg_sandbox_enter(bool software, bool own_user)
{
    int rc;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* Its memory is a guest's: not for other processes of the same user to read. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0); /* ns: naps between looks at the GPU are short */
    rc = limit(RLIMIT_CORE, 0);
    if (rc == 0)
        rc = limit(RLIMIT_NOFILE, FILES_MAX);
    if (rc == 0 && own_user)
        rc = limit(RLIMIT_NPROC, THREADS_MAX);
    if (rc == 0)
        rc = vg_filter_install(software);
    return rc == -ENOSYS ? 0 : rc;
}
