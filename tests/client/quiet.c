/* SPDX-License-Identifier: MIT */
/*
 * Shows that a call which needs no answer costs neither a system call nor an
 * access to the device while the executor is awake.
 *
 *   quiet [LAUNCHES]
 *
 * A parent traces the main thread and counts its system calls between two marks
 * (getppid); in a VM the device's TRAPS register counts the accesses. The executor
 * may fall asleep once in a while, and waking it is one of either: fewer than one
 * launch in fifty may need it.
 */
#include "vg_drv.h"
#include "vg_image.h"
#include "vg_regs.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

VG_IMAGE(vg_client_ptx, "tests/client/kernels.ptx");

#ifndef PTRACE_O_EXITKILL        /* glibc 2.17 has it not; Linux 3.8 has */
#define PTRACE_O_EXITKILL 0x100000
#endif

#define BURST 64            /* launches between two synchronizations, far below a full ring */

static volatile uint32_t *find_registers(void)
{
    glob_t g;
    volatile uint32_t *found = NULL;

    if (glob("/sys/bus/pci/devices/*/resource0", 0, NULL, &g) != 0)
        return NULL;
    for (size_t i = 0; i < g.gl_pathc && !found; i++) {
        int fd = open(g.gl_pathv[i], O_RDWR | O_CLOEXEC);
        void *p = fd < 0 ? MAP_FAILED : mmap(NULL, VG_BAR0_SIZE, PROT_READ, MAP_SHARED, fd, 0);
        if (fd >= 0)
            close(fd);
        if (p == MAP_FAILED)
            continue;
        if (*(volatile uint32_t *)p == VG_REG_MAGIC_VALUE)
            found = p;
        else
            munmap(p, VG_BAR0_SIZE);
    }
    globfree(&g);
    return found;
}

static unsigned traps(volatile uint32_t *regs)
{
    return regs ? regs[VG_REG_TRAPS / 4] : 0;
}

static void mark(void)
{
    syscall(SYS_getppid);
}

/* The traced program. Its exit status tells whether the device was left alone. */
static int launch_quietly(int launches)
{
    CUcontext ctx = vg_drv_start();
    CUmodule module = vg_drv_module(vg_client_ptx);
    CUfunction f = vg_drv_function(module, "empty");
    volatile uint32_t *regs = find_registers();
    unsigned touched = 0;
    CUstream stream;

    (void)ctx;
    VG_CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (int done = 0; done < launches; done += BURST) {
        VG_CU(cuStreamSynchronize(stream));
        VG_CU(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL));  /* wakes it */
        unsigned before = traps(regs);
        mark();
        for (int i = 0; i < BURST; i++)
            VG_CU(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL));
        mark();
        touched += traps(regs) - before;
    }
    VG_CU(cuStreamSynchronize(stream));
    if (regs)
        printf("device accesses: %u in %d launches\n", touched, launches);
    else
        printf("device accesses: no device here\n");
    return touched * 50 < (unsigned)launches ? 0 : 1;
}

static long syscall_number(pid_t pid)
{
    struct user_regs_struct regs;

    return ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0 ? (long)regs.orig_rax : -1;
}

/* Follows the child to its end; *ret_calls is what it called between odd and even marks. */
static int trace(pid_t pid, unsigned *ret_calls)
{
    int status, marks = 0;
    bool entering = true;
    unsigned calls = 0;

    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        return 1;
    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    for (int deliver = 0;; deliver = 0) {
        ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)deliver);
        if (waitpid(pid, &status, 0) != pid)
            return 1;
        if (WIFEXITED(status) || WIFSIGNALED(status))
            break;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
            deliver = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
            continue;
        }
        if (entering) {
            if (syscall_number(pid) == SYS_getppid)
                marks++;
            else if (marks % 2)
                calls++;
        }
        entering = !entering;
    }
    *ret_calls = calls;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
    int launches = argc > 1 ? atoi(argv[1]) : 6400;
    unsigned calls = 0;
    pid_t pid = fork();

    if (pid < 0)
        vg_drv_fail("fork: errno %d", errno);
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        exit(launch_quietly(launches));
    }
    int rc = trace(pid, &calls);
    printf("system calls: %u in %d launches\n", calls, launches);
    return rc == 0 && calls * 50 < (unsigned)launches ? 0 : 1;
}
