/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BAR1 on a memfd (KVM and TCG).  Called at realize and exit only.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vgpu_stub_backing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc 2.17 knows neither the call nor the constants. */
#ifndef SYS_memfd_create
#define SYS_memfd_create 319
#endif
#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#endif

/*
 * XCP-ng starts QEMU with a limit of 1 MiB on the files that it writes, meant
 * for logs, and growing a memfd beyond it is a deadly signal.  At realize QEMU
 * still has the right to lift the limit for this moment.
 */
static int set_size(int fd, uint64_t size)
{
    struct rlimit before, more;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    int rc, error;

    getrlimit(RLIMIT_FSIZE, &before);
    more = before;
    if (more.rlim_cur < size) {
        more.rlim_cur = size;
        more.rlim_max = more.rlim_max < size ? size : more.rlim_max;
        setrlimit(RLIMIT_FSIZE, &more);
    }
    rc = ftruncate(fd, (off_t)size);
    error = errno;
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    errno = error;
    return rc;
}

static int make_memfd(uint64_t size)
{
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    int fd, error;

    fd = (int)syscall(SYS_memfd_create, "vgpu-region",
                      MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -errno;
    }
    if (set_size(fd, size) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0) {
        error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

static void memfd_close(struct vg_stub_backing *b)
{
    if (!b->base) {
        return;
    }
    munmap(b->base, b->size);
    if (b->fd >= 0) {
        close(b->fd);
    }
    b->base = NULL;
    b->fd = -1;
}

static int memfd_open(struct vg_stub_backing *b, uint64_t size)
{
    int fd = make_memfd(size);
    int flags = MAP_SHARED;
    int error;
    void *base;

    /* Memory that nobody can share is still a BAR. */
    if (fd < 0) {
        flags |= MAP_ANONYMOUS;
    }
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (base == MAP_FAILED) {
        error = errno;
        if (fd >= 0) {
            close(fd);
        }
        return -error;
    }
    b->base = base;
    b->size = size;
    b->fd = fd < 0 ? -1 : fd;
    b->why = fd < 0 ? -fd : 0;
    return 0;
}

const struct vg_stub_backing_ops vg_stub_backing_memfd = {
    .name = "memfd",
    .open = memfd_open,
    .close = memfd_close,
};
