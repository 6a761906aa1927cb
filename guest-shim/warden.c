/* SPDX-License-Identifier: MIT */
/*
 * vgpu-warden: a tiny process beside each CUDA process in a VM. Its standard input
 * is a pipe whose only writer is that process; when the pipe ends, however the
 * process died, it gives the process's slot back to the device. Until then it
 * counts a heartbeat up in the slot, so that the host notices a frozen or dead VM.
 *
 * Usage: vgpu-warden SYSFS-DEVICE TOKEN SLOT-OFFSET
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vg_atomic.h"
#include "vg_region.h"
#include "vg_regs.h"

static void *map_resource(const char *device, const char *name, uint64_t off, size_t size)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", device, name) >= (int)sizeof(path))
        return NULL;
    int fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)off);
    close(fd);
    return p == MAP_FAILED ? NULL : p;
}

/* Descriptors that the application opened without close-on-exec: not ours to keep open. */
static void close_others(void)
{
    long max = sysconf(_SC_OPEN_MAX);

    if (max < 0 || max > 65536)
        max = 65536;
    for (int fd = 3; fd < max; fd++)
        close(fd);
}

static void unblock_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void beat_until_end(struct vg_slot *slot)
{
    struct pollfd p = {STDIN_FILENO, POLLIN, 0};

    for (;;) {
        int n = poll(&p, 1, VG_HEARTBEAT_MS);
        vg_fetch_add(&slot->heartbeat, 1);
        if (n > 0) {
            char c;
            ssize_t got = read(STDIN_FILENO, &c, 1);
            if (got == 0 || (got < 0 && errno != EINTR))
                return;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: vgpu-warden SYSFS-DEVICE TOKEN SLOT-OFFSET\n", stderr);
        return 2;
    }
    uint32_t token = (uint32_t)strtoul(argv[2], NULL, 10);
    volatile uint32_t *regs = map_resource(argv[1], "resource0", 0, VG_BAR0_SIZE);
    struct vg_slot *slot = map_resource(argv[1], "resource1", strtoull(argv[3], NULL, 10), VG_PAGE);

    if (!regs || !slot)
        return 1;
    setsid();       /* away from the application's terminal and its signals */
    unblock_signals();
    if (chdir("/") < 0)
        return 1;
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    close_others();
    vg_fetch_add(&slot->heartbeat, 1);  /* "I am there": the application waits for it */
    beat_until_end(slot);
    regs[VG_REG_RELEASE / 4] = token;
    return 0;
}
